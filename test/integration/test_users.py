# SPDX-License-Identifier: Apache-2.0
"""Users, balances and charges; a key has one effect, whatever happens."""

import pytest

from support.client import Request, storm
from support.server import wait_for

MAX = 2**63 - 1


def charge_path(user):
    return f"/api/users/{user}/balance/charge"


def charge(server, user, amount, key, headers=()):
    return server.call("POST", charge_path(user), {"amount": amount, "idempotencyKey": key}, headers)


def balance(server, user):
    return server.get(f"/api/users/{user}/balance")["balance"]


# ---- looking ----


def test_a_user(server):
    user = server.get("/api/users/1")
    assert list(user) == ["userId", "username", "email", "balance"]
    assert (user["userId"], user["balance"]) == (1, 20_000_000_000)
    assert server.get("/api/users/1/balance") == {"userId": 1, "balance": 20_000_000_000}
    for path in ("/api/users/999999999", "/api/users/999999999/balance", "/api/users/0", "/api/users/-5"):
        assert server.get(path, 404)["code"] == "U001"


def test_the_load_test_users(server):
    expected = {2: 500000, 3: 100000, 4: 10**8, 153: 10**8, 1000: 10000, 10999: 10000, 200000: 10000, 200099: 10000,
                300000: 10000, 309999: 10000}  # fmt: skip
    assert {user: balance(server, user) for user in expected} == expected
    for user in (154, 999, 11000, 199999, 200100, 299999, 310000):
        assert server.get(f"/api/users/{user}", 404)["error"] == "USER_NOT_FOUND"
    names = {(u["username"], u["email"]) for u in (server.get(f"/api/users/{i}") for i in (1, 2, 1000, 300001))}
    assert len(names) == 4


# ---- creating ----


def test_one_user(server):
    body = {"userId": 777000, "username": "ada", "email": "ada@example.com", "balance": 5}
    assert server.post("/api/admin/users", body, 201) == {"created": 1}
    assert server.get("/api/users/777000") == body
    taken = server.call("POST", "/api/admin/users", body)
    assert (taken.status, taken.error) == (409, "CONFLICT")
    assert server.post("/api/admin/users", {"username": "next"}, 201) == {"created": 1}
    assert server.get("/api/users/777001")["username"] == "next"


def test_a_range_skips_who_is_there(server):
    assert server.make_users(10990, 20, balance=7) == 10
    assert balance(server, 10999) == 10000 and balance(server, 11009) == 7
    assert server.make_users(10990, 20) == 0


def test_a_large_range_lets_others_through(server):
    """200,000 users, written in pieces: charges meanwhile are not held up for all of it."""
    ranges = [Request("POST", "/api/admin/users", {"fromUserId": 10**6, "toUserId": 10**6 + 199999})]
    charges = [Request("POST", charge_path(1), {"amount": 1, "idempotencyKey": f"k{i}"}) for i in range(200)]
    asked = storm(server, ranges + charges, connections=8)
    assert asked[0].answer.json == {"created": 200000}
    assert all(r.answer.status == 200 for r in asked[1:])
    assert balance(server, 1) == 20_000_000_200
    assert balance(server, 10**6 + 199999) == 0


@pytest.mark.parametrize(
    "body, member",
    [
        ({"fromUserId": 5}, "toUserId"), ({"toUserId": 5}, "fromUserId"),
        ({"fromUserId": 5, "toUserId": 4}, "toUserId"),
        ({"fromUserId": 1, "toUserId": 1000001}, "toUserId"), ({"fromUserId": 0, "toUserId": 4}, "fromUserId"),
        ({"fromUserId": 1, "toUserId": 4, "userId": 9}, "fromUserId"), ({"userId": 0}, "userId"),
        ({"userId": 9, "balance": -1}, "balance"), ({"userId": 9, "username": ""}, "username"),
    ],
)  # fmt: skip
def test_users_that_cannot_be(server, body, member):
    answer = server.call("POST", "/api/admin/users", body)
    assert (answer.status, answer.error, answer.json["member"]) == (400, "INVALID_INPUT", member)


# ---- charging ----


def test_a_charge_and_its_replay(server):
    first = charge(server, 2, 1000, "once")
    body = first.json
    assert list(body) == ["userId", "balance", "chargedAmount", "chargedAt"]
    assert (first.status, body["userId"], body["balance"], body["chargedAmount"]) == (200, 2, 501000, 1000)
    charge(server, 2, 5, "between")
    again = charge(server, 2, 1000, "once")
    assert (again.status, again.body) == (200, first.body)
    assert balance(server, 2) == 501005


def test_the_key_with_another_body_is_refused(server):
    charge(server, 2, 1000, "once")
    other = charge(server, 2, 1001, "once")
    assert (other.status, other.json["code"], other.error) == (422, "PAY004", "IDEMPOTENCY_KEY_REUSED")
    assert charge(server, 3, 1001, "once").status == 200  # a key is its user's
    assert (balance(server, 2), balance(server, 3)) == (501000, 101001)


def test_order_of_members_and_unknown_ones_do_not_count(server):
    first = charge(server, 2, 1000, "once")
    again = server.call("POST", charge_path(2), b'{ "idempotencyKey":"once" , "more":[1,{"a":null}],"amount":1000}')
    assert (again.status, again.body) == (200, first.body)


def test_the_key_in_header_or_body(server):
    key = (("Idempotency-Key", "once"),)
    first = server.call("POST", charge_path(2), {"amount": 10}, key)
    assert first.status == 200
    for body, headers in (
        ({"amount": 10}, key), ({"amount": 10, "idempotencyKey": "once"}, key),
        ({"amount": 10, "idempotencyKey": "once"}, ()), ({"amount": 10, "idempotencyKey": None}, key),
    ):  # fmt: skip
        again = server.call("POST", charge_path(2), body, headers)
        assert (again.status, again.body) == (200, first.body)
    differ = server.call("POST", charge_path(2), {"amount": 10, "idempotencyKey": "twice"}, key)
    neither = server.call("POST", charge_path(2), {"amount": 10})
    for answer in (differ, neither):
        assert (answer.status, answer.error, answer.json["member"]) == (400, "INVALID_INPUT", "idempotencyKey")
    assert balance(server, 2) == 500010


KEYS = [("x", True), ("x" * 100, True), ("열" * 100, True), ("", False), ("x" * 101, False), ("열" * 101, False)]


@pytest.mark.parametrize("key, good", KEYS)
def test_length_of_a_key(server, key, good):
    answer = charge(server, 2, 1, key)
    assert (answer.status == 200) == good, answer
    if not good:
        assert (answer.status, answer.json["member"]) == (400, "idempotencyKey")
    header = server.call("POST", charge_path(3), {"amount": 1}, (("Idempotency-Key", key.encode().decode("latin-1")),))
    assert header.status == (200 if good else 400), header


@pytest.mark.parametrize("amount", [0, -1, -MAX - 1, 10**12 + 1, MAX])
def test_amounts_that_cannot_be(server, amount):
    answer = charge(server, 2, amount, "key")
    assert (answer.status, answer.json["code"], answer.error) == (400, "U002", "INVALID_CHARGE_AMOUNT")
    assert charge(server, 2, 10**12, "key").status == 200  # a refusal does not use the key up
    assert balance(server, 2) == 500000 + 10**12


def test_a_balance_does_not_overflow(server):
    server.post("/api/admin/users", {"userId": 777000, "balance": MAX - 10}, 201)
    assert charge(server, 777000, 11, "a").json["code"] == "U002"
    assert charge(server, 777000, 10, "b").json["balance"] == MAX
    assert charge(server, 777000, 1, "c").json["code"] == "U002"
    assert charge(server, 777000, 10, "b").json["balance"] == MAX


def test_nobody_is_not_charged(server):
    assert charge(server, 999999999, 10, "key").json["code"] == "U001"
    assert charge(server, 0, 10, "key").json["code"] == "U001"
    server.post("/api/admin/users", {"userId": 999999999}, 201)
    assert charge(server, 999999999, 10, "key").json["balance"] == 10


@pytest.mark.parametrize("threads", [1, 2])
def test_one_key_50_times_at_once(serve, threads):
    server = serve(threads=threads)
    for i in range(20):
        body = {"amount": 100 + i, "idempotencyKey": f"key-{i}"}
        asked = storm(server, [Request("POST", charge_path(2), body) for _ in range(50)], connections=50)
        assert {(r.answer.status, r.answer.body) for r in asked} == {(200, asked[0].answer.body)}
    assert balance(server, 2) == 500000 + sum(100 + i for i in range(20))


def test_one_key_two_bodies_at_once(serve):
    """Whoever comes first wins; the others hear 422, or the winner's bytes."""
    server = serve(threads=2)
    asked = storm(
        server,
        [Request("POST", charge_path(2), {"amount": 1 + i % 2, "idempotencyKey": "k"}, way=i % 2) for i in range(50)],
        connections=50,
    )
    good = {r.answer.body for r in asked if r.answer.status == 200}
    assert len(good) == 1 and len({r.way for r in asked if r.answer.status == 200}) == 1
    assert {r.answer.status for r in asked} == {200, 422}
    assert balance(server, 2) in (500001, 500002)


@pytest.mark.parametrize("threads", [1, 2])
def test_10000_charges_of_one_wallet(serve, threads):
    """Every fifth one is a replay; every answer's balance is one that really was."""
    server = serve(threads=threads)
    keys = [i - 1 if i % 5 == 4 else i for i in range(10000)]
    requests = [Request("POST", charge_path(2), {"amount": 1, "idempotencyKey": f"k{k}"}, user=k) for k in keys]
    asked = storm(server, requests, connections=64)
    bodies = {}
    for request in asked:
        assert request.answer.status == 200, request.answer
        assert bodies.setdefault(request.user, request.answer.body) == request.answer.body
    assert balance(server, 2) == 500000 + 8000
    seen = sorted(r.answer.json["balance"] for r in asked if r.user % 5 != 3)
    assert len(set(seen)) == len(seen)


def test_replays_survive_restart_and_kill(serve):
    server = serve()
    first = charge(server, 2, 1000, "once").body
    server.stop()
    server.start()
    assert charge(server, 2, 1000, "once").body == first
    second = charge(server, 2, 2000, "twice").body
    server.kill9()
    server.start()
    assert charge(server, 2, 1000, "once").body == first
    assert charge(server, 2, 2000, "twice").body == second
    assert charge(server, 2, 2001, "twice").status == 422
    assert balance(server, 2) == 503000


def test_after_a_day_the_row_answers(serve):
    """The bytes go, the key stays: the same values, the same refusal of others."""
    server = serve()
    first = charge(server, 2, 1000, "once").json
    charge(server, 2, 1000, "more")
    server.post("/api/admin/test/clock", {"advanceSeconds": 25 * 3600})
    server.stop()
    server.start()
    with_bytes = "SELECT count(*) FROM charges WHERE answer IS NOT NULL"
    wait_for(lambda: server.sql(with_bytes) == [(0,)], seconds=25, what="bytes gone")
    assert charge(server, 2, 1000, "once").json == first
    assert charge(server, 2, 999, "once").status == 422
    assert balance(server, 2) == 502000


def test_while_sql_is_away(server):
    charge(server, 2, 1, "before")
    server.fault("ledger", True)
    answer = charge(server, 2, 1, "during")
    assert (answer.status, answer.error) == (503, "STORE_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) >= 1
    server.fault("ledger", False)
    assert charge(server, 2, 1, "during").json["balance"] == 500002
    assert charge(server, 2, 1, "during").json["balance"] == 500002


def test_the_key_is_ignored_elsewhere(server):
    key = (("Idempotency-Key", "x" * 500),)
    assert server.call("POST", "/api/coupons/2/issue", {"userId": 1000}, key).status == 200
    assert server.call("POST", "/api/coupons/2/issue", {"userId": 1000}, key).status == 409
