# SPDX-License-Identifier: Apache-2.0
"""What many people were answered by two servers, with a fault in the middle, could have happened one after
the other, each call at one moment between its question and its answer (test/porcupine says so).

A call without an answer, or that was told to try again, is made again at the other server until it has one;
the whole is one call. HISTORIES: how many of each kind (default 2). DRILL_SEED: another course of events.
"""

import copy
import functools
import json
import os
import random
import subprocess
import threading
import time

import pytest

from drill.test_stores import SEED, flush_redis, kill_backends, kill_server, pause_server
from support.client import Caller
from support.daemon import TOOLS
from support.distributed import Servers

HISTORIES = int(os.environ.get("HISTORIES", "2"))
CHECKER = TOOLS / "bin" / "histories"
CLIENTS, CALLS = 6, 25  # of each of them
FAULT_AFTER = CLIENTS * CALLS // 3
FIRST_COUPON, QUANTITY, FIRST_USER, USERS = 900, 60, 1000, 90
WALLET = 5000
GIVE_UP_SECONDS, AGAIN_SECONDS = 20, 0.05
FAULTS = (kill_server, flush_redis, kill_backends, pause_server)


class History:
    """What was asked, by several at once, and what came back."""

    def __init__(self, servers, model, rng, **start):
        self.servers, self.rng, self.calls = servers, rng, []
        self.lock, self.is_time = threading.Lock(), threading.Event()
        self.head, self.failed = {"model": model, **start}, []

    def record(self, ask, fault):
        """`ask(client, rng)` makes one call of a client's."""
        clients = [Client(self, number, ask, random.Random(self.rng.random())) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        self.is_time.wait(GIVE_UP_SECONDS)
        mend = fault(self.servers, self.rng)
        time.sleep(0.2)
        mend()
        for client in clients:
            client.join()
        assert not self.failed, self.failed
        return {**self.head, "calls": self.calls}

    def add(self, **call):
        with self.lock:
            self.calls.append(call)
            if len(self.calls) == FAULT_AFTER:
                self.is_time.set()


class Client(threading.Thread):
    def __init__(self, history, number, ask, rng):
        super().__init__(daemon=True)
        self.history, self.number, self.ask, self.rng = history, number, ask, rng

    def run(self):
        try:
            for _ in range(CALLS):
                self.ask(self, self.rng)
        except Exception as error:  # pylint: disable=broad-except
            self.history.failed.append(repr(error))
            self.history.is_time.set()

    def call(self, method, path, body, read, **known):
        """Until there is an answer; `read` makes of it what the history says."""
        at, end, tries = time.monotonic_ns(), time.monotonic() + GIVE_UP_SECONDS, 0
        while True:
            answer = self.try_once(method, path, body)
            tries += 1
            if answer is not None and answer.status < 500:
                break
            assert time.monotonic() < end, f"{method} {path}: {answer}"
            time.sleep(AGAIN_SECONDS)
        said = read(answer, tries)
        self.history.add(client=self.number, at=at, until=time.monotonic_ns(), **known, **said)

    def try_once(self, method, path, body):
        """At either server."""
        node = self.rng.choice(self.history.servers.nodes)
        caller = Caller(node.port, timeout=5)
        try:
            return caller.call(method, path, body)
        except OSError:
            return None
        finally:
            caller.close()


def take(coupon, client, rng):
    user, way = FIRST_USER + rng.randrange(USERS), rng.choice(["issue", "reserve"])
    client.call("POST", f"/api/coupons/{coupon}/{way}", {"userId": user}, taken, what="take", user=user)


def taken(answer, tries):
    if answer.status == 200:
        return {"answer": "granted" if tries == 1 else "has", "slot": answer.json["sequenceNumber"]}
    if answer.error == "ALREADY_ISSUED_COUPON":
        return {"answer": "already" if tries == 1 else "has", "slot": answer.json["sequenceNumber"]}
    assert answer.error == "COUPON_SOLD_OUT", answer
    return {"answer": "sold_out"}


def use_wallet(client, rng):
    if rng.random() < 0.5:
        client.call("GET", f"/api/users/{WALLET}/balance", None, balance, what="read", user=WALLET)
        return
    amount = rng.choice([1, 10, 100, 1000])
    body = {"amount": amount, "idempotencyKey": f"key-{rng.random()}"}
    client.call("POST", f"/api/users/{WALLET}/balance/charge", body, balance, what="charge", user=WALLET, amount=amount)


def balance(answer, _):
    assert answer.status == 200, answer
    return {"balance": answer.json["balance"]}


def verdict(history, folder):
    path = folder / "history.json"
    path.write_text(json.dumps(history))
    done = subprocess.run([CHECKER, path], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode in (0, 1), done
    return done.stdout.strip()


@pytest.fixture
def servers(tmp_path, shared_stores):
    two = Servers(tmp_path, shared_stores)
    two.expected_exit = (0, -9)
    yield two.start()
    two.close()


def test_one_coupon(servers, tmp_path):
    print(f"DRILL_SEED={SEED}")
    for number in range(HISTORIES):
        rng = random.Random(f"gate {SEED} {number}")
        coupon = servers.make_coupon(QUANTITY, FIRST_COUPON + number)
        fault = FAULTS[(SEED + number) % len(FAULTS)]
        history = History(servers, "gate", rng, quantity=QUANTITY).record(
            functools.partial(take, coupon), fault
        )
        assert verdict(history, tmp_path) == "ok", fault
        for spoil in (two_with_one_number, sold_out_too_soon, forgotten):
            assert verdict(spoil(copy.deepcopy(history)), tmp_path) == "illegal", spoil


def test_one_wallet(servers, tmp_path):
    for number in range(HISTORIES):
        rng = random.Random(f"wallet {SEED} {number}")
        start = servers.nodes[0].get(f"/api/users/{WALLET}/balance")["balance"]
        fault = FAULTS[(SEED + number + 2) % len(FAULTS)]
        history = History(servers, "wallet", rng, balance=start).record(use_wallet, fault)
        assert verdict(history, tmp_path) == "ok", fault
        for spoil in (old_balance, charged_twice):
            assert verdict(spoil(copy.deepcopy(history)), tmp_path) == "illegal", spoil


# ---- what could not have been ----


def in_time(history, what, name):
    return sorted((c for c in history["calls"] if c.get(name) == what), key=lambda c: c["until"])


def two_with_one_number(history):
    first, second = in_time(history, "granted", "answer")[:2]
    second["slot"] = first["slot"]
    return history


def sold_out_too_soon(history):
    call = in_time(history, "granted", "answer")[0]
    call["answer"] = "sold_out"
    return history


def forgotten(history):
    """Who has a place is granted another."""
    call = in_time(history, "granted", "answer")[0]
    later = {"at": call["until"] + 1, "until": call["until"] + 2, "slot": QUANTITY}
    history["calls"].append({**call, **later, "client": CLIENTS})
    return history


def old_balance(history):
    """A read after everything else says what was at the beginning."""
    end = max(c["until"] for c in history["calls"])
    call = {"client": 0, "what": "read", "user": WALLET, "balance": history["balance"], "at": end + 1, "until": end + 2}
    history["calls"].append(call)
    return history


def charged_twice(history):
    in_time(history, "charge", "what")[-1]["balance"] += 1
    return history
