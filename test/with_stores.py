#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starts private stores, runs a command with their addresses in its environment, and ends them.

    test/with_stores.py --redis --postgres -- build/gate_gate_redis_test

DOORBUSTER_TEST_REDIS, _REDIS_SENTINEL, _REDIS_CLUSTER, _POSTGRES, _PGBOUNCER and _TOXIPROXY are set
for those that were asked for; _REDIS_PID, _POSTGRES_PID their processes; with --toxiproxy
_REDIS_LINK and _POSTGRES_LINK lead through links of it named `redis` and `postgres`. The status is
the command's.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.daemon import PR_SET_PDEATHSIG, libc  # noqa: E402
from support.stores import Stores  # noqa: E402

PREFIX = "DOORBUSTER_TEST_"
KINDS = ("postgres", "redis", "sentinel", "cluster", "pgbouncer", "toxiproxy")


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", action="store_true")
    parser.add_argument("--durable", action="store_true", help="PostgreSQL with fsync")
    parser.add_argument("--replicas", type=int, default=0, help="of each master of the cluster")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def start_all(stores, wanted):
    """Gives the variables to export, without their prefix."""
    found = {}
    postgres = redis = None
    if wanted.postgres or wanted.pgbouncer:
        postgres = stores.postgres(durable=wanted.durable)
        found |= {"POSTGRES": postgres.url, "POSTGRES_PID": postgres.pid}
    if wanted.pgbouncer:
        found["PGBOUNCER"] = stores.pgbouncer(postgres).url
    if wanted.redis:
        redis = stores.redis()
        found |= {"REDIS": redis.url, "REDIS_PID": redis.pid}
    if wanted.sentinel:
        found["REDIS_SENTINEL"] = stores.sentinel().url
    if wanted.cluster:
        found["REDIS_CLUSTER"] = stores.cluster(replicas=wanted.replicas).url
    if wanted.toxiproxy:
        proxy = stores.toxiproxy()
        found["TOXIPROXY"] = proxy.url
        for name, store in (("redis", redis), ("postgres", postgres)):
            if store:
                found[f"{name.upper()}_LINK"] = proxy.link(name, store.port).url_of(store.url)
    return {PREFIX + name: str(value) for name, value in found.items()}


def run(command, variables):
    """The command's status; a signal that would end us ends it first."""
    with subprocess.Popen(
        command,
        env={**os.environ, **variables},
        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    ) as process:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: process.send_signal(number))
        status = process.wait()
    return 128 - status if status < 0 else status


def main():
    # Without a handler these would leave the stores' directory behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    wanted = read_arguments()
    with Stores() as stores:
        return run(wanted.command, start_all(stores, wanted))


if __name__ == "__main__":
    sys.exit(main())
