# SPDX-License-Identifier: Apache-2.0
"""A coupon ends before the other server has heard of the last places that were handed out."""

import pytest

from support.distributed import Servers
from support.server import wait_for

COUPONS = (901, 902, 903)
QUANTITY, TAKEN, HOUR = 10, 4, 3600
SOON_SECONDS = 2


@pytest.fixture(name="servers")
def _servers(tmp_path, shared_stores):
    servers = Servers(tmp_path / "servers", shared_stores, settle=True)
    try:
        yield servers.start()
    finally:
        servers.close()


def remaining(node):
    return [node.get(f"/api/coupons/{coupon}")["remainingQuantity"] for coupon in COUPONS]


def test_what_is_left_is_soon_the_same_everywhere(servers):
    one, other = servers.nodes
    for coupon in COUPONS:
        servers.make_coupon(QUANTITY, coupon)
    for coupon in COUPONS:
        for user in range(1, TAKEN + 1):
            assert one.take("reserve", coupon, user).status == 200
    servers.call("POST", "/api/admin/test/clock", {"advanceSeconds": 365 * 24 * HOUR})
    assert one.take("reserve", COUPONS[0], TAKEN + 1).json["code"] == "C003"
    left = [QUANTITY - TAKEN] * len(COUPONS)
    wait_for(lambda: remaining(one) == left and remaining(other) == left, SOON_SECONDS, what="both know")
    assert all(node.get(f"/api/coupons/{coupon}")["status"] == "ENDED" for node in servers.nodes for coupon in COUPONS)
