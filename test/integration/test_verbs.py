# SPDX-License-Identifier: Apache-2.0
"""The command line: words, help, and the verbs that make and describe a shop."""

import re
import sqlite3

import pytest

from support.program import KEY, run

VERBS = ["serve", "prove", "stampede", "migrate", "seed", "token", "config", "copy"]


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
        (["copy"], "copy --to CONFIG"),
        (["gate", "open", "1"], "gate rebuild COUPON_ID"),
        (["gate", "rebuild", "x"], "COUPON_ID is a number"),
    ],
)
def test_wrong_words(words, near):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert near in err and err.startswith("doorbuster: ")


# ---- token, seed, config ----


def test_token_needs_a_key(tmp_path):
    code, out, err = run("token", "--user", 1)
    assert (code, out) == (1, "") and "--config FILE" in err
    code, out, _ = run("token", "--user", 1, env={"DOORBUSTER_AUTH_SECRET": KEY})
    assert code == 0 and out.count(".") == 2
    assert run("token", "--user", "x", env={"DOORBUSTER_AUTH_SECRET": KEY})[0] == 2
    assert run("token", "--user", 1, "--ttl", "soon", env={"DOORBUSTER_AUTH_SECRET": KEY})[0] == 2


def test_seed_twice(tmp_path):
    data = tmp_path / "d"
    code, out, _ = run("seed", "--profile", "local", "--data", data)
    assert code == 0 and "20253 users, 5 coupons, 2 issued coupons, 21 products" in out
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
