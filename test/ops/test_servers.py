# SPDX-License-Identifier: Apache-2.0
"""Two servers on each topology of ops/local.sh, with the two lines that it prints: a drop, orders, the
ranking, and the proof."""

import time

import pytest

from support.client import Request, storm
from support.daemon import Scratch
from support.distributed import At, Servers
from support.local import Local
from support.server import wait_for, write_told

TOPOLOGIES = ["single", "sentinel", "cluster", "tls", "passwords", "standby", "pgbouncer"]
FIRST_USER = 500000
QUANTITY, PEOPLE = 100, 400


@pytest.fixture
def place():
    scratch = Scratch()
    yield scratch.path
    scratch.close()


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_two_servers_on_a_topology(place, tmp_path, topology):
    with Local(topology, place) as local:
        servers = Servers(tmp_path, At(local.redis_url, local.postgres_url)).start()
        try:
            servers.make_users(FIRST_USER, PEOPLE, balance=1_000_000)
            drop(servers, tmp_path / "told")
            sell(servers)
        finally:
            servers.close()
        assert local.stop()[0] == 0


def drop(servers, told):
    """Everybody asks both ways, on both servers at once; who hears "closed" asks again."""
    coupon = servers.make_coupon(QUANTITY)
    path = f"/api/coupons/{coupon}"
    people = range(FIRST_USER, FIRST_USER + PEOPLE)
    todo, asked, won = [(user, way) for user in people for way in ("reserve", "issue")], [], {}
    end = time.monotonic() + 20
    while todo:
        assert time.monotonic() < end, "the gate stays closed"
        now = [Request("POST", f"{path}/{way}", {"userId": user}, user=user, way=way) for user, way in todo]
        asked += storm(servers, now, connections=16)
        todo = [(request.user, request.way) for request in now if request.answer.status == 503]
        time.sleep(0.05 if todo else 0)
    for request in asked:
        assert request.answer.status in (200, 409, 503), request.answer
        if request.answer.status == 200:
            number = request.answer.json["sequenceNumber"]
            assert won.setdefault(request.user, number) == number
    assert sorted(won.values()) == list(range(1, QUANTITY + 1))
    wait_for(lambda: len(servers.rows(coupon)) == QUANTITY, what="all are rows")
    assert servers.rows(coupon) == {number: user for user, number in won.items()}
    write_told(told, asked)
    code, said = servers.prove(coupon, told)
    assert code == 0, said


def sell(servers):
    """Bought on one server, it is in the other one's ranking."""
    for user in range(FIRST_USER, FIRST_USER + 10):
        servers.post("/api/orders/complete", {"userId": user, "items": [{"productId": 3, "quantity": 2}]}, 201)

    def sold():
        answers = [node.get("/api/products/ranking/top") for node in servers.nodes]
        return all(answer["source"] == "redis" and seen(answer) for answer in answers)

    def seen(answer):
        return [(line["productId"], line["salesCount"]) for line in answer["rankings"]][:1] == [(3, 20)]

    wait_for(sold, what="the ranking of both servers knows")
