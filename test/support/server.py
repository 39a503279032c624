# SPDX-License-Identifier: Apache-2.0
"""The server under test: a process of its own, on a free port, in a directory of its own."""

import ctypes
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

from support import contract
from support.client import Caller

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("DOORBUSTER", str(ROOT / "build" / "doorbuster"))
# The version to come, one migration ahead.
NEXT_PROGRAM = PROGRAM + "_next"
START_SECONDS = 30
STOP_SECONDS = 15
EXIT_UNCERTAIN = 74
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def die_with_parent():
    """A test that is killed leaves no server behind."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# An instrumented program is many times slower, which is not held against it.
PATIENCE = ["--set", "http.drain_timeout=1s"]
if os.environ.get("DOORBUSTER_TEST_SLOW") == "1":
    PATIENCE = ["--set", "http.drain_timeout=5s", "--set", "ledger.queue_age_max=10s"]


def inherited():
    """Our environment, without what is meant for tests: the program takes no name it does not know."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DOORBUSTER_TEST_")}


def wait_for(condition, seconds=10, every=0.01, what="condition"):
    """Polls until `condition` gives something true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(every)


class Server:
    """`doorbuster serve` on one data directory; may be started again after it ended."""

    program = PROGRAM

    def __init__(self, directory, profile="test", threads=1, env=None, limits=None, **settings):
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self.profile = profile
        self.flags = ["--profile", profile, "--threads", str(threads), *PATIENCE]
        for name, value in settings.items():
            self.flags += ["--set", f"{name.replace('__', '.')}={value}"]
        self.env, self.limits = env, limits
        self.process = self.caller = None
        self.expected_exit = (0,)

    def start(self):
        """Returns when it has said its address."""
        self.launch()
        return self.await_address()

    def await_address(self):
        line = self.process.stdout.readline()
        match = re.match(r"listening on http://127\.0\.0\.1:(\d+)$", line)
        assert match, f"the server said {line!r}: {self.log_tail()}"
        self.port = int(match.group(1))
        self.caller = Caller(self.port)
        if contract.document is None and self.profile == "test":
            contract.learn(self.caller.call("GET", "/openapi.json").body)
        return self

    def launch(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "serve", "--listen", "127.0.0.1:0", "--data", str(self.data), *self.flags],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**inherited(), **(self.env or {})},
                preexec_fn=self.prepare,
            )

    def prepare(self):
        die_with_parent()
        if self.limits:
            self.limits()

    def start_refused(self):
        """It must not start; gives (exit code, what it said)."""
        before = len(self.log_text())
        self.launch()
        code = self.process.wait(START_SECONDS)
        self.process.stdout.close()
        self.process = None
        return code, self.log_text()[before:]

    @property
    def ports(self):
        """Where it can be asked: of one server, one."""
        return [self.port]

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        """SIGKILL to this very process."""
        self.process.send_signal(signal.SIGKILL)
        self.reap()

    def reap(self, seconds=STOP_SECONDS):
        """Waits for its end, gives the exit code."""
        code = self.process.wait(seconds)
        self.process.stdout.close()
        self.caller.close()
        self.process = None
        return code

    def stop(self):
        """A clean drain exits with 0."""
        self.begin_stop()
        self.end_stop()

    def begin_stop(self):
        self.caller.close()
        self.process.send_signal(signal.SIGTERM)

    def end_stop(self):
        code = self.reap()
        assert code == 0, f"exit {code}: {self.log_tail()}"

    def close(self):
        """At the end of a test: whatever still runs must end cleanly, and nothing may have crashed."""
        if self.process is not None:
            if self.alive():
                self.stop()
            else:
                code = self.reap()
                assert code in self.expected_exit, f"exit {code}: {self.log_tail()}"
        text = self.log_text()
        for word in ("ASSERT(", "Sanitizer", "runtime error:"):
            assert word not in text, self.log_tail()

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines=30):
        return "\n".join(self.log_text().splitlines()[-lines:])

    # ---- calls ----

    def call(self, method, path, body=None, headers=()):
        return self.caller.call(method, path, body, headers)

    def get(self, path, status=200):
        """JSON of a GET that must have that status."""
        answer = self.call("GET", path)
        assert answer.status == status, answer
        return answer.json

    def post(self, path, body, status=200, headers=()):
        answer = self.call("POST", path, body, headers)
        assert answer.status == status, answer
        return answer.json

    def patch(self, path, body, status=200):
        answer = self.call("PATCH", path, body)
        assert answer.status == status, answer
        return answer.json

    def take(self, way, coupon, user):
        return self.call("POST", f"/api/coupons/{coupon}/{way}", {"userId": user})

    def make_coupon(self, quantity, coupon=None, **members):
        """A coupon that is open for a month; gives its id."""
        body = {"name": "drop", "discountRate": 10, "totalQuantity": quantity, "endsAt": when(30)}
        if coupon is not None:
            body["couponId"] = coupon
        return self.post("/api/admin/coupons", {**body, **members}, 201)["couponId"]

    def make_users(self, first, count, balance=0):
        body = {"fromUserId": first, "toUserId": first + count - 1, "balance": balance}
        return self.post("/api/admin/users", body, 201)["created"]

    def fault(self, name, on):
        self.post("/api/admin/test/faults", {"name": name, "on": on})

    def proof(self, coupon):
        return self.get(f"/api/admin/coupons/{coupon}/proof")

    def settled(self, coupon, seconds=10):
        """The proof, once nothing is pending any more."""

        def look():
            proof = self.proof(coupon)
            return proof if proof["gate"]["pending"] == 0 else None

        return wait_for(look, seconds, what=f"coupon {coupon} settled")

    def await_same(self, path):
        """Until it is answered alike wherever it is asked: of one server, now."""

    def await_relayed(self):
        """Until the ranking has what was paid before it died: of one server, as soon as it serves."""

    # ---- looking from outside ----

    def prove(self, coupon, told=None):
        """`doorbuster prove`; gives (exit code, what it said)."""
        words = [PROGRAM, "prove", str(coupon), "--data", str(self.data)]
        words += ["--told", str(told)] if told else []
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=inherited())
        return done.returncode, done.stdout + done.stderr

    def rows(self, coupon):
        """{sequence number: user} as SQL has it."""
        return dict(self.sql("SELECT slot, user_id FROM user_coupons WHERE coupon_id = ?", coupon))

    def sql(self, statement, *values):
        """Reads the store; a database file on which no server runs is opened as it lies there."""
        connection = sqlite3.connect(f"file:{self.data}/shop.db?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def store_file(self):
        """Its rows, as a file of SQLite's to be read."""
        return self.data / "shop.db"

    def change_sql(self, statement, *values):
        """Behind the server's back."""
        connection = sqlite3.connect(self.data / "shop.db", timeout=10)
        try:
            with connection:
                return connection.execute(statement, values).rowcount
        finally:
            connection.close()

    def rss_kib(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1))


def when(days=0, seconds=0):
    """RFC 3339, so far from now."""
    moment = time.gmtime(time.time() + days * 86400 + seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)


def write_told(path, asked):
    """What people were answered, in the words of `prove --told`."""
    lines = []
    for request in asked:
        if request.answer is None or request.answer.status not in (200, 409):
            continue
        body = request.answer.json
        if request.answer.status == 200:
            word = "reserved" if body["status"] == "RESERVED" else "issued"
            lines.append(f"{word} {request.user} {body['sequenceNumber']}")
        elif body["error"] == "ALREADY_ISSUED_COUPON":
            lines.append(f"already {request.user} {body['sequenceNumber']}")
    with open(path, "a", encoding="utf-8") as out:
        out.write("".join(line + "\n" for line in lines))
