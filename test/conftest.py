# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests from outside."""

import pytest

from support.server import Server


@pytest.fixture
def serve(tmp_path):
    """Starts servers, each in a directory of its own, and sees to their end."""
    servers = []

    def start(prepare=None, **options):
        directory = tmp_path / f"server{len(servers)}"
        directory.mkdir()
        servers.append(Server(directory, **options))
        if prepare:
            prepare(servers[-1])
        return servers[-1].start()

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for all tests of a file that leave nothing behind."""
    server = Server(tmp_path_factory.mktemp("shared")).start()
    yield server
    server.close()


@pytest.fixture
def server(serve):
    """One server in profile `test`, with one loop thread."""
    return serve()
