# SPDX-License-Identifier: Apache-2.0
"""The drop: exactly as many as there are, each to another person, and proved."""

import collections
import threading

import pytest

from support.client import Caller, Request, storm
from support.server import wait_for

WAYS = {"issue": ("issue",), "reserve": ("reserve",), "mixed": ("issue", "reserve")}
FIRST_USER = 500000


def take(coupon, user, way):
    return Request("POST", f"/api/coupons/{coupon}/{way}", {"userId": user}, user=user, way=way)


def one_each(coupon, users, ways):
    """Every user once; the ways in turn."""
    return [take(coupon, user, ways[i % len(ways)]) for i, user in enumerate(users)]


def outcomes(asked):
    """How many answers of each status and error."""
    return collections.Counter((r.answer.status, r.answer.error) if r.answer else None for r in asked)


def winners(asked):
    """{user: number} of the 200s; nobody has two."""
    numbers = {}
    for request in asked:
        if request.answer.status == 200:
            assert request.user not in numbers, f"user {request.user} got two: {request.answer}"
            numbers[request.user] = request.answer.json["sequenceNumber"]
    return numbers


def check_sold_out(server, coupon, quantity, numbers):
    """`quantity` rows, 1..quantity, to those who were told; the proof holds over HTTP and from the shell."""
    assert sorted(numbers.values()) == list(range(1, quantity + 1))
    proof = server.settled(coupon)
    assert proof["ok"], proof
    assert (proof["issued"], proof["distinctUsers"]) == (quantity, quantity)
    assert (proof["firstSequence"], proof["lastSequence"], proof["gaps"]) == (1, quantity, [])
    assert server.rows(coupon) == {number: user for user, number in numbers.items()}
    code, said = server.prove(coupon)
    assert code == 0, said


# ---- 20,000 on 1,000 ----


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_20000_on_1000(serve, way, threads):
    server = serve(threads=threads)
    assert server.make_users(FIRST_USER, 20000) == 20000
    coupon = server.make_coupon(1000)
    asked = storm(server, one_each(coupon, range(FIRST_USER, FIRST_USER + 20000), WAYS[way]), connections=256)
    assert outcomes(asked) == {(200, None): 1000, (409, "COUPON_SOLD_OUT"): 19000}
    check_sold_out(server, coupon, 1000, winners(asked))
    shown = server.get(f"/api/coupons/{coupon}")
    assert (shown["status"], shown["remainingQuantity"]) == ("SOLD_OUT", 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_durability_ledger_reserves_are_rows_when_answered(serve, threads):
    server = serve(threads=threads, gate__reserve_durability="ledger")
    coupon = server.make_coupon(200)
    asked = storm(server, one_each(coupon, range(1000, 3000), ("reserve",)), connections=64)
    numbers = winners(asked)
    assert server.rows(coupon) == {number: user for user, number in numbers.items()}
    assert {r.answer.json["durability"] for r in asked if r.answer.status == 200} == {"ledger"}
    check_sold_out(server, coupon, 200, numbers)


# ---- one person ----


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_one_user_50_times_at_once(serve, way, threads):
    server = serve(threads=threads)
    for round_ in range(20):
        coupon = server.make_coupon(10)
        asked = storm(server, one_each(coupon, [1000 + round_] * 50, WAYS[way]), connections=50)
        assert outcomes(asked) == {(200, None): 1, (409, "ALREADY_ISSUED_COUPON"): 49}
        assert {r.answer.json["sequenceNumber"] for r in asked} == {1}
        check_already(server, coupon, asked)


def check_already(server, coupon, asked):
    """Every refusal names the same coupon: reserved without an id, or the row's own."""
    row = server.sql("SELECT user_coupon_id FROM user_coupons WHERE coupon_id = ?", coupon)
    for request in asked:
        if request.answer.status != 409:
            continue
        body = request.answer.json
        assert "already" in body["message"].lower()
        if body["couponStatus"] == "RESERVED":
            assert body["userCouponId"] is None and request.way == "reserve"
        else:
            assert body["couponStatus"] == "AVAILABLE" and body["userCouponId"] > 0
            assert not row or body["userCouponId"] == row[0][0]


def test_one_user_50_times_in_a_burst_on_one_connection(server):
    coupon = server.make_coupon(10)
    asked = storm(server, one_each(coupon, [1000] * 50, WAYS["mixed"]), connections=1, depth=50)
    assert outcomes(asked) == {(200, None): 1, (409, "ALREADY_ISSUED_COUPON"): 49}
    assert {r.answer.json["sequenceNumber"] for r in asked} == {1}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_150_people_clicking_4_times_on_100(serve, way, threads):
    server = serve(threads=threads)
    people = range(4, 154)
    coupon = server.make_coupon(100)
    clicks = [take(coupon, user, WAYS[way][(user + i) % len(WAYS[way])]) for user in people for i in range(4)]
    asked = storm(server, clicks, connections=300)
    numbers = winners(asked)
    assert len(numbers) == 100
    for request in asked:
        if request.answer.status == 200:
            continue
        if request.user in numbers:
            assert request.answer.error == "ALREADY_ISSUED_COUPON"
            assert request.answer.json["sequenceNumber"] == numbers[request.user]
        else:
            assert request.answer.error == "COUPON_SOLD_OUT"
    check_sold_out(server, coupon, 100, numbers)


@pytest.mark.parametrize("way", WAYS)
def test_a_holder_never_hears_sold_out(server, way):
    """Asked again after everything is gone, and after the server has begun to remember that it is."""
    coupon = server.make_coupon(50)
    numbers = winners(storm(server, one_each(coupon, range(1000, 1200), WAYS[way])))
    for _ in range(3):
        again = storm(server, one_each(coupon, range(1000, 1200), WAYS[way]))
        for request in again:
            if request.user in numbers:
                assert request.answer.error == "ALREADY_ISSUED_COUPON"
                assert request.answer.json["sequenceNumber"] == numbers[request.user]
            else:
                assert request.answer.error == "COUPON_SOLD_OUT"
    check_sold_out(server, coupon, 50, numbers)


# ---- an administrator in mid-drop ----


class InMidDrop:
    """Does something from another connection at the n-th answer of a storm."""

    def __init__(self, server, at, act):
        self.server, self.at, self.act = server, at, act
        self.answer = None

    def __call__(self, storm_, request):
        if storm_.count == self.at:
            self.thread = threading.Thread(target=self.run)
            self.thread.start()

    def run(self):
        caller = Caller(self.server.port)
        self.answer = self.act(caller)
        caller.close()

    def result(self):
        self.thread.join(30)
        return self.answer


def patch_quantity(coupon, quantity):
    return lambda caller: caller.call("PATCH", f"/api/admin/coupons/{coupon}", {"totalQuantity": quantity})


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("at", [200, 5000])
@pytest.mark.parametrize("way", WAYS)
def test_raising_admits_exactly_the_difference(serve, way, at, threads):
    """Before the first lot is sold out, and long after."""
    server = serve(threads=threads)
    server.make_users(FIRST_USER, 10000)
    coupon = server.make_coupon(500)
    raising = InMidDrop(server, at, patch_quantity(coupon, 800))
    asked = storm(
        server, one_each(coupon, range(FIRST_USER, FIRST_USER + 10000), WAYS[way]), connections=128, on_answer=raising
    )
    assert raising.result().status == 200
    first = winners(asked)
    assert 500 <= len(first) <= 800
    assert set(outcomes(asked)) == {(200, None), (409, "COUPON_SOLD_OUT")}
    late = [r.user for r in asked if r.answer.status != 200]  # in case the change came at the very end
    second = winners(storm(server, one_each(coupon, late, WAYS[way]), connections=128))
    assert len(first) + len(second) == 800
    check_sold_out(server, coupon, 800, {**first, **second})


@pytest.mark.parametrize("way", WAYS)
def test_lowering_below_what_is_handed_out_says_what_is_possible(server, way):
    coupon = server.make_coupon(500)
    storm(server, one_each(coupon, range(1000, 1300), WAYS[way]))
    answer = server.call("PATCH", f"/api/admin/coupons/{coupon}", {"totalQuantity": 299})
    assert (answer.status, answer.error) == (409, "CONFLICT")
    assert answer.json["possibleQuantity"] == 300 and "300" in answer.json["message"]
    assert server.get(f"/api/coupons/{coupon}")["remainingQuantity"] == 200
    assert server.take("issue", coupon, 1300).json["sequenceNumber"] == 301
    server.patch(f"/api/admin/coupons/{coupon}", {"totalQuantity": 301})
    assert server.take("reserve", coupon, 1301).error == "COUPON_SOLD_OUT"
    proof = server.settled(coupon)
    assert proof["ok"] and proof["totalQuantity"] == proof["issued"] == 301
    server.patch(f"/api/admin/coupons/{coupon}", {"totalQuantity": 302})
    assert server.take("reserve", coupon, 1301).json["sequenceNumber"] == 302


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_lowering_in_mid_drop_loses_nobody(serve, way, threads):
    """Whoever was there first keeps the number; who met the closed gate tries again and gets in. Another
    server goes on granting until it hears of it: up to the new quantity there is room for that."""
    server = serve(threads=threads)
    server.make_users(FIRST_USER, 10000)
    coupon = server.make_coupon(100000)
    lowering = InMidDrop(server, 1500, patch_quantity(coupon, 9000))
    todo, numbers, closed = list(range(FIRST_USER, FIRST_USER + 10000)), {}, 0
    while todo:
        asked = storm(server, one_each(coupon, todo, WAYS[way]), connections=128, on_answer=lowering)
        todo = []
        for user, number in winners(asked).items():
            assert user not in numbers
            numbers[user] = number
        for request in asked:
            if request.answer.error == "COUPON_CLOSED":
                assert request.answer.status == 503
                assert int(request.answer.headers["retry-after"]) >= 1
                closed += 1
                todo.append(request.user)
            else:
                assert request.answer.error in (None, "COUPON_SOLD_OUT"), request.answer
        wait_for(lambda: server.take("issue", coupon, 1).error != "COUPON_CLOSED")
        lowering.at = -1
    # user 1, asked above, may have had one of them
    mine = server.take("reserve", coupon, 1).json.get("sequenceNumber")
    if mine:
        numbers[1] = mine
    assert lowering.result().status == 200
    check_sold_out(server, coupon, 9000, numbers)
    assert server.proof(coupon)["gate"]["epoch"] >= 1


def test_lowering_meets_closed_gates_with_retry_after(serve):
    """The gate of a coupon is shut while it is rebuilt: 503 C006, holders keep hearing their number."""
    server = serve(threads=2)
    server.make_users(FIRST_USER, 40000)
    coupon = server.make_coupon(1000000)
    seen = collections.Counter()
    for step in range(10):
        users = range(FIRST_USER + step * 4000, FIRST_USER + step * 4000 + 4000)
        lowering = InMidDrop(server, 1000, patch_quantity(coupon, 900000 - step))
        asked = storm(server, one_each(coupon, users, WAYS["mixed"]), connections=128, on_answer=lowering)
        assert lowering.result().status == 200
        seen += outcomes(asked)
        for request in asked:
            if request.answer.status == 503:
                assert request.answer.error == "COUPON_CLOSED"
                assert int(request.answer.headers["retry-after"]) >= 1
    assert set(seen) <= {(200, None), (503, "COUPON_CLOSED")}
    assert seen[503, "COUPON_CLOSED"] > 0, "the gate was never seen closed"
    proof = server.settled(coupon)
    assert proof["ok"] and proof["issued"] == seen[200, None] == proof["lastSequence"]


def test_closing_and_opening_again_in_mid_drop(serve):
    server = serve(threads=2)
    coupon = server.make_coupon(5000)
    closing = InMidDrop(server, 300, lambda c: c.call("PATCH", f"/api/admin/coupons/{coupon}", {"closed": True}))
    asked = storm(server, one_each(coupon, range(1000, 5000), WAYS["mixed"]), connections=64, on_answer=closing)
    assert closing.result().json["status"] == "CLOSED"
    counts = outcomes(asked)
    assert set(counts) == {(200, None), (409, "COUPON_ENDED")}
    first = winners(asked)
    server.patch(f"/api/admin/coupons/{coupon}", {"closed": False})
    rest = [r.user for r in asked if r.answer.status != 200]
    second = winners(storm(server, one_each(coupon, rest, WAYS["mixed"])))
    assert len(second) == len(rest)
    assert sorted({**first, **second}.values()) == list(range(1, 4001))
    assert server.settled(coupon)["ok"]


# ---- rows after a while ----


def test_reserved_places_are_rows_within_two_seconds(server):
    coupon = server.make_coupon(2000)
    asked = storm(server, one_each(coupon, range(1000, 3000), ("reserve",)))
    numbers = winners(asked)
    wait_for(lambda: len(server.rows(coupon)) == 2000, seconds=2, what="rows")
    assert server.rows(coupon) == {number: user for user, number in numbers.items()}


def test_a_clean_stop_leaves_nothing_pending(serve):
    server = serve(threads=2)
    coupon = server.make_coupon(3000)
    asked = storm(server, one_each(coupon, range(1000, 4000), ("reserve",)))
    server.stop()
    assert server.rows(coupon) == {number: user for user, number in winners(asked).items()}
    code, said = server.prove(coupon)
    assert code == 0, said
    server.start()
    assert server.proof(coupon)["ok"]
    assert server.take("issue", coupon, 1000).json["sequenceNumber"] == winners(asked)[1000]
