# SPDX-License-Identifier: Apache-2.0
"""Redis from a test: one connection, one call after the other."""

import socket


class RedisError(Exception):
    """What Redis answered with a minus sign."""


class Resp:
    """RESP2. Bulk strings come back as text, or as bytes where they are none."""

    def __init__(self, port, timeout=5, password=None, user=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.sock.makefile("rb")
        if password is not None:
            self.call("AUTH", *([user] if user else []), password)

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, *words):
        self.send(*words)
        return self.read()

    def send(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.sock.sendall(b"".join(parts))

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RedisError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self.read_bulk(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self.read_item() for _ in range(int(rest))]
        raise ValueError(f"not RESP: {line!r}")

    def read_item(self):
        """An error inside an array is one of its members."""
        try:
            return self.read()
        except RedisError as error:
            return error

    def read_bulk(self, length):
        if length < 0:
            return None
        data = self.file.read(length + 2)[:-2]
        if len(data) < length:
            raise ConnectionError("Redis closed the connection")
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data
