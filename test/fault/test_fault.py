# SPDX-License-Identifier: Apache-2.0
"""Every write, sync, truncation, open and allocation on the way of issue, reserve and charge failed
in turn: once, and from then on. Whatever was answered is true, what was refused can be had again,
nothing is half done, and the process goes on, or ends with 74 after an uncertain commit.

FAULT_FULL=1: ten times as many of the allocations of a start, and more kinds (minutes more).
"""

import collections
import errno
import os
import shutil
import signal

import pytest

from support.client import Request, storm
from support.fault import ALLOC, FROM_THEN_ON, OPEN, SYNC, TRUNCATE, WRITE, Faults, build
from support.server import EXIT_UNCERTAIN, Server, wait_for, write_told

FULL = os.environ.get("FAULT_FULL") == "1"
STEPS_MAX = 1000
WALLET, WALLET_START = 2, 500000
SETTLED_SECONDS = 5


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("fault"))


class Shop:
    """A server that can be made to fail, and all that people were told by it."""

    def __init__(self, serve, library, **settings):
        settings = {"gate__sweep_after": "200ms", "ledger__reserve_linger": "0ms", **settings}
        self.server = serve(prepare=lambda server: self.prepare(server, library), **settings)
        self.coupon = self.server.make_coupon(100000)
        self.next_user, self.next_key = 1000, 0
        self.numbers, self.granted, self.charges = {}, set(), {}
        self.told = self.server.directory / "told"
        self.exits, self.outcomes = collections.Counter(), collections.Counter()

    def prepare(self, server, library):
        self.faults = Faults(library, server.directory)
        server.env = self.faults.env

    # ---- what people do ----

    def take(self, way, user):
        return Request("POST", f"/api/coupons/{self.coupon}/{way}", {"userId": user}, user=user, way=way)

    def charge(self, key):
        body = {"amount": 1 + key % 7, "idempotencyKey": f"key-{key}"}
        return Request("POST", f"/api/users/{WALLET}/balance/charge", body, user=key, way="charge")

    def burst(self):
        """A dozen requests of people who have not been here before, some of them twice."""
        a, b, c, d, e = range(self.next_user, self.next_user + 5)
        self.next_user += 5
        key, self.next_key = self.next_key, self.next_key + 3
        return [
            self.take("reserve", a), self.take("issue", b), self.charge(key), self.take("reserve", c),
            self.take("issue", a), self.charge(key), self.take("issue", d), self.charge(key + 1),
            self.take("reserve", b), self.take("reserve", e), self.charge(key + 2), self.take("issue", c),
        ]  # fmt: skip

    def ask(self, requests):
        """Gives those that were refused or not answered; the others must fit what was told before."""
        refused = []
        asked = storm(self.server, requests, connections=4)
        for request in asked:
            self.outcomes[request.answer and request.answer.status] += 1
            if request.answer is None or request.answer.status == 503:
                refused.append(request)
            elif request.way == "charge":
                self.learn_charge(request)
            else:
                self.learn_place(request)
        write_told(self.told, [r for r in asked if r.way != "charge"])
        return refused

    def learn_charge(self, request):
        assert request.answer.status == 200, request.answer
        body = self.charges.setdefault(request.user, request.answer.body)
        assert body == request.answer.body

    def learn_place(self, request):
        answer, user = request.answer, request.user
        assert (answer.status, answer.error) in ((200, None), (409, "ALREADY_ISSUED_COUPON")), answer
        if answer.status == 200:
            assert user not in self.granted, f"200 twice: {user}"
            self.granted.add(user)
        number = answer.json["sequenceNumber"]
        assert self.numbers.setdefault(user, number) == number, f"user {user}: {self.numbers[user]}, then {number}"

    # ---- what must be so ----

    def settle(self, seconds=0.3):
        """What was told is rows, or the server has ended; a fault may be in the way of both."""

        def done():
            return not self.server.alive() or self.missing() == 0

        try:
            wait_for(done, seconds)
        except AssertionError:
            pass

    def missing(self):
        return len(self.numbers.keys() - set(self.server.rows(self.coupon).values()))

    def reap(self, allowed):
        """It has ended: with an exit that is allowed."""
        code = self.server.reap()
        self.exits[code] += 1
        assert code in allowed, f"exit {code}: {self.server.log_tail()}"

    def retry(self, refused):
        """Refused, and the fault is gone: now it works, without a restart."""

        def again():
            nonlocal refused
            refused = self.ask([self.copy(r) for r in refused])
            return not refused

        if refused:
            wait_for(again, SETTLED_SECONDS, 0.05, what=f"{[(r.way, r.answer) for r in refused]} granted at last")

    def copy(self, request):
        return self.charge(request.user) if request.way == "charge" else self.take(request.way, request.user)

    def restart(self):
        if self.server.alive():
            self.server.kill9()
        self.server.start()

    def check(self):
        """Rows, numbers, money: all as told, nothing more, nothing half."""
        wait_for(lambda: self.missing() == 0, SETTLED_SECONDS, what="rows of what was told")
        rows = {user: number for number, user in self.server.rows(self.coupon).items()}
        assert self.numbers.items() <= rows.items()
        proof = self.server.settled(self.coupon)
        assert proof["ok"], proof
        code, said = self.server.prove(self.coupon, self.told)
        assert code == 0, said
        stored = dict(self.server.sql("SELECT idempotency_key, amount FROM charges WHERE user_id = ?", WALLET))
        assert {f"key-{key}" for key in self.charges} <= set(stored)
        assert self.server.get(f"/api/users/{WALLET}/balance")["balance"] == WALLET_START + sum(stored.values())


@pytest.fixture
def shop(serve, library):
    return lambda **settings: Shop(serve, library, **settings)


KINDS = {
    "write fails once": dict(calls=WRITE),
    "writes fail": dict(calls=WRITE, count=FROM_THEN_ON),
    "no room once": dict(calls=WRITE, error=errno.ENOSPC),
    "no room": dict(calls=WRITE, error=errno.ENOSPC, count=FROM_THEN_ON),
    "short once": dict(calls=WRITE, error=errno.ENOSPC, short=True),
    "short, then no room": dict(calls=WRITE, error=errno.ENOSPC, short=True, count=FROM_THEN_ON),
    "sync fails once": dict(calls=SYNC),
    "syncs fail": dict(calls=SYNC, count=FROM_THEN_ON),
    "journal: write fails once": dict(calls=WRITE, path=".journal"),
    "journal: no room": dict(calls=WRITE | OPEN, path=".journal", error=errno.ENOSPC, count=FROM_THEN_ON),
    "journal: short once": dict(calls=WRITE, path=".journal", short=True),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_files(shop, kind):
    """The N-th call of the kind, N from 1 until there are not so many."""
    shop = shop(journal__generation_bytes_max="4K")
    for step in range(1, STEPS_MAX):
        shop.faults.arm(first=step, **KINDS[kind])
        refused = shop.ask(shop.burst())
        shop.settle()
        seen, hit = shop.faults.disarm()
        if shop.server.alive():
            shop.retry(refused)
        else:
            shop.reap({EXIT_UNCERTAIN})
        shop.restart()
        shop.retry(refused)
        shop.check()
        if not hit:
            break
    print(f"{kind}: {step - 1} points of {seen}, exits {dict(shop.exits)}, answers {dict(shop.outcomes)}")
    assert not hit and step > 1


def test_journal_that_cannot_start_a_new_generation(shop):
    """The old one is written on, until there are descriptors again."""
    shop = shop(journal__generation_bytes_max="4K")
    shop.faults.arm(OPEN, 1, FROM_THEN_ON, errno.EMFILE, path=".journal")
    for _ in range(40):
        assert not shop.ask(shop.burst())
    assert shop.faults.hits > 0
    (file,) = shop.server.data.glob("gate-*.journal")
    assert file.stat().st_size > 4096
    shop.faults.disarm()
    assert not shop.ask(shop.burst())
    wait_for(lambda: not file.exists(), what="the next generation")
    shop.restart()
    shop.check()


def test_journal_that_cannot_be_cut_back(shop):
    """The gate closes, holders keep hearing their numbers, and the next start is as if nothing had been."""
    shop = shop()
    shop.ask(shop.burst())
    shop.settle()
    shop.faults.arm(WRITE | TRUNCATE, 1, FROM_THEN_ON, errno.ENOSPC, short=True, path=".journal")
    user = shop.next_user
    assert shop.server.take("reserve", shop.coupon, user).status == 503
    shop.faults.disarm()
    for way in ("issue", "reserve"):
        answer = shop.server.take(way, shop.coupon, user)
        assert (answer.status, answer.error) == (503, "COUPON_CLOSED")
        for holder, number in shop.numbers.items():
            answer = shop.server.take(way, shop.coupon, holder)
            assert (answer.error, answer.json["sequenceNumber"]) == ("ALREADY_ISSUED_COUPON", number)
    ready = shop.server.call("GET", "/health/ready")
    assert ready.status == 503 and not {r["name"]: r["ok"] for r in ready.json["reasons"]}["gate"]
    shop.restart()
    shop.retry([shop.take("reserve", user)])
    shop.check()


# ---- memory ----


def whose_abort(log):
    """Who called abort(): the library of the frame behind the preloaded one."""
    frames = log.rpartition("ABORTED\n")[2].splitlines()
    return "libuv" if len(frames) > 1 and "libuv" in frames[1] else f"not libuv: {frames[:6]}"


def reap_without_memory(shop):
    """An allocation in the middle of a commit may leave it uncertain; libuv aborts in a few places."""
    shop.reap({EXIT_UNCERTAIN, -signal.SIGABRT})
    if shop.exits[-signal.SIGABRT]:
        assert whose_abort(shop.server.log_text()) == "libuv"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("count", [1, 3, FROM_THEN_ON] if FULL else [1, FROM_THEN_ON])
def test_allocations(shop, count, fresh):
    """The N-th allocation of the process, of one that has been serving or of one that just began to."""
    shop = shop()
    for step in range(1, STEPS_MAX):
        shop.faults.arm(ALLOC, step, count, errno.ENOMEM)
        refused = shop.ask(shop.burst())
        shop.settle(0.1)
        seen, hit = shop.faults.disarm()
        died = not shop.server.alive()
        if died:
            reap_without_memory(shop)
            shop.restart()
        shop.retry(refused)
        if not died and (fresh or step % 20 == 0):
            shop.restart()
        if step % 10 == 0 or not hit:
            shop.check()
        if not hit:
            break
    print(f"allocations: {step - 1} points of {seen}, exits {dict(shop.exits)}, answers {dict(shop.outcomes)}")
    assert not hit and step > 1


# ---- starting ----


def steps():
    """1, 2, 3, …, wider and wider, with FAULT_FULL later."""
    step = 1
    while True:
        yield step
        step += max(1, step // (80 if FULL else 8))


def try_start(shop):
    """Whether it serves; else it has said why not, and ended with 1, or 74 if that was uncertain."""
    server, before = shop.server, len(shop.server.log_text())
    server.launch()
    if server.process.stdout.readline():
        return True
    code = server.process.wait(30)
    server.process.stdout.close()
    server.process = None
    shop.exits[code] += 1
    said = server.log_text()[before:]
    if code == -signal.SIGABRT:
        assert whose_abort(said) == "libuv"
    else:
        assert code in (1, EXIT_UNCERTAIN) and "doorbuster: " in said, f"exit {code}: {said}"
    return False


@pytest.mark.timeout(600)
@pytest.mark.parametrize("calls", [WRITE, SYNC, TRUNCATE, OPEN, ALLOC])
@pytest.mark.parametrize("count", [1, FROM_THEN_ON])
def test_starting(shop, calls, count):
    """On a store and a journal that hold something: it serves, or says why not; nothing is lost."""
    shop = shop()
    served = 0
    for step in steps():
        shop.ask(shop.burst())
        if shop.server.alive():
            shop.server.kill9()
        shop.faults.arm(calls, step, count, errno.ENOMEM if calls == ALLOC else errno.EIO)
        started = try_start(shop)
        seen, hit = shop.faults.disarm()
        if started:
            served += 1
            shop.server.process.send_signal(signal.SIGKILL)
            shop.server.reap()
        shop.server.start()
        if step % 10 == 1:
            shop.check()
        if not hit:
            break
    shop.check()
    print(f"starting: {step} of {seen}, served {served}, exits {dict(shop.exits)}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("calls", [WRITE, SYNC, TRUNCATE, OPEN, ALLOC])
def test_the_very_first_start(serve, library, tmp_path, calls):
    """Of an empty directory; what it leaves when it fails, the next start takes up."""
    exits = collections.Counter()
    for step in steps():
        directory = tmp_path / f"first{step}"
        directory.mkdir()
        server = Server(directory)
        faults = Faults(library, directory)
        server.env = faults.env
        faults.arm(calls, step, 1, errno.ENOMEM if calls == ALLOC else errno.EIO)
        shop = Attempt(server, exits)
        if try_start(shop):
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            server.process.stdout.close()
        seen, hit = faults.disarm()
        server.start()
        assert server.get("/api/users/309999/balance")["balance"] == 10000
        assert server.get("/api/admin/coupons")["totalCount"] == 5
        assert server.take("issue", 1, 1000).status == 200
        server.kill9()
        server.close()
        shutil.rmtree(directory)
        if not hit:
            break
    print(f"first start: {step} of {seen}, exits {dict(exits)}")


Attempt = collections.namedtuple("Attempt", "server exits")
