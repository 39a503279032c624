# SPDX-License-Identifier: Apache-2.0
"""`serve`: start and end, who may start, what profile `prod` asks for, signals."""

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
from support.program import KEY, run
from support.server import Server, wait_for

pytestmark = pytest.mark.embedded


# ---- start, stop, who may ----


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


def no_load_data(server):
    assert run("migrate", "--profile", "test", "--data", server.data)[0] == 0
    server.change_sql("UPDATE store SET load_data = 2")


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


def test_another_time_zone(serve):
    server = serve(prepare=no_load_data)
    server.stop()
    berlin = ("--set", "shop.time_zone=Europe/Berlin")
    assert run("migrate", "--data", server.data, *berlin)[0] == 0
    server.start()
    assert server.post("/api/admin/test/clock", {"now": "2026-03-01T00:00:00Z"})["now"].endswith("+01:00")
    server.make_users(1, 1, balance=10)
    server.post("/api/admin/products", {"productId": 1, "name": "a", "price": 1, "stock": 9}, 201)
    server.post("/api/orders/complete", {"userId": 1, "items": [{"productId": 1, "quantity": 1}]}, 201)
    server.stop()
    for verb in ("serve", "migrate", "seed"):
        code, _, err = run(verb, "--data", server.data, "--set", "shop.time_zone=Asia/Seoul")
        assert code == 1 and "sales by days of Europe/Berlin" in err
    assert run("migrate", "--data", server.data, *berlin)[0] == 0


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


# ---- signals ----


class Hammer(threading.Thread):
    """Reserves for one user after the other on a kept connection, until nobody listens any more."""

    def __init__(self, port, coupon, first_user):
        super().__init__()
        self.caller, self.coupon, self.first_user = Caller(port), coupon, first_user
        self.told, self.failed, self.refused, self.reset = [], [], False, None

    def run(self):
        user = self.first_user
        while not self.failed:
            way = ("issue", "reserve")[user % 2]
            try:
                answer = self.caller.raw(encode("POST", f"/api/coupons/{self.coupon}/{way}", {"userId": user}))
            except ConnectionRefusedError:
                self.refused = True
                return
            except ConnectionResetError:
                # Connected, but not accepted any more. `reset` must not have been served.
                self.refused, self.reset = True, user
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
    assert not {hammer.reset for hammer in hammers} & set(server.rows(coupon).values())
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
