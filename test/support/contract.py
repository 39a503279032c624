# SPDX-License-Identifier: Apache-2.0
"""Every answer that a test sees, held against the server's own OpenAPI document."""

import json
import re

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

EACH_SHAPE_AT_MOST = 20
PROBLEM_MEMBERS = ("type", "title", "status", "detail", "instance", "code", "message", "timestamp", "error")

document = None
registry = None
routes = []
seen = {}
validators = {}


def learn(text):
    """Takes the document of the server under test."""
    global document, registry
    if document is not None:
        return
    document = json.loads(text)
    registry = Registry().with_resource("urn:api", Resource(document, DRAFT202012))
    for path, item in document["paths"].items():
        pattern = re.compile(re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(path)) + r"(\?.*)?$")
        routes.append((pattern, path, item))
    routes.sort(key=lambda row: row[1].count("{"))


def find_route(path):
    """(template, its item), or None where the document knows no such path."""
    for pattern, template, item in routes:
        if pattern.match(path):
            return template, item
    return None


def pointer(*parts):
    return "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)


def validator(template, method, status, media):
    """Of the schema that the document gives for this answer."""
    key = template, method, status, media
    if key not in validators:
        ref = "urn:api" + pointer("paths", template, method, "responses", str(status), "content", media, "schema")
        validators[key] = Draft202012Validator(
            {"$ref": ref.replace("{", "%7B").replace("}", "%7D")}, registry=registry, format_checker=FormatChecker()
        )
    return validators[key]


def check_problem(answer):
    """What every refusal has, on a known path or not."""
    body = answer.json
    assert answer.headers["content-type"] == "application/problem+json", answer
    missing = [name for name in PROBLEM_MEMBERS if name not in body]
    assert not missing, f"{answer} misses {missing}"
    assert body["status"] == answer.status, answer
    assert body["type"] == f"/problems/{body['code']}", answer
    assert body["message"] == body["detail"], answer
    assert body["detail"].startswith(body["error"]), answer
    if answer.status in (429, 503):
        assert 1 <= int(answer.headers["retry-after"]) <= 60, answer.head
    if answer.status == 405:
        assert answer.headers["allow"], answer.head


def check(method, path, answer):
    """Right status, right media type, right schema. Of each shape the first few, and then no more."""
    status = answer.status
    key = method, re.sub(r"\d+", "0", path.partition("?")[0]), status, len(answer.body) // 8
    seen[key] = seen.get(key, 0) + 1
    if seen[key] > EACH_SHAPE_AT_MOST:
        return
    assert answer.headers.get("x-request-id"), answer.head
    assert status < 500 or status == 503, f"{method} {path}: {answer}"
    if status >= 400 and method != "HEAD" and "/health" not in path:
        check_problem(answer)
    check_schema(method, path, answer)


def check_schema(method, path, answer):
    found = document and find_route(path)
    if not found or method.lower() not in found[1] or method == "HEAD":
        return
    template, item = found
    responses = item[method.lower()]["responses"]
    assert str(answer.status) in responses, f"{method} {template} does not document {answer}"
    content = responses[str(answer.status)].get("content", {})
    media = answer.headers.get("content-type", "").partition(";")[0]
    if not content:
        assert not answer.body, answer
        return
    assert media in content, f"{method} {template} does not document {media}: {answer}"
    if "schema" in content[media] and media.endswith("json"):
        errors = list(validator(template, method.lower(), answer.status, media).iter_errors(answer.json))
        assert not errors, f"{method} {template} {answer}: {errors[0].message[-500:]}"


def matches(whole, schema, value):
    """Whether `value` is what a schema within the document `whole` says."""
    schema = {**schema, "components": whole["components"]}
    return Draft202012Validator(schema, format_checker=FormatChecker()).is_valid(value)
