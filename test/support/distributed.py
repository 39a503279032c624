# SPDX-License-Identifier: Apache-2.0
"""Several servers on one Redis and one PostgreSQL, which a test uses as if they were one.

With DOORBUSTER_TEST_STORES=distributed the fixtures give these instead of a server with embedded stores.
Calls go to each in turn, and so do connections; what moves the clock or plants a fault goes to all.
"""

import itertools
import os
import pathlib
import re
import subprocess

from support.pq import query
from support.redis_store import Redis
from support.server import PROGRAM, Server, inherited
from support.stores import Stores

CHOSEN = os.environ.get("DOORBUSTER_TEST_STORES") == "distributed"
SAMPLE = re.compile(r"^([a-zA-Z_:][^ ]*(?:\{.*\})?) ([-+0-9.eE]+|NaN|[+-]Inf)$")


class SharedStores:
    """One PostgreSQL for the whole run, in which each shop gets a database; a Redis for each shop."""

    def __init__(self):
        self.stores, self.postgres, self.numbers = Stores(), None, itertools.count(1)

    def database(self):
        """URL of an empty one."""
        if self.postgres is None:
            self.postgres = self.stores.postgres()
        return self.postgres.make_database(f"shop{next(self.numbers)}")

    def redis(self):
        return Redis(self.stores.folder(f"redis{next(self.numbers)}-")).start()

    def close(self):
        self.stores.close()


class Servers(Server):
    """`count` servers; each has a directory of its own below `directory`."""

    def __init__(self, directory, shared, count=2, redis=None, **options):
        super().__init__(directory, **options)
        self.own_redis = None if redis else shared.redis()
        self.redis, self.postgres_url = redis or self.own_redis, shared.database()
        self.postgres = shared.postgres
        self.store_flags = ["--redis", self.redis.url, "--postgres", self.postgres_url]
        self.flags += self.store_flags
        self.nodes = []
        for i in range(count):
            folder = self.directory / f"node{i}"
            folder.mkdir(parents=True)
            self.nodes.append(Server(folder, **options))
        self.data = self.nodes[0].data
        self.turns = itertools.count()

    def next_node(self):
        return self.nodes[next(self.turns) % len(self.nodes)]

    # ---- their life ----

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
        self.process, self.caller = self.nodes[0].process, self.nodes[0].caller
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
        self.process = None

    def reap(self, seconds=15):
        codes = [node.reap(seconds) for node in self.nodes if node.process is not None]
        self.process = None
        return max(codes, key=abs)

    def stop(self):
        for node in self.nodes:
            if node.process is not None:
                node.stop()
        self.process = None

    def close(self):
        for node in self.nodes:
            node.expected_exit = self.expected_exit
            node.close()
        if self.own_redis:
            self.own_redis.end()

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
        return self.next_node().call(method, path, body, headers)

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


def make_server(directory, shared, **options):
    """What the run was asked for."""
    if not CHOSEN:
        return Server(directory, **options)
    return Servers(pathlib.Path(directory), shared, **options)
