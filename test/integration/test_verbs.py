# SPDX-License-Identifier: Apache-2.0
"""The command line: every verb as a person or a script meets it."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request

import pytest

from support.client import Caller, encode
from support.server import PROGRAM, Server, wait_for

VERBS = ["serve", "prove", "stampede", "migrate", "seed", "token", "config"]
KEY = "0123456789abcdef0123456789abcdef"


def run(*words, env=None, timeout=60):
    """(exit code, stdout, stderr)"""
    done = subprocess.run(
        [PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stdout, done.stderr


def snapshot(directory):
    """Everything about the files in a directory but when they were last read."""
    return {
        path.name: (path.stat().st_mtime_ns, path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(directory.iterdir())
    }


# ---- words ----


@pytest.mark.parametrize("verb", VERBS)
def test_help(verb):
    for words in ([verb, "--help"], ["help", verb]):
        code, out, err = run(*words)
        assert (code, err) == (0, "")
        assert f"usage: doorbuster {verb}" in out and "--help" in out


def test_list_and_version():
    code, out, _ = run("--help")
    assert code == 0 and all(re.search(rf"^  {verb} ", out, re.M) for verb in VERBS)
    assert run()[0] == 2
    code, out, _ = run("--version")
    assert code == 0
    assert re.match(r"doorbuster \d+\.\d+\.\d+\ncommit \S+\nbuilt with llhttp \d", out)
    assert "libuv 1." in out and "SQLite 3." in out


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["sevre"], 'did you mean "serve"?'),
        (["stampeed"], 'did you mean "stampede"?'),
        (["serve", "--profil", "local"], 'did you mean "--profile"?'),
        (["prove", "1", "--tolt", "x"], 'did you mean "--told"?'),
        (["serve", "--set", "http.idle_timeot=1s"], 'did you mean "http.idle_timeout"?'),
        (["serve", "--profile", "prd"], "prod"),
        (["prove"], "prove COUPON_ID"),
        (["prove", "x"], "COUPON_ID is a number"),
        (["stampede", "1"], "--users FROM-TO"),
        (["stampede", "1", "--users", "9-1"], "--users FROM-TO"),
        (["stampede", "1", "--users", "1-9", "--connections", "0"], "--connections"),
        (["token"], "--user ID"),
        (["serve", "--profile", "local", "--redis", "redis://127.0.0.1"], "Redis is not in this version"),
        (["prove", "1", "--postgres", "postgresql://127.0.0.1/x"], "PostgreSQL is not in this version"),
        (["copy", "--to", "x"], "comes with PostgreSQL"),
        (["gate", "rebuild", "1"], "comes with Redis"),
    ],
)
def test_wrong_words(words, near):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert near in err and err.startswith("doorbuster: ")


# ---- serve: start, stop, who may ----


def test_start_and_stop(serve):
    server = serve()
    assert (server.data.stat().st_mode & 0o777) == 0o700
    assert all((path.stat().st_mode & 0o077) == 0 for path in server.data.iterdir())
    assert server.get("/health/live")["status"] == "UP"
    lock = (server.data / "doorbuster.lock").read_text()
    assert lock == f"{server.pid} http://127.0.0.1:{server.port}\n"
    server.stop()
    assert (server.data / "doorbuster.lock").read_text() == ""
    assert not (server.data / "shop.db-wal").exists()
    server.start()
    assert server.get("/health/ready")["status"] == "UP"


def test_second_server_is_refused(serve, tmp_path):
    server = serve()
    second = Server(tmp_path / "second")
    second.directory.mkdir()
    second.data = server.data
    code, said = second.start_refused()
    assert code == 1
    assert f"process {server.pid} serving on http://127.0.0.1:{server.port}" in said
    for verb in ("seed", "migrate"):
        code, _, err = run(verb, "--data", server.data)
        assert code == 1 and str(server.pid) in err
    assert server.get("/health/ready")["status"] == "UP"


def test_a_killed_server_leaves_no_lock(serve):
    server = serve()
    server.kill9()
    server.start()
    assert server.get("/health/ready")["status"] == "UP"


def test_address_in_use(serve, tmp_path):
    server = serve()
    code, out, err = run("serve", "--profile", "local", "--data", tmp_path / "d", "--listen", f"127.0.0.1:{server.port}")
    assert (code, out) == (1, "")
    assert "cannot listen on" in err and "in use" in err


def test_two_threads_share_an_address(serve):
    server = serve(threads=2)
    coupon = server.make_coupon(200)
    server.make_users(500000, 200)
    told = server.directory / "told"
    code, out, err = run(
        "stampede", coupon, "--users", "500000-500199", "--connections", 50, "--data", server.data, "--told", told
    )
    assert code == 0, out + err


def test_local_says_where_to_look_next(tmp_path):
    server = Server(tmp_path, profile="local")
    server.launch()
    try:
        text = server.process.stdout.readline()
        assert re.match(r"listening on http://127\.0\.0\.1:\d+\n$", text)
        while " prove 100" not in text:
            line = server.process.stdout.readline()
            assert line, text
            text += line
        assert "/health/ready" in text and "/openapi.json" in text and "stampede 100" in text
        for command in re.findall(r"^  (curl .*)$", text, re.M):
            command = command.replace("curl ", "curl -fsS ", 1)
            done = subprocess.run(command, shell=True, capture_output=True, timeout=20, check=False)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
    finally:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        server.process.stdout.close()


def test_data_directory_that_is_none(tmp_path):
    (tmp_path / "file").write_text("x")
    code, _, err = run("serve", "--profile", "local", "--data", tmp_path / "file")
    assert code == 1 and "doorbuster: " in err
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "shop.db").write_text("this is not a database, it is a text of some length\n" * 100)
    code, _, err = run("serve", "--profile", "local", "--data", tmp_path / "d")
    assert code == 1 and "is not a store" in err


def test_another_profile_or_a_newer_store(serve, tmp_path):
    server = serve()
    server.stop()
    for profile in ("local", "prod"):
        code, _, err = run("serve", "--profile", profile, "--data", server.data)
        assert code == 1 and "made with profile test" in err
    with sqlite3.connect(server.data / "shop.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    code, _, err = run("serve", "--data", server.data)
    assert code == 1 and "newer version" in err
    code, _, err = run("serve", "--profile", "local", "--data", tmp_path / "z", "--set", "shop.time_zone=Asia/Soul")
    assert code == 1 and "Asia/Soul" in err


def test_journal_of_another_database(serve):
    one, two = serve(), serve()
    one.stop()
    two.stop()
    for path in one.data.glob("gate-*.journal"):
        path.unlink()
    for path in two.data.glob("gate-*.journal"):
        shutil.copy(path, one.data)
    code, said = one.start_refused()
    assert code == 1 and "another database" in said
    code, _, err = run("prove", 1, "--data", one.data)
    assert code == 2 and "another database" in err


# ---- prod ----


@pytest.fixture
def prod_flags(tmp_path):
    (tmp_path / "key").write_text(KEY + "\n")
    return ["--set", f"auth.secret_file={tmp_path / 'key'}", "--set", "payment.gateway=none"]


@pytest.fixture
def prod(tmp_path, prod_flags):
    """A server in profile prod, migrated, with a second address for operations."""
    server = Server(tmp_path, profile="prod", auth__secret_file=tmp_path / "key", payment__gateway="none")
    server.flags += ["--set", "ops.listen=127.0.0.1:0"]
    code, out, err = run("migrate", "--data", server.data)
    assert code == 0, out + err
    server.start()
    server.ops = re.match(r"operations on (http://127\.0\.0\.1:\d+)$", server.process.stdout.readline()).group(1)
    yield server
    server.close()


def test_prod_refusals(tmp_path, prod_flags):
    data = tmp_path / "d"
    code, _, err = run("serve", "--data", data)
    assert code == 1 and "auth.secret_file = " in err and "payment.gateway = none" in err
    code, _, err = run("serve", "--data", data, *prod_flags[2:])
    assert code == 1 and "auth.secret_file = " in err and "payment.gateway" not in err
    code, _, err = run("serve", "--data", data, *prod_flags[:2])
    assert code == 1 and "auth.secret_file" not in err and "payment.gateway = none" in err
    code, _, err = run("serve", "--data", data, *prod_flags)
    assert code == 1 and "doorbuster migrate" in err
    assert not data.exists()
    (tmp_path / "key").write_text("too short")
    assert run("migrate", "--data", data)[0] == 0
    code, _, err = run("serve", "--data", data, *prod_flags)
    assert code == 1 and "has at least 32" in err


def test_prod_has_no_load_data(tmp_path, prod_flags):
    data = tmp_path / "d"
    for words in ([], ["--profile", "prod"]):
        code, _, err = run("seed", "--data", data, *words)
        assert code == 1 and "refused in profile prod" in err
    assert not data.exists()
    assert run("seed", "--profile", "local", "--data", data)[0] == 0
    with sqlite3.connect(data / "shop.db") as connection:
        connection.execute("UPDATE store SET profile = 'prod'")
    connection.close()
    code, _, err = run("serve", "--data", data, *prod_flags)
    assert code == 1 and "load-test data" in err


def test_prod_does_not_migrate(tmp_path, prod_flags):
    data = tmp_path / "d"
    code, out, _ = run("migrate", "--status", "--data", data)
    assert code == 0 and "0001  pending" in out and not data.exists()
    code, out, _ = run("migrate", "--data", data)
    assert code == 0 and "profile prod" in out
    code, out, _ = run("migrate", "--status", "--data", data)
    assert code == 0 and "0001  applied" in out and "pending" not in out
    assert " 0 migration(s) applied" in run("migrate", "--data", data)[1]
    with sqlite3.connect(data / "shop.db") as connection:
        connection.execute("PRAGMA user_version = 0")
    connection.close()
    code, _, err = run("serve", "--data", data, *prod_flags)
    assert code == 1 and "doorbuster migrate" in err


def token(server, tmp_path, user, *more):
    code, out, err = run("token", "--user", user, *more, "--set", f"auth.secret_file={tmp_path / 'key'}")
    assert code == 0, err
    return ("Authorization", "Bearer " + out.strip())


def test_prod_wants_tokens(prod, tmp_path, prod_flags):
    admin = token(prod, tmp_path, 1, "--admin")
    mine, yours = token(prod, tmp_path, 7), token(prod, tmp_path, 8)

    def status(method, path, body=None, *headers):
        return prod.caller.raw(encode(method, path, body, headers)).status

    users = {"fromUserId": 1, "toUserId": 300}
    assert status("POST", "/api/admin/users", users) == 401
    assert status("POST", "/api/admin/users", users, mine) == 403
    assert status("POST", "/api/admin/users", users, admin) == 201
    assert status("GET", "/api/users/7") == 401
    assert status("GET", "/api/users/7", None, yours) == 403
    assert status("GET", "/api/users/7", None, mine) == 200
    assert status("GET", "/api/users/7", None, token(prod, tmp_path, 7, "--ttl", "1s")) == 200
    assert status("GET", "/metrics") == 401
    with urllib.request.urlopen(prod.ops + "/metrics") as answer:
        assert b"coupon_requests_total" in answer.read()

    coupon = {"couponId": 5, "name": "n", "discountRate": 1, "totalQuantity": 100, "endsAt": "2099-01-01T00:00:00Z"}
    assert status("POST", "/api/admin/coupons", coupon, admin) == 201
    told = tmp_path / "told"
    words = ["5", "--data", prod.data]
    crowd = ["--users", "1-300", "--connections", 20, "--told", told]
    code, out, err = run("stampede", *words, *crowd, *prod_flags)
    assert code == 0, out + err
    assert re.search(r"won +100$", out, re.M) and re.search(r"sold out +200$", out, re.M)
    code, _, err = run("prove", *words, "--told", told)
    assert code == 2 and "administrator's token" in err
    assert run("prove", *words, "--told", told, *prod_flags)[0] == 0
    bearer = admin[1].removeprefix("Bearer ")
    assert run("prove", "5", "--target", f"http://127.0.0.1:{prod.port}", "--token", bearer)[0] == 0


def test_token_needs_a_key(tmp_path):
    code, out, err = run("token", "--user", 1)
    assert (code, out) == (1, "") and "--config FILE" in err
    code, out, _ = run("token", "--user", 1, env={"DOORBUSTER_AUTH_SECRET": KEY})
    assert code == 0 and out.count(".") == 2
    assert run("token", "--user", "x", env={"DOORBUSTER_AUTH_SECRET": KEY})[0] == 2
    assert run("token", "--user", 1, "--ttl", "soon", env={"DOORBUSTER_AUTH_SECRET": KEY})[0] == 2


# ---- seed, config ----


def test_seed_twice(tmp_path):
    data = tmp_path / "d"
    code, out, _ = run("seed", "--profile", "local", "--data", data)
    assert code == 0 and "20253 users, 5 coupons and 2 issued" in out
    before = sqlite3.connect(data / "shop.db").execute("SELECT count(*), sum(balance) FROM users").fetchall()
    code, out, _ = run("seed", "--data", data)
    assert code == 0 and "is in already" in out
    after = sqlite3.connect(data / "shop.db").execute("SELECT count(*), sum(balance) FROM users").fetchall()
    assert before == after
    for coupon in (1, 3, 4):
        assert run("prove", coupon, "--data", data)[0] == 0


def test_config_says_where_from(tmp_path):
    (tmp_path / "shop.conf").write_text("[http]\nidle_timeout = 7s\n")
    words = ["config", "--config", tmp_path / "shop.conf", "--data", tmp_path, "--threads", "3"]
    code, out, _ = run(*words, env={"DOORBUSTER_LEDGER_BATCH_MAX": "77", "DOORBUSTER_AUTH_SECRET": KEY})
    assert code == 0
    assert re.search(r"^http.idle_timeout = 7s +; .*shop.conf:2$", out, re.M)
    assert re.search(r"^ledger.batch_max = 77 +; DOORBUSTER_LEDGER_BATCH_MAX$", out, re.M)
    assert re.search(r"^threads = 3 +; flag$", out, re.M)
    assert "users.external" not in out and KEY not in out
    code, out, _ = run(*words, "--all")
    assert code == 0 and re.search(r"^users.external = off +; default$", out, re.M)
    run("seed", "--profile", "local", "--data", tmp_path / "s")
    assert re.search(r"^profile = local +; store$", run("config", "--data", tmp_path / "s")[1], re.M)


def test_config_docs(tmp_path):
    assert run("config", "--docs", tmp_path)[0] == 0
    assert "`http.idle_timeout`" in (tmp_path / "config.md").read_text()
    assert "coupon_requests_total" in (tmp_path / "metrics.md").read_text()
    assert run("config", "--docs", tmp_path / "nowhere")[0] == 1


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


# ---- signals ----


class Hammer(threading.Thread):
    """Reserves for one user after the other on a kept connection, until nobody listens any more."""

    def __init__(self, port, coupon, first_user):
        super().__init__()
        self.caller, self.coupon, self.first_user = Caller(port), coupon, first_user
        self.told, self.failed, self.refused = [], [], False

    def run(self):
        user = self.first_user
        while not self.failed:
            way = ("issue", "reserve")[user % 2]
            try:
                answer = self.caller.raw(encode("POST", f"/api/coupons/{self.coupon}/{way}", {"userId": user}))
            except ConnectionRefusedError:
                self.refused = True
                return
            except OSError as problem:
                self.failed.append((user, problem))
                return
            if answer.status == 200:
                self.told.append((("issued", "reserved")[user % 2], user, answer.json["sequenceNumber"]))
            else:
                self.failed.append((user, answer))
            user += 1


@pytest.mark.parametrize("threads", [1, 2])
def test_drain_under_load(serve, tmp_path, threads):
    server = serve(threads=threads, http__drain_timeout="2s")
    users = 20000
    server.make_users(500000, 16 * users)
    coupon = server.make_coupon(1000000)
    hammers = [Hammer(server.port, coupon, 500000 + i * users) for i in range(16)]
    for hammer in hammers:
        hammer.start()
    wait_for(lambda: all(len(hammer.told) > 50 for hammer in hammers), what="load")
    idle = socket.create_connection(("127.0.0.1", server.port))  # never asks anything
    at = {}

    def watch():
        caller = Caller(server.port)
        while True:
            try:
                if caller.raw(encode("GET", "/health/ready")).status == 503:
                    at.setdefault("unready", time.monotonic())
            except OSError:
                at["closed"] = time.monotonic()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    at["signal"] = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    code = server.reap()
    at["end"] = time.monotonic()
    for thread in [*hammers, watcher]:
        thread.join(10)
    idle.close()
    assert code == 0, server.log_tail()
    assert at["end"] - at["signal"] < 2.2
    assert at["unready"] - at["signal"] < 0.2 and at["closed"] - at["unready"] > 0.1
    assert [hammer.failed for hammer in hammers] == [[]] * len(hammers)
    assert all(hammer.refused for hammer in hammers)
    told = tmp_path / "told"
    told.write_text("".join("%s %d %d\n" % entry for hammer in hammers for entry in hammer.told))
    code, out, err = run("prove", coupon, "--data", server.data, "--told", told)
    assert code == 0, out + err
    assert "the journal holds 0 not stored yet" in out


def test_slow_client_does_not_hold_up_the_end(serve):
    server = serve(http__drain_timeout="2s")
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"POST /api/coupons/1/issue HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n{")
        time.sleep(0.1)  # nothing tells from outside that it has been read
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.reap() == 0
        assert time.monotonic() - begin < 2.2


def test_second_signal_ends_at_once(serve):
    server = serve(http__drain_timeout="60s")
    server.expected_exit = (130,)
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.sendall(b"POST /api/coupons/1/issue HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n{")
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "draining" in server.log_text(), what="draining")
    server.process.send_signal(signal.SIGTERM)
    assert server.reap(3) == 130
    slow.close()
    server.start()
    assert server.get("/health/ready")["status"] == "UP"
    server.expected_exit = (0,)


def test_debug_is_switched_at_run_time(serve):
    server = serve()
    for level in ("debug", "info"):
        server.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: re.search(f'log level.*to.*"{level}"', server.log_text()), what=f"level {level}")
    assert server.get("/health/live")["status"] == "UP"
