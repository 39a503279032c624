# SPDX-License-Identifier: Apache-2.0
"""A product moves to another category, and the server that did it is killed before the ranking heard of it."""

import pytest

from support.distributed import At, Servers
from support.orders import RICH, complete
from support.server import wait_for
from support.stores import Stores

FIRST, SECOND = 7001, 7002


@pytest.fixture(name="world")
def _world(tmp_path):
    with Stores() as stores:
        redis, postgres = stores.redis(), stores.postgres()
        servers = Servers(tmp_path / "servers", At(redis.url, postgres.url), settle=True)
        try:
            yield servers.start()
        finally:
            servers.close()


def shown(node, category):
    board = node.get(f"/api/products/ranking/top?window=daily&category={category}")
    return board["stale"], [item["productId"] for item in board["rankings"]]


def copies(node):
    text = node.call("GET", "/metrics").body.decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("ranking_copies_total "))


def test_a_move_whose_server_dies(world):
    servers = world
    dies, stays = servers.nodes
    for product in (FIRST, SECOND):
        body = {"productId": product, "name": "cup", "price": 10, "stock": 9, "category": "tea"}
        servers.post("/api/admin/products", body, 201)
    for product, quantity in ((FIRST, 2), (SECOND, 1)):
        assert complete(servers, RICH, (product, quantity), key=f"key-{product}").status == 201
    wait_for(lambda: shown(stays, "tea") == (False, [FIRST, SECOND]), what="both are there")
    assert shown(stays, "cups") == (False, [])
    wait_for(lambda: servers.sql("SELECT count(*) FROM sales_outbox") == [(0,)], what="all was relayed")
    before = copies(stays)
    dies.fault("ranking", True)
    dies.patch(f"/api/admin/products/{FIRST}", {"category": "cups"})
    dies.kill9()
    wait_for(lambda: shown(stays, "cups") == (False, [FIRST]), what="it has moved")
    assert shown(stays, "tea") == (False, [SECOND])
    assert copies(stays) == before, "nothing was copied as a whole"
