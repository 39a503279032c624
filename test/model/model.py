# SPDX-License-Identifier: Apache-2.0
"""The plain model of the whole shop: which part answers which request, and the load-test data set."""

from model.base import Moment, Refused, invalid
from model.carts import Product
from model.coupons import UNLIMITED, Coupon, Held
from model.orders import Orders

DAY_MS = 86400000
USER_RANGES = (
    (1, 1, 20_000_000_000), (2, 2, 500_000), (3, 3, 100_000), (4, 153, 100_000_000),
    (1000, 10999, 10_000), (200000, 200099, 10_000), (300000, 309999, 10_000),
)  # fmt: skip
ELECTRONICS, FURNITURE, BOOKS, CLOTHES, SUNDRIES = "전자제품", "가구", "도서", "의류", "잡화"
PRODUCTS = (
    (ELECTRONICS, 1_500_000, 10_000), (ELECTRONICS, 80_000, 10_000), (ELECTRONICS, 120_000, 10_000),
    (ELECTRONICS, 500_000, 10_000), (ELECTRONICS, 250_000, 10_000), (ELECTRONICS, 150_000, 10_000),
    (ELECTRONICS, 95_000, 10_000), (ELECTRONICS, 180_000, 0), (FURNITURE, 350_000, 10_000),
    (FURNITURE, 450_000, 10_000), (FURNITURE, 75_000, 2), (BOOKS, 45_000, 10_000), (BOOKS, 38_000, 10_000),
    (BOOKS, 42_000, 10_000), (BOOKS, 35_000, 10_000), (BOOKS, 40_000, 10_000), (CLOTHES, 25_000, 10_000),
    (CLOTHES, 55_000, 10_000), (CLOTHES, 12_000, 10_000), (SUNDRIES, 1_000, 10_000), (ELECTRONICS, 15_000_000, 100),
)  # fmt: skip
# name, rate, quantity, uses per user, (holder, uses); the windows are relative to the seeding
COUPONS = (
    ("WELCOME10", 10, 100, UNLIMITED, None), ("VIP20", 20, 50, 1, None), ("EARLYBIRD15", 15, 100, 1, (3, 1)),
    ("SOLDOUT", 25, 1, 1, (3, 0)), ("EXPIRED30", 30, 100, 1, None),
)  # fmt: skip
CARTS = {1: [[1, 1], [2, 2]], 2: [[3, 1]]}


class Shop(Orders):
    """Everything together."""

    def add_load_data(self):
        """What the server is free to choose, names and windows, is None: `learn` finds it out."""
        for first, last, balance in USER_RANGES:
            self.add_users(first, last, balance)
        for product_id, (category, price, stock) in enumerate(PRODUCTS, 1):
            self.products[product_id] = Product(product_id, None, price, stock, category)
        for coupon_id, (name, rate, quantity, uses_per_user, holder) in enumerate(COUPONS, 1):
            coupon = self.coupons[coupon_id] = Coupon(coupon_id, name, rate, quantity, 0, 0, uses_per_user)
            if holder:
                held = coupon.holders[holder[0]] = Held(1, 0)
                held.uses = holder[1]
        self.carts = {user: [list(line) for line in lines] for user, lines in CARTS.items()}

    # ---- routing ----

    def route(self, request, words):
        match request.method, *words:
            case "POST", "admin", "test", "clock":
                return 200, {"now": self.choose.moment("now")}
            case "POST", "admin", "users":
                return self.create_users(request.body)
            case "POST", "admin", "products":
                return self.create_product(request.body)
            case "PATCH", "admin", "products", product_id:
                return self.patch_product(int(product_id), request.body)
            case "POST", "admin", "coupons":
                return self.create_coupon(request.body)
            case "PATCH", "admin", "coupons", coupon_id:
                return self.patch_coupon(int(coupon_id), request.body)
            case "GET", "admin", "coupons":
                return self.list_coupons(request, True)
            case _, "users", user_id, *rest:
                return self.route_user(request, int(user_id), rest)
            case _, "products", *rest:
                return self.route_product(request, rest)
            case _, "cart", *rest:
                return self.route_cart(request, rest)
            case _, "orders", *rest:
                return self.route_order(request, rest)
            case _, "coupons", *rest:
                return self.route_coupon(request, rest)
        raise AssertionError(f"the model does not know {request}")

    def route_user(self, request, user_id, rest):
        match request.method, *rest:
            case ("GET",):
                return self.get_user(user_id)
            case "GET", "balance":
                return self.get_balance(user_id)
            case "POST", "balance", "charge":
                return self.charge(request, user_id)
            case "GET", "coupons":
                return self.list_held(request, user_id)
        raise AssertionError(f"the model does not know {request}")

    def route_product(self, request, rest):
        match rest:
            case []:
                return self.list_products(request)
            case ["top"]:
                return self.products_top()
            case ["ranking", "top"]:
                return self.ranking_top(request)
            case ["ranking", "product", product_id]:
                return self.ranking_product(request, int(product_id))
            case [product_id]:
                return self.get_product(int(product_id))
        raise AssertionError(f"the model does not know {request}")

    def route_cart(self, request, rest):
        match request.method:
            case "GET":
                return self.get_cart(int(request.query["userId"]))
            case "POST":
                return self.add_to_cart(request.body)
            case "PUT":
                return self.change_cart(request.body)
            case "DELETE":
                return self.remove_from_cart(request.body)
        raise AssertionError(f"the model does not know {request}")

    def route_order(self, request, rest):
        match request.method, *rest:
            case ("GET",):
                return self.list_orders(request)
            case ("POST",):
                return self.create_order(request)
            case "POST", "complete":
                return self.complete_order(request)
            case "GET", order_id:
                return self.get_order(int(order_id))
            case "POST", order_id, "payment":
                return self.pay_order(request, int(order_id))
            case "POST", order_id, "cancel":
                return self.cancel_order(request, int(order_id))
        raise AssertionError(f"the model does not know {request}")

    def route_coupon(self, request, rest):
        match request.method, *rest:
            case ("GET",):
                return self.list_coupons(request, False)
            case "GET", coupon_id:
                return self.get_coupon(int(coupon_id))
            case "POST", coupon_id, ("issue" | "reserve") as way:
                return self.take(int(coupon_id), request.body, way)
        raise AssertionError(f"the model does not know {request}")
