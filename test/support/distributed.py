# SPDX-License-Identifier: Apache-2.0
"""Several servers on one Redis and one PostgreSQL, which a test uses as if they were one.

With DOORBUSTER_TEST_STORES=distributed the fixtures give these instead of a server with embedded stores.
Calls go to each in turn, and so do connections; what moves the clock or plants a fault goes to all.
"""

import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import sqlite3
import subprocess
import time

from support.pq import Pq, query
from support.redis_store import Redis
from support.server import PROGRAM, Server, inherited, wait_for
from support.stores import Stores

CHOSEN = os.environ.get("DOORBUSTER_TEST_STORES") == "distributed"
# What the ranking says of where it was read.
RANKING_SOURCE = "redis" if CHOSEN else "memory"
# What `reserve` says of where a place is remembered.
DURABILITY = "redis" if CHOSEN else "journal"
# Options with which a first start leaves other rows.
CHANGES_LOADED = {"shop__time_zone", "users__external"}
SAMPLE = re.compile(r"^([a-zA-Z_:][^ ]*(?:\{.*\})?) ([-+0-9.eE]+|NaN|[+-]Inf)$")


def heard():
    """After this all servers show what one of them has done (ADR 21)."""
    if CHOSEN:
        time.sleep(0.6)


class At:
    """Stores that are there already and are ended by somebody else, as addresses."""

    postgres = None

    def __init__(self, redis_url, postgres_url):
        self.url, self.postgres_url = redis_url, postgres_url

    def redis(self):
        return self

    def database(self):
        return self.postgres_url

    def end(self):
        """Not ours."""


class SharedStores:
    """One PostgreSQL for the whole run, in which each shop gets a database; a Redis for each shop."""

    def __init__(self):
        self.stores, self.postgres, self.numbers = Stores(), None, itertools.count(1)
        self.loaded, self.ahead, self.next_copy = None, concurrent.futures.ThreadPoolExecutor(1), None

    def database(self, template=None):
        """URL of an empty one, or of a copy."""
        if self.postgres is None:
            self.postgres = self.stores.postgres()
        return self.postgres.make_database(f"shop{next(self.numbers)}", template)

    def loaded_database(self):
        """URL of one as the first server of profile `test` leaves it: to migrate and to load the same data
        for each test would take longer than most tests."""
        if self.loaded is None:
            redis, url = self.redis(), self.database()
            server = Server(self.stores.folder("loaded"))
            server.flags += ["--redis", redis.url, "--postgres", url]
            server.start()
            server.close()
            redis.end()
            query(url, "DELETE FROM boards")  # its last backup
            self.loaded = url.rpartition("/")[2]
            self.next_copy = self.ahead.submit(self.database, self.loaded)
        url = self.next_copy.result()
        self.next_copy = self.ahead.submit(self.database, self.loaded)  # while this one is used
        return url

    def redis(self):
        return Redis(self.stores.folder(f"redis{next(self.numbers)}-")).start()

    def close(self):
        self.ahead.shutdown()
        self.stores.close()


class Processes:
    """Those of all the servers: what is done to one is done to each."""

    def __init__(self, nodes):
        self.nodes = nodes

    def running(self):
        return [node.process for node in self.nodes if node.process is not None]

    def send_signal(self, number):
        for process in self.running():
            process.send_signal(number)

    def kill(self):
        for process in self.running():
            process.kill()

    def poll(self):
        """The exit code of the first that ended."""
        return next((code for code in (process.poll() for process in self.running()) if code is not None), None)

    def wait(self, seconds=None):
        return max((process.wait(seconds) for process in self.running()), key=abs)

    @property
    def pid(self):
        return self.running()[0].pid


class Servers(Server):
    """`count` servers; each has a directory of its own below `directory`. They share what `shared` gives,
    but for the `redis` that is given, and a `database` that is dropped at the end."""

    def __init__(self, directory, shared, count=2, redis=None, database=None, settle=False, **options):
        self.nodes, self.settle = [], settle
        super().__init__(directory, **options)
        self.own_redis = None if redis else shared.redis()
        self.own_database = database
        self.redis, self.postgres_url = redis or self.own_redis, database or shared.database()
        self.postgres = shared.postgres
        self.store_flags = ["--redis", self.redis.url, "--postgres", self.postgres_url]
        self.flags += self.store_flags
        for i in range(count):
            folder = self.directory / f"node{i}"
            folder.mkdir(parents=True)
            self.nodes.append(Server(folder, **options))
        self.data = self.nodes[0].data
        self.turns, self.copies = itertools.count(), itertools.count()

    def await_gates(self, seconds=5):
        """Two that start at once on empty stores close each other's gates for a moment; a test that is not
        about that does not want to see it."""
        open_ones = "SELECT coupon_id, epoch FROM coupons WHERE ends_at > extract(epoch FROM now()) * 1000"

        def look():
            for coupon, epoch in self.sql(open_ones):
                answers = [node.call("GET", f"/api/admin/coupons/{coupon}/proof") for node in self.nodes]
                if any(answer.status != 200 or answer.json["gate"]["epoch"] != epoch for answer in answers):
                    return False
            return True

        if self.profile == "test":
            wait_for(look, seconds, what="all gates are open")

    @property
    def caller(self):
        """For bytes by hand: the first one's."""
        return self.nodes[0].caller

    @caller.setter
    def caller(self, _):
        """Each of them has its own."""

    def next_node(self):
        return self.nodes[next(self.turns) % len(self.nodes)]

    # ---- their life ----

    @property
    def process(self):
        return Processes(self.nodes) if any(node.process for node in self.nodes) else None

    @process.setter
    def process(self, _):
        """Each of them has its own."""

    def start(self):
        """All at once: also the first time, when there is no table yet."""
        self.launch()
        return self.await_address()

    def launch(self):
        for node in self.nodes:
            node.flags = self.flags
            node.launch()

    def await_address(self):
        for node in self.nodes:
            node.await_address()
        if self.settle:
            self.await_gates()
        return self

    def start_refused(self):
        self.nodes[0].flags = self.flags
        return self.nodes[0].start_refused()

    @property
    def port(self):
        return self.next_node().port

    @property
    def ports(self):
        return [node.port for node in self.nodes]

    def alive(self):
        return all(node.alive() for node in self.nodes)

    def kill9(self):
        for node in self.nodes:
            if node.process is not None:
                node.kill9()

    def reap(self, seconds=15):
        codes = [node.reap(seconds) for node in self.nodes if node.process is not None]
        return max(codes, key=abs)

    def stop(self):
        """All at once."""
        nodes = [node for node in self.nodes if node.process is not None]
        for node in nodes:
            node.begin_stop()
        with contextlib.ExitStack() as stack:
            for node in nodes:
                stack.callback(node.end_stop)

    def close(self):
        """All of them, whatever the first ones said."""
        with contextlib.ExitStack() as stack:
            if self.own_database:
                stack.callback(self.postgres.drop_database, self.own_database)
            if self.own_redis:
                stack.callback(self.own_redis.end)
            for node in self.nodes:
                node.expected_exit = self.expected_exit
                stack.callback(node.close)
            if all(node.alive() for node in self.nodes):
                stack.callback(self.stop)

    def log_text(self):
        return "".join(node.log_text() for node in self.nodes)

    def rss_kib(self):
        return max(node.rss_kib() for node in self.nodes)

    # ---- calls ----

    def call(self, method, path, body=None, headers=()):
        if path.startswith("/api/admin/test/"):
            return [node.call(method, path, body, headers) for node in self.nodes][0]
        if path == "/metrics":
            return self.metrics(headers)
        answer = self.next_node().call(method, path, body, headers)
        if self.settle and method != "GET" and path.startswith("/api/admin/coupons") and answer.status in (200, 201):
            self.await_same(f"/api/coupons/{answer.json['couponId']}")
        return answer

    def await_same(self, path, seconds=5):
        """What was changed at one of them is known to all within a heartbeat; a test that is not about that
        does not want to see it."""

        def look():
            seen = [node.call("GET", path) for node in self.nodes]
            return len({(answer.status, answer.body if answer.status == 200 else b"") for answer in seen}) == 1

        wait_for(look, seconds, what=f"{path} is the same everywhere")
        self.await_gates(seconds)

    def await_relayed(self, seconds=5):
        """What died between a commit and the ranking comes by the outbox, a moment later."""
        wait_for(lambda: self.sql("SELECT count(*) FROM sales_outbox") == [(0,)], seconds, what="outbox is empty")

    def metrics(self, headers):
        """The sums over all of them, in the words of the first."""
        answers = [node.call("GET", "/metrics", None, headers) for node in self.nodes]
        sums = {}
        for answer in answers:
            for line in answer.body.decode().splitlines():
                match = SAMPLE.match(line)
                if match:
                    sums[match.group(1)] = sums.get(match.group(1), 0) + float(match.group(2))
        lines = []
        for line in answers[0].body.decode().splitlines():
            match = SAMPLE.match(line)
            lines.append(f"{match.group(1)} {sums[match.group(1)]:.17g}" if match else line)
        answers[0].body = ("\n".join(lines) + "\n").encode()
        return answers[0]

    # ---- looking from outside ----

    def prove(self, coupon, told=None):
        words = [PROGRAM, "prove", str(coupon), "--data", str(self.data), *self.store_flags]
        words += ["--told", str(told)] if told else []
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=inherited())
        return done.returncode, done.stdout + done.stderr

    def sql(self, statement, *values):
        """SQLite's question marks are counted: $1, $2, …"""
        numbers = itertools.count(1)
        return query(self.postgres_url, re.sub(r"\?", lambda _: f"${next(numbers)}", statement), *values)

    change_sql = sql

    def store_file(self):
        return copy_to_sqlite(self.postgres_url, self.directory / f"shop{next(self.copies)}.db")


def copy_to_sqlite(url, path):
    """All rows of one moment, for what is asked of a file; values only, no keys and no checks."""
    target = sqlite3.connect(path)
    with Pq(url) as source, target:
        source.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for (table,) in source.run("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"):
            columns = source.run(
                "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 "
                "AND NOT attisdropped ORDER BY attnum", table
            )
            names = ", ".join(name for (name,) in columns)
            target.execute(f"CREATE TABLE {table} ({names})")
            places = ", ".join("?" * len(columns))
            target.executemany(f"INSERT INTO {table} VALUES ({places})", source.run(f"SELECT {names} FROM {table}"))
    target.close()
    return path


def make_server(directory, shared, **options):
    """What the run was asked for."""
    if not CHOSEN:
        return Server(directory, **options)
    alike = options.get("profile", "test") == "test" and not CHANGES_LOADED & options.keys()
    database = shared.loaded_database() if alike else None
    return Servers(pathlib.Path(directory), shared, database=database, settle=True, **options)
