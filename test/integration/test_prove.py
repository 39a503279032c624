# SPDX-License-Identifier: Apache-2.0
"""`prove` and `stampede`: what they see, what they miss if it is planted, what they answer."""

import hashlib
import http.server
import json
import re
import shutil
import socket
import sqlite3
import threading

import pytest

from support.program import run
from support.server import Server

pytestmark = pytest.mark.embedded


def snapshot(directory):
    """Everything about the files in a directory but when they were last read."""
    return {
        path.name: (path.stat().st_mtime_ns, path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(directory.iterdir())
    }


# ---- prove ----

REBUILD = """
CREATE TABLE loose AS SELECT * FROM user_coupons;
DROP TABLE user_coupons;
ALTER TABLE loose RENAME TO user_coupons;
"""

FAULTS = {
    "row deleted": ("DELETE FROM user_coupons WHERE coupon_id = 77 AND slot = 5", "witness"),
    "highest row deleted": ("DELETE FROM user_coupons WHERE coupon_id = 77 AND slot = 20", "witness"),
    "row given to another": ("UPDATE user_coupons SET user_id = 999 WHERE coupon_id = 77 AND slot = 5", "witness"),
    "slot twice": (
        REBUILD + "INSERT INTO user_coupons SELECT coupon_id, slot, 999, 999, issued_at, expires_at, uses, used_at"
        " FROM user_coupons WHERE coupon_id = 77 AND slot = 5",
        "sequence",
    ),
    "user twice": (
        REBUILD + "INSERT INTO user_coupons SELECT coupon_id, 21, user_id, 999, issued_at, expires_at, uses, used_at"
        " FROM user_coupons WHERE coupon_id = 77 AND slot = 5",
        "users",
    ),
    "quantity lowered": ("UPDATE coupons SET total_quantity = 10 WHERE coupon_id = 77", "quantity"),
    "row beyond the quantity": ("UPDATE user_coupons SET slot = 31 WHERE coupon_id = 77 AND slot = 20", "quantity"),
    "witness changed": ("UPDATE coupons SET witness = witness + 1 WHERE coupon_id = 77", "witness"),
}


@pytest.fixture(scope="module")
def drop(tmp_path_factory):
    """A store at rest: coupon 77 with 20 of 30 issued, to users 1000..1019; and what they were told."""
    server = Server(tmp_path_factory.mktemp("drop")).start()
    server.make_coupon(30, coupon=77)
    with open(server.directory / "told", "w", encoding="ascii") as told:
        for i in range(20):
            way = ("issue", "reserve")[i % 2]
            answer = server.take(way, 77, 1000 + i)
            assert answer.status == 200
            print(("issued", "reserved")[i % 2], 1000 + i, answer.json["sequenceNumber"], file=told)
    server.settled(77)
    server.stop()
    return server


def prove(data, *words):
    """(exit code, the proof or None, what went wrong)"""
    code, out, err = run("prove", 77, "--data", data, "--json", *words)
    return code, json.loads(out) if out else None, err


def broken(proof):
    return {check["name"] for check in proof["checks"] if not check["ok"]}


def test_prove_at_rest(drop):
    before = snapshot(drop.data)
    code, proof, _ = prove(drop.data, "--told", drop.directory / "told")
    assert code == 0 and proof["ok"] and not broken(proof)
    assert (proof["couponId"], proof["totalQuantity"], proof["issued"], proof["distinctUsers"]) == (77, 30, 20, 20)
    assert (proof["firstSequence"], proof["lastSequence"], proof["gaps"]) == (1, 20, [])
    assert [check["name"] for check in proof["checks"]] == ["quantity", "users", "sequence", "witness", "gate", "told"]
    code, out, _ = run("prove", 77, "--data", drop.data)
    assert code == 0 and out.endswith("proved\n") and out.count("✓") == 5
    assert snapshot(drop.data) == before


@pytest.mark.parametrize("fault", FAULTS)
def test_prove_finds(drop, tmp_path, fault):
    statements, check = FAULTS[fault]
    data = tmp_path / "data"
    shutil.copytree(drop.data, data)
    connection = sqlite3.connect(data / "shop.db")
    connection.executescript(statements)
    connection.commit()
    connection.close()
    code, proof, err = prove(data)
    assert code == 1, (proof, err)
    assert not proof["ok"] and check in broken(proof)
    code, out, _ = run("prove", 77, "--data", data)
    assert code == 1 and f"✗ {check}" in out and out.endswith("BROKEN\n")


@pytest.mark.parametrize("fault", ["row deleted", "highest row deleted"])
def test_prove_finds_it_after_a_restart(drop, serve, fault):
    server = serve()
    server.stop()
    shutil.rmtree(server.data)
    shutil.copytree(drop.data, server.data)
    server.change_sql(FAULTS[fault][0])
    server.start()
    code, proof, _ = prove(server.data)
    assert code == 1 and "witness" in broken(proof)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("issued 1000 1", 0),
        ("reserved 1001 2", 0),
        ("already 1001 2", 0),
        ("issued 999 3", 1),
        ("issued 1000 2", 1),
        ("reserved 1000 21", 1),
        ("reserved 999 21", 1),
        ("issued 1000", 2),
        ("sold 1000 1", 2),
    ],
)
def test_prove_told(drop, serve, tmp_path, line, code):
    (tmp_path / "told").write_text(f"# told\n{line}\n")
    assert prove(drop.data, "--told", tmp_path / "told")[0] == code


def test_prove_told_of_a_running_server(drop, serve, tmp_path):
    server = serve()
    server.stop()
    shutil.rmtree(server.data)
    shutil.copytree(drop.data, server.data)
    server.start()
    code, proof, _ = prove(server.data, "--told", drop.directory / "told")
    assert code == 0 and "told" in [check["name"] for check in proof["checks"]]
    (tmp_path / "told").write_text("issued 999 3\n")
    code, proof, _ = prove(server.data, "--told", tmp_path / "told")
    assert code == 1 and broken(proof) == {"told"}
    detail = [check["detail"] for check in proof["checks"] if check["name"] == "told"]
    assert "user 999 was told issued 3 and has no row" in detail[0]


def test_prove_counts_what_only_the_journal_has(serve, tmp_path):
    server = serve()
    server.make_coupon(30, coupon=77)
    writer = sqlite3.connect(server.data / "shop.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")  # nobody else writes a row now
    told = tmp_path / "told"
    told.write_text("".join(f"reserved {1000 + i} {i + 1}\n" for i in range(5)))
    for i in range(5):
        answer = server.take("reserve", 77, 1000 + i)
        assert (answer.status, answer.json["sequenceNumber"]) == (200, i + 1)
    server.kill9()
    writer.close()
    before = snapshot(server.data)
    code, proof, err = prove(server.data, "--told", told)
    assert code == 0, (proof, err)
    assert proof["issued"] == 0 and proof["gaps"] == [{"from": 1, "to": 5, "why": "pending"}]
    told.write_text("issued 1000 1\n")
    assert prove(server.data, "--told", told)[0] == 1
    told.write_text("reserved 1001 1\n")
    assert prove(server.data, "--told", told)[0] == 1
    assert snapshot(server.data) == before
    server.start()
    proof = server.settled(77)
    assert proof["ok"] and proof["issued"] == 5


def test_prove_could_not_look(drop, tmp_path):
    assert prove(tmp_path)[0] == 2
    code, _, err = run("prove", 12345, "--data", drop.data)
    assert code == 2 and "has no coupon 12345" in err
    assert prove(drop.data, "--told", tmp_path / "nowhere")[0] == 2
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        code, _, err = prove(drop.data, "--target", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert code == 2 and "nobody answers" in err
    for url in ("https://127.0.0.1", "127.0.0.1:80", "http://127.0.0.1:0", "http://127.0.0.1/api"):
        assert prove(drop.data, "--target", url)[0] == 2


class Busy(http.server.BaseHTTPRequestHandler):
    """In front of a server: `busy` requests get a 503 first."""

    def do_GET(self):
        self.server.busy -= 1
        if self.server.busy >= 0:
            self.send_error(503)
            return
        answer = self.server.behind.call("GET", self.path, None, [("Accept", self.headers["Accept"])])
        self.send_response(answer.status)
        self.send_header("Content-Length", len(answer.body))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_):
        """Nothing to say."""


@pytest.mark.parametrize(("busy", "status"), [(2, 0), (1000, 2)])
def test_prove_asks_a_busy_server_again(drop, serve, busy, status):
    """Its stores may be away for a moment; for how long they are waited for has an end."""
    server = serve()
    server.make_coupon(30, coupon=77)
    with http.server.HTTPServer(("127.0.0.1", 0), Busy) as front:
        front.busy, front.behind = busy, server
        threading.Thread(target=front.serve_forever, daemon=True).start()
        code, _, err = prove(drop.data, "--target", f"http://127.0.0.1:{front.server_port}")
        front.shutdown()
    assert code == status, err
    assert status == 0 or "status 503" in err


# ---- stampede ----


@pytest.mark.parametrize("way", [[], ["--issue"], ["--mixed"]])
def test_stampede(serve, tmp_path, way):
    server = serve()
    server.make_users(500000, 2000)
    coupon = server.make_coupon(300)
    words = ["--users", "500000-501999", "--connections", 64, "--data", server.data, "--told", tmp_path / "told"]
    code, out, err = run("stampede", coupon, *words, *way)
    assert code == 0, out + err
    counts = dict(re.findall(r"^  (won|sold out|already|other 4xx|503|errors) +([\d,]+)", out, re.M))
    assert counts == {"won": "300", "sold out": "1,700", "already": "0", "other 4xx": "0", "503": "0", "errors": "0"}
    assert re.search(r"latency +p50 [\d.]+ (µs|ms) ", out) and "█" in out and out.endswith("proved\n")
    lines = (tmp_path / "told").read_text().splitlines()
    kinds = {line.split()[0] for line in lines}
    assert len(lines) == 300 and kinds == {"": {"reserved"}, "--issue": {"issued"}}.get(
        "".join(way), {"issued", "reserved"}
    )
    assert sorted(int(line.split()[2]) for line in lines) == list(range(1, 301))
    assert run("prove", coupon, "--data", server.data, "--told", tmp_path / "told")[0] == 0

    code, out, _ = run("stampede", coupon, *words, *way)
    assert code == 0 and re.search(r"already +300$", out, re.M) and re.search(r"sold out +1,700$", out, re.M)
    server.stop()
    assert run("prove", coupon, "--data", server.data, "--told", tmp_path / "told")[0] == 0


def test_stampede_exit_codes(serve, tmp_path):
    server = serve()
    coupon = server.make_coupon(3)
    words = ["--users", "1000-1009", "--data", server.data]
    assert run("stampede", 12345, *words)[0] == 2
    assert run("stampede", coupon, *words, "--target", "http://192.0.2.1:80")[0] == 2
    code, out, _ = run("stampede", coupon, "--users", "900000-900009", "--data", server.data)
    assert code == 0 and "such as: 404 USER_NOT_FOUND" in out
    assert run("stampede", coupon, *words)[0] == 0
    server.change_sql("DELETE FROM user_coupons WHERE coupon_id = ? AND slot = 2", coupon)
    code, out, _ = run("stampede", coupon, *words)
    assert code == 1 and out.endswith("BROKEN\n")
    server.stop()
    code, _, err = run("stampede", coupon, *words)
    assert code == 2 and "no server runs" in err
