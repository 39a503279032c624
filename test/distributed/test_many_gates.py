# SPDX-License-Identifier: Apache-2.0
"""More coupons than a heartbeat asks for: a few hundred, open and idle."""

import time

import pytest

from support.distributed import At, Servers
from support.server import wait_for
from support.stores import Stores

COUPONS, AT_ONCE = 600, 256
FIRST = 5000


@pytest.fixture(name="world")
def _world(tmp_path):
    with Stores() as stores:
        redis = stores.redis()
        servers = Servers(tmp_path / "servers", At(redis.url, stores.postgres().url)).start()
        try:
            for coupon in range(FIRST, FIRST + COUPONS):
                servers.make_coupon(5, coupon)
            yield redis, servers
        finally:
            servers.kill9()  # some gates may still be being built
            servers.close()


def calls(redis):
    line = next(line for line in redis.call("INFO", "commandstats").splitlines() if line.startswith("cmdstat_fcall:"))
    return int(line.split("calls=")[1].split(",")[0])


def gates(redis, coupon):
    return len(redis.call("KEYS", f"*{{coupon:{coupon}}}:c"))


def all_there(redis):
    return gates(redis, "5[0-9][0-9][0-9]") == COUPONS


def questions_a_second(redis):
    before, began = calls(redis), time.monotonic()
    time.sleep(2)
    return (calls(redis) - before) / (time.monotonic() - began)


def test_idle_gates_cost_little_and_none_is_forgotten(world):
    redis, servers = world
    wait_for(lambda: all_there(redis), 30, what="all are there")
    most = len(servers.nodes) * 4.2 * AT_ONCE
    wait_for(lambda: 0 < questions_a_second(redis) < most, 30, what="only some are asked for")
    # One gate is gone, nobody asks for it, and it is the turn of each by and by.
    lost = FIRST + COUPONS // 2
    assert redis.call("DEL", *redis.call("KEYS", f"*{{coupon:{lost}}}:*")) >= 1
    wait_for(lambda: gates(redis, lost) == 1, 20, what="it is built again")
    # All are gone: soon all are back, though nobody asks.
    redis.flush()
    wait_for(lambda: all_there(redis), 60, what="all are there again")
    wait_for(lambda: servers.take("reserve", lost, 1001).status == 200, what="and open")
    assert servers.take("issue", lost, 1000).status == 200
