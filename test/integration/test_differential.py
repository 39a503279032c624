# SPDX-License-Identifier: Apache-2.0
"""Random commands: the server answers what the plain model of the contract (test/model) says.

MODEL_COMMANDS: how many in each time zone (default 5,000; 100,000 are the whole thing). MODEL_SEED:
other commands; it is printed.
"""

import os
import time

import pytest

from model.differential import Difference, Differential
from model.model import Shop
from model.mutants import MUTANTS
from model.real import Real
from model.stored import stored_differs

pytestmark = pytest.mark.embedded

COMMANDS = int(os.environ.get("MODEL_COMMANDS", "5000"))
SEED = int(os.environ.get("MODEL_SEED", time.time_ns() % 10**9))
EVERY = 2500
BROKEN = ["discount rounded up", "give back stock never", "replay afresh", "is stored never", "count refund never"]


@pytest.fixture
def real():
    """Starts servers in a zone."""
    targets = []

    def start(zone, **settings):
        targets.append(Real(zone, **settings))
        return targets[-1]

    yield start
    for target in targets:
        target.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
def test_server_and_model_agree(real, zone):
    print(f"MODEL_SEED={SEED}")
    run = Differential(real(zone), zone, SEED)
    run.run(COMMANDS, EVERY)
    assert {status for _, status, _ in run.counts} >= {200, 201, 400, 402, 403, 404, 409, 422}


class WithoutGateway(Shop):
    """payment.gateway = none: balances only, and no key is refused."""

    has_gateway = False


def test_without_a_payment_gateway(real):
    zone = "Europe/Berlin"
    run = Differential(real(zone, payment__gateway="none"), zone, SEED, WithoutGateway)
    run.run(COMMANDS // 4, EVERY)
    assert 402 not in {status for _, status, _ in run.counts}


CHANGES = [
    "UPDATE users SET balance = balance + 1 WHERE user_id = 4",
    "UPDATE users SET orders_pending = orders_pending + 1 WHERE user_id = 4",
    "UPDATE users SET held = 1 WHERE user_id = 5",
    "UPDATE products SET stock = stock + 1 WHERE product_id = 1",
    "UPDATE products SET held = 1 WHERE product_id = 2",
    "UPDATE store SET products = products + 1",
    "DELETE FROM charges WHERE user_id = (SELECT min(user_id) FROM charges)",
    "DELETE FROM orders WHERE order_id = (SELECT max(order_id) FROM orders)",
    "UPDATE orders SET paid_at = paid_at + 1 WHERE order_id = (SELECT max(order_id) FROM orders WHERE status = 1)",
    "UPDATE order_lines SET quantity = quantity + 1 WHERE order_id = (SELECT min(order_id) FROM order_lines)",
    "UPDATE user_coupons SET uses = uses + 1 WHERE coupon_id = 4",
    "UPDATE sales SET units = units + 1 WHERE day = (SELECT max(day) FROM sales)",
    "UPDATE sales_days SET version = version + 1 WHERE day = (SELECT max(day) FROM sales_days)",
    "UPDATE order_keys SET status = 0 WHERE operation = 1",
]


def test_what_is_stored_is_compared(real):
    """Each change behind the server's back is seen in its file."""
    target = real("Asia/Seoul")
    run = Differential(target, "Asia/Seoul", 1)
    run.run(600, EVERY)
    found = []
    for change in CHANGES:
        assert target.server.change_sql(change) > 0, change
        before, found = found, stored_differs(target.server, run.shop)
        assert set(found) - set(before), change


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_is_wrong_does_not_agree(real, name):
    """The server against a model with one rule broken; test/drill/test_model.py has them all."""
    zone = "America/New_York"
    with pytest.raises(Difference):
        Differential(real(zone), zone, 1, MUTANTS[name]).run(4000, 500)
