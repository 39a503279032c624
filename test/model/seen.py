# SPDX-License-Identifier: Apache-2.0
"""The whole state of a shop, read in every way there is, by both; and what both start from."""

import datetime
import random

from model.base import Moment, Request
from model.commands import CATEGORIES
from model.compare import moment
from model.orders import Line, Order
from model.ranking import WINDOWS

PAGES_MAX = 10_000
HEAD_START_DAYS = 40  # before that there was the load-test data set
ORDERS_OF = {1: 10, 2: 5, 3: 3}
COMPLETED = 12
TOP = [2, 3, 1, 5, 4]


class Seen:
    """What a run sees beside its random commands."""

    def __init__(self, run):
        self.run, self.shop, self.target = run, run.shop, run.target
        self.rng = random.Random(f"looks of {run.seed}")

    def get(self, path, **query):
        """Asked and compared like any command."""
        return self.run.step(Request("GET", path, query={name: str(value) for name, value in query.items()})).json

    def pages(self, path, limit=100, **query):
        """To the end of a list."""
        page = self.get(path, limit=limit, **query)
        for _ in range(PAGES_MAX):
            if not page.get("nextCursor"):
                return
            page = self.get(path, limit=limit, cursor=page["nextCursor"], **query)
        self.run.report(f"{path}: a list without an end")

    # ---- the beginning ----

    def learn(self):
        """The data set is as described; names, windows and past orders are learnt."""
        shop = self.shop
        shop.add_load_data()
        for product in shop.products.values():
            shown = self.target.ask(Request("GET", f"/api/products/{product.product_id}")).json
            product.name, product.description = shown["name"], shown["description"]
        for shown in self.target.ask(Request("GET", "/api/admin/coupons")).json["coupons"]:
            coupon = shop.coupons[shown["couponId"]]
            coupon.starts, coupon.ends = Moment(moment(shown["startsAt"])), Moment(moment(shown["endsAt"]))
        for shown in self.target.ask(Request("GET", "/api/users/3/coupons")).json["coupons"]:
            held = shop.coupons[shown["couponId"]].holders[3]
            held.user_coupon_id, held.issued = shown["userCouponId"], Moment(moment(shown["issuedAt"]))
            held.used = None if shown["usedAt"] is None else Moment(moment(shown["usedAt"]))
            held.expires = shop.coupons[shown["couponId"]].ends
        for user in ORDERS_OF:
            for shown in self.target.ask(Request("GET", "/api/orders", query={"userId": str(user)})).json["orders"]:
                self.learn_order(shown)
        self.check_past_orders()
        self.compare()
        self.run.step(self.start_of_time())

    def check_past_orders(self):
        shop, today = self.shop, self.shop.day(self.target.now())
        counts = {user: len(orders) for user, orders in shop.orders_of.items()}
        paid = {order.paid_at and (today - shop.day(order.paid_at)).days for order in shop.orders.values()}
        shop.now = self.target.now()
        top = [row["productId"] for row in shop.products_top()[1]["products"]]
        found = counts, len(shop.paid_before), paid, top, shop.ranking("daily", today)
        if found != (ORDERS_OF, COMPLETED, {None, 1, 2}, TOP, []):
            self.run.report(f"the past orders of the data set: {found}")

    def learn_order(self, shown):
        lines = [Line(i["productId"], i["productName"], i["quantity"], i["unitPrice"]) for i in shown["items"]]
        order = Order(shown["userId"], lines, shown["subtotalAmount"], shown["discountAmount"], None)
        order.order_id, order.number = shown["orderId"], shown["orderNumber"]
        order.created, order.status = Moment(moment(shown["createdAt"])), shown["status"]
        self.shop.add_order(order)
        if order.status == "COMPLETED":
            order.paid_at = Moment(self.target.paid_at(order.order_id))
            self.shop.paid_before.add(order.order_id)
            self.shop.count_sale(order)

    def start_of_time(self):
        """Some days before the zone's next change of its offset, if it has one."""
        now = datetime.datetime.fromtimestamp(self.target.now() / 1000, self.shop.zone)
        start = now + datetime.timedelta(days=HEAD_START_DAYS)
        for days in range(400):
            day = start + datetime.timedelta(days=days)
            if day.utcoffset() != (day + datetime.timedelta(days=3)).utcoffset():
                start = day
                break
        return Request("POST", "/api/admin/test/clock", {"advanceSeconds": int((start - now).total_seconds())})

    # ---- everything ----

    def compare(self):
        for user in self.run.commands.people:
            self.get(f"/api/users/{user}")
            self.get("/api/cart", userId=user)
            self.get(f"/api/users/{user}/coupons")  # what was reserved has an id by now: it is learnt here
            self.pages(f"/api/users/{user}/coupons", limit=self.rng.choice([2, 7, 100]))
            for status in (None, "PENDING", "COMPLETED", "CANCELLED"):
                query = {} if status is None else {"status": status}
                self.pages("/api/orders", userId=user, **query)
        self.compare_coupons()
        self.compare_products()
        self.compare_rankings()

    def compare_coupons(self):
        self.pages("/api/admin/coupons", limit=self.rng.choice([9, 100]))
        self.pages("/api/coupons")
        for coupon in self.shop.coupons.values():
            self.get(f"/api/coupons/{coupon.coupon_id}")

    def compare_products(self):
        for sort in (None, "price", "price_asc", "price_desc", "newest", "popularity"):
            query = {} if sort is None else {"sort": sort}
            self.pages("/api/products", limit=self.rng.choice([4, 100]), **query)
            self.get("/api/products", category=self.rng.choice(CATEGORIES[:-1]), **query)
        for product in self.shop.products.values():
            self.get(f"/api/products/{product.product_id}")

    def compare_rankings(self):
        self.get("/api/products/top")
        self.get("/api/products/ranking/top")
        today = self.shop.today()
        for back in {0, 1, self.rng.randint(2, 8), self.rng.randint(8, 45)}:
            date = today - datetime.timedelta(days=back)
            for window in WINDOWS:
                query = {"date": date, "window": window}
                self.get("/api/products/ranking/top", limit=100, **query)
                self.get("/api/products/ranking/top", category=self.rng.choice(CATEGORIES[:-1]), **query)
                for product in self.rng.sample(sorted(self.shop.products), 6):
                    around = self.rng.choice([-1, 0, 1, 3, 10, 11])
                    self.get(f"/api/products/ranking/product/{product}", around=around, **query)
