# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests from outside."""

import pytest

from support.distributed import CHOSEN, SharedStores, make_server


def pytest_collection_modifyitems(config, items):
    """With the stores outside, what is about the embedded ones is left out."""
    if CHOSEN:
        left_out = [item for item in items if item.get_closest_marker("embedded")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


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
