# SPDX-License-Identifier: Apache-2.0
"""A model that plays the server: it makes up what a server may choose. With a rule broken in it, it is
what the comparison must notice."""

import itertools
import json
import random

from model.base import Moment
from model.compare import Answer, wire
from model.orders import Line, Order

SEEDED_AT = Moment(1_800_000_000_000)
DAY_MS = 86400000
PAST, PAST_PAID = (2, 2, 2, 2, 3, 3, 3, 1, 1, 5, 5, 4, 1, 2, 3, 4, 5, 6), 12


class MadeUp:
    """One answer's choices."""

    def __init__(self, pretend):
        self.pretend = pretend

    def number(self, *where):
        return next(self.pretend.ids)

    def text(self, *where):
        number = next(self.pretend.ids)
        day = self.pretend.shop.day(self.pretend.time)
        return {"orderNumber": f"ORD-{day:%Y%m%d}-{number:010}", "dataTransmission": f"PG_APPROVED: {number}"}.get(
            where[-1], f"text-{number}"
        )

    def moment(self, *where):
        return Moment(self.pretend.time)

    past = moment

    def is_given(self, *where):
        return True

    def one_of(self, those, *where):
        return those[0]

    def anything(self, *where):
        return None

    def length(self, *where):
        return 10**9

    def row(self, name, member, value):
        return self


class Pretend:
    """What `Differential` asks of a target."""

    settles = False

    def __init__(self, model, time_zone, seed):
        self.shop, self.time = model(time_zone), SEEDED_AT
        self.ids, self.rng = itertools.count(5000), random.Random(f"time of {seed}")
        self.shop.add_load_data()
        for product in self.shop.products.values():
            product.name = f"product {product.product_id}"
        for coupon, (starts, ends) in zip(
            self.shop.coupons.values(), ((0, 92), (0, 31), (-20, 10), (0, 31), (-60, -1))
        ):
            coupon.starts, coupon.ends = Moment(self.time + starts * DAY_MS), Moment(self.time + ends * DAY_MS)
            for held in coupon.holders.values():
                held.user_coupon_id, held.issued, held.expires = next(self.ids), self.time, coupon.ends
                held.used = self.time if held.uses else None

        self.add_past_orders()

    def add_past_orders(self):
        """As the data set has them: of users 1, 2 and 3, paid yesterday or the day before."""
        shop = self.shop
        for number, product_id in enumerate(PAST):
            line = Line(product_id, shop.products[product_id].name, 1, shop.products[product_id].price)
            order = Order(1 if number < 10 else 2 if number < 15 else 3, [line], line.price, 0, None)
            order.order_id, order.created = number + 1, Moment(self.time - (1 + number % 2) * DAY_MS)
            order.number = f"ORD-{shop.day(order.created):%Y%m%d}-{order.order_id:010}"
            if number < PAST_PAID:
                order.status, order.paid_at = "COMPLETED", order.created
                shop.count_sale(order)
            shop.add_order(order)

    def now(self):
        return self.time

    def keep_clear(self, request, shop):
        """Time stands still for each command."""

    def ask(self, request):
        self.time = Moment(self.time + self.rng.randint(0, 1))
        if request.path.endswith("/clock"):
            self.time = Moment(self.time + request.body["advanceSeconds"] * 1000)
        status, body = self.shop.answer(request, self.time, MadeUp(self))
        if status >= 400:
            body = {**body, "message": body["error"], "type": f"/problems/{body['code']}"}
        text = b"" if body is None else json.dumps(wire(body)).encode()
        return Answer(status, text, self.time, self.time)

    def asked(self, request, shop):
        """Nothing happens later."""

    def paid_at(self, order_id):
        return self.shop.orders[order_id].paid_at

    def restart(self):
        """There is nothing to start."""

    def finish(self, run):
        """There is no file to look into."""
