# SPDX-License-Identifier: Apache-2.0
"""The links between two servers and their stores fail in mid-drop, in every way that toxiproxy knows,
and so do a few things that only look well from outside: nobody loses a place, nothing is restarted.

LINKS: how often each (default 1). LINKS_SEED: another course of events; it is printed.
"""

import itertools
import os
import random
import threading
import time

import pytest

from drill.drop import Drop
from support.client import storm
from support.distributed import At, Servers
from support.server import wait_for
from support.stores import Stores

TIMES = int(os.environ.get("LINKS", "1"))
SEED = int(os.environ.get("LINKS_SEED", time.time_ns() % 10**9))
FIRST_USER = 500000
QUANTITY, PEOPLE, LATE = 3000, 5000, 1000
PATIENCE = 20


class World:
    """The stores, a link before each, two servers that use the links, and the drop that goes on."""

    def __init__(self, tmp_path, rng):
        self.rng, self.stores = rng, Stores()
        self.redis, self.postgres, proxy = self.stores.redis(), self.stores.postgres(), self.stores.toxiproxy()
        self.links = {name: proxy.link(name, getattr(self, name).port) for name in ("redis", "postgres")}
        urls = [self.links[name].url_of(getattr(self, name).url) for name in ("redis", "postgres")]
        self.servers = Servers(tmp_path / "servers", At(*urls))
        # The test itself asks PostgreSQL past the link.
        self.servers.postgres_url = self.postgres.url
        self.servers.start()
        self.servers.make_users(FIRST_USER, PEOPLE + LATE)
        self.late = itertools.count(FIRST_USER + PEOPLE)
        self.drop = Drop(self.servers, rng, tmp_path / "told", QUANTITY, PEOPLE, FIRST_USER)
        self.answered, self.lock = 0, threading.Lock()

    def close(self):
        try:
            self.servers.close()
        finally:
            self.stores.close()

    def lose(self, what):
        """Storms until the loss is over; gives how long after it coupons were answered again."""
        over, trigger = threading.Event(), self.rng.randrange(1, 600)
        self.answered = 0
        stormer = threading.Thread(target=self.storms, args=(over,))
        stormer.start()
        try:
            wait_for(lambda: self.answered >= trigger or not stormer.is_alive(), PATIENCE, 0.001, "storm has begun")
            what(self)
            return self.wait_open()
        finally:
            over.set()
            stormer.join()

    def storms(self, over):
        """Whoever hears "closed" asks again a little later, as a person would."""

        def count(_, request):
            self.answered += request.answer.status != 503

        while True:
            self.take_in(storm(self.servers, self.drop.stream(), self.rng.choice((8, 32)), on_answer=count))
            if over.is_set() or self.drop.sold_out:
                return
            time.sleep(0.02)

    def take_in(self, asked):
        with self.lock:
            self.drop.take_in(asked)

    def wait_open(self):
        """Until both servers decide about one more person, and tell him the same."""
        since, user = time.monotonic(), next(self.late)
        for node in self.servers.nodes:
            wait_for(lambda: self.decides(node, user), PATIENCE, what="coupons are open again")
        return time.monotonic() - since

    def decides(self, node, user):
        request = self.drop.request(user)
        try:
            request.answer = node.call("POST", request.path, {"userId": user})
        except OSError:
            return False
        self.take_in([request])
        return request.answer.status != 503

    def finish(self):
        self.drop.check()
        end = time.monotonic() + 60
        while len(self.drop.numbers) < QUANTITY:
            assert time.monotonic() < end, f"{len(self.drop.numbers)} places told"
            self.drop.take_in(storm(self.servers, self.drop.stream(), connections=32))
            time.sleep(0.02)
        self.drop.finish()


def link_lost(store, how):
    def lose(world):
        link = world.links[store]
        if how == "down":
            link.set_up(False)
        elif how == "latency":
            link.latency(20, jitter=10)
        else:
            getattr(link, how)()
        time.sleep(1)
        link.heal()

    return lose


def functions_gone(world):
    world.redis.call("FUNCTION", "FLUSH")


def postgres_frozen(world):
    """It hangs, and closes nothing, for longer than a lease."""
    world.postgres.freeze()
    time.sleep(1.5)
    world.postgres.thaw()


def backend_killed(world):
    """kill -9 of one backend: PostgreSQL ends all the others, too, and recovers."""
    assert world.postgres.kill_backend()
    wait_for(world.postgres.ready, what="PostgreSQL recovered")


LOSSES = {
    f"{store} {how}": link_lost(store, how)
    for store in ("redis", "postgres")
    for how in ("latency", "slicer", "reset", "blackhole", "down")
} | {function.__name__: function for function in (functions_gone, postgres_frozen, backend_killed)}


@pytest.mark.parametrize("loss", LOSSES)
def test_lost_in_mid_drop(tmp_path, loss):
    print(f"LINKS_SEED={SEED}")
    world = World(tmp_path, random.Random(SEED))
    try:
        for _ in range(TIMES):
            print(f"{loss}: open again {world.lose(LOSSES[loss]):.2f} s later")
            world.drop.check()
        world.finish()
    finally:
        world.close()
