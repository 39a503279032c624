# SPDX-License-Identifier: Apache-2.0
"""The figures of the shop: reads from cached bytes, orders and payments, the ranking among many."""

import datetime
import http.client
import json
import sqlite3
import threading
import time

from figures import LIVE, PEOPLE, power
from report import Bound, Ratio
from sides import BenchError, Load, Orders, wait_for

RICH, LAPTOP = 1, 20        # user and product of the load-test data: 20,000,000,000 won, 1,000 won
PLENTY_STOCK = 1_000_000_000
MANY, FEW = 1_000_000, 1_000
PRODUCTS = 10_000_000       # ids of products made for measuring begin here


class Shop:
    """A server with rich users and cheap things."""

    def __init__(self, bench, **how):
        self.bench, self.server, self.runs = bench, bench.server(**how), 0

    def __enter__(self):
        self.server.__enter__()
        self.server.ask("POST", "/api/admin/users", {"fromUserId": PEOPLE.base, "balance": 10**12,
                                                     "toUserId": PEOPLE.base + PEOPLE.span - 1})
        self.server.ask("PATCH", f"/api/admin/products/{LAPTOP}", {"stock": PLENTY_STOCK, "price": 1})
        self.server.find_loop()
        self.orders().run(self.server, 1)
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)

    def orders(self, **how):
        self.runs += 1
        return Orders(f"r{self.runs}-", **{"users": (RICH, 1), "products": (LAPTOP, 1), **how})

    def issue(self):
        self.runs += 1
        return Orders(f"r{self.runs}-", users=(PEOPLE.base, PEOPLE.span),
                      coupon=self.bench.next_coupon(self.server))

    def check(self):
        """Every paid order is counted once, and what was held is sold or back."""
        wait_for("the end of all attempts", 10, lambda: not self.server.read(
            "SELECT 1 FROM attempts WHERE state = 0 LIMIT 1"))
        (lines,), = self.server.read("SELECT coalesce(sum(quantity), 0) FROM order_lines JOIN orders"
                                     " USING (order_id) WHERE status = 1")
        (units,), = self.server.read("SELECT coalesce(sum(units), 0) FROM sales")
        (negative,), = self.server.read("SELECT count(*) FROM users WHERE balance < 0 OR held <> 0")
        if lines != units or negative:
            raise BenchError(f"{lines} units paid, {units} in the sums, {negative} users wrong")


def reads(bench, say):
    targets = (("ranking top 10", "/api/products/ranking/top?limit=10", 0.90),
               ("product detail", "/api/products/1", 0.90),
               ("product list of 21", "/api/products", 0.70))
    with Shop(bench) as shop:
        for product in range(1, 12):
            shop.server.ask("POST", "/api/orders/complete", {
                "userId": RICH, "items": [{"productId": product, "quantity": 1}]} if product not in (8, 11)
                else {"userId": RICH, "items": [{"productId": 20, "quantity": 1}]})
        for name, target, at_least in targets:
            figure, load = Ratio(f"{name} / `GET /health/live`", at_least), Load(side="get", target=target)
            load.run(shop.server, 1)
            for _ in range(bench.pairs):
                figure.add(load.run(shop.server, bench.seconds), LIVE.run(shop.server, bench.seconds))
            say(figure)


class Reader(threading.Thread):
    """Reads two things in turn, each 60 times a second, whenever they are due and not when the last
    answer has come (an answer that is late makes those after it late, too)."""

    def __init__(self, server, targets, each_per_s=60):
        super().__init__(daemon=True)
        self.server, self.targets = server, targets
        self.gap = 1 / each_per_s / len(targets)
        self.took = {target: [] for target in targets}
        self.ended = threading.Event()

    def run(self):
        connection = http.client.HTTPConnection(self.server.host, timeout=30)
        due, i = time.monotonic(), 0
        while not self.ended.is_set():
            target = self.targets[i % len(self.targets)]
            time.sleep(max(0, due - time.monotonic()))
            connection.request("GET", target)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise BenchError(f"{target}: {answer.status}")
            self.took[target].append(time.monotonic() - due)
            due, i = due + self.gap, i + 1
        connection.close()

    def p99_ms(self, target):
        took = sorted(self.took[target])
        return took[int(len(took) * 0.99)] * 1e3


def reads_under_payments(bench, say):
    ranking, live = "/api/products/ranking/top?limit=10", "/health/live"
    ratios, calls = [], []
    with Shop(bench) as shop:
        for _ in range(bench.pairs):
            reader = Reader(shop.server, (ranking, live))
            reader.start()
            calls.append(shop.orders(users=(PEOPLE.base, PEOPLE.span)).run(shop.server, 2 * bench.seconds))
            reader.ended.set()
            reader.join()
            ratios.append(reader.p99_ms(ranking) / reader.p99_ms(live))
        shop.check()
    figure = Bound("ranking read p99 / `GET /health/live` p99, 60 reads/s of each, while 64 connections order"
                   " and pay", 3, "×", ratios)
    say(figure)


def visible(bench, say):
    """From a payment's answer to the first ranking read, on another connection, that counts it."""
    p99s, product = [], 2
    path = f"/api/products/ranking/product/{product}"
    with Shop(bench) as shop:
        server = shop.server
        reader = http.client.HTTPConnection(server.host, timeout=30)

        def count():
            reader.request("GET", path)
            return json.loads(reader.getresponse().read())["salesCount"]

        for _ in range(bench.pairs):
            took, sold = [], count()
            load = shop.orders(users=(PEOPLE.base, PEOPLE.span))
            wrk = load.spawn(server, 2 * bench.seconds)
            while wrk.poll() is None:
                server.ask("POST", "/api/orders/complete",
                           {"userId": RICH, "items": [{"productId": product, "quantity": 1}]})
                paid, sold = time.monotonic(), sold + 1
                while count() < sold:
                    pass
                took.append(time.monotonic() - paid)
            load.finish(wrk)
            p99s.append(sorted(took)[int(len(took) * 0.99)] * 1e3)
        reader.close()
        shop.check()
    say(Bound("a sale is in the ranking after its payment's answer, p99, while 64 connections order and pay",
              100, "ms", p99s))


def payments(bench, say):
    by_issue = Ratio("order + payment calls, all of one wallet and one product, durable, no gateway / `issue`",
                     0.3, "rate", "cpu_us")
    with Shop(bench, options=["--set", "payment.gateway=none"]) as shop:
        for _ in range(bench.pairs):
            by_issue.add(shop.orders().run(shop.server, bench.seconds),
                         shop.issue().run(shop.server, bench.seconds))
        shop.check()
        say(by_issue)
        spread = Ratio("order + payment calls of distinct users / the same on one wallet (at most 1.25)", 0.8,
                       "rate", "cpu_us")
        for _ in range(bench.pairs):
            spread.add(shop.orders(users=(PEOPLE.base, PEOPLE.span)).run(shop.server, bench.seconds),
                       shop.orders().run(shop.server, bench.seconds))
        shop.check()
        say(spread)
    with Shop(bench, options=["--set", "payment.gateway=mock"]) as shop:
        mock = Ratio("the same with the mock gateway / `issue` (reported)", 0, "rate", "cpu_us")
        for _ in range(bench.pairs):
            mock.add(shop.orders().run(shop.server, bench.seconds), shop.issue().run(shop.server, bench.seconds))
        shop.check()
        say(mock)


def fill_products(server, count):
    """So many products, each sold once or more today, in a store at rest."""
    server.migrate()
    zone = datetime.timezone(datetime.timedelta(hours=9))
    day = (datetime.datetime.now(zone).date() - datetime.date(1970, 1, 1)).days
    db = sqlite3.connect(f"{server.data}/shop.db")
    with db:
        db.executemany("INSERT INTO products (product_id, name, category, price, stock, created_at)"
                       " VALUES (?, ?, ?, 1, 1000000000, ?)",
                       ((PRODUCTS + i, f"Thing {i}", f"kind {i % 20}", i) for i in range(count)))
        db.executemany("INSERT INTO categories (category, products) VALUES (?, ?)",
                       ((f"kind {i}", (count - i + 19) // 20) for i in range(20)))
        db.execute("UPDATE store SET products = ?", (count,))
        db.executemany("INSERT INTO sales (day, product_id, units, revenue, reached_at, version)"
                       " VALUES (?, ?, ?, ?, ?, 1)",
                       ((day, PRODUCTS + i, 1 + i * 7919 % 1000, 1, i) for i in range(count)))
        db.execute("INSERT INTO sales_days (day, version) VALUES (?, ?)", (day, count))
    db.close()


def ranked(bench, say):
    pay = Ratio(f"order + payment calls with {power(MANY)} products ranked / with {power(FEW)}, {FEW:,} of them"
                " bought", 0.8, "rate", "cpu_us")
    spread = Ratio(f"the same, all of {power(MANY)} bought / all of {power(FEW)}: a page of its own for each"
                   " (reported)", 0, "rate", "cpu_us")
    read = Ratio(f"ranking top 10 with {power(MANY)} products / with {power(FEW)}", 0.9)
    top = Load(side="get", target="/api/products/ranking/top?limit=10")
    servers = {count: bench.server(profile="local", options=["--set", "payment.gateway=none"])
               for count in (MANY, FEW)}
    for count, server in servers.items():
        fill_products(server, count)
    with servers[FEW], servers[MANY]:
        for server in servers.values():
            server.add_users(PEOPLE.base, 1)
            server.ask("POST", "/api/admin/users", {"userId": 777, "balance": 10**15})
            server.find_loop()
            top.run(server, 1)
        for pair in range(bench.pairs):
            for figure, wide in (pay, False), (spread, True):
                figure.add(*(Orders(f"{'ab'[wide]}{pair}-", users=(777, 1),
                                    products=(PRODUCTS, count if wide else FEW)).run(server, bench.seconds)
                             for count, server in servers.items()))
            read.add(*(top.run(server, bench.seconds) for server in servers.values()))
    say(pay)
    say(spread)
    say(read)


def order_list(bench, say):
    many, few = 100_000, 20
    figure = Ratio(f"order list of a user with {power(many)} orders, page of 20 / with {few} orders", 0.8)
    server = bench.server()
    server.migrate()
    db = sqlite3.connect(f"{server.data}/shop.db")
    with db:
        for user, first, count in ((500, 1, many), (501, many + 1, few)):
            db.execute("INSERT INTO users (user_id, balance, orders_pending) VALUES (?, 0, ?)", (user, count))
            db.executemany("INSERT INTO orders (order_id, user_id, status, subtotal, discount, created_at)"
                           " VALUES (?, ?, 0, 1000, 0, 1750000000000)",
                           ((first + i, user) for i in range(count)))
            db.executemany("INSERT INTO order_lines (order_id, product_id, name, quantity, unit_price)"
                           " VALUES (?, 1, 'Thing', 1, 1000)", ((first + i,) for i in range(count)))
        db.execute("UPDATE store SET next_order_id = ?", (many + few + 1,))
    db.close()
    with server:
        server.find_loop()
        loads = [Load(side="get", target=f"/api/orders?userId={user}&limit=20") for user in (500, 501)]
        loads[0].run(server, 1)
        for _ in range(bench.pairs):
            figure.add(*(load.run(server, bench.seconds) for load in loads))
    say(figure)


FIGURES = {"reads": reads, "reads-under-payments": reads_under_payments,
           "visible": visible, "payments": payments,
           "ranked": ranked, "orders": order_list}
