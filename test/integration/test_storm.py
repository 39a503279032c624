# SPDX-License-Identifier: Apache-2.0
"""The short form of test/fuzz/http_storm.py; the long one has a million requests and more."""

import pathlib

from fuzz.http_storm import Storm, prepare, prove_all
from support.server import PROGRAM

SHORT = 12000
GROWTH_KIB = 4096
# There is no dead event here: test_events.py has some.
OF_DEAD_EVENTS = {"replayDeadEvent", "skipDeadEvent"}


def keeps_freed_memory():
    """A sanitizer's allocator does, to find those who still use it."""
    program = pathlib.Path(PROGRAM).read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def test_storm(serve):
    """Mutated requests: nothing but documented answers, no growth, and every coupon proved."""
    server = serve(log__level="error")
    prepare(server)
    storm = Storm(server, seed=20261122)
    storm.run(SHORT // 2)
    warm = server.rss_kib()
    storm.run(SHORT // 2)
    storm.close()
    grown = server.rss_kib() - warm
    assert grown < GROWTH_KIB or keeps_freed_memory(), f"{grown} KiB on top of {warm}"
    routes = {name for name, status in storm.counts if status < 300}
    assert routes >= {route.name for route in storm.maker.routes} - OF_DEAD_EVENTS, "a route that was never answered well"
    assert {status for _, status in storm.counts} >= {200, 201, 204, 400, 404, 405, 409, 415, 422, 503}
    assert prove_all(server) >= 12
