# SPDX-License-Identifier: Apache-2.0
"""One case of each kind that a run must not count as passed, and one that it must."""

import pytest


def test_passes():
    assert True


def test_fails():
    assert 1 == 2


@pytest.mark.skip(reason="planted")
def test_is_skipped():
    pass


@pytest.fixture
def broken():
    raise OSError("planted")


def test_cannot_start(broken):
    pass
