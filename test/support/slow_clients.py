# SPDX-License-Identifier: Apache-2.0
"""Many clients that send a request a byte at a time: python3 slow_clients.py PORT COUNT EVERY_SECONDS

A process of its own, so that it does not slow down the one that measures. Says "ready" when all are
connected; ends when the server has hung up on the last, with a line of JSON: how many were
connected, how long the longest lived, and how many were answered which status.
"""

import heapq
import json
import resource
import selectors
import socket
import sys
import time

REQUEST = b"POST /api/coupons/1/issue HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\nX-Slow: " + b"x" * 4000


class SlowClient:
    """Connected, it drips."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.sock.setblocking(False)
        self.since, self.sent, self.status = time.monotonic(), 0, None

    def drip(self):
        """One byte; False when the server has hung up."""
        try:
            self.sock.send(REQUEST[self.sent : self.sent + 1])
        except OSError:
            return False
        self.sent += 1
        return True

    def read(self):
        """Takes what was answered; False when the server has hung up."""
        try:
            data = self.sock.recv(4096)
        except OSError:
            return False
        if data.startswith(b"HTTP/1.1 "):
            self.status = int(data[9:12])
        return bool(data)


def main(port, count, every):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    selector, due, lived, statuses = selectors.DefaultSelector(), [], [], {}
    clients = [SlowClient(port) for _ in range(count)]
    for i, client in enumerate(clients):
        client.drip()
        selector.register(client.sock, selectors.EVENT_READ, client)
        heapq.heappush(due, (time.monotonic() + every * (i + 1) / count, i))
    print("ready", flush=True)
    left = count
    while left:
        for key, _ in selector.select(max(0.0, due[0][0] - time.monotonic()) if due else None):
            client = key.data
            if not client.read():
                selector.unregister(client.sock)
                client.sock.close()
                lived.append(time.monotonic() - client.since)
                statuses[client.status] = statuses.get(client.status, 0) + 1
                left -= 1
        while due and due[0][0] <= time.monotonic():
            at, i = heapq.heappop(due)
            if clients[i].drip():
                heapq.heappush(due, (at + every, i))
    print(json.dumps({"count": count, "longest_s": max(lived), "statuses": statuses}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
