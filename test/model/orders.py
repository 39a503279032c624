# SPDX-License-Identifier: Apache-2.0
"""Orders, payments, cancellations."""

import re

from model.base import INT64_MAX, Refused, invalid
from model.ranking import Ranking

ITEMS_MAX = 100
STATUSES = ("PENDING", "COMPLETED", "CANCELLED")


class Line:
    """Name and price are those of the moment of the order."""

    def __init__(self, product_id, name, quantity, price):
        self.product_id, self.name, self.quantity, self.price = product_id, name, quantity, price

    def shown(self):
        return {
            "productId": self.product_id,
            "productName": self.name,
            "quantity": self.quantity,
            "unitPrice": self.price,
            "subtotal": self.price * self.quantity,
        }


class Order:
    def __init__(self, user_id, lines, subtotal, discount, coupon_id):
        self.user_id, self.lines, self.coupon_id = user_id, lines, coupon_id
        self.subtotal, self.discount, self.total = subtotal, discount, subtotal - discount
        self.order_id = self.number = self.created = self.paid_at = None
        self.status = "PENDING"

    def shown(self):
        return {
            "orderId": self.order_id,
            "userId": self.user_id,
            "orderNumber": self.number,
            "items": [line.shown() for line in self.lines],
            "subtotalAmount": self.subtotal,
            "discountAmount": self.discount,
            "totalAmount": self.total,
            "status": self.status,
            "createdAt": self.created,
        }


class Orders(Ranking):
    has_gateway = True  # payment.gateway is mock; else none

    def __init__(self, time_zone):
        super().__init__(time_zone)
        self.orders, self.orders_of = {}, {}  # by id; and by user, the oldest first
        self.paid_before = set()  # of the load-test data: without effect on balance and stock

    # ---- looking ----

    def order(self, order_id):
        if order_id not in self.orders:
            raise Refused("ORDER_NOT_FOUND")
        return self.orders[order_id]

    def get_order(self, order_id):
        return 200, self.order(order_id).shown()

    def list_orders(self, request):
        user_id, status = int(request.query["userId"]), request.query.get("status")
        if status is not None and status.upper() not in STATUSES:
            raise invalid("status")
        self.user(user_id)
        mine = [o for o in self.orders_of.get(user_id, []) if status is None or o.status == status.upper()]
        mine.sort(key=lambda order: -order.order_id)
        return self.page(request, f"orders {user_id} {status}", mine, Order.shown)

    def add_order(self, order):
        self.orders[order.order_id] = order
        self.orders_of.setdefault(order.user_id, []).append(order)

    # ---- creating ----

    def create_order(self, request):
        body = request.body
        user_id = self.number(body, "userId")

        def effect():
            order = self.make_order(body)
            self.name_order(order)
            return 201, order.shown()

        return self.once(request, user_id, "order", self.named(body), effect)

    def named(self, body):
        """What an order's key stands for."""
        return [body["userId"], [[i["productId"], i["quantity"]] for i in body["items"]], body.get("couponId")]

    def make_order(self, body):
        """Checks everything, takes nothing."""
        user_id, items = body["userId"], body["items"]
        self.user(user_id)
        if not 1 <= len(items) <= ITEMS_MAX:
            raise invalid("items")
        if any(item["quantity"] < 1 for item in items):
            raise Refused("INVALID_QUANTITY")
        wanted = {}
        for item in items:
            self.product(item["productId"])
            wanted[item["productId"]] = wanted.get(item["productId"], 0) + item["quantity"]
        lines = [Line(i, self.products[i].name, wanted[i], self.products[i].price) for i in sorted(wanted)]
        self.check_stock(lines)
        rate = 0
        if body.get("couponId") is not None:
            rate = self.usable(body["couponId"], user_id)[0].rate
        subtotal = sum(line.price * line.quantity for line in lines)
        if subtotal > INT64_MAX:
            raise invalid("items")
        return Order(user_id, lines, subtotal, self.discount(subtotal, rate), body.get("couponId"))

    def check_stock(self, lines):
        if any(line.quantity > self.products[line.product_id].stock for line in lines):
            raise Refused("INSUFFICIENT_STOCK")

    def discount(self, subtotal, rate):
        return subtotal * rate // 100

    def name_order(self, order, *where):
        """Id, number and time are the server's."""
        order.order_id = self.choose.number(*where, "orderId")
        order.number = self.choose.text(*where, "orderNumber")
        order.created = self.choose.moment(*where, "createdAt")
        form = rf"ORD-{self.day(order.created):%Y%m%d}-\d{{10,}}"
        if order.order_id in self.orders or not re.fullmatch(form, order.number or ""):
            order.number = form
        self.add_order(order)

    def order_of(self, user_id, order_id):
        self.user(user_id)
        order = self.order(order_id)
        if order.user_id != user_id:
            raise Refused("FORBIDDEN")
        return order

    # ---- paying ----

    def pay_order(self, request, order_id):
        user_id = self.number(request.body, "userId")

        def effect():
            order = self.order_of(user_id, order_id)
            if order.status != "PENDING":
                raise Refused("INVALID_ORDER_STATUS")
            self.check_payment(order, request)
            return 200, self.pay(order)

        return self.once(request, user_id, "payment", [user_id, order_id], effect)

    def check_payment(self, order, request):
        if order.coupon_id is not None:
            self.usable(order.coupon_id, order.user_id)
        self.check_stock(order.lines)
        if self.users[order.user_id].balance < order.total:
            raise Refused("INSUFFICIENT_BALANCE")
        key = self.key_of(request, False)
        if self.asks_gateway(order) and self.mock_refuses(key or ""):
            raise Refused("PAYMENT_FAILED")

    def asks_gateway(self, order):
        return self.has_gateway and order.total > 0

    def mock_refuses(self, key):
        return "fail" in key.lower()

    def pay(self, order, *where):
        user = self.users[order.user_id]
        order.paid_at = self.choose.moment(*where, "paidAt")
        order.status = "COMPLETED"
        user.balance -= order.total
        for line in order.lines:
            self.products[line.product_id].stock -= line.quantity
        if order.coupon_id is not None:
            self.use_coupon(self.coupons[order.coupon_id].holders[order.user_id], order.paid_at)
        self.count_sale(order)
        return {
            "orderId": order.order_id,
            "paidAmount": order.total,
            "remainingBalance": user.balance,
            "status": "SUCCESS",
            "dataTransmission": self.transaction(*where) if self.asks_gateway(order) else None,
            "paidAt": order.paid_at,
        }

    def transaction(self, *where):
        text = self.choose.text(*where, "dataTransmission")
        return text if re.fullmatch("PG_APPROVED: .+", text or "") else "PG_APPROVED: <transaction>"

    # ---- both in one ----

    def complete_order(self, request):
        body = request.body
        user_id = self.number(body, "userId")

        def effect():
            order = self.make_order(body)
            self.check_payment(order, request)
            self.name_order(order, "order")
            payment = self.pay(order, "payment")
            return 201, {"order": order.shown(), "payment": payment}

        return self.once(request, user_id, "complete", self.named(body), effect, required=False)

    # ---- cancelling ----

    def cancel_order(self, request, order_id):
        user_id = self.number(request.body, "userId")

        def effect():
            order = self.order_of(user_id, order_id)
            if order.status == "CANCELLED":
                raise Refused("INVALID_ORDER_STATUS")
            if order.status == "COMPLETED":
                self.refund(order)
            order.status = "CANCELLED"
            return 200, order.shown()

        return self.once(request, user_id, "cancel", [user_id, order_id], effect)

    def refund(self, order):
        self.users[order.user_id].balance += order.total
        for line in order.lines:
            self.give_back_stock(line)
        if order.coupon_id is not None:
            self.give_back_coupon(self.coupons[order.coupon_id].holders[order.user_id])
        self.count_refund(order)

    def give_back_stock(self, line):
        self.products[line.product_id].stock += line.quantity
