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


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_is_wrong_does_not_agree(real, name):
    """The server against a model with one rule broken; test/drill/test_model.py has them all."""
    zone = "America/New_York"
    with pytest.raises(Difference):
        Differential(real(zone), zone, 1, MUTANTS[name]).run(4000, 500)
