# SPDX-License-Identifier: Apache-2.0
"""The figures, one function each: A and B in turn, A B A B …"""

import bisect
import pathlib
import sqlite3
import subprocess
import time

from report import Bound, Ratio
from sides import BenchError, Load, Nginx, People, Run, Server

BURST = 50_000
LATE_S_MAX = 2.0
PEOPLE = People(20_000_000, 1_000_000)
PLENTY = 1_000_000
FIRST_COUPON = 1000


class Bench:
    """What all figures share: the program, a scratch folder, how many pairs and how long."""

    def __init__(self, program, raw_insert, folder, pairs, seconds, holders):
        self.program, self.raw_insert, self.folder = program, raw_insert, pathlib.Path(folder)
        self.pairs, self.seconds, self.holders = pairs, seconds, holders
        self.coupon = FIRST_COUPON
        self.servers = 0

    def server(self, kind=Server, **how):
        self.servers += 1
        return kind(self.program, self.folder / f"server{self.servers}", **how)

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

    def raw(self, data, coupon, rows, people, batch=64, sync="full"):
        command = [self.raw_insert, f"{data}/shop.db", coupon, rows + PLENTY, rows, batch, sync,
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

    def until(self, rows=1 << 60, quiet_s=1.0):
        """Until so many are stored, or no more have come for a while; returns how many there are."""
        stored, changed = -1, time.monotonic()
        while stored < rows and time.monotonic() - changed < quiet_s:
            (now,), = self.db.execute("SELECT issued FROM coupons WHERE coupon_id = ?", (self.coupon,))
            if now != stored:
                stored, changed, self.last_seen = now, time.monotonic(), time.time()
            time.sleep(0.01)
        return stored

    def latest(self, run, people):
        """Seconds between an answer and its row, at most: from the moment its request was sent to
        the moment the batch after its own began (issued_at is when a batch begins, and batches
        follow one another), for the last batch to when it was seen. The largest of all rows."""
        rows = self.db.execute("SELECT user_id, issued_at FROM user_coupons WHERE coupon_id = ?",
                               (self.coupon,)).fetchall()
        self.db.close()
        begins = sorted({issued_at for _, issued_at in rows})
        sent_of = {people.base + people.step * (k * people.stride % people.span): run.sent[k]
                   for k in range(run.answers)}
        latest = 0.0
        for user, issued_at in rows:
            after = bisect.bisect_right(begins, issued_at)
            stored = begins[after] / 1e3 + 0.001 if after < len(begins) else self.last_seen
            latest = max(latest, stored - sent_of[user])
        return latest


def burst_once(bench, server, figure, coupon, people=PEOPLE, first=0):
    """A run, and the seconds that the latest row came after its answer."""
    watch = Watch(server, coupon)
    holders = watch.until()
    load = bench.take("reserve", coupon, people=people, first=first, expect_refusals=True)
    run = load.burst(server, BURST, bench.folder, lambda: watch.until(holders + BURST, 3))
    stored = server.stored(coupon) - holders
    if run.refused or stored != BURST:
        figure.faults.append(f"{run.refused} of {BURST} answers were refusals, {stored} rows")
    return run, watch


def reserve_burst(bench, say):
    figure = Ratio(f"`reserve`, a burst of {BURST:,} grants to distinct users / `GET /health/live`", 0.9)
    late = []
    with bench.server() as server:
        bench.ready(server)
        burst_once(bench, server, Ratio("warm", 0), bench.next_coupon(server, BURST))
        for _ in range(bench.pairs):
            coupon = bench.next_coupon(server, BURST)
            a, watch = burst_once(bench, server, figure, coupon)
            late.append(watch.latest(a, PEOPLE))
            server.prove(coupon)
            figure.add(a, LIVE.burst(server, BURST, bench.folder))
    if max(late) > LATE_S_MAX:
        figure.faults.append(f"a row was stored only {max(late):.2f} s after its answer")
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
        bench.raw(raw.data, FIRST_COUPON, BURST, PEOPLE)
        for _ in range(bench.pairs):
            coupon = bench.next_coupon(server)
            a = bench.take("issue", coupon).run(server, bench.seconds)
            by_live.add(a, LIVE.run(server, bench.seconds))
            by_raw.add(a, bench.raw(raw.data, coupon, a.answers, PEOPLE))
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
    lasts = 2 + 2 * bench.seconds
    marks = []

    def work():
        wrk = load.spawn(server, lasts + 1)
        try:
            time.sleep(2)
            marks.append((time.time(), server.cpu()))
            time.sleep(lasts - 2)
            marks.append((time.time(), server.cpu()))
            return load.finish(wrk)
        finally:
            if wrk.poll() is None:
                wrk.kill()
                wrk.communicate()

    run = load.measure(server, work)
    (begin, before), (end, after) = marks
    Watch(server, coupon).until()
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


CALLERS = 2_000_000


def fill(bench, server, holders, coupons, among):
    """A store at rest with `coupons` coupons of so many holders each, scattered over `among`."""
    server.migrate()
    people = People(among.base, holders, among.span * among.step // holders)
    for coupon in coupons:
        bench.raw(server.data, coupon, holders, people, 100_000, "off")
    return server


def add_callers(server, people):
    db = sqlite3.connect(f"{server.data}/shop.db")
    with db:
        db.executemany("INSERT INTO users (user_id, balance) VALUES (?, 0)",
                       ((people.base + people.step * i,) for i in range(people.span)))
    db.close()


class Callers:
    """Odd numbers that call, each once, scattered among the even ones that hold already."""

    def __init__(self, holders):
        step = max(2, 2 * holders // CALLERS)
        self.among = People(20_000_000, CALLERS, step)
        self.people = People(self.among.base + 1, CALLERS, step)
        self.first = 0

    def next(self, count):
        first, self.first = self.first, self.first + count + 1000
        return {"people": self.people, "first": first}


def power(number):
    return f"10^{len(str(number)) - 1}"


def holders(bench, say):
    many, few = bench.holders, 10_000
    at = f"at {power(many)} holders / at {power(few)}"
    burst = Ratio(f"`reserve`, a burst of {BURST:,} grants, {at}", 0.77)
    steady = Ratio(f"`issue` {at}", 0.77, "rate", "cpu_us")
    callers = Callers(many)
    big, small = bench.server(), bench.server()
    fill(bench, small, few, range(1, 2 * bench.pairs + 2), callers.among)
    fill(bench, big, many, [1], callers.among)
    for server in big, small:
        add_callers(server, callers.people)
    with small, big:
        rss = big.rss_mib()
        who = callers.next(200_000)
        for server in small, big:
            server.find_loop()
            bench.take("issue", 1, **who).run(server, 2)
        for pair in range(bench.pairs):
            who = callers.next(BURST)
            a, _ = burst_once(bench, big, burst, 1, **who)
            b, _ = burst_once(bench, small, burst, 2 + 2 * pair, **who)
            burst.add(a, b)
            who = callers.next(0)
            a = bench.take("issue", 1, **who).run(big, bench.seconds)
            b = bench.take("issue", 3 + 2 * pair, **who).run(small, bench.seconds)
            callers.next(max(a.answers, b.answers))
            steady.add(a, b)
        big.prove(1)
    burst.notes.append(f"the server with {many:,} holders began with {rss:,.0f} MiB in memory, "
                       f"{rss * 2**20 / many:.0f} bytes a holder all told")
    say(burst)
    say(steady)


def starts(bench, say):
    many = 1_000_000
    server = fill(bench, bench.server(), many, [1], People(20_000_000, many))
    full = []
    for _ in range(max(5, bench.pairs)):
        full.append(server.start())
        server.stop()
    say(Bound(f"start with {power(many)} holders, until the first answer", 1000, "ms", [s * 1e3 for s in full]))
    secret = bench.folder / "secret"
    secret.write_text("only for measuring, and long enough\n")
    server = bench.server(profile="prod", options=["--set", f"auth.secret_file={secret}",
                                                   "--set", "payment.gateway=none"])
    server.migrate()
    empty, idle = [], []
    for _ in range(max(5, bench.pairs)):
        empty.append(server.start())
        time.sleep(0.5)
        idle.append(server.rss_mib())
        server.stop()
    say(Bound("start, empty (`prod`, migrated), until the first answer", 100, "ms", [s * 1e3 for s in empty]))
    say(Bound("idle memory (RSS, one loop thread)", 20, "MiB", idle))


FIGURES = {"burst": reserve_burst, "sustained": sustained, "soldout": sold_out, "issue": issue,
           "charge": charge, "nginx": live_and_nginx, "holders": holders, "start": starts}
