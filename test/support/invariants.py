#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What must be true of the shop's rows at any moment, in SQL.

Each invariant is a SELECT of the rows that break it; that nothing comes back means that it holds. Those
of CONSERVED compare with `before`, a copy of the store made earlier: they say nothing of users and
products that are newer than the copy, and must not see an administrator's changes of stock.

usage: invariants.py copy SHOP.DB COPY
       invariants.py check SHOP.DB [COPY]
"""

import datetime
import sqlite3
import sys

# An order's units and money, once it is paid; a refund takes them away again.
SOLD_UNITS = """(SELECT product_id, sum(quantity) AS units FROM {0}.orders JOIN {0}.order_lines USING (order_id)
                  WHERE status = 1 GROUP BY product_id)"""
PAID = "(SELECT user_id, sum(subtotal - discount) AS won FROM {0}.orders WHERE status = 1 GROUP BY user_id)"
CHARGED = "(SELECT user_id, sum(amount) AS won FROM {0}.charges WHERE status = 200 GROUP BY user_id)"
WORTH = f"""(SELECT user_id, balance + held + coalesce(p.won, 0) - coalesce(c.won, 0) AS won FROM {{0}}.users
             LEFT JOIN {PAID} p USING (user_id) LEFT JOIN {CHARGED} c USING (user_id))"""
PIECES = f"""(SELECT product_id, stock + held + coalesce(s.units, 0) AS units FROM {{0}}.products
              LEFT JOIN {SOLD_UNITS} s USING (product_id))"""
# A coupon is in use by what is paid and by what is being paid.
USED = """(SELECT user_id, coupon_id, uses - (SELECT count(*) FROM {0}.orders o
             WHERE o.user_id = h.user_id AND o.coupon_id = h.coupon_id AND (status = 1 OR
                   EXISTS (SELECT 1 FROM {0}.attempts a WHERE a.kind = 1 AND a.subject_id = o.order_id AND a.state = 0)))
             AS spare FROM {0}.user_coupons h)"""


def same(what, key, value, join="JOIN"):
    """`value` is for each `key` what it was; LEFT JOIN: of a new one, 0."""
    now, then = what.format("main"), what.format("before")
    return f"""SELECT {key}, n.{value}, t.{value} FROM {now} n {join} {then} t USING ({key})
               WHERE n.{value} != coalesce(t.{value}, 0)"""


ALWAYS = {
    "users' counters of orders are their rows": """
        SELECT u.user_id, orders_pending, p, orders_completed, c, orders_cancelled, x FROM users u LEFT JOIN
          (SELECT user_id, sum(status = 0) p, sum(status = 1) c, sum(status = 2) x FROM orders GROUP BY user_id) o
          USING (user_id)
        WHERE (orders_pending, orders_completed, orders_cancelled) != (coalesce(p, 0), coalesce(c, 0), coalesce(x, 0))""",
    "orders belong to users": "SELECT order_id FROM orders WHERE user_id NOT IN (SELECT user_id FROM users)",
    "the counter of products is their rows": "SELECT products FROM store WHERE products != (SELECT count(*) FROM products)",
    "categories' counters are their rows": """
        SELECT category, sum(n) FROM (SELECT category, products AS n FROM categories
          UNION ALL SELECT category, -1 FROM products WHERE category IS NOT NULL) GROUP BY category HAVING sum(n) != 0""",
    "an order's amounts are those of its lines": """
        SELECT o.order_id, subtotal, discount, lines FROM orders o LEFT JOIN
          (SELECT order_id, sum(quantity * unit_price) AS lines FROM order_lines GROUP BY order_id) l USING (order_id)
        WHERE lines IS NOT subtotal OR discount NOT BETWEEN 0 AND subtotal""",
    "lines belong to orders": "SELECT order_id FROM order_lines WHERE order_id NOT IN (SELECT order_id FROM orders)",
    "a paid order says when, another does not": """
        SELECT order_id FROM orders WHERE (paid_at IS NULL) != (sold_day IS NULL)
          OR status = 0 AND paid_at IS NOT NULL OR status = 1 AND paid_at IS NULL
          OR (status = 2) != (cancelled_at IS NOT NULL)""",
    "each paid order is counted once in the sums of its day": """
        SELECT day, product_id, sum(units), sum(revenue) FROM (SELECT day, product_id, units, revenue FROM sales
          UNION ALL SELECT sold_day, product_id, -quantity, -quantity * unit_price
                      FROM orders JOIN order_lines USING (order_id) WHERE status = 1)
        GROUP BY day, product_id HAVING sum(units) != 0 OR sum(revenue) != 0""",
    "a day's version is the sum of its sums' versions": """
        SELECT day, sum(version) FROM (SELECT day, version FROM sales_days
          UNION ALL SELECT day, -version FROM sales) GROUP BY day HAVING sum(version) != 0""",
    "what users hold is what open payments took": """
        SELECT user_id, held, amount FROM users LEFT JOIN
          (SELECT user_id, sum(amount) AS amount FROM attempts WHERE state = 0 AND kind = 1 GROUP BY user_id)
          USING (user_id) WHERE held != coalesce(amount, 0)""",
    "what products hold is what open payments took": """
        SELECT product_id, held, units FROM products LEFT JOIN
          (SELECT product_id, sum(quantity) AS units FROM attempts JOIN order_lines ON order_id = subject_id
            WHERE state = 0 AND kind = 1 GROUP BY product_id)
          USING (product_id) WHERE held != coalesce(units, 0)""",
    "what is to come in is what open charges and refunds bring": """
        SELECT user_id, incoming, amount FROM users LEFT JOIN
          (SELECT user_id, sum(amount) AS amount FROM attempts WHERE state = 0 AND kind != 1 GROUP BY user_id)
          USING (user_id) WHERE incoming != coalesce(amount, 0)""",
    "an order's open attempt is a row, and the other way round": """
        SELECT order_id, open_attempt FROM orders WHERE open_attempt != 0 AND NOT EXISTS
          (SELECT 1 FROM attempts WHERE kind IN (1, 3) AND subject_id = order_id AND number = open_attempt AND state = 0)
        UNION ALL SELECT subject_id, number FROM attempts WHERE kind IN (1, 3) AND state = 0 AND NOT EXISTS
          (SELECT 1 FROM orders WHERE order_id = subject_id AND open_attempt = number)""",
    "an order is paid and refunded by at most one attempt": """
        SELECT order_id, kind, count(*) FROM attempts JOIN orders ON order_id = subject_id
         WHERE kind IN (1, 3) AND state = 1 GROUP BY order_id, kind HAVING count(*) > 1
        UNION ALL SELECT order_id, 1, 0 FROM orders WHERE transaction_id IS NOT NULL AND NOT EXISTS
          (SELECT 1 FROM attempts WHERE kind = 1 AND subject_id = order_id AND state = 1)
        UNION ALL SELECT order_id, 3, 0 FROM orders WHERE transaction_id IS NOT NULL AND status = 2 AND NOT EXISTS
          (SELECT 1 FROM attempts WHERE kind = 3 AND subject_id = order_id AND state = 1)
        UNION ALL SELECT subject_id, kind, number FROM attempts JOIN orders ON order_id = subject_id
          WHERE state = 1 AND (kind = 1 AND paid_at IS NULL OR kind = 3 AND status != 2)""",
    "a key that was done is of one order, its user's, that came to this": """
        SELECT k.user_id, operation, idempotency_key FROM order_keys k LEFT JOIN orders o USING (order_id)
         WHERE k.status IN (200, 201) AND (o.user_id IS NOT k.user_id
           OR operation IN (2, 4) AND paid_at IS NULL OR operation = 3 AND o.status != 2)""",
    "an order was made, paid and cancelled under one key each": """
        SELECT order_id, CASE operation WHEN 4 THEN 1 ELSE operation END AS what, count(*) FROM order_keys
         WHERE status IN (200, 201) GROUP BY order_id, what HAVING count(*) > 1
        UNION ALL SELECT order_id, 2, count(*) FROM order_keys
         WHERE status IN (200, 201) AND operation IN (2, 4) GROUP BY order_id HAVING count(*) > 1""",
    "a key that is running has an open attempt": """
        SELECT user_id, operation, idempotency_key FROM order_keys k WHERE status = 0 AND NOT EXISTS
          (SELECT 1 FROM attempts a WHERE a.state = 0 AND a.subject_id = k.order_id AND a.user_id = k.user_id
              AND a.operation = k.operation AND a.idempotency_key = k.idempotency_key)
        UNION ALL SELECT user_id, 0, idempotency_key FROM charges c WHERE status = 0 AND NOT EXISTS
          (SELECT 1 FROM attempts a WHERE a.state = 0 AND a.kind = 2 AND a.subject_id = c.charge_id)""",
}

CONSERVED = {
    "balance, held and paid, less charged, stay what they were": same(WORTH, "user_id", "won"),
    "stock, held and sold stay what they were": same(PIECES, "product_id", "units"),
    "a coupon is used by the orders that have it": same(USED, "user_id, coupon_id", "spare", "LEFT JOIN"),
}

# Where every caller gives a key, as all drills and load scripts do (`complete` may go without).
KEYED = {
    "every new order has the keys of what became of it": """
        SELECT order_id, status, made, paid, cancelled FROM orders LEFT JOIN
          (SELECT order_id, sum(operation IN (1, 4)) AS made, sum(operation IN (2, 4) AND status != 0) AS paid,
                  sum(operation = 3 AND status != 0) AS cancelled
             FROM order_keys WHERE status IN (0, 200, 201) GROUP BY order_id) USING (order_id)
        WHERE order_id NOT IN (SELECT order_id FROM before.orders)
          AND (made IS NOT 1 OR paid != (paid_at IS NOT NULL) OR cancelled != (status = 2))""",
}

# Once everything has come to rest.
SETTLED = {
    "no attempt is open": "SELECT kind, subject_id, number FROM attempts WHERE state = 0",
    "no key is running": """SELECT user_id, idempotency_key FROM order_keys WHERE status = 0
                            UNION ALL SELECT user_id, idempotency_key FROM charges WHERE status = 0""",
}

# Sold on a day, as the ranking must have it.
BOARD = """SELECT l.product_id, sum(l.quantity) AS units FROM orders JOIN order_lines l USING (order_id)
             LEFT JOIN sales s ON s.day = sold_day AND s.product_id = l.product_id
            WHERE status = 1 AND sold_day = ? GROUP BY l.product_id ORDER BY units DESC, s.reached_at, l.product_id"""


def connect(path, before=None):
    """For reading; `before` is attached under that name."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10, isolation_level=None)
    if before:
        connection.execute("ATTACH ? AS before", (f"file:{before}?mode=ro&immutable=1",))
    connection.execute("BEGIN")  # all see the same rows
    return connection


def copy(path, to):
    """A copy of a store, whether a server runs on it or not."""
    source, target = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10), sqlite3.connect(to)
    source.backup(target)
    target.execute("PRAGMA journal_mode = DELETE")
    source.close()
    target.close()
    return to


def broken(path, before=None, keyed=True, settled=True):
    """Which invariants do not hold, each with some of the rows that break it."""
    checks = {**ALWAYS, **(SETTLED if settled else {})}
    if before:
        checks |= {**CONSERVED, **(KEYED if keyed else {})}
    connection = connect(path, before)
    try:
        found = {name: connection.execute(sql).fetchmany(3) for name, sql in checks.items()}
    finally:
        connection.close()
    return {name: rows for name, rows in found.items() if rows}


def board(path, date):
    """[(product, units)] of the orders that were paid on that day ("2026-03-06"), best first."""
    connection = connect(path)
    try:
        day = datetime.date.fromisoformat(date) - datetime.date(1970, 1, 1)
        return connection.execute(BOARD, (day.days,)).fetchall()
    finally:
        connection.close()


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "copy":
        copy(sys.argv[2], sys.argv[3])
        return
    if len(sys.argv) not in (3, 4) or sys.argv[1] != "check":
        sys.exit(__doc__)
    found = broken(*sys.argv[2:])
    for name, rows in found.items():
        print(f"broken: {name}: {rows}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
