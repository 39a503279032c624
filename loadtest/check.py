#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare what a k6 script counted with what the database holds.

usage: check.py RESULT.json SHOP.DB TOLD             of a drop: the winners' list
       check.py RESULT.json SHOP.DB BEFORE.DB TOP    of the shop: a copy from before, the ranking at the end
"""

import json
import pathlib
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "test"))
from support import invariants  # noqa: E402

# What is new since the copy, as the scripts count it.
COUNTED = {
    "ordered": "SELECT count(*) FROM orders WHERE order_id NOT IN (SELECT order_id FROM before.orders)",
    "paid": """SELECT count(*) FROM orders WHERE paid_at IS NOT NULL
                  AND order_id NOT IN (SELECT order_id FROM before.orders)""",
    "refunded": """SELECT count(*) FROM orders WHERE status = 2
                      AND order_id NOT IN (SELECT order_id FROM before.orders)""",
    "charged": "SELECT count(*) FROM charges",
    "charged_won": "SELECT coalesce(sum(amount), 0) FROM charges",
}


def differences(result, rows, told):
    slots = sorted(slot for slot, _, _ in rows)
    if len(rows) != result["winners"]:
        yield f"{len(rows)} rows for {result['winners']} winners"
    if slots != list(range(1, len(rows) + 1)):
        yield "the sequence numbers are not 1, 2, 3 …"
    if len({user for _, user, _ in rows}) != len(rows):
        yield "a user has two"
    if len({number for _, _, number in rows}) != len(rows):
        yield "a userCouponId is there twice"
    if {(user, slot) for slot, user, _ in rows} != told:
        yield "the rows are not what the winners were told"
    outcomes = sum(result[name] for name in ("winners", "soldOut", "duplicates", "errors"))
    if outcomes != result["iterations"]:
        yield f"{outcomes} outcomes of {result['iterations']} iterations"


def check_drop(result, store, told_path):
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    rows = db.execute("SELECT slot, user_id, user_coupon_id FROM user_coupons WHERE coupon_id = ?",
                      (result["couponId"],)).fetchall()
    told = {(int(user), int(number)) for _, user, number in
            (line.split() for line in pathlib.Path(told_path).read_text().splitlines())}
    return f"{len(rows)} rows of coupon {result['couponId']}", list(differences(result, rows, told))


def check_shop(result, store, before, top):
    found = [f"{name}: {rows}" for name, rows in invariants.broken(store, before).items()]
    db = invariants.connect(store, before)
    for name, sql in COUNTED.items():
        (count,) = db.execute(sql).fetchone()
        if count != result[name]:
            found.append(f"{name}: {count}, counted {result[name]}")
    db.close()
    ranking = json.loads(pathlib.Path(top).read_text())
    rows = [(row["productId"], row["salesCount"]) for row in ranking["rankings"]]
    if rows != invariants.board(store, ranking["date"]):
        found.append(f"the ranking {ranking} is not what was paid")
    if result["paid"] > result["refunded"] and not rows:
        found.append("the ranking is empty")
    return f"{result['ordered']} orders, {result['paid']} paid, {result['charged']} charges", found


def main():
    result = json.loads(pathlib.Path(sys.argv[1]).read_text())
    what, found = (check_drop if "couponId" in result else check_shop)(result, *sys.argv[2:])
    print(f"database: {what}: " + ("; ".join(found) or "as counted"))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
