# SPDX-License-Identifier: Apache-2.0
"""Orders and payments, in the words of a test."""

import itertools

from support.client import Request

numbers = itertools.count(1)

PENDING, COMPLETED, CANCELLED = "PENDING", "COMPLETED", "CANCELLED"
LAPTOP, MOUSE, MICROPHONE, MONITOR_ARM, STICKER, WORKSTATION = 1, 2, 8, 11, 20, 21
STICKER_PRICE, MOUSE_PRICE = 1000, 80000
RICH = 4  # 100,000,000 won


def fresh(name="key"):
    """A key that no other test has."""
    return f"{name}-{next(numbers)}"


def order_body(user, items, coupon=None, key=None):
    body = {"userId": user, "items": [{"productId": p, "quantity": q} for p, q in items]}
    if coupon is not None:
        body["couponId"] = coupon
    if key is not None:
        body["idempotencyKey"] = key
    return body


def create(server, user, *items, coupon=None, key=None):
    """The answer to an order of (product, quantity) pairs."""
    return server.call("POST", "/api/orders", order_body(user, items, coupon, key or fresh("order")))


def complete(server, user, *items, coupon=None, key=None):
    return server.call("POST", "/api/orders/complete", order_body(user, items, coupon, key))


def ordered(server, user, *items, **more):
    """The order, which must be made."""
    answer = create(server, user, *items, **more)
    assert answer.status == 201, answer
    return answer.json


def act(server, what, order_id, user, key=None):
    body = {"userId": user, "idempotencyKey": key or fresh(what)}
    return server.call("POST", f"/api/orders/{order_id}/{what}", body)


def pay(server, order, key=None):
    return act(server, "payment", order["orderId"], order["userId"], key)


def cancel(server, order, key=None):
    return act(server, "cancel", order["orderId"], order["userId"], key)


def pay_request(order, key):
    path = f"/api/orders/{order['orderId']}/payment"
    return Request("POST", path, {"userId": order["userId"], "idempotencyKey": key}, user=order["userId"])


def cancel_request(order, key):
    path = f"/api/orders/{order['orderId']}/cancel"
    return Request("POST", path, {"userId": order["userId"], "idempotencyKey": key}, user=order["userId"])


def told(answer):
    """(status, error) of a refusal."""
    assert answer.status >= 400, answer
    return answer.status, answer.error


def status_of(server, order):
    return server.get(f"/api/orders/{order['orderId']}")["status"]


def balance(server, user):
    return server.get(f"/api/users/{user}/balance")["balance"]


def stock(server, product):
    return server.sql("SELECT stock FROM products WHERE product_id = ?", product)[0][0]


def held(server):
    """What open attempts hold: (won, units); and how many are open."""
    (won,) = server.sql("SELECT coalesce(sum(held), 0) FROM users")[0]
    (units,) = server.sql("SELECT coalesce(sum(held), 0) FROM products")[0]
    (attempts,) = server.sql("SELECT count(*) FROM attempts WHERE state = 0")[0]
    return won, units, attempts


def coupon_of(server, user, coupon):
    """A user's coupon as their list shows it, or None."""
    listed = server.get(f"/api/users/{user}/coupons")["coupons"]
    return next((c for c in listed if c["couponId"] == coupon), None)

