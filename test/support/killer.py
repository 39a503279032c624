# SPDX-License-Identifier: Apache-2.0
"""Ends servers at the worst moment, and starts them again."""

import signal
import threading
import time

from support.client import storm

# Settings that change the course of events, but not what is true afterwards.
VARIANTS = [
    [],
    ["--set", "journal.generation_bytes_max=4K"],
    ["--set", "ledger.batch_max=7"],
    ["--set", "ledger.reserve_linger=1900ms"],
    ["--set", "gate.reserve_durability=ledger"],
]


class Killer:
    """Kills the server at a random moment of a storm, or while it starts, or while it drains."""

    def __init__(self, server, rng, variants=VARIANTS):
        self.server, self.rng, self.variants, self.kills = server, rng, variants, 0

    def storm(self, callers):
        """Ends in a kill: after so many answers, or some time after the first one; gives what was asked."""
        answers = self.rng.choice((0, self.rng.randrange(1, 800)))
        delay = self.rng.choice((0.01, 0.05, 0.2)) * self.rng.random()
        timer = threading.Timer(delay, self.kill)

        def on_answer(running, _):
            if running.count == answers:
                self.server.process.send_signal(signal.SIGKILL)
            if not timer.ident:
                timer.start()

        asked = storm(self.server, callers.stream(), self.rng.choice((8, 64)), on_answer=on_answer)
        timer.join()
        self.server.reap()
        self.kills += 1
        return asked

    def kill(self):
        process = self.server.process
        if self.rng.random() < 0.1:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3 * self.rng.random())
        process.send_signal(signal.SIGKILL)

    def restart(self):
        """On the same directory; one time in five it is killed while it starts, and starts again."""
        flags = list(self.server.flags)
        self.server.flags = flags + self.rng.choice(self.variants) + ["--threads", str(self.rng.choice((1, 2)))]
        while self.rng.random() < 0.2:
            self.server.launch()
            time.sleep(0.04 * self.rng.random())
            self.server.process.send_signal(signal.SIGKILL)
            self.server.reap()
            self.kills += 1
        self.server.start()
        self.server.flags = flags
