# SPDX-License-Identifier: Apache-2.0
"""What PostgreSQL must be set to before a server serves on it: several hosts, and every text."""

import pytest

from support.distributed import At, Servers
from support.postgres_store import USER
from support.stores import Stores


@pytest.fixture(name="stores")
def _stores():
    with Stores() as stores:
        yield stores


def servers(tmp_path, stores, url, name="servers", **options):
    return Servers(tmp_path / name, At(stores.redis().url, url), count=1, **options)


def refused(server, *words):
    code, said = server.start_refused()
    assert code == 1, said
    for word in words:
        assert word in said, said


def serves(server):
    server.start()
    server.make_coupon(3)
    server.close()


def test_several_hosts_whose_commits_wait_for_nobody(tmp_path, stores):
    """Refused, and what is said to do mends it; told to, it starts and says so."""
    pair = stores.postgres_pair(synchronous=False)
    server = servers(tmp_path, stores, pair.url)
    refused(server, "synchronous_standby_names", "ALTER SYSTEM SET", "ledger.allow_unsafe_standby")
    assert pair.primary.query("SELECT 1 FROM pg_class WHERE relname = 'store_level'") == [], "nothing was made"
    serves(servers(tmp_path, stores, pair.primary.url, "one_host"))
    unsafe = servers(tmp_path, stores, pair.url, "unsafe", ledger__allow_unsafe_standby="on")
    serves(unsafe)
    assert "UNSAFE" in unsafe.log_text() and "synchronous_standby_names" in unsafe.log_text()
    pair.primary.set("synchronous_standby_names", "ANY 1 (standby)")
    serves(server)
    assert "UNSAFE" not in server.log_text()


@pytest.mark.parametrize("level", ("off", "local", "remote_write"))
def test_several_hosts_with_commits_that_do_not_wait_for_the_disk(tmp_path, stores, level):
    pair = stores.postgres_pair(synchronous=True)
    server = servers(tmp_path, stores, pair.url)
    pair.primary.query(f"ALTER ROLE {USER} SET synchronous_commit = {level}")
    refused(server, "synchronous_commit", "ALTER ROLE", "ledger.allow_unsafe_standby")
    pair.primary.query(f"ALTER ROLE {USER} SET synchronous_commit = remote_apply")
    serves(server)


def test_a_database_that_does_not_keep_every_text(tmp_path, stores):
    postgres = stores.postgres()
    postgres.query("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    server = servers(tmp_path, stores, postgres.database_url("latin"), ledger__allow_unsafe_standby="on")
    refused(server, "LATIN1", "ENCODING 'UTF8'")
