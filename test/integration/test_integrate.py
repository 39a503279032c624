# SPDX-License-Identifier: Apache-2.0
"""docs/integrate.md, "Doorbuster beside an existing shop": its five steps, with the text that stands there."""

import json
import os
import pathlib
import re
import socket
import sqlite3
import subprocess
import sys

import pytest

from support.server import PROGRAM, die_with_parent, inherited, wait_for

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "integrate.md"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Steps:
    """The page's blocks of code, with places and ports of this test's own."""

    def __init__(self, directory):
        self.directory, self.processes = directory, []
        text = PAGE.read_text()
        for place in ("/etc/doorbuster", "/var/lib/doorbuster", "/var/lib/shop"):
            text = text.replace(place, f"{directory}{place}")
        text = text.replace("8080", str(free_port())).replace("9100", str(free_port()))
        (directory / "var/lib/shop").mkdir(parents=True)
        (directory / "bin").mkdir()
        (directory / "bin" / "doorbuster").symlink_to(pathlib.Path(PROGRAM).resolve())
        self.blocks = [
            re.findall(r"```(\w+)\n(.*?)```", step, re.DOTALL)[0] for step in re.split(r"^## \d\. ", text, flags=re.M)[1:]
        ]
        assert [language for language, _ in self.blocks] == ["sh", "python", "sh", "sh", "sh"]
        path = f"{directory}/bin:{os.environ['PATH']}"
        self.env = {**inherited(), "PATH": path}

    def run(self, number):
        """A step that comes to its end; gives what it wrote."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.blocks[number - 1][1]],
            capture_output=True, env=self.env, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, number, *words):
        """A step that stays."""
        log = open(self.directory / f"step{number}.log", "wb")  # noqa: SIM115
        command = [*words, self.blocks[number - 1][1]]
        self.processes.append(
            subprocess.Popen(command, stdout=log, stderr=log, env=self.env, preexec_fn=die_with_parent, start_new_session=True)
        )

    def log(self, number):
        return (self.directory / f"step{number}.log").read_text()

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(15)


@pytest.fixture
def steps(tmp_path):
    it = Steps(tmp_path)
    yield it
    it.close()


@pytest.mark.embedded
def test_beside_an_existing_shop(steps, tmp_path):
    steps.run(1)
    steps.start(2, sys.executable, "-c")
    steps.blocks[2] = ("sh", steps.blocks[2][1].replace("doorbuster serve", "exec doorbuster serve"))
    steps.start(3, "bash", "-euc")
    wait_for(lambda: "listening on" in steps.log(3), seconds=30, what="step 3")
    steps.run(4)
    coupon, answer = re.findall(r"\{.*?\}(?=\{|$)", steps.run(5))
    coupon, answer = json.loads(coupon), json.loads(answer)

    def taken():
        books = sqlite3.connect(tmp_path / "var/lib/shop/events.db")
        rows = books.execute("SELECT event FROM taken ORDER BY type").fetchall()
        books.close()
        return len(rows) == 2 and [json.loads(text) for (text,) in rows]

    issued, completed = wait_for(taken, what="both events")
    assert issued["type"] == "coupon.issued" and issued["key"] == "coupon-7"
    assert issued["data"]["userId"] == 42 and issued["data"]["userCouponId"] == coupon["userCouponId"]
    assert completed["type"] == "order.completed" and completed["key"] == "user-42" and completed["number"] == 1
    assert {name: completed["data"][name] for name in answer["order"]} == answer["order"]
    assert completed["data"]["couponId"] == 7 and completed["data"]["totalAmount"] == 400000


def test_members_are_those_of_the_page():
    """What the page says of an event is what the tests of events compare."""
    sample = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)[1].replace("{…}", "{}"))
    assert sorted(sample) == ["data", "id", "key", "number", "occurredAt", "type"]
