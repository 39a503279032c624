# SPDX-License-Identifier: Apache-2.0
"""Thousands of clients that never finish their request cost the others next to nothing.

SLOW_CLIENTS says how many (default 2,000; 10,000 is the whole thing).
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import pytest

from support.client import Request, storm

COUNT = int(os.environ.get("SLOW_CLIENTS", "2000"))
EVERY_SECONDS = 3
GONE_SECONDS = 12
KEPT = 0.95
ATTEMPTS = 3
MEMORY_KIB = 64 * 1024 * COUNT // 10000
SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "support" / "slow_clients.py"


def cpu_s(server):
    """What all threads of the server have run so far."""
    tasks = pathlib.Path(f"/proc/{server.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def measure(server):
    """(requests a second of wall time, and of the server's own) of 32 ordinary connections."""
    rates = []
    for _ in range(5):
        requests = [Request("GET", "/api/coupons/1") for _ in range(8000)]
        start, start_cpu = time.perf_counter(), cpu_s(server)
        asked = storm(server, requests, connections=32)
        rates.append((len(asked) / (time.perf_counter() - start), len(asked) / (cpu_s(server) - start_cpu)))
        assert all(r.answer.status == 200 for r in asked)
    return [statistics.median(column) for column in zip(*rates)]


def attempt(server):
    """(shares of the throughput that are left, KiB more, what became of the slow ones)

    Measured before, with and after them: what else the machine does comes and goes.
    """
    measure(server)  # warm
    before_kib, before = server.rss_kib(), measure(server)
    words = [sys.executable, str(SCRIPT), str(server.port), str(COUNT), str(EVERY_SECONDS)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as slow:
        assert slow.stdout.readline() == "ready\n"
        crowded = measure(server)
        more_kib = server.rss_kib() - before_kib
        assert slow.poll() is None, "the slow ones were gone before the measurement was done"
        said = json.loads(slow.stdout.readline())
    kept = [during / statistics.mean(alone) for during, *alone in zip(crowded, before, measure(server))]
    return kept, more_kib, said


@pytest.mark.measured
def test_slow_clients(serve):
    """Of the server's own time a request, which is steadier than the clock: the slow ones' bytes are in it."""
    server = serve()
    for _ in range(ATTEMPTS):
        kept, more_kib, said = attempt(server)
        assert more_kib <= MEMORY_KIB, f"{COUNT} slow clients cost {more_kib} KiB"
        assert said["statuses"] == {"408": COUNT} and said["longest_s"] <= GONE_SECONDS, said
        print(
            f"{COUNT} slow clients: by clock {kept[0]:.3f}, by CPU {kept[1]:.3f} is left, {more_kib} KiB more, {said}"
        )
        if kept[1] >= KEPT:
            return
    raise AssertionError(f"only {kept[1]:.3f} of the throughput is left")
