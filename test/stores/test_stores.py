# SPDX-License-Identifier: Apache-2.0
"""The stores that tests start do what the tests that rely on them think they do."""

import os
import subprocess
import sys
import time

import pytest

from support.daemon import ROOT, listens, wait_until
from support.pq import Pq, SqlError
from support.resp import RedisError
from support.stores import Stores


@pytest.fixture
def stores():
    with Stores() as started:
        yield started


def test_redis_keeps_what_it_acknowledged_over_kill(stores):
    redis = stores.redis()
    assert redis.call("SET", "a", "1") == "OK"
    snapshot = redis.snapshot()
    redis.call("SET", "a", "2")
    redis.restart(kill=True)
    assert redis.call("GET", "a") == "2"
    redis.restore(snapshot)
    assert redis.call("GET", "a") == "1"
    redis.flush()
    assert redis.call("GET", "a") is None
    assert redis.functions() == []
    assert redis.config("maxmemory-policy") == "noeviction"


def test_redis_wants_its_password(stores):
    redis = stores.redis(password="secret")
    assert redis.call("PING") == "PONG"
    redis.password = None
    with pytest.raises(RedisError, match="NOAUTH"):
        redis.call("GET", "a")


def test_redis_that_is_frozen_hangs_and_comes_back(stores):
    redis = stores.redis()
    redis.freeze()
    with pytest.raises(TimeoutError):
        redis.call("PING", timeout=0.2)
    redis.thaw()
    assert redis.call("PING") == "PONG"


def test_sentinel_promotes_a_replica_that_lost_acknowledged_writes(stores):
    group = stores.sentinel()
    old, replica = group.primary, group.replicas[0]
    old.call("SET", "a", "1")
    wait_until(lambda: replica.synced(old), "synced")
    replica.fence()
    assert old.call("SET", "a", "2") == "OK"
    since = time.monotonic()
    old.kill9()
    new = group.wait_switched(old)
    print(f"fail-over took {time.monotonic() - since:.2f} s")
    assert new is replica and new.call("GET", "a") == "1"
    replica.unfence()
    old.start_as_replica(new)
    group.wait_whole()
    assert old.role() == "slave" and old.call("GET", "a") == "1"


def test_cluster_promotes_a_replica_that_lost_acknowledged_writes(stores):
    cluster = stores.cluster(replicas=1)
    key = "{coupon:1}"
    old = cluster.owner_of(key)
    (replica,) = cluster.replicas_of(old)
    old.call("SET", key, "1")
    wait_until(lambda: replica.synced(old), "synced")
    replica.fence()
    assert old.call("SET", key, "2") == "OK"
    since = time.monotonic()
    old.kill9()
    new = cluster.wait_switched(key, old)
    print(f"fail-over took {time.monotonic() - since:.2f} s")
    assert new is replica and new.call("GET", key) == "1"
    replica.unfence()
    old.start()
    cluster.wait_whole()
    assert old.role() == "slave"


def test_postgres_is_killed_and_recovers(stores):
    postgres = stores.postgres()
    postgres.query("CREATE TABLE t (a bigint, b text, c bytea, d boolean)")
    assert postgres.query("INSERT INTO t VALUES ($1, $2, $3, $4)", 1, "é", b"\0\1", True) == 1
    postgres.query("INSERT INTO t VALUES (NULL, NULL, NULL, NULL)")
    postgres.restart(kill=True)
    assert postgres.query("SELECT * FROM t") == [(1, "é", b"\0\1", True), (None, None, None, None)]
    with pytest.raises(SqlError) as caught:
        postgres.query("SELECT * FROM nowhere")
    assert caught.value.state == "42P01"
    other = postgres.connect()
    assert postgres.kill_backend()
    wait_until(lambda: postgres.ready() and not postgres.backends(), "recovered")
    with pytest.raises(ConnectionError):
        other.run("SELECT 1")
    other.close()
    postgres.freeze()
    assert postgres.alive() and listens(postgres.port)
    postgres.thaw()
    assert postgres.ready()


def test_postgres_standby_has_what_was_committed(stores):
    pair = stores.postgres_pair(synchronous=True)
    pair.primary.query("CREATE TABLE t (a bigint)")
    pair.primary.query("INSERT INTO t VALUES (1)")
    pair.primary.kill9()
    pair.standby.promote()
    assert pair.standby.query("SELECT a FROM t") == [(1,)]
    assert pair.standby.query("INSERT INTO t VALUES (2)") == 1


def test_postgres_standby_that_is_cut_off_lacks_what_came_later(stores):
    pair = stores.postgres_pair(synchronous=False)
    pair.primary.query("CREATE TABLE t (a bigint)")
    wait_until(lambda: pair.standby.query("SELECT 1 FROM pg_class WHERE relname = 't'"), "copied")
    pair.standby.cut_off()
    pair.primary.query("INSERT INTO t VALUES (1)")
    assert pair.standby.query("SELECT a FROM t") == []
    pair.standby.join()
    wait_until(lambda: pair.standby.query("SELECT a FROM t") == [(1,)], "caught up")
    old = pair.primary
    old.kill9()
    pair.standby.promote()


def test_pgbouncer_hands_a_connection_on_after_each_transaction(stores):
    postgres = stores.postgres()
    bouncer = stores.pgbouncer(postgres, default_pool_size=1)
    with Pq(bouncer.url) as one, Pq(bouncer.url) as other:
        first = one.run("SELECT pg_backend_pid()")
        assert other.run("SELECT pg_backend_pid()") == first


def test_toxiproxy_stands_between(stores):
    redis, proxy = stores.redis(), stores.toxiproxy()
    link = proxy.link("redis", redis.port)
    direct, redis.port = redis.port, link.port
    assert link.url_of(f"redis://127.0.0.1:{direct}/0") == redis.url
    link.latency(50)
    since = time.monotonic()
    assert redis.call("PING") == "PONG"
    assert time.monotonic() - since >= 0.09
    link.heal()
    link.slicer()
    assert redis.call("ECHO", "x" * 100) == "x" * 100
    link.heal()
    link.blackhole()
    with pytest.raises(TimeoutError):
        redis.call("PING", timeout=0.2)
    link.heal()
    link.reset()
    with pytest.raises(ConnectionError):
        redis.call("PING")
    link.heal()
    link.set_up(False)
    with pytest.raises(ConnectionRefusedError):
        redis.call("PING")
    link.heal()
    assert redis.call("PING") == "PONG"


def test_with_stores_gives_the_status_and_leaves_nothing(tmp_path):
    script = "import os, sys; print(os.environ['DOORBUSTER_TEST_REDIS_PID']); sys.exit(7)"
    done = subprocess.run(
        [ROOT / "test/with_stores.py", "--redis", "--", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 7, done.stderr
    assert not os.path.exists(f"/proc/{int(done.stdout)}")
    assert list(tmp_path.iterdir()) == []


def test_with_stores_killed_takes_all_along(tmp_path):
    script = "import os, time; print(os.environ['DOORBUSTER_TEST_REDIS_PID'], os.getpid(), flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [ROOT / "test/with_stores.py", "--redis", "--", sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    pids = process.stdout.readline().split()
    process.kill()
    process.wait(10)
    process.stdout.close()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "all ended")
