# SPDX-License-Identifier: Apache-2.0
"""The server as a target: one connection, its clock, and at the end its database file."""

import datetime
import pathlib
import tempfile
import time
import urllib.parse

from model.base import Moment
from model.compare import Answer, wire
from model.stored import stored_differs
from support import contract
from support.client import encode
from support.server import Server, wait_for

CLEAR_MS = 300
SHM = pathlib.Path("/dev/shm")


class Real:
    """A server of its own, in profile `test`. Its store is in memory where there is a file system for
    that: what is compared is answers, and a disk would be what it waits for."""

    settles = True
    clear_ms = CLEAR_MS

    def __init__(self, time_zone, **settings):
        self.directory = tempfile.TemporaryDirectory(prefix="doorbuster-model-", dir=SHM if SHM.is_dir() else None)
        self.server = self.make(self.directory.name, log__level="warn", shop__time_zone=time_zone, **settings)
        self.seeded_ms = time.time_ns() // 1_000_000
        self.offset_ms, self.next_edge, self.latest, self.restarts = 0, None, 0, 0

    def make(self, directory, **settings):
        return Server(directory, **settings).start()

    def close(self):
        self.server.close()
        self.directory.cleanup()

    def now(self):
        """The shop's clock: this machine's, moved."""
        return Moment(time.time_ns() // 1_000_000 + self.offset_ms)

    def keep_clear(self, request, shop):
        """No command runs while a day or a window ends: nobody could say on which side it was decided.
        What changes a score without saying when has a millisecond of its own."""
        if self.next_edge is None or self.next_edge <= self.now():
            self.next_edge = next_edge(shop, self.now())
        if self.next_edge - self.now() < self.clear_ms:
            self.wait_until_after(self.next_edge)
        if request.path.endswith("/cancel"):
            self.wait_until_after(self.latest)

    def wait_until_after(self, moment):
        while self.now() <= moment:
            time.sleep(max(self.next_tick(moment), 0.0002))

    def next_tick(self, moment):
        return (moment - self.now()) / 1000

    def ask(self, request):
        before = time.time_ns() // 1_000_000
        query = "?" + urllib.parse.urlencode(request.query, quote_via=urllib.parse.quote) if request.query else ""
        headers = () if request.key is None else (("Idempotency-Key", request.key),)
        body = None if request.body is None else wire(request.body)
        answer = self.send(request, encode(request.method, request.path + query, body, headers))
        contract.check(request.method, request.path + query, answer)
        if request.path.endswith("/clock") and answer.status == 200:
            self.offset_ms += request.body["advanceSeconds"] * 1000
        self.latest = self.now()
        return Answer(answer.status, answer.body, Moment(before + self.offset_ms), self.latest, answer.headers)

    def send(self, request, data):
        return self.server.caller.raw(data)

    def paid_at(self, order_id):
        """Of the orders of the load-test data set: no answer says it."""
        return self.server.sql("SELECT paid_at FROM orders WHERE order_id = ?", order_id)[0][0]

    def await_row(self, coupon_id, user_id):
        """A reservation is a row by now; since when."""
        row = "SELECT issued_at FROM user_coupons WHERE coupon_id = ? AND user_id = ?"
        what = "a reservation is stored"
        return wait_for(lambda: self.server.sql(row, coupon_id, user_id), every=0.001, what=what)[0][0]

    def restart(self):
        """It forgets nothing, whether it is stopped or killed."""
        self.restarts += 1
        if self.restarts % 2:
            self.server.kill9()
        else:
            self.server.stop()
        self.server.start()

    def finish(self, run):
        """Every drop proves right, and the file agrees."""
        for coupon_id in run.shop.coupons:
            proof = self.server.settled(coupon_id)
            assert proof["ok"], proof
        found = stored_differs(self.server, run.shop)
        if found:
            run.report("in the database file: " + "; ".join(found[:20]))

    def asked(self, request, shop):
        if "/admin/" in request.path:
            self.next_edge = None
        if request.path.endswith("/cancel"):
            self.wait_until_after(self.latest)


def next_edge(shop, now):
    """When next something begins or ends by itself."""
    tomorrow = shop.day(now) + datetime.timedelta(days=1)
    midnight = datetime.datetime.combine(tomorrow, datetime.time(), shop.zone)
    edges = {int(midnight.timestamp()) * 1000}
    for coupon in shop.coupons.values():
        edges |= {coupon.starts, coupon.ends, *(held.expires for held in coupon.holders.values())}
    return min(edge for edge in edges if edge > now)
