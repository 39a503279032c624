# SPDX-License-Identifier: Apache-2.0
"""Sales by day and product, and the rankings of their windows."""

import calendar
import datetime

from model.base import LIMIT_MAX, Refused, invalid
from model.coupons import Coupons

WINDOWS = ("daily", "weekly", "monthly", "rolling")
DAY = datetime.timedelta(days=1)
HELD_DAYS = 60  # what is older comes from the backup, and previousRank does not say how old that is
TOP_MAX, TOP_DAYS, TOP_LIMIT_DEFAULT, AROUND_MAX = 5, 3, 10, 10


class Sales:
    """Of one product: units, revenue before discounts, and when the units last changed."""

    def __init__(self, product_id):
        self.product_id, self.units, self.revenue, self.changed = product_id, 0, 0, 0

    def add(self, units, revenue, changed):
        self.units, self.revenue, self.changed = self.units + units, self.revenue + revenue, max(self.changed, changed)


class Ranking(Coupons):
    ranking_source = "memory"

    def __init__(self, time_zone):
        super().__init__(time_zone)
        self.sales = {}  # day: {product: Sales}
        self.ranking_changed = 0

    # ---- counting ----

    def count(self, day, line, sign, moment):
        sales = self.sales.setdefault(day, {}).setdefault(line.product_id, Sales(line.product_id))
        sales.add(sign * line.quantity, sign * line.quantity * line.price, moment)
        self.ranking_changed = self.now

    def count_sale(self, order):
        for line in order.lines:
            self.count(self.sale_day(order), line, 1, order.paid_at)

    def sale_day(self, order):
        return self.day(order.paid_at)

    def count_refund(self, order):
        """The day it was sold loses what it had gained, now."""
        for line in order.lines:
            self.count(self.refund_day(order), line, -1, self.now)

    def refund_day(self, order):
        return self.sale_day(order)

    def patch_product(self, product_id, body):
        """Which category's ranking it is in is how it is now."""
        if "category" in body:
            self.ranking_changed = self.now
        return super().patch_product(product_id, body)

    # ---- windows ----

    def days(self, window, date):
        """First and last day."""
        if window == "daily":
            return date, date
        if window == "weekly":
            monday = date - date.weekday() * DAY
            return monday, monday + 6 * DAY
        if window == "monthly":
            last = calendar.monthrange(date.year, date.month)[1]
            return date.replace(day=1), date.replace(day=last)
        return date - 6 * DAY, date

    def step_back(self, window, date):
        """A date of the window one step earlier."""
        if window == "weekly":
            return date - 7 * DAY
        if window == "monthly":
            return date.replace(day=1) - DAY
        return date - DAY

    def summed(self, first, last):
        """Sales of all products that sold anything within these days."""
        sums = {}
        day = first
        while day <= last:
            for row in self.sales.get(day, {}).values():
                sums.setdefault(row.product_id, Sales(row.product_id)).add(row.units, row.revenue, row.changed)
            day += DAY
        return [row for row in sums.values() if row.units > 0]

    def ranking(self, window, date, category=None):
        rows = self.summed(*self.days(window, date))
        if category is not None:
            rows = [row for row in rows if self.products[row.product_id].category == category]
        return sorted(rows, key=self.order_of_ranking)

    def order_of_ranking(self, row):
        return -row.units, row.changed, row.product_id

    # ---- answers ----

    def ranked(self, rank, row):
        name = self.products[row.product_id].name
        return {"rank": rank, "productId": row.product_id, "productName": name, "salesCount": row.units}

    def products_top(self):
        rows = self.summed(self.today() - (TOP_DAYS - 1) * DAY, self.today())
        rows.sort(key=self.order_of_top)
        products = [
            {
                "rank": rank,
                "productId": row.product_id,
                "name": self.products[row.product_id].name,
                "salesCount": row.units,
                "revenue": row.revenue,
            }
            for rank, row in enumerate(rows[:TOP_MAX], 1)
        ]
        return 200, {"period": "3days", "products": products}

    def order_of_top(self, row):
        return -row.units, -row.revenue, row.product_id

    def date_of(self, request):
        text = request.query.get("date")
        try:
            return self.today() if text is None else datetime.date.fromisoformat(text)
        except ValueError:
            raise invalid("date") from None

    def window_of(self, request):
        window = request.query.get("window", "daily")
        if window not in WINDOWS:
            raise invalid("window")
        return window

    def ranking_top(self, request):
        date, window = self.date_of(request), self.window_of(request)
        limit = self.top_limit(int(request.query.get("limit", TOP_LIMIT_DEFAULT)))
        rows = self.ranking(window, date, request.query.get("category"))[:limit]
        rankings = [self.ranked(rank, row) for rank, row in enumerate(rows, 1)]
        return 200, self.as_of({"date": str(date), "rankings": rankings})

    def as_of(self, answer):
        """What the primary holds is right now; what it does not hold any more, days of long ago, is in
        the backup, and is as old as that says."""
        source = self.choose.one_of((self.ranking_source, "backup"), "source")
        as_of = self.choose.past("asOf")
        if source == "backup" and as_of <= self.ranking_changed:
            answer = {name: self.choose.anything(name) for name in answer}
        return {**answer, "source": source, "asOf": as_of, "stale": False}

    def top_limit(self, limit):
        return limit if 1 <= limit <= LIMIT_MAX else TOP_LIMIT_DEFAULT

    def ranking_product(self, request, product_id):
        date, window = self.date_of(request), self.window_of(request)
        around = self.clamped(int(request.query.get("around", 0)))
        if product_id not in self.products:
            raise Refused("PRODUCT_NOT_FOUND")
        rows = self.ranking(window, date)
        before = self.ranking(window, self.step_back(window, date))
        at = self.place(rows, product_id)
        neighbours = []
        if at is not None:
            shown = range(max(at - around, 0), min(at + around + 1, len(rows)))
            neighbours = [self.ranked(i + 1, rows[i]) for i in shown if i != at]
        was = self.place(before, product_id)
        previous = None if was is None else was + 1
        if self.days(window, self.step_back(window, date))[0] < self.today() - HELD_DAYS * DAY:
            previous = self.choose.anything("previousRank")
        return 200, self.as_of(
            {
                "productId": product_id,
                "date": str(date),
                "rank": -1 if at is None else at + 1,
                "salesCount": 0 if at is None else rows[at].units,
                "previousRank": previous,
                "neighbours": neighbours,
            }
        )

    def clamped(self, around):
        return min(max(around, 0), AROUND_MAX)

    def place(self, rows, product_id):
        return next((i for i, row in enumerate(rows) if row.product_id == product_id), None)
