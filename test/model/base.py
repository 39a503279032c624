# SPDX-License-Identifier: Apache-2.0
"""What all parts of the model share: requests, refusals, moments, lists, idempotency keys.

The model is a second statement of the HTTP contract, in dictionaries and lists. It answers a request
after the server has: whatever the server is free to choose (ids, times within the moment of the
call) the model takes from `choose`, and everything else it knows by itself.
"""

import datetime
import zoneinfo

INT64_MAX = 2**63 - 1
KEY_CHARS_MAX = 100
LIMIT_MAX = 100

# error: (code, status)
PROBLEMS = {
    "PRODUCT_NOT_FOUND": ("P001", 404),
    "INSUFFICIENT_STOCK": ("P002", 409),
    "INVALID_QUANTITY": ("O001", 400),
    "ORDER_NOT_FOUND": ("O002", 404),
    "INVALID_ORDER_STATUS": ("O003", 400),
    "INSUFFICIENT_BALANCE": ("PAY001", 409),
    "PAYMENT_FAILED": ("PAY002", 402),
    "IDEMPOTENCY_KEY_REUSED": ("PAY004", 422),
    "COUPON_SOLD_OUT": ("C001", 409),
    "INVALID_COUPON": ("C002", 400),
    "EXPIRED_COUPON": ("C003", 400),
    "ALREADY_ISSUED_COUPON": ("C004", 409),
    "COUPON_NOT_STARTED": ("C005", 400),
    "COUPON_ENDED": ("C007", 409),
    "USER_NOT_FOUND": ("U001", 404),
    "INVALID_CHARGE_AMOUNT": ("U002", 400),
    "CART_NOT_FOUND": ("CART001", 404),
    "CART_ITEM_NOT_FOUND": ("CART002", 404),
    "INVALID_INPUT": ("COMMON002", 400),
    "NOT_FOUND": ("COMMON003", 404),
    "CONFLICT": ("COMMON008", 409),
    "FORBIDDEN": ("AUTH002", 403),
}


class Moment(int):
    """Unix milliseconds; RFC 3339 in JSON."""


class Request:
    """One call. `key` stands in the header; `query` has text only."""

    __slots__ = ("method", "path", "query", "body", "key")

    def __init__(self, method, path, body=None, query=None, key=None):
        self.method, self.path, self.body, self.key = method, path, body, key
        self.query = query or {}

    def __repr__(self):
        query = "?" + "&".join(f"{k}={v}" for k, v in self.query.items()) if self.query else ""
        key = f" [Idempotency-Key: {self.key}]" if self.key is not None else ""
        return f"{self.method} {self.path}{query}{key} {'' if self.body is None else self.body}"


class Refused(Exception):
    """A problem document: its error, and the further members that the contract names."""

    def __init__(self, error, **members):
        super().__init__(error)
        self.error, self.members = error, members

    def answer(self):
        code, status = PROBLEMS[self.error]
        return status, {"error": self.error, "code": code, "status": status, **self.members}


def invalid(member):
    return Refused("INVALID_INPUT", member=member)


class Base:
    """The state of a shop starts empty; `answer` changes it as one request does."""

    key_required = True

    def __init__(self, time_zone):
        self.zone = zoneinfo.ZoneInfo(time_zone)
        self.now = Moment(0)
        self.choose = None
        self.answered = {}  # (user, operation, key): (fingerprint, status, body)
        self.cursors = {}  # (list, cursor): the last item that was shown

    def answer(self, request, now, choose):
        """(status, JSON); `now` is the time of the call, in the shop's clock."""
        self.now, self.choose = Moment(now), choose
        words = request.path.strip("/").split("/")[1:]
        try:
            return self.route(request, words)
        except Refused as refused:
            return refused.answer()

    # ---- time ----

    def day(self, moment):
        """The date in the shop's zone."""
        return datetime.datetime.fromtimestamp(moment // 1000, self.zone).date()

    def today(self):
        return self.day(self.now)

    # ---- members of a body ----

    def number(self, body, name, least=None):
        """An integer of 64 bits that must be there."""
        value = body.get(name)
        if type(value) is not int or not -INT64_MAX - 1 <= value <= INT64_MAX or (least is not None and value < least):
            raise invalid(name)
        return value

    def user(self, user_id):
        if user_id not in self.users:
            raise Refused("USER_NOT_FOUND")
        return self.users[user_id]

    # ---- idempotency ----

    def once(self, request, user_id, operation, parameters, effect, required=True):
        """`effect` happens once for each key of a user and an operation."""
        key = self.key_of(request, required)
        if key is None:
            return effect()
        place = self.key_place(user_id, operation, key)
        print_ = self.fingerprint(parameters)
        if place in self.answered:
            of_then, status, body = self.answered[place]
            if of_then != print_:
                raise Refused("IDEMPOTENCY_KEY_REUSED")
            return self.replay(status, body, effect)
        try:
            status, body = effect()
        except Refused as refused:
            status, body = refused.answer()
            if not self.is_stored(status):
                raise
        self.answered[place] = print_, status, body
        return status, body

    def key_of(self, request, required):
        inside, header = request.body.get("idempotencyKey"), request.key
        if inside is not None and header is not None and inside != header:
            raise invalid("idempotencyKey")
        key = inside if inside is not None else header
        if key is None and required:
            raise invalid("idempotencyKey")
        if key is not None and not 1 <= len(key) <= KEY_CHARS_MAX:
            raise invalid("idempotencyKey")
        return key

    def key_place(self, user_id, operation, key):
        return user_id, operation, key

    def fingerprint(self, parameters):
        return repr(parameters)

    def replay(self, status, body, effect):
        return status, body

    def is_stored(self, status):
        """Of refusals: that of the payment gateway."""
        return status == 402

    # ---- lists ----

    def page(self, request, name, items, shown, short=False, **more):
        """A page of `items`, each as it is `shown`, with `totalCount` and the cursor of the next page."""
        limit, start, list_name = self.limit(request), 0, name.split(" ")[0]
        if short:
            limit = min(limit, self.choose.length(list_name))
        if "cursor" in request.query:
            place = name, request.query["cursor"]
            if place not in self.cursors:
                raise invalid("cursor")
            last = self.cursors[place]
            start = 0 if last is None else items.index(last) + 1
        page = [shown(item) for item in items[start : start + limit]]
        cursor = None
        if start + limit < len(items):
            cursor = self.choose.text("nextCursor")
            self.cursors[name, cursor] = items[start + limit - 1] if start + limit else None
        return 200, {**more, list_name: page, "totalCount": len(items), "nextCursor": cursor}

    def limit(self, request):
        limit = int(request.query.get("limit", LIMIT_MAX))
        if not 1 <= limit <= LIMIT_MAX:
            raise invalid("limit")
        return limit
