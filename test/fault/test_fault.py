# SPDX-License-Identifier: Apache-2.0
"""Every write, sync, truncation and allocation of issue, reserve and charge fails in turn."""

import errno
import mmap
import os
import pathlib
import struct
import subprocess

import pytest

from support.client import Caller, encode
from support.server import EXIT_UNCERTAIN, Server

HERE = pathlib.Path(__file__).resolve().parent
WRITE, SYNC, TRUNCATE, ALLOC = 1, 2, 4, 8
PAYER, FIRST_USER = 1, 1_000_000
STEPS_MAX = int(os.environ.get("FAULT_STEPS", "400"))

CASES = {
    "write fails once": dict(what=WRITE, error=errno.EIO),
    "write fails from then on": dict(what=WRITE, error=errno.EIO, on=1),
    "disk full once": dict(what=WRITE, error=errno.ENOSPC),
    "disk full from then on": dict(what=WRITE, error=errno.ENOSPC, on=1),
    "short write once": dict(what=WRITE, error=errno.ENOSPC, short=1),
    "sync fails once": dict(what=SYNC, error=errno.EIO),
    "sync fails from then on": dict(what=SYNC, error=errno.EIO, on=1),
    "write and cutting back fail": dict(what=WRITE | TRUNCATE, error=errno.EIO, on=1),
    "allocation fails once": dict(what=ALLOC, error=errno.ENOMEM),
    "allocation fails from then on": dict(what=ALLOC, error=errno.ENOMEM, on=1),
}


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library that makes calls fail."""
    library = tmp_path_factory.mktemp("shim") / "fault_preload.so"
    source = HERE / "fault_preload.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-D_GNU_SOURCE", "-o", library, source], check=True)
    return library


class Faults:
    """The page that the shim looks at."""

    def __init__(self, path):
        path.write_bytes(bytes(4096))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def arm(self, what, nth, error, on=0, short=0):
        self.page[0:28] = struct.pack("7I", 0, nth, on, error, short, 0, 0)
        self.page[0:4] = struct.pack("I", what)

    def disarm(self):
        """How many calls failed."""
        self.page[0:4] = struct.pack("I", 0)
        return struct.unpack("I", self.page[24:28])[0]


class Burst:
    """One issue, one reserve and one charge a step, each by a user, or under a key, of its own."""

    def __init__(self, server, coupon, told):
        self.server, self.coupon, self.told = server, coupon, told
        self.step = self.exits = 0

    def call(self, path, body):
        """The answer, or None where the connection ended without one."""
        caller = Caller(self.server.port, timeout=20)
        try:
            return caller.call("POST", path, body)
        except (ConnectionError, OSError):
            return None
        finally:
            caller.close()

    def calls(self):
        """(kind, user, path, body) of this step."""
        user = FIRST_USER + 2 * self.step
        return [
            ("issue", user, f"/api/coupons/{self.coupon}/issue", {"userId": user}),
            ("reserve", user + 1, f"/api/coupons/{self.coupon}/reserve", {"userId": user + 1}),
            ("charge", PAYER, f"/api/users/{PAYER}/balance/charge", {"amount": 1, "idempotencyKey": f"k{self.step}"}),
        ]

    def note(self, kind, user, answer):
        """What the caller was told must be so, for good."""
        if kind == "charge" or answer is None or answer.status != 200:
            return
        word = "issued" if kind == "issue" else "reserved"
        with open(self.told, "a", encoding="utf-8") as out:
            out.write(f"{word} {user} {answer.json['sequenceNumber']}\n")

    def run(self, honest):
        """All three; `honest` checks each answer."""
        for kind, user, path, body in self.calls():
            answer = self.call(path, body)
            honest(kind, answer)
            self.note(kind, user, answer)

    def again(self):
        """With nothing failing, everybody gets what they asked for; who had it hears so."""
        for kind, user, path, body in self.calls():
            answer = self.call(path, body)
            assert answer is not None, f"step {self.step}: {kind} unanswered, {self.server.log_tail()}"
            done = answer.status == 200 or (kind != "charge" and answer.error == "ALREADY_ISSUED_COUPON")
            assert done, f"step {self.step}: {kind} after the fault: {answer}, {self.server.log_tail()}"
            self.note(kind, user, answer)
        self.step += 1

    def revive(self):
        """An uncertain commit ends the server; a journal that could not be cut back shuts its gate."""
        if self.ready():
            return
        try:
            code = self.server.process.wait(2)
            assert code == EXIT_UNCERTAIN, f"exit {code}: {self.server.log_tail()}"
            self.server.reap()
        except subprocess.TimeoutExpired:
            assert "journal write failed" in self.server.log_text(), self.server.log_tail()
            self.server.stop()
        self.exits += 1
        self.server.start()

    def ready(self):
        caller = Caller(self.server.port, 5)
        try:
            return self.server.alive() and caller.raw(encode("GET", "/health/ready")).status == 200
        except (ConnectionError, OSError):
            return False
        finally:
            caller.close()


def check_honest(kind, answer):
    """Done, or an honest refusal; never a 500, never nothing but for a server that ends."""
    if answer is None:
        return
    assert answer.status in (200, 503), f"{kind}: {answer}"
    if answer.status == 503:
        assert "retry-after" in answer.headers, answer


@pytest.mark.parametrize("name", CASES)
def test_each_in_turn(name, shim, tmp_path):
    """From the first call to the first that is not reached any more."""
    case = CASES[name]
    faults = Faults(tmp_path / "control")
    server = Server(tmp_path, env={"LD_PRELOAD": str(shim), "FAULT_CONTROL": str(tmp_path / "control")})
    server.expected_exit = (0, EXIT_UNCERTAIN)
    server.start()
    try:
        server.make_users(FIRST_USER, 20 * STEPS_MAX)
        coupon = server.make_coupon(100_000)
        before = server.get(f"/api/users/{PAYER}/balance")["balance"]
        burst = Burst(server, coupon, tmp_path / "told")
        burst.again()
        hits, nth = 1, 0
        while hits and nth < STEPS_MAX:
            faults.arm(case["what"], nth, case["error"], case.get("on", 0), case.get("short", 0))
            burst.run(check_honest)
            hits = faults.disarm()
            burst.revive()
            burst.again()
            nth += 1
        assert nth > 1, "the shim has failed nothing"
        server.settled(coupon)
        assert server.get(f"/api/users/{PAYER}/balance")["balance"] == before + burst.step
        code, said = server.prove(coupon, tmp_path / "told")
        assert code == 0, said
        server.kill9()
        server.start()
        server.settled(coupon)
        code, said = server.prove(coupon, tmp_path / "told")
        assert code == 0, said
        print(f"{name}: {nth - 1} points of failure, {burst.exits} restarts")
    finally:
        faults.disarm()
        server.close()
