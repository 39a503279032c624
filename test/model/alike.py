# SPDX-License-Identifier: Apache-2.0
"""The answer of an embedded server and of one of two to the same request: what may differ, and why.

Everything else must be the same, header by header and member by member, in the same order.
"""

import re

from model.compare import moment

# What a reservation gets with its row.
OF_ROW = ("userCouponId", "status", "couponStatus", "issuedAt")
# Of each answer anew.
OWN_HEADERS = ("date", "x-request-id", "content-length")
# Where the stores are named, by the contract.
STORE_WORDS = {"durability": ("journal", "redis"), "source": ("memory", "redis")}
BACKUP = "a board of long ago from the backup, which is as old as its asOf says"
RESERVED = "a reservation that is stored on one side and not yet on the other"
NAMED = "a transaction, which the gateway names after the store's own id"
TRANSACTION = re.compile(r"mock-[0-9a-f]{32}$")
FORGOTTEN = "a refusal asked for again after a day, whose bytes are forgotten sooner or later and then made anew"
CURSOR = "a cursor of the newest products, which says when its product was made"


def unlike(one, two, skew_ms, excused):
    """In words, or None. Each excuse that was needed is counted."""
    if one.status != two.status:
        return f"status {one.status} and {two.status}"
    for name in sorted(one.headers.keys() | two.headers.keys()):
        mine, other = one.headers.get(name), two.headers.get(name)
        if mine != other and name not in OWN_HEADERS:
            return f"header {name}: {mine!r} and {other!r}"
    alike = Alike(skew_ms, excused)
    if is_object(one.json) and is_object(two.json):
        if "backup" in (one.json.get("source"), two.json.get("source")):
            excused[BACKUP] += 1
            return None
        if one.status == 402 and alike.unlike("timestamp", one.json["timestamp"], two.json["timestamp"]):
            excused[FORGOTTEN] += 1
            return alike.unlike("", {**one.json, "timestamp": 0}, {**two.json, "timestamp": 0})
    return alike.unlike("", one.json, two.json)


def is_object(value):
    return isinstance(value, dict)


def is_text(value):
    return isinstance(value, str)


class Alike:
    """Times are alike that are no further apart than the two commands were."""

    def __init__(self, skew_ms, excused):
        self.skew_ms, self.excused = skew_ms, excused

    def unlike(self, where, one, two):
        if type(one) is not type(two):
            return self.unlike_text(where, one, two)
        if isinstance(one, dict):
            return self.unlike_object(where, one, two)
        if isinstance(one, list):
            if len(one) != len(two):
                return f"{where} has {len(one)} and {len(two)} items"
            found = (self.unlike(f"{where}[{i}]", *pair) for i, pair in enumerate(zip(one, two)))
            return next((words for words in found if words), None)
        return self.unlike_text(where, one, two)

    def unlike_object(self, where, one, two):
        if list(one) != list(two):
            return f"{where or 'the answer'} has {', '.join(one)} and {', '.join(two)}"
        if self.stored_on_one(one, two):
            self.excused[RESERVED] += 1
            one, two = stored(one), stored(two)
        found = (self.unlike(f"{where}.{name}".lstrip("."), one[name], two[name]) for name in one)
        return next((words for words in found if words), None)

    def stored_on_one(self, one, two):
        """`issue` waits for the row, everything else says how it is."""
        return "userCouponId" in one and (one["userCouponId"] is None) is not (two["userCouponId"] is None)

    def unlike_text(self, where, one, two):
        if one == two:
            return None
        name = where.rpartition(".")[2]
        if (one, two) == STORE_WORDS.get(name):
            return None
        if self.near(moment(one), moment(two)):
            return None
        if is_text(one) and is_text(two) and TRANSACTION.sub("", one) == TRANSACTION.sub("", two):
            self.excused[NAMED] += 1
            return None
        if name == "nextCursor" and one and two and one[0] == two[0] == "n":
            self.excused[CURSOR] += 1
            return None
        return f"{where} is {one!r} and {two!r}"

    def near(self, one, two):
        return one is not None and two is not None and abs(one - two) <= self.skew_ms


def stored(item):
    """Without what a row adds."""
    return {name: value for name, value in item.items() if name not in OF_ROW}
