# SPDX-License-Identifier: Apache-2.0
"""The same random commands at an embedded server and at two on one Redis and one PostgreSQL: every answer
and, at the end, every row is the same (test/model/pair.py says what may differ).

PAIR_COMMANDS: how many (default 1,500; 100,000 are the whole thing). PAIR_SEED: other commands.
"""

import collections
import json
import os
import re
import time

import pytest

from model.alike import unlike
from model.base import Moment
from model.compare import Answer
from model.differential import Difference
from model.pair import One, Pair
from model.two import Two

COMMANDS = int(os.environ.get("PAIR_COMMANDS", "1500"))
SEED = int(os.environ.get("PAIR_SEED", time.time_ns() % 10**9))
EVERY = max(COMMANDS // 4, 400)
ZONE = "America/New_York"


@pytest.fixture
def pair(shared_stores):
    """Starts both sides."""
    sides = []

    def start(seed, two=Two):
        sides.append(One(ZONE))
        sides.append(two(ZONE, shared_stores))
        return Pair(sides[-2], sides[-1], ZONE, seed)

    yield start
    for side in sides:
        side.close()


@pytest.mark.timeout(7200)
def test_embedded_and_distributed_agree(pair):
    print(f"PAIR_SEED={SEED}")
    run = pair(SEED)
    run.run(COMMANDS, EVERY)
    assert {status for _, status, _ in run.counts} >= {200, 201, 400, 404, 409}
    print(run.excused)


# What is changed behind the servers' back, and how what is then found begins.
CHANGES = {
    "UPDATE users SET balance = balance + 1 WHERE user_id = 4": r"users \(4,\): balance",
    "UPDATE users SET username = 'x' WHERE user_id = 150": r"users \(150,\): username",
    "UPDATE users SET has_cart = 1 - has_cart WHERE user_id = 1": r"users \(1,\): has_cart",
    "UPDATE products SET stock = stock + 1 WHERE product_id = 1": r"products \(1,\): stock",
    "UPDATE products SET description = NULL WHERE product_id = 3": r"products \(3,\): description",
    "UPDATE categories SET products = products + 1 WHERE category = '도서'": r"categories \('도서',\): products",
    "UPDATE coupons SET version = version + 1 WHERE coupon_id = 1": r"coupons \(1,\): version",
    "UPDATE coupons SET ends_at = ends_at + 86400000 WHERE coupon_id = 1": r"coupons \(1,\): ends_at",
    "UPDATE coupons SET witness = witness + 1 WHERE coupon_id = 3": r"coupons \(3,\): witness",
    "UPDATE user_coupons SET user_coupon_id = -1 WHERE coupon_id = 4": r"user_coupons \(4, 1\): user_coupon_id",
    "UPDATE store SET next_order_id = next_order_id + 1": r"store \(1,\): next_order_id",
    "UPDATE cart_lines SET line = line + 1": r"cart_lines .*: line",
    "UPDATE orders SET paid_at = NULL WHERE order_id = 1": r"orders \(1,\): paid_at",
    "UPDATE orders SET created_at = created_at + 86400000 WHERE order_id = 2": r"orders \(2,\): created_at",
    "UPDATE orders SET sold_day = sold_day + 1 WHERE order_id = 3": r"orders \(3,\): sold_day",
    "UPDATE order_lines SET name = 'x' WHERE order_id = 1": r"order_lines \(1, .*name",
    "UPDATE sales SET units = units + 1": r"sales \(.*: units",
    "UPDATE sales_days SET version = version + 1": r"sales_days \(.*: version",
    "UPDATE charges SET amount = amount + 1": r"charges \(.*: amount",
    "UPDATE charges SET fingerprint = ''": r"charges \(.*: fingerprint",
    "UPDATE order_keys SET status = 0 WHERE operation = 1": r"order_keys \(.*: status",
    "DELETE FROM attempts WHERE number = 1": r"attempts \(.*: only embedded",
    "DELETE FROM orders WHERE order_id = (SELECT max(order_id) FROM orders)": r"orders \(.*: only embedded",
    "INSERT INTO sales_days VALUES (1, 1)": r"sales_days \(1,\): only of two",
}


def test_a_row_that_differs_is_noticed(pair):
    run = pair(1)
    run.run(150, 1000)
    for change in CHANGES:
        assert run.two.target.server.change_sql(change) > 0, change
    found = run.rows_differ()
    for words in CHANGES.values():
        assert any(re.match(words, line) for line in found), words


class Spoilt(Two):
    """One of the two says something else about one product."""

    def send(self, request, data):
        answer = super().send(request, data)
        if request.method == "GET" and self.server.nodes[0].port == self.last_port:
            answer.body = answer.body.replace(b'"name":"gratis"', b'"name":"gratiS"')
        return answer


def test_an_answer_that_differs_is_noticed(pair):
    with pytest.raises(Difference):
        pair(2, Spoilt).run(300, 50)


# ---- the comparison itself ----

HEADERS = {"content-type": "application/json", "date": "now"}
PAID_AT = "2027-01-01T00:00:00.100Z"
BODY = {"orderId": 7, "items": [{"productId": 1, "quantity": 2}], "paidAt": PAID_AT, "source": "memory"}


def differs(one, two, skew_ms=50):
    return unlike(answer(*one), answer(*two), skew_ms, collections.Counter())


def answer(status=200, body=None, headers=None):
    return Answer(status, json.dumps(BODY if body is None else body).encode(), Moment(0), Moment(0), headers or HEADERS)


def test_what_may_differ():
    assert not differs((), ())
    assert not differs((), (200, BODY, {**HEADERS, "date": "later", "x-request-id": "1"}))
    assert not differs((), (200, {**BODY, "paidAt": "2027-01-01T09:00:00.149+09:00", "source": "redis"}))


@pytest.mark.parametrize(
    "other",
    [
        (201,),
        (200, {**BODY, "orderId": 8}),
        (200, {**BODY, "orderId": "7"}),
        (200, {**BODY, "orderId": None}),
        (200, {**BODY, "items": []}),
        (200, {**BODY, "items": [{"productId": 1, "quantity": 3}]}),
        (200, {**BODY, "items": [{"quantity": 2, "productId": 1}]}),
        (200, {**BODY, "paidAt": "2027-01-01T00:00:00.151Z"}),
        (200, {**BODY, "paidAt": None}),
        (200, {**BODY, "source": "none"}),
        (200, {**BODY, "more": 1}),
        (200, BODY, {"content-type": "text/plain"}),
        (200, BODY, {**HEADERS, "sunset": "soon"}),
    ],
)
def test_what_may_not_differ(other):
    assert differs((), other)
