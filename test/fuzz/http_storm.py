#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mutated requests at a running server, as many as asked for: http_storm.py [--requests N] [--seed S]

Requests are made from the server's own OpenAPI document, mostly right and wrong in a place or two,
and pipelined on keep-alive connections; some are bytes that once were a request, on connections of
their own. No answer may be a 5xx, but the 503 of a store that the storm itself has switched off; each
must be one that the document knows; at the end the server lives, has not grown, and proves every
coupon. Prints what was answered, by route. DOORBUSTER names the program.
"""

import argparse
import collections
import json
import pathlib
import random
import re
import socket
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support import contract  # noqa: E402
from support.client import encode  # noqa: E402
from support.server import Server, when  # noqa: E402

CONNECTIONS, BATCH, WILD_EVERY, GATE_OPENS_SECONDS = 8, 32, 20, 5
USERS, COUPONS = 500, 12
ORDERS, BUYERS = 60, 3
# Those that make the store grow come seldom: what is looked at is the server's memory, not its data.
SELDOM = {"createCoupon": 20, "changeCoupon": 20, "createUsers": 20, "setClock": 20}
SELDOM |= {"metrics": 10, "actuatorPrometheus": 10}  # long, and always the same
NUMBERS = ("0", "-1", "-0", "+1", "01", "1.0", "1e3", "", "%31", "1%2F2", "%", "%00", "a", "..", "2147483648",
           "9223372036854775807", "9223372036854775808", "-9223372036854775808", "9" * 60, "%EF%BC%91", "\xff")
VALUES = ("null", "true", "[]", "{}", '""', '"1"', "1.0", "1e400", "-1", "0", "-0", "9223372036854775807",
          "9223372036854775808", "-9223372036854775809", "NaN", '"\\u0000"', '"\\ud800"', '"\xff"', '"\n"', "",
          "[" * 40, '"' + "x" * 300 + '"', '{"a":' * 40)
HEADERS = ("Accept: text/csv", "Connection: keep-alive", "Connection: close", "Expect: 100-continue",
           "X-Request-Id: a b", "Authorization: Bearer a.b.c", "Idempotency-Key: k", "Content-Type: text/plain",
           "X-A: " + "a" * 300, "Accept: application/openmetrics-text", "Transfer-Encoding: gzip",
           "Content-Length: 0")
PIECES = (b"\r\n", b"\n", b" ", b":", b"\x00", b"%00", b"chunked", b"0\r\n\r\n", b"99999999999")
TOKENS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "DOORS", "get")
HEAD = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) [^\r\n]+\r\nDate: .*?\r\n\r\n", re.S)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


class Route:
    """One operation of the document."""

    def __init__(self, path, method, operation, schemas):
        self.path, self.method, self.name = path, method.upper(), operation["operationId"]
        self.statuses = {int(status) for status in operation["responses"]}
        self.queries = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
        body = operation.get("requestBody")
        ref = body and body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        self.members = list(schemas[ref]["properties"].items()) if ref else None
        self.required = set(schemas[ref].get("required", ())) if ref else ()

    def url(self, rng):
        def part(match):
            if rng.random() < 0.06:
                return rng.choice(NUMBERS)
            if "order" in match[0]:
                return str(rng.randint(1, ORDERS))
            return str(rng.randint(1, rng.choice((USERS, 5)) if "user" in match[0] else COUPONS))

        url = re.sub(r"{\w+}", part, self.path)
        if rng.random() < 0.02:
            url += rng.choice(("/", "//", "/x", "%2F", ";a", "?", "?&=&"))
        elif self.queries and (rng.random() < 0.5 or "userId" in self.queries):
            url += "?" + "&".join(f"{name}={query_value(rng, name)}" for name in self.queries
                                  if rng.random() < (0.95 if name == "userId" else 0.6))
        return url

    def body(self, rng):
        words = []
        for name, schema in self.members:
            if rng.random() > (0.96 if name in self.required else 0.3):
                continue
            odd = rng.random() < 0.05 and name != "on"  # faults are switched on by Storm.fault() only
            value = rng.choice(VALUES) if odd else good_value(rng, name, schema)
            words += [f'"{name}":{value}'] * (2 if rng.random() < 0.01 else 1)
        text = "{" + ",".join(words) + "}"
        if rng.random() < 0.03:
            text = mutate_text(rng, text)
        return text.encode("utf-8", "replace")


def query_value(rng, name):
    if rng.random() < 0.2:
        return rng.choice(NUMBERS)
    return {"limit": str(rng.randint(1, 100)), "cursor": f"c-{rng.randint(1, 99):x}",
            "userId": str(rng.randint(1, 20)), "around": str(rng.randint(0, 10)),
            "sort": rng.choice(("price", "price_desc", "newest", "popularity")),
            "window": rng.choice(("daily", "weekly", "monthly", "rolling")), "category": rng.choice(("a", "%EA%B0%80")),
            "date": when(rng.randint(-40, 1))[:10]}.get(name, rng.choice(("AVAILABLE", "COMPLETED", "pending")))


def good_value(rng, name, schema):
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if name == "on":
        return "false"
    if name == "level":
        return '"error"'
    if name in ("fromUserId", "toUserId"):
        return str(rng.randint(1, USERS) + (USERS if name[0] == "t" else 0))
    if name == "items":
        return "[" + ",".join(f'{{"productId":{rng.choice((1, 2, 3, 5, 99))},"quantity":{rng.choice((1, 2, 2, 9**18))}}}'
                              for _ in range(rng.choice((1, 1, 2, 3, 101)))) + "]"
    if name in ("userId", "couponId"):
        return str(rng.randint(1, rng.choice((BUYERS, 20))) if name[0] == "u" else rng.randint(1, rng.choice((COUPONS, COUPONS * 1000))))
    if "enum" in schema:
        return json.dumps(rng.choice(schema["enum"]))
    if schema.get("format") == "date-time":
        return f'"{when(rng.randint(30, 60) if name == "endsAt" else rng.randint(-2, 20))}"'
    if kind == "integer":
        return str(rng.randint(1, 100))
    if kind == "boolean":
        return rng.choice(("true", "false"))
    return json.dumps(rng.choice(("a", "k1", "k2", f"k{rng.randrange(10**6)}", "가나", "x" * rng.randint(1, 120))))


def mutate_text(rng, text):
    at = rng.randrange(len(text) + 1)
    return rng.choice((text[:at], text[:at] + rng.choice('{}[]",:\\0é') + text[at:], text + text, text[at:], ""))


def mutate_bytes(rng, raw):
    data = bytearray(raw)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(4)
        if what == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif what == 1:
            del data[at : at + rng.randint(1, 12)]
        elif what == 2:
            data[at:at] = data[at : at + rng.randint(1, 40)]
        else:
            data[at:at] = rng.choice(PIECES)
    return bytes(data)


class Maker:
    """(bytes, route or None, method) without end."""

    def __init__(self, document, seed):
        self.rng = random.Random(seed)
        schemas = document["components"]["schemas"]
        self.routes = [
            Route(path, method, operation, schemas)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if "text/event-stream" not in operation["responses"].get("200", {}).get("content", {})  # without end
        ]
        self.weights = [1 / SELDOM.get(route.name, 1) for route in self.routes]

    def tame(self):
        """Framed as it should be, whatever else is wrong; one answer for certain."""
        rng = self.rng
        route = rng.choices(self.routes, self.weights)[0]
        method = rng.choice(TOKENS) if rng.random() < 0.05 else route.method
        fields = [f"Idempotency-Key: k{rng.randrange(99)}"] if "charge" in route.path and rng.random() < 0.3 else []
        if rng.random() < 0.05:
            fields.append(rng.choice(HEADERS[:10]))
        headers = [tuple(field.split(": ", 1)) for field in fields]
        url = route.url(rng).encode("utf-8", "replace").decode("latin-1")
        return encode(method, url, route.body(rng) if route.members is not None else None, headers), route, method

    def wild(self):
        raw = b"".join(self.tame()[0] for _ in range(self.rng.randint(1, 3)))
        if self.rng.random() < 0.3:
            raw = raw.replace(b"\r\n", f"\r\n{self.rng.choice(HEADERS)}\r\n".encode(), 1)
        return mutate_bytes(self.rng, raw)


class Answers:
    """Reads answers off a socket, one after the other."""

    def __init__(self, sock):
        self.sock, self.data, self.at = sock, b"", 0

    def more(self):
        chunk = self.sock.recv(1 << 18)
        if chunk:
            self.data, self.at = self.data[self.at :] + chunk, 0
        return bool(chunk)

    def find(self, what):
        while (found := self.data.find(what, self.at)) < 0:
            if not self.more():
                return -1
        return found

    def take(self, count):
        while len(self.data) - self.at < count:
            if not self.more():
                raise ConnectionError("the end in the middle of an answer")
        self.at += count
        return self.data[self.at - count : self.at]

    def next(self, to_head=False):
        """(status, head, body), or None at the end."""
        end = self.find(b"\r\n\r\n")
        if end < 0:
            assert self.at == len(self.data), self.data[self.at :]
            return None
        head = self.take(end - self.at + 4)
        assert head.startswith(b"HTTP/1.1 "), head
        status = int(head[9:12])
        if status < 200:
            return self.next(to_head)
        length, body = LENGTH.search(head), b""
        if to_head or status == 204:
            pass
        elif length:
            body = self.take(int(length[1]))
        elif b"transfer-encoding: chunked" in head.lower():
            while size := int(self.take(self.find(b"\r\n") - self.at + 2), 16):
                body += self.take(size + 2)[:-2]
            self.take(2)
        else:
            while self.more():
                pass
            body = self.take(len(self.data) - self.at)
        return status, head, body


class Storm:
    """Counts by (route, status), and looks closely at the first of each."""

    def __init__(self, server, seed=1):
        self.server, self.counts, self.faulty, self.fault_ended = server, collections.Counter(), False, 0
        self.maker = Maker(json.loads(server.call("GET", "/openapi.json").body), seed)
        self.tame = [None] * CONNECTIONS

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.server.port), 30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def judge(self, asked, answer):
        raw, route, method = asked
        status, head, body = answer
        name = route.name if route and method == route.method else "other"
        self.counts[name, status] += 1
        if status >= 500 and not (status == 503 and self.is_honest(body)):
            raise AssertionError(f"{raw!r} was answered {head!r} {body!r}")
        if self.counts[name, status] > 100:
            return
        assert b"\r\nX-Request-Id: " in head, head
        assert (status == 503) == (b"\r\nRetry-After: " in head), head
        if name != "other":
            assert status in route.statuses or status in (404, 405), f"{raw!r}: {head!r} {body!r}"
        if status >= 400 and body and name not in ("ready", "actuatorHealth"):
            problem = json.loads(body)
            missing = [member for member in contract.PROBLEM_MEMBERS if member not in problem]
            assert not missing and problem["status"] == status, (head, body)

    def is_honest(self, body):
        """A store is switched off; or was, and a change that it stopped left a gate shut: it opens within seconds."""
        shut = not body or b'"COUPON_CLOSED"' in body
        return self.faulty or (shut and time.monotonic() < self.fault_ended + GATE_OPENS_SECONDS)

    def ride(self, sock, batch):
        """Sends all, reads all; what a closed connection left unanswered goes out again."""
        answers = Answers(sock)
        sock.sendall(b"".join(asked[0] for asked in batch))
        for i, asked in enumerate(batch):
            answer = answers.next(asked[2] == "HEAD")
            assert answer, f"no answer to {asked[0]!r}"
            self.judge(asked, answer)
            if b"\r\nConnection: close\r\n" in answer[1]:
                sock.close()
                sock = self.connect()
                return self.ride(sock, batch[i + 1 :]) if batch[i + 1 :] else sock
        return sock

    def go_wild(self):
        raw = self.maker.wild()
        with self.connect() as sock:
            try:
                sock.sendall(raw)
                sock.shutdown(socket.SHUT_WR)
                answers = Answers(sock)
                while answers.more():
                    pass
            except (ConnectionResetError, BrokenPipeError):
                self.counts["reset", 0] += 1
                return
        # What was asked is anybody's guess, a HEAD for one: heads are told by how they begin.
        assert not answers.data or answers.data.startswith(b"HTTP/1.1 "), answers.data
        for head in HEAD.finditer(answers.data):
            self.judge((raw, None, ""), (int(head[1]), head[0], b""))

    def run(self, requests):
        """At least so many answers."""
        before, turn = self.total(), 0
        while self.total() - before < requests:
            at = turn % CONNECTIONS
            if turn % 100 == 99:
                self.fault("ledger" if turn % 200 == 99 else "gate", True)
            self.tame[at] = self.ride(self.tame[at] or self.connect(), [self.maker.tame() for _ in range(BATCH)])
            if self.faulty:
                self.fault(self.fault_name, False)
            for _ in range(BATCH // WILD_EVERY + 1):
                self.go_wild()
            turn += 1

    def fault(self, name, on):
        self.fault_name, self.faulty = name, on
        self.server.fault(name, on)
        self.fault_ended = time.monotonic()

    def total(self):
        return sum(count for (_, status), count in self.counts.items() if status)

    def close(self):
        for sock in self.tame:
            if sock:
                sock.close()

    def table(self):
        statuses = sorted({status for _, status in self.counts})
        lines = [f"{'route':20}" + "".join(f"{status:>9}" for status in statuses)]
        for name in sorted({name for name, _ in self.counts}):
            lines.append(f"{name:20}" + "".join(f"{self.counts[name, status]:>9}" for status in statuses))
        return "\n".join(lines)


def prepare(server):
    server.make_users(1, USERS, 1000)
    for product in (1, 2, 3, 5):
        server.call("POST", "/api/admin/products", {"productId": product, "name": "storm", "price": product,
                                                    "stock": 10**9, "category": "a"})
    for order in range(ORDERS):
        server.call("POST", "/api/orders", {"userId": order % BUYERS + 1, "idempotencyKey": f"storm {order}",
                                            "items": [{"productId": 1, "quantity": 1}]})
    for coupon in range(1, COUPONS + 1):
        server.call("POST", "/api/admin/coupons", {"couponId": coupon, "name": "storm", "discountRate": 1,
                                                   "totalQuantity": 50, "endsAt": when(30)})


def prove_all(server):
    """Every coupon's proof; the number of them."""
    server.post("/api/admin/test/clock", {"now": when()})
    coupons, cursor = [], ""
    while True:
        page = server.get(f"/api/admin/coupons?limit=100{cursor}")
        coupons += [coupon["couponId"] for coupon in page["coupons"]]
        if not page["nextCursor"]:
            break
        cursor = f"&cursor={page['nextCursor']}"
    for coupon in coupons:
        proof = server.settled(coupon)
        assert proof["ok"], proof
    return len(coupons)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server = Server(directory, log__level="error").start()
        prepare(server)
        storm, rss, started = Storm(server, args.seed), [], time.monotonic()
        for _ in range(10):
            storm.run(args.requests // 10)
            rss.append(server.rss_kib())
        seconds = time.monotonic() - started
        storm.close()
        print(storm.table())
        print(f"seed {args.seed}: {storm.total()} answers in {seconds:.0f} s, {storm.total() / seconds:.0f}/s")
        print(f"RSS in KiB, ten times: {rss}")
        print(f"{prove_all(server)} coupons proved")
        server.close()


if __name__ == "__main__":
    main()
