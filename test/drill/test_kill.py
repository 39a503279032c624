# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments of a drop under load: what was answered is so, for good."""

import os
import random
import signal

import pytest

from support.client import Request, storm
from support.server import Server, write_told

KILLS = int(os.environ.get("DRILL_KILLS", "30"))
CHARGES = int(os.environ.get("DRILL_CHARGES", "10000"))
SEED = int(os.environ.get("DRILL_SEED", str(random.randrange(1 << 30))))
FIRST_USER = 1_000_000
PAYER = 1


class Killer:
    """Ends the server after so many answers, in the middle of everything else."""

    def __init__(self, server, after):
        self.server, self.left, self.dead = server, after, False

    def __call__(self, running, _request):
        self.left -= 1
        if self.left <= 0 and not self.dead:
            self.dead = True
            running.stopped = True
            self.server.process.send_signal(signal.SIGKILL)


class Drop:
    """Who asked, who was told what, over all lives of the server."""

    def __init__(self, server, coupon, rng, told):
        self.server, self.coupon, self.rng, self.told = server, coupon, rng, told
        self.numbers, self.unanswered, self.next_user = {}, [], FIRST_USER

    def take(self, user):
        way = self.rng.choice(("issue", "reserve"))
        return Request("POST", f"/api/coupons/{self.coupon}/{way}", {"userId": user}, user, way)

    def requests(self):
        """Those who heard nothing come back; new people; some click twice."""
        while True:
            if self.unanswered and self.rng.random() < 0.5:
                yield self.take(self.unanswered.pop())
                continue
            self.next_user += 1
            yield self.take(self.next_user)
            if self.rng.random() < 0.2:
                yield self.take(self.next_user)

    def note(self, asked):
        """Nobody ever hears two numbers; whoever has one is never told that all are gone."""
        write_told(self.told, asked)
        for request in asked:
            if request.answer is None or request.answer.status == 503:
                self.unanswered.append(request.user)
                continue
            body = request.answer.json
            if "sequenceNumber" in body:
                number = self.numbers.setdefault(request.user, body["sequenceNumber"])
                assert number == body["sequenceNumber"], (request.user, number, body)
            else:
                assert body["error"] == "COUPON_SOLD_OUT", body
                assert request.user not in self.numbers, (request.user, body)

    def check_rows(self, quantity):
        """After a restart: who was told has the row; nobody has two; never too many."""
        self.server.settled(self.coupon, 5)
        rows = self.server.rows(self.coupon)
        users = {user: slot for slot, user in rows.items()}
        assert len(users) == len(rows) <= quantity, "one user, two rows"
        lost = {u: n for u, n in self.numbers.items() if users.get(u) != n}
        assert not lost, f"told, and not so: {dict(list(lost.items())[:5])} of {len(lost)}"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("threads", [1, 2])
def test_kill_in_mid_drop(threads, tmp_path):
    """Killed again and again; then the drop runs to its exact end, and is proved."""
    rng = random.Random(SEED + threads)
    kills, quantity = (KILLS + 1) // 2, 400 * KILLS + 500
    print(f"seed {SEED}, {kills} kills, {threads} thread(s)")
    server = Server(tmp_path, threads=threads).start()
    try:
        server.make_users(FIRST_USER, 1_000_000 if KILLS > 60 else 200_000)
        coupon = server.make_coupon(quantity)
        drop = Drop(server, coupon, rng, tmp_path / "told")
        for _ in range(kills):
            killer = Killer(server, rng.randrange(1, 800))
            drop.note(storm(server, drop.requests(), connections=64, on_answer=killer))
            assert server.reap() == -signal.SIGKILL
            server.start()
            drop.check_rows(quantity)
        sold_out = Enough(rng)
        drop.note(storm(server, drop.requests(), connections=64, on_answer=sold_out))
        drop.check_rows(quantity)
        assert sorted(server.rows(coupon)) == list(range(1, quantity + 1))
        code, said = server.prove(coupon, drop.told)
        assert code == 0, said
    finally:
        server.close()


class Enough:
    """Stops some hundred answers after the last coupon is gone."""

    def __init__(self, _rng):
        self.left = 300

    def __call__(self, running, request):
        if request.answer.status == 409 and request.answer.error == "COUPON_SOLD_OUT":
            self.left -= 1
            running.stopped = running.stopped or self.left <= 0


class Charges:
    """Charges of one wallet, each key twice in five times; what was answered stays answered."""

    def __init__(self, rng):
        self.rng, self.next_key, self.again, self.answers = rng, 0, [], {}

    def request(self, key):
        body = {"amount": 1 + key % 7, "idempotencyKey": f"c{key}"}
        return Request("POST", f"/api/users/{PAYER}/balance/charge", body, key)

    def requests(self):
        while self.next_key < CHARGES or self.again:
            if self.again and (self.next_key >= CHARGES or self.rng.random() < 0.3):
                yield self.request(self.again.pop())
                continue
            key, self.next_key = self.next_key, self.next_key + 1
            yield self.request(key)
            if self.rng.random() < 0.2:
                yield self.request(key)

    def note(self, asked):
        """Equal answers, byte for byte; who heard nothing asks again with the same key."""
        for request in asked:
            if request.answer is None or request.answer.status == 503:
                self.again.append(request.user)
                continue
            assert request.answer.status == 200, request.answer
            first = self.answers.setdefault(request.user, request.answer.body)
            assert first == request.answer.body, (request.user, first, request.answer.body)


@pytest.mark.timeout(3600)
def test_charges_of_one_wallet(tmp_path):
    """One effect per key, whatever happens between commit and answer."""
    rng = random.Random(SEED)
    print(f"seed {SEED}, {CHARGES} charges")
    server = Server(tmp_path).start()
    try:
        before = server.get(f"/api/users/{PAYER}/balance")["balance"]
        charges = Charges(rng)
        kills = 0
        while charges.next_key < CHARGES or charges.again:
            killer = Killer(server, rng.randrange(CHARGES // 40, CHARGES // 8))
            charges.note(storm(server, charges.requests(), connections=64, on_answer=killer))
            if killer.dead:
                kills += 1
                assert server.reap() == -signal.SIGKILL
                server.start()
        assert len(charges.answers) == CHARGES and kills > 0
        charged = sum(1 + key % 7 for key in range(CHARGES))
        assert server.get(f"/api/users/{PAYER}/balance")["balance"] == before + charged
        assert server.sql("SELECT count(*), sum(amount) FROM charges") == [(CHARGES, charged)]
        charges.note(storm(server, [charges.request(k) for k in range(0, CHARGES, 17)], connections=16))
        assert server.get(f"/api/users/{PAYER}/balance")["balance"] == before + charged
        print(f"{kills} kills")
    finally:
        server.close()
