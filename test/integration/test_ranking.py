# SPDX-License-Identifier: Apache-2.0
"""The ranking: what is sold is shown, day by day, and stays shown when its store is away."""

import datetime
import json
import random
import socket
import threading
import time

import pytest

from support.distributed import RANKING_SOURCE, heard
from support.server import wait_for

SEOUL = datetime.timezone(datetime.timedelta(hours=9))
WINDOWS = ("daily", "weekly", "monthly", "rolling")
BUYER = 900001
EPOCH = datetime.date(1970, 1, 1)
SHARED_SECONDS = 0.3


def days_of(window, day):
    """First and last day of the window that contains, or ends on, `day`."""
    if window == "weekly":
        monday = day - datetime.timedelta(days=day.weekday())
        return monday, monday + datetime.timedelta(days=6)
    if window == "monthly":
        first = day.replace(day=1)
        return first, (first + datetime.timedelta(days=31)).replace(day=1) - datetime.timedelta(days=1)
    back = {"daily": 0, "rolling": 6, "3days": 2}[window]
    return day - datetime.timedelta(days=back), day


class Shop:
    """A server, and beside it the plainest account of what it has sold."""

    def __init__(self, server, day="2031-05-14", zone=SEOUL):
        self.server, self.zone, self.keys, self.sums, self.moves = server, zone, 0, {}, 0
        self.category, self.price, self.bought, self.changed = {}, {}, {}, False
        self.clock(day)
        server.make_users(BUYER, 1, 10**15)

    def clock(self, day, at="12:00:00"):
        moment = datetime.datetime.fromisoformat(f"{day}T{at}").replace(tzinfo=self.zone)
        self.server.post("/api/admin/test/clock", {"now": moment.isoformat()})

    def today(self):
        now = self.server.post("/api/admin/test/clock", {"advanceSeconds": 0})["now"]
        return datetime.datetime.fromisoformat(now).astimezone(self.zone).date()

    def product(self, product, price=1000, category=None):
        body = {"productId": product, "name": f"product {product}", "price": price, "stock": 10**6, "category": category}
        self.server.post("/api/admin/products", body, 201)
        self.category[product], self.price[product] = category, price

    def products(self, first, count, **members):
        for product in range(first, first + count):
            self.product(product, **members)
        return list(range(first, first + count))

    def count(self, day, product, units):
        self.moves += 1
        old = self.sums.get((day, product), (0, 0, 0))
        self.sums[day, product] = (old[0] + units, old[1] + units * self.price[product], self.moves)
        self.changed = True

    def settle(self):
        """What was sold comes into a ranking that servers share a moment after the answer."""
        if self.changed and hasattr(self.server, "nodes"):
            time.sleep(SHARED_SECONDS)
        self.changed = False

    def order(self, items):
        """Buys it, by answer of the server; gives (order id, day)."""
        self.keys += 1
        lines = [{"productId": product, "quantity": units} for product, units in items.items()]
        body = {"userId": BUYER, "items": lines, "idempotencyKey": f"k{self.keys}"}
        answer = self.server.post("/api/orders/complete", body, 201)
        paid_at = datetime.datetime.fromisoformat(answer["payment"]["paidAt"]).astimezone(self.zone)
        return answer["order"]["orderId"], paid_at.date()

    def sell(self, product, units=1):
        time.sleep(0.002)  # no two at the same millisecond: who was there first is then known
        order, day = self.order({product: units})
        self.count(day, product, units)
        self.bought[order] = (day, product, units)
        return order

    def cancel(self, order):
        time.sleep(0.002)
        self.keys += 1
        self.server.post(f"/api/orders/{order}/cancel", {"userId": BUYER, "idempotencyKey": f"c{self.keys}"})
        day, product, units = self.bought.pop(order)
        self.count(day, product, -units)

    def board(self, window, day, category=None):
        """[(product, units, revenue)], best first."""
        first, last = days_of(window, day)
        whole = {}
        for (at, product), (units, revenue, moved) in self.sums.items():
            if first <= at <= last:
                old = whole.get(product, (0, 0, 0))
                whole[product] = (old[0] + units, old[1] + revenue, max(old[2], moved))
        rows = [(p, *s) for p, s in whole.items() if s[0] > 0 and category in (None, self.category[p])]
        rows.sort(key=lambda row: (-row[1], -row[2] if window == "3days" else row[3], row[0]))
        return [row[:3] for row in rows]

    # ---- what the server says ----

    def top(self, **query):
        self.settle()
        words = "&".join(f"{name}={value}" for name, value in query.items())
        return self.server.get(f"/api/products/ranking/top?{words}")

    def place(self, product, status=200, **query):
        self.settle()
        words = "&".join(f"{name}={value}" for name, value in query.items())
        return self.server.get(f"/api/products/ranking/product/{product}?{words}", status)

    def expect(self, day, windows=WINDOWS, source=RANKING_SOURCE, stale=False, **query):
        """Every window of that day is exactly what was sold."""
        heard()
        for window in windows:
            said = self.top(date=day, window=window, limit=100, **query)
            wanted = self.board(window, day, query.get("category"))[:100]
            assert [(r["productId"], r["salesCount"]) for r in said["rankings"]] == [r[:2] for r in wanted], window
            assert [r["rank"] for r in said["rankings"]] == list(range(1, len(wanted) + 1))
            assert all(r["productName"] == f"product {r['productId']}" for r in said["rankings"])
            assert (said["source"], said["stale"], said["date"]) == (source, stale, str(day)), (window, said)

    def recovered(self):
        """The primary is back, and what was kept for a moment without it is gone."""
        wait_for(lambda: not any(self.top()["stale"] for _ in getattr(self.server, "nodes", [0])))
        time.sleep(0.06)

    def boards(self, **where):
        """Rows of the backup."""
        rows = self.server.sql("SELECT sales_window, day, category, version, made_at, entries FROM boards")
        names = ("window", "day", "category", "version", "made_at", "entries")
        found = [dict(zip(names, row)) for row in rows]
        return [row for row in found if all(row[name] == value for name, value in where.items())]


def number(day):
    return (day - EPOCH).days


@pytest.fixture
def shop(serve):
    return Shop(serve())


# ---- counting ----


def test_a_sale_is_seen_at_once(shop):
    shop.products(100, 3)
    today = shop.today()
    for product, units in ((101, 2), (100, 1), (102, 3), (100, 5)):
        shop.sell(product, units)
        shop.expect(today)
    assert [r["productId"] for r in shop.top()["rankings"]] == [100, 102, 101]


def test_who_was_there_first(shop):
    shop.products(100, 4)
    today = shop.today()
    first = shop.sell(103, 2)
    shop.sell(101, 2)
    shop.sell(102, 1)
    shop.sell(102, 1)  # as many as 101 and 103, later than both
    assert [r["productId"] for r in shop.top()["rankings"]] == [103, 101, 102]
    shop.sell(103, 1)
    shop.cancel(first)
    shop.sell(103, 1)  # two again, but now it is the last to have got there
    assert [r["productId"] for r in shop.top()["rankings"]] == [101, 102, 103]
    shop.expect(today)


def test_a_refund_lowers_the_day_of_the_sale(shop):
    shop.products(100, 2)
    day = shop.today()
    order = shop.sell(100, 5)
    shop.sell(101, 3)
    shop.clock(day + datetime.timedelta(days=2))
    shop.cancel(order)
    shop.expect(day)
    shop.expect(shop.today())
    assert shop.place(100, date=day)["rank"] == -1
    assert shop.place(101, date=day)["rank"] == 1


def test_an_order_of_many_lines_and_one_that_is_only_made(shop):
    shop.products(100, 3)
    day = shop.order({100: 1, 101: 2, 102: 3})[1]
    for product, units in ((100, 1), (101, 2), (102, 3)):
        shop.count(day, product, units)
    body = {"userId": BUYER, "items": [{"productId": 100, "quantity": 50}], "idempotencyKey": "pending"}
    order = shop.server.post("/api/orders", body, 201)["orderId"]
    shop.expect(day)
    refused = {"userId": BUYER, "idempotencyKey": "this will fail"}
    shop.server.post(f"/api/orders/{order}/payment", refused, 402)
    shop.expect(day)
    for _ in range(2):  # the second is a replay: counted once
        shop.server.post(f"/api/orders/{order}/payment", {"userId": BUYER, "idempotencyKey": "pays"})
    shop.count(day, 100, 50)
    shop.expect(day)


# ---- days and windows ----


def test_windows(shop):
    """Across the ends of a week, of months of every length and of a year."""
    shop.products(100, 7)
    moves = random.Random(5)
    days = ["2032-01-30", "2032-01-31", "2032-02-01", "2032-02-28", "2032-02-29", "2032-03-01"]
    for day in days:
        shop.clock(day)
        for _ in range(4):
            shop.sell(moves.randrange(100, 107), moves.randrange(1, 4))
    for day in (*days, "2032-01-10", "2032-02-02", "2032-02-15", "2032-03-06", "2032-03-07", "2032-12-31"):
        shop.expect(datetime.date.fromisoformat(day))


def test_midnight(shop):
    shop.products(100, 2)
    shop.clock("2032-06-30", "23:59:58")
    shop.sell(100, 2)
    assert shop.top()["date"] == "2032-06-30"
    wait_for(lambda: shop.top()["date"] == "2032-07-01", 10)
    assert shop.top()["rankings"] == []
    shop.sell(101, 1)
    shop.expect(datetime.date(2032, 6, 30))
    shop.expect(datetime.date(2032, 7, 1))
    assert shop.place(100, date="2032-07-01", window="monthly")["previousRank"] == 1


@pytest.mark.parametrize("zone, day, offset_before, offset_after", [("America/New_York", "2030-03-10", -5, -4)])
def test_a_day_of_23_hours(serve, zone, day, offset_before, offset_after):
    """The clock goes forward on that day: it begins and ends at the zone's own midnight."""
    shop = Shop(serve(shop__time_zone=zone), "2030-03-01", datetime.timezone(datetime.timedelta(hours=offset_before)))
    shop.products(100, 3)
    shop.clock("2030-03-09", "23:59:50")
    shop.sell(100)
    shop.clock(day, "00:00:00")
    shop.sell(101)
    shop.zone = datetime.timezone(datetime.timedelta(hours=offset_after))
    shop.clock(day, "23:59:50")
    shop.sell(102)
    for at, product in (("2030-03-09", [100]), (day, [101, 102]), ("2030-03-11", [])):
        assert [r["productId"] for r in shop.top(date=at)["rankings"]] == product
    shop.clock("2030-03-11", "00:00:00")
    shop.sell(100)
    assert [r["productId"] for r in shop.top(date="2030-03-11")["rankings"]] == [100]


def test_days_long_ago(serve):
    """Of days that are not held any more, backup and sums know."""
    shop = Shop(serve(ranking__backup_every="100ms"), "2031-01-31")
    shop.products(100, 4, category="old")
    first = shop.today()
    shop.sell(100, 3)
    shop.sell(101, 4)
    wait_for(lambda: shop.boards(day=number(first), window=0, category="old"))
    shop.clock("2031-12-31")
    shop.sell(102, 1)
    wait_for(lambda: not shop.boards(day=number(first)))  # kept for 90 days
    shop.expect(first, source="backup")  # from the sums then
    shop.expect(first, source="backup", category="old")
    shop.expect(shop.today())
    assert shop.top(date="2030-01-01") | {"asOf": ""} == {
        "date": "2030-01-01", "rankings": [], "source": "backup", "asOf": "", "stale": False}  # fmt: skip
    place = shop.place(100, date=first, around=1)
    assert (place["rank"], place["salesCount"], place["source"]) == (2, 3, "backup")
    assert [r["productId"] for r in place["neighbours"]] == [101]


def test_the_clock_goes_back(shop):
    """What is held goes with it, at once."""
    shop.products(100, 2)
    day = shop.today()
    shop.sell(100)
    shop.clock(day + datetime.timedelta(days=400))
    shop.sell(101)
    shop.clock(day, "13:00:00")
    shop.expect(day)
    shop.sell(101)
    shop.expect(day)


# ---- categories, places, the three days ----


def test_categories(shop):
    tea, cups = shop.products(100, 3, category="tea"), shop.products(200, 2, category="찻잔 & cups")
    shop.product(300)
    today = shop.today()
    for product in (*tea, *cups, 300, 101, 201):
        shop.sell(product)
    shop.expect(today, category="tea")
    shop.expect(today)
    said = shop.top(category="%EC%B0%BB%EC%9E%94%20%26%20cups")["rankings"]
    assert [r["productId"] for r in said] == [201, 200]
    assert shop.top(category="nothing")["rankings"] == []
    shop.server.patch("/api/admin/products/101", {"category": "coffee", "name": "product 101"})
    shop.category[101] = "coffee"
    for category in ("tea", "coffee"):
        shop.expect(today, category=category)
    shop.sell(101)
    shop.expect(today, category="coffee")


def test_places(shop):
    products = shop.products(100, 15)
    yesterday = shop.today()
    for product in products[:14]:
        shop.sell(product, product - 99)
    shop.clock(yesterday + datetime.timedelta(days=1))
    today = shop.today()
    for product in products[:13]:
        shop.sell(product, 120 - product)
    for window in WINDOWS:
        board = [row[0] for row in shop.board(window, today)]
        earlier = days_of(window, today)[0] - datetime.timedelta(days=1) if window in ("weekly", "monthly") else yesterday
        before = [row[0] for row in shop.board(window, earlier)]
        for product in products:
            for around in (0, 2, 10):
                place = shop.place(product, date=today, window=window, around=around)
                if product not in board:
                    assert (place["rank"], place["salesCount"], place["neighbours"]) == (-1, 0, [])
                    continue
                at = board.index(product)
                assert place["rank"] == at + 1
                near = board[max(at - around, 0) : at] + board[at + 1 : at + 1 + around]
                assert [r["productId"] for r in place["neighbours"]] == near
                assert [r["rank"] for r in place["neighbours"]] == [board.index(p) + 1 for p in near]
                assert place["previousRank"] == (before.index(product) + 1 if product in before else None)
    assert len(shop.place(106, around=99)["neighbours"]) == 12
    assert shop.place(106, around=-4)["neighbours"] == []
    assert shop.place(12345, 404)["code"] == "P001"
    assert shop.place(-1, 404)["code"] == "P001"


def test_what_is_sold_most(shop):
    for product in range(100, 108):
        shop.product(product, price=(product - 99) * 100)
    day = shop.today()
    for back in (3, 2, 1, 0):
        shop.clock(day + datetime.timedelta(days=3 - back))
        for product in range(100, 108):
            if (product + back) % 3:
                shop.sell(product, 9 if back == 3 else 1 + (product % 2))
        shop.settle()
        said = shop.server.get("/api/products/top")
        wanted = shop.board("3days", shop.today())[:5]
        assert said["period"] == "3days"
        assert [(r["productId"], r["salesCount"], r["revenue"]) for r in said["products"]] == wanted
        assert [r["rank"] for r in said["products"]] == [1, 2, 3, 4, 5]


def test_parameters(shop):
    shop.products(100, 12)
    for product in range(100, 112):
        shop.sell(product)
    for limit, count in ((1, 1), (11, 11), (100, 12), (0, 10), (101, 10), (-5, 10)):
        assert len(shop.top(limit=limit)["rankings"]) == count
    assert len(shop.top()["rankings"]) == 10
    for query in ("date=2031-02-29", "date=today", "date=20310514", "date=", "limit=ten", "window=yearly", "category=",
                  "limit=1&limit=2", "window=DAILY", "date=99999-01-01"):  # fmt: skip
        answer = shop.server.call("GET", f"/api/products/ranking/top?{query}")
        assert (answer.status, answer.error) == (400, "INVALID_INPUT"), query
        assert answer.json["member"] == query.partition("=")[0]
    for query in ("around=near", "date=1", "window=x"):
        shop.server.get(f"/api/products/ranking/product/100?{query}", 400)
    shop.server.get("/api/products/ranking/product/one", 400)
    for day in ("0001-01-02", "1969-12-31", "9999-12-30"):
        for window in WINDOWS:
            assert shop.top(date=day, window=window)["rankings"] == []
            assert shop.place(100, date=day, window=window)["rank"] == -1


def test_many_sales_and_refunds(serve):
    """Against the orders themselves, added up by SQL."""
    shop = Shop(serve(threads=2))
    shop.products(100, 20, category="all")
    moves, orders = random.Random(9), []
    for i in range(300):
        if i % 60 == 59:
            shop.clock(shop.today() + datetime.timedelta(days=1))
        if orders and moves.random() < 0.2:
            shop.cancel(orders.pop(moves.randrange(len(orders))))
        else:
            orders.append(shop.sell(moves.randrange(100, 120), moves.randrange(1, 5)))
    days = {day for day, _ in shop.sums}
    for day in days:
        shop.expect(day)
        shop.expect(day, category="all")
        rows = shop.server.sql(
            "SELECT product_id, sum(quantity) FROM orders JOIN order_lines USING (order_id)"
            " WHERE status = 1 AND sold_day = ? GROUP BY product_id", number(day))  # fmt: skip
        assert {r["productId"]: r["salesCount"] for r in shop.top(date=day, limit=100)["rankings"]} == dict(rows)


# ---- the primary is away ----


@pytest.mark.embedded  # about what one server remembers, or counts
def test_primary_away(serve):
    shop = Shop(serve(ranking__backup_every="1h"))
    shop.products(100, 3)
    today = shop.today()
    assert shop.top()["source"] == RANKING_SOURCE  # nothing sold, and known so
    shop.server.fault("ranking", True)
    wait_for(lambda: shop.top(window="monthly")["stale"])
    said = shop.top(window="monthly")
    assert (said["source"], said["stale"], said["asOf"], said["rankings"]) == ("none", True, None, [])
    shop.server.fault("ranking", False)
    shop.expect(today, windows=("daily",))
    shop.sell(100, 2)
    shop.sell(101, 1)
    good = shop.top(limit=5)
    shop.server.fault("ranking", True)
    said = wait_for(lambda: (lambda a: a if a["stale"] else None)(shop.top(limit=5)))
    assert said == good | {"stale": True}  # its last good answer, as old as it is
    assert shop.top(limit=2)["rankings"] == good["rankings"]
    shop.sell(102, 9)  # paid all the same
    assert shop.top(limit=5)["rankings"] == good["rankings"]
    shop.expect(today, windows=("weekly",), source="backup", stale=True)  # nobody asked for that: the sums
    place = shop.place(102)
    assert (place["rank"], place["salesCount"], place["source"], place["stale"]) == (1, 9, "backup", True)
    assert [r[0] for r in shop.board("3days", today)] == [r["productId"] for r in shop.server.get("/api/products/top")["products"]]
    shop.server.fault("ranking", False)
    shop.recovered()
    shop.expect(today)  # what was sold meanwhile is in it


def test_backup_is_served(serve):
    shop = Shop(serve(ranking__backup_every="100ms"))
    shop.products(100, 5, category="tea")
    today = shop.today()
    for product in range(100, 105):
        shop.sell(product, product - 99)
    shop.top()
    shop.server.fault("ranking", True)
    last = shop.sell(100, 40)
    newest = shop.moves

    def backed_up():
        rows = shop.boards(window=0, day=number(today), category="")
        return rows and rows[0]["version"] == newest

    wait_for(backed_up)
    shop.server.fault("backup", True)
    time.sleep(0.1)
    made_at = shop.boards(window=0, day=number(today), category="")[0]["made_at"]
    shop.expect(today, source="backup", stale=True)
    shop.expect(today, source="backup", stale=True, category="tea")
    as_of = datetime.datetime.fromisoformat(shop.top()["asOf"])
    assert round(as_of.timestamp() * 1000) == made_at
    shop.cancel(last)
    assert shop.top()["rankings"][0]["salesCount"] == 41  # as it was when it was made
    text = shop.server.call("GET", "/metrics").body.decode()
    assert "ranking_readable 0" in text and 'ranking_answers_total{source="backup"}' in text
    shop.server.fault("backup", False)
    wait_for(lambda: shop.top()["rankings"][0]["salesCount"] == 5)
    assert shop.top()["stale"]
    shop.server.fault("ranking", False)
    shop.recovered()
    shop.expect(today)


@pytest.mark.embedded  # about what one server remembers, or counts
def test_ledger_away(shop):
    """The ranking is in memory: it does not need the ledger to be read."""
    shop.products(100, 3)
    today = shop.today()
    for product in (100, 101, 101):
        shop.sell(product)
    shop.expect(today, windows=("daily",))
    shop.server.fault("ledger", True)
    time.sleep(0.1)
    shop.expect(today, windows=("daily",))
    assert shop.place(101)["rank"] == 1
    shop.server.fault("ranking", True)
    time.sleep(0.1)
    shop.expect(today, windows=("daily",), stale=True)  # the last good answer
    said = shop.top(window="weekly")
    assert (said["source"], said["stale"], said["rankings"]) == ("none", True, [])
    assert shop.server.get("/api/products/top", 503)["code"] == "COMMON007"
    shop.server.get("/api/products/ranking/product/101", 503)
    shop.server.fault("ledger", False)
    shop.server.fault("ranking", False)
    shop.recovered()
    shop.expect(today)


# ---- the backup ----


def test_backup_rows(serve):
    shop = Shop(serve(ranking__backup_every="100ms"), "2031-05-13")
    shop.products(100, 130)
    shop.product(300, category="tea")
    today = shop.today()
    for product in range(100, 230):
        shop.sell(product, 1 + product % 7)
    shop.sell(300, 2)

    def newest():
        return len([row for row in shop.boards() if row["version"] == shop.moves]) >= 8

    wait_for(newest)
    for window, name in enumerate(WINDOWS):
        last = number(days_of(name, today)[1])
        (row,) = shop.boards(window=window, day=last, category="")
        entries = json.loads(row["entries"])
        assert [tuple(entry[:3]) for entry in entries] == shop.board(name, today)[:100]
        (row,) = shop.boards(window=window, day=last, category="tea")
        assert [entry[0] for entry in json.loads(row["entries"])] == [300]
    # A richer one, made by somebody else, stays; a poorer one goes.
    change = "UPDATE boards SET version = version + ?, entries = '[]' WHERE sales_window = 0 AND category = ''"
    shop.server.change_sql(change, 1000)
    shop.sell(100, 1)
    wait_for(lambda: shop.boards(window=1, category="")[0]["version"] == shop.moves)
    time.sleep(0.3)
    assert shop.boards(window=0, category="")[0]["entries"] == "[]"
    shop.server.change_sql(change, -1100)
    wait_for(lambda: shop.boards(window=0, category="")[0]["entries"] != "[]")
    # The same once more, and nothing is written: nothing is older than it should be.
    before = shop.boards()
    time.sleep(0.5)
    assert shop.boards() == before


def test_two_servers_back_up_at_once(serve):
    """One by its timer, the other by hand with what it knew earlier: each board keeps the higher version."""
    shop = Shop(serve(ranking__backup_every="100ms"))
    shop.products(100, 3)
    stop = threading.Event()
    lowered = []

    def other():
        while not stop.is_set():
            for row in shop.boards():
                wrote = shop.server.change_sql(
                    "UPDATE boards SET version = ?, entries = ? WHERE sales_window = ? AND day = ? AND category = ?"
                    " AND version < ?", row["version"], row["entries"], row["window"], row["day"], row["category"],
                    row["version"])  # fmt: skip
                lowered.append(wrote)
            time.sleep(0.01)

    thread = threading.Thread(target=other)
    thread.start()
    for i in range(60):
        shop.sell(100 + i % 3)
    stop.set()
    thread.join()
    wait_for(lambda: {row["version"] for row in shop.boards()} == {60})
    assert sum(lowered) == 0
    assert len(shop.boards()) == 4  # one row each, however often


def test_the_day_that_ended_is_backed_up(serve):
    shop = Shop(serve(ranking__backup_every="24h"), "2031-08-31")
    shop.product(100)
    shop.clock("2031-08-31", "23:59:59")
    today = shop.today()
    shop.sell(100, 3)
    assert shop.boards() == []
    wait_for(lambda: shop.boards(window=0, day=number(today)), 10)
    assert json.loads(shop.boards(window=2, day=number(today))[0]["entries"])[0][:2] == [100, 3]


def test_the_end_is_backed_up(serve):
    shop = Shop(serve(ranking__backup_every="24h"))
    shop.product(100)
    shop.sell(100, 3)
    shop.server.stop()
    assert len(shop.boards()) == 4
    shop.server.start()
    shop.expect(shop.today())


# ---- ends ----


def test_restart(serve):
    shop = Shop(serve(threads=2))
    shop.products(100, 30, category="tea")
    moves = random.Random(3)
    for _ in range(120):
        shop.sell(moves.randrange(100, 130), moves.randrange(1, 9))
    shop.cancel(next(iter(shop.bought)))
    today = shop.today()

    def said():
        tops = [shop.top(window=window, limit=100, date=today)["rankings"] for window in WINDOWS]
        return tops, [shop.place(product, around=10, date=today) | {"asOf": ""} for product in range(100, 130)]

    before = said()
    shop.expect(today)
    shop.server.stop()
    shop.server.start()
    assert said() == before
    shop.server.kill9()
    shop.server.start()
    assert said() == before
    shop.expect(today, category="tea")


def test_killed_while_selling(serve):
    """Whatever was paid is counted, and once, whenever the process died."""
    shop = Shop(serve(ranking__backup_every="100ms"))
    shop.products(100, 3)
    day = shop.today()
    for life in range(3):
        timer = threading.Timer(0.2 + 0.1 * life, shop.server.process.kill)
        timer.start()
        try:
            while True:
                shop.order({random.choice((100, 101, 102)): random.randrange(1, 4)})
        except (OSError, AssertionError, ValueError):
            timer.join()
        shop.server.reap()
        shop.server.start()
        shop.server.await_relayed()
        rows = shop.server.sql(
            "SELECT product_id, sum(quantity) FROM orders JOIN order_lines USING (order_id)"
            " WHERE status = 1 AND sold_day = ? GROUP BY product_id", number(day))  # fmt: skip
        said = shop.top(date=day)["rankings"]
        assert rows and {r["productId"]: r["salesCount"] for r in said} == dict(rows)


# ---- the stream ----


class Stream:
    """Server-sent events of one connection."""

    def __init__(self, server, query="", method="GET"):
        self.sock = socket.create_connection(("127.0.0.1", server.port), 10)
        self.sock.sendall(f"{method} /api/products/ranking/stream{query} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.head = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            self.head[name.lower()] = value
        self.text = b""

    def chunk(self):
        """The next piece; None at the end."""
        line = self.file.readline()
        assert line, "cut off"
        size = int(line, 16)
        data = self.file.read(size + 2)[:size]
        return data if size else None

    def event(self):
        """The next event's JSON; None at the end. Comments are passed over."""
        while b"\n\n" not in self.text:
            piece = self.chunk()
            if piece is None:
                return None
            self.text += piece
        event, _, self.text = self.text.partition(b"\n\n")
        lines = dict(line.split(b": ", 1) for line in event.split(b"\n") if not line.startswith(b":"))
        return json.loads(lines[b"data"]) if lines else self.event()

    def until(self, condition):
        while True:
            event = self.event()
            assert event is not None
            if condition(event):
                return event

    def close(self):
        self.file.close()
        self.sock.close()


def test_stream(shop):
    shop.products(100, 12)
    stream, weekly = Stream(shop.server), Stream(shop.server, "?window=weekly")
    assert (stream.status, stream.head["content-type"]) == (200, "text/event-stream")
    begun = time.monotonic()
    assert stream.event()["rankings"] == []
    assert time.monotonic() - begun < 1
    weekly.event()
    for product in range(100, 112):
        shop.sell(product)
    ten = [r[:2] for r in shop.board("daily", shop.today())[:10]]
    for each in (stream, weekly):
        said = each.until(lambda event: [(r["productId"], r["salesCount"]) for r in event["rankings"]] == ten)
        assert (said["source"], said["stale"]) == (RANKING_SOURCE, False)
    shop.server.patch(f"/api/admin/products/{ten[0][0]}", {"name": "새 이름"})
    stream.until(lambda event: event["rankings"][0]["productName"] == "새 이름")
    shop.server.fault("ranking", True)
    assert stream.until(lambda event: event["stale"])["source"] in (RANKING_SOURCE, "backup")
    shop.server.fault("ranking", False)
    stream.until(lambda event: not event["stale"])
    shop.clock(shop.today() + datetime.timedelta(days=1))
    assert stream.until(lambda event: event["date"] == str(shop.today()))["rankings"] == []
    stream.close()
    weekly.close()
    assert Stream(shop.server, "?window=yearly").status == 400
    head = Stream(shop.server, method="HEAD")
    assert head.status == 200


def test_stream_is_not_too_fast(shop):
    shop.product(100)
    stream = Stream(shop.server)
    stream.event()
    stop = time.monotonic() + 2
    while time.monotonic() < stop:
        shop.sell(100)
    times, seen = [], 0
    while seen < len(shop.bought):
        seen = stream.event()["rankings"][0]["salesCount"]
        times.append(time.monotonic())
    assert 4 <= len(times) <= 11 and len(shop.bought) > 2 * len(times)
    stream.close()


@pytest.mark.embedded  # about what one server remembers, or counts
def test_streams_are_bounded_and_end(serve):
    shop = Shop(serve(ranking__streams_max=3))
    shop.product(100)
    streams = [Stream(shop.server) for _ in range(3)]
    for stream in streams:
        stream.event()
    assert Stream(shop.server).status == 503
    streams.pop().close()

    def noticed():
        shop.sell(100)  # whoever is gone is noticed when something is sent
        return "ranking_streams 2" in shop.server.call("GET", "/metrics").body.decode()

    wait_for(noticed)
    streams.append(Stream(shop.server))
    assert streams[2].status == 200
    begun = time.monotonic()
    shop.server.stop()
    assert time.monotonic() - begun < 3
    for stream in streams:
        while stream.event() is not None:
            pass
        stream.close()


@pytest.mark.measured
def test_slow_listeners(shop):
    """Who does not read costs next to nothing, and keeps nobody from being told."""
    shop.products(100, 10)
    slow = [Stream(shop.server) for _ in range(50)]
    quick = Stream(shop.server)
    quick.event()
    before = shop.server.rss_kib()
    stop = time.monotonic() + 3
    while time.monotonic() < stop:
        shop.sell(100 + len(shop.bought) % 10)
    sold = len(shop.bought)
    quick.until(lambda event: sum(r["salesCount"] for r in event["rankings"]) == sold)
    assert shop.server.rss_kib() - before < 20000
    for stream in (*slow, quick):
        stream.close()
