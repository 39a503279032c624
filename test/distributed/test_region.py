# SPDX-License-Identifier: Apache-2.0
"""Another region, drill by drill, as docs/operations.md says: two Redis and a PostgreSQL standby."""

import threading

import pytest

from support.client import Request, storm
from support.daemon import wait_until
from support.distributed import At, Servers
from support.program import run
from support.server import write_told
from support.stores import Stores

FIRST_USER = 500000
QUANTITY, PEOPLE = 2000, 3000


class Regions:
    """Home with its servers, and what stands ready elsewhere."""

    def __init__(self, tmp_path, synchronous):
        self.tmp_path, self.stores = tmp_path, Stores()
        self.pair = self.stores.postgres_pair(synchronous=synchronous)
        self.home_redis, self.away_redis = self.stores.redis(), self.stores.redis()
        at = At(self.home_redis.url, self.pair.primary.url)
        self.home = Servers(tmp_path / "home", at, settle=True).start()
        self.away = None
        self.home.make_users(FIRST_USER, PEOPLE)
        self.coupon = self.home.make_coupon(QUANTITY)

    def requests(self, ways=("issue",)):
        path = f"/api/coupons/{self.coupon}"
        for i, user in enumerate(range(FIRST_USER, FIRST_USER + PEOPLE)):
            way = ways[i % len(ways)]
            yield Request("POST", f"{path}/{way}", {"userId": user}, user=user, way=way)

    def serve_away(self):
        """What an operator does elsewhere, once nothing can serve at home any more."""
        self.pair.standby.promote()
        self.away = Servers(self.tmp_path / "away", At(self.away_redis.url, self.pair.standby.url)).start()
        code, out, err = run("gate", "rebuild", self.coupon, "--data", self.away.data)
        assert code == 0, out + err

    def close(self):
        for servers in (self.home, self.away):
            if servers:
                servers.close()
        self.stores.close()


@pytest.fixture
def regions(tmp_path):
    made = []

    def make(synchronous):
        made.append(Regions(tmp_path, synchronous))
        return made[-1]

    yield make
    for each in made:
        each.close()


def numbers(asked):
    return {r.user: r.answer.json["sequenceNumber"] for r in asked if r.answer and r.answer.status == 200}


def finish(regions, told):
    """Everybody asks again, elsewhere: who was told a number hears it again, and all places are given."""
    path = f"/api/coupons/{regions.coupon}/issue"
    people = range(FIRST_USER, FIRST_USER + PEOPLE)
    for user, number in told.items():
        answer = regions.away.call("POST", path, {"userId": user})
        assert (answer.status, answer.error, answer.json["sequenceNumber"]) == (409, "ALREADY_ISSUED_COUPON", number)
    asked = storm(
        regions.away, [Request("POST", path, {"userId": user}, user=user, way="issue") for user in people], 16
    )
    assert {r.answer.status for r in asked} <= {200, 409}
    rows = regions.away.rows(regions.coupon)
    assert sorted(rows) == list(range(1, QUANTITY + 1)) and len(set(rows.values())) == QUANTITY
    assert told.items() <= {user: number for number, user in rows.items()}.items()
    file = regions.tmp_path / "told"
    write_told(file, asked)
    code, said = regions.away.prove(regions.coupon, file)
    assert code == 0, said


def test_the_home_region_is_lost_in_mid_drop(regions):
    """Drill 1. The standby is synchronous: whatever was issued is there."""
    lost, done = regions(synchronous=True), threading.Event()

    def lose(running, _):
        if running.count == 700:
            lost.home.kill9()
            lost.home_redis.kill9()
            lost.pair.primary.kill9()
            done.set()

    told = numbers(storm(lost.home, lost.requests(), 32, on_answer=lose))
    assert done.is_set() and 0 < len(told) < QUANTITY
    lost.serve_away()
    finish(lost, told)


def test_a_planned_move(regions):
    """Drill 3. Nothing is lost, although the standby is not synchronous, and not of what was only reserved."""
    moved = regions(synchronous=False)
    told = numbers(storm(moved.home, list(moved.requests(("reserve", "issue")))[:1000], 32))
    assert len(told) == 1000
    moved.home.stop()
    primary, standby = moved.pair.primary, moved.pair.standby
    position = primary.query("SELECT pg_current_wal_lsn()::text")[0][0]
    wait_until(
        lambda: standby.query("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", position) == [(True,)], "caught up"
    )
    primary.stop()
    moved.home_redis.stop()
    moved.serve_away()
    finish(moved, told)


def test_only_redis_is_lost_for_good(regions):
    """Drill 5: an empty one in its place."""
    lost = regions(synchronous=True)
    told = numbers(storm(lost.home, list(lost.requests(("reserve", "issue")))[:1000], 32))
    wait_until(lambda: len(lost.home.rows(lost.coupon)) == 1000, "all are rows")
    lost.home.stop()
    lost.home_redis.end()
    lost.away = Servers(lost.tmp_path / "again", At(lost.away_redis.url, lost.pair.primary.url)).start()
    wait_until(lambda: lost.away.take("issue", lost.coupon, FIRST_USER).status == 409, "open again")
    finish(lost, told)
