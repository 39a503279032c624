# SPDX-License-Identifier: Apache-2.0
"""What /metrics says of the stores: each has a breaker, and the time of its calls."""

import pytest

from support.distributed import At, Servers
from support.stores import Stores

STORES = ("redis", "ranking", "postgres")


@pytest.fixture(name="node")
def _node(tmp_path):
    with Stores() as stores:
        servers = Servers(tmp_path / "servers", At(stores.redis().url, stores.postgres().url), count=1)
        try:
            yield servers.start().nodes[0]
        finally:
            servers.close()


def samples(node):
    lines = node.call("GET", "/metrics").body.decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))


def test_breakers(node):
    coupon = node.make_coupon(5)
    assert node.take("issue", coupon, 1000).status == 200
    node.get("/api/products/ranking/top")
    said = samples(node)
    for name in STORES:
        state = f'resilience4j_circuitbreaker_state{{name="{name}",state="closed"}}'
        calls = f'resilience4j_circuitbreaker_calls_seconds_count{{name="{name}",kind="successful"}}'
        assert said[state] == "1", name
        assert int(said[calls]) > 0, name
    for name in ("acquire", "usage"):
        assert any(f"connections_{name}_seconds_count" in line and float(value) > 0 for line, value in said.items()), name
