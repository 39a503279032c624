# SPDX-License-Identifier: Apache-2.0
"""Payments: money, stock and coupon move once, whatever the gateway, the clients and the server do."""

import re
import threading

import pytest

from support.client import Caller, Request, encode, storm
from support.gateway import Gateway
from support.orders import (
    CANCELLED, COMPLETED, LAPTOP, MICROPHONE, MONITOR_ARM, MOUSE, PENDING, RICH, STICKER, act, balance, cancel,
    cancel_request, complete, coupon_of, create, fresh, held, order_body, ordered, pay, pay_request, status_of, stock,
    told,
)  # fmt: skip
from support.program import KEY, run
from support.server import Server, wait_for
from support.tokens import bearer, claims, token

NOBODY = 999999999
PAYMENT = ["orderId", "paidAmount", "remainingBalance", "status", "dataTransmission", "paidAt"]
NOTHING_HELD = (0, 0, 0)
RICH_WON = 100_000_000


@pytest.fixture
def gateway():
    with Gateway() as one:
        yield one


@pytest.fixture
def paying(serve, gateway, tmp_path):
    """Starts servers whose money a gateway takes that can be told to behave badly."""

    def start(**options):
        options = {"payment__http_timeout": "1500ms", "payment__settle_after": "500ms", **options}
        return serve(**gateway.settings(tmp_path), **options)

    return start


def paid_orders(server):
    """{order id: won} as the store has it, without those of the load-test data."""
    return dict(server.sql("SELECT order_id, subtotal - discount FROM orders WHERE status = 1 AND order_id > 18"))


def settled(server, gateway, seconds=20):
    """Nothing is held any more; the gateway's books are the shop's. (Requests that hang stay so.)"""
    wait_for(lambda: held(server) == NOTHING_HELD, seconds, 0.05, "everything is settled")
    gateway.check(paid_orders(server))


def metric(server, name):
    text = server.call("GET", "/metrics").body.decode()
    return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))


# ---- paying ----


def test_a_payment(server):
    order = ordered(server, RICH, (MOUSE, 2), (LAPTOP, 1))
    answer = pay(server, order)
    body = answer.json
    assert (answer.status, list(body)) == (200, PAYMENT)
    assert (body["orderId"], body["paidAmount"], body["status"]) == (order["orderId"], 1660000, "SUCCESS")
    assert body["remainingBalance"] == RICH_WON - 1660000 == balance(server, RICH)
    assert body["dataTransmission"].startswith("PG_APPROVED: ")
    assert (stock(server, MOUSE), stock(server, LAPTOP)) == (9998, 9999)
    assert status_of(server, order) == COMPLETED
    assert held(server) == NOTHING_HELD


def test_without_a_gateway(serve):
    server = serve(payment__gateway="none")
    body = pay(server, ordered(server, RICH, (MOUSE, 2))).json
    assert (body["dataTransmission"], body["remainingBalance"]) == (None, RICH_WON - 160000)
    both = complete(server, RICH, (MOUSE, 1), key="it may say fail")
    assert (both.status, both.json["payment"]["dataTransmission"]) == (201, None)
    assert cancel(server, both.json["order"]).status == 200
    assert balance(server, RICH) == RICH_WON - 160000


def test_a_total_of_nothing(server):
    """Is paid without touching the balance, and without the gateway, whatever the key says."""
    coupon = server.make_coupon(5, discountRate=100)
    assert server.take("issue", coupon, 1000).status == 200
    order = ordered(server, 1000, (LAPTOP, 3), coupon=coupon)
    body = pay(server, order, fresh("fail")).json
    assert (body["paidAmount"], body["remainingBalance"], body["dataTransmission"]) == (0, 10000, None)
    assert stock(server, LAPTOP) == 9997
    assert cancel(server, order, fresh("fail")).json["status"] == CANCELLED
    assert (stock(server, LAPTOP), balance(server, 1000)) == (10000, 10000)


def test_the_order_of_checks(server):
    mine = ordered(server, 1000, (MONITOR_ARM, 2))
    coupon = server.make_coupon(5)
    for user in (1000, RICH):
        assert server.take("issue", coupon, user).status == 200
    with_coupon = ordered(server, 1000, (MONITOR_ARM, 2), coupon=coupon)
    assert told(act(server, "payment", 10**6, NOBODY)) == (404, "USER_NOT_FOUND")
    assert told(act(server, "payment", 10**6, 1001)) == (404, "ORDER_NOT_FOUND")
    assert told(act(server, "payment", mine["orderId"], 1001)) == (403, "FORBIDDEN")
    # coupon, stock and balance do not suffice: each in turn is put right
    spent = ordered(server, 1000, (STICKER, 1), coupon=coupon)
    assert pay(server, spent).status == 200
    gone = ordered(server, RICH, (MONITOR_ARM, 1))
    assert pay(server, gone).status == 200
    assert told(pay(server, with_coupon, "fail")) == (400, "INVALID_COUPON")
    assert cancel(server, spent).status == 200
    assert told(pay(server, with_coupon, "fail")) == (409, "INSUFFICIENT_STOCK")
    assert cancel(server, gone).status == 200
    assert told(pay(server, with_coupon, "fail")) == (409, "INSUFFICIENT_BALANCE")
    server.post("/api/users/1000/balance/charge", {"amount": 10**6, "idempotencyKey": fresh()})
    assert told(pay(server, with_coupon, "fail")) == (402, "PAYMENT_FAILED")
    assert pay(server, with_coupon).status == 200
    assert told(pay(server, with_coupon)) == (400, "INVALID_ORDER_STATUS")
    assert told(act(server, "payment", with_coupon["orderId"], 1001)) == (403, "FORBIDDEN")
    assert held(server) == NOTHING_HELD


@pytest.mark.parametrize("key", ["fail", "xFAILx", "a-Fail-ure"])
def test_the_mock_refuses(server, key):
    order = ordered(server, RICH, (MONITOR_ARM, 2))
    answer = pay(server, order, key)
    assert (answer.status, answer.json["code"], answer.error) == (402, "PAY002", "PAYMENT_FAILED")
    assert answer.json["instance"] == f"/api/orders/{order['orderId']}/payment"
    assert answer.headers["content-type"] == "application/problem+json"
    assert (balance(server, RICH), stock(server, MONITOR_ARM), held(server)) == (RICH_WON, 2, NOTHING_HELD)
    assert status_of(server, order) == PENDING
    assert pay(server, order, key).body == answer.body  # a refusal of the gateway is kept
    assert pay(server, order).status == 200
    assert pay(server, order, key).body == answer.body


def test_a_replay_is_the_same_bytes(serve):
    server = serve()
    order, key = ordered(server, RICH, (MOUSE, 1)), fresh()
    first = pay(server, order, key)
    assert complete(server, RICH, (MOUSE, 1)).status == 201  # the balance moves on
    assert (pay(server, order, key).status, pay(server, order, key).body) == (200, first.body)
    assert told(pay(server, order)) == (400, "INVALID_ORDER_STATUS")
    server.kill9()
    server.start()
    assert pay(server, order, key).body == first.body


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("latency", ["0ms", "30ms"])
def test_one_key_20_times_at_once(serve, threads, latency):
    server = serve(threads=threads, payment__mock_latency=latency)
    for i in range(5):
        order = ordered(server, RICH, (MOUSE, 1))
        requests = [pay_request(order, f"key-{i}") for _ in range(20)]
        asked = storm(server, requests, connections=20)
        assert {(r.answer.status, r.answer.body) for r in asked} == {(200, asked[0].answer.body)}
    assert (balance(server, RICH), stock(server, MOUSE)) == (RICH_WON - 5 * 80000, 9995)
    assert held(server) == NOTHING_HELD


@pytest.mark.parametrize("threads", [1, 2])
def test_two_keys_at_once_are_one_payment(paying, gateway, threads):
    """The other one waits, and then hears that it was done; the gateway is asked once."""
    server = paying(threads=threads)
    gateway.tell("slow", seconds=0.1)
    for i in range(5):
        order = ordered(server, RICH, (MOUSE, 1))
        asked = storm(server, [pay_request(order, f"key-{i}-{j % 2}") for j in range(8)], connections=8)
        good = {r.answer.body for r in asked if r.answer.status == 200}
        assert len(good) == 1
        assert {told(r.answer) for r in asked if r.answer.status != 200} == {(400, "INVALID_ORDER_STATUS")}
    assert gateway.requests == {"charge": 5}
    settled(server, gateway)
    assert (balance(server, RICH), stock(server, MOUSE)) == (RICH_WON - 5 * 80000, 9995)


def test_another_key_pays_when_the_first_was_refused(paying, gateway):
    server = paying()
    order = ordered(server, RICH, (MOUSE, 1))
    gateway.tell("refuse", times=1)
    asked = storm(server, [pay_request(order, f"key-{j}") for j in range(2)], connections=2)
    assert sorted(r.answer.status for r in asked) == [200, 402]
    assert status_of(server, order) == COMPLETED
    settled(server, gateway)


def test_two_who_wait_too_long(paying, gateway):
    """At its deadline the other key, and the cancellation, hear PAY003; the first key goes on."""
    server = paying(request__deadline="400ms", payment__http_timeout="3s", payment__settle_after="10s")
    order = ordered(server, RICH, (MOUSE, 1))
    gateway.tell("slow", times=1, seconds=1.0)
    requests = [pay_request(order, "a"), pay_request(order, "b"), cancel_request(order, "c")]
    asked = storm(server, requests, connections=3)
    answers = sorted(told(r.answer) for r in asked)
    # whoever came first waits for the gateway, and does not know; a cancellation may have come first
    if (400, "INVALID_ORDER_STATUS") not in answers:
        assert answers == [(409, "DUPLICATE_REQUEST"), (409, "DUPLICATE_REQUEST"), (503, "STORE_UNAVAILABLE")]
        wait_for(lambda: status_of(server, order) == COMPLETED)
        assert {pay(server, order, key).status for key in ("a", "b")} == {200, 400}
    settled(server, gateway)


def test_the_same_key_after_an_unknown_outcome(paying, gateway):
    server = paying(request__deadline="300ms", payment__http_timeout="2s", payment__settle_after="10s")
    order = ordered(server, RICH, (MOUSE, 1))
    gateway.tell("slow", times=1, seconds=1.5)
    assert told(pay(server, order, "a")) == (503, "STORE_UNAVAILABLE")
    assert told(pay(server, order, "a")) == (409, "DUPLICATE_REQUEST")
    assert held(server) == (80000, 1, 1)
    assert (balance(server, RICH), stock(server, MOUSE), status_of(server, order)) == (RICH_WON - 80000, 9999, PENDING)
    wait_for(lambda: pay(server, order, "a").status == 200)
    settled(server, gateway)
    assert gateway.requests == {"charge": 1}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("gateway_option", ["mock", "none"])
def test_200_buyers_of_the_last_two(serve, threads, gateway_option):
    server = serve(threads=threads, payment__gateway=gateway_option)
    orders = [ordered(server, user, (MONITOR_ARM, 1)) for user in range(4, 154)]
    orders += [ordered(server, user, (MONITOR_ARM, 1)) for user in range(4, 54)]
    asked = storm(server, [pay_request(order, fresh()) for order in orders], connections=64)
    assert sorted(r.answer.status for r in asked) == [200] * 2 + [409] * 198
    assert {told(r.answer) for r in asked if r.answer.status != 200} == {(409, "INSUFFICIENT_STOCK")}
    assert (stock(server, MONITOR_ARM), held(server)) == (0, NOTHING_HELD)
    assert len(paid_orders(server)) == 2


@pytest.mark.parametrize("gateway_option", ["mock", "none"])
def test_one_wallet_is_not_spent_twice(serve, gateway_option):
    """100 orders at once, the money is for ten of them."""
    server = serve(threads=2, payment__gateway=gateway_option)
    orders = [ordered(server, 1000, (STICKER, 1)) for _ in range(100)]
    asked = storm(server, [pay_request(order, fresh()) for order in orders], connections=50)
    assert sorted(r.answer.status for r in asked) == [200] * 10 + [409] * 90
    assert {r.answer.error for r in asked if r.answer.status != 200} == {"INSUFFICIENT_BALANCE"}
    balances = sorted(r.answer.json["remainingBalance"] for r in asked if r.answer.status == 200)
    if gateway_option == "none":  # with one, what other payments hold is no longer in the balance
        assert balances == list(range(0, 10000, 1000))
    assert (balance(server, 1000), held(server)) == (0, NOTHING_HELD)


# ---- order and payment in one ----


def test_complete(server):
    answer = complete(server, RICH, (MOUSE, 1), (LAPTOP, 1), key="both")
    body = answer.json
    assert (answer.status, list(body), list(body["payment"])) == (201, ["order", "payment"], PAYMENT)
    assert body["order"]["status"] == COMPLETED
    assert body["payment"]["orderId"] == body["order"]["orderId"]
    assert body["payment"]["paidAmount"] == body["order"]["totalAmount"] == 1580000
    assert server.get(f"/api/orders/{body['order']['orderId']}") == body["order"]
    again = complete(server, RICH, (MOUSE, 1), (LAPTOP, 1), key="both")
    assert (again.status, again.body) == (201, answer.body)
    assert balance(server, RICH) == RICH_WON - 1580000


def test_complete_without_a_key_is_done_each_time(server):
    ids = {complete(server, RICH, (STICKER, 1)).json["order"]["orderId"] for _ in range(3)}
    assert len(ids) == 3 and balance(server, RICH) == RICH_WON - 3000


def test_complete_that_is_refused_leaves_no_order(server):
    answer = complete(server, RICH, (MONITOR_ARM, 2), key="failing")
    assert told(answer) == (402, "PAYMENT_FAILED") and answer.json["instance"] == "/api/orders/complete"
    assert complete(server, RICH, (MONITOR_ARM, 2), key="failing").body == answer.body
    assert told(complete(server, 1000, (LAPTOP, 1))) == (409, "INSUFFICIENT_BALANCE")
    assert told(complete(server, RICH, (MICROPHONE, 1))) == (409, "INSUFFICIENT_STOCK")
    for user in (RICH, 1000):
        assert server.get(f"/api/orders?userId={user}") == {"orders": [], "totalCount": 0, "nextCursor": None}
    assert (balance(server, RICH), stock(server, MONITOR_ARM), held(server)) == (RICH_WON, 2, NOTHING_HELD)


@pytest.mark.parametrize("latency", ["0ms", "30ms"])
def test_complete_20_times_at_once(serve, latency):
    server = serve(threads=2, payment__mock_latency=latency)
    body = order_body(RICH, [(MOUSE, 1)], key="once")
    asked = storm(server, [Request("POST", "/api/orders/complete", body) for _ in range(20)], connections=20)
    assert {(r.answer.status, r.answer.body) for r in asked} == {(201, asked[0].answer.body)}
    assert balance(server, RICH) == RICH_WON - 80000


# ---- cancelling ----


def test_a_paid_order_is_refunded(server):
    coupon = server.make_coupon(5)
    assert server.take("issue", coupon, RICH).status == 200
    order = ordered(server, RICH, (MOUSE, 2), coupon=coupon)
    assert pay(server, order).status == 200
    answer = cancel(server, order, "once")
    assert (answer.status, answer.json) == (200, {**order, "status": CANCELLED})
    assert (balance(server, RICH), stock(server, MOUSE)) == (RICH_WON, 10000)
    assert coupon_of(server, RICH, coupon)["status"] == "AVAILABLE"
    assert cancel(server, order, "once").body == answer.body
    assert told(cancel(server, order)) == (400, "INVALID_ORDER_STATUS")
    assert told(pay(server, order)) == (400, "INVALID_ORDER_STATUS")
    assert held(server) == NOTHING_HELD


def test_the_gateway_refunds(paying, gateway):
    server = paying()
    orders = [ordered(server, RICH, (MOUSE, 1)) for _ in range(3)]
    for order in orders:
        assert pay(server, order).status == 200
    gateway.tell("refuse", times=1, operation="refund")
    answer = cancel(server, orders[0], "a")
    assert told(answer) == (402, "PAYMENT_FAILED")
    assert answer.json["instance"] == f"/api/orders/{orders[0]['orderId']}/cancel"
    assert (status_of(server, orders[0]), balance(server, RICH)) == (COMPLETED, RICH_WON - 240000)
    assert cancel(server, orders[0], "a").body == answer.body
    assert cancel(server, orders[1]).status == 200
    assert cancel(server, orders[0], "b").status == 200
    settled(server, gateway)
    assert set(paid_orders(server)) == {orders[2]["orderId"]}
    assert balance(server, RICH) == RICH_WON - 80000


def test_paying_and_cancelling_at_once(paying, gateway):
    server = paying(threads=2)
    gateway.tell("slow", seconds=0.02)
    for i in range(30):
        order = ordered(server, RICH, (MOUSE, 1))
        keys = [pay_request(order, f"p{i}"), cancel_request(order, f"c{i}"), cancel_request(order, f"d{i}")]
        asked = storm(server, keys, connections=3)
        statuses = [r.answer.status for r in asked]
        assert statuses[0] in (200, 400) and sorted(statuses[1:]) == [200, 400], statuses
        assert status_of(server, order) == CANCELLED
    settled(server, gateway)
    assert (balance(server, RICH), stock(server, MOUSE)) == (RICH_WON, 10000)


# ---- the life of a coupon ----


def test_a_coupon_is_used_and_comes_back(server):
    coupon = server.make_coupon(5)
    assert server.take("issue", coupon, RICH).status == 200
    orders = [ordered(server, RICH, (MOUSE, 1), coupon=coupon) for _ in range(2)]  # no order takes it
    assert told(pay(server, orders[0], "fail")) == (402, "PAYMENT_FAILED")
    assert coupon_of(server, RICH, coupon)["status"] == "AVAILABLE"
    assert coupon_of(server, RICH, coupon)["usedAt"] is None
    paid = pay(server, orders[0])
    assert paid.json["paidAmount"] == 72000
    used = coupon_of(server, RICH, coupon)
    assert (used["status"], used["usedAt"]) == ("USED", paid.json["paidAt"])
    again = server.take("issue", coupon, RICH)
    assert (told(again), again.json["couponStatus"]) == ((409, "ALREADY_ISSUED_COUPON"), "USED")
    assert told(pay(server, orders[1])) == (400, "INVALID_COUPON")
    assert told(create(server, RICH, (MOUSE, 1), coupon=coupon)) == (400, "INVALID_COUPON")
    assert cancel(server, orders[0]).status == 200
    assert coupon_of(server, RICH, coupon)["status"] == "AVAILABLE"
    assert server.take("reserve", coupon, RICH).json["couponStatus"] == "AVAILABLE"
    assert pay(server, orders[1]).status == 200


@pytest.mark.parametrize("uses", [1, 3, None])
def test_how_often_a_coupon_is_good(server, uses):
    coupon = server.make_coupon(5, usesPerUser=uses)
    assert server.take("issue", coupon, RICH).status == 200
    orders = [ordered(server, RICH, (STICKER, 1), coupon=coupon) for _ in range(5)]
    asked = storm(server, [pay_request(order, fresh()) for order in orders], connections=5)
    good = [r for r in asked if r.answer.status == 200]
    assert len(good) == (uses or 5)
    assert {told(r.answer) for r in asked if r not in good} <= {(400, "INVALID_COUPON")}
    assert coupon_of(server, RICH, coupon)["status"] == ("AVAILABLE" if uses is None else "USED")


# ---- a gateway that behaves badly ----

UNCLEAR = ["error_before", "error_after", "hang_after", "hang_before", "close_before", "close_after", "close_middle",
           "broken_json", "wrong_type", "wrong_shape", "no_id", "huge", "deny", "redirect"]  # fmt: skip


@pytest.mark.parametrize("manner", UNCLEAR)
def test_an_unclear_answer_is_settled(paying, gateway, manner):
    """The caller hears that it is not known; the settler asks again, until it is."""
    hangs = {"payment__http_timeout": "400ms"} if manner.startswith("hang") else {}
    server = paying(payment__settle_after="100ms", **hangs)
    order = ordered(server, RICH, (MOUSE, 1))
    gateway.tell(manner, times=2)
    assert told(pay(server, order, "a")) == (503, "STORE_UNAVAILABLE")
    wait_for(lambda: status_of(server, order) == COMPLETED, 15)
    settled(server, gateway)
    answer = pay(server, order, "a")
    assert (answer.status, answer.json["paidAmount"]) == (200, 80000)
    assert answer.json["dataTransmission"].startswith("PG_APPROVED: T-")
    assert cancel(server, order).status == 200
    settled(server, gateway)
    assert metric(server, "payment_attempts_settled_approved_total") == 1
    wait_for(lambda: metric(server, "payment_attempts_open") == 0)


def test_unclear_then_refused(paying, gateway):
    server = paying(payment__settle_after="100ms")
    order = ordered(server, RICH, (MOUSE, 1))
    gateway.tell("close_before", times=1)
    gateway.tell("refuse", times=1)
    assert told(pay(server, order, "a")) == (503, "STORE_UNAVAILABLE")
    settled(server, gateway)
    assert told(pay(server, order, "a")) == (402, "PAYMENT_FAILED")
    assert (balance(server, RICH), stock(server, MOUSE), status_of(server, order)) == (RICH_WON, 10000, PENDING)
    assert pay(server, order, "b").status == 200
    settled(server, gateway)


@pytest.mark.parametrize("manner", ["close_before", "close_after"])
def test_what_stays_unclear_is_made_void(paying, gateway, manner):
    server = paying(payment__settle_after="100ms", payment__void_after="1s")
    order = ordered(server, RICH, (MOUSE, 1))
    both = order_body(RICH, [(MOUSE, 1)], key="both")
    gateway.tell(manner, operation="charge")
    assert told(pay(server, order, "a")) == (503, "STORE_UNAVAILABLE")
    assert told(server.call("POST", "/api/orders/complete", both)) == (503, "STORE_UNAVAILABLE")
    settled(server, gateway)
    assert told(pay(server, order, "a")) == (402, "PAYMENT_FAILED")
    assert told(server.call("POST", "/api/orders/complete", both)) == (402, "PAYMENT_FAILED")
    assert (balance(server, RICH), stock(server, MOUSE)) == (RICH_WON, 10000)
    assert server.get(f"/api/orders?userId={RICH}")["totalCount"] == 1
    gateway.behave()
    assert pay(server, order, "b").status == 200
    settled(server, gateway)


def test_a_refund_that_is_unclear(paying, gateway):
    server = paying(payment__settle_after="100ms")
    order = ordered(server, RICH, (MOUSE, 1))
    assert pay(server, order).status == 200
    gateway.tell("close_after", times=2, operation="refund")
    assert told(cancel(server, order, "a")) == (503, "STORE_UNAVAILABLE")
    wait_for(lambda: status_of(server, order) == CANCELLED, 15)
    settled(server, gateway)
    assert cancel(server, order, "a").json["status"] == CANCELLED
    assert (balance(server, RICH), stock(server, MOUSE)) == (RICH_WON, 10000)


def test_nobody_is_there(paying, gateway):
    """Nothing was sent, nothing is held, nothing is kept: the same key pays when it is back."""
    server = paying()
    order = ordered(server, RICH, (MOUSE, 1))
    port = gateway.port
    gateway.close()
    assert told(pay(server, order, "a")) == (503, "STORE_UNAVAILABLE")
    assert told(complete(server, RICH, (MOUSE, 1), key="b")) == (503, "STORE_UNAVAILABLE")
    assert (balance(server, RICH), stock(server, MOUSE), held(server)) == (RICH_WON, 10000, NOTHING_HELD)
    assert server.get(f"/api/orders?userId={RICH}")["totalCount"] == 1
    with Gateway(port=port) as again:
        assert pay(server, order, "a").status == 200
        assert complete(server, RICH, (MOUSE, 1), key="b").status == 201
        settled(server, again)


# ---- SIGTERM ----


def call_and_forget(server, request):
    """A caller that hears nothing, because the server dies."""

    def run():
        caller = Caller(server.port, timeout=10)
        try:
            caller.raw(request.raw)
        except (OSError, AssertionError, EOFError, ValueError, IndexError):
            pass
        finally:
            caller.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_stopped_while_the_gateway_is_asked(paying, gateway):
    """What can be ended in time is ended, and told; the server exits as it should."""
    server = paying(payment__http_timeout="5s", payment__settle_after="100ms", http__drain_timeout="4s")
    order = ordered(server, RICH, (MOUSE, 1))
    gateway.tell("slow", times=1, seconds=0.7)
    told_by = []
    thread = threading.Thread(target=lambda: told_by.append(Caller(server.port).raw(pay_request(order, "a").raw)))
    thread.start()
    wait_for(lambda: gateway.requests["charge"])
    server.stop()
    thread.join()
    assert told_by[0].status == 200
    server.start()
    assert pay(server, order, "a").body == told_by[0].body
    settled(server, gateway)


def test_stopped_while_the_gateway_hangs(paying, gateway):
    """Whoever waits is not waited for beyond the drain's time; the next start settles it."""
    server = paying(payment__http_timeout="2s", payment__settle_after="100ms", http__drain_timeout="3s",
                    request__deadline="20s")  # fmt: skip
    order = ordered(server, RICH, (MOUSE, 1))
    gateway.tell("hang_after", times=1)
    threads = [call_and_forget(server, pay_request(order, key)) for key in ("a", "b")]
    wait_for(lambda: gateway.requests["charge"])
    server.stop()
    for thread in threads:
        thread.join()
    server.start()
    settled(server, gateway)
    assert sorted([pay(server, order, "a").status, pay(server, order, "b").status]) == [200, 400]


# ---- kill -9 ----


@pytest.mark.parametrize("operation", ["payment", "complete", "cancel"])
@pytest.mark.parametrize("when", ["before it is booked", "after it is booked", "refused"])
def test_killed_while_the_gateway_is_asked(paying, gateway, operation, when):
    server = paying(payment__http_timeout="10s", payment__settle_after="100ms")
    order = ordered(server, RICH, (MOUSE, 1))
    asked = "refund" if operation == "cancel" else "charge"
    request = pay_request(order, "a")
    if operation == "cancel":
        assert pay(server, order).status == 200
        request = cancel_request(order, "a")
    elif operation == "complete":
        request = Request("POST", "/api/orders/complete", order_body(RICH, [(MOUSE, 1)], key="a"))
    before = (balance(server, RICH), stock(server, MOUSE))
    gateway.tell("hang_after" if when == "after it is booked" else "hang_before", times=1, operation=asked)
    if when == "refused":
        gateway.tell("refuse", operation=asked)
    count = gateway.requests[asked]
    thread = call_and_forget(server, request)
    wait_for(lambda: gateway.requests[asked] > count)
    assert held(server)[2] == 1
    server.kill9()
    thread.join()
    server.start()
    wait_for(lambda: held(server) == NOTHING_HELD, 15, 0.05)
    again = server.caller.raw(request.raw)
    assert server.caller.raw(request.raw).body == again.body
    if when == "refused":
        assert told(again) == (402, "PAYMENT_FAILED")
        assert (balance(server, RICH), stock(server, MOUSE)) == before
    elif operation == "cancel":
        assert (again.status, again.json["status"]) == (200, CANCELLED)
        assert (balance(server, RICH), stock(server, MOUSE)) == (RICH_WON, 10000)
    else:
        assert again.status == (201 if operation == "complete" else 200)
        assert (balance(server, RICH), stock(server, MOUSE)) == (RICH_WON - 80000, 9999)
    settled(server, gateway)


def test_killed_at_any_time(paying, gateway):
    """Many payments, refunds and orders in one, a kill now and then: charged is what is paid."""
    server = paying(threads=2, payment__http_timeout="500ms", payment__settle_after="100ms")
    for manner in ("close_after", "error_before", "refuse", "slow") * 15:
        gateway.tell(manner, times=1, seconds=0.05)
    keys = {}
    for life in range(6):
        orders = [ordered(server, 4 + i, (STICKER, 1)) for i in range(20)]
        requests = [pay_request(order, f"pay-{life}-{i}") for i, order in enumerate(orders)]
        requests += [cancel_request(order, f"cancel-{life}-{i}") for i, order in enumerate(orders[:10])]
        bodies = [order_body(30 + i, [(STICKER, 1)], key=f"both-{life}") for i in range(10)]
        requests += [Request("POST", "/api/orders/complete", body) for body in bodies]
        killer = threading.Timer(0.02 + 0.03 * life, server.process.kill)
        killer.start()
        asked = storm(server, requests, connections=10)
        killer.join()
        server.reap()
        for request in asked:
            if request.answer is not None and request.answer.status in (200, 201, 402):
                keys[request.raw] = request.answer.body
        server.start()
        wait_for(lambda: held(server) == NOTHING_HELD, 30, 0.1)
        for raw, body in keys.items():
            assert server.caller.raw(raw).body == body, raw
    settled(server, gateway)
    spent = sum(paid_orders(server).values())
    assert sum(balance(server, user) for user in range(4, 40)) == 36 * RICH_WON - spent
    assert stock(server, STICKER) == 10000 - len(paid_orders(server))


# ---- prod ----


@pytest.fixture
def prod(tmp_path, gateway):
    """A server in profile prod whose money the gateway takes."""
    server = Server(
        tmp_path, profile="prod", auth__secret=KEY, payment__http_timeout="2s", payment__settle_after="100ms",
        **gateway.settings(tmp_path),
    )  # fmt: skip
    assert run("migrate", "--data", server.data)[0] == 0
    yield server.start()
    server.close()


def test_charges_go_through_the_gateway(prod, gateway):
    def ask(user, method, path, body=None, **more):
        text = token(KEY.encode(), "HS256", claims(user, **more))
        return prod.caller.raw(encode(method, path, body, [bearer(text)]))

    def charge(amount, key):
        return ask(7, "POST", "/api/users/7/balance/charge", {"amount": amount, "idempotencyKey": key})

    assert ask(1, "POST", "/api/admin/users", {"fromUserId": 1, "toUserId": 10}, role="admin").status == 201
    first = charge(500, "a")
    assert (first.status, first.json["balance"], charge(500, "a").body) == (200, 500, first.body)
    gateway.tell("refuse", times=1)
    refused = charge(600, "b")
    assert told(refused) == (402, "PAYMENT_FAILED")
    assert refused.json["instance"] == "/api/users/7/balance/charge"
    assert charge(600, "b").body == refused.body
    for manner in ("error_after", "error_before"):
        gateway.tell(manner, times=1)
        assert told(charge(700, manner)) == (503, "STORE_UNAVAILABLE")
        wait_for(lambda key=manner: charge(700, key).status == 200)
    assert charge(700, "error_after").json["balance"] == 1200
    assert told(charge(701, "error_after")) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert told(charge(0, "c")) == (400, "INVALID_CHARGE_AMOUNT")
    assert ask(7, "GET", "/api/users/7/balance").json["balance"] == 1900
    gateway.check({}, {7: 1900})


def test_orders_are_their_owners_tokens(prod):
    """403 of another's, 404 of one that is not there; also where the path does not name the user."""
    def ask(user, method, path, body=None, **more):
        text = token(KEY.encode(), "HS256", claims(user, **more))
        return prod.caller.raw(encode(method, path, body, [bearer(text)]))

    assert ask(1, "POST", "/api/admin/users", {"fromUserId": 1, "toUserId": 10}, role="admin").status == 201
    product = {"name": "x", "price": 0, "stock": 5}
    product_id = ask(1, "POST", "/api/admin/products", product, role="admin").json["productId"]
    body = order_body(7, [(product_id, 1)], key="a")
    assert ask(8, "POST", "/api/orders", body).status == 403
    order = ask(7, "POST", "/api/orders", body).json["orderId"]
    assert ask(8, "GET", f"/api/orders/{order}").status == 403
    assert ask(8, "GET", "/api/orders/999").status == 404
    assert ask(7, "GET", f"/api/orders/{order}").json["userId"] == 7
    assert ask(8, "GET", "/api/orders?userId=7").status == 403
    assert ask(7, "GET", "/api/orders?userId=7").json["totalCount"] == 1
    for what in ("payment", "cancel"):
        for user, named, status in ((8, 7, 403), (7, 8, 403), (8, 8, 403)):
            answer = ask(user, "POST", f"/api/orders/{order}/{what}", {"userId": named, "idempotencyKey": "a"})
            assert told(answer) == (status, "FORBIDDEN")
        answer = ask(8, "POST", f"/api/orders/999/{what}", {"userId": 8, "idempotencyKey": "a"})
        assert told(answer) == (404, "ORDER_NOT_FOUND")
    admin = ask(1, "GET", f"/api/orders/{order}", role="admin")
    assert told(admin) == (403, "FORBIDDEN")
    assert ask(7, "POST", f"/api/orders/{order}/payment", {"userId": 7, "idempotencyKey": "a"}).status == 200
