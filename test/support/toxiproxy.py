# SPDX-License-Identifier: Apache-2.0
"""toxiproxy in front of a store: a link that is slow, cut into pieces, reset, or silent."""

import http.client
import json
import re

from support.daemon import Daemon, binary, free_port


class Toxiproxy(Daemon):
    """The server; links are made with `link`."""

    name = "toxiproxy"

    def command(self):
        return [binary("toxiproxy-server"), "-host", "127.0.0.1", "-port", self.port]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def api(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"User-Agent": "doorbuster", "Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise ConnectionError(f"toxiproxy: {method} {path}: {answer.status} {text}")
        return json.loads(text) if text else None

    def link(self, name, port):
        """A new link to that port of this machine."""
        mine = free_port()
        self.api("POST", "/proxies", {"name": name, "listen": f"127.0.0.1:{mine}", "upstream": f"127.0.0.1:{port}"})
        return Link(self, name, mine)


class Link:
    """One link; `port` is where its clients connect."""

    def __init__(self, proxy, name, port):
        self.proxy, self.name, self.port = proxy, name, port

    def url_of(self, url):
        """The URL of the store behind, with this link's port in it. Of one host only."""
        return re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{self.port}", url, count=1)

    def toxic(self, kind, stream="downstream", toxicity=1.0, **attributes):
        """Adds one; see toxiproxy's manual for kinds and attributes. Gives its name for `remove`."""
        name = f"{kind}_{stream}"
        body = {"name": name, "type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        self.proxy.api("POST", f"/proxies/{self.name}/toxics", body)
        return name

    def remove(self, name):
        self.proxy.api("DELETE", f"/proxies/{self.name}/toxics/{name}")

    def latency(self, milliseconds, jitter=0):
        """In each direction."""
        return [self.toxic("latency", way, latency=milliseconds, jitter=jitter) for way in ("upstream", "downstream")]

    def slicer(self, size=16, delay_us=100):
        """Data comes in small pieces."""
        return [
            self.toxic("slicer", way, average_size=size, size_variation=size // 2, delay=delay_us)
            for way in ("upstream", "downstream")
        ]

    def blackhole(self):
        """Nothing comes through, and nobody hangs up."""
        return [self.toxic("timeout", way, timeout=0) for way in ("upstream", "downstream")]

    def reset(self):
        """Every connection is reset, as is every new one."""
        return [self.toxic("reset_peer", "downstream", timeout=0)]

    def set_up(self, up):
        """Down: connections are closed and new ones refused."""
        self.proxy.api("POST", f"/proxies/{self.name}", {"enabled": up})

    def heal(self):
        """No toxics, and up."""
        for toxic in self.proxy.api("GET", f"/proxies/{self.name}/toxics"):
            self.remove(toxic["name"])
        self.set_up(True)
