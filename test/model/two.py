# SPDX-License-Identifier: Apache-2.0
"""Two servers on one Redis and one PostgreSQL as a target: they take turns, and both know of everything."""

import time

from model.compare import moment
from model.model import Shop
from model.real import Real
from support.client import encode
from support.distributed import Servers
from support.server import wait_for

FOLLOW_SECONDS = 2  # until a server has heard of another's word
CLOCK_MS = 2000
NOTHING = encode("PATCH", "/api/admin/products/999999999", {"stock": 1})


class SharedShop(Shop):
    """What an answer says of the stores it stands in."""

    durability = "redis"
    ranking_source = "redis"


class Two(Real):
    def __init__(self, time_zone, shared, **settings):
        self.shared, self.last_port = shared, None
        self.asked_again = 0
        super().__init__(time_zone, **settings)

    def make(self, directory, **settings):
        """The second comes when the first has made the tables and what is in them."""
        servers = Servers(directory, self.shared, **{**settings, "log__level": "info", "http__drain_timeout": "5s"})
        for node in servers.nodes:
            node.flags = servers.flags
            node.start()
        return servers

    def ask(self, request):
        """Of a coupon that has ended no gate is built where Redis has lost it; who makes it go on finds the
        gate closed for a moment, and is told to try again. An embedded one is built at the start. So it is where
        a server gets no processor for as long as its lease lasts."""
        end, answer = time.monotonic() + FOLLOW_SECONDS, super().ask(request)
        while answer.error == "COUPON_CLOSED" and time.monotonic() < end:
            self.asked_again += 1
            time.sleep(0.02)
            answer = super().ask(request)
        return answer

    def send(self, request, data):
        node = self.server.next_node()
        answer, self.last_port = node.caller.raw(data), node.port
        if request.path.endswith("/clock") and answer.status == 200:
            self.await_clock(moment(answer.json["now"]))
        if request.method == "PATCH" and request.path.startswith("/api/admin/coupons/") and answer.status == 200:
            self.await_settings(answer.json["couponId"])
        return answer

    def await_settings(self, coupon_id):
        """What one server changes is known to another with its next sign of life; until then that one may
        say "sold out" of a coupon that was closed meanwhile (ADR 15)."""
        get = encode("GET", f"/api/coupons/{coupon_id}", None)
        names = ("totalQuantity", "status", "startsAt", "endsAt")

        def agree():
            seen = [[node.caller.raw(get).json[name] for name in names] for node in self.server.nodes]
            return all(one == seen[0] for one in seen)

        wait_for(agree, FOLLOW_SECONDS, 0.001, "the other server's settings")

    def await_clock(self, at_ms):
        """The clock is moved at one server; another has it with its next batch."""
        for node in self.server.nodes:
            wait_for(lambda: moment(node.caller.raw(NOTHING).json["timestamp"]) >= at_ms, FOLLOW_SECONDS,
                     0.001, "the other server's clock")

    def restart(self):
        """All stopped, all killed, one killed, Redis lost."""
        self.restarts += 1
        (self.kill_all, self.stop_all, self.kill_one, self.lose_redis)[self.restarts % 4]()

    def kill_all(self):
        self.server.kill9()
        self.server.start()

    def stop_all(self):
        self.server.stop()
        self.server.start()

    def kill_one(self):
        node = self.server.next_node()
        node.kill9()
        node.start()

    def lose_redis(self):
        self.server.redis.kill9()
        self.server.redis.start()
        time.sleep(3)
