# SPDX-License-Identifier: Apache-2.0
"""Real stores and servers on them, as sides of a figure; redis-benchmark and pgbench, as others."""

import itertools
import pathlib
import re
import shutil
import subprocess
import sys
import time

from sides import ROOT, BenchError, Run, Server, children_cpu, machine_busy, process_ticks, thread_cpu, wait_for

sys.path.insert(0, str(ROOT / "test"))
from support.pq import Pq  # noqa: E402
from support.stores import Stores  # noqa: E402

CALLERS = 64            # of redis-benchmark
HOT_CLIENTS = 32        # of pgbench
BARE_GATES = 1 << 40    # coupons that only redis-benchmark knows begin here
RANDOM = 100_000_000


def postgres_cpu(postmaster):
    """Seconds of the postmaster and all of its processes, those that have ended too."""
    used = sum(thread_cpu(postmaster).values())
    fields = pathlib.Path(f"/proc/{postmaster}/stat").read_text().rsplit(")", 1)[1].split()
    used += (int(fields[13]) + int(fields[14])) / 100
    for child in pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
        try:
            used += sum(thread_cpu(child).values())
        except FileNotFoundError:
            continue
    return used


class Pair:
    """One Redis and one PostgreSQL that keep what they acknowledged: appendonly, fsync, synchronous
    commits. `counted`: PostgreSQL counts statements, which costs a little."""

    def __init__(self, counted=False):
        self.stores, self.counted = Stores(), counted
        self.bare, self.databases = itertools.count(BARE_GATES), itertools.count(1)
        self.looks = None

    def __enter__(self):
        more = {"shared_preload_libraries": "pg_stat_statements"} if self.counted else {}
        self.redis = self.stores.redis()
        self.postgres = self.stores.postgres(durable=True, shared_buffers="256MB", max_wal_size="4GB", **more)
        self.looks = Pq(self.postgres.url)
        if self.counted:
            self.looks.run("CREATE EXTENSION pg_stat_statements")
        return self

    def __exit__(self, *_):
        if self.looks:
            self.looks.close()
        self.stores.close()

    def cpu(self):
        return {"Redis": sum(thread_cpu(self.redis.pid).values()), "PostgreSQL": postgres_cpu(self.postgres.pid)}

    # ---- counting ----

    def redis_calls(self):
        """Commands that a client sent: what a Function calls itself is under other names."""
        info = self.redis.info("commandstats")
        return sum(int(re.match(r"calls=(\d+)", text).group(1)) for name, text in info.items()
                   if name in ("cmdstat_fcall", "cmdstat_fcall_ro"))

    def statements(self):
        """BEGIN and COMMIT are some, too; the ones of these figures are not."""
        return int(self.looks.run("SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements"
                                  " WHERE query NOT LIKE '%pg_stat_statements%'")[0][0])

    # ---- the other sides ----

    def accounted(self, work):
        """Runs work() -> Run; what the stores cost, and what somebody else took."""
        before = (self.cpu(), children_cpu(), machine_busy(), time.monotonic())
        run = work()
        after = (self.cpu(), children_cpu(), machine_busy(), time.monotonic())
        run.charge_stores(before[0], after[0])
        known = sum(after[0].values()) - sum(before[0].values()) + after[1] - before[1]
        run.foreign = max(0.0, (after[2] - before[2] - known) / (after[3] - before[3]))
        return run

    def function(self, name):
        """What a server has loaded."""
        for library in self.redis.call("FUNCTION", "LIST"):
            row = dict(zip(library[::2], library[1::2]))
            for function in row["functions"]:
                said = dict(zip(function[::2], function[1::2]))["name"]
                if said.endswith("_" + name):
                    return said, row["library_name"]
        raise BenchError(f"no Function {name} is in Redis")

    def open_gate(self, number, quantity):
        keys = [f"bench:{{coupon:{number}}}:{end}" for end in "chpr"]
        self.redis.call("FCALL", self.function("begin")[0], 4, *keys, 1, 1, quantity, 0, 1 << 50, 0)
        if self.redis.call("FCALL", self.function("open")[0], 4, *keys, 1, 0, 0, 1) != "ok":
            raise BenchError("redis-benchmark has no gate")
        return keys

    def call_alone(self, calls):
        """redis-benchmark -P 1 -c 64: each call of the gate's Function carries one person."""
        program = shutil.which("redis-benchmark")
        if not program:
            raise BenchError("redis-benchmark is not there")
        keys = self.open_gate(next(self.bare), RANDOM)
        command = [program, "-p", self.redis.port, "-P", 1, "-c", CALLERS, "-n", calls, "-r", RANDOM, "--csv",
                   "FCALL", self.function("turn")[0], 4, *keys, 1, 0, "ask", 1, "__rand_int__", 7]

        def work():
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
            return Run(answers=calls, rate=float(done.stdout.splitlines()[-1].rsplit('"FCALL', 1)[-1].split('","')[1]
                                                 .strip('"')))

        run = self.accounted(work)
        held = self.redis.call("HLEN", keys[1])
        if held < 0.99 * calls:
            raise BenchError(f"redis-benchmark got {held} of {calls} places")
        self.redis.call("UNLINK", *keys)
        return run

    def hot_row(self, seconds):
        """pgbench: 32 clients that update one row, one statement a transaction, prepared."""
        script = self.postgres.directory / "hot.sql"
        if not script.exists():
            script.write_text("UPDATE hot SET n = n + 1 WHERE one = 1;\n")
            self.looks.run("CREATE TABLE hot (one bigint PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 20)")
            self.looks.run("INSERT INTO hot VALUES (1, 0)")
        command = ["/usr/lib/postgresql/15/bin/pgbench", "-h", "127.0.0.1", "-p", self.postgres.port, "-U", "doorbuster",
                   "-n", "-c", HOT_CLIENTS, "-j", 1, "-T", seconds, "-M", "prepared", "-f", script, "shop"]

        def work():
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
            text = done.stdout
            return Run(answers=int(re.search(r"actually processed: (\d+)", text).group(1)),
                       rate=float(re.search(r"tps = ([\d.]+)", text).group(1)))

        return self.accounted(work)


class StoresServer(Server):
    """A server on a pair of stores."""

    def __init__(self, program, folder, pair, options=(), **how):
        super().__init__(program, folder, options=[
            "--redis", pair.redis.url, "--postgres", pair.postgres.url, *options], **how)
        self.pair = pair

    def stores_cpu(self):
        return self.pair.cpu()

    def read(self, sql, *values):
        numbers = itertools.count(1)
        return self.pair.looks.run(re.sub(r"\?", lambda _: f"${next(numbers)}", sql), *values)

    def settle(self, coupon, rows, seconds=20):
        """Until so many rows are stored."""
        wait_for(f"{rows} rows of coupon {coupon}", seconds, lambda: self.stored(coupon) >= rows, 0.02)

    def at_rest(self, coupon, seconds=10):
        """Until all that was granted is stored, and no more comes."""
        def look():
            answer = self.get(f"/api/admin/coupons/{coupon}/proof")
            return answer if answer["gate"]["pending"] == 0 else None

        answer = wait_for(f"coupon {coupon} at rest", seconds, look, 0.05)
        if not answer["ok"]:
            raise BenchError(f"coupon {coupon} is not proved: {answer}")
        return self.stored(coupon)
