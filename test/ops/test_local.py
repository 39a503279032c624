# SPDX-License-Identifier: Apache-2.0
"""Each topology of ops/local.sh: the stores answer, and are gone when it is stopped."""

import os
import re
import signal
import subprocess
import urllib.parse

import pytest

from support.daemon import ROOT, Scratch, wait_until
from support.local import Local, free_span
from support.pq import Pq, query
from support.resp import RedisError, Resp

TOPOLOGIES = ["single", "sentinel", "cluster", "tls", "passwords", "standby", "pgbouncer"]


@pytest.fixture
def place():
    scratch = Scratch()
    yield scratch.path
    scratch.close()


def first_primary(url):
    """A connection to the Redis that the URL leads to; of a cluster, to its first node."""
    parts = urllib.parse.urlsplit(url)
    secret, _, hosts = parts.netloc.rpartition("@")
    user, _, password = secret.partition(":")
    port = int(hosts.split(",")[0].rpartition(":")[2])
    if parts.scheme == "redis+sentinel":
        with Resp(port) as sentinel:
            port = int(sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", parts.path[1:])[1])
    return Resp(port, user=user or None, password=password or None)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_stores_of_a_topology(place, topology):
    with Local(topology, place) as local:
        with first_primary(local.redis_url) as redis:
            assert redis.call("INFO", "replication").count("role:master") == 1
            settings = [redis.call("CONFIG", "GET", name)[1] for name in ("appendonly", "maxmemory-policy")]
            assert settings == ["yes", "noeviction"]
            assert redis.call("CONFIG", "GET", "repl-backlog-ttl")[1] == "0"
        with Pq(local.postgres_url) as postgres:
            postgres.run("CREATE TABLE kept (a bigint)")
            assert postgres.run("INSERT INTO kept VALUES (1)") == 1
            assert postgres.run("SELECT a FROM kept") == [(1,)]
            assert postgres.run("SHOW fsync") == [("on",)]
        assert local.ports_open()
        code, said = local.stop()
        assert code == 0 and said.rstrip().endswith("stopped"), said
        assert local.ports_open() == []
    # What was there is there the next time.
    with Local(topology, place) as local:
        assert query(local.postgres_url, "SELECT a FROM kept") == [(1,)]


def test_tls_is_the_only_way_in(place):
    with Local("tls", place) as local:
        with Pq(local.postgres_url) as postgres:
            assert postgres.run("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
        with pytest.raises(ConnectionError, match="pg_hba"):
            Pq(re.sub(r"\?.*", "?sslmode=disable", local.postgres_url))
        behind = min(local.ports_open())  # Redis itself is the first that is started
        with Resp(behind) as plain, pytest.raises(ConnectionError):
            plain.call("PING")


def test_passwords_are_wanted(place):
    with Local("passwords", place) as local:
        with pytest.raises(ConnectionError, match="password"):
            Pq(re.sub(r":[0-9a-f]{32}@", "@", local.postgres_url))
        parts = urllib.parse.urlsplit(local.redis_url)
        with Resp(parts.port) as nobody, pytest.raises(RedisError, match="NOAUTH|no permissions"):
            nobody.call("GET", "a")
        with first_primary(local.redis_url) as redis, pytest.raises(RedisError, match="NOPERM"):
            redis.call("FLUSHALL")
        assert os.stat(place / "redis.password").st_mode & 0o077 == 0


def test_script_that_is_killed_takes_all_along(place):
    with Local("single", place) as local:
        local.process.send_signal(signal.SIGKILL)
        wait_until(lambda: not local.ports_open(), "all ended")


def test_a_directory_that_postgres_cannot_get_to(place):
    if os.geteuid() != 0:
        return  # PostgreSQL runs as the one who asks
    private = place / "private"
    private.mkdir(0o700)
    done = subprocess.run([ROOT / "ops/local.sh", "single", private], capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OPS_PORT": str(free_span())})  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot get to" in done.stderr and "name another DIR" in done.stderr, done.stderr
