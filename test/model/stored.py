# SPDX-License-Identifier: Apache-2.0
"""What lies in the database file at the end, against the model, and against itself."""

EPOCH_ORDINAL = 719163  # 1970-01-01 as datetime.date.toordinal() counts
STATUSES = ("PENDING", "COMPLETED", "CANCELLED")


def stored_differs(server, shop):
    """What does not agree, in words; nothing: []."""
    checks = (users, products, orders, coupons, sales, left_over)
    return [found for check in checks for found in check(server.sql, shop)]


def compare(what, stored, expected):
    stored, expected = dict(stored), dict(expected)
    for key in sorted(stored.keys() | expected.keys(), key=str):
        if stored.get(key) != expected.get(key):
            yield f"{what} {key}: stored {stored.get(key)}, the model has {expected.get(key)}"


def users(sql, shop):
    """Balances and counters; and each balance is what came in less what went out."""
    rows = sql("SELECT user_id, balance, orders_pending, orders_completed, orders_cancelled FROM users")
    expected = {user_id: [user.balance, 0, 0, 0] for user_id, user in shop.users.items()}
    for order in shop.orders.values():
        expected[order.user_id][1 + STATUSES.index(order.status)] += 1
    yield from compare("user", ((row[0], list(row[1:])) for row in rows), expected)
    yield from compare("money of user", ((row[0], row[1]) for row in rows), money(sql, shop))


def money(sql, shop):
    """What each had, and was charged, less what the orders cost that are paid."""
    balances = dict(shop.opening_balances)
    for user_id, amount in sql("SELECT user_id, amount FROM charges WHERE status = 200"):
        balances[user_id] += amount
    for order_id, user_id, status, total in sql("SELECT order_id, user_id, status, subtotal - discount FROM orders"):
        is_paid, was_paid = STATUSES[status] == "COMPLETED", order_id in shop.paid_before
        balances[user_id] += (was_paid - is_paid) * total
    return balances


def products(sql, shop):
    columns = "product_id, name, description, category, price, stock"
    expected = {p.product_id: (p.name, p.description, p.category, p.price, p.stock) for p in shop.products.values()}
    yield from compare("product", ((row[0], row[1:]) for row in sql(f"SELECT {columns} FROM products")), expected)
    if sql("SELECT products FROM store") != [(len(shop.products),)]:
        yield "the count of products"


def orders(sql, shop):
    """No more, no less: what was refused in one left no order."""
    rows = sql("SELECT order_id, user_id, status, coupon_id, subtotal, discount, paid_at FROM orders")
    expected = {
        o.order_id: (o.user_id, STATUSES.index(o.status), o.coupon_id, o.subtotal, o.discount, o.paid_at)
        for o in shop.orders.values()
    }
    yield from compare("order", ((row[0], row[1:]) for row in rows), expected)
    lines = sql("SELECT order_id, product_id, name, quantity, unit_price FROM order_lines")
    wanted = {
        (o.order_id, line.product_id): (line.name, line.quantity, line.price)
        for o in shop.orders.values()
        for line in o.lines
    }
    yield from compare("line", ((row[:2], row[2:]) for row in lines), wanted)


def coupons(sql, shop):
    rows = sql("SELECT coupon_id, user_id, slot, user_coupon_id, expires_at, uses FROM user_coupons")
    expected = {
        (coupon.coupon_id, user): (held.number, held.user_coupon_id, held.expires, held.uses)
        for coupon in shop.coupons.values()
        for user, held in coupon.holders.items()
    }
    yield from compare("held coupon", ((row[:2], row[2:]) for row in rows), expected)


def sales(sql, shop):
    """Of every day; and each sum is that of the orders paid on it."""
    rows = sql("SELECT day, product_id, units, revenue FROM sales")
    expected = {
        (day.toordinal() - EPOCH_ORDINAL, row.product_id): (row.units, row.revenue)
        for day, of_day in shop.sales.items()
        for row in of_day.values()
    }
    yield from compare("sales", ((row[:2], row[2:]) for row in rows), expected)
    summed = sql(
        "SELECT sold_day, product_id, sum(quantity), sum(quantity * unit_price) FROM orders JOIN order_lines"
        " USING (order_id) WHERE status = 1 GROUP BY sold_day, product_id"
    )
    there = [row for row in rows if row[2]]
    yield from compare("sold", ((row[:2], row[2:]) for row in summed), {row[:2]: row[2:] for row in there})
    days = sql("SELECT day, version FROM sales_days")
    yield from compare("version of day", days, sql("SELECT day, sum(version) FROM sales GROUP BY day"))


def left_over(sql, shop):
    """Nothing is held, open or running any more."""
    for what in (
        "users WHERE held <> 0 OR incoming <> 0", "products WHERE held <> 0", "attempts WHERE state = 0",
        "orders WHERE open_attempt <> 0", "order_keys WHERE status = 0",
    ):  # fmt: skip
        count = sql(f"SELECT count(*) FROM {what}")[0][0]
        if count:
            yield f"{count} {what}"
