# SPDX-License-Identifier: Apache-2.0
"""Random commands by seed: mostly what people do, and now and then what they should not."""

import datetime
import itertools

from model.base import INT64_MAX, Moment, Request
from model.ranking import WINDOWS

PEOPLE = [1, 2, 3, *range(4, 12), *range(1000, 1006)]
FIRST_NEW_USER, PEOPLE_MAX = 400_001, 26
NOBODY = (999_999_999, 0, -1)
NOTHING = (987_654_321, 0, -5)
CATEGORIES = ["전자제품", "가구", "도서", "의류", "잡화", "새 물건", None]
NAMES = ["물건", "thing", "Ding", "πρᾶγμα", 'a "b" \\ c', "x"]
PRODUCTS_MAX, COUPONS_MAX = 48, 25
FIRST_COUPON = 701
RECENT_ORDERS, RECENT_KEYED = 60, 400
DAY_S, HOUR_S = 86400, 3600
DEAR, MANY = 10**12, 10**8
DEAR_QUANTITIES = (4_000_000, 8_000_000, 9_223_372, 9_223_373)  # the last one costs more than an int64 holds


class Commands:
    """An endless stream; it looks at the model for what there is."""

    def __init__(self, rng, shop):
        self.rng, self.shop = rng, shop
        self.keys, self.keyed, self.old_keyed = itertools.count(1), [], []
        self.people = list(PEOPLE)
        self.products, self.dear = list(range(1, 22)), None
        self.first = self.opening()
        kinds = [
            (self.order, 17), (self.payment, 16), (self.complete, 6), (self.cancel, 7), (self.again, 6),
            (self.key_reused, 2), (self.cart_add, 6), (self.cart_change, 4), (self.cart_remove, 2),
            (self.cart_look, 2), (self.charge, 5), (self.user_look, 3), (self.user_create, 0.2), (self.take_coupon, 6),
            (self.coupons_look, 3), (self.coupon_create, 0.8), (self.coupon_patch, 1.2), (self.product_create, 0.4),
            (self.product_patch, 4), (self.products_look, 2), (self.orders_look, 3), (self.ranking_look, 1),
            (self.step, 2), (self.wrong, 3), (self.two_wrongs, 1),
        ]  # fmt: skip
        self.kinds, self.weights = [k for k, _ in kinds], [w for _, w in kinds]

    def next(self):
        request = next(self.first, None)
        while request is None:
            request = self.rng.choices(self.kinds, self.weights)[0]()
        return request

    @property
    def coupons(self):
        """The latest ones that the commands have made."""
        return [i for i in list(self.shop.coupons)[-COUPONS_MAX:] if i >= FIRST_COUPON]

    def chance(self, probability):
        return self.rng.random() < probability

    # ---- who and what ----

    def person(self):
        return self.rng.choice(NOBODY) if self.chance(0.01) else self.rng.choice(self.people)

    def thing(self):
        return self.rng.choice(NOTHING) if self.chance(0.01) else self.rng.choice(self.products)

    def quantity(self):
        """Mostly a few; now and then none, or more than anybody has."""
        if self.chance(0.03):
            return self.rng.choice([0, -1, -INT64_MAX - 1])
        if self.chance(0.03):
            return self.rng.choice([10_001, 10**9, INT64_MAX])
        return self.rng.choice([1, 1, 1, 2, 2, 3, 5])

    def line_of(self, product_id):
        """Now and then exactly what is left."""
        quantity, product = self.quantity(), self.shop.products.get(product_id)
        if product and product.stock < 100 and self.chance(0.15):
            quantity = product.stock + self.rng.choice([0, 0, 1])
        return {"productId": product_id, "quantity": quantity}

    def key(self, may_fail=False):
        text = f"key-{next(self.keys)}"
        return self.rng.choice(["fail-", "FAIL ", "x-FaiL-"]) + text if may_fail and self.chance(0.08) else text

    def with_key(self, path, body, key):
        """The key in the body, in the header, or in both; remembered for later replays."""
        where = self.rng.random()
        header = key if where < 0.2 else None
        if where < 0.15 or key is None:
            request = Request("POST", path, body, key=header)
        else:
            request = Request("POST", path, {**body, "idempotencyKey": key}, key=header)
        if key is not None:
            self.remember(request)
        return request

    def remember(self, request):
        self.keyed.append(request)
        if len(self.keyed) > RECENT_KEYED:
            gone = self.keyed.pop(0)
            if self.chance(0.1):
                self.old_keyed.append(gone)

    def recent_order(self, good):
        """Of the latest orders one that is `good`, else any."""
        latest = list(itertools.islice(reversed(self.shop.orders.values()), RECENT_ORDERS))
        fitting = [order for order in latest if good(order)]
        if not latest:
            return None
        return self.rng.choice(fitting if fitting and not self.chance(0.05) else latest)

    # ---- the beginning ----

    def opening(self):
        """Things that show roundings, ends of stock, no money at all, and too much."""
        made = [("gratis", 0, 500), ("odd", 333, 800), ("scarce", 900, 5), ("cheap", 7, 100_000), ("dear", DEAR, MANY)]
        for number, (name, price, stock) in enumerate(made, 601):
            body = {
                "productId": number,
                "name": name,
                "price": price,
                "stock": stock,
                "category": CATEGORIES[number % 6],
            }
            yield Request("POST", "/api/admin/products", body)
            (self.products.append if price < DEAR else self.set_dear)(number)
        for number, (rate, uses) in enumerate([(100, 1), (33, 2), (10, None), (0, 1), (50, 1), (7, 3)], FIRST_COUPON):
            body = {"couponId": number, "name": f"{rate}%", "discountRate": rate, "totalQuantity": 12,
                    "endsAt": self.later(3 * DAY_S, 40 * DAY_S), "usesPerUser": uses}  # fmt: skip
            yield Request("POST", "/api/admin/coupons", body)

    def set_dear(self, number):
        self.dear = number

    def later(self, least_s, most_s):
        return Moment(self.shop.now + self.rng.randint(least_s, most_s) * 1000)

    # ---- orders ----

    def order_body(self):
        user = self.person()
        items = [self.line_of(self.thing()) for _ in range(self.rng.choice([1, 1, 2, 3, 4]))]
        if self.chance(0.1):
            items.append(dict(self.rng.choice(items), quantity=self.rng.choice([1, 2])))
        body = {"userId": user, "items": items}
        if self.chance(0.01):
            body["items"] = [{"productId": self.dear, "quantity": self.rng.choice(DEAR_QUANTITIES)}]
            body["couponId"] = self.cheap_coupon(user)  # nobody can pay that
        elif self.chance(0.4):
            body["couponId"] = self.coupon_for(user)
        return body

    def cheap_coupon(self, user):
        """One of the user's that leaves something to pay."""
        coupons = [self.shop.coupons[i] for i in self.coupons]
        mine = [c.coupon_id for c in coupons if user in c.holders and c.rate < 90]
        return self.rng.choice([None, *mine])

    def coupon_for(self, user):
        mine = [i for i in self.coupons if user in self.shop.coupons[i].holders]
        good = [i for i in mine if self.shop.coupons[i].holders[user].expires > self.shop.now]
        if good and self.chance(0.7):
            return self.rng.choice(good)
        if mine and self.chance(0.6):
            return self.rng.choice(mine)
        return self.rng.choice([*self.coupons, 3, 5, 999_999, None])

    def order(self):
        return self.with_key("/api/orders", self.order_body(), self.key())

    def payment(self):
        order = self.recent_order(lambda o: o.status == "PENDING")
        return order and self.of_order(order, "payment", self.key(may_fail=True))

    def cancel(self):
        wanted = self.rng.choice(["PENDING", "COMPLETED", "COMPLETED"])
        order = self.recent_order(lambda o: o.status == wanted)
        if order and self.chance(0.1):
            order = self.rng.choice(list(self.shop.orders.values()))
        return order and self.of_order(order, "cancel", self.key(may_fail=True))

    def of_order(self, order, what, key):
        user = self.person() if self.chance(0.03) else order.user_id
        order_id = self.rng.choice(NOTHING) if self.chance(0.01) else order.order_id
        return self.with_key(f"/api/orders/{order_id}/{what}", {"userId": user}, key)

    def complete(self):
        key = None if self.chance(0.4) else self.key(may_fail=True)
        return self.with_key("/api/orders/complete", self.order_body(), key)

    def orders_look(self):
        order = self.recent_order(lambda o: True)
        if order and self.chance(0.4):
            return Request("GET", f"/api/orders/{order.order_id}")
        if self.chance(0.05):
            return Request("GET", f"/api/orders/{self.rng.choice(NOTHING)}")
        query = {"userId": str(self.person()), "limit": str(self.rng.choice([1, 3, 100]))}
        if self.chance(0.5):
            query["status"] = self.rng.choice(["PENDING", "completed", "Cancelled", "nonsense"])
        return Request("GET", "/api/orders", query=query)

    # ---- the same key again ----

    def again(self):
        refused = [request for request in self.keyed if "fail" in self.key_in(request).lower()]
        if refused and self.chance(0.15):
            return self.rng.choice(refused)
        if self.old_keyed and self.chance(0.1):
            return self.rng.choice(self.old_keyed)
        return self.rng.choice(self.keyed[-20:] if self.chance(0.5) else self.keyed) if self.keyed else None

    def key_in(self, request):
        return request.body.get("idempotencyKey") or request.key

    def key_reused(self):
        """The same key for something else: another amount, item, order, user, or operation."""
        if not self.keyed:
            return None
        request = self.rng.choice(self.keyed)
        body, path = dict(request.body), request.path
        other = self.recent_order(lambda o: o.user_id == body.get("userId"))
        what = self.rng.randrange(4)
        if what == 0 and "userId" in body:
            body["userId"] = self.rng.choice(self.people)
        elif what == 1 and other and path.count("/") == 4 and path.startswith("/api/orders"):
            path = f"/api/orders/{other.order_id}/{path.rsplit('/')[-1]}"
        elif "items" in body:
            body["items"] = [*body["items"], {"productId": 20, "quantity": 1}]
            path = path if what == 2 else self.rng.choice(["/api/orders", "/api/orders/complete"])
        elif "amount" in body:
            body["amount"] += 1
        else:
            path = path.replace("payment", "cancel") if what == 2 else path.replace("cancel", "payment")
        return Request("POST", path, body, key=request.key)

    # ---- carts ----

    def cart_add(self):
        if self.chance(0.3):
            line = self.cart_line()
            return Request("POST", "/api/cart/items", {**line, **self.line_of(line["productId"])})
        return Request("POST", "/api/cart/items", {"userId": self.person(), **self.line_of(self.thing())})

    def cart_line(self):
        """Mostly one that is there."""
        user = self.person()
        lines = self.shop.carts.get(user)
        product = self.rng.choice(lines)[0] if lines and not self.chance(0.1) else self.thing()
        return {"userId": user, "productId": product}

    def cart_change(self):
        line = self.cart_line()
        quantity = 0 if self.chance(0.15) else self.line_of(line["productId"])["quantity"]
        return Request("PUT", "/api/cart/items", {**line, "quantity": quantity})

    def cart_remove(self):
        return Request("DELETE", "/api/cart/items", self.cart_line())

    def cart_look(self):
        return Request("GET", "/api/cart", query={"userId": str(self.person())})

    # ---- users ----

    def charge(self):
        amount = self.rng.choice([1, 10_000, 50_000, 300_000, 300_000, 2_000_000])
        if self.chance(0.06):
            amount = self.rng.choice([0, -1, 10**12 + 1, INT64_MAX])
        user = self.person()
        order = self.recent_order(lambda o: o.status == "PENDING")
        if order and self.chance(0.3):
            user, missing = order.user_id, order.total - self.shop.users[order.user_id].balance
            amount = missing if missing > 0 else amount  # exactly what it takes
        return self.with_key(f"/api/users/{user}/balance/charge", {"amount": amount}, self.key())

    def user_look(self):
        return Request("GET", f"/api/users/{self.person()}{self.rng.choice(['', '/balance'])}")

    def user_create(self):
        """One, known already or not, or a range that overlaps those there are."""
        number = max(FIRST_NEW_USER, max(self.shop.users) + 1)
        if self.chance(0.3):
            first = self.rng.randint(number - 4, number)
            body = {"fromUserId": first, "toUserId": first + self.rng.randint(0, 4), "balance": 50_000}
            return Request("POST", "/api/admin/users", body)
        if self.chance(0.2) or len(self.people) >= PEOPLE_MAX:
            number = self.rng.choice(self.people)
        else:
            self.people.append(number)
        body = {"userId": number, "username": f"user {number}", "email": f"{number}@shop.example", "balance": 10**6}
        if self.chance(0.3):
            body = {"userId": number}
        return Request("POST", "/api/admin/users", body)

    # ---- coupons ----

    def coupon(self):
        return self.rng.choice(NOTHING) if self.chance(0.02) else self.rng.choice([*self.coupons, 3, 5])

    def take_coupon(self):
        """Mostly one that can be had."""
        way, coupon_id = self.rng.choice(["issue", "reserve"]), self.coupon()
        open_ones = [i for i in self.coupons if self.shop.coupon_status(self.shop.coupons[i]) == "OPEN"]
        if open_ones and self.chance(0.7):
            coupon_id = self.rng.choice(open_ones)
        return Request("POST", f"/api/coupons/{coupon_id}/{way}", {"userId": self.person()})

    def coupons_look(self):
        if self.chance(0.3):
            return Request("GET", f"/api/coupons/{self.coupon()}")
        if self.chance(0.1):
            return Request("GET", self.rng.choice(["/api/coupons", "/api/admin/coupons"]))
        query = {"status": self.rng.choice(["AVAILABLE", "USED", "EXPIRED"])} if self.chance(0.5) else {}
        return Request("GET", f"/api/users/{self.person()}/coupons", query=query)

    def coupon_create(self):
        number = 702 + len(self.shop.coupons)
        starts = self.later(1, DAY_S) if self.chance(0.2) else self.shop.now - 1000
        body = {
            "couponId": self.rng.choice(self.coupons) if self.chance(0.05) else number,
            "name": self.rng.choice(NAMES),
            "discountRate": self.rng.choice([0, 1, 15, 33, 50, 99, 100]),
            "totalQuantity": self.rng.randint(1, 15),
            "startsAt": Moment(starts),
            "endsAt": Moment(starts + self.rng.choice([HOUR_S, DAY_S, 4 * DAY_S, 20 * DAY_S]) * 1000),
            "usesPerUser": self.rng.choice([1, 1, 2, 3, None]),
        }
        return Request("POST", "/api/admin/coupons", body)

    def coupon_patch(self):
        coupon_id = self.rng.choice([*self.coupons, 999_999])
        coupon = self.shop.coupons.get(coupon_id)
        taken = len(coupon.holders) if coupon else 0
        changes = [
            {"totalQuantity": max(0, taken + self.rng.randint(-2, 6))},
            {"closed": True}, {"closed": False}, {"closed": False},
            {"endsAt": self.later(-2 * HOUR_S, 10 * DAY_S)}, {"startsAt": self.later(-DAY_S, HOUR_S)},
        ]  # fmt: skip
        return Request("PATCH", f"/api/admin/coupons/{coupon_id}", self.rng.choice(changes))

    # ---- products ----

    def product_create(self):
        number = 602 + len(self.shop.products)
        if len(self.shop.products) >= PRODUCTS_MAX and not self.chance(0.1):
            return None
        taken = len(self.shop.products) >= PRODUCTS_MAX or self.chance(0.1)
        body = {
            "productId": self.rng.choice(self.products) if taken else number,
            "name": self.rng.choice(NAMES),
            "price": self.rng.choice([0, 1, 99, 1500, 40_000]),
            "stock": self.rng.choice([0, 3, 50, 2000]),
        }
        if self.chance(0.8):
            body["category"] = self.rng.choice(CATEGORIES[:-1])
        if self.chance(0.5):
            body["description"] = self.rng.choice(NAMES)
        if not taken:
            self.products.append(number)
        return Request("POST", "/api/admin/products", body)

    def product_patch(self):
        changes = [
            {"price": self.rng.choice([0, 1, 333, 5000, 30_000, 120_000, -1])},
            {"stock": self.rng.choice([0, 1, 4, 40, 3000, -1])}, {"stock": 2000}, {"stock": 500},
            {"category": self.rng.choice(CATEGORIES[:-1])}, {"name": self.rng.choice(NAMES)},
            {"description": self.rng.choice(NAMES), "stock": 100},
        ]  # fmt: skip
        return Request("PATCH", f"/api/admin/products/{self.thing()}", self.rng.choice(changes))

    def products_look(self):
        if self.chance(0.6):
            return Request("GET", f"/api/products/{self.thing()}")
        query = {
            "sort": self.rng.choice(["price", "price_asc", "price_desc", "newest"]),
            "limit": self.rng.choice("1589"),
        }
        if self.chance(0.4):
            query["category"] = self.rng.choice(CATEGORIES[:-1])
        return Request("GET", "/api/products", query=query)

    # ---- rankings ----

    def date(self):
        """Today, mostly; else a day of the last weeks."""
        back = 0 if self.chance(0.4) else self.rng.choice([1, 2, 6, 7, 8, self.rng.randint(0, 40)])
        return str(self.shop.today() - datetime.timedelta(days=back))

    def ranking_look(self):
        what = self.rng.randrange(4)
        if what == 0:
            return Request("GET", "/api/products/top")
        if what == 1:
            return Request("GET", "/api/products", query={"sort": "popularity"})
        query = {"window": self.rng.choice(WINDOWS), "date": self.date()}
        if what == 2:
            query["around"] = str(self.rng.choice([0, 1, 2, 10]))
            return Request("GET", f"/api/products/ranking/product/{self.rng.choice(self.products)}", query=query)
        query["limit"] = str(self.rng.choice([1, 3, 10, 100, 0, 101]))
        if self.chance(0.4):
            query["category"] = self.rng.choice(CATEGORIES[:-1])
        return Request("GET", "/api/products/ranking/top", query=query)

    # ---- time ----

    def step(self):
        """Seconds, hours; to just before midnight, over it; to the last moment of a week or a month."""
        what = self.rng.random()
        if what < 0.45:
            seconds = self.rng.randint(1, 300)
        elif what < 0.6:
            seconds = self.rng.randint(1, 6 * HOUR_S)
        elif what < 0.8:
            seconds = self.until(self.shop.today()) + self.rng.choice([-2, -2, 1])
        elif what < 0.85:
            seconds = DAY_S
        elif what < 0.95:
            edges = [e for c in self.shop.coupons.values() for e in (c.starts, c.ends) if e > self.shop.now]
            seconds = (min(edges) - self.shop.now) // 1000 + self.rng.choice([-1, 2]) if edges else 1
        else:
            seconds = self.until(self.shop.days(self.rng.choice(["weekly", "monthly"]), self.shop.today())[1]) - 2
        return Request("POST", "/api/admin/test/clock", {"advanceSeconds": max(1, min(seconds, 10 * DAY_S))})

    def until(self, date):
        """Seconds to the end of a day of the shop."""
        midnight = datetime.datetime.combine(date + datetime.timedelta(days=1), datetime.time(), self.shop.zone)
        return int(midnight.timestamp()) - self.shop.now // 1000

    # ---- what is wrong before anybody looks ----

    def two_wrongs(self):
        """Which is found first is part of the contract."""
        nobody, nothing = self.rng.choice(NOBODY), self.rng.choice(NOTHING)
        someone = self.rng.choice(self.people)
        mine = self.recent_order(lambda o: o.user_id == someone and o.status != "PENDING")
        order_id = mine.order_id if mine else 1
        pairs = [
            Request("POST", f"/api/coupons/{nothing}/issue", {"userId": nobody}),
            Request("POST", "/api/cart/items", {"userId": nobody, "productId": nothing, "quantity": 0}),
            Request("POST", "/api/cart/items", {"userId": someone, "productId": nothing, "quantity": 0}),
            Request("PUT", "/api/cart/items", {"userId": nobody, "productId": nothing, "quantity": -1}),
            Request("PUT", "/api/cart/items", {"userId": someone, "productId": nothing, "quantity": -1}),
            Request("DELETE", "/api/cart/items", {"userId": nobody, "productId": nothing}),
            self.bad_order(nobody, (nothing, 0)),
            self.bad_order(someone, (nothing, 1), (1, 0)),
            self.bad_order(someone, (8, 10**6), (nothing, 1)),
            self.bad_order(someone, (1, 10**6), couponId=999_999),
            self.bad_order(someone, (self.dear, DEAR_QUANTITIES[-1]), couponId=999_999),
            Request("POST", f"/api/orders/{nothing}/payment", {"userId": nobody}, key=self.key()),
            Request("POST", f"/api/orders/{nothing}/cancel", {"userId": nobody}, key=self.key()),
            Request(
                "POST", f"/api/orders/{order_id}/payment", {"userId": self.rng.choice(self.people)}, key=self.key(True)
            ),
            Request("POST", f"/api/orders/{order_id}/cancel", {"userId": self.rng.choice(self.people)}, key=self.key()),
        ]
        return self.rng.choice(pairs)

    def bad_order(self, user, *lines, **more):
        items = [{"productId": product, "quantity": quantity} for product, quantity in lines]
        path = self.rng.choice(["/api/orders", "/api/orders/complete"])
        return Request("POST", path, {"userId": user, "items": items, **more}, key=self.key())

    def wrong(self):
        user = self.rng.choice(self.people)
        order = self.order_body()
        bad = [
            Request("POST", f"/api/users/{user}/balance/charge", {"amount": 5}),
            Request("POST", f"/api/users/{user}/balance/charge", {"amount": "5", "idempotencyKey": "a"}),
            Request("POST", f"/api/users/{user}/balance/charge", {"amount": 5, "idempotencyKey": "a"}, key="b"),
            Request("POST", f"/api/users/{user}/balance/charge", {"amount": 5, "idempotencyKey": "x" * 101}),
            Request("POST", "/api/cart/items", {"userId": user, "productId": 1}),
            Request("POST", "/api/cart/items", {"userId": user, "productId": 1, "quantity": True}),
            Request("PUT", "/api/cart/items", {"userId": user, "productId": 1, "quantity": 1.5}),
            Request("DELETE", "/api/cart/items", {"userId": user}),
            Request("POST", "/api/orders", order),
            Request("POST", "/api/orders", {**order, "userId": str(user)}, key=self.key()),
            Request("POST", "/api/orders", {**order, "userId": user, "items": []}, key=self.key()),
            Request("POST", "/api/orders/1/payment", {"userId": user}),
            Request("POST", "/api/orders/1/cancel", {"idempotencyKey": "x"}),
            Request("POST", "/api/admin/products", {"name": "n", "price": -1, "stock": 1}),
            Request("POST", "/api/admin/products", {"name": "n", "price": 1}),
            Request("GET", "/api/products", query={"sort": "nonsense"}),
            Request("GET", "/api/products", query={"limit": "0"}),
            Request("GET", "/api/products/ranking/top", query={"window": "hourly"}),
            Request("GET", "/api/orders", query={"userId": str(user), "limit": "101"}),
            Request("POST", "/api/coupons/1/issue", {}),
        ]
        return self.rng.choice(bad)
