# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment changes nothing.

DRILL_KILLS: how many (default 40; 200 and more are the whole thing). DRILL_CHARGES: charges of one
user (default 10,000; 100,000). DRILL_SEED: another course of events; it is printed.
"""

import os
import random
import time

import pytest

from drill.drop import Drop
from support.client import Request, storm
from support.killer import Killer

KILLS = int(os.environ.get("DRILL_KILLS", "40"))
CHARGES = int(os.environ.get("DRILL_CHARGES", "10000"))
SEED = int(os.environ.get("DRILL_SEED", time.time_ns() % 10**9))
FIRST_USER = 500000
QUANTITY = 12000
PEOPLE = 16000


@pytest.mark.timeout(3600)
def test_kills_in_mid_drop(serve, tmp_path):
    """Drop after drop on the same data, killed again and again, each run to its exact end."""
    print(f"DRILL_SEED={SEED}")
    rng = random.Random(SEED)
    server = serve(threads=2)
    server.make_users(FIRST_USER, PEOPLE)
    killer, drops = Killer(server, rng), 0
    while killer.kills < KILLS:
        drop = Drop(server, rng, tmp_path / f"told{drops}", QUANTITY, PEOPLE, FIRST_USER)
        drops += 1
        while killer.kills < KILLS and not drop.sold_out:
            drop.take_in(killer.storm(drop))
            killer.restart()
            drop.check()
        drop.finish()
    print(f"{killer.kills} kills in {drops} drops of {QUANTITY}")


def test_killed_right_after_the_header_of_a_new_wal(serve):
    """A WAL of 32 bytes beside a stale index: the moment is too short to be met by chance each time."""
    server = serve()
    server.take("issue", 2, 1000)
    wal, index = server.data / "shop.db-wal", server.data / "shop.db-shm"
    header, stale = wal.read_bytes()[:32], index.read_bytes()
    server.stop()
    assert not wal.exists()
    wal.write_bytes(header)
    index.write_bytes(stale)
    started = time.monotonic()
    server.start()
    assert time.monotonic() - started < 2
    assert server.rows(2) == {1: 1000}


def reserve_without_sql(server, drop, user):
    """Told, and only the journal knows."""
    server.call("POST", "/api/coupons/5/issue", {"userId": user})  # known from now on, without SQL
    server.fault("ledger", True)
    path = f"/api/coupons/{drop.coupon}/reserve"
    drop.take_in(storm(server, [Request("POST", path, {"userId": user}, user=user)], connections=1))
    assert user in drop.numbers


@pytest.mark.parametrize("planted", ["journal gone", "row gone", "row of another", "number changed"])
def test_the_drill_would_notice(serve, tmp_path, planted):
    """What must never happen, made to happen: the checks above are not satisfied."""
    rng, server = random.Random(1), serve()
    server.make_users(FIRST_USER, PEOPLE)
    drop = Drop(server, rng, tmp_path / "told", QUANTITY, PEOPLE, FIRST_USER)
    drop.take_in(storm(server, [drop.request(user) for user in drop.waiting[:100]], connections=8))
    server.settled(drop.coupon)
    if planted == "journal gone":
        reserve_without_sql(server, drop, drop.waiting[100])
    server.kill9()
    if planted == "journal gone":
        for journal in server.data.glob("gate-*.journal"):
            journal.unlink()
    else:
        change = {
            "row gone": "DELETE FROM user_coupons WHERE coupon_id = ? AND slot = 50",
            "row of another": "UPDATE user_coupons SET user_id = 1 WHERE coupon_id = ? AND slot = 50",
            "number changed": "UPDATE user_coupons SET slot = 5000 WHERE coupon_id = ? AND slot = 50",
        }[planted]
        assert server.change_sql(change, drop.coupon) == 1
    server.start()
    with pytest.raises(AssertionError):
        drop.check()


# ---- charges ----


class Wallet:
    """One user's charges, one in five of them a replay; an unanswered one is sent again."""

    def __init__(self, server, rng, user):
        self.server, self.rng, self.user = server, rng, user
        self.bodies, self.todo, self.next_key = {}, [], 0
        self.effects = CHARGES * 4 // 5

    def amount(self, key):
        return 1 + key % 97

    def request(self, key):
        body = {"amount": self.amount(key), "idempotencyKey": f"charge-{key}"}
        return Request("POST", f"/api/users/{self.user}/balance/charge", body, user=key)

    def stream(self):
        todo, self.todo = self.todo, []
        yield from map(self.request, todo)
        while self.next_key < self.effects:
            self.next_key += 1
            yield self.request(self.next_key - 1)
            if self.next_key % 4 == 0:
                yield self.request(self.rng.randrange(max(0, self.next_key - 200), self.next_key))

    def take_in(self, asked):
        for request in asked:
            if request.answer is None or request.answer.status == 503:
                self.todo.append(request.user)
                continue
            assert request.answer.status == 200, request.answer
            first = self.bodies.setdefault(request.user, request.answer.body)
            assert first == request.answer.body, f"key {request.user}: {first} and {request.answer.body}"

    def done(self):
        return self.next_key == self.effects and not self.todo


@pytest.mark.timeout(3600)
def test_charges_killed_in_between(serve):
    print(f"DRILL_SEED={SEED}")
    rng = random.Random(SEED)
    server = serve(threads=2)
    wallet, killer = Wallet(server, rng, 2), Killer(server, rng)
    while not wallet.done():
        wallet.take_in(killer.storm(wallet))
        killer.restart()
        rows = server.sql("SELECT count(*), coalesce(sum(amount), 0) FROM charges")[0]
        assert server.get("/api/users/2/balance")["balance"] == 500000 + rows[1]
    asked = storm(server, [wallet.request(key) for key in range(wallet.effects)], connections=64)
    wallet.take_in(asked)
    total = sum(map(wallet.amount, range(wallet.effects)))
    assert server.get("/api/users/2/balance")["balance"] == 500000 + total
    assert server.sql("SELECT count(*), count(DISTINCT idempotency_key) FROM charges") == [(wallet.effects,) * 2]
    chain = server.sql("SELECT balance_after, amount FROM charges ORDER BY balance_after")
    balance = 500000
    for after, amount in chain:
        balance += amount
        assert after == balance
    print(f"{CHARGES} charges, {killer.kills} kills")
