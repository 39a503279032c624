# SPDX-License-Identifier: Apache-2.0
"""A drop that drills work on: what people were told, and whether it is still so."""

from support.client import Request, storm
from support.server import wait_for, write_told

STORED_SECONDS = 10  # patience with a disk that is shared; it takes a fraction of a second


class Drop:
    """One coupon and everything that people were told about it."""

    def __init__(self, server, rng, told, quantity, people, first):
        self.server, self.rng, self.told, self.quantity = server, rng, told, quantity
        self.coupon = server.make_coupon(quantity)
        self.numbers = {}  # user -> number, as told
        self.owners = {}  # number -> user
        self.granted = set()  # users who heard 200
        self.waiting = list(range(first, first + people))
        self.sold_out = False
        rng.shuffle(self.waiting)

    def request(self, user):
        way = self.rng.choice(("issue", "reserve"))
        return Request("POST", f"/api/coupons/{self.coupon}/{way}", {"userId": user}, user=user, way=way)

    def stream(self, limit=None):
        """Who has heard nothing yet (`limit`: so many), now and then twice, and now and then somebody
        who has a place."""
        recent = list(self.numbers)[-64:]
        left = len(self.waiting) if limit is None else limit
        while self.waiting and left > 0:
            left -= 1
            user = self.waiting.pop()
            yield self.request(user)
            if self.rng.random() < 0.1:
                yield self.request(user)
            if recent and self.rng.random() < 0.1:
                yield self.request(self.rng.choice(recent))

    def take_in(self, asked):
        """Everything that was answered must fit everything that was answered before."""
        for request in asked:
            answer = request.answer
            if answer is None:
                continue
            if answer.status == 200:
                assert request.user not in self.granted, f"200 twice: {request.user} {answer}"
                self.granted.add(request.user)
                self.learn(request.user, answer.json["sequenceNumber"])
            elif answer.error == "ALREADY_ISSUED_COUPON":
                self.learn(request.user, answer.json["sequenceNumber"])
            elif answer.error == "COUPON_SOLD_OUT":
                assert request.user not in self.numbers, f"a holder heard sold out: {request.user}"
                self.sold_out = True
            else:
                assert answer.status == 503, answer  # closed while it drains
        write_told(self.told, asked)
        self.waiting += sorted({r.user for r in asked} - self.numbers.keys())

    def learn(self, user, number):
        assert 1 <= number <= self.quantity
        assert self.numbers.setdefault(user, number) == number, f"user {user}: {self.numbers[user]}, then {number}"
        assert self.owners.setdefault(number, user) == user, f"number {number}: {self.owners[number]} and {user}"

    def check(self):
        """After a restart: told is stored within two seconds, and the proof holds before and after."""
        code, said = self.server.prove(self.coupon, self.told)
        assert code == 0, said
        wait_for(lambda: self.numbers.items() <= self.by_user().items(), STORED_SECONDS, what="rows of what was told")
        rows = self.server.rows(self.coupon)
        assert len(rows) <= self.quantity and len(set(rows.values())) == len(rows)

    def by_user(self):
        return {user: number for number, user in self.server.rows(self.coupon).items()}

    def finish(self, connections=64):
        """Without further ado to the exact end."""
        while len(self.numbers) < self.quantity:
            asked = storm(self.server, self.stream(), connections)
            assert all(r.answer is not None for r in asked)
            self.take_in(asked)
        proof = self.server.settled(self.coupon)
        assert proof["ok"] and proof["issued"] == proof["distinctUsers"] == proof["lastSequence"] == self.quantity
        assert self.numbers.items() <= self.by_user().items()
        code, said = self.server.prove(self.coupon, self.told)
        assert code == 0, said
