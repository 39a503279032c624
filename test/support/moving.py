# SPDX-License-Identifier: Apache-2.0
"""A shop for `doorbuster copy`: full of everything, and all that can be asked of it."""

import json
import sqlite3
import time

from support.orders import LAPTOP, MOUSE, STICKER, cancel, complete, ordered, pay

FIRST_USER = 700000
DROP, FEW = 501, 502
# What is of the moment, or of where it was read.
MOMENTARY = {"asOf", "source", "stale", "ageSeconds", "timestamp", "requestId"}
PEOPLE = 40
MASK = 2**64 - 1


def busy(server, people=PEOPLE):
    """Orders in every state, keys, carts, coupons issued and reserved, charges. Gives what to repeat."""
    server.make_users(FIRST_USER, people, 10_000_000)
    server.make_coupon(people // 2, DROP)
    server.make_coupon(3, FEW, usesPerUser=2)
    for user in range(FIRST_USER, FIRST_USER + people):
        server.take("issue" if user % 3 else "reserve", DROP, user)
        server.take("issue", FEW, user)
    server.settled(DROP)
    repeats = []
    for i, user in enumerate(range(FIRST_USER, FIRST_USER + people)):
        repeats += buy(server, i, user)
    return repeats


def buy(server, i, user):
    """One user's morning; gives their calls, to be repeated to the letter."""
    coupon = FEW if i < 3 else None
    calls = [
        ("/api/users/%d/balance/charge" % user, {"amount": 1000 + i, "idempotencyKey": f"charge{user}'\"ü"}),
        ("/api/orders", {"userId": user, "items": [{"productId": MOUSE, "quantity": 1 + i % 3}], "idempotencyKey": f"o{user}"}),
    ]
    if coupon:
        calls[1][1]["couponId"] = coupon
    made = [server.call("POST", path, body) for path, body in calls]
    assert [answer.status for answer in made] == [200, 201], made
    order = made[1].json
    ways = ("payment", "cancel", None)
    if ways[i % 3]:
        body = {"userId": user, "idempotencyKey": f"{ways[i % 3]}{user}"}
        calls.append((f"/api/orders/{order['orderId']}/{ways[i % 3]}", body))
        assert server.call("POST", *calls[-1]).status == 200
    if i % 4 == 0:
        assert complete(server, user, (STICKER, 1 + i), (LAPTOP, 1)).status in (200, 201, 409)
    if i % 5 == 0:
        pay(server, ordered(server, user, (STICKER, 2)))
        cancel(server, ordered(server, user, (STICKER, 3)))
        server.post("/api/cart/items", {"userId": user, "productId": LAPTOP, "quantity": 1 + i}, 201)
    return calls


def plain(value):
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if name not in MOMENTARY}
    return [plain(item) for item in value] if isinstance(value, list) else value


def ask(server, path):
    answer = server.call("GET", path)
    return answer.status, plain(answer.json)


def answers(server, repeats, orders=(), people=PEOPLE):
    """{question: answer}; repeated calls as bytes."""
    told = {}
    for user in [1, 2, 3, 4, 5, *range(FIRST_USER, FIRST_USER + people)]:
        for path in (f"/api/users/{user}", f"/api/users/{user}/balance", f"/api/users/{user}/coupons",
                     f"/api/cart?userId={user}", f"/api/orders?userId={user}"):
            told[path] = ask(server, path)
    for order in [*range(1, 200), *orders]:
        told[f"order {order}"] = ask(server, f"/api/orders/{order}")
    for product in range(1, 30):
        told[f"product {product}"] = ask(server, f"/api/products/{product}")
    for path in ("/api/products", "/api/products?sort=price_desc", "/api/coupons", "/api/admin/coupons",
                 "/api/products/top"):
        told[path] = ask(server, path)
    for coupon in (DROP, FEW):
        told[f"coupon {coupon}"] = ask(server, f"/api/coupons/{coupon}")
        told[f"winners {coupon}"] = ask(server, f"/api/admin/coupons/{coupon}/winners")
    for window in ("daily", "weekly", "monthly", "rolling"):
        told[window] = ask(server, f"/api/products/ranking/top?period={window}")
    for path, body in repeats:
        answer = server.call("POST", path, body)
        told[path, json.dumps(body)] = (answer.status, answer.body)
    return told


# ---- many rows, made behind the server's back ----


def hash_u64(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def witness(pairs):
    total = sum(hash_u64(hash_u64(slot) ^ user) for slot, user in pairs) & MASK
    return total - 2**64 if total >= 2**63 else total


MANY = """
INSERT INTO orders (order_id, user_id, status, subtotal, discount, created_at, paid_at, sold_day)
    SELECT :base + n, 1 + n % 20000, n % 3, 2000 + n % 7, n % 5, :now - n, CASE n % 3 WHEN 1 THEN :now - n END,
           CASE n % 3 WHEN 1 THEN 20000 END FROM numbers;
INSERT INTO order_lines (order_id, product_id, name, quantity, unit_price)
    SELECT :base + n, 1 + n % 3, 'Käse "' || n || '", 1/2', 1 + n % 4, 1000 FROM numbers;
INSERT INTO order_lines (order_id, product_id, name, quantity, unit_price)
    SELECT :base + n, 4 + n % 3, 'product', 1, 1000 + n FROM numbers;
INSERT INTO order_keys (user_id, operation, idempotency_key, fingerprint, order_id, status, balance_after,
                        answered_at, answer)
    SELECT 1 + n % 20000, 1 + n % 4, 'many' || n, randomblob(32), :base + n, 201, n, :now - n,
           CASE n % 2 WHEN 0 THEN randomblob(150) END FROM numbers;
INSERT INTO events (kind, key_id, number, type, subject_id, occurred_at, stream_at, webhook_at)
    SELECT 2, 1000000 + n % 20000, 1 + n / 20000, 2, :base + n, :now, CASE n % 2 WHEN 0 THEN 0 END, 0 FROM numbers;
UPDATE store SET next_order_id = :base + :count + 1;
"""


def add_many(path, orders, coupon=900, holders=5000):
    """So many orders, and a coupon with its witness, into a store at rest."""
    store = sqlite3.connect(path)
    base = store.execute("SELECT next_order_id FROM store").fetchone()[0]
    values = {"base": base, "count": orders, "now": int(time.time() * 1000)}
    with store:
        store.execute("CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY)")
        store.execute(
            "INSERT INTO numbers WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?) "
            "SELECT n FROM c", (orders,)
        )  # fmt: skip
        for statement in MANY.split(";\n")[:-1]:
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            store.execute(statement, used)
        pairs = [(slot, 3_000_000 + slot * 7) for slot in range(1, holders + 1)]
        store.executemany(
            "INSERT INTO user_coupons (coupon_id, slot, user_id, user_coupon_id, issued_at, expires_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(coupon, slot, user, 10_000_000 + slot, values["now"], values["now"] + 10**9) for slot, user in pairs],
        )
        store.execute(
            "INSERT INTO coupons (coupon_id, name, discount_rate, uses_per_user, total_quantity, starts_at, ends_at, "
            "epoch, issued, highest_slot, witness) VALUES (?, 'many', 10, 1, ?, 0, ?, 1, ?, ?, ?)",
            (coupon, holders, values["now"] + 10**9, holders, holders, witness(pairs)),
        )
    store.close()
    return range(base + 1, base + orders + 1)


def dump(path):
    """All rows of a store, table by table; bytes are bytes, however they were stored."""
    store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for name, sql in store.execute("SELECT name, sql FROM sqlite_schema ORDER BY name"):
            yield name, sql
        for (name,) in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall():
            columns = [
                f"CAST({column[1]} AS BLOB)" if column[2] == "BLOB" else column[1]
                for column in store.execute(f"PRAGMA table_info({name})")
            ]
            yield from store.execute(f"SELECT '{name}', {', '.join(columns)} FROM {name} ")
    finally:
        store.close()
