# SPDX-License-Identifier: Apache-2.0
"""The figures, one function each: A and B in turn, A B A B …"""

import bisect
import pathlib
import sqlite3
import subprocess
import time

from report import Bound, Ratio
from sides import BenchError, Load, Nginx, People, Run, Server, wait_for

BURST = 50_000
LATE_S_MAX = 2.0
PEOPLE = People(20_000_000, 1_000_000)
PLENTY = 50_000_000
FIRST_COUPON = 1000


class Bench:
    """What all figures share: the program, a scratch folder, how many pairs and how long."""

    def __init__(self, program, raw_insert, folder, pairs, seconds, holders):
        self.program, self.raw_insert, self.folder = program, raw_insert, pathlib.Path(folder)
        self.pairs, self.seconds, self.holders = pairs, seconds, holders
        self.coupon = FIRST_COUPON
        self.servers = 0

    def server(self, **how):
        self.servers += 1
        return Server(self.program, self.folder / f"server{self.servers}", **how)

    def ready(self, server):
        """Users, and a server that has been warm."""
        server.add_users(PEOPLE.base, PEOPLE.span)
        server.find_loop()
        self.sold_out(server).run(server, 1)
        return server

    def next_coupon(self, server, quantity=PLENTY):
        self.coupon += 1
        server.add_coupon(self.coupon, quantity)
        return self.coupon

    def take(self, way, coupon, **how):
        return Load(path=f"/api/coupons/{coupon}/{way}", people=how.pop("people", PEOPLE), **how)

    def sold_out(self, server):
        """SOLDOUT of the load-test data: one coupon, which user 3 has."""
        return self.take("reserve", 4, expect_refusals=True)

    def raw(self, data, coupon, first, rows, people, batch=64, sync="full"):
        command = [self.raw_insert, f"{data}/shop.db", coupon, first, rows, batch, sync,
                   people.base, people.step, people.span, people.stride]
        text = subprocess.run([str(word) for word in command], check=True, capture_output=True,
                              text=True).stdout
        count, seconds, cpu = text.split()
        return Run(answers=int(count), rate=int(count) / float(seconds),
                   other_us=float(cpu) / int(count) * 1e6)


LIVE = Load(side="get")


def live_and_nginx(bench, say):
    figure = Ratio("`GET /health/live` / nginx, static file of 100 bytes", 1.0)
    with bench.server() as server, Nginx(bench.folder / "nginx") as nginx:
        server.find_loop()
        file = Load(side="get", target="/100")
        file.run(nginx, 1)
        for _ in range(bench.pairs):
            figure.add(LIVE.run(server, bench.seconds), file.run(nginx, bench.seconds))
    say(figure)


def sold_out(bench, say):
    figure = Ratio("sold-out answer / `GET /health/live`", 0.95)
    with bench.server() as server:
        load = bench.sold_out(bench.ready(server))
        for _ in range(bench.pairs):
            a = load.run(server, bench.seconds)
            if a.refused != a.answers:
                figure.faults.append(f"{a.answers - a.refused} answers were no refusals")
            figure.add(a, LIVE.run(server, bench.seconds))
    say(figure)


class Watch:
    """The moments when a coupon's rows were seen in the database, from outside."""

    def __init__(self, server, coupon):
        self.db = sqlite3.connect(f"file:{server.data}/shop.db?mode=ro", uri=True, timeout=10)
        self.coupon, self.last_seen = coupon, 0.0

    def until(self, rows):
        """Until so many are stored, or no more have come for 3 s."""
        stored, changed = -1, time.monotonic()
        while stored < rows and time.monotonic() - changed < 3:
            (now,), = self.db.execute("SELECT issued FROM coupons WHERE coupon_id = ?", (self.coupon,))
            if now != stored:
                stored, changed, self.last_seen = now, time.monotonic(), time.time()
            time.sleep(0.01)

    def latest(self, run, people, first):
        """Seconds between an answer and its row, at most: from the moment its request was sent to
        the moment the batch after its own began (issued_at is when a batch begins, and batches
        follow one another), for the last batch to when it was seen. The largest of all rows."""
        rows = self.db.execute("SELECT user_id, issued_at FROM user_coupons WHERE coupon_id = ?",
                               (self.coupon,)).fetchall()
        self.db.close()
        begins = sorted({issued_at for _, issued_at in rows})
        sent_of = {people.base + people.step * ((first + i) * people.stride % people.span): run.sent[i]
                   for i in range(run.answers)}
        latest = 0.0
        for user, issued_at in rows:
            if user not in sent_of:
                continue
            after = bisect.bisect_right(begins, issued_at)
            stored = begins[after] / 1e3 + 0.001 if after < len(begins) else self.last_seen
            latest = max(latest, stored - sent_of[user])
        return len(rows), latest


def burst_once(bench, server, figure, people=PEOPLE, coupon=None, holders=0):
    coupon = coupon or bench.next_coupon(server)
    watch = Watch(server, coupon)
    load = bench.take("reserve", coupon, people=people, expect_refusals=True)
    run = load.burst(server, BURST, bench.folder, lambda: watch.until(holders + BURST))
    rows, late = watch.latest(run, people, 0)
    if run.refused or rows - holders != BURST:
        figure.faults.append(f"{run.refused} of {BURST} answers were refusals, {rows - holders} rows")
    if late > LATE_S_MAX:
        figure.faults.append(f"a row was stored up to {late:.2f} s after its answer")
    server.prove(coupon)
    return run, late


def reserve_burst(bench, say):
    figure = Ratio(f"`reserve`, a burst of {BURST:,} grants to distinct users / `GET /health/live`", 0.9)
    late = []
    with bench.server() as server:
        bench.ready(server)
        burst_once(bench, server, Ratio("warm", 0))
        for _ in range(bench.pairs):
            a, seconds = burst_once(bench, server, figure)
            late.append(seconds)
            figure.add(a, LIVE.burst(server, BURST, bench.folder))
    figure.notes.append(f"every row stored at most {max(late):.2f} s after its own answer "
                        f"(median of the bursts' latest rows {sorted(late)[len(late) // 2]:.2f} s), "
                        f"{sum(a.refused for a, _ in figure.pairs)} refusals")
    say(figure)


def issue(bench, say):
    by_live = Ratio("`issue`, durable / `GET /health/live`", 0.4, "rate", "cpu_us")
    by_raw = Ratio("`issue`, durable / the same rows inserted raw, 64 a transaction", 0.5, "rate", "other_us")
    with bench.server() as server:
        bench.ready(server)
        raw = bench.server().migrate()
        bench.raw(raw.data, FIRST_COUPON, 0, BURST, PEOPLE)
        for _ in range(bench.pairs):
            coupon = bench.next_coupon(server)
            a = bench.take("issue", coupon).run(server, bench.seconds)
            by_live.add(a, LIVE.run(server, bench.seconds))
            by_raw.add(a, bench.raw(raw.data, coupon, 0, a.answers, PEOPLE))
            server.prove(coupon)
    by_live.notes.append(latency(by_live))
    say(by_live)
    say(by_raw)


def latency(figure):
    middle = sorted(a.p50_ms for a, _ in figure.pairs), sorted(a.p99_ms for a, _ in figure.pairs)
    half = len(figure.pairs) // 2
    return f"A answered half within {middle[0][half]:.1f} ms, 99 % within {middle[1][half]:.1f} ms"


def charge(bench, say):
    figure = Ratio("charge of **one** wallet, durable / `issue`", 0.8, "rate", "cpu_us")
    charged = 0
    with bench.server() as server:
        bench.ready(server)
        before = server.get("/api/users/1/balance")["balance"]
        for pair in range(bench.pairs):
            load = Load(path="/api/users/1/balance/charge", people=PEOPLE,
                        body_head=f'{{"amount":1,"idempotencyKey":"{pair}-', body_tail='"}')
            a = load.run(server, bench.seconds)
            figure.add(a, bench.take("issue", bench.next_coupon(server)).run(server, bench.seconds))
            charged += a.answers
        # Those under way when wrk ended were charged, too, and their answers lost.
        more = server.get("/api/users/1/balance")["balance"] - before - charged
        if not 0 <= more <= 64 * bench.pairs:
            raise BenchError(f"the wallet has {more} won more than was answered")
    say(figure)


def sustained_once(bench, server, way):
    """Rows a second while the load lasts, its first two seconds left out: a closed loop of `reserve`
    runs ahead of the writer until the queue is full, and only then is it sustained."""
    coupon = bench.next_coupon(server)
    load = bench.take(way, coupon, expect_refusals=way == "reserve")
    lasts = bench.seconds + 4
    wrk = load.spawn(server, lasts + 1)
    try:
        time.sleep(2)
        begin, before = time.time(), server.cpu()
        time.sleep(lasts - 2)
        end, after = time.time(), server.cpu()
        run = load.finish(wrk)
    finally:
        if wrk.poll() is None:
            wrk.kill()
            wrk.communicate()
    Watch(server, coupon).until(1 << 60)
    (rows,), = server.read("SELECT count(*) FROM user_coupons WHERE coupon_id = ? AND issued_at >= ?"
                           " AND issued_at < ?", coupon, int(begin * 1e3), int(end * 1e3))
    run.rate = rows / (end - begin)
    run.loop_us, run.other_us = ((after[i] - before[i]) / rows * 1e6 for i in (0, 1))
    server.prove(coupon)
    return run


def sustained(bench, say):
    figure = Ratio("`reserve`, sustained / `issue`", 0.9, "rate", "cpu_us")
    with bench.server() as server:
        bench.ready(server)
        for _ in range(bench.pairs):
            figure.add(sustained_once(bench, server, "reserve"), sustained_once(bench, server, "issue"))
    shares = sorted(a.refused / a.answers for a, _ in figure.pairs)
    figure.notes.append(f"of the answers to `reserve`, {shares[len(shares) // 2] * 100:.0f} % were 503: the "
                        f"queue was full; rates are rows stored")
    say(figure)


def fill(bench, server, holders, coupons, callers):
    """A store at rest with `coupons` coupons of so many holders, scattered among the callers."""
    server.migrate()
    among = People(callers.base, holders, callers.span * callers.step // holders)
    for coupon in coupons:
        bench.raw(server.data, coupon, 0, holders, among, 100_000, "off")
    db = sqlite3.connect(f"{server.data}/shop.db")
    with db:
        db.executemany("INSERT OR IGNORE INTO users (user_id, balance) VALUES (?, 0)",
                       ((callers.base + 1 + callers.step * i,) for i in range(callers.span)))
        # As if the store had been served before: the load-test data goes into an empty one only.
        db.execute("INSERT OR IGNORE INTO coupons (coupon_id, name, discount_rate, uses_per_user,"
                   " total_quantity, starts_at, ends_at) VALUES (4, 'SOLDOUT', 25, 1, 1, 0, 1)")
    db.close()
    return server


def holders(bench, say):
    many, few = bench.holders, 10_000
    step = 2 * many // 1_000_000 if many >= 1_000_000 else 2
    span = 1_000_000
    callers = People(20_000_000, span, step)  # who fills is even, who calls is odd
    asking = People(callers.base + 1, span, step)
    names = {"reserve": f"`reserve` (burst) at {many:.0e} holders / at {few:.0e}".replace("e+0", "e"),
             "issue": f"`issue` at {many:.0e} holders / at {few:.0e}".replace("e+0", "e")}
    burst = Ratio(names["reserve"], 0.77)
    steady = Ratio(names["issue"], 0.77, "rate", "cpu_us")
    first = 2000
    small = fill(bench, bench.server(), few, range(first, first + 2 * bench.pairs + 2), callers)
    big = fill(bench, bench.server(), many, [first], callers)
    with small, big:
        (rss,) = (big.rss_mib(),)
        for server in (small, big):
            server.find_loop()
            bench.take("reserve", first, people=asking, first=900_000).run(server, 1)
            wait_for("quiet", 10, lambda s=server: s.get(f"/api/admin/coupons/{first}/proof")["gate"]["pending"] == 0, 0.2)
        for pair in range(bench.pairs):
            coupon = first + 1 + pair
            people = People(asking.base, asking.span, asking.step)
            a = holders_burst(bench, big, burst, people, first, pair)
            b = holders_burst(bench, small, burst, people, coupon, pair)
            burst.add(a, b)
        for pair in range(bench.pairs):
            coupon = first + 1 + bench.pairs + pair
            begin = bench.pairs * BURST + pair * 40_000
            load = bench.take("issue", first, people=asking, first=begin)
            a = load.run(big, bench.seconds)
            b = bench.take("issue", coupon, people=asking, first=begin).run(small, bench.seconds)
            steady.add(a, b)
    burst.notes.append(f"the server with {many:,} holders had {rss:,.0f} MiB in memory "
                       f"({rss * 2**20 / many:.0f} bytes a holder, all told)")
    say(burst)
    say(steady)
