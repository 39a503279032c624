# SPDX-License-Identifier: Apache-2.0
"""The invariants of the shop's rows hold after everything that can become of an order, and each of them
notices a row that is changed behind the server's back."""

import socket
import sqlite3

import pytest

from support import invariants
from support.client import encode
from support.orders import MOUSE, RICH, STICKER, cancel, complete, fresh, ordered, pay
from support.server import Server, wait_for

USER = 10


def everything(server):
    """At least one of each: pending, paid, refused, dropped, refunded, with a coupon, charged."""
    server.take("issue", 1, USER)
    ordered(server, RICH, (MOUSE, 1))
    paid = [ordered(server, user, (MOUSE, 2), (STICKER, user)) for user in (RICH, 5, 6)]
    assert all(pay(server, order).status == 200 for order in paid)
    assert pay(server, ordered(server, 7, (STICKER, 1)), fresh("will-fail")).status == 402
    assert cancel(server, ordered(server, 8, (STICKER, 1))).status == 200
    assert cancel(server, paid[1]).status == 200
    assert pay(server, ordered(server, USER, (MOUSE, 1), coupon=1)).status == 200
    assert complete(server, 9, (STICKER, 3), key=fresh()).status == 201
    assert complete(server, 9, (STICKER, 3), key=fresh("FAIL")).status == 402
    for user in (2, 3):
        body = {"amount": 500, "idempotencyKey": fresh("charge")}
        assert server.call("POST", f"/api/users/{user}/balance/charge", body).status == 200
    return paid


def leave_open(server, paid):
    """Killed while the gateway is asked for a payment and for a refund."""
    server.flags += ["--set", "payment.mock_latency=1m"]
    server.start()
    order = ordered(server, 11, (MOUSE, 1))
    calls = [(order, "payment", 11), (paid[0], "cancel", RICH)]
    socks = []
    for what, verb, user in calls:
        body = {"userId": user, "idempotencyKey": fresh("open")}
        socks.append(socket.create_connection(("127.0.0.1", server.port)))
        socks[-1].sendall(encode("POST", f"/api/orders/{what['orderId']}/{verb}", body))
    wait_for(lambda: server.sql("SELECT count(*) FROM attempts WHERE state = 0") == [(2,)], what="open attempts")
    server.kill9()
    for sock in socks:
        sock.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """(the store, and what it was at first), at rest."""
    directory = tmp_path_factory.mktemp("shop")
    server = Server(directory).start()
    before = invariants.copy(server.data / "shop.db", directory / "before.db")
    paid = everything(server)
    assert not invariants.broken(server.data / "shop.db", before)
    top = server.get("/api/products/ranking/top?limit=100")
    rows = [(row["productId"], row["salesCount"]) for row in top["rankings"]]
    assert rows and rows == invariants.board(server.data / "shop.db", top["date"])
    server.stop()
    leave_open(server, paid)
    now = invariants.copy(server.data / "shop.db", directory / "now.db")
    return now, before


def test_they_hold(shop):
    assert not invariants.broken(*shop, settled=False)
    assert set(invariants.broken(*shop)) == set(invariants.SETTLED)


ONE_PAID = "(SELECT max(order_id) FROM orders WHERE status = 1 AND coupon_id IS NULL)"
PLANTED = [
    ("users' counters of orders are their rows", "UPDATE users SET orders_completed = orders_completed + 1 WHERE user_id = 4"),
    ("users' counters of orders are their rows", "UPDATE users SET orders_cancelled = 0 WHERE user_id = 8"),
    ("orders belong to users", "DELETE FROM users WHERE user_id = 4"),
    ("the counter of products is their rows", "UPDATE store SET products = products - 1"),
    ("categories' counters are their rows", "UPDATE categories SET products = products + 1 WHERE category = '도서'"),
    ("categories' counters are their rows", "UPDATE products SET category = 'x' WHERE product_id = 1"),
    ("an order's amounts are those of its lines", f"UPDATE order_lines SET quantity = quantity + 1 WHERE order_id = {ONE_PAID}"),
    ("an order's amounts are those of its lines", f"DELETE FROM order_lines WHERE order_id = {ONE_PAID}"),
    ("lines belong to orders", f"DELETE FROM orders WHERE order_id = {ONE_PAID}"),
    ("a paid order says when, another does not", f"UPDATE orders SET paid_at = NULL WHERE order_id = {ONE_PAID}"),
    ("each paid order is counted once in the sums of its day", "DELETE FROM sales WHERE day = (SELECT max(day) FROM sales) AND product_id = 20"),
    ("each paid order is counted once in the sums of its day", f"UPDATE sales SET units = units + 1 WHERE day = (SELECT sold_day FROM orders WHERE order_id = {ONE_PAID})"),
    ("each paid order is counted once in the sums of its day", f"UPDATE orders SET sold_day = sold_day - 1 WHERE order_id = {ONE_PAID}"),
    ("a day's version is the sum of its sums' versions", "UPDATE sales_days SET version = version + 1"),
    ("what users hold is what open payments took", "UPDATE users SET held = 0 WHERE user_id = 11"),
    ("what products hold is what open payments took", "UPDATE products SET held = held + 1 WHERE product_id = 20"),
    ("what is to come in is what open charges and refunds bring", "UPDATE users SET incoming = 0 WHERE user_id = 4"),
    ("an order's open attempt is a row, and the other way round", "DELETE FROM attempts WHERE kind = 1 AND state = 0"),
    ("an order's open attempt is a row, and the other way round", "UPDATE orders SET open_attempt = 0 WHERE open_attempt != 0"),
    ("an order is paid and refunded by at most one attempt", f"DELETE FROM attempts WHERE kind = 1 AND subject_id = {ONE_PAID}"),
    ("an order is paid and refunded by at most one attempt", f"INSERT INTO attempts SELECT kind, subject_id, number + 1, state, claim, user_id, amount, operation, idempotency_key, started_at, settled_at, transaction_id FROM attempts WHERE kind = 1 AND subject_id = {ONE_PAID}"),
    ("an order is paid and refunded by at most one attempt", "DELETE FROM attempts WHERE kind = 3 AND state = 1"),
    ("a key that was done is of one order, its user's, that came to this", f"UPDATE orders SET user_id = user_id + 1 WHERE order_id = {ONE_PAID}"),
    ("an order was made, paid and cancelled under one key each", f"INSERT INTO order_keys SELECT user_id, 2, 'again', fingerprint, order_id, 200, balance_after, answered_at, answer FROM order_keys WHERE order_id = {ONE_PAID}"),
    ("a key that is running has an open attempt", "DELETE FROM attempts WHERE kind = 3 AND state = 0"),
    ("balance, held and paid, less charged, stay what they were", "UPDATE users SET balance = balance - 1 WHERE user_id = 152"),
    ("balance, held and paid, less charged, stay what they were", "DELETE FROM charges WHERE user_id = 2"),
    ("balance, held and paid, less charged, stay what they were", f"UPDATE orders SET status = 2 WHERE order_id = {ONE_PAID}"),
    ("stock, held and sold stay what they were", "UPDATE products SET stock = stock + 1 WHERE product_id = 12"),
    ("a coupon is used by the orders that have it", "UPDATE user_coupons SET uses = uses + 1 WHERE user_id = 10"),
    ("every new order has the keys of what became of it", "DELETE FROM order_keys WHERE operation = 2 AND status = 200 AND user_id = 4"),
    ("every new order has the keys of what became of it", "DELETE FROM order_keys WHERE operation = 3 AND status = 200 AND user_id = 8"),
    ("every new order has the keys of what became of it", "DELETE FROM order_keys WHERE operation = 1 AND user_id = 7"),
]  # fmt: skip


def test_each_has_something_planted():
    every = {**invariants.ALWAYS, **invariants.CONSERVED, **invariants.KEYED}
    assert {name for name, _ in PLANTED} == set(every)


@pytest.mark.parametrize(("name", "change"), PLANTED, ids=range(len(PLANTED)))
def test_it_is_noticed(shop, tmp_path, name, change):
    now, before = shop
    path = invariants.copy(now, tmp_path / "planted.db")
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(change).rowcount >= 1
    connection.close()
    assert name in invariants.broken(path, before, settled=False)
