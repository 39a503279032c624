# SPDX-License-Identifier: Apache-2.0
"""The figures of servers on Redis and PostgreSQL."""

import subprocess
import time

from figures import BURST, PEOPLE, power
from figures_shop import LAPTOP, PLENTY_STOCK, RICH, Shop
from report import Bound, Ratio
from sides import BenchError, Load, Orders, People, Run
from stores_side import Pair, StoresServer

WAITING = ((64, 0.25), (256, 0.1))      # connections; statements or calls for each
PLACES = 1_000_000
M64 = (1 << 64) - 1


def processes(runs):
    """What a request costs each process, in a sentence."""
    runs = list(runs)
    middle = sorted(runs, key=lambda run: run.all_us)[len(runs) // 2]
    stores = ", ".join(f"{name} {us:.1f}" for name, us in middle.stores.items())
    return f"CPU of A, µs a request: loop {middle.loop_us:.1f}, the server's other threads {middle.other_us:.1f}, {stores}"


def served(run, figure):
    """A busy machine makes a store late, and its server say 503: that is no answer that counts."""
    if run.refused:
        figure.notes.append(f"{run.refused} of {run.answers} answers were refusals")
        good = (run.answers - run.refused) / run.answers
        run.answers, run.rate = run.answers - run.refused, run.rate * good
        run.loop_us, run.other_us = run.loop_us / good, run.other_us / good
        run.stores = {name: us / good for name, us in run.stores.items()}
    return run


# ---- reserve against redis-benchmark ----

def burst_once(bench, server, figure):
    coupon = bench.next_coupon(server, BURST)
    load = bench.take("reserve", coupon, expect_refusals=True)
    run = load.burst(server, BURST, bench.folder, lambda: server.settle(coupon, BURST))
    if run.refused or server.at_rest(coupon) != BURST:
        figure.faults.append(f"{run.refused} of {BURST} answers were refusals, {server.stored(coupon)} rows")
    return run


def sustained_once(bench, server):
    """Rows a second while the load lasts; the first two seconds, when `reserve` runs ahead, do not count."""
    coupon = bench.next_coupon(server)
    load = bench.take("reserve", coupon, expect_refusals=True)
    lasts, marks = 2 + 2 * bench.seconds, []

    def mark():
        marks.append((time.monotonic(), server.stored(coupon), server.cpu(), server.stores_cpu()))

    wrk = load.spawn(server, lasts + 1)
    try:
        time.sleep(2)
        mark()
        time.sleep(lasts - 2)
        mark()
        answered = load.finish(wrk)
    finally:
        if wrk.poll() is None:
            wrk.kill()
            wrk.communicate()
    server.at_rest(coupon, 30)
    (begin, rows, cpu, stores), (end, rows_end, cpu_end, stores_end) = marks
    run = Run(answers=rows_end - rows, refused=answered.refused, rate=(rows_end - rows) / (end - begin))
    run.loop_us, run.other_us = ((cpu_end[i] - cpu[i]) / run.answers * 1e6 for i in (0, 1))
    run.charge_stores(stores, stores_end)
    return run, answered.refused / answered.answers


def reserve(bench, say):
    alone = "`redis-benchmark -P 1 -c 64` calling the same Function with one person"
    burst = Ratio(f"`reserve` over Redis, a burst of {BURST:,} / {alone}", 1.3, "rate", "redis_us")
    steady = Ratio(f"`reserve` over Redis, sustained, rows stored / {alone}", 1.0, "rate", "redis_us")
    refused = []
    with Pair() as pair, bench.server(StoresServer, pair=pair) as server:
        bench.ready(server)
        burst_once(bench, server, Ratio("warm", 0))
        for _ in range(bench.pairs):
            burst.add(burst_once(bench, server, burst), pair.call_alone(BURST))
            run, share = sustained_once(bench, server)
            refused.append(share)
            steady.add(run, pair.call_alone(2 * BURST))
    for figure in burst, steady:
        figure.notes.append(processes(a for a, _ in figure.pairs))
    steady.notes.append(f"of its answers, {sorted(refused)[len(refused) // 2] * 100:.0f} % were 503: the queue was full")
    say(burst)
    say(steady)
    for name, figure in ("in a burst", burst), ("sustained", steady):
        say(Bound(f"Redis's CPU for a reservation, {name} / for a call of redis-benchmark", 0.5, "×",
                  [a.redis_us / b.redis_us for a, b in figure.pairs], digits=2))


# ---- hot rows against pgbench ----

def hot(bench, say):
    base = "transactions of 32 clients of pgbench that update one row"
    by_issue = Ratio(f"`issue`, one coupon, PostgreSQL / {base}", 10, "rate", "all_us")
    by_pay = Ratio(f"payments of **one** wallet, PostgreSQL / {base}", 5, "rate", "all_us")
    with Pair() as pair, Shop(bench, kind=StoresServer, pair=pair,
                              options=["--set", "payment.gateway=none"]) as shop:
        pair.hot_row(1)
        for _ in range(bench.pairs):
            coupon = bench.next_coupon(shop.server)
            a = bench.take("issue", coupon, expect_refusals=True).run(shop.server, bench.seconds)
            shop.server.at_rest(coupon)
            by_issue.add(served(a, by_issue), pair.hot_row(bench.seconds))
            by_pay.add(served(pay_once(bench, shop), by_pay), pair.hot_row(bench.seconds))
        shop.check()
    for figure in by_issue, by_pay:
        figure.notes.append(processes(a for a, _ in figure.pairs))
        say(figure)


def pay_once(bench, shop):
    """Orders are made first, then they are paid: only that is measured."""
    name = shop.orders().environment["RUN"]
    make = Orders(name, users=(RICH, 1), products=(LAPTOP, 1), side="make")
    make.expect_refusals = True
    make.run(shop.server, 2 * bench.seconds)
    run = pay_all(bench, shop, name, bench.seconds)
    # Those that are left are not there for the next time.
    pay_all(bench, shop, name, 20)
    return run


def pay_all(bench, shop, name, seconds):
    rows = shop.server.read("SELECT order_id FROM orders WHERE user_id = ? AND status = 0", RICH)
    path = bench.folder / "orders"
    path.write_text("".join(f"{order}\n" for order, in rows))
    load = Orders(name, users=(RICH, 1), side="pay", orders=path)
    load.expect_refusals = True
    run = load.run(shop.server, seconds)
    if seconds == bench.seconds and run.answers > len(rows) - 64:
        raise BenchError(f"{run.answers} payments of {len(rows)} orders")
    return run


# ---- what Redis costs where it should cost nothing ----

def reads(bench, say):
    sold = Ratio("sold-out answer with Redis / embedded", 0.95)
    top = Ratio("ranking top 10 with Redis / embedded", 0.9)
    ranking = Load(side="get", target="/api/products/ranking/top?limit=10")
    with Pair() as pair, Shop(bench, kind=StoresServer, pair=pair) as far, Shop(bench) as near:
        for shop in far, near:
            for product in (1, 2, 3, 4, 5, 6, 7, 9, 10, 20):
                shop.server.ask("POST", "/api/orders/complete",
                                {"userId": RICH, "items": [{"productId": product, "quantity": 1}]})
            for load in bench.sold_out(shop.server), ranking:
                load.run(shop.server, 1)
        for _ in range(bench.pairs):
            for figure, load in (sold, bench.sold_out(far.server)), (top, ranking):
                a, b = (load.run(shop.server, bench.seconds) for shop in (far, near))
                if figure is sold and (a.refused, b.refused) != (a.answers, b.answers):
                    figure.faults.append("some answers were no refusals")
                figure.add(a, b)
    say(sold)
    say(top)


# ---- counting ----

def counts(bench, say):
    """Statements of SQL for each coupon of `issue`, calls of Redis for each place of `reserve`."""
    with Pair(counted=True) as pair, bench.server(StoresServer, pair=pair) as server:
        bench.ready(server)
        for waiting, at_most in WAITING:
            statements, calls, notes = [], [], []
            for _ in range(bench.pairs):
                coupon = bench.next_coupon(server)
                before = pair.statements()
                bench.take("issue", coupon, connections=waiting, expect_refusals=True).run(server, bench.seconds)
                after = pair.statements()
                statements.append((after - before) / server.at_rest(coupon))
                coupon = bench.next_coupon(server)
                before = pair.redis_calls()
                bench.take("reserve", coupon, connections=waiting, expect_refusals=True).run(server, bench.seconds)
                after = pair.redis_calls()
                calls.append((after - before) / server.at_rest(coupon, 30))
            say(Bound(f"SQL statements for each coupon issued, {waiting} waiting", at_most, "", statements, digits=3))
            say(Bound(f"calls of Redis for each reservation, {waiting} waiting", at_most, "", calls, digits=3))


# ---- a gate built anew ----

def hash_u64(x):
    x = (x + 0x9E3779B97F4A7C15) & M64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & M64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & M64
    return x ^ (x >> 31)


def witness(rows):
    """core/witness.c; PostgreSQL keeps it as a signed number."""
    total = sum(hash_u64(hash_u64(slot) ^ user) for slot, user in rows) & M64
    return total - (1 << 64) if total >> 63 else total


def fill_coupon(server, coupon, count):
    """Rows behind the server's back, with the witness that they add up to. Users in no order."""
    looks, people = server.pair.looks, People(PEOPLE.base, count)
    looks.run("BEGIN")
    looks.run("INSERT INTO user_coupons (coupon_id, slot, user_id, user_coupon_id, issued_at, expires_at)"
              " SELECT $1::bigint, k + 1, $2::bigint + k * $3::bigint % $4::bigint, s.next_user_coupon_id + k,"
              " 1750000000000, 4102444800000 FROM store s, generate_series(0, $4::bigint - 1) k",
              coupon, people.base, people.stride, count)
    looks.run("UPDATE store SET next_user_coupon_id = next_user_coupon_id + $1::bigint", count)
    looks.run("UPDATE coupons SET issued = $2::bigint, highest_slot = $2::bigint, witness = $3::bigint"
              " WHERE coupon_id = $1::bigint", coupon, count,
              witness((k + 1, people.base + k * people.stride % count) for k in range(count)))
    looks.run("COMMIT")
    looks.run("ANALYZE user_coupons")


def middle(spent, name):
    return sorted(each[name] for each in spent)[len(spent) // 2]


def rebuild(bench, say):
    took, spent = [], []
    with Pair() as pair, bench.server(StoresServer, pair=pair) as server:
        bench.ready(server)
        coupon = bench.next_coupon(server, PLACES)
        fill_coupon(server, coupon, PLACES)
        for _ in range(max(5, bench.pairs)):
            began, started = {"the server": sum(server.cpu()), **pair.cpu()}, time.monotonic()
            subprocess.run([bench.program, "gate", "rebuild", str(coupon), "--target", server.url], check=True,
                           capture_output=True)
            took.append(time.monotonic() - started)
            ended = {"the server": sum(server.cpu()), **pair.cpu()}
            spent.append({name: ended[name] - began[name] for name in ended})
            server.at_rest(coupon)
        held = pair.redis.call("HLEN", next(key for key in pair.redis.call("KEYS", f"*{{coupon:{coupon}}}:h")))
    if held != PLACES:
        raise BenchError(f"{held} places after a rebuild")
    say(Bound(f"`gate rebuild` of a coupon with {power(PLACES)} places, the whole command", 2000, "ms",
              [s * 1e3 for s in took],
              [f"processor time, s: {', '.join(f'{name} {middle(spent, name):.2f}' for name in spent[0])}"]))


# ---- two servers ----

class Spent:
    """What some servers and their stores have spent between two moments."""

    def __init__(self, servers, pair):
        self.servers, self.pair = servers, pair
        self.begin = self.now()

    def now(self):
        return (sum(sum(server.cpu()) for server in self.servers), self.pair.redis_calls(), self.pair.statements())

    def each(self, answers):
        """Server CPU in µs, calls of Redis, statements: for each answer."""
        cpu, calls, statements = (after - before for before, after in zip(self.begin, self.now()))
        return cpu / answers * 1e6, calls / answers, statements / answers


def issue_on(bench, servers, pair, connections):
    """wrk on each of the servers, with people of their own, for one coupon."""
    coupon = bench.next_coupon(servers[0])
    share = PEOPLE.span // 2
    loads = [bench.take("issue", coupon, connections=connections, people=People(PEOPLE.base + i * share, share),
                        expect_refusals=True)
             for i in range(len(servers))]
    time.sleep(1)  # the others know the coupon
    spent = Spent(servers, pair)
    running = [load.spawn(server, bench.seconds) for load, server in zip(loads, servers)]
    runs = [load.finish(wrk) for load, wrk in zip(loads, running)]
    answers = servers[0].at_rest(coupon)
    return sum(run.rate for run in runs), spent.each(answers)


def two_servers(bench, say):
    # With 32 connections a server has half as many people in a batch: that is no fair comparison.
    shapes = (("64 connections each", 64), ("64 connections in all", 32))
    with Pair(counted=True) as pair, bench.server(StoresServer, pair=pair) as one:
        bench.ready(one)
        with bench.server(StoresServer, pair=pair) as other:
            other.find_loop()
            found = {name: [] for name, _ in shapes}
            issue_on(bench, [one, other], pair, 64)
            for _ in range(bench.pairs):
                for name, each in shapes:
                    found[name].append((issue_on(bench, [one, other], pair, each), issue_on(bench, [one], pair, 64)))
    for name, _ in shapes:
        pairs, last = found[name], found[name][-1]
        note = (f"two: {last[0][0] / 1000:.1f} k issued a second, {last[0][1][0]:.1f} µs, {last[0][1][1]:.3f} calls of Redis, "
                f"{last[0][1][2]:.3f} statements each; one, 64 connections: {last[1][0] / 1000:.1f} k, {last[1][1][0]:.1f} µs, "
                f"{last[1][1][1]:.3f}, {last[1][1][2]:.3f}")
        wanted = name == shapes[0][0]
        say(Bound(f"two servers, {name} / one: server CPU an `issue`", 1.1 if wanted else None, "×",
                  [two[1][0] / alone[1][0] for two, alone in pairs], [note], 2))
        say(Bound(f"two servers, {name} / one: calls of the stores an `issue`", 1.0 if wanted else None, "×",
                  [sum(two[1][1:]) / sum(alone[1][1:]) for two, alone in pairs], digits=2))


FIGURES = {"stores-reserve": reserve, "stores-hot": hot, "stores-reads": reads, "stores-counts": counts,
           "stores-rebuild": rebuild, "stores-two": two_servers}
