# SPDX-License-Identifier: Apache-2.0
"""A version and the next one side by side: the next one migrates the store under the feet of this one,
both sell the same coupons and products, and this one may even come back. Two migrations ahead is too far."""

import re
import subprocess
import urllib.parse

import pytest

from support.client import Request, storm
from support.distributed import At, Servers
from support.orders import MOUSE, stock
from support.resp import Resp
from support.server import NEXT_PROGRAM, PROGRAM, Server, inherited, wait_for
from support.stores import Stores

FIRST_USER = 600000
QUANTITY, PEOPLE = 1500, 900
MISSES = "misses 1 migration(s): run `doorbuster migrate`"


def level(server):
    """How far the store is."""
    return server.sql("SELECT max(level) FROM store_level")[0][0]


def libraries(server):
    """Names of the gate's Function libraries in Redis."""
    with Resp(urllib.parse.urlsplit(server.redis.url).port) as redis:
        found = [library[1] for library in redis.call("FUNCTION", "LIST")]
    return {name for name in found if re.fullmatch(r"doorbuster_[0-9a-f]{10}", name)}


class Several:
    """Some of the servers, for a storm."""

    def __init__(self, *servers):
        self.ports = [server.port for server in servers]


@pytest.fixture
def rolling(tmp_path):
    """Two servers of this version; `later` makes one of the next on the same stores."""
    stores, more = Stores(), []
    old = Servers(tmp_path / "old", At(stores.redis().url, stores.postgres().url))

    def later(name):
        (tmp_path / name).mkdir()
        more.append(Server(tmp_path / name))
        more[-1].program, more[-1].flags = NEXT_PROGRAM, old.flags
        return more[-1]

    yield old.start(), later
    for server in (old, *more):
        server.close()
    stores.close()


def people(coupon, wave):
    """Each takes a place and buys something, once."""
    first = FIRST_USER + wave * PEOPLE
    for user in range(first, first + PEOPLE):
        yield Request("POST", f"/api/coupons/{coupon}/{'reserve' if user % 2 else 'issue'}", {"userId": user}, user=user)
        body = {"userId": user, "items": [{"productId": MOUSE, "quantity": 1}], "idempotencyKey": f"k{user}"}
        yield Request("POST", "/api/orders/complete", body, user=user)


def served(asked):
    """Nobody was told of a failure; (places, orders)."""
    failed = [r.answer for r in asked if r.answer is None or r.answer.status not in (200, 201, 409)]
    assert not failed, failed[:5]
    good = [r for r in asked if r.answer.status < 300]
    return sum("/coupons/" in r.path for r in good), sum("/orders/" in r.path for r in good)


def test_both_sell_while_the_store_is_migrated(rolling):
    old, later = rolling
    old.make_users(FIRST_USER, 4 * PEOPLE, 10_000_000)
    coupon, before, mice = old.make_coupon(QUANTITY), level(old), stock(old, MOUSE)
    new = later("new")

    def start_the_next(running, _):
        if running.count == 200:
            new.launch()

    sums = [served(storm(old, people(coupon, 0), 16, on_answer=start_the_next))]
    new.await_address()
    assert level(old) == before + 1 and old.alive()
    sums.append(served(storm(Several(old.nodes[0], new), people(coupon, 1), 16)))
    assert len(libraries(old)) == 2  # of the gate, each version its own
    # Back to the version before: it works on what the next one has made.
    old.nodes[1].stop()
    old.nodes[1].start()
    wait_for(lambda: old.nodes[1].call("GET", "/health/ready").status == 200, what="ready")
    sums.append(served(storm(Several(*old.nodes, new), people(coupon, 2), 16)))
    for node in old.nodes:
        node.stop()
    sums.append(served(storm(new, people(coupon, 3), 16)))

    assert sum(places for places, _ in sums) == QUANTITY
    wait_for(lambda: new.proof(coupon)["ok"] and new.proof(coupon)["issued"] == QUANTITY, what="all are rows")
    rows = old.rows(coupon)
    assert sorted(rows) == list(range(1, QUANTITY + 1)) and len(set(rows.values())) == QUANTITY
    orders = sum(orders for _, orders in sums)
    assert orders == 4 * PEOPLE
    assert mice - stock(old, MOUSE) == orders
    assert old.sql("SELECT sum(units) FROM sales WHERE product_id = $1", MOUSE)[0][0] >= orders
    for program in (PROGRAM, NEXT_PROGRAM):
        words = [program, "prove", str(coupon), "--data", str(old.data), *old.store_flags]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=inherited())
        assert done.returncode == 0, done.stdout + done.stderr


def test_two_migrations_ahead_is_too_far(rolling):
    old, later = rolling
    new = later("new").start()
    old.change_sql("INSERT INTO store_level (level) VALUES (?)", level(old) + 1)
    old.stop()
    code, said = old.start_refused()
    assert code == 1 and "is of a newer version" in said and "use that version" in said
    new.stop()
    new.start()


def migrate(program, *flags):
    done = subprocess.run([program, "migrate", *flags], capture_output=True, text=True, check=False, env=inherited())
    assert done.returncode == 0, done.stdout + done.stderr


def test_in_prod_the_next_version_waits_for_its_migration(tmp_path):
    """The old one serves on after `migrate` of the next."""
    settings = {"payment__gateway": "none", "auth__secret": "0123456789abcdef0123456789abcdef"}
    with Stores() as stores:
        old = Servers(tmp_path / "old", At(stores.redis().url, stores.postgres().url), count=1, profile="prod", **settings)
        verb = ["--profile", "prod", "--postgres", old.postgres_url, "--data", str(tmp_path / "verb")]
        migrate(PROGRAM, *verb)
        old.start()
        (tmp_path / "new").mkdir()
        new = Server(tmp_path / "new")
        new.program, new.flags = NEXT_PROGRAM, old.flags
        assert MISSES in new.start_refused()[1]
        migrate(NEXT_PROGRAM, *verb)
        new.start()
        for server in (old.nodes[0], new):
            wait_for(lambda: server.call("GET", "/health/ready").status == 200, what="ready")
        new.close()
        old.close()


def test_embedded(tmp_path):
    """One server at a time: the next version, and back."""
    server = Server(tmp_path)
    server.start()
    server.make_users(FIRST_USER, 2 * PEOPLE, 10_000_000)
    coupon = server.make_coupon(QUANTITY)
    sums = []
    for wave, program in enumerate((NEXT_PROGRAM, PROGRAM)):
        server.stop()
        server.program = program
        server.start()
        sums.append(served(storm(server, people(coupon, wave), 16)))
    assert [orders for _, orders in sums] == [PEOPLE, PEOPLE]
    assert sum(places for places, _ in sums) == QUANTITY
    server.settled(coupon)
    assert server.prove(coupon)[0] == 0
    (version,) = server.sql("PRAGMA user_version")[0]
    server.stop()
    server.change_sql(f"PRAGMA user_version = {version + 1}")
    code, said = server.start_refused()
    assert code == 1 and "is of a newer version" in said
    server.program = NEXT_PROGRAM
    server.start()
    server.close()
