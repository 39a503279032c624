# SPDX-License-Identifier: Apache-2.0
"""HTTP from outside: a storm of many connections at once, and one call after the other."""

import asyncio
import json
import socket
import time

from support import contract


class Request:
    """One request, as bytes; `user`, `way` and whatever else the test wants to find again. When it was
    sent and answered is said by a storm, of time.monotonic()."""

    __slots__ = ("method", "path", "raw", "user", "way", "answer", "sent_at", "answered_at")

    def __init__(self, method, path, body=None, user=None, way=None, headers=()):
        self.method, self.path, self.user, self.way = method, path, user, way
        self.raw = encode(method, path, body, headers)
        self.answer = self.sent_at = self.answered_at = None


class Answer:
    """What came back: status, body and, parsed when asked for, headers and JSON."""

    __slots__ = ("status", "head", "body")

    def __init__(self, status, head, body):
        self.status, self.head, self.body = status, head, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The symbolic name of a problem; None of any other answer."""
        return self.json["error"] if self.status >= 400 else None

    @property
    def headers(self):
        """Names in lower case; repeated ones joined by commas."""
        fields = {}
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return fields

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def encode(method, path, body=None, headers=()):
    """The bytes of a request; `body` is JSON unless it is bytes."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: t"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def body_length(head):
    """Content-Length of an answer's head; a 204 has none."""
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    end = lower.find(b"\r\n", at + 2)
    return int(lower[at + 17 : end if end >= 0 else len(lower)])


class Connection(asyncio.Protocol):
    """Takes requests from the storm, `depth` of them at a time, and files the answers."""

    def __init__(self, storm):
        self.storm, self.buffer, self.sent = storm, b"", []

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.storm.connected(self)

    def feed(self):
        """Sends while there is room and something to send; hangs up when all is done."""
        batch = []
        while len(self.sent) < self.storm.depth:
            request = self.storm.next_request()
            if request is None:
                break
            request.sent_at = time.monotonic()
            self.sent.append(request)
            batch.append(request.raw)
        if batch:
            self.transport.write(b"".join(batch))
        elif not self.sent:
            self.transport.close()

    def data_received(self, data):
        self.buffer += data
        while self.sent:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end]
            stop = end + 4 + body_length(head)
            if len(self.buffer) < stop:
                return
            request = self.sent.pop(0)
            request.answer = Answer(int(head[9:12]), head, self.buffer[end + 4 : stop])
            request.answered_at = time.monotonic()
            self.buffer = self.buffer[stop:]
            self.storm.answered(request)
        self.feed()

    def connection_lost(self, exc):
        self.storm.lost(self)


class Storm:
    """Many connections, to each of the ports in turn, that work off one stream of requests together."""

    def __init__(self, ports, requests, connections, depth=1, on_answer=None):
        self.ports, self.requests, self.depth = ports, iter(requests), depth
        self.connections, self.on_answer = connections, on_answer
        self.open, self.asked, self.count, self.stopped = 0, [], 0, False
        self.starters = []

    def connected(self, connection):
        """All start at once, when the last one is there."""
        self.starters.append(connection)
        if len(self.starters) == self.connections:
            for starter in self.starters:
                starter.feed()

    def next_request(self):
        request = None if self.stopped else next(self.requests, None)
        if request is not None:
            self.asked.append(request)
        return request

    def answered(self, request):
        self.count += 1
        if self.on_answer:
            self.on_answer(self, request)

    def lost(self, connection):
        self.open -= 1
        if self.open == 0 and not self.over.done():
            self.over.set_result(None)

    async def run(self):
        loop = asyncio.get_running_loop()
        self.over = loop.create_future()
        self.open = self.connections
        for i in range(self.connections):
            try:
                port = self.ports[i % len(self.ports)]
                await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            except OSError:
                self.connections -= 1
                self.lost(None)
        await self.over
        return self.asked


def storm(server, requests, connections=64, depth=1, on_answer=None):
    """Everything that was asked, in that order; `answer` is None where none came."""
    asked = asyncio.run(Storm(server.ports, requests, connections, depth, on_answer).run())
    for request in asked:
        if request.answer is not None:
            contract.check(request.method, request.path, request.answer)
    return asked


class Caller:
    """One connection, one call after the other; opened again when the server has closed it."""

    def __init__(self, port, timeout=30):
        self.port, self.timeout, self.sock, self.buffer = port, timeout, None, b""

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock, self.buffer = None, b""

    def raw(self, data):
        """Bytes out, one answer in."""
        if not self.sock:
            self.sock = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock.sendall(data)
        return self.read(head_only=data.startswith(b"HEAD "))

    def more(self):
        """Reads on; False at the end."""
        data = self.sock.recv(1 << 18)
        self.buffer += data
        return bool(data)

    def read(self, head_only=False):
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                self.close()
                raise ConnectionError("closed without an answer")
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            self.buffer = rest
            body = self.read_chunks()
        else:
            need = 0 if head_only else body_length(head)
            while len(rest) < need:
                if not self.more():
                    raise ConnectionError("closed in the middle of an answer")
                rest = self.buffer.partition(b"\r\n\r\n")[2]
            body, self.buffer = rest[:need], rest[need:]
        if b"connection: close" in head.lower():
            self.close()
        return Answer(int(head[9:12]), head, body)

    def read_chunks(self):
        body = b""
        while True:
            while b"\r\n" not in self.buffer:
                self.more()
            size, _, rest = self.buffer.partition(b"\r\n")
            need = int(size, 16)
            while len(rest) < need + 2:
                self.more()
                rest = self.buffer.partition(b"\r\n")[2]
            body, self.buffer = body + rest[:need], rest[need + 2 :]
            if need == 0:
                return body

    def call(self, method, path, body=None, headers=()):
        """One call, its answer held against the contract."""
        data = encode(method, path, body, headers)
        try:
            answer = self.raw(data)
        except (ConnectionError, BrokenPipeError):
            if not self.sock and method != "GET":
                raise
            self.close()
            answer = self.raw(data)
        contract.check(method, path, answer)
        return answer
