# SPDX-License-Identifier: Apache-2.0
"""The differential test notices every broken rule: a model that plays the server, with one rule broken
at a time or answers spoilt on their way, and the whole model."""

import json

import pytest

from model.compare import Answer
from model.differential import Difference, Differential
from model.model import Shop
from model.mutants import MUTANTS
from model.pretend import Pretend

COMMANDS, EVERY, SEEDS = 4000, 500, range(1, 6)
ZONE = "America/New_York"


def run(target, seed, zone=ZONE):
    Differential(target, zone, seed).run(COMMANDS, EVERY)


@pytest.mark.parametrize("zone", ["Asia/Seoul", ZONE, "Europe/Berlin", "Australia/Lord_Howe", "UTC"])
def test_the_whole_model_agrees_with_itself(zone):
    run(Pretend(Shop, zone, 1), 1, zone)


def noticed(make):
    """How the first difference reads, within some seeds."""
    for seed in SEEDS:
        try:
            run(make(seed), seed)
        except Difference as found:
            return str(found)
    return None


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_noticed(name):
    assert noticed(lambda seed: Pretend(MUTANTS[name], ZONE, seed))


# ---- right in the model, spoilt on the way ----


def with_more(body):
    return {**body, "more": 1}


def with_less(body):
    return {name: body[name] for name in list(body)[:-1]}


def with_text_for_number(body):
    return {name: str(value) if type(value) is int and name != "status" else value for name, value in body.items()}


def with_one_for_true(body):
    items = [{**item, "stockAvailable": 1} for item in body.get("items", ()) if "stockAvailable" in item]
    return {**body, "items": items} if items else body


def with_an_old_time(body):
    return {**body, "paidAt": "2027-01-01T00:00:00Z"} if "paidAt" in body else body


def with_the_same_order(body):
    return {**body, "orderId": 7777} if "orderNumber" in body else body


def with_a_bare_number(body):
    return {**body, "orderNumber": "ORD-1"} if "orderNumber" in body else body


def with_a_transaction(body):
    return {**body, "dataTransmission": "PG_APPROVED: 1"} if body.get("paidAmount") == 0 else body


def with_nothing_in_the_list(body):
    return {**body, "orders": []} if "orders" in body else body


def with_another_code(body):
    return {**body, "code": "P009"} if body.get("code") == "P001" else body


def with_the_wrong_member(body):
    return {**body, "member": "x"} if "member" in body else body


SPOILERS = [value for name, value in list(globals().items()) if name.startswith("with_")]


class Spoilt(Pretend):
    """Every answer goes through `spoil`."""

    def __init__(self, seed, spoil):
        super().__init__(Shop, ZONE, seed)
        self.spoil, self.is_learning = spoil, True

    def ask(self, request):
        answer = super().ask(request)
        self.is_learning &= not request.path.endswith("/clock")
        if self.is_learning or not answer.json:
            return answer
        return Answer(answer.status, json.dumps(self.spoil(answer.json)).encode(), answer.earliest, answer.latest)


@pytest.mark.parametrize("spoil", SPOILERS)
def test_a_spoilt_answer_is_noticed(spoil):
    assert noticed(lambda seed: Spoilt(seed, spoil))


def test_other_bytes_of_a_replay_are_noticed():
    """The same JSON, with a space in it."""

    class Other(Pretend):
        seen = set()

        def ask(self, request):
            answer, again = super().ask(request), repr(request) in self.seen
            self.seen.add(repr(request))
            return Answer(answer.status, answer.text + b" " * again, answer.earliest, answer.latest)

    assert "bytes of the first answer" in noticed(lambda seed: Other(Shop, ZONE, seed))
