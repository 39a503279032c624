# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment changes nothing of what was told about money.

DRILL_MONEY_KILLS: how many (default 20; 100 and more are the whole thing). DRILL_PAYMENTS: payments of the
run with every fifth key at once twice (default 5,000; 100,000). DRILL_SEED: another course of events.
"""

import itertools
import os
import random
import time

import pytest

from support import invariants
from support.client import Request, storm
from support.killer import Killer
from support.orders import STICKER, WORKSTATION, order_body
from support.server import wait_for

KILLS = int(os.environ.get("DRILL_MONEY_KILLS", "20"))
PAYMENTS = int(os.environ.get("DRILL_PAYMENTS", "5000"))
SEED = int(os.environ.get("DRILL_SEED", time.time_ns() % 10**9))
USERS = range(4, 24)
PRODUCTS = (1, 2, 3, 4, 12, 19, STICKER, WORKSTATION)
SETTLED_SECONDS = 10
TWICE = 0.2
LATENCIES = [["--set", f"payment.mock_latency={ms}ms"] for ms in (0, 0, 5, 100)]
SETTLE_SOON = ["--set", "payment.settle_after=1s"]
KEPT = (200, 201, 402)  # answers that are stored with their key
AFRESH = (400, 409)  # refusals that are not


class Ask:
    """One key: what is asked with it, and the bytes that were answered for good."""

    __slots__ = ("what", "path", "body", "order", "answer", "answered_at", "unanswered")

    def __init__(self, what, path, body, order=None):
        self.what, self.path, self.body, self.order = what, path, body, order
        self.answer = self.answered_at = None
        self.unanswered = False  # it may have had its effect

    def request(self):
        return Request("POST", self.path, self.body, user=self)


class Order:
    """What was told about an order, and what may have become of it."""

    def __init__(self, body):
        self.order_id, self.user, self.total = body["orderId"], body["userId"], body["totalAmount"]
        self.status = body["status"]
        self.asks = []

    def told(self, status):
        assert self.status != "CANCELLED" or status == "CANCELLED", f"{self.order_id}: {self.status}, then {status}"
        self.status = status


class Books:
    """Everything that was asked and everything that was answered."""

    def __init__(self, server, rng, before, coupon):
        self.server, self.rng, self.before, self.coupon = server, rng, before, coupon
        self.asks, self.orders, self.flying, self.todo = [], [], [], []
        self.number = itertools.count(1)
        self.left_open = 0  # attempts that a killed server left behind

    # ---- what is asked ----

    def key(self, what):
        return f"{what}-{next(self.number)}" + ("-fail" if self.rng.random() < 0.1 else "")

    def ask(self, what, path, body, order=None):
        ask = Ask(what, path, body, order)
        self.asks.append(ask)
        if order:
            order.asks.append(ask)
        return ask

    def items(self):
        return [(product, self.rng.randrange(1, 3)) for product in self.rng.sample(PRODUCTS, self.rng.randrange(1, 3))]

    def new_ask(self):
        """Mostly payments of orders that are not paid yet, but also of those that are."""
        dice, user = self.rng.random(), self.rng.choice(USERS)
        if dice < 0.35 or not self.orders:
            what = "complete" if self.rng.random() < 0.3 else "order"
            path = "/api/orders/complete" if what == "complete" else "/api/orders"
            coupon = self.coupon if self.rng.random() < 0.2 else None
            return self.ask(what, path, order_body(user, self.items(), coupon, self.key(what)))
        if dice < 0.45:
            body = {"amount": self.rng.randrange(1, 1000), "idempotencyKey": self.key("charge")}
            return self.ask("charge", f"/api/users/{user}/balance/charge", body)
        order = self.rng.choice(self.orders[-200:] if self.rng.random() < 0.8 else self.orders)
        what = "payment" if dice < 0.85 else "cancel"
        body = {"userId": order.user, "idempotencyKey": self.key(what)}
        return self.ask(what, f"/api/orders/{order.order_id}/{what}", body, order)

    def stream(self):
        """What got no answer before, then new ones without end; one in five at once twice."""
        todo, self.todo = self.todo, []
        for ask in itertools.chain(todo, iter(self.new_ask, None)):
            self.harvest()
            for _ in range(2 if self.rng.random() < TWICE else 1):
                self.flying.append(ask.request())
                yield self.flying[-1]

    def harvest(self):
        """New orders are there to be paid at once."""
        while self.flying and self.flying[0].answer is not None:
            self.take_in([self.flying.pop(0)])

    # ---- what was answered ----

    def take_in(self, asked):
        for request in asked:
            ask, answer = request.user, request.answer
            if answer is None or answer.status == 503:
                ask.unanswered = ask.unanswered or ask.answer is None
                self.todo.append(ask)
            elif answer.status in KEPT:
                self.kept(ask, answer, request.answered_at)
            else:
                assert answer.status in AFRESH, f"{ask.path} {ask.body}: {answer}"
                # One of two that were asked at once may have been decided first, and be answered last.
                after = ask.answer is not None and request.sent_at >= ask.answered_at
                assert not after, f"{ask.path} {ask.body}: {ask.answer}, then {answer}"
                ask.unanswered = ask.unanswered or answer.error == "DUPLICATE_REQUEST"

    def kept(self, ask, answer, at):
        if ask.answer is not None:
            assert (ask.answer.status, ask.answer.body) == (answer.status, answer.body), f"{ask.body}: {ask.answer}, {answer}"
            return
        ask.answer, ask.answered_at, ask.unanswered = answer, at, False
        body = answer.json
        if answer.status == 402:
            assert "fail" in ask.body["idempotencyKey"], answer
        elif ask.what in ("order", "complete"):
            self.orders.append(Order(body if ask.what == "order" else body["order"]))
        elif ask.what == "payment":
            assert body["paidAmount"] == ask.order.total, answer
            ask.order.told("COMPLETED")
        elif ask.what == "cancel":
            ask.order.told("CANCELLED")

    def end_of_storm(self):
        flying, self.flying = self.flying, []
        self.take_in(flying)

    def ask_again(self, asks):
        """Until each has an answer: those that were answered get the same bytes."""
        asks = list(asks)
        while asks:
            asked = storm(self.server, (ask.request() for ask in asks), connections=32)
            self.todo = []
            self.take_in(asked)
            asks, self.todo = self.todo, []

    def resolve(self):
        """Whatever got no answer is asked again until it has one."""
        self.ask_again({ask: None for ask in self.todo + [a for a in self.asks if a.unanswered]})
        for ask in self.asks:
            ask.unanswered = False

    # ---- what must be true ----

    def check(self, settled=False):
        found = invariants.broken(self.server.store_file(), self.before, settled=settled)
        assert not found, found

    def check_after_restart(self):
        """At once, then when what was open is settled, and the same answers again."""
        self.left_open += self.count("attempts WHERE state = 0")
        self.check()
        wait_for(lambda: self.count("attempts WHERE state = 0") == 0, SETTLED_SECONDS, what="open attempts settled")
        self.resolve()
        self.check(settled=True)
        known = [ask for ask in self.asks if ask.answer is not None]
        self.ask_again(known[-300:] + self.rng.sample(known, min(len(known), 200)))
        self.check_orders()
        self.check_charges()
        check_ranking(self.server)

    def check_orders(self):
        rows = {row[0]: row[1:] for row in self.server.sql("SELECT order_id, user_id, status, subtotal - discount FROM orders")}
        names = ("PENDING", "COMPLETED", "CANCELLED")
        for order in self.orders:
            assert order.order_id in rows, f"order {order.order_id} is gone"
            user, status, total = rows[order.order_id]
            assert (user, names[status], total) == (order.user, order.status, order.total), order.order_id

    def check_charges(self):
        told = sum(a.body["amount"] for a in self.asks if a.what == "charge" and a.answer is not None and a.answer.status == 200)
        assert self.server.sql("SELECT coalesce(sum(amount), 0) FROM charges WHERE status = 200") == [(told,)]

    def count(self, what):
        return self.server.sql(f"SELECT count(*) FROM {what}")[0][0]


def check_ranking(server):
    """As the paid orders say, in the order in which the numbers were reached."""

    def same():
        top = server.get("/api/products/ranking/top?limit=100")
        rows = [(row["productId"], row["salesCount"]) for row in top["rankings"]]
        return rows == invariants.board(server.store_file(), top["date"])

    wait_for(same, 3, what="the ranking is what was paid")


def open_books(server, tmp_path, rng):
    # No product of the load-test data lasts for long: the storms are to be about money, too.
    server.change_sql("UPDATE products SET stock = 1000000 WHERE product_id NOT IN (1, 21)")
    coupon = server.make_coupon(100, usesPerUser=20)
    assert all(server.take("issue", coupon, user).status == 200 for user in USERS)
    return Books(server, rng, invariants.copy(server.store_file(), tmp_path / "before.db"), coupon)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("gateway", "variants", "kills"), [("mock", LATENCIES, KILLS * 3 // 4), ("none", [[]], KILLS // 4)])
def test_kills_in_a_storm_of_money(serve, tmp_path, gateway, variants, kills):
    print(f"DRILL_SEED={SEED}")
    rng = random.Random(SEED)
    server = serve(threads=2, payment__gateway=gateway)
    server.flags += SETTLE_SOON
    books = open_books(server, tmp_path, rng)
    killer = Killer(server, rng, variants)
    while killer.kills < kills:
        killer.storm(books)
        books.end_of_storm()
        killer.restart()
        books.check_after_restart()
    books.ask_again(ask for ask in books.asks if ask.answer is not None)
    books.check(settled=True)
    known = sum(ask.answer is not None for ask in books.asks)
    print(f"{killer.kills} kills, {len(books.asks)} keys, {known} answered for good, {len(books.orders)} orders")
    print(f"{books.left_open} attempts were left open")


@pytest.mark.parametrize("change", [
    "DELETE FROM sales WHERE day = (SELECT max(day) FROM sales)",
    "DELETE FROM order_keys WHERE operation = 1",
    "UPDATE order_keys SET answer = CAST(replace(answer, 'SUCCESS', 'SUCCES2') AS BLOB) WHERE operation = 2",
    "UPDATE users SET balance = balance + 1 WHERE user_id = 4",
    "UPDATE orders SET status = 0, paid_at = NULL, sold_day = NULL WHERE status = 1 AND order_id > 18",
    "DELETE FROM charges",
    "UPDATE user_coupons SET uses = uses + 1 WHERE user_id = 4",
])  # fmt: skip
def test_the_drill_would_notice(serve, tmp_path, change):
    """What must never happen, made to happen between two lives."""
    rng, server = random.Random(1), serve()
    books = open_books(server, tmp_path, rng)
    storm(server, itertools.islice(books.stream(), 400), connections=8)
    books.end_of_storm()
    books.check_after_restart()
    server.kill9()
    assert server.change_sql(change) >= 1
    server.start()
    with pytest.raises(AssertionError):
        books.check_after_restart()


# ---- the same key at the same time ----


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("latency_ms", [0, 2])
def test_payments_with_keys_at_once_twice(serve, tmp_path, latency_ms):
    """One effect each, and the same bytes."""
    server, rng = serve(threads=2, payment__mock_latency=f"{latency_ms}ms"), random.Random(SEED)
    books = open_books(server, tmp_path, rng)
    orders = [books.ask("order", "/api/orders", order_body(rng.choice(range(4, 154)), [(STICKER, 1)], key=f"order-{i}"))
              for i in range(PAYMENTS // 2)]  # fmt: skip
    books.take_in(storm(server, (ask.request() for ask in orders), connections=64))
    assert len(books.orders) == len(orders)
    pays = [books.ask("payment", f"/api/orders/{o.order_id}/payment", {"userId": o.user, "idempotencyKey": f"pay-{o.order_id}"}, o)
            for o in books.orders]  # fmt: skip

    def twice():
        for ask in pays:
            for _ in range(2 if rng.random() < TWICE else 1):
                yield ask.request()

    asked = storm(server, twice(), connections=64)
    books.take_in(asked)
    assert not books.todo and all(ask.answer.status == 200 for ask in pays)
    assert server.sql("SELECT count(*) FROM attempts WHERE kind = 1 AND state = 1") == [(len(pays),)]
    books.check(settled=True)
    check_ranking(server)
    print(f"{len(pays)} payments, {len(asked) - len(pays)} of them asked twice at once")
