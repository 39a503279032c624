# SPDX-License-Identifier: Apache-2.0
"""The document that the server gives of itself."""

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from support import contract

PUBLIC = {
    "/api/coupons/{couponId}/issue", "/api/coupons/{couponId}/reserve", "/api/coupons/{couponId}", "/api/coupons",
    "/api/users/{userId}", "/api/users/{userId}/balance", "/api/users/{userId}/balance/charge",
    "/api/users/{userId}/coupons", "/api/admin/coupons", "/api/admin/coupons/{couponId}",
    "/api/admin/coupons/{couponId}/proof", "/api/admin/coupons/{couponId}/winners", "/api/admin/users",
    "/api/admin/events/dead",
    "/api/admin/events/dead/{deadEventId}/replay", "/api/admin/events/dead/{deadEventId}/skip", "/api/admin/log", "/api/admin/products", "/api/admin/products/{productId}", "/api/products", "/api/products/top",
    "/api/products/{productId}", "/api/products/ranking/top", "/api/products/ranking/product/{productId}",
    "/api/products/ranking/stream", "/api/cart", "/api/cart/items", "/api/orders", "/api/orders/complete",
    "/api/orders/{orderId}", "/api/orders/{orderId}/payment", "/api/orders/{orderId}/cancel", "/health/live", "/health/ready", "/actuator/health", "/metrics", "/actuator/prometheus", "/openapi.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def document(shared):
    return shared.get("/openapi.json")


def operations(document):
    return [(path, name, op) for path, item in document["paths"].items() for name, op in item.items()]


def test_it_is_valid(document):
    assert document["openapi"] == "3.1.0"
    errors = list(OpenAPIV31SpecValidator(document).iter_errors())
    assert not errors, errors[0]


def test_every_route_of_the_contract_is_in_it(document):
    assert PUBLIC <= set(document["paths"])
    assert {"/api/admin/test/clock", "/api/admin/test/faults"} <= set(document["paths"])  # this server runs in `test`


def test_names_are_unique_and_parameters_bound(document):
    names = [op["operationId"] for _, _, op in operations(document)]
    assert len(names) == len(set(names))
    for path, _, operation in operations(document):
        in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert operation["summary"] and operation["tags"]


def test_every_refusal_is_a_problem(document):
    for path, name, operation in operations(document):
        for status, response in operation["responses"].items():
            assert response["description"]
            if status >= "400" and "health" not in path:
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (path, name, status)
            if status in ("429", "503") and "health" not in path:
                assert response["headers"]["Retry-After"]["required"]
            assert status != "500"


def test_schemas_are_complete(document):
    """Every member has a type and says what it is; every example is one."""
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"] and schema["type"] == "object", name
        for member, about in schema["properties"].items():
            assert about["description"], (name, member)
            for example in about.get("examples", []):
                assert contract.matches(document, about, example), (name, member, example)


def test_examples(document):
    """Every body and every answer has one, and it is what its schema says."""
    whole = {"components": document["components"]}

    def check(where, media):
        examples = [e["$ref"] for e in media.get("examples", {}).values()]
        named = document["components"]["examples"]
        values = [named[ref.rpartition("/")[2]]["value"] for ref in examples] or [media["example"]]
        for value in values:
            assert contract.matches(whole, media["schema"], value), (where, value)

    for path, name, operation in operations(document):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            check((path, name), media)
        for status, response in operation["responses"].items():
            for media in response.get("content", {}).values():
                check((path, name, status), media)
        for parameter in operation["parameters"]:
            assert "example" in parameter or parameter["schema"].get("examples"), (path, name, parameter)
