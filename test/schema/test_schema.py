# SPDX-License-Identifier: Apache-2.0
"""schemathesis against the running server: requests made from /openapi.json, the answers held against it.

SCHEMA_EXAMPLES: cases per operation and phase (default 40; some hundreds are the whole thing).
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from support import invariants
from support.program import KEY, run
from support.server import Server

CONFIG = pathlib.Path(__file__).with_name("schemathesis.toml")
EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "40"))
SCHEMATHESIS = pathlib.Path(sys.executable).with_name("schemathesis")
# Switches stores off and moves the clock: by itself, or it would spoil every answer after it.
TEST_ROUTES = "test"
# Want a dead event, and there is none before a receiver has refused one many times: test_events.py has some.
OF_DEAD_EVENTS = [f"POST /api/admin/events/dead/{{deadEventId}}/{what}" for what in ("replay", "skip")]


class Run:
    """One run of the command line tool, and its report."""

    def __init__(self, server, tmp_path, *words, document=None, examples=EXAMPLES, config=CONFIG, env=None):
        report = tmp_path / "report.json"
        target = f"http://127.0.0.1:{server.port}"
        where = [str(document), "--url", target] if document else [f"{target}/openapi.json"]
        done = subprocess.run(
            [SCHEMATHESIS, "--config-file", config, "--no-color", "run", *where]
            + ["--report", "json", "--report-json-path", report, "--max-examples", str(examples), *words],
            capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(CONFIG.parent), **(env or {})},
        )  # fmt: skip
        self.code, self.said = done.returncode, done.stdout + done.stderr
        assert report.exists(), self.said[-4000:]
        self.report = json.loads(report.read_text())

    def failures(self):
        return {failure["type"] for failure in self.report["failures"]}

    def never_accepted(self):
        """Operations of which no request got further than a refusal: nothing was seen of their answers."""
        rates = self.report["valid_rates"].items()
        return sorted(name for name, phases in rates if not any(p["accepted"] for p in phases.values()))

    def assert_clean(self):
        assert self.code == 0 and self.report["complete"], self.said[-8000:]
        assert not self.report["failures"] and not self.report["errors"], self.said[-8000:]
        print(f"{self.report['test_cases']['generated']} cases of {self.report['operations']['tested']} operations")


def test_every_route(server, tmp_path):
    seen = Run(server, tmp_path, "--exclude-tag", TEST_ROUTES)
    seen.assert_clean()
    assert seen.never_accepted() == OF_DEAD_EVENTS
    assert not invariants.broken(server.data / "shop.db")


def test_the_routes_of_profile_test(server, tmp_path):
    seen = Run(server, tmp_path, "--include-tag", TEST_ROUTES)
    seen.assert_clean()
    assert not seen.never_accepted()


def admin_token(data, user):
    code, out, err = run("token", "--user", user, "--admin", "--data", data, env={"DOORBUSTER_AUTH_SECRET": KEY})
    assert code == 0, err
    return out.strip()


def test_with_tokens_in_prod(tmp_path):
    """What it sends without a token, or with a wrong one, must be refused."""
    server = Server(tmp_path, profile="prod", auth__secret=KEY, payment__gateway="none")
    code, out, err = run("migrate", "--data", server.data)
    assert code == 0, out + err
    server.start()
    try:
        token = admin_token(server.data, 1)
        answer = server.call("POST", "/api/admin/users", {"fromUserId": 1, "toUserId": 3, "balance": 1000},
                             [("Authorization", f"Bearer {token}")])  # fmt: skip
        assert answer.status == 201, answer
        document = server.get("/openapi.json")
        assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
        config = tmp_path / "schemathesis.toml"
        config.write_text(CONFIG.read_text() + '\n[auth.openapi]\nbearer = { bearer = "${TOKEN}" }\n')
        seen = Run(server, tmp_path, examples=max(EXAMPLES // 4, 1), env={"TOKEN": token}, config=config)
        seen.assert_clean()
    finally:
        server.close()


# ---- it would be noticed ----


def operation(document, path, method):
    return document["paths"][path][method]


def wrong_type(document):
    document["components"]["schemas"]["Balance"]["properties"]["balance"]["type"] = "string"


def missing_member(document):
    document["components"]["schemas"]["Balance"]["required"].append("currency")


def missing_status(document):
    del operation(document, "/api/users/{userId}/balance", "get")["responses"]["404"]


def wrong_media_type(document):
    answer = operation(document, "/api/users/{userId}/balance", "get")["responses"]["200"]
    answer["content"] = {"text/csv": answer["content"]["application/json"]}


def promised_header(document):
    answer = operation(document, "/api/users/{userId}/balance", "get")["responses"]["200"]
    answer["headers"] = {"ETag": {"required": True, "schema": {"type": "string"}}}


def narrower_request(document):
    """The document forbids what the server takes."""
    parameters = operation(document, "/api/coupons", "get")["parameters"]
    next(p for p in parameters if p["name"] == "limit")["schema"]["maximum"] = 10


def other_methods(document):
    """The document knows nothing of a method that the server answers."""
    del document["paths"]["/api/admin/coupons"]["post"]


PLANTED = [
    (wrong_type, "GET /api/users/{userId}/balance", "JsonSchemaError"),
    (missing_member, "GET /api/users/{userId}/balance", "JsonSchemaError"),
    (missing_status, "GET /api/users/{userId}/balance", "UndefinedStatusCode"),
    (wrong_media_type, "GET /api/users/{userId}/balance", "UndefinedContentType"),
    (promised_header, "GET /api/users/{userId}/balance", "MissingHeaders"),
    (narrower_request, "GET /api/coupons", "AcceptedNegativeData"),
    (other_methods, "GET /api/admin/coupons", "AllowHeaderMismatch"),
]


@pytest.mark.parametrize(("plant", "name", "failure"), PLANTED, ids=[row[0].__name__ for row in PLANTED])
def test_it_would_notice(shared, tmp_path, plant, name, failure):
    document = shared.get("/openapi.json")
    plant(document)
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    seen = Run(shared, tmp_path, "--include-name", name, document=path, examples=20)
    assert seen.code == 1 and failure in seen.failures(), seen.said[-4000:]
