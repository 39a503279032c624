# SPDX-License-Identifier: Apache-2.0
"""Orders: creating, looking, dropping; every refusal, and which comes first."""

import datetime
import re
import zoneinfo

import pytest

from support.client import Request, storm
from support.orders import (
    CANCELLED, COMPLETED, LAPTOP, MICROPHONE, MONITOR_ARM, MOUSE, PENDING, RICH, STICKER, WORKSTATION, act, balance,
    cancel, complete, coupon_of, create, fresh, order_body, ordered, pay, status_of, stock, told,
)  # fmt: skip
from support.server import wait_for, when

NOBODY = 999999999
MAX = 2**63 - 1
ORDER = ["orderId", "userId", "orderNumber", "items", "subtotalAmount", "discountAmount", "totalAmount", "status",
         "createdAt"]  # fmt: skip
ITEM = ["productId", "productName", "quantity", "unitPrice", "subtotal"]


# ---- creating ----


def test_an_order(server):
    order = ordered(server, RICH, (MOUSE, 2), (LAPTOP, 1))
    assert list(order) == ORDER and [list(i) for i in order["items"]] == [ITEM, ITEM]
    assert [(i["productId"], i["quantity"], i["unitPrice"], i["subtotal"]) for i in order["items"]] == [
        (LAPTOP, 1, 1500000, 1500000), (MOUSE, 2, 80000, 160000)]  # fmt: skip
    assert (order["subtotalAmount"], order["discountAmount"], order["totalAmount"]) == (1660000, 0, 1660000)
    assert (order["userId"], order["status"]) == (RICH, PENDING)
    assert server.get(f"/api/orders/{order['orderId']}") == order
    assert (balance(server, RICH), stock(server, MOUSE)) == (100_000_000, 10000)  # nothing is taken


def test_the_number_names_the_day_and_is_unique(server):
    orders = [ordered(server, RICH, (STICKER, 1)) for _ in range(3)]
    for order in orders:
        made = datetime.datetime.fromisoformat(order["createdAt"])
        assert made.tzinfo and made.utcoffset() == datetime.timedelta(hours=9)
        assert re.fullmatch(r"ORD-\d{8}-\d{10}", order["orderNumber"])
        day = made.astimezone(zoneinfo.ZoneInfo("Asia/Seoul")).strftime("%Y%m%d")
        assert order["orderNumber"] == f"ORD-{day}-{order['orderId']:010d}"
    assert len({order["orderNumber"] for order in orders}) == 3


def test_lines_of_one_product_are_one(server):
    order = ordered(server, RICH, (MOUSE, 1), (LAPTOP, 2), (MOUSE, 3))
    assert [(i["productId"], i["quantity"]) for i in order["items"]] == [(LAPTOP, 2), (MOUSE, 4)]


def test_price_and_name_are_those_of_then(server):
    order = ordered(server, RICH, (STICKER, 2))
    server.patch(f"/api/admin/products/{STICKER}", {"price": 7, "name": "other"})
    assert server.get(f"/api/orders/{order['orderId']}") == order
    assert pay(server, order).json["paidAmount"] == 2000
    assert ordered(server, RICH, (STICKER, 2))["totalAmount"] == 14


@pytest.mark.parametrize("rate, price, discount", [(10, 999, 99), (33, 10, 3), (100, 7, 7), (0, 7, 0), (1, 99, 0)])
def test_discounts_are_rounded_down(server, rate, price, discount):
    coupon = server.make_coupon(10, discountRate=rate)
    assert server.take("issue", coupon, RICH).status == 200
    product = server.post("/api/admin/products", {"name": "x", "price": price, "stock": 5}, 201)["productId"]
    order = ordered(server, RICH, (product, 1), coupon=coupon)
    amounts = order["subtotalAmount"], order["discountAmount"], order["totalAmount"]
    assert amounts == (price, discount, price - discount)


def test_100_items_and_no_more(server):
    assert len(ordered(server, RICH, *((1 + i % 7, 1) for i in range(100)))["items"]) == 7
    for count in (0, 101, 1000):
        answer = create(server, RICH, *((1, 1) for _ in range(count)))
        assert (*told(answer), answer.json["member"]) == (400, "INVALID_INPUT", "items")


def test_the_order_of_checks(server):
    """Each line has one fault less than the one before; the first that is left decides."""
    worst = {"userId": NOBODY, "items": [], "couponId": 777, "idempotencyKey": fresh()}

    def ask(**members):
        worst.update(members)
        worst["idempotencyKey"] = fresh()
        first, second = server.call("POST", "/api/orders", worst), server.call("POST", "/api/orders/complete", worst)
        assert told(first) == told(second)
        return first.status, first.json["code"], first.error

    def items(*pairs):
        return {"items": [{"productId": p, "quantity": q} for p, q in pairs]}

    assert ask() == (404, "U001", "USER_NOT_FOUND")
    assert ask(userId=RICH) == (400, "COMMON002", "INVALID_INPUT")
    assert ask(**items((999, 0), (MICROPHONE, 1))) == (400, "O001", "INVALID_QUANTITY")
    assert ask(**items((999, 1), (MICROPHONE, 1))) == (404, "P001", "PRODUCT_NOT_FOUND")
    assert ask(**items((LAPTOP, 1), (MICROPHONE, 1))) == (409, "P002", "INSUFFICIENT_STOCK")
    assert ask(**items((LAPTOP, 1))) == (400, "C002", "INVALID_COUPON")
    assert create(server, RICH, (LAPTOP, 1)).status == 201


@pytest.mark.parametrize("quantity", [0, -1, -(2**63)])
def test_quantities_that_cannot_be(server, quantity):
    assert told(create(server, RICH, (LAPTOP, quantity))) == (400, "INVALID_QUANTITY")
    assert told(create(server, RICH, (LAPTOP, 5), (LAPTOP, quantity))) == (400, "INVALID_QUANTITY")


def test_more_than_there_is(server):
    assert told(create(server, RICH, (MONITOR_ARM, 3))) == (409, "INSUFFICIENT_STOCK")
    assert told(create(server, RICH, (MONITOR_ARM, 1), (MONITOR_ARM, 2))) == (409, "INSUFFICIENT_STOCK")
    assert create(server, RICH, (MONITOR_ARM, 2)).status == 201
    for quantity in (MAX, MAX // 2 + 1):  # the sum of two lines cannot even be counted
        assert told(create(server, RICH, (LAPTOP, quantity), (LAPTOP, quantity))) == (409, "INSUFFICIENT_STOCK")
        assert told(create(server, RICH, (999, quantity), (999, quantity))) == (404, "PRODUCT_NOT_FOUND")


def test_a_sum_that_overflows(server):
    dear = server.post("/api/admin/products", {"name": "x", "price": 10**12, "stock": 10**8}, 201)["productId"]
    most = MAX // 10**12
    assert ordered(server, RICH, (dear, most))["totalAmount"] == most * 10**12
    answer = create(server, RICH, (dear, most + 1))
    assert (*told(answer), answer.json["member"]) == (400, "INVALID_INPUT", "items")


@pytest.mark.parametrize("product", [0, -1, 999, MAX, -MAX - 1])
def test_no_such_product(server, product):
    assert told(create(server, RICH, (product, 1))) == (404, "PRODUCT_NOT_FOUND")


@pytest.mark.parametrize("user", [0, -1, NOBODY, MAX, -MAX - 1])
def test_no_such_user(server, user):
    assert told(create(server, user, (LAPTOP, 1))) == (404, "USER_NOT_FOUND")
    assert told(complete(server, user, (LAPTOP, 1))) == (404, "USER_NOT_FOUND")
    assert told(act(server, "payment", 1, user)) == (404, "USER_NOT_FOUND")
    assert told(act(server, "cancel", 1, user)) == (404, "USER_NOT_FOUND")
    assert server.get(f"/api/orders?userId={user}", 404)["code"] == "U001"


BAD_BODIES = [
    (b"", ""), (b"[]", ""), (b"{", ""), ({"items": []}, "userId"), ({"userId": 4}, "items"),
    ({"userId": "4", "items": []}, "userId"), ({"userId": 4, "items": {}}, "items"),
    ({"userId": 4, "items": [5]}, "items[0]"), ({"userId": 4, "items": [{"quantity": 1}]}, "items[0].productId"),
    ({"userId": 4, "items": [{"productId": 1}]}, "items[0].quantity"),
    ({"userId": 4, "items": [{"productId": 1, "quantity": 1.0}]}, "items[0].quantity"),
    ({"userId": 4, "items": [{"productId": 1, "quantity": 1}], "couponId": "x"}, "couponId"),
    ({"userId": 4, "items": [{"productId": 1, "quantity": 1}], "idempotencyKey": ""}, "idempotencyKey"),
    ({"userId": 4, "items": [{"productId": 1, "quantity": 1}], "idempotencyKey": "x" * 101}, "idempotencyKey"),
]  # fmt: skip


@pytest.mark.parametrize("path", ["/api/orders", "/api/orders/complete"])
@pytest.mark.parametrize("body, member", BAD_BODIES)
def test_bad_bodies(shared, path, body, member):
    answer = shared.call("POST", path, body)
    assert told(answer) == (400, "INVALID_INPUT")
    assert answer.json.get("member", "") == member


def test_the_key_is_needed_but_for_complete(server):
    body = order_body(RICH, [(STICKER, 1)])
    answer = server.call("POST", "/api/orders", body)
    assert (*told(answer), answer.json["member"]) == (400, "INVALID_INPUT", "idempotencyKey")
    for what in ("payment", "cancel"):
        answer = server.call("POST", f"/api/orders/1/{what}", {"userId": RICH})
        assert (*told(answer), answer.json["member"]) == (400, "INVALID_INPUT", "idempotencyKey")
    assert server.call("POST", "/api/orders", body, (("Idempotency-Key", fresh()),)).status == 201
    assert server.call("POST", "/api/orders/complete", body).status == 201
    assert server.call("POST", "/api/orders/complete", {**body, "idempotencyKey": None}).status == 201


# ---- coupons ----


def test_a_coupon_must_be_had(server):
    coupon = server.make_coupon(5)
    for other in (coupon, 777, 0, -1, MAX):
        assert told(create(server, RICH, (STICKER, 1), coupon=other)) == (400, "INVALID_COUPON")
    assert server.take("issue", coupon, RICH).status == 200
    held = coupon_of(server, RICH, coupon)["userCouponId"]
    if held != coupon:  # the coupon's id, never that of the user's own
        assert told(create(server, RICH, (STICKER, 1), coupon=held))[0] == 400
    assert ordered(server, RICH, (STICKER, 1), coupon=coupon)["discountAmount"] == 100
    body = {**order_body(RICH, [(STICKER, 1)], key=fresh()), "couponId": None}
    assert server.post("/api/orders", body, 201)["discountAmount"] == 0


def test_a_coupon_that_has_expired(server):
    coupon = server.make_coupon(5, endsAt=when(1))
    assert server.take("issue", coupon, RICH).status == 200
    order = ordered(server, RICH, (STICKER, 1), coupon=coupon)
    server.post("/api/admin/test/clock", {"advanceSeconds": 2 * 86400})
    assert told(create(server, RICH, (STICKER, 1), coupon=coupon)) == (400, "EXPIRED_COUPON")
    assert told(pay(server, order)) == (400, "EXPIRED_COUPON")
    assert coupon_of(server, RICH, coupon)["status"] == "EXPIRED"


def test_a_reserved_coupon_is_waited_for(serve):
    """Granted, and a row only later: the order is made with it all the same."""
    server = serve(ledger__reserve_linger="1900ms")
    coupon = server.make_coupon(100)
    for user in range(4, 24):
        assert server.take("reserve", coupon, user).status == 200
        order = ordered(server, user, (STICKER, 1), coupon=coupon)
        assert order["discountAmount"] == 100
        if user == 4:
            assert pay(server, order).status == 200


def test_a_reserved_coupon_that_cannot_be_stored(serve):
    """At the deadline nothing is done, and nothing definite is said."""
    server = serve(request__deadline="300ms", ledger__reserve_linger="0ms")
    coupon = server.make_coupon(100)
    server.fault("ledger", True)
    assert server.take("reserve", coupon, RICH).status in (200, 503)
    assert create(server, RICH, (STICKER, 1), coupon=coupon).status == 503
    server.fault("ledger", False)


# ---- looking ----


def test_no_such_order(shared):
    for order in (0, -1, 10**12, MAX):
        assert shared.get(f"/api/orders/{order}", 404)["code"] == "O002"
        for what in ("payment", "cancel"):
            assert told(act(shared, what, order, RICH)) == (404, "ORDER_NOT_FOUND")
    for order in ("x", "1.5", "", str(MAX + 1)):
        assert shared.call("GET", f"/api/orders/{order}").status in (400, 404)
    assert shared.call("GET", "/api/orders/complete").status == 405
    assert shared.call("DELETE", "/api/orders/1").status == 405


def test_lists(server):
    orders = [ordered(server, RICH, (STICKER, i)) for i in range(1, 8)]
    for order in orders[::3]:
        assert pay(server, order).status == 200
    assert cancel(server, orders[1]).status == 200
    ids = [order["orderId"] for order in orders]

    def page(query):
        return server.get(f"/api/orders?userId={RICH}{query}")

    everything = page("")
    assert list(everything) == ["orders", "totalCount", "nextCursor"]
    assert [o["orderId"] for o in everything["orders"]] == ids[::-1]
    assert (everything["totalCount"], everything["nextCursor"]) == (7, None)
    for status, expected in ((COMPLETED, ids[::3]), (CANCELLED, ids[1:2]), (PENDING, [ids[2], ids[4], ids[5]])):
        for word in (status, status.lower(), status.title()):
            found = page(f"&status={word}")
            assert [o["orderId"] for o in found["orders"]] == expected[::-1]
            assert found["totalCount"] == len(expected)
            assert {o["status"] for o in found["orders"]} == {status}
    assert server.get("/api/orders?userId=5") == {"orders": [], "totalCount": 0, "nextCursor": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages(server, limit):
    ids = [ordered(server, RICH, (STICKER, 1))["orderId"] for _ in range(7)]
    seen, cursor = [], ""
    while cursor is not None:
        page = server.get(f"/api/orders?userId={RICH}&limit={limit}{cursor and '&cursor=' + cursor}")
        assert page["totalCount"] == 7
        assert 1 <= len(page["orders"]) <= limit
        seen += [order["orderId"] for order in page["orders"]]
        cursor = page["nextCursor"]
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    "query, member",
    [("", "userId"), ("userId=x", "userId"), ("userId=4&status=PAID", "status"), ("userId=4&status=", "status"),
     ("userId=4&limit=0", "limit"), ("userId=4&limit=101", "limit"), ("userId=4&cursor=x", "cursor"),
     ("userId=4&cursor=", "cursor")],
)  # fmt: skip
def test_bad_queries(shared, query, member):
    answer = shared.call("GET", f"/api/orders?{query}")
    assert (*told(answer), answer.json["member"]) == (400, "INVALID_INPUT", member)


# ---- owners ----


def test_an_order_is_its_owners(server):
    order = ordered(server, RICH, (STICKER, 1))
    for what in ("payment", "cancel"):
        answer = act(server, what, order["orderId"], 5)
        assert (answer.status, answer.json["code"], answer.error) == (403, "AUTH002", "FORBIDDEN")
    assert status_of(server, order) == PENDING
    assert pay(server, order).status == 200
    assert told(act(server, "cancel", order["orderId"], 5)) == (403, "FORBIDDEN")


# ---- dropping ----


def test_a_pending_order_is_dropped(server):
    order = ordered(server, RICH, (STICKER, 1))
    dropped = cancel(server, order)
    assert dropped.status == 200
    assert dropped.json == {**order, "status": CANCELLED} == server.get(f"/api/orders/{order['orderId']}")
    assert told(pay(server, order)) == (400, "INVALID_ORDER_STATUS")
    assert told(cancel(server, order)) == (400, "INVALID_ORDER_STATUS")


# ---- idempotency ----


def test_three_at_once_are_one_order(server):
    for i in range(20):
        key = fresh()
        body = order_body(RICH, [(STICKER, 1 + i)], key=key)
        asked = storm(server, [Request("POST", "/api/orders", body) for _ in range(3)], connections=3)
        assert {(r.answer.status, r.answer.body) for r in asked} == {(201, asked[0].answer.body)}
    assert server.get(f"/api/orders?userId={RICH}")["totalCount"] == 20


@pytest.mark.parametrize("threads", [1, 2])
def test_many_keys_of_many_users_at_once(serve, threads):
    server = serve(threads=threads)
    bodies = [order_body(4 + i % 50, [(STICKER, 1), (MOUSE, 1)], key=f"k{i // 50}") for i in range(1000)]
    asked = storm(server, [Request("POST", "/api/orders", body) for body in bodies * 2], connections=64)
    assert {r.answer.status for r in asked} == {201}
    assert len({r.answer.json["orderId"] for r in asked}) == 1000
    assert sum(server.get(f"/api/orders?userId={u}&limit=1")["totalCount"] for u in range(4, 54)) == 1000


def test_replays_say_what_was_said(server):
    key = fresh()
    first = create(server, RICH, (STICKER, 3), key=key)
    order = first.json
    assert pay(server, order).status == 200
    again = create(server, RICH, (STICKER, 3), key=key)
    assert (again.status, again.body) == (201, first.body)
    dropped_key = fresh()
    dropped = cancel(server, order, dropped_key)
    assert (dropped.status, cancel(server, order, dropped_key).body) == (200, dropped.body)
    assert create(server, RICH, (STICKER, 3), key=key).body == first.body
    server.stop()
    server.start()
    assert create(server, RICH, (STICKER, 3), key=key).body == first.body


def test_a_key_with_other_values(server):
    key = fresh()
    order = ordered(server, RICH, (STICKER, 3), key=key)
    assert create(server, RICH, (STICKER, 3), key=key).status == 201
    null = {**order_body(RICH, [(STICKER, 3)], key=key), "couponId": None, "more": 1}
    assert server.call("POST", "/api/orders", null).status == 201  # no coupon is no coupon
    for items, coupon in ([(STICKER, 4)], None), ([(MOUSE, 3)], None), ([(STICKER, 3)], 1), ([(STICKER, 3)] * 2, None):
        answer = create(server, RICH, *items, coupon=coupon, key=key)
        assert (answer.status, answer.json["code"], answer.error) == (422, "PAY004", "IDEMPOTENCY_KEY_REUSED")
    assert told(create(server, RICH, (STICKER, 0), key=key)) == (422, "IDEMPOTENCY_KEY_REUSED")
    other = ordered(server, RICH, (STICKER, 3))
    assert pay(server, order, key).status == 200  # another operation, the same key
    assert told(pay(server, other, key)) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert ordered(server, 5, (STICKER, 3), key=key)["userId"] == 5  # a key is its user's
    assert complete(server, RICH, (STICKER, 3), key=key).status == 201


def test_a_refusal_does_not_use_the_key_up(server):
    key = fresh()
    assert told(create(server, RICH, (MICROPHONE, 1), key=key)) == (409, "INSUFFICIENT_STOCK")
    assert create(server, RICH, (STICKER, 1), key=key).status == 201
    poor = 1000
    order = ordered(server, poor, (STICKER, 11))
    key = fresh()
    assert told(pay(server, order, key)) == (409, "INSUFFICIENT_BALANCE")
    server.post(f"/api/users/{poor}/balance/charge", {"amount": 1000, "idempotencyKey": fresh()})
    assert pay(server, order, key).json["remainingBalance"] == 0


def test_a_day_later_the_answer_is_the_same(server):
    """The stored bytes are gone; what is answered then is made of the row of the effect."""
    keys = [fresh() for _ in range(4)]
    made = create(server, RICH, (STICKER, 3), (MOUSE, 1), key=keys[0])
    paid = pay(server, made.json, keys[1])
    both = complete(server, RICH, (STICKER, 2), key=keys[2])
    dropped = cancel(server, ordered(server, RICH, (STICKER, 1), key="dropped"), keys[3])
    server.post("/api/admin/test/clock", {"advanceSeconds": 25 * 3600})
    left = "SELECT count(*) FROM order_keys WHERE answer IS NOT NULL"
    wait_for(lambda: server.sql(left)[0][0] == 0, 30, 0.2, "bytes are forgotten")
    assert create(server, RICH, (STICKER, 3), (MOUSE, 1), key=keys[0]).body == made.body
    assert pay(server, made.json, keys[1]).body == paid.body
    assert complete(server, RICH, (STICKER, 2), key=keys[2]).body == both.body
    assert cancel(server, dropped.json, keys[3]).body == dropped.body
    assert told(create(server, RICH, (STICKER, 4), key=keys[0])) == (422, "IDEMPOTENCY_KEY_REUSED")


# ---- the load-test data ----


def test_past_orders(shared):
    counts = {user: shared.get(f"/api/orders?userId={user}") for user in (1, 2, 3)}
    assert {user: page["totalCount"] for user, page in counts.items()} == {1: 10, 2: 5, 3: 3}
    orders = [order for page in counts.values() for order in page["orders"]]
    assert len([o for o in orders if o["status"] == COMPLETED]) == 12
    assert {o["orderId"] for o in orders} == set(range(1, 19))
    assert all(1 <= len(o["items"]) <= 4 for o in orders)
    assert [balance(shared, user) for user in (1, 2, 3)] == [20_000_000_000, 500_000, 100_000]
    assert stock(shared, WORKSTATION) == 100 and stock(shared, LAPTOP) == 10000
    today = datetime.datetime.now(zoneinfo.ZoneInfo("Asia/Seoul")).date()
    days = {(today - datetime.datetime.fromisoformat(o["createdAt"]).date()).days for o in orders}
    assert days == {1, 2}
