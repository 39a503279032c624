#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same random commands at an embedded server and at two on one Redis and one PostgreSQL:
pair.py [--commands N] [--seed S] [--zone Z] [--every E]

Each is held against a model of its own, as in differential.py, and their answers against each other
(alike.py); the two servers take turns. Every --every commands the whole state is read in all ways there
are, and something is stopped, killed or lost. At the end every row that is stored (rows.py) and every
proof must be the same, ids and all. The same seed makes the same commands again.
"""

import collections
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from model.alike import Alike, unlike  # noqa: E402
from model.base import Request  # noqa: E402
from model.commands import Commands  # noqa: E402
from model.differential import DAY_MS, SETTLE_SECONDS, Difference, Differential, arguments  # noqa: E402
from model.model import Shop  # noqa: E402
from model.real import Real  # noqa: E402
from model.rows import rows_differ  # noqa: E402
from model.seen import Seen  # noqa: E402
from model.two import SharedShop, Two  # noqa: E402
from support.distributed import SharedStores  # noqa: E402
from support.server import wait_for  # noqa: E402

FORGET_SECONDS = 25
CLEAR_MS = 900  # both must be through before a day or a window ends


class One(Real):
    """The embedded one. Its command is the first of the two: the other side waits for it."""

    clear_ms = CLEAR_MS

    def keep_clear(self, request, shop):
        """What decides an order by time gets a millisecond of its own, on both sides."""
        super().keep_clear(request, shop)
        if request.method != "GET":
            self.wait_until_after(self.latest)


class Pair:
    """One run."""

    def __init__(self, one, two, time_zone, seed):
        self.seed, self.zone = seed, time_zone
        self.one = Differential(one, time_zone, seed, Shop)
        self.two = Differential(two, time_zone, seed, SharedShop)
        self.shop, self.target = self.one.shop, one
        self.commands = Commands(random.Random(seed), self.shop)
        self.reserved, self.skew_ms, self.count = {}, 0, 0
        self.cursors = {}  # of the embedded side: of the other
        self.counts, self.excused = self.one.counts, collections.Counter()

    def run(self, commands, every):
        for side in (self.one, self.two):
            side.commands = self.commands
        self.one.seen.learn()
        self.two.seen.learn()
        self.note_skew(self.two.target.seeded_ms - self.target.seeded_ms)
        seen = Seen(self)
        for _ in range(commands):
            self.step(self.commands.next())
            self.count = self.one.count = self.two.count = self.count + 1
            if self.count % every == 0:
                seen.compare()
                self.one.target.restart()
                self.two.target.restart()
        seen.compare()
        self.finish()

    def note_skew(self, ms):
        self.skew_ms = max(self.skew_ms, abs(ms))

    def step(self, request):
        """One command, to both; each as its model says, and both alike."""
        if request.path.endswith(("/issue", "/reserve", "/clock")) or self.is_to_use_reserved(request):
            self.await_reserved()
        self.two.target.keep_clear(request, self.two.shop)
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            one, two = self.one.step(request), self.two.step(self.of_other_side(request))
            self.note_skew(two.latest - one.earliest)
            found = unlike(one, two, self.skew_ms, self.excused)
            if not found or request.method != "GET" or time.monotonic() > end:
                break
            self.await_reserved()
        if found:
            self.report(f"{found}\n  embedded: {one!r}\n  of two:   {two!r}")
        if one.status == 200 and one.json and "nextCursor" in one.json:
            self.cursors[one.json["nextCursor"]] = two.json["nextCursor"]
        if one.status == 200 and request.path.endswith("/reserve"):
            place = int(request.path.split("/")[3]), request.body["userId"]
            self.reserved.setdefault(place, (one.earliest, two.earliest))
        return one

    def of_other_side(self, request):
        """Each side goes on with its own cursor: that of the newest products is made of a time."""
        cursor = self.cursors.get(request.query.get("cursor"))
        if cursor is None:
            return request
        return Request(request.method, request.path, query={**request.query, "cursor": cursor})

    def is_to_use_reserved(self, request):
        """An order can use a coupon that is a row. One server stores what it reserved before an order that comes
        later; of two, one does not wait for the other."""
        body = request.body or {}
        return (body.get("couponId"), body.get("userId")) in self.reserved

    def await_reserved(self):
        """Reservations are stored soon, in no promised order. That they get the same ids, one is stored
        before the next place is taken (and before time is moved: it says when); everything else may come before it.
        "Soon" is not the same on both sides, so that the rows' times may be further apart than the commands were."""
        for place, since in self.reserved.items():
            stored = [side.target.await_row(*place) for side in (self.one, self.two)]
            if stored[0] < since[0] or stored[1] < since[1]:
                self.report(f"reserved at {since}, stored at {stored}: coupon and user {place}")
            self.note_skew(stored[0] - stored[1])
        self.reserved.clear()

    def finish(self):
        self.one.target.finish(self.one)
        self.two.target.finish(self.two)
        self.compare_proofs()
        found = self.rows_differ()
        if found:
            self.report("stored rows: " + "\n    ".join(found[:20]))

    def compare_proofs(self):
        for coupon in self.shop.coupons.values():
            proofs = [side.target.server.settled(coupon.coupon_id) for side in (self.one, self.two)]
            for proof in proofs:
                proof["gate"].pop("epoch", None)  # how often it was built: in memory with every start
            if self.shop.within(coupon) > 0:
                # Of a coupon that has ended no gate is built any more: there may be one, or none.
                for proof in proofs:
                    del proof["gate"]
                    proof["checks"] = [check for check in proof["checks"] if check["name"] != "gate"]
            if proofs[0] != proofs[1]:
                self.report(f"proofs of coupon {coupon.coupon_id}: {proofs[0]} and {proofs[1]}")

    def await_forgotten(self):
        """The bytes of answers are kept for a day. Who forgets them looks every ten seconds."""
        for side in (self.one, self.two):
            sql, since = side.target.server.sql, side.target.now() - DAY_MS
            for table, at in (("charges", "charged_at"), ("order_keys", "answered_at")):
                what = f"SELECT count(*) FROM {table} WHERE answer IS NOT NULL AND {at} < ?"
                wait_for(lambda: sql(what, since) == [(0,)], FORGET_SECONDS, 0.1, f"old answers of {table}: gone")

    def rows_differ(self):
        alike = Alike(self.skew_ms, self.excused)
        return rows_differ(self.one.target.server, self.two.target.server, alike, self.target.now() - DAY_MS)

    def report(self, found):
        raise Difference(found, "pair.py", self, self.zone, self.two.last)


def main():
    args = arguments(__doc__)
    started = time.monotonic()
    shared = SharedStores()
    sides = []
    try:
        sides.append(One(args.zone))
        sides.append(Two(args.zone, shared))
        run = Pair(*sides, args.zone, args.seed)
        run.run(args.commands, args.every)
        run.await_forgotten()
    except Difference as found:
        print(found)
        for node in sides[1].server.nodes:
            print(f"---- log of port {node.port}\n{node.log_tail(40)}")
        sys.exit(1)
    finally:
        for side in sides:
            side.close()
        shared.close()
    for (method, status, error), count in sorted(run.counts.items(), key=str):
        print(f"{count:8} {method:6} {status} {error or ''}")
    run.excused["a gate that was closed for a moment: asked again"] = sides[1].asked_again
    for reason, count in run.excused.most_common():
        print(f"{count:8} {reason}")
    print(f"{args.commands} commands in {time.monotonic() - started:.1f} s: no difference")


if __name__ == "__main__":
    main()
