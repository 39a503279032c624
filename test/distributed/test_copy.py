# SPDX-License-Identifier: Apache-2.0
"""`doorbuster copy`: a shop moves between shop.db and PostgreSQL, and is the same shop there.

COPY_ORDERS: how many orders the large one has (default 60,000; 1,000,000 are the whole thing).
COPY_KILLS: how often it is killed on the way.
"""

import os
import random
import re
import subprocess
import time

import pytest

from support.distributed import At, Servers
from support.moving import DROP, FEW, FIRST_USER, add_many, answers, busy, dump
from support.orders import MOUSE, ordered
from support.pq import query
from support.program import run
from support.server import PROGRAM, Server, inherited, wait_for
from support.stores import Stores

ORDERS = int(os.environ.get("COPY_ORDERS", "60000"))
KILLS = int(os.environ.get("COPY_KILLS", "6"))
SAMPLE = 500
LEASE_SECONDS = 1.5


class World:
    """Stores to move to and from, and the servers that were started on them."""

    def __init__(self, tmp_path):
        self.tmp_path, self.stores, self.servers = tmp_path, Stores(), []
        self.postgres, self.redis = self.stores.postgres(), self.stores.redis()
        self.databases = 0

    def database(self):
        self.databases += 1
        return self.postgres.make_database(f"copy{self.databases}")

    def embedded(self, name="embedded", **options):
        directory = self.tmp_path / name
        directory.mkdir(exist_ok=True)
        self.servers.append(Server(directory, **options))
        return self.servers[-1]

    def shared(self, url, **options):
        self.servers.append(Servers(self.tmp_path / "shared", At(self.redis.url, url), **options))
        return self.servers[-1]

    def file(self, name, **lines):
        path = self.tmp_path / name
        path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
        return path

    def close(self):
        for server in self.servers:
            server.close()
        self.stores.close()


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def copied(*words, timeout=600):
    code, out, err = run("copy", *words, timeout=timeout)
    assert code == 0, out + err
    return out


def refused(*words):
    code, out, err = run("copy", *words)
    assert (code, out) == (1, ""), out + err
    return err.splitlines()[-1]


def leaves(value, path=()):
    """{path: what stands there}"""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else None
    if inside is None:
        return {path: value}
    return {key: leaf for name, item in inside for key, leaf in leaves(item, (*path, name)).items()}


def differences(before, after):
    """What is not the same, as few words as can be."""
    one, other = leaves(before), leaves(after)
    return [(path, one.get(path), other.get(path)) for path in {**one, **other} if one.get(path) != other.get(path)]


# ---- the same shop ----


def test_there_and_back_answer_by_answer(world):
    first = world.embedded().start()
    repeats = busy(first)
    before = answers(first, repeats)
    first.stop()
    rows = list(dump(first.data / "shop.db"))

    url = world.database()
    there = world.file("there.conf", postgres=url, redis=world.redis.url)
    out = copied("--to", there, "--data", first.data)
    assert re.search(r"\d+ tables with \d+ rows are the same in both, \d+ coupons agree", out)
    assert list(dump(first.data / "shop.db")) == rows  # the source is as it was
    assert query(url, "SELECT to_regclass('copy_mark')::text, profile, encode(database_id, 'hex') FROM store") == [
        (None, "test", first.sql("SELECT lower(hex(database_id)) FROM store")[0][0])]  # fmt: skip

    back = world.file("back.conf", data=world.tmp_path / "back")
    copied("--to", back, "--postgres", url, "--data", world.tmp_path / "nowhere")
    assert list(dump(world.tmp_path / "back" / "shop.db")) == rows

    shared = world.shared(url).start()
    assert differences(before, answers(shared, repeats)) == []
    for coupon in (DROP, FEW):
        assert shared.prove(coupon)[0] == 0
    newest = first.sql("SELECT max(order_id) FROM orders")[0][0]
    assert ordered(shared, FIRST_USER, (MOUSE, 1))["orderId"] == newest + 1
    assert shared.take("issue", DROP, FIRST_USER + 1).error == "ALREADY_ISSUED_COUPON"
    before = answers(shared, repeats)
    shared.stop()

    again = world.file("again.conf", data=world.tmp_path / "again" / "data")
    copied("--to", again, "--postgres", url, "--redis", world.redis.url, "--data", world.tmp_path / "nowhere")
    last = world.embedded("again").start()
    assert differences(before, answers(last, repeats)) == []
    assert last.prove(DROP)[0] == 0
    assert ordered(last, FIRST_USER, (MOUSE, 1))["orderId"] == newest + 2


def test_dead_events_and_their_numbers(world):
    """The next dead letter has a number that none had, whatever became of those before it."""
    first = world.embedded().start()
    first.stop()
    for number in range(1, 8):
        first.change_sql("INSERT INTO dead_events (consumer, kind, key_id, number, tries, why, died_at) "
                         "VALUES (1, 1, 1, ?, 3, 'because', 5)", number)  # fmt: skip
    first.change_sql("DELETE FROM dead_events WHERE dead_id > 4")
    url = world.database()
    copied("--to", world.file("there.conf", postgres=url), "--data", first.data)
    insert = "INSERT INTO dead_events (consumer, kind, key_id, number, tries, why, died_at) VALUES (1, 1, 2, 1, 3, '', 5)"
    query(url, insert)
    assert query(url, "SELECT max(dead_id) FROM dead_events") == [(8,)]
    query(url, "DELETE FROM dead_events WHERE dead_id = 8")
    copied("--to", world.file("back.conf", data=world.tmp_path / "back"), "--postgres", url, "--data", world.tmp_path / "no")
    back = world.embedded("elsewhere")
    back.data = world.tmp_path / "back"
    back.change_sql(insert)
    assert back.sql("SELECT max(dead_id) FROM dead_events") == [(9,)]


def test_no_table_is_forgotten(world):
    """Nor a counter: a table that a migration adds is copied, or named here with those that are not."""
    first = world.embedded().start()
    first.stop()
    url = world.database()
    code, _, err = run("copy", "--to", world.file("there.conf", postgres=url), "--data", first.data)
    assert code == 0
    seen = set(re.findall(r"^copying (\w+): \d+ of \d+ rows$", err, re.M)) | {"store"}
    there = {name for (name,) in query(url, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")}
    assert there - seen == {"store_level", "servers", "hand_ins", "event_relays", "sales_outbox"}
    counted = query(url, "SELECT attrelid::regclass::text FROM pg_attribute WHERE attidentity <> ''")
    assert {table for (table,) in counted} & seen == {"dead_events"}


# ---- killed on the way ----


def copy_killed(seconds, *words):
    """True: it was killed; False: it had come to its end."""
    process = subprocess.Popen([PROGRAM, "copy", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=inherited())  # fmt: skip
    try:
        out, err = process.communicate(timeout=seconds)
        assert process.returncode == 0, (out + err).decode()
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True


def copied_with_kills(span, *words):
    """Killed at random moments within `span` seconds of each call; then to its end."""
    killed = 0
    for _ in range(KILLS):
        if not copy_killed(random.uniform(0.02, span / KILLS * 2), *words):
            break
        killed += 1
    began = time.monotonic()
    out = copied(*words, timeout=3600)
    print(f"killed {killed} times, then {time.monotonic() - began:.1f} s: {out}")
    found = re.search(r"\((\d+) rows were there from an earlier call", out)
    return killed, int(found.group(1)) if found else 0


@pytest.mark.timeout(7200)
def test_a_large_shop_killed_on_the_way(world):
    first = world.embedded().start()
    repeats = busy(first)
    first.stop()
    orders = add_many(first.data / "shop.db", ORDERS)
    sample = random.sample(orders, SAMPLE)
    first.start()
    before = answers(first, repeats, sample)
    first.stop()

    timed = world.file("timed.conf", postgres=world.database())
    began = time.monotonic()
    copied("--to", timed, "--data", first.data, timeout=3600)
    span = time.monotonic() - began
    print(f"{ORDERS} orders to PostgreSQL: {span:.1f} s")

    url = world.database()
    there = world.file("there.conf", postgres=url, redis=world.redis.url)
    killed, found = copied_with_kills(span, "--to", there, "--data", first.data)
    assert killed > 0 and found > 0

    back = world.file("back.conf", data=world.tmp_path / "back" / "data")
    words = ["--to", back, "--postgres", url, "--data", world.tmp_path / "nowhere"]
    began = time.monotonic()
    killed, found = copied_with_kills(span, *words)
    print(f"and back, with {killed} kills: {time.monotonic() - began:.1f} s")
    assert killed > 0 and found > 0
    assert all(a == b for a, b in zip(dump(first.data / "shop.db"), dump(world.tmp_path / "back" / "data" / "shop.db"),
                                      strict=True))  # fmt: skip

    shared = world.shared(url).start()
    assert differences(before, answers(shared, repeats, sample)) == []
    assert shared.prove(900)[0] == 0
    assert ordered(shared, FIRST_USER, (MOUSE, 1))["orderId"] == orders[-1] + 1


# ---- refusals ----


def mark_half_done(url, server):
    query(url, "CREATE TABLE copy_mark (database_id bytea NOT NULL)")
    (identity,) = server.sql("SELECT database_id FROM store")[0]
    query(url, "INSERT INTO copy_mark VALUES ($1)", identity)


def test_somebody_works_on_it(world):
    first = world.embedded().start()
    url = world.database()
    there = world.file("there.conf", postgres=url, redis=world.redis.url)
    assert "serving on" in refused("--to", there, "--data", first.data)
    first.stop()
    shared = world.shared(url).start()
    there = world.file("there.conf", postgres=url)
    assert "the target: a server, " in refused("--to", there, "--data", first.data)
    back = world.file("back.conf", data=world.tmp_path / "back")
    elsewhere = ["--postgres", url, "--data", world.tmp_path / "nowhere"]
    assert "the source: a server, " in refused("--to", back, *elsewhere)
    other = world.embedded("other").start()
    shared.kill9()
    time.sleep(LEASE_SECONDS)
    running = world.file("running.conf", data=other.data)
    assert "serving on" in refused("--to", running, *elsewhere)
    copied("--to", back, *elsewhere)
    shared.expected_exit = (0, -9)


def test_a_target_that_is_not_empty(world):
    first, second = world.embedded().start(), world.embedded("second").start()
    for server in (first, second):
        server.make_users(FIRST_USER, 10)
        server.stop()
    url = world.database()
    there = world.file("there.conf", postgres=url)
    copied("--to", there, "--data", first.data)
    copied("--to", there, "--data", first.data)  # once more is only to compare
    assert "not empty" in refused("--to", there, "--data", second.data)
    full = world.file("full.conf", data=second.data)
    elsewhere = ["--postgres", url, "--data", world.tmp_path / "nowhere"]
    assert "journal" in refused("--to", full, *elsewhere)
    mark_half_done(url, second)
    assert "half-done copy of another shop" in refused("--to", there, "--data", first.data)
    back = world.file("back.conf", data=world.tmp_path / "back")
    assert "not finished" in refused("--to", back, *elsewhere)
    code, _, said = run("serve", "--listen", "127.0.0.1:0", "--postgres", url, "--data", world.tmp_path / "half")
    assert code == 1 and "is a copy that is not finished" in said


def test_words(world):
    first = world.embedded().start()
    first.stop()
    url = world.database()
    assert run("copy", "--data", first.data)[0] == 2
    assert "both are shop.db" in refused("--to", world.file("same.conf", data="x"), "--data", first.data)
    assert "does not say where to" in refused("--to", world.file("none.conf"), "--postgres", url, "--data", first.data)
    there = world.file("there.conf", postgres=url)
    assert "both are on PostgreSQL" in refused("--to", there, "--postgres", url, "--data", first.data)
    assert "there is no shop" in refused("--to", there, "--data", world.tmp_path / "nowhere")
    prod = world.file("prod.conf", postgres=url, profile="prod")
    assert "of profile test" in refused("--to", prod, "--data", first.data)
    first.change_sql("PRAGMA user_version = 3")
    assert "run `doorbuster migrate`" in refused("--to", there, "--data", first.data)


def test_reservations_that_only_the_journal_has(world):
    first = world.embedded(ledger__reserve_linger="1900ms").start()
    first.make_users(FIRST_USER, 10)
    first.make_coupon(10, DROP)
    assert first.take("reserve", DROP, FIRST_USER).status == 200
    first.expected_exit = (0, -9)
    first.kill9()
    url = world.database()
    there = world.file("there.conf", postgres=url, redis=world.redis.url)
    assert f"places of coupon {DROP} that are not stored yet" in refused("--to", there, "--data", first.data)
    first.start()
    first.settled(DROP)
    first.stop()
    copied("--to", there, "--data", first.data)
    shared = world.shared(url).start()
    assert list(shared.rows(DROP).values()) == [FIRST_USER]


def test_reservations_that_only_redis_has(world):
    url = world.database()
    shared = world.shared(url, ledger__reserve_linger="1900ms").start()
    shared.make_users(FIRST_USER, 10)
    shared.make_coupon(10, DROP)
    wait_for(lambda: shared.take("reserve", DROP, FIRST_USER).status == 200)
    for node in shared.nodes:
        node.expected_exit = (0, -9)
    shared.kill9()
    time.sleep(LEASE_SECONDS)
    back = world.file("back.conf", data=world.tmp_path / "back" / "data")
    words = ["--to", back, "--postgres", url, "--redis", world.redis.url, "--data", world.tmp_path / "nowhere"]
    assert f"places of coupon {DROP} that are not stored yet" in refused(*words)
    shared.start()
    shared.settled(DROP)
    shared.stop()
    copied(*words)
    # The gate of this shop's past would be taken for its present one.
    there = world.file("there.conf", postgres=world.database(), redis=world.redis.url)
    assert "has a gate of coupon" in refused("--to", there, "--data", world.tmp_path / "back" / "data")


# ---- verifying ----


@pytest.mark.parametrize("planted", [
    "UPDATE users SET balance = balance + 1 WHERE user_id = 3",
    "UPDATE order_lines SET name = name || ' ' WHERE order_id = (SELECT min(order_id) FROM order_lines)",
    "UPDATE users SET email = NULL WHERE user_id = 2",
    "DELETE FROM order_keys WHERE idempotency_key = (SELECT min(idempotency_key) FROM order_keys)",
    "INSERT INTO charges (user_id, idempotency_key, fingerprint, amount, balance_after, charged_at) "
    "VALUES (1, 'x', '', 1, 1, 1)",
    "UPDATE user_coupons SET uses = uses + 1 WHERE coupon_id = 501 AND slot = 1",
])  # fmt: skip
def test_a_difference_is_noticed(world, planted):
    """In the target, or in the source: whichever was changed between two calls."""
    first = world.embedded().start()
    busy(first, 20)
    first.stop()
    first.change_sql("UPDATE users SET email = 'a@b' WHERE user_id = 2")
    url = world.database()
    there = world.file("there.conf", postgres=url)
    copied("--to", there, "--data", first.data)
    mark_half_done(url, first)
    query(url, planted)
    table = re.search(r"(?:UPDATE|FROM|INTO) (\w+)", planted).group(1)
    said = refused("--to", there, "--data", first.data)
    assert f"{table} is not the same in the source" in said and "changed meanwhile" in said
    query(url, "DROP TABLE copy_mark")
    assert "at least one has gone on since" in refused("--to", there, "--data", first.data)
    other = world.file("other.conf", postgres=world.database())
    first.change_sql("UPDATE user_coupons SET user_id = user_id + 100 WHERE coupon_id = 501 AND slot = 2")
    assert "coupon 501 of the source does not agree with its witness" in refused("--to", other, "--data", first.data)
