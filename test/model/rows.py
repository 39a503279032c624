# SPDX-License-Identifier: Apache-2.0
"""Row by row: a database file of SQLite's and a database of PostgreSQL's after the same commands."""

import json
import sqlite3

# Tables that only say who is there, and to whom something is still to be told.
OF_SERVERS = {"servers", "hand_ins", "event_relays", "store_level", "sales_outbox"}
# Columns that are each store's own.
OWN = {
    "store": {"database_id"},  # 16 random bytes
    "coupons": {"epoch", "closing"},  # how often a gate was built: in memory with every start
}
TIMES = {
    "starts_at", "ends_at", "issued_at", "expires_at", "used_at", "charged_at", "created_at", "paid_at", "cancelled_at",
    "answered_at", "started_at", "settled_at", "reached_at", "occurred_at", "stream_at", "webhook_at", "died_at",
    "category_moved_at",
}  # fmt: skip
ANSWERED = {"charges": "charged_at", "order_keys": "answered_at"}
FORGOTTEN = "the bytes of an answer of more than a day ago, which are forgotten now and then"
MADE_WHEN = "a board of the backup, which is made now and then, and is as old as it says"
NEVER = 0  # of a time: not a time


def rows_differ(one, two, alike, day_ago_ms):
    """What does not agree, in words; `one` and `two` are servers."""
    file = sqlite3.connect(one.store_file())
    other = sqlite3.connect(two.store_file())
    try:
        names = sorted((tables(file) | tables(other)) - OF_SERVERS)
        return [found for name in names for found in table_differs(file, other, name, alike, day_ago_ms)]
    finally:
        file.close()
        other.close()


def tables(connection):
    return {name for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")}


def columns(connection, table):
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def key_of(connection, table):
    """The columns of the primary key."""
    info = [(row[5], row[1]) for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
    return [name for _, name in sorted(info)]


def table_differs(file, other, table, alike, day_ago_ms):
    names = columns(file, table)
    if table == "boards":
        yield from boards_differ(file, other, alike)
        return
    if names != columns(other, table):
        yield f"{table}: columns {sorted(names ^ columns(other, table))} are on one side only"
        return
    key, rest = key_of(file, table), sorted(names - OWN.get(table, set()))
    mine, others = rows_of(file, table, key, rest), rows_of(other, table, key, rest)
    for at in sorted(mine.keys() | others.keys(), key=repr):
        if at not in mine or at not in others:
            yield f"{table} {at}: only {'embedded' if at in mine else 'of two'}: {(mine.get(at) or others.get(at))}"
            continue
        for name, a, b in zip(rest, mine[at], others[at]):
            if name == "answer" and None in (a, b) and mine[at][rest.index(ANSWERED[table])] < day_ago_ms:
                alike.excused[FORGOTTEN] += 1
            elif value_differs(name, a, b, alike):
                yield f"{table} {at}: {name} is {a!r} and {b!r}"


def boards_differ(file, other, alike):
    """Of the same version. Which category a product was in is not part of that: a board of a category
    that was made before a product moved is not shown any more."""
    key, rest = key_of(file, "boards"), ["version", "made_at", "entries"]
    mine, others = rows_of(file, "boards", key, rest), rows_of(other, "boards", key, rest)
    moved = [connection.execute("SELECT category_moved_at FROM store").fetchone()[0] for connection in (file, other)]
    for at in sorted(mine.keys() & others.keys()):
        one, two = mine[at], others[at]
        is_old = at[key.index("category")] and (one[1] <= moved[0] or two[1] <= moved[1])
        if one[0] != two[0] or is_old:
            alike.excused[MADE_WHEN] += 1
        elif entries_differ(json.loads(one[2]), json.loads(two[2]), alike):
            yield f"boards {at}: {one} and {two}"


def rows_of(connection, table, key, rest):
    rows = connection.execute(f"SELECT {', '.join([*key, *rest])} FROM {table}")
    return {row[: len(key)]: row[len(key) :] for row in rows}


def value_differs(name, one, two, alike):
    if one == two:
        return None
    if name in TIMES and NEVER not in (one, two):
        return not alike.near(one, two)
    if name == "answer" and one is not None and two is not None:
        return alike.unlike("", json.loads(one), json.loads(two))
    if name == "transaction_id":
        return alike.unlike_text(name, one, two)
    return True


def entries_differ(one, two, alike):
    """Of a board: product, units, revenue, when."""
    if [row[:3] for row in one] != [row[:3] for row in two]:
        return True
    return not all(alike.near(a[3], b[3]) for a, b in zip(one, two))
