#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A shop's payment gateway as docs/gateway.md asks for it, which can be told to behave badly.

    with Gateway() as gateway:
        gateway.tell("hang_after", key="order-17-", times=1)
        ... serve(**gateway.settings(tmp_path)) ...
        gateway.check({17: 9000})

It keeps books: the same key twice is one charge, a key that was voided is refused for good, also to
a request that is still on its way. `check()` compares what stands in the books with what a shop
believes. The same can be asked for over HTTP, for a gateway in a process of its own:
POST /control {"manner": "refuse", "times": 3}, GET /control.
"""

import argparse
import collections
import hashlib
import hmac
import http.server
import json
import pathlib
import socket
import threading
import time

SECRET = "gateway-secret-gateway-secret-0123456789"
FRESH_SECONDS = 300

# What a rule of tell() may say. "before": the request is not booked; "after": it is.
MANNERS = {
    "refuse": "402, for good",
    "error_before": "500",
    "error_after": "500, though it is booked",
    "slow": "books, answers after `seconds`",
    "wait": "waits `seconds`, then books and answers",
    "late": "503 at once, and books after `seconds` all the same",
    "hang_before": "never answers",
    "hang_after": "books, never answers",
    "close_before": "hangs up without a word",
    "close_after": "books, hangs up without a word",
    "close_middle": "books, hangs up in the middle of the answer",
    "broken_json": "books, answers what is not JSON",
    "wrong_type": "books, answers JSON as text/html",
    "wrong_shape": "books, answers JSON of another shape",
    "no_id": "books, answers without a transactionId",
    "huge": "books, answers 1 MiB",
    "redirect": "307 to where it is",
    "deny": "404: knows nothing of that key, booked or not",
}

Entry = collections.namedtuple("Entry", "operation key user order amount transaction refunds state")


class Books:
    """Who paid what. Every method is called with the gateway's lock held."""

    def __init__(self):
        self.entries = {}  # by key; the first request of a key makes it
        self.voided = set()
        self.violations = []  # what no shop may ask for
        self.late_refused = 0  # requests that came after the void of their key
        self.next_id = 1

    def by_transaction(self, transaction):
        found = [e for e in self.entries.values() if e.transaction == transaction and e.operation == "charge"]
        return found[0] if found else None

    def is_refunded(self, transaction):
        return any(e.operation == "refund" and e.state == "done" and e.refunds == transaction for e in self.entries.values())

    def standing(self):
        """Charges that are neither voided nor refunded."""
        return [
            e
            for e in self.entries.values()
            if e.operation == "charge" and e.state == "done" and not self.is_refunded(e.transaction)
        ]

    def ask(self, request, refuse=False):
        """(approved, transaction id) of one request."""
        operation, key = request["operation"], request["key"]
        if operation == "void":
            return self.undo(key), None
        if key in self.voided:
            self.late_refused += 1
            return False, None
        known = self.entries.get(key)
        if known:
            self.must_be_same(known, request)
            return known.state == "done", known.transaction
        good = not refuse and (operation == "charge" or self.may_refund(request))
        transaction = f"T-{self.next_id}" if good else None
        self.next_id += 1
        self.entries[key] = Entry(
            operation,
            key,
            request["userId"],
            request["orderId"],
            request["amount"],
            transaction,
            request["refundedTransactionId"],
            "done" if good else "refused",
        )
        return good, transaction

    def must_be_same(self, known, request):
        asked = (request["operation"], request["userId"], request["orderId"], request["amount"])
        if asked != (known.operation, known.user, known.order, known.amount):
            self.violations.append(f"key {known.key} was {known[:5]}, and now is {asked}")

    def may_refund(self, request):
        charge = self.by_transaction(request["refundedTransactionId"])
        if not charge or charge.state != "done":
            self.violations.append(f"refund {request['key']} of {request['refundedTransactionId']}, which is no charge")
        elif charge.amount != request["amount"]:
            self.violations.append(f"refund {request['key']} of {request['amount']}, but {charge.amount} was charged")
        elif self.is_refunded(charge.transaction):
            self.violations.append(f"refund {request['key']}: {charge.transaction} was refunded before")
        else:
            return True
        return False

    def undo(self, key):
        self.voided.add(key)
        known = self.entries.get(key)
        if known and known.state == "done":
            self.entries[key] = known._replace(state="voided")
        return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.reply(200, self.server.gateway.state() if self.path == "/control" else {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/control":
            self.server.gateway.tell(**json.loads(body))
            self.reply(200, {})
        else:
            self.server.gateway.serve(self, body)

    def reply(self, status, body, content_type="application/json", cut=None):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", len(text))
        if status == 307:
            self.send_header("Location", self.path)
        self.end_headers()
        self.wfile.write(text[:cut])
        if cut is not None:
            self.hang_up()

    def hang_up(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that has given up is no error."""


class Gateway:
    def __init__(self, secret=SECRET, port=0):
        self.secret = secret
        self.lock = threading.Lock()
        self.books, self.rules = Books(), []
        self.requests = collections.Counter()  # by operation
        self.requests_of = collections.Counter()  # by (operation, key)
        self.outcomes = collections.Counter()  # by manner; "" is as it should be
        self.unsigned = 0
        self.ends = threading.Event()
        self.under_way = 0  # late ones included
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.gateway = self
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/pay"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Whoever hangs is hung up on; the port is free."""
        self.ends.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def settings(self, directory):
        """Options of a server that pays here; `directory` takes the key."""
        path = pathlib.Path(directory) / "gateway.key"
        path.write_text(self.secret + "\n")
        return {"payment__gateway": "http", "payment__http_url": self.url, "payment__http_secret_file": path}

    # ---- to be told ----

    def tell(self, manner, times=None, key="", operation="", seconds=0.0):
        """How to treat the next `times` requests (None: all from now on) whose key contains `key`. The
        rule that was told first and fits is taken."""
        assert manner in MANNERS, f"{manner}: not one of {', '.join(MANNERS)}"
        with self.lock:
            self.rules.append({"manner": manner, "times": times, "key": key, "operation": operation, "seconds": seconds})

    def behave(self):
        """All rules are forgotten."""
        with self.lock:
            self.rules.clear()

    def rule_for(self, request):
        for rule in self.rules:
            if rule["key"] in request["key"] and rule["operation"] in ("", request["operation"]) and rule["times"] != 0:
                if rule["times"] is not None:
                    rule["times"] -= 1
                return rule
        return {"manner": "", "seconds": 0}

    # ---- requests ----

    def is_signed(self, headers, body):
        stamp = headers.get("X-Doorbuster-Timestamp", "")
        wanted = hmac.new(self.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return (
            hmac.compare_digest(f"v1={wanted}", headers.get("X-Doorbuster-Signature", ""))
            and abs(time.time() - int(stamp)) < FRESH_SECONDS
        )

    def serve(self, handler, body):
        if not self.is_signed(handler.headers, body):
            with self.lock:
                self.unsigned += 1
            handler.reply(401, {"status": "unsigned"})
            return
        request = json.loads(body)
        with self.lock:
            self.under_way += 1
            self.requests[request["operation"]] += 1
            self.requests_of[request["operation"], request["key"]] += 1
            if handler.headers.get("Idempotency-Key") != request["key"]:
                self.books.violations.append(f"Idempotency-Key is not {request['key']}")
            rule = self.rule_for(request)
            self.outcomes[rule["manner"]] += 1
        try:
            self.act(handler, request, rule["manner"], rule["seconds"])
        finally:
            with self.lock:
                self.under_way -= 1

    def book(self, request, refuse=False):
        with self.lock:
            approved, transaction = self.books.ask(request, refuse)
        return (200 if approved else 402), {"status": "approved" if approved else "refused", "transactionId": transaction}

    def act(self, handler, request, manner, seconds):
        if manner in ("error_before", "late", "deny", "redirect"):
            statuses = {"error_before": 500, "late": 503, "deny": 404, "redirect": 307}
            handler.reply(statuses[manner], {"status": "unknown key" if manner == "deny" else "error"})
            if manner == "late":
                handler.wfile.flush()
                self.ends.wait(seconds)
                self.book(request)
            return
        if manner in ("hang_before", "close_before"):
            if manner == "hang_before":
                self.ends.wait()
            handler.hang_up()
            return
        if manner == "wait":
            self.ends.wait(seconds)
        status, answer = self.book(request, refuse=manner == "refuse")
        self.answer(handler, manner, seconds, status, answer)

    def answer(self, handler, manner, seconds, status, answer):
        if manner == "slow":
            self.ends.wait(seconds)
        if manner in ("hang_after", "close_after"):
            if manner == "hang_after":
                self.ends.wait()
            handler.hang_up()
        elif manner == "close_middle":
            handler.reply(status, answer, cut=10)
        elif manner == "error_after":
            handler.reply(500, {"status": "error"})
        elif manner == "broken_json":
            handler.reply(200, json.dumps(answer).encode()[:-1])
        elif manner == "wrong_type":
            handler.reply(200, answer, content_type="text/html")
        elif manner == "wrong_shape":
            handler.reply(200, {"result": [answer]})
        elif manner == "no_id":
            handler.reply(200, {"status": "approved"})
        elif manner == "huge":
            handler.reply(200, {**answer, "padding": "x" * (1 << 20)})
        else:
            handler.reply(status, answer)

    # ---- what became of it ----

    def quiet(self):
        """No request is under way, late ones included."""
        with self.lock:
            return self.under_way == 0

    def standing(self):
        with self.lock:
            return self.books.standing()

    def violations(self):
        """What no shop may have asked for; [] is good."""
        with self.lock:
            found = list(self.books.violations)
            if self.unsigned:
                found.append(f"{self.unsigned} requests without a good signature")
            return found

    def problems(self, completed, charges=None):
        """What does not agree with a shop that says: these orders are paid, {order id: amount}, and so
        are these charges of a balance, {user id: sum}. [] is good."""
        found, paid, charged = self.violations(), collections.defaultdict(list), collections.Counter()
        for entry in self.standing():
            if entry.order is None:
                charged[entry.user] += entry.amount
            else:
                paid[entry.order].append(entry)
        for order in sorted(paid.keys() | completed.keys()):
            stands = [(e.key, e.amount) for e in paid.get(order, [])]
            if order not in completed:
                found.append(f"order {order} is not paid, but charged: {stands}")
            elif [amount for _, amount in stands] != [completed[order]]:
                found.append(f"order {order} is paid, {completed[order]}, but charged: {stands}")
        for user in sorted(charged.keys() | (charges or {}).keys()) if charges is not None else ():
            if charged[user] != charges.get(user, 0):
                found.append(f"user {user} has {charges.get(user, 0)} charged, but paid {charged[user]}")
        return found

    def check(self, completed, charges=None):
        found = self.problems(completed, charges)
        assert not found, "\n".join(found)

    def state(self):
        with self.lock:
            return {
                "requests": dict(self.requests),
                "outcomes": dict(self.outcomes),
                "underWay": self.under_way,
                "lateRefused": self.books.late_refused,
                "unsigned": self.unsigned,
                "violations": list(self.books.violations),
                "entries": [e._asdict() for e in self.books.entries.values()],
                "standing": [e._asdict() for e in self.books.standing()],
            }


def main():
    parser = argparse.ArgumentParser(description="A payment gateway to try things out with.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--secret", default=SECRET)
    arguments = parser.parse_args()
    with Gateway(arguments.secret, arguments.port) as gateway:
        print(f"gateway on {gateway.url}", flush=True)
        try:
            gateway.thread.join()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
