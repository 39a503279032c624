# SPDX-License-Identifier: Apache-2.0
"""The model with one rule broken at a time: each must be noticed, or the comparison looks away there.

A row is the rule as it must not be, and the parts of the model that make it so.
"""

import datetime

from model.base import Moment, Refused, Request
from model.model import Shop
from model.orders import Line
from model.ranking import DAY, Sales

UTC = datetime.timezone.utc
MINUTE_MS = 60_000


def broken(name, **parts):
    """A shop like any other, but for these parts."""
    return type("".join(word.capitalize() for word in name.split()), (Shop,), {"__doc__": name, **parts})


# ---- money, orders ----


def discount_rounded_up(self, subtotal, rate):
    return -(-subtotal * rate // 100)


def discount_rounded_to_the_nearest(self, subtotal, rate):
    return (subtotal * rate + 50) // 100


def can_charge_without_maximum(self, balance, amount):
    return amount >= 1


def name_order_and_take_stock(self, order, *where):
    Shop.name_order(self, order, *where)
    for line in order.lines:
        self.products[line.product_id].stock -= line.quantity


def name_order_and_use_coupon(self, order, *where):
    Shop.name_order(self, order, *where)
    if order.coupon_id is not None and not where:
        self.use_coupon(self.coupons[order.coupon_id].holders[order.user_id], order.created)


def make_order_without_stock(self, body):
    check, self.check_stock = self.check_stock, lambda lines: None
    try:
        return Shop.make_order(self, body)
    finally:
        self.check_stock = check


def make_order_unsorted(self, body):
    order = Shop.make_order(self, body)
    order.lines.reverse()
    return order


def make_order_unmerged(self, body):
    order = Shop.make_order(self, body)
    prices = {line.product_id: line for line in order.lines}
    order.lines = [Line(i["productId"], prices[i["productId"]].name, i["quantity"], prices[i["productId"]].price)
                   for i in sorted(body["items"], key=lambda item: item["productId"])]  # fmt: skip
    return order


def check_payment_without_coupon(self, order, request):
    kept, order.coupon_id = order.coupon_id, None
    try:
        Shop.check_payment(self, order, request)
    finally:
        order.coupon_id = kept


def check_payment_balance_first(self, order, request):
    if self.users[order.user_id].balance < order.total:
        raise Refused("INSUFFICIENT_BALANCE")
    Shop.check_payment(self, order, request)


def check_payment_gateway_first(self, order, request):
    if self.asks_gateway(order) and self.mock_refuses(self.key_of(request, False) or ""):
        raise Refused("PAYMENT_FAILED")
    Shop.check_payment(self, order, request)


def pay_at_present_prices(self, order, *where):
    order.total = sum(self.products[line.product_id].price * line.quantity for line in order.lines)
    return Shop.pay(self, order, *where)


def pay_order_of_anybody(self, request, order_id):
    if order_id in self.orders:
        body = {**request.body, "userId": self.orders[order_id].user_id}
        request = Request(request.method, request.path, body, key=request.key)
    return Shop.pay_order(self, request, order_id)


def pay_order_status_before_owner(self, request, order_id):
    order = self.orders.get(order_id)
    if order and order.status == "CANCELLED" and order.user_id != request.body["userId"]:
        raise Refused("INVALID_ORDER_STATUS")
    return Shop.pay_order(self, request, order_id)


def complete_order_that_stays(self, request):
    before = len(self.orders)
    answer = Shop.complete_order(self, request)
    if answer[0] == 402 and len(self.orders) == before:
        self.name_order(self.make_order(request.body))
    return answer


def cancel_order_that_always_pays(self, request, order_id):
    order = self.orders.get(order_id)
    pending = order and order.status == "PENDING"
    answer = Shop.cancel_order(self, request, order_id)
    if pending and answer[0] == 200:
        self.users[order.user_id].balance += order.total
    return answer


def cancel_order_twice(self, request, order_id):
    order = self.orders.get(order_id)
    if order and order.status == "CANCELLED" and order.user_id == request.body.get("userId"):
        return 200, order.shown()
    return Shop.cancel_order(self, request, order_id)


def give_back_stock_never(self, line):
    """What was sold once is gone."""


def give_back_stock_twice(self, line):
    self.products[line.product_id].stock += 2 * line.quantity


def check_stock_leaves_one(self, lines):
    if any(line.quantity >= self.products[line.product_id].stock for line in lines):
        raise Refused("INSUFFICIENT_STOCK")


def check_payment_leaves_one_won(self, order, request):
    if self.users[order.user_id].balance == order.total > 0:
        raise Refused("INSUFFICIENT_BALANCE")
    Shop.check_payment(self, order, request)


def asks_gateway_always(self, order):
    return True


def mock_refuses_small_letters(self, key):
    return "fail" in key


def mock_refuses_never(self, key):
    return False


def make_order_product_before_quantity(self, body):
    for item in body["items"]:
        if body["userId"] in self.users:
            self.product(item["productId"])
    return Shop.make_order(self, body)


def make_order_coupon_before_stock(self, body):
    known = body["userId"] in self.users and all(i["productId"] in self.products for i in body["items"])
    if known and body.get("couponId") is not None and all(i["quantity"] > 0 for i in body["items"]):
        self.usable(body["couponId"], body["userId"])
    return Shop.make_order(self, body)


def cancel_order_refused_by_its_key(self, request, order_id):
    order = self.orders.get(order_id)
    if order and order.status == "COMPLETED" and self.mock_refuses(self.key_of(request, False) or ""):
        raise Refused("PAYMENT_FAILED")
    return Shop.cancel_order(self, request, order_id)


def refund_without_discount(self, order):
    Shop.refund(self, order)
    self.users[order.user_id].balance += order.discount


def list_orders_exact_case(self, request):
    if request.query.get("status", "") != request.query.get("status", "").upper():
        raise Refused("INVALID_INPUT", member="status")
    return Shop.list_orders(self, request)


# ---- idempotency ----


def key_place_for_all_users(self, user_id, operation, key):
    return operation, key


def key_place_for_all_operations(self, user_id, operation, key):
    return user_id, key


def fingerprint_of_nothing(self, parameters):
    return ""


def fingerprint_without_order(self, parameters):
    return repr(parameters[:1]) if len(parameters) == 2 and parameters[1] in self.orders else repr(parameters)


def replay_afresh(self, status, body, effect):
    return effect()


def is_stored_never(self, status):
    return False


def is_stored_always(self, status):
    return True


# ---- coupons ----


def expired_an_hour_later(self, held):
    return self.now >= held.expires + 60 * MINUTE_MS


def expired_at_the_end_of_the_day(self, held):
    return self.today() > self.day(held.expires)


def used_up_after_one(self, coupon, held):
    return held.uses >= 1


def used_up_where_unlimited(self, coupon, held):
    return held.uses >= (coupon.uses_per_user or 1)


def used_up_never(self, coupon, held):
    return False


def held_status_expired_first(self, coupon, held):
    status = Shop.held_status(self, coupon, held)
    return "EXPIRED" if status == "USED" and self.expired(held) else status


def give_back_coupon_never(self, held):
    """A coupon once used stays used."""


def give_back_coupon_with_its_time(self, held):
    held.uses -= 1


def take_sold_out_first(self, coupon_id, body, way):
    coupon = self.coupons.get(coupon_id)
    if coupon and body.get("userId") in self.users and self.remaining(coupon) == 0:
        raise Refused("COUPON_SOLD_OUT")
    return Shop.take(self, coupon_id, body, way)


def take_window_before_already(self, coupon_id, body, way):
    coupon = self.coupons.get(coupon_id)
    if coupon and body.get("userId") in self.users and self.within(coupon) > 0:
        raise Refused("EXPIRED_COUPON")
    return Shop.take(self, coupon_id, body, way)


def take_coupon_before_user(self, coupon_id, body, way):
    if coupon_id not in self.coupons:
        raise Refused("INVALID_COUPON")
    return Shop.take(self, coupon_id, body, way)


def take_closed(self, coupon_id, body, way):
    coupon = self.coupons.get(coupon_id)
    closed = coupon and coupon.closed
    if coupon:
        coupon.closed = False
    try:
        return Shop.take(self, coupon_id, body, way)
    finally:
        if coupon:
            coupon.closed = closed


def next_number_by_quantity(self, coupon):
    return coupon.quantity - len(coupon.holders)


def patch_coupon_and_holders(self, coupon_id, body):
    answer = Shop.patch_coupon(self, coupon_id, body)
    for held in self.coupons[coupon_id].holders.values():
        held.expires = self.coupons[coupon_id].ends
    return answer


def patch_coupon_below(self, coupon_id, body):
    coupon = self.coupons.get(coupon_id)
    if coupon and 1 <= body.get("totalQuantity", 0) < len(coupon.holders):
        coupon.quantity = body["totalQuantity"]
        return 200, self.shown_coupon(coupon)
    return Shop.patch_coupon(self, coupon_id, body)


# ---- carts, products ----


def added_is_replaced(self, present, quantity):
    return quantity


def add_to_cart_over_the_stock(self, body):
    product, quantity = self.products.get(body.get("productId")), body.get("quantity")
    if product is None or not isinstance(quantity, int) or quantity > product.stock:
        return Shop.add_to_cart(self, body)
    kept, product.stock = product.stock, 10**9
    try:
        return 201, Shop.add_to_cart(self, body) and self.shown_cart(body["userId"])
    finally:
        product.stock = kept


def shown_cart_oldest_first(self, user_id):
    cart = Shop.shown_cart(self, user_id)
    cart["items"].reverse()
    return cart


def shown_line_at_the_first_price(self, product_id, quantity):
    prices = self.__dict__.setdefault("first_prices", {})
    price = prices.setdefault(product_id, self.products[product_id].price)
    return {**Shop.shown_line(self, product_id, quantity), "unitPrice": price, "subtotal": price * quantity}


def add_to_cart_moves_to_the_top(self, body):
    answer = Shop.add_to_cart(self, body)
    lines = self.carts[body["userId"]]
    lines.sort(key=lambda line: line[0] == body["productId"])
    return 201, self.shown_cart(body["userId"]) if answer else None


def change_cart_keeps_an_empty_line(self, body):
    if body.get("quantity") == 0:
        line = self.find_line(body["userId"], body["productId"])
        line[1] = 0
        return 200, self.shown_line(body["productId"], 0)
    return Shop.change_cart(self, body)


def find_line_no_cart_when_empty(self, user_id, product_id):
    if not self.carts.get(user_id):
        raise Refused("CART_NOT_FOUND")
    return Shop.find_line(self, user_id, product_id)


def by_sort_ties_by_larger_id(self, sort):
    products = Shop.by_sort(self, sort)
    if sort == "price_desc":
        products.sort(key=lambda p: (-p.price, -p.product_id))
    return products


def by_sort_of_today(self, sort):
    kept, self.ranking = self.ranking, lambda window, date, category=None: Shop.ranking(self, "daily", date)
    try:
        return Shop.by_sort(self, sort)
    finally:
        self.ranking = kept


def by_sort_oldest_first(self, sort):
    return sorted(self.products.values(), key=lambda p: p.created) if sort == "newest" else Shop.by_sort(self, sort)


def page_counts_itself(self, request, name, items, shown, short=False, **more):
    status, body = Shop.page(self, request, name, items, shown, short, **more)
    return status, {**body, "totalCount": len(body[name.split(" ")[0]])}


# ---- days, rankings ----


def day_in_utc(self, moment):
    return datetime.datetime.fromtimestamp(moment // 1000, UTC).date()


def day_without_daylight_saving(self, moment):
    winter = datetime.datetime(2027, 1, 1, tzinfo=self.zone).utcoffset()
    return (datetime.datetime.fromtimestamp(moment // 1000, UTC) + winter).date()


def today_in_utc(self):
    return datetime.datetime.fromtimestamp(self.now // 1000, UTC).date()


def sale_day_in_utc(self, order):
    return datetime.datetime.fromtimestamp(order.paid_at // 1000, UTC).date()


def sale_day_without_daylight_saving(self, order):
    return day_without_daylight_saving(self, order.paid_at)


def sale_day_of_creation(self, order):
    return self.day(order.created)


def count_sale_on_the_day_before(self, order):
    for line in order.lines:
        self.count(self.day(order.paid_at - 60 * MINUTE_MS), line, 1, order.paid_at)


def count_sale_after_discount(self, order):
    for line in order.lines:
        share = line.price * order.total // max(order.subtotal, 1)
        self.count(self.sale_day(order), Line(line.product_id, line.name, line.quantity, share), 1, order.paid_at)


def count_orders(self, day, line, sign, moment):
    Shop.count(self, day, Line(line.product_id, line.name, 1, line.price * line.quantity), sign, moment)


def count_first_change(self, day, line, sign, moment):
    known = self.sales.get(day, {}).get(line.product_id)
    Shop.count(self, day, line, sign, known.changed if known else moment)


def count_refund_never(self, order):
    """The ranking keeps what was given back."""


def count_refund_without_time(self, order):
    for line in order.lines:
        self.count(self.refund_day(order), line, -1, 0)


def refund_day_is_today(self, order):
    return self.today()


def order_of_ranking_by_id(self, row):
    return -row.units, row.product_id


def order_of_ranking_latest_first(self, row):
    return -row.units, -row.changed, row.product_id


def order_of_ranking_larger_id(self, row):
    return -row.units, row.changed, -row.product_id


def order_of_ranking_by_revenue(self, row):
    return -row.units, -row.revenue, row.product_id


def days_weekly_is_the_last_seven(self, window, date):
    return (date - 6 * DAY, date) if window == "weekly" else Shop.days(self, window, date)


def days_weeks_begin_on_sunday(self, window, date):
    sunday = date - date.isoweekday() % 7 * DAY
    return (sunday, sunday + 6 * DAY) if window == "weekly" else Shop.days(self, window, date)


def days_monthly_is_the_last_thirty(self, window, date):
    return (date - 29 * DAY, date) if window == "monthly" else Shop.days(self, window, date)


def days_months_end_with_the_30th(self, window, date):
    first, last = Shop.days(self, window, date)
    return first, last.replace(day=min(last.day, 30)) if window == "monthly" else last


def days_weeks_end_today(self, window, date):
    first, last = Shop.days(self, window, date)
    return first, date if window == "weekly" else last


def days_rolling_is_eight(self, window, date):
    return (date - 7 * DAY, date) if window == "rolling" else Shop.days(self, window, date)


def step_back_of_the_same_window(self, window, date):
    return date


def step_back_always_a_day(self, window, date):
    return date - DAY


def step_back_rolling_a_week(self, window, date):
    return date - 7 * DAY if window == "rolling" else Shop.step_back(self, window, date)


def step_back_monthly_thirty_days(self, window, date):
    return date - 30 * DAY if window == "monthly" else Shop.step_back(self, window, date)


def summed_with_nothing_left(self, first, last):
    """Products whose sales were all given back are ranked with none."""
    sums = {}
    for day, rows in self.sales.items():
        for row in rows.values() if first <= day <= last else ():
            sums.setdefault(row.product_id, Sales(row.product_id)).add(row.units, row.revenue, row.changed)
    return list(sums.values())


def ranking_of_all_categories(self, window, date, category=None):
    return Shop.ranking(self, window, date)


def ranking_by_category_of_the_sale(self, window, date, category=None):
    first = self.__dict__.setdefault("first_categories", {})
    for product in self.products.values():
        first.setdefault(product.product_id, product.category)
    return [row for row in Shop.ranking(self, window, date) if category in (None, first[row.product_id])]


def ranked_with_the_first_name(self, rank, row):
    names = self.__dict__.setdefault("first_names", {})
    name = names.setdefault(row.product_id, self.products[row.product_id].name)
    return {**Shop.ranked(self, rank, row), "productName": name}


def order_of_top_by_revenue(self, row):
    return -row.revenue, -row.units, row.product_id


def order_of_top_by_id(self, row):
    return -row.units, row.product_id


def products_top_of_today(self):
    kept, self.today = self.today, lambda: Shop.today(self) + 2 * DAY
    try:
        return Shop.products_top(self)
    finally:
        self.today = kept


def top_limit_clamped(self, limit):
    return min(max(limit, 1), 100)


def clamped_never(self, around):
    return around


def pay_says_when_it_was_ordered(self, order, *where):
    answer = Shop.pay(self, order, *where)
    return {**answer, "paidAt": Moment(order.created)}


# Whose names say which part they replace: the longest name of a part that they begin with.
PARTS = sorted((name for name in dir(Shop) if not name.startswith("_")), key=len, reverse=True)
FUNCTIONS = {name: value for name, value in list(globals().items()) if callable(value)}


def part_of(name):
    return next((part for part in PARTS if name.startswith(part + "_")), None)


MUTANTS = {name.replace("_", " "): broken(name.replace("_", " "), **{part_of(name): function})
           for name, function in FUNCTIONS.items() if part_of(name)}  # fmt: skip
