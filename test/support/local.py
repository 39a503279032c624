# SPDX-License-Identifier: Apache-2.0
"""ops/local.sh as a person starts it: the stores of one topology, and the two lines that lead to them."""

import re
import signal
import subprocess

from support.daemon import PORTS, PR_SET_PDEATHSIG, ROOT, libc, listens, random

SPAN = 20


def free_span():
    """The first of some ports in a row on which nobody listens."""
    while True:
        first = random.choice(PORTS)
        if not any(listens(port) for port in range(first, first + SPAN)):
            return first


class Local:
    """One topology, running."""

    def __init__(self, topology, directory):
        self.topology, self.directory, self.first = topology, directory, free_span()

    def __enter__(self):
        self.process = subprocess.Popen(
            [ROOT / "ops/local.sh", self.topology, str(self.directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OPS_PORT": str(self.first)},
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )
        lines = [self.process.stdout.readline() for _ in range(2)]
        match = re.fullmatch(r"redis = (\S+)\npostgres = (\S+)\n", "".join(lines))
        assert match, f"said {lines}, {self.process.stderr.read()}"
        self.redis_url, self.postgres_url = match.groups()
        return self

    def stop(self, number=signal.SIGINT):
        """Gives the status and all that was said to stderr."""
        self.process.send_signal(number)
        said = self.process.communicate(timeout=30)[1]
        return self.process.returncode, said

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop(signal.SIGTERM)
        self.process.stdout.close()
        self.process.stderr.close()

    def ports_open(self):
        return [port for port in range(self.first, self.first + SPAN) if listens(port)]
