# SPDX-License-Identifier: Apache-2.0
"""Private, real stores for a test: on free ports of 127.0.0.1, in a directory of their own.

    with Stores() as stores:
        redis, postgres = stores.redis(), stores.postgres()
        link = stores.toxiproxy().link("redis", redis.port)

Whatever was started is killed at the end; it also dies with the thread that started it.
"""

import shutil

from support.daemon import Scratch
from support.postgres_store import PgBouncer, Postgres, PostgresPair
from support.redis_store import Cluster, Redis, Replicated, Sentinel
from support.toxiproxy import Toxiproxy


MEMORY, ROOM = "/dev/shm", 1 << 30


class Stores:
    """Starts stores and sees to their end."""

    def __init__(self):
        self.scratch, self.fast = Scratch(), None
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for store in reversed(self.started):
            store.end()
        self.started = []
        if self.fast:
            self.fast.close()
        self.scratch.close()

    def start(self, store):
        self.started.append(store)
        return store.start()

    def in_memory(self):
        """For those that watch each other by the clock, and sync their state at each change: a disk that takes
        two seconds for that makes a Sentinel do nothing for half a minute."""
        if not self.fast and shutil.disk_usage(MEMORY).free >= ROOM:
            self.fast = Scratch(MEMORY)
        return self.fast or self.scratch

    def folder(self, name):
        return self.scratch.folder(f"{name}{len(self.started)}")

    def redis(self, **options):
        """One server. `password`, `port`, and settings with underscores for dashes."""
        return self.start(Redis(self.folder("redis"), **options))

    def replicated(self, replicas=1, **settings):
        return self.start(Replicated(self.scratch, replicas, **settings))

    def sentinel(self, **options):
        """`replicas`, `sentinels`, `down_after_ms`, and settings of Redis."""
        return self.start(Sentinel(self.in_memory(), **options))

    def cluster(self, **options):
        """`masters`, `replicas` of each, `node_timeout_ms`, and settings of Redis."""
        return self.start(Cluster(self.in_memory(), **options))

    def postgres(self, **options):
        """One server. `durable` turns fsync on; settings of PostgreSQL."""
        return self.start(Postgres(self.folder("postgres"), **options))

    def postgres_pair(self, **options):
        """A primary and a standby, `synchronous` or not."""
        return self.start(PostgresPair(self.scratch, **options))

    def pgbouncer(self, postgres, **settings):
        return self.start(PgBouncer(self.folder("pgbouncer"), postgres, **settings))

    def toxiproxy(self):
        return self.start(Toxiproxy(self.folder("toxiproxy")))
