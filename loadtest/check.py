#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare what a k6 script counted with what the database holds.

usage: check.py RESULT.json SHOP.DB TOLD
"""

import json
import pathlib
import sqlite3
import sys


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


def main():
    result = json.loads(pathlib.Path(sys.argv[1]).read_text())
    db = sqlite3.connect(f"file:{sys.argv[2]}?mode=ro", uri=True)
    rows = db.execute("SELECT slot, user_id, user_coupon_id FROM user_coupons WHERE coupon_id = ?",
                      (result["couponId"],)).fetchall()
    told = {(int(user), int(number)) for _, user, number in
            (line.split() for line in pathlib.Path(sys.argv[3]).read_text().splitlines())}
    found = list(differences(result, rows, told))
    print(f"database: {len(rows)} rows of coupon {result['couponId']}: " + ("; ".join(found) or "as counted"))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
