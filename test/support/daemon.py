# SPDX-License-Identifier: Apache-2.0
"""A process that a test starts, kills, freezes and starts again; what all the stores have in common."""

import ctypes
import fcntl
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = pathlib.Path(os.environ.get("DOORBUSTER_TOOLS", ROOT / ".tools"))
START_SECONDS = 20
STOP_SECONDS = 10
PR_SET_PDEATHSIG = 1
# Below what the kernel gives to clients, so that a port is still free after its owner was killed.
PORTS = range(12000, 32000)
PREFIX = "doorbuster-stores-"

libc = ctypes.CDLL(None)
taken = set()


class Ended(Exception):
    """A process that should be there has ended."""


def free_port():
    """One that nobody listens on and that was not given out before by this process."""
    while True:
        port = random.choice(PORTS)
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        taken.add(port)
        return port


def wait_until(condition, what, seconds=START_SECONDS, every=0.02):
    """Polls until `condition` gives something true, and gives that; an OSError is a no."""
    end = time.monotonic() + seconds
    while True:
        try:
            result = condition()
        except OSError:
            result = None
        if result:
            return result
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


def listens(port):
    """Does somebody take connections there?"""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def binary(name, *others):
    """Path of a program: on PATH, in .tools/bin, or one of the `others` that is there."""
    found = shutil.which(name) or shutil.which(name, path=str(TOOLS / "bin"))
    for other in (found, *others):
        if other and os.access(other, os.X_OK):
            return str(other)
    raise FileNotFoundError(f"{name} is not there: ./dev setup")


def unprivileged():
    """Who runs what refuses to run as root: `postgres`; None where we are nobody special already."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


class Scratch:
    """A directory of its own, gone at the end. Those that killed runs left behind are cleared away."""

    def __init__(self, parent=None):
        self.parent = pathlib.Path(parent or tempfile.gettempdir())
        self.clear_stale()
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.parent))
        self.path.chmod(0o755)
        self.lock = open(self.path / ".lock", "w", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def clear_stale(self):
        """A directory whose lock nobody holds belongs to nobody. A young one may not have locked yet."""
        for path in self.parent.glob(PREFIX + "*"):
            try:
                if time.time() - path.stat().st_mtime < 60:
                    continue
                with open(path / ".lock", "r+", encoding="ascii") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            except OSError:
                continue

    def folder(self, name):
        path = self.path / name
        path.mkdir()
        return path

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)
        self.lock.close()


class Daemon:
    """One process in a directory, on a port. Dies with the thread that started it."""

    name = "daemon"
    stop_signal = signal.SIGTERM

    def __init__(self, directory, port=None):
        self.directory = pathlib.Path(directory)
        self.port = port or free_port()
        self.log = self.directory / "log"
        self.process = None
        self.user = None

    # ---- what each kind says of itself ----

    def command(self):
        """Its arguments; the first is the program."""
        raise NotImplementedError

    def ready(self):
        """Asked until true, after the start."""
        return listens(self.port)

    # ---- its life ----

    def start(self, wait=True):
        self.launch()
        if wait:
            self.wait_ready()
        return self

    def launch(self):
        words = [str(word) for word in self.command()]
        who = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
                **who,
            )

    def wait_ready(self, seconds=START_SECONDS):
        def look():
            if self.process.poll() is not None:
                raise Ended(f"{self} ended with {self.process.returncode}:\n{self.log_tail()}")
            return self.ready()

        try:
            wait_until(look, f"{self} is ready", seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log_tail()}") from None

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        os.kill(self.process.pid, number)

    def kill9(self):
        """SIGKILL to this very process."""
        self.send(signal.SIGKILL)
        self.process.wait(STOP_SECONDS)
        self.process = None

    def freeze(self):
        """It hangs, and closes nothing."""
        self.send(signal.SIGSTOP)

    def thaw(self):
        self.send(signal.SIGCONT)

    def stop(self):
        """As its manual says; killed when that takes too long."""
        if not self.alive():
            self.process = None
            return
        self.send(signal.SIGCONT)
        self.send(self.stop_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
        self.process = None

    def end(self):
        """At the end of a test, when nothing it holds is wanted any more: at once."""
        if self.alive():
            self.process.kill()
            self.process.wait(STOP_SECONDS)
        self.process = None

    def restart(self, kill=False):
        if self.alive():
            if kill:
                self.kill9()
            else:
                self.stop()
        return self.start()

    def log_tail(self, lines=30):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def __repr__(self):
        return f"<{self.name} on {self.port}>"
