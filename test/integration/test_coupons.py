# SPDX-License-Identifier: Apache-2.0
"""Coupons one call at a time: order of checks, states, lists, administration."""

import csv
import datetime
import io

import pytest

from support.distributed import DURABILITY
from support.server import wait_for, when

WAYS = ("issue", "reserve")
NOBODY = 999999999


def refusal(server, way, coupon, user):
    answer = server.take(way, coupon, user)
    assert answer.status >= 400, answer
    return answer.status, answer.json["code"], answer.error


# ---- the order of checks ----


@pytest.mark.parametrize("way", WAYS)
def test_user_comes_before_coupon(server, way):
    assert refusal(server, way, 777, NOBODY) == (404, "U001", "USER_NOT_FOUND")
    for user in (0, -1, -(2**63), 2**63 - 1):
        assert refusal(server, way, 1, user) == (404, "U001", "USER_NOT_FOUND")
    for coupon in (777, 0, -1, -(2**63), 2**63 - 1):
        assert refusal(server, way, coupon, 1000) == (400, "C002", "INVALID_COUPON")


@pytest.mark.parametrize("way", WAYS)
def test_window_comes_before_closed_before_sold_out(server, way):
    later = server.make_coupon(1, startsAt=when(1))
    past = server.make_coupon(1, startsAt=when(-2), endsAt=when(-1))
    gone = server.make_coupon(1)
    assert server.take("issue", gone, 1).status == 200
    for coupon in (later, past, gone):
        server.patch(f"/api/admin/coupons/{coupon}", {"closed": True})
    assert refusal(server, way, later, 1000) == (400, "C005", "COUPON_NOT_STARTED")
    assert refusal(server, way, past, 1000) == (400, "C003", "EXPIRED_COUPON")
    assert refusal(server, way, gone, 1000) == (409, "C007", "COUPON_ENDED")
    server.patch(f"/api/admin/coupons/{gone}", {"closed": False})
    assert refusal(server, way, gone, 1000) == (409, "C001", "COUPON_SOLD_OUT")


@pytest.mark.parametrize("way", WAYS)
def test_already_comes_before_everything_about_the_coupon(server, way):
    """Before the window, after it, closed, sold out: a holder hears C004."""
    coupon = server.make_coupon(1)
    mine = server.take("issue", coupon, 1000).json
    states = (
        {"closed": True},
        {"startsAt": when(1), "endsAt": when(2)},
        {"startsAt": when(-3), "endsAt": when(-1)},
        {"startsAt": when(-1), "endsAt": when(1), "closed": False},
    )
    for state in ({}, *states):
        server.patch(f"/api/admin/coupons/{coupon}", state)
        answer = server.take(way, coupon, 1000)
        assert (answer.status, answer.error) == (409, "ALREADY_ISSUED_COUPON"), state
        body = answer.json
        assert body["sequenceNumber"] == mine["sequenceNumber"]
        assert body["userCouponId"] == mine["userCouponId"]
        assert "already" in body["message"].lower()


def test_not_started_says_when(server):
    starts = when(1)
    coupon = server.make_coupon(1, startsAt=starts)
    body = server.take("issue", coupon, 1000).json
    shown = server.get(f"/api/coupons/{coupon}")
    assert body["startsAt"] == shown["startsAt"]
    assert parse(body["startsAt"]) == parse(starts)


def parse(text):
    """The moment that an RFC 3339 time names."""
    return datetime.datetime.fromisoformat(text)


@pytest.mark.parametrize("way", WAYS)
def test_while_the_gate_is_away(server, way):
    """A holder hears the number from SQL; others come again later; after the end no gate is needed."""
    coupon, ended = server.make_coupon(10), server.make_coupon(10)
    for each in (coupon, ended):
        assert server.take("issue", each, 1000).status == 200
    server.patch(f"/api/admin/coupons/{ended}", {"startsAt": when(-3), "endsAt": when(-1)})
    server.fault("gate", True)
    assert refusal(server, way, coupon, NOBODY) == (404, "U001", "USER_NOT_FOUND")
    assert refusal(server, way, 777, 1000) == (400, "C002", "INVALID_COUPON")
    assert refusal(server, way, coupon, 1000) == (409, "C004", "ALREADY_ISSUED_COUPON")
    assert refusal(server, way, coupon, 1001) == (503, "C006", "COUPON_CLOSED")
    assert refusal(server, way, ended, 1000) == (409, "C004", "ALREADY_ISSUED_COUPON")
    assert refusal(server, way, ended, 1001) == (400, "C003", "EXPIRED_COUPON")
    server.fault("gate", False)
    answer = server.take(way, coupon, 1001)
    assert (answer.status, answer.json["sequenceNumber"]) == (200, 2)
    assert refusal(server, way, ended, 1001) == (400, "C003", "EXPIRED_COUPON")


@pytest.mark.parametrize("way", WAYS)
def test_the_load_test_coupons(server, way):
    """4 is sold out, and user 3 has it; 5 is over; 3 was used by user 3."""
    assert refusal(server, way, 4, 3) == (409, "C004", "ALREADY_ISSUED_COUPON")
    assert refusal(server, way, 4, 1) == (409, "C001", "COUPON_SOLD_OUT")
    assert refusal(server, way, 5, 1) == (400, "C003", "EXPIRED_COUPON")
    body = server.take(way, 3, 3).json
    assert (body["sequenceNumber"], body["couponStatus"]) == (1, "USED")


# ---- what is answered ----


def test_issue_answers_everything(server):
    coupon = server.make_coupon(10, name="할인 쿠폰", discountRate=15)
    body = server.take("issue", coupon, 1000).json
    assert list(body) == [
        "userCouponId", "couponId", "couponName", "discountRate", "status", "issuedAt", "expiresAt",
        "remainingQuantity", "sequenceNumber",
    ]  # fmt: skip
    assert (body["couponName"], body["discountRate"], body["status"]) == ("할인 쿠폰", 15, "AVAILABLE")
    assert (body["remainingQuantity"], body["sequenceNumber"]) == (9, 1)
    assert body["expiresAt"] == server.get(f"/api/coupons/{coupon}")["endsAt"]


def test_reserve_answers_everything(server):
    body = server.take("reserve", 2, 1000).json
    assert list(body) == ["couponId", "userId", "sequenceNumber", "status", "message", "durability"]
    assert (body["couponId"], body["userId"], body["sequenceNumber"]) == (2, 1000, 1)
    assert (body["status"], body["durability"]) == ("RESERVED", DURABILITY)


def test_what_is_issued_expires_when_the_coupon_ended_then(server):
    """A window moved later is for those who come later."""
    coupon = server.make_coupon(10)
    first = server.take("issue", coupon, 1000).json["expiresAt"]
    server.patch(f"/api/admin/coupons/{coupon}", {"endsAt": when(60)})
    second = server.take("issue", coupon, 1001).json["expiresAt"]
    assert second == server.get(f"/api/coupons/{coupon}")["endsAt"] != first
    assert server.get("/api/users/1000/coupons")["coupons"][0]["expiresAt"] == first


def test_states_of_a_coupon(server):
    coupon = server.make_coupon(2, startsAt=when(1), endsAt=when(2))
    path, admin = f"/api/coupons/{coupon}", f"/api/admin/coupons/{coupon}"
    assert server.get(path)["status"] == "SCHEDULED"
    server.patch(admin, {"startsAt": when(-1)})
    assert server.get(path)["status"] == "OPEN"
    for user in (1000, 1001):
        server.take("issue", coupon, user)
    server.await_same(path)
    assert server.get(path) == {**server.get(path), "status": "SOLD_OUT", "remainingQuantity": 0}
    server.patch(admin, {"totalQuantity": 3})
    assert server.get(path) == {**server.get(path), "status": "OPEN", "remainingQuantity": 1}
    server.patch(admin, {"closed": True})
    assert server.get(path)["status"] == "CLOSED"
    server.patch(admin, {"closed": False, "startsAt": when(-3), "endsAt": when(-1)})
    assert server.get(path)["status"] == "ENDED"
    server.patch(admin, {"endsAt": when(1)})
    assert server.get(path)["status"] == "OPEN"
    assert server.get("/api/coupons/777", 404)["error"] == "NOT_FOUND"


def test_the_clock_opens_and_ends_the_window(serve):
    server = serve()
    coupon = server.make_coupon(10, startsAt=when(seconds=3600), endsAt=when(seconds=7200))
    assert server.take("issue", coupon, 1000).error == "COUPON_NOT_STARTED"
    server.post("/api/admin/test/clock", {"advanceSeconds": 4000})
    assert server.take("issue", coupon, 1000).status == 200
    server.stop()
    server.start()  # the offset is kept in the store
    assert server.take("reserve", coupon, 1001).status == 200
    server.post("/api/admin/test/clock", {"advanceSeconds": 4000})
    assert server.take("reserve", coupon, 1002).error == "EXPIRED_COUPON"
    assert server.take("issue", coupon, 1000).json["couponStatus"] == "EXPIRED"
    assert server.get("/api/users/1000/coupons")["coupons"][0]["status"] == "EXPIRED"
    now = server.post("/api/admin/test/clock", {"now": "2030-01-01T00:00:00+09:00"})["now"]
    assert now.startswith("2030-01-01T00:00:0")


def test_uses_per_user(serve):
    """1 unless said otherwise, null is unlimited: what a used one counts as."""
    server = serve()
    coupons = {
        server.make_coupon(5): ("AVAILABLE", "USED", "USED"),
        server.make_coupon(5, usesPerUser=2): ("AVAILABLE", "AVAILABLE", "USED"),
        server.make_coupon(5, usesPerUser=None): ("AVAILABLE", "AVAILABLE", "AVAILABLE"),
    }
    for coupon in coupons:
        server.take("issue", coupon, 1000)
    for uses in (0, 1, 2):
        server.stop()
        server.change_sql("UPDATE user_coupons SET uses = ?, used_at = ? WHERE user_id = 1000", uses, uses * 1000)
        server.start()
        listed = {c["couponId"]: c for c in server.get("/api/users/1000/coupons")["coupons"]}
        for coupon, states in coupons.items():
            assert listed[coupon]["status"] == states[uses]
            assert (listed[coupon]["usedAt"] is None) == (uses == 0)
            assert server.take("reserve", coupon, 1000).json["couponStatus"] == states[uses]


# ---- lists ----


def test_coupons_of_a_user(server):
    """Newest first, by status, page by page."""
    coupons = [server.make_coupon(5) for _ in range(7)]
    for coupon in coupons:
        assert server.take("issue", coupon, 1000).status == 200
    whole = server.get("/api/users/1000/coupons")
    assert (whole["userId"], whole["totalCount"], whole["nextCursor"]) == (1000, 7, None)
    assert [c["couponId"] for c in whole["coupons"]] == coupons[::-1]
    ids = [c["userCouponId"] for c in whole["coupons"]]
    assert ids == sorted(ids, reverse=True)
    assert pages(server, "/api/users/1000/coupons", "coupons", 3) == whole["coupons"]
    assert pages(server, "/api/users/1000/coupons?status=AVAILABLE", "coupons", 2) == whole["coupons"]
    for status in ("USED", "EXPIRED", "RESERVED"):
        none = server.get(f"/api/users/1000/coupons?status={status}")
        assert (none["coupons"], none["totalCount"], none["nextCursor"]) == ([], 0, None)
    assert server.get(f"/api/users/{NOBODY}/coupons", 404)["error"] == "USER_NOT_FOUND"
    used = server.get("/api/users/3/coupons?status=USED")
    assert [c["couponId"] for c in used["coupons"]] == [3] and used["coupons"][0]["usedAt"]


def pages(server, path, member, limit):
    """All items of a list, `limit` at a time."""
    items, cursor, sep = [], None, "&" if "?" in path else "?"
    while True:
        page = server.get(f"{path}{sep}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        assert len(page[member]) == limit or not page["nextCursor"]
        items += page[member]
        cursor = page["nextCursor"]
        if not cursor:
            assert page["totalCount"] == len(items)
            return items


def test_reserved_ones_are_listed_before_they_are_rows(serve):
    """Without an id and first; the rows of reservations wait for a fuller batch, after one was written."""
    server = serve(ledger__reserve_linger="1900ms")
    stored, waiting = server.make_coupon(5), [server.make_coupon(5), server.make_coupon(5)]
    server.take("issue", stored, 1000)
    for coupon in waiting:
        assert server.take("reserve", coupon, 1000).json["sequenceNumber"] == 1
    listed = server.get("/api/users/1000/coupons")
    assert (listed["totalCount"], len(listed["coupons"])) == (3, 3)
    assert [c["status"] for c in listed["coupons"]] == ["RESERVED", "RESERVED", "AVAILABLE"]
    for row in listed["coupons"][:2]:
        assert row["userCouponId"] is row["issuedAt"] is row["usedAt"] is None
        assert row["expiresAt"]
    assert pages(server, "/api/users/1000/coupons?status=RESERVED", "coupons", 1) == listed["coupons"][:2]
    assert [c["couponId"] for c in server.get("/api/users/1000/coupons?status=AVAILABLE")["coupons"]] == [stored]
    wait_for(lambda: not server.get("/api/users/1000/coupons?status=RESERVED")["coupons"], seconds=3)
    assert {c["status"] for c in server.get("/api/users/1000/coupons")["coupons"]} == {"AVAILABLE"}


@pytest.mark.embedded  # elsewhere only as long as the lease
def test_reservations_while_sql_is_away(serve):
    """They are granted, told alike to all who ask, and rows once SQL is back."""
    server = serve(request__deadline="500ms", gate__sweep_after="200ms")
    coupon = server.make_coupon(5)
    server.take("issue", coupon, 1001)
    server.take("issue", server.make_coupon(5), 1000)
    server.fault("ledger", True)
    assert server.take("reserve", coupon, 1000).json["sequenceNumber"] == 2
    again = server.take("reserve", coupon, 1000).json
    assert (again["couponStatus"], again["userCouponId"], again["sequenceNumber"]) == ("RESERVED", None, 2)
    answer = server.take("issue", coupon, 1000)
    assert (answer.status, answer.error) == (503, "STORE_UNAVAILABLE")
    for path in ("/api/users/1000/coupons", "/api/users/1000", f"/api/admin/coupons/{coupon}/proof"):
        assert server.get(path, 503)["error"] == "STORE_UNAVAILABLE"
    server.fault("ledger", False)
    wait_for(lambda: server.rows(coupon) == {1: 1001, 2: 1000}, seconds=3)
    body = server.take("issue", coupon, 1000).json
    assert (body["couponStatus"], body["sequenceNumber"]) == ("AVAILABLE", 2)
    assert server.settled(coupon)["ok"]


def test_an_issue_that_could_not_be_stored_gives_its_place_back(serve):
    server = serve(request__deadline="500ms")
    coupon = server.make_coupon(5)
    server.take("issue", coupon, 1000)
    server.fault("ledger", True)
    answer = server.take("issue", coupon, 1001)
    assert (answer.status, answer.error) == (503, "STORE_UNAVAILABLE") and answer.headers["retry-after"]
    server.fault("ledger", False)
    assert server.take("issue", coupon, 1002).json["sequenceNumber"] == 2
    assert server.take("issue", coupon, 1001).json["sequenceNumber"] == 3
    assert server.settled(coupon)["ok"]


def test_issue_joins_a_reservation(serve):
    """The same number; 200 was the reservation's, so this is C004, with the row's id."""
    server = serve(ledger__reserve_linger="1500ms")
    coupon = server.make_coupon(5)
    assert server.take("reserve", coupon, 1000).json["sequenceNumber"] == 1
    body = server.take("issue", coupon, 1000).json
    assert (body["error"], body["sequenceNumber"]) == ("ALREADY_ISSUED_COUPON", 1)
    assert body["userCouponId"] and body["couponStatus"] == "AVAILABLE"
    assert server.rows(coupon) == {1: 1000}


def test_public_list_has_what_is_open_or_will_open(server):
    later = server.make_coupon(1, startsAt=when(1))
    closed, past = server.make_coupon(1), server.make_coupon(1, startsAt=when(-2), endsAt=when(-1))
    server.patch(f"/api/admin/coupons/{closed}", {"closed": True})
    ids = [c["couponId"] for c in server.get("/api/coupons")["coupons"]]
    assert later in ids and {1, 2, 3} <= set(ids)
    assert not {closed, past, 5} & set(ids)
    everything = server.get("/api/admin/coupons")
    assert {closed, past, later, 1, 2, 3, 4, 5} == {c["couponId"] for c in everything["coupons"]}
    assert pages(server, "/api/admin/coupons", "coupons", 3) == everything["coupons"]
    assert pages(server, "/api/coupons", "coupons", 2) == server.get("/api/coupons")["coupons"]


LISTS = ["/api/coupons", "/api/admin/coupons", "/api/users/1/coupons", "/api/admin/coupons/1/winners"]


@pytest.mark.parametrize("path", LISTS)
def test_lists_refuse_bad_parameters(server, path):
    for query, member in (
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
        ("limit=1.0", "limit"), ("limit=99999999999999999999", "limit"), ("limit=5&limit=6", "limit"),
        ("cursor=", "cursor"), ("cursor=x", "cursor"), ("cursor=c-", "cursor"), ("cursor=c-0", "cursor"),
        ("cursor=c-ffffffffffffffffff", "cursor"), ("cursor=%FF", "cursor"), ("cursor=" + "c" * 200, "cursor"),
        ("limit=%zz", "query"),
    ):  # fmt: skip
        answer = server.call("GET", f"{path}?{query}")
        assert (answer.status, answer.error, answer.json["member"]) == (400, "INVALID_INPUT", member), query
    assert server.get(f"{path}?limit=100&whatever=1")["totalCount"] >= 0
    if path == "/api/users/1/coupons":
        for status in ("", "available", "GONE", "AVAILABLE,USED"):
            assert server.get(f"{path}?status={status}", 400)["member"] == "status"


# ---- administration ----


def test_winners_page_by_page_and_as_csv(server):
    coupon = server.make_coupon(500)
    for user in range(1000, 1250):
        assert server.take("issue", coupon, user).status == 200
    path = f"/api/admin/coupons/{coupon}/winners"
    listed = pages(server, path, "winners", 100)
    assert [w["sequenceNumber"] for w in listed] == list(range(1, 251))
    assert [w["userId"] for w in listed] == list(range(1000, 1250))
    answer = server.call("GET", path, headers=(("Accept", "text/csv"),))
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert [(int(r["sequenceNumber"]), int(r["userId"])) for r in rows] == list(enumerate(range(1000, 1250), 1))
    assert [int(r["userCouponId"]) for r in rows] == [w["userCouponId"] for w in listed]
    assert server.get("/api/admin/coupons/777/winners", 404)["error"] == "NOT_FOUND"


def test_creating_coupons(server):
    body = {"couponId": 4242, "name": "n", "discountRate": 0, "totalQuantity": 1, "endsAt": when(1)}
    made = server.post("/api/admin/coupons", body, 201)
    assert (made["couponId"], made["status"], made["remainingQuantity"]) == (4242, "OPEN", 1)
    taken = server.call("POST", "/api/admin/coupons", body)
    assert (taken.status, taken.error) == (409, "CONFLICT")
    assert server.make_coupon(1) == 4243
    assert server.take("issue", 4242, 1000).status == 200


@pytest.mark.parametrize(
    "change, member",
    [
        ({"totalQuantity": 0}, "totalQuantity"), ({"totalQuantity": 10**8 + 1}, "totalQuantity"),
        ({"discountRate": -1}, "discountRate"), ({"discountRate": 101}, "discountRate"),
        ({"endsAt": "tomorrow"}, "endsAt"), ({"endsAt": "2026-02-30T00:00:00Z"}, "endsAt"),
        ({"endsAt": None}, "endsAt"), ({"startsAt": when(31)}, "endsAt"), ({"name": ""}, "name"),
        ({"name": "x" * 61}, "name"), ({"usesPerUser": 0}, "usesPerUser"), ({"couponId": 0}, "couponId"),
    ],
)  # fmt: skip
def test_coupons_that_cannot_be(server, change, member):
    body = {"name": "n", "discountRate": 1, "totalQuantity": 1, "endsAt": when(30), **change}
    answer = server.call("POST", "/api/admin/coupons", body)
    assert (answer.status, answer.error, answer.json["member"]) == (400, "INVALID_INPUT", member)
    assert server.get("/api/admin/coupons")["totalCount"] == 5


def test_changing_coupons(server):
    path = "/api/admin/coupons/2"
    before = server.get("/api/coupons/2")
    assert server.patch(path, {}) == before
    assert server.patch(path, {"totalQuantity": 60}) == {**before, "totalQuantity": 60, "remainingQuantity": 60}
    refused = server.call("PATCH", path, {"startsAt": when(5), "endsAt": when(4)})
    assert (refused.status, refused.json["member"]) == (400, "endsAt")
    assert server.call("PATCH", path, {"totalQuantity": 0}).json["member"] == "totalQuantity"
    assert server.call("PATCH", "/api/admin/coupons/777", {"closed": True}).status == 404
    assert server.get("/api/coupons/2") == {**before, "totalQuantity": 60, "remainingQuantity": 60}


def test_changes_survive_a_restart(serve):
    server = serve()
    coupon = server.make_coupon(100)
    for user in range(1000, 1010):
        server.take("issue", coupon, user)
    server.patch(f"/api/admin/coupons/{coupon}", {"totalQuantity": 50, "closed": True})
    before = server.get(f"/api/coupons/{coupon}")
    server.kill9()
    server.start()
    assert server.get(f"/api/coupons/{coupon}") == before
    assert server.take("issue", coupon, 2000).error == "COUPON_ENDED"
    server.patch(f"/api/admin/coupons/{coupon}", {"closed": False})
    assert server.take("issue", coupon, 2000).json["sequenceNumber"] == 11
    assert server.proof(coupon)["ok"]
