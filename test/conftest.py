# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests from outside."""

import os

import pytest

from support.distributed import CHOSEN, SharedStores, make_server


def pytest_collection_modifyitems(config, items):
    """With the stores outside, what is about the embedded ones is left out. DOORBUSTER_TEST_EACH=once takes
    of each test the last of its cases."""
    left_out = [item for item in items if CHOSEN and item.get_closest_marker("embedded")]
    if os.environ.get("DOORBUSTER_TEST_EACH") == "once":
        last = {(item.fspath, item.originalname): item for item in items}
        left_out += [item for item in items if last[item.fspath, item.originalname] is not item]
    if left_out:
        out = set(left_out)
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=list(out))


@pytest.fixture(scope="session")
def shared_stores():
    """For servers that share theirs; nothing is started before one is asked for."""
    stores = SharedStores()
    yield stores
    stores.close()


@pytest.fixture
def serve(tmp_path, shared_stores):
    """Starts servers, each in a directory of its own, and sees to their end."""
    servers = []

    def start(prepare=None, **options):
        directory = tmp_path / f"server{len(servers)}"
        directory.mkdir()
        servers.append(make_server(directory, shared_stores, **options))
        if prepare:
            prepare(servers[-1])
        return servers[-1].start()

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, shared_stores):
    """One server for all tests of a file that leave nothing behind."""
    server = make_server(tmp_path_factory.mktemp("shared"), shared_stores).start()
    yield server
    server.close()


@pytest.fixture
def server(serve):
    """One server in profile `test`, with one loop thread."""
    return serve()
