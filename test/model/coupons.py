# SPDX-License-Identifier: Apache-2.0
"""Coupons: first come, first served, and what each holder has."""

from model.base import Moment, Refused, invalid
from model.carts import Carts

UNLIMITED = None


class Coupon:
    def __init__(self, coupon_id, name, rate, quantity, starts, ends, uses_per_user=1):
        self.coupon_id, self.name, self.rate, self.quantity = coupon_id, name, rate, quantity
        self.starts, self.ends, self.closed = Moment(starts), Moment(ends), False
        self.uses_per_user = uses_per_user
        self.holders = {}  # user: Held


class Held:
    """One person's coupon. A reservation becomes a row within two seconds: the id says that it is one."""

    def __init__(self, number, expires):
        self.number, self.expires = number, Moment(expires)
        self.user_coupon_id = self.issued = self.used = None
        self.uses = 0


class Coupons(Carts):
    durability = "journal"  # of a reservation

    def __init__(self, time_zone):
        super().__init__(time_zone)
        self.coupons = {}

    # ---- the coupons themselves ----

    def within(self, coupon):
        """-1 before the window, 0 within, 1 after it: the start is within, the end is not."""
        if self.now < coupon.starts:
            return -1
        return 0 if self.now < coupon.ends else 1

    def remaining(self, coupon):
        return coupon.quantity - len(coupon.holders)

    def coupon_status(self, coupon):
        if self.within(coupon) > 0:
            return "ENDED"
        if coupon.closed:
            return "CLOSED"
        if self.within(coupon) < 0:
            return "SCHEDULED"
        return "OPEN" if self.remaining(coupon) > 0 else "SOLD_OUT"

    def shown_coupon(self, coupon):
        return {
            "couponId": coupon.coupon_id,
            "name": coupon.name,
            "discountRate": coupon.rate,
            "totalQuantity": coupon.quantity,
            "remainingQuantity": self.remaining(coupon),
            "status": self.coupon_status(coupon),
            "startsAt": coupon.starts,
            "endsAt": coupon.ends,
        }

    def create_coupon(self, body):
        """`startsAt` and `endsAt` are moments here."""
        if not 0 <= self.number(body, "discountRate") <= 100:
            raise invalid("discountRate")
        self.number(body, "totalQuantity", 1)
        starts = body.get("startsAt")
        if starts is None:
            starts = self.now = self.choose.moment("startsAt")
        if body["endsAt"] <= starts:
            raise invalid("endsAt")
        coupon_id = body.get("couponId") or self.choose.number("couponId")
        if coupon_id in self.coupons:
            raise Refused("CONFLICT")
        coupon = Coupon(coupon_id, body["name"], body["discountRate"], body["totalQuantity"], starts, body["endsAt"])
        coupon.uses_per_user = body.get("usesPerUser", 1)
        self.coupons[coupon_id] = coupon
        return 201, self.shown_coupon(coupon)

    def patch_coupon(self, coupon_id, body):
        if "totalQuantity" in body:
            self.number(body, "totalQuantity", 1)
        if coupon_id not in self.coupons:
            raise Refused("NOT_FOUND")
        coupon = self.coupons[coupon_id]
        highest = max((held.number for held in coupon.holders.values()), default=0)
        if body.get("totalQuantity", coupon.quantity) < highest:
            raise Refused("CONFLICT", possibleQuantity=highest)
        starts, ends = body.get("startsAt", coupon.starts), body.get("endsAt", coupon.ends)
        if ends <= starts:
            raise invalid("endsAt")
        coupon.quantity = body.get("totalQuantity", coupon.quantity)
        coupon.starts, coupon.ends = starts, ends
        coupon.closed = body.get("closed", coupon.closed)
        return 200, self.shown_coupon(coupon)

    def get_coupon(self, coupon_id):
        if coupon_id not in self.coupons:
            raise Refused("NOT_FOUND")
        return 200, self.shown_coupon(self.coupons[coupon_id])

    def list_coupons(self, request, everything):
        coupons = [self.coupons[i] for i in sorted(self.coupons)]
        shown = [c for c in coupons if everything or (self.within(c) <= 0 and not c.closed)]
        return self.page(request, f"coupons {everything}", shown, self.shown_coupon)

    # ---- taking one ----

    def take(self, coupon_id, body, way):
        user_id = self.number(body, "userId")
        self.user(user_id)
        if coupon_id not in self.coupons:
            raise Refused("INVALID_COUPON")
        coupon = self.coupons[coupon_id]
        if user_id in coupon.holders:
            raise self.already(coupon, coupon.holders[user_id], way)
        if self.within(coupon) < 0:
            raise Refused("COUPON_NOT_STARTED", startsAt=coupon.starts)
        if self.within(coupon) > 0:
            raise Refused("EXPIRED_COUPON")
        if coupon.closed:
            raise Refused("COUPON_ENDED")
        if self.remaining(coupon) == 0:
            raise Refused("COUPON_SOLD_OUT")
        held = Held(self.next_number(coupon), coupon.ends)
        coupon.holders[user_id] = held
        return 200, self.issued(coupon, held) if way == "issue" else self.reserved(coupon, held, user_id)

    def next_number(self, coupon):
        return len(coupon.holders) + 1

    def already(self, coupon, held, way):
        """`issue` waits until the place is stored; `reserve` need not."""
        if held.user_coupon_id is None and (way == "issue" or self.choose.is_given("userCouponId")):
            held.user_coupon_id = self.choose.number("userCouponId")
        return Refused(
            "ALREADY_ISSUED_COUPON",
            sequenceNumber=held.number,
            userCouponId=held.user_coupon_id,
            couponStatus=self.held_status(coupon, held),
        )

    def issued(self, coupon, held):
        held.user_coupon_id, held.issued = self.choose.number("userCouponId"), self.choose.moment("issuedAt")
        return {
            "userCouponId": held.user_coupon_id,
            "couponId": coupon.coupon_id,
            "couponName": coupon.name,
            "discountRate": coupon.rate,
            "status": "AVAILABLE",
            "issuedAt": held.issued,
            "expiresAt": held.expires,
            "remainingQuantity": self.remaining(coupon),
            "sequenceNumber": held.number,
        }

    def reserved(self, coupon, held, user_id):
        return {
            "couponId": coupon.coupon_id,
            "userId": user_id,
            "sequenceNumber": held.number,
            "status": "RESERVED",
            "message": self.choose.text("message"),
            "durability": self.durability,
        }

    # ---- a user's coupons ----

    def expired(self, held):
        return self.now >= held.expires

    def used_up(self, coupon, held):
        return coupon.uses_per_user is not UNLIMITED and held.uses >= coupon.uses_per_user

    def held_status(self, coupon, held):
        if held.user_coupon_id is None:
            return "RESERVED"
        if self.used_up(coupon, held):
            return "USED"
        return "EXPIRED" if self.expired(held) else "AVAILABLE"

    def list_held(self, request, user_id):
        status = request.query.get("status")
        if status not in (None, "AVAILABLE", "USED", "EXPIRED", "RESERVED"):
            raise invalid("status")
        self.user(user_id)
        pairs = [(c, c.holders[user_id]) for c in self.coupons.values() if user_id in c.holders]
        for coupon, held in pairs:
            self.learn_held(coupon, held)
        pairs.sort(key=lambda pair: -(pair[1].user_coupon_id or 10**18))
        pairs = [pair for pair in pairs if status in (None, self.held_status(*pair))]
        return self.page(request, f"coupons {user_id} {status}", pairs, self.shown_held, userId=user_id)

    def learn_held(self, coupon, held):
        """A reservation that has become a row is seen here first."""
        if held.user_coupon_id is None or held.issued is None:
            row = self.choose.row("coupons", "couponId", coupon.coupon_id)
            if row is not None:
                held.user_coupon_id = held.user_coupon_id or row.number("userCouponId")
                held.issued = held.issued or row.past("issuedAt")

    def shown_held(self, pair):
        coupon, held = pair
        return {
            "userCouponId": held.user_coupon_id,
            "couponId": coupon.coupon_id,
            "couponName": coupon.name,
            "discountRate": coupon.rate,
            "status": self.held_status(coupon, held),
            "issuedAt": held.issued,
            "usedAt": held.used,
            "expiresAt": held.expires,
        }

    # ---- in an order ----

    def usable(self, coupon_id, user_id):
        """The user's own, or refused."""
        coupon = self.coupons.get(coupon_id)
        held = coupon and coupon.holders.get(user_id)
        if not held or self.used_up(coupon, held):
            raise Refused("INVALID_COUPON")
        if self.expired(held):
            raise Refused("EXPIRED_COUPON")
        return coupon, held

    def use_coupon(self, held, paid_at):
        held.uses += 1
        held.used = paid_at

    def give_back_coupon(self, held):
        held.uses -= 1
        if held.uses == 0:
            held.used = None
