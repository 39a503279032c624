# SPDX-License-Identifier: Apache-2.0
"""Two servers with several loops each, all kinds of calls at once on both with the same keys, and things
that go wrong meanwhile: coupons, money, stock and counts stay exact.

DRILL_STORMS: how many storms (default 6; 60 and more are the whole thing). DRILL_SEED: another course of
events.
"""

import concurrent.futures
import contextlib
import itertools
import os
import random
import time

import pytest

from drill.drop import Drop
from drill.test_money import SETTLE_SOON, Order, open_books
from drill.test_stores import FIRST_USER, THINGS, lose_a_key, takes_again, two  # noqa: F401 (a fixture)
from drill.test_stores import stores  # noqa: F401
from support.client import storm
from support.server import wait_for, when

STORMS = int(os.environ.get("DRILL_STORMS", "6"))
SEED = int(os.environ.get("DRILL_SEED", time.time_ns() % 10**9))
CALLS = 1500  # of each kind in a storm
PEOPLE = 12000


def patch_anywhere(servers, rng, coupon, quantity):
    """An administrator at each server, who do not know of each other."""
    def patch(node):
        for _ in range(4):
            with contextlib.suppress(OSError):  # it may have been killed
                node.call("PATCH", f"/api/admin/coupons/{coupon}", {"totalQuantity": quantity - rng.randrange(3)})
            time.sleep(0.1 * rng.random())

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(patch, servers.nodes))


def storms(servers, rng, books, drop, things):
    """Calls of both kinds at once, and these things in the middle; what they ask for is mended."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        money = pool.submit(storm, servers, itertools.islice(books.stream(), CALLS), 32)
        coupons = pool.submit(storm, servers, drop.stream(limit=CALLS), 32)
        mends = []
        for thing in things:
            time.sleep(0.3 * rng.random())
            mends.append(thing(servers, rng))
        for mend in mends:
            mend()
    money.result()
    books.end_of_storm()
    drop.take_in(coupons.result())


def check_books(servers, books):
    wait_for(lambda: books.count("attempts WHERE state = 0") == 0, 20, what="open attempts settled")
    books.resolve()
    books.check(settled=True)
    known = [ask for ask in books.asks if ask.answer is not None]
    books.ask_again(known[-200:])
    books.check_orders()
    books.check_charges()


@pytest.fixture(autouse=True)
def answers_in_any_order(monkeypatch):
    """A payment and its cancellation at two servers are not answered in the order in which they were asked."""

    def told(order, status):
        order.status = order.status if order.status == "CANCELLED" else status

    monkeypatch.setattr(Order, "told", told)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("gateway", ["none", "mock"])
def test_storms_on_two_servers(two, tmp_path, gateway):  # noqa: F811
    print(f"DRILL_SEED={SEED}")
    rng = random.Random(SEED)
    servers = two(threads=4, payment__gateway=gateway)
    for node in servers.nodes:
        node.flags += SETTLE_SOON
    servers.make_users(FIRST_USER, PEOPLE)
    books = open_books(servers, tmp_path, rng)
    drop = Drop(servers, rng, tmp_path / "told", quantity=9000, people=PEOPLE, first=FIRST_USER)

    def patched(_, rng):
        patch_anywhere(servers, rng, drop.coupon, drop.quantity)
        return lambda: None

    for number in range(STORMS):
        things = [patched] if number == 0 else [rng.choice(THINGS)]  # two faults at once may cost a reservation
        things += [patched] if rng.random() < 0.3 else []
        print(number, [thing.__name__ for thing in things], flush=True)
        storms(servers, rng, books, drop, things)
        if not drop.sold_out:
            takes_again(servers, drop)
        drop.check()
        check_books(servers, books)


# ---- administrators at both servers, who do not know of each other ----


def at_once(calls):
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


def change(node, coupon, quantity):
    return lambda: node.call("PATCH", f"/api/admin/coupons/{coupon}", {"totalQuantity": quantity})


def test_two_lower_at_once(two):  # noqa: F811
    """Who hears 200 has made the change, though the other server ended that life of the gate."""
    servers = two(threads=4)
    coupon = servers.make_coupon(1000)
    servers.await_gates()
    for number in range(1, 6):
        wanted = (1000 - 20 * number, 1000 - 20 * number - 7)
        ((before,),) = servers.sql("SELECT version FROM coupons WHERE coupon_id = ?", coupon)
        answers = at_once([change(node, coupon, n) for node, n in zip(servers.nodes, wanted, strict=True)])
        assert [answer.status for answer in answers] == [200, 200], answers
        ((quantity, version),) = servers.sql("SELECT total_quantity, version FROM coupons WHERE coupon_id = ?", coupon)
        assert quantity in wanted and version == before + 2, (answers, version - before)
        servers.await_gates()


def test_raised_here_and_lowered_there(two):  # noqa: F811
    """Lower than what the other server has just made it: no gate grants what SQL has no room for."""
    servers = two(threads=4)
    first, second = servers.nodes
    coupon = servers.make_coupon(100)
    servers.await_gates()
    for number in range(5):
        epoch = servers.sql("SELECT epoch FROM coupons WHERE coupon_id = ?", coupon)[0][0]
        assert change(first, coupon, 300 + number)().status == 200
        assert change(second, coupon, 200 + number)().status == 200  # more than it knows of, or just less
        now = servers.sql("SELECT total_quantity, epoch FROM coupons WHERE coupon_id = ?", coupon)[0]
        assert now[0] == 200 + number and now[1] > epoch
        servers.await_gates()


def test_a_new_coupon_while_redis_is_slow(two, tmp_path):  # noqa: F811
    """The other server finds its gate missing meanwhile: what is told is kept all the same."""
    servers, rng = two(threads=4), random.Random(SEED)
    servers.make_users(FIRST_USER, 2000)
    for number in range(4):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            servers.redis.freeze()
            made = pool.submit(servers.nodes[0].call, "POST", "/api/admin/coupons", {
                "name": "slow", "discountRate": 10, "totalQuantity": 300, "endsAt": when(30), "couponId": 700 + number
            })  # fmt: skip
            time.sleep(0.6 * rng.random())
            servers.redis.thaw()
            assert made.result().status == 201
        drop = Drop.__new__(Drop)
        drop.server, drop.rng, drop.told, drop.quantity = servers, rng, tmp_path / f"told{number}", 300
        drop.coupon, drop.numbers, drop.owners, drop.granted = 700 + number, {}, {}, set()
        drop.waiting, drop.sold_out = list(range(FIRST_USER, FIRST_USER + 2000)), False
        drop.take_in(storm(servers, drop.stream(limit=100), connections=16))
        takes_again(servers, drop)
        drop.check()


def test_stopped_while_gates_are_opened(two):  # noqa: F811
    """Whoever opens gates asks for heartbeats, up to the very end: it ends as cleanly as at any other time."""
    servers = two(threads=2)
    for _ in range(20):
        servers.make_coupon(10)
    for number in range(8):
        node = servers.nodes[number % 2]
        servers.redis.flush()
        time.sleep(0.05 * number)
        node.stop()
        node.start()


def test_changed_while_it_is_closing(two, tmp_path):  # noqa: F811
    """What a change brings back may be closing: whoever hears of it that way hands in all the same."""
    servers, rng = two(threads=4), random.Random(SEED)
    servers.make_users(FIRST_USER, PEOPLE)
    drop = Drop(servers, rng, tmp_path / "told", quantity=PEOPLE, people=PEOPLE, first=FIRST_USER)
    for number in range(8):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(storm, servers, drop.stream(limit=600), 32)
            time.sleep(0.1 * rng.random())
            if number % 2:
                lose_a_key(servers, rng)
            patch_anywhere(servers, rng, drop.coupon, drop.quantity)
        drop.take_in(asked.result())
        for _ in servers.nodes:
            takes_again(servers, drop)
            servers.nodes.reverse()
    drop.check()


def test_closing_when_the_window_ends(two):  # noqa: F811
    """Who was ending a gate's life has died, and nobody can get a place any more: it ends all the same."""
    servers = two(threads=2)
    coupon = servers.make_coupon(10, endsAt=when(seconds=3))
    servers.await_gates()
    wait_for(lambda: servers.nodes[0].take("issue", coupon, 5).status == 200, what="a place")
    time.sleep(1.5)
    servers.sql("UPDATE coupons SET closing = 1 WHERE coupon_id = $1", coupon)
    closing = lambda: servers.sql("SELECT closing FROM coupons WHERE coupon_id = $1", coupon) == [(1,)]  # noqa: E731
    time.sleep(1.5)
    wait_for(lambda: not closing(), 8, what="it has come to its end")
    for node in servers.nodes:
        assert node.take("issue", coupon, 6).error in ("EXPIRED_COUPON", "COUPON_CLOSED")


def test_lowered_while_a_server_is_stopped(two, tmp_path):  # noqa: F811
    """Its lease runs out; what it told before holds, and it tells nothing that does not hold afterwards."""
    servers, rng = two(threads=4), random.Random(SEED)
    servers.make_users(FIRST_USER, PEOPLE)
    drop = Drop(servers, rng, tmp_path / "told", quantity=5000, people=PEOPLE, first=FIRST_USER)
    for number in range(3):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(storm, servers, drop.stream(limit=800), 32)
            time.sleep(0.1 * rng.random())
            node = servers.nodes[rng.randrange(2)]
            node.process.send_signal(19)
            try:
                other = servers.nodes[1 - servers.nodes.index(node)]
                assert change(other, drop.coupon, 4900 - number)().status == 200
            finally:
                node.process.send_signal(18)
        drop.quantity = 4900 - number
        drop.take_in(asked.result())
        takes_again(servers, drop)
        drop.check()
