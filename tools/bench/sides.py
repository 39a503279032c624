# SPDX-License-Identifier: Apache-2.0
"""What is measured: our server, nginx, and the load that wrk puts on them."""

import array
import dataclasses
import http.client
import json
import math
import os
import pathlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONNECTIONS = 64
COUPON_ENDS = "2099-12-31T00:00:00+09:00"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something the figures would be worth nothing with."""


def thread_cpu(pid):
    """Seconds of processor time each thread of a process has had."""
    used = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            used[int(task.name)] = int((task / "schedstat").read_text().split()[0]) * 1e-9
        except (FileNotFoundError, ProcessLookupError):
            continue
        except (OSError, IndexError):
            used[int(task.name)] = process_ticks(task)
    return used


def process_ticks(folder):
    """utime + stime, where the kernel does not count finer."""
    fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def machine_busy():
    """Seconds of processor time everybody on the machine has had, idle and waiting left out."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[i]) for i in (0, 1, 2, 5, 6, 7)) / CLOCK_TICKS


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def own_cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def wait_for(what, seconds, look, every=0.01):
    end = time.monotonic() + seconds
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > end:
            raise BenchError(f"{what} did not happen within {seconds} s")
        time.sleep(every)


class Server:
    """A doorbuster of its own, in a directory of its own, logging to a file as in production."""

    def __init__(self, program, folder, profile="test", options=()):
        self.program, self.folder, self.profile = program, folder, profile
        self.data = folder / "data"
        self.options = list(options)
        self.process = None
        self.loop_thread = None

    def migrate(self):
        subprocess.run([self.program, "migrate", "--profile", self.profile, "--data", self.data],
                       check=True, capture_output=True)
        return self

    def start(self):
        """Seconds until the first request was answered."""
        self.folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "serve", "--profile", self.profile, "--data", self.data,
                 "--listen", "127.0.0.1:0", "--threads", "1", "--log", "json", *self.options],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on http://"):
            raise BenchError(f"the server did not start: {(self.folder / 'log').read_text()[-500:]}")
        self.host = line.split("http://", 1)[1].strip()
        self.url = f"http://{self.host}"
        self.get("/health/live")
        self.pid = self.process.pid
        return time.monotonic() - started

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise BenchError(f"{method} {path}: {answer.status} {text}")
        return json.loads(text) if text.startswith("{") else text

    def get(self, path):
        return self.ask("GET", path)

    def add_users(self, base, count):
        for first in range(base, base + count, 1_000_000):
            self.ask("POST", "/api/admin/users",
                     {"fromUserId": first, "toUserId": min(first + 1_000_000, base + count) - 1})

    def add_coupon(self, coupon, quantity):
        self.ask("POST", "/api/admin/coupons",
                 {"couponId": coupon, "name": f"Bench {coupon}", "discountRate": 10,
                  "totalQuantity": quantity, "endsAt": COUPON_ENDS})

    def read(self, sql, *values):
        """Looks into the database from outside: costs the server nothing."""
        db = sqlite3.connect(f"file:{self.data}/shop.db?mode=ro", uri=True, timeout=10)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def stored(self, coupon):
        return self.read("SELECT issued FROM coupons WHERE coupon_id = ?", coupon)[0][0]

    def prove(self, coupon):
        answer = self.get(f"/api/admin/coupons/{coupon}/proof")
        if not answer["ok"] or answer["gate"]["pending"] != 0:
            raise BenchError(f"coupon {coupon} is not proved: {json.dumps(answer)}")
        return answer

    def rss_mib(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise BenchError("no VmRSS")

    def cpu(self):
        """(seconds of the loop thread, seconds of all others: the SQLite writer, mostly)."""
        used = thread_cpu(self.pid)
        loop = used.get(self.loop_thread, 0.0)
        return loop, sum(used.values()) - loop

    def stores_cpu(self):
        """Seconds of processor time of each store that is a process of its own."""
        return {}

    def find_loop(self, seconds=0.5):
        """The loop thread is the one that works when nothing but GETs are asked for."""
        before = thread_cpu(self.pid)
        Load(side="get").run(self, seconds)
        after = thread_cpu(self.pid)
        self.loop_thread = max(after, key=lambda thread: after[thread] - before.get(thread, 0.0))


class Nginx:
    """nginx with one worker and one file of 100 bytes; everything not named here is its default."""

    def __init__(self, folder):
        self.folder = folder
        self.process = None

    def start(self):
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not program:
            raise BenchError("nginx is not there")
        (self.folder / "html").mkdir(parents=True)
        (self.folder / "html" / "100").write_bytes(b"x" * 99 + b"\n")
        for folder in (self.folder, self.folder / "html"):
            folder.chmod(0o755)
        port = free_port()
        temporary = "\n".join(f"    {name}_temp_path {self.folder}/{name};" for name in
                              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(f"""daemon off;
worker_processes 1;
pid {self.folder}/pid;
error_log {self.folder}/error.log;
{"user root;" if os.getuid() == 0 else ""}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
{temporary}
    server {{ listen 127.0.0.1:{port}; root {self.folder}/html; }}
}}
""")
        self.process = subprocess.Popen(
            [program, "-p", self.folder, "-c", self.folder / "nginx.conf"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.pid = int(wait_for("nginx's worker", 5, lambda: children.read_text().split())[0])
        return self

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(10)
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def cpu(self):
        return sum(thread_cpu(self.pid).values()), 0.0

    def stores_cpu(self):
        return {}


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclasses.dataclass
class People:
    """Numbers that are taken in an order as if shuffled, each once: see load.lua."""
    base: int
    span: int
    step: int = 1

    @property
    def stride(self):
        stride = int(self.span * 0.6180339887) | 1
        while math.gcd(stride, self.span) != 1:
            stride += 2
        return stride


@dataclasses.dataclass
class Run:
    """One side of one pair."""
    answers: int = 0        # those that count
    refused: int = 0        # answered with 4xx or 5xx
    rate: float = 0.0
    loop_us: float = 0.0    # processor time of the loop thread for each answer, µs
    other_us: float = 0.0   # of all other threads
    foreign: float = 0.0    # processors that somebody else took
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    sent: array.array = None
    stores: dict = dataclasses.field(default_factory=dict)  # µs of each store's process for each answer

    @property
    def cpu_us(self):
        return self.loop_us + self.other_us

    @property
    def redis_us(self):
        return self.stores.get("Redis", 0.0)

    @property
    def all_us(self):
        """Of the server and its stores."""
        return self.cpu_us + sum(self.stores.values())

    def charge_stores(self, before, after):
        self.stores = {name: (after[name] - before[name]) / max(1, self.answers) * 1e6 for name in after}


class Load:
    """wrk with load.lua: one thread, 64 connections kept alive."""

    script = "load.lua"

    def __init__(self, side="post", path="/", people=None, first=0, target="/health/live",
                 body_head='{"userId":', body_tail="}", expect_refusals=False, connections=CONNECTIONS):
        people = people or People(20_000_000, 1_000_000)
        self.expect_refusals = expect_refusals
        self.connections = connections
        self.environment = {
            "SIDE": side, "TARGET": target, "PATH_": path, "BODY_HEAD": body_head,
            "BODY_TAIL": body_tail, "BASE": people.base, "STEP": people.step, "SPAN": people.span,
            "STRIDE": people.stride, "FIRST": first, "CONNECTIONS": connections}

    def spawn(self, target, seconds, count=0, out=""):
        environment = {**os.environ, **{k: str(v) for k, v in self.environment.items()},
                       "COUNT": str(count), "OUT": str(out)}
        return subprocess.Popen(
            ["wrk", "-t1", f"-c{self.connections}", f"-d{max(1, math.ceil(seconds))}s", "--timeout", "20s", "-s",
             HERE / self.script, target.url],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)

    def finish(self, wrk):
        text = wrk.communicate()[0]
        for line in text.splitlines():
            if line.startswith("bench "):
                answers, duration, refused, broken, p50, _, p99 = map(int, line.split()[1:])
                if broken:
                    raise BenchError(f"wrk counted {broken} broken answers: {text}")
                if refused and not self.expect_refusals:
                    raise BenchError(f"{refused} of {answers} answers were refusals: {text}")
                return Run(answers=answers, refused=refused, rate=answers / duration * 1e6,
                           p50_ms=p50 / 1e3, p99_ms=p99 / 1e3)
        raise BenchError(f"wrk failed: {text}")

    def measure(self, target, work):
        """Runs work() and accounts for the processors meanwhile."""
        stores = target.stores_cpu()
        before = (target.cpu(), children_cpu(), own_cpu(), machine_busy(), time.monotonic())
        run = work()
        after = (target.cpu(), children_cpu(), own_cpu(), machine_busy(), time.monotonic())
        run.charge_stores(stores, target.stores_cpu())
        loop, other = (after[0][i] - before[0][i] for i in (0, 1))
        wrk = after[1] - before[1]
        seconds = after[4] - before[4]
        run.loop_us, run.other_us = (s / max(1, run.answers) * 1e6 for s in (loop, other))
        known = loop + other + wrk + after[2] - before[2] + sum(run.stores.values()) * run.answers / 1e6
        run.foreign = max(0.0, (after[3] - before[3] - known) / seconds)
        return run

    def run(self, target, seconds):
        return self.measure(target, lambda: self.finish(self.spawn(target, seconds)))

    def burst(self, target, count, folder, settled=None):
        """`count` requests as fast as they go; the rate is until as many answers had come.
        settled() returns when what they left to be done is done: its processor time counts."""
        out = folder / "sent"
        out.unlink(missing_ok=True)

        def work():
            wrk = self.spawn(target, 60, count, out)
            try:
                wait_for("the end of a burst", 50, lambda: out.exists() or wrk.poll() is not None)
                if settled:
                    settled()
                wrk.send_signal(signal.SIGINT)
                run = self.finish(wrk)
            finally:
                if wrk.poll() is None:
                    wrk.kill()
                    wrk.communicate()
            run.answers = count
            return run

        run = self.measure(target, work)
        run.sent = array.array("d")
        run.sent.frombytes(out.read_bytes())
        run.rate = count / (run.sent[count] - run.sent[0])
        return run


class Orders(Load):
    """wrk with orders.lua: orders, each paid as soon as it is there; or issues in the same manner; or
    only orders (`side` make), or only payments (`side` pay) of those whose ids are in a file."""

    script = "orders.lua"

    def __init__(self, run, users=(1, 1), products=(1, 1), coupon=None, side="orders", orders=""):
        super().__init__()
        stride = People(0, products[1]).stride if products[1] > 1 else 1
        self.environment = {
            "SIDE": "issue" if coupon else side, "RUN": run, "COUPON": coupon or 0,
            "USER_BASE": users[0], "USER_SPAN": users[1], "PRODUCT_BASE": products[0],
            "PRODUCT_SPAN": products[1], "PRODUCT_STRIDE": stride, "ORDERS": orders}
