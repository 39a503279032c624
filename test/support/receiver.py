#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A receiver of events as docs/integrate.md asks for it, which can be told to fail.

    with Receiver(fail=0.1) as receiver:
        ... serve(**receiver.settings(tmp_path)) ...
        receiver.wait(100)

It checks signatures and the promises: every event at least once, in order of each key. What it has
taken stays through a restart() of its listening side.
"""

import asyncio
import hashlib
import hmac
import json
import random
import socket
import threading
import time

SECRET = "events-secret-events-secret-0123456789abcdef"
FRESH_SECONDS = 300


def verify(secret, signature, body, now=None):
    """What a receiver does with the header Doorbuster-Signature before it believes a body."""
    fields = dict(field.split("=", 1) for field in signature.split(","))
    wanted = hmac.new(secret.encode(), fields["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    fresh = abs((now or time.time()) - int(fields["t"])) <= FRESH_SECONDS
    return fresh and hmac.compare_digest(wanted, fields["v1"])


class Connection(asyncio.Protocol):
    """One kept connection: requests one after the other."""

    def __init__(self, receiver):
        self.receiver = receiver
        self.input = b""

    def connection_made(self, transport):
        self.transport = transport
        self.receiver.connections.add(transport)

    def connection_lost(self, _error):
        self.receiver.connections.discard(self.transport)

    def data_received(self, data):
        self.input += data
        while True:
            head, found, rest = self.input.partition(b"\r\n\r\n")
            if not found:
                return
            fields = {}
            for line in head.decode().split("\r\n")[1:]:
                name, _, value = line.partition(":")
                fields[name.lower()] = value.strip()
            length = int(fields["content-length"])
            if len(rest) < length:
                return
            self.input = rest[length:]
            status = self.receiver.receive(fields, rest[:length])
            if status == 0:  # hangs up without a word
                self.transport.abort()
                return
            if status > 0:
                self.transport.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)


class Receiver:
    def __init__(self, fail=0.0, seed=1, keep=True):
        self.fail, self.dice, self.keep = fail, random.Random(seed), keep
        self.lock = threading.Lock()
        self.poisoned = set()  # ids, or keys, that are refused with 500
        self.away = False  # all are refused
        self.events = []  # bodies, as they were taken the first time
        self.ids = set()
        self.last = {}  # number of the last of each key
        self.again = self.tries = 0
        self.wrong = []
        self.connections = set()
        self.port = 0
        self.thread = None

    # ---- what comes ----

    def receive(self, fields, body):
        with self.lock:
            self.tries += 1
            if not verify(SECRET, fields["doorbuster-signature"], body):
                self.wrong.append(f"signature of {body[:200]}")
                return 401
            event = json.loads(body)
            if fields["doorbuster-event"] != event["id"]:
                self.wrong.append(f"header names {fields['doorbuster-event']}, body {event['id']}")
            if self.away or event["id"] in self.poisoned or event["key"] in self.poisoned:
                return 500
            dice = self.dice.random()
            if dice < self.fail:
                if dice < self.fail / 3:
                    self.take(event)  # and yet it is not answered
                    return 0
                return 500
            self.take(event)
            return 200

    def take(self, event):
        if event["id"] in self.ids:
            self.again += 1
            return
        last = self.last.get(event["key"], 0)
        if event["number"] != last + 1:
            self.wrong.append(f"{event['id']} after number {last}")
        self.last[event["key"]] = event["number"]
        self.ids.add(event["id"])
        if self.keep:
            self.events.append(event)

    # ---- life ----

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def listener(self):
        """Below the ports that connections are given: while it is down, nobody else gets it."""
        while True:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", self.port or random.randrange(10000, 30000)))
            except OSError:
                listener.close()
                time.sleep(0.01)
                continue
            self.port = listener.getsockname()[1]
            return listener

    def start(self):
        started = threading.Event()

        def run():
            self.loop = asyncio.new_event_loop()
            listener = self.listener()
            server = self.loop.run_until_complete(
                self.loop.create_server(lambda: Connection(self), sock=listener, backlog=256)
            )
            started.set()
            self.loop.run_forever()
            server.close()
            self.loop.run_until_complete(server.wait_closed())
            self.loop.run_until_complete(self.hang_up())
            self.loop.close()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert started.wait(10)

    async def hang_up(self):
        """On those, too, that were accepted and have not begun."""
        await asyncio.sleep(0.01)
        while self.connections:
            for transport in list(self.connections):
                transport.abort()
            await asyncio.sleep(0)

    def stop(self):
        if self.thread:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(10)
            self.thread = None

    def restart(self, after=0.0):
        self.stop()
        time.sleep(after)
        self.start()

    # ---- for tests ----

    def settings(self, directory, **more):
        secret = directory / "events-secret"
        secret.write_text(SECRET + "\n")
        return {
            "events__webhook_url": f"http://127.0.0.1:{self.port}/events?shop=1",
            "events__webhook_secret_file": secret,
            "events__retry_after": "10ms",
            "events__retry_max": "100ms",
            **more,
        }

    def wait(self, count, seconds=60):
        """Until so many different events have come, and nothing was wrong with them."""
        end = time.monotonic() + seconds
        while len(self.ids) < count:
            assert not self.wrong, self.wrong[:5]
            assert time.monotonic() < end, f"{len(self.ids)} of {count} events within {seconds} s"
            time.sleep(0.01)
        assert not self.wrong, self.wrong[:5]

    def of(self, key):
        with self.lock:
            return [event for event in self.events if event["key"] == key]
