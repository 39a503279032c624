# SPDX-License-Identifier: Apache-2.0
"""Sentinels that want a password of their own, which is not that of Redis."""

import pytest

from support.distributed import At, Servers
from support.server import wait_for
from support.stores import Stores

ACL = "user shop on >its-own resetkeys allchannels -@all +auth +ping +client +sentinel|get-master-addr-by-name"
GOOD = ["?sentinel_password=watch%26pass", "?sentinel_user=shop&sentinel_password=its-own"]
BAD = ["", "?sentinel_password=wrong", "?sentinel_user=nobody&sentinel_password=its-own"]


@pytest.fixture(name="world")
def _world():
    with Stores() as stores:
        redis = stores.sentinel(password="of-redis", sentinel_password="watch&pass", sentinel_acl=[ACL])
        yield redis, stores.postgres()


@pytest.mark.parametrize("query", GOOD)
def test_served_over_a_fail_over(tmp_path, world, query):
    redis, postgres = world
    servers = Servers(tmp_path / "servers", At(redis.url + query, postgres.url)).start()
    try:
        coupon = servers.make_coupon(9)
        assert servers.take("issue", coupon, 1000).status == 200
        old = redis.current()
        old.kill9()
        wait_for(lambda: redis.current() is not old, 20, what="another primary")
        wait_for(lambda: servers.take("issue", coupon, 1001).status in (200, 409), 20, what="served again")
        assert "of-redis" not in servers.log_text() and "its-own" not in servers.log_text()
        assert "watch" not in servers.log_text()
    finally:
        servers.close()


def explains(servers):
    said = "the sentinels refuse sentinel_user or sentinel_password"
    try:
        wait_for(lambda: said in servers.log_text(), what="it says why")
    finally:
        servers.close()


def test_refused(tmp_path, world):
    """The shop serves without coupons, as with any Redis that is away, and says why."""
    redis, postgres = world
    for i, query in enumerate(BAD):
        explains(Servers(tmp_path / f"servers{i}", At(redis.url + query, postgres.url), count=1).start())
