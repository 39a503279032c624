# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in, the documented 4xx goes out: never a 5xx, never silence."""

import json
import random
import re
import socket

import pytest

from support import contract
from support.client import Caller, Request, encode, storm
from support.server import when

KIB = 1024
GOOD = b"GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n"
REQUEST_LINE_MAX = 8000
FIELDS_MAX = 100
HEADER_BYTES_MAX = 16 * KIB
BODY_MAX = 64 * KIB


def check_refusal(answer, status, error, member=None):
    """A problem with all its members, and the right one."""
    assert (answer.status, answer.error) == (status, error), answer
    contract.check_problem(answer)
    assert answer.headers["x-request-id"], answer.head
    assert member is None or answer.json["member"] == member, answer


def closed(caller):
    """Whether the server has hung up; whatever else came would be an error."""
    if caller.sock is None:
        return True
    try:
        return not caller.more()
    except ConnectionResetError:
        return True


@pytest.fixture
def caller(shared):
    caller = Caller(shared.port)
    yield caller
    caller.close()


# ---- HTTP itself ----


def line(text):
    return f"{text}\r\nHost: t\r\n\r\n".encode("latin-1")


def fields(*lines):
    return ("GET /health/live HTTP/1.1\r\n" + "".join(f"{text}\r\n" for text in lines) + "\r\n").encode("latin-1")


def post(*lines, body=b""):
    head = "POST /api/coupons/2/issue HTTP/1.1\r\nHost: t\r\n" + "".join(f"{text}\r\n" for text in lines) + "\r\n"
    return head.encode("latin-1") + body


MALFORMED = {
    "no method": line(" /health/live HTTP/1.1"),
    "no target": line("GET HTTP/1.1"),
    "two spaces": line("GET  /health/live HTTP/1.1"),
    "tab": line("GET\t/health/live HTTP/1.1"),
    "something after the version": line("GET /health/live HTTP/1.1 x"),
    "no version": line("GET /health/live"),
    "HTTP/0.9": line("GET /health/live HTTP/0.9"),
    "HTTP/1.2": line("GET /health/live HTTP/1.2"),
    "HTTP/2.0": line("GET /health/live HTTP/2.0"),
    "HTTP/3": line("GET /health/live HTTP/3"),
    "http/1.1": line("GET /health/live http/1.1"),
    "ICE": line("SOURCE /health/live ICE/1.0"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method that is none": line("GE(T /health/live HTTP/1.1"),
    "a method of 65 characters": line("M" * 65 + " /health/live HTTP/1.1"),
    "a target without slash": line("GET health/live HTTP/1.1"),
    "a fragment": line("GET /health/live#x HTTP/1.1"),
    "a NUL in the target": line("GET /health\0/live HTTP/1.1"),
    "bytes above 0x7E in the target": line("GET /health/\xffive HTTP/1.1"),
    "a star for GET": line("GET * HTTP/1.1"),
    "a user in the target": line("GET http://u@t/health/live HTTP/1.1"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "an empty line first": b"\r\n" + GOOD,
    "bare LF": GOOD.replace(b"\r\n", b"\n"),
    "bare LF in the fields": b"GET /health/live HTTP/1.1\r\nHost: t\nA: b\r\n\r\n",
    "bare CR": b"GET /health/live HTTP/1.1\r\nHost: t\rA: b\r\n\r\n",
    "no Host": fields(),
    "two Hosts": fields("Host: t", "Host: t"),
    "a Host that is none": fields("Host: a b"),
    "an empty Host": fields("Host:"),
    "a Host with a user": fields("Host: u@t"),
    "a list of Hosts": fields("Host: a, b"),
    "a Host unlike the target's": b"GET http://x/health/live HTTP/1.1\r\nHost: y\r\n\r\n",
    "folded": fields("Host: t", "A: b", " c"),
    "folded at the start": fields(" A: b", "Host: t"),
    "no name": fields("Host: t", ": b"),
    "no colon": fields("Host: t", "A"),
    "a space before the colon": fields("Host: t", "A : b"),
    "a name that is none": fields("Host: t", "A(: b"),
    "a NUL in a name": fields("Host: t", "A\0B: b"),
    "a NUL in a value": fields("Host: t", "A: b\0c"),
    "a control in a value": fields("Host: t", "A: b\x01c"),
    "Expect: something else": post("Content-Length: 1", "Expect: 200-ok", body=b"1"),
    "Content-Length: x": post("Content-Length: x"),
    "Content-Length: -1": post("Content-Length: -1"),
    "Content-Length: +1": post("Content-Length: +1", body=b"1"),
    "Content-Length: 1.0": post("Content-Length: 1.0", body=b"1"),
    "Content-Length: 0x1": post("Content-Length: 0x1", body=b"1"),
    "an empty Content-Length": post("Content-Length:"),
    "Content-Length: 1, 1": post("Content-Length: 1, 1", body=b"1"),
    "Content-Length above 64 bits": post("Content-Length: 99999999999999999999"),
    "two Content-Lengths": post("Content-Length: 2", "Content-Length: 2", body=b"{}"),
    "two that differ": post("Content-Length: 2", "Content-Length: 3", body=b"{}"),
    "length and chunks": post("Content-Length: 2", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks and length": post("Transfer-Encoding: chunked", "Content-Length: 2", body=b"0\r\n\r\n"),
    "gzip": post("Transfer-Encoding: gzip", body=b"0\r\n\r\n"),
    "gzip, chunked": post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked, gzip": post("Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "chunked twice": post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "identity": post("Transfer-Encoding: identity", body=b""),
    "chunks in HTTP/1.0": post("Transfer-Encoding: chunked", body=b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a size that is none": post("Transfer-Encoding: chunked", body=b"x\r\n\r\n"),
    "a signed size": post("Transfer-Encoding: chunked", body=b"-1\r\n\r\n"),
    "a size with a plus": post("Transfer-Encoding: chunked", body=b"+1\r\n1\r\n0\r\n\r\n"),
    "0x sizes": post("Transfer-Encoding: chunked", body=b"0x1\r\n1\r\n0\r\n\r\n"),
    "no size": post("Transfer-Encoding: chunked", body=b"\r\n{}\r\n0\r\n\r\n"),
    "a size above 64 bits": post("Transfer-Encoding: chunked", body=b"11111111111111111\r\n1"),
    "a chunk longer than its size": post("Transfer-Encoding: chunked", body=b"1\r\n{}\r\n0\r\n\r\n"),
    "bare LF after a size": post("Transfer-Encoding: chunked", body=b"2\n{}\r\n0\r\n\r\n"),
    "a trailer that is none": post("Transfer-Encoding: chunked", body=b"0\r\nA\r\n\r\n"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http_is_400_and_the_end(caller, name):
    answer = caller.raw(MALFORMED[name])
    check_refusal(answer, 400, "INVALID_INPUT")
    assert "connection: close" in answer.head.decode("latin-1").lower()
    assert closed(caller)


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http_in_pieces_and_after_a_good_request(caller, name):
    """The verdict does not depend on how the bytes were cut, nor on what went before."""
    assert caller.raw(GOOD).status == 200
    caller.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = MALFORMED[name]
    try:
        for at in range(0, len(data), 7):
            caller.sock.sendall(data[at : at + 7])
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has seen enough
    check_refusal(caller.read(), 400, "INVALID_INPUT")
    assert closed(caller)


def padded(target_bytes):
    """A GET whose request line has exactly that many bytes, CRLF not counted."""
    fixed = len("GET /api/coupons? HTTP/1.1")
    return f"GET /api/coupons?{'x' * (target_bytes - fixed)} HTTP/1.1\r\nHost: t\r\n\r\n".encode()


def test_request_line(caller):
    assert caller.raw(padded(REQUEST_LINE_MAX)).status == 200
    check_refusal(caller.raw(padded(REQUEST_LINE_MAX + 1)), 414, "URI_TOO_LONG")
    assert closed(caller)
    caller.close()
    check_refusal(caller.raw(b"GET /" + b"x" * 100000), 414, "URI_TOO_LONG")
    assert closed(caller)


def test_number_of_fields(caller):
    many = [f"A{i}: b" for i in range(FIELDS_MAX - 1)]
    assert caller.raw(fields("Host: t", *many)).status == 200
    check_refusal(caller.raw(fields("Host: t", *many, "B: b")), 431, "HEADERS_TOO_LARGE")
    assert closed(caller)


def test_bytes_of_fields(caller):
    fixed = len("Host: t\r\nA: \r\n\r\n")
    for extra, status in ((-64, 200), (64, 431)):
        answer = caller.raw(fields("Host: t", "A: " + "b" * (HEADER_BYTES_MAX - fixed + extra)))
        assert answer.status == status
    check_refusal(answer, 431, "HEADERS_TOO_LARGE")
    assert closed(caller)
    caller.close()
    check_refusal(caller.raw(b"GET / HTTP/1.1\r\nA: " + b"b" * 200000), 431, "HEADERS_TOO_LARGE")


def test_trailers_have_the_same_limits(caller):
    trailers = "".join(f"A{i}: b\r\n" for i in range(FIELDS_MAX + 1)).encode()
    answer = caller.raw(post("Transfer-Encoding: chunked", body=b"0\r\n" + trailers + b"\r\n"))
    check_refusal(answer, 431, "HEADERS_TOO_LARGE")


def spaced(size):
    """A body of exactly that many bytes that takes coupon 777, which there is not."""
    body = b'{"userId":1000}'
    return body + b" " * (size - len(body))


def test_size_of_a_body(caller):
    path = "/api/coupons/777/issue"
    check_refusal(caller.raw(encode("POST", path, spaced(BODY_MAX))), 400, "INVALID_COUPON")
    check_refusal(caller.raw(encode("POST", path, spaced(BODY_MAX + 1))), 413, "PAYLOAD_TOO_LARGE")
    assert closed(caller)
    caller.close()
    check_refusal(caller.raw(post("Content-Length: 9223372036854775807")), 413, "PAYLOAD_TOO_LARGE")
    assert closed(caller)


def chunked(path, pieces, trailers=b"", extension=b""):
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces if piece)
    head = f"POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + body + b"0\r\n" + trailers + b"\r\n"


def test_size_of_a_chunked_body(caller):
    path, whole = "/api/coupons/777/issue", spaced(BODY_MAX)
    pieces = [whole[at : at + 5000] for at in range(0, BODY_MAX, 5000)]
    check_refusal(caller.raw(chunked(path, pieces)), 400, "INVALID_COUPON")
    check_refusal(caller.raw(chunked(path, [*pieces, b" "])), 413, "PAYLOAD_TOO_LARGE")
    assert closed(caller)
    caller.close()
    endless = chunked(path, [b" "] * 20000, extension=b";a=" + b"b" * 100)
    check_refusal(caller.raw(endless), 413, "PAYLOAD_TOO_LARGE")


def test_chunked_bodies(caller):
    path, body = "/api/coupons/777/issue", b'{"userId":1000}'
    bytewise = [body[i : i + 1] for i in range(len(body))]
    for data in (
        chunked(path, [body]), chunked(path, bytewise), chunked(path, [body], extension=b";a=b"),
        chunked(path, [body], trailers=b"A: b\r\nC: d\r\n"),
        chunked(path, [body]).replace(b"\r\nf\r\n", b"\r\n0000F\r\n"),
    ):  # fmt: skip
        check_refusal(caller.raw(data), 400, "INVALID_COUPON")


# ---- what is well formed, and how it is answered ----


def test_head_is_get_without_a_body(caller):
    for path in ("/health/live", "/api/coupons/1", "/api/users/1/balance", "/openapi.json"):
        got = caller.raw(encode("GET", path))
        head = caller.raw(encode("HEAD", path))
        assert head.status == 200 and head.body == b""
        assert head.headers["content-length"] == str(len(got.body))
        assert head.headers["content-type"] == got.headers["content-type"]
    head = caller.raw(encode("HEAD", "/api/coupons/1/issue"))
    assert (head.status, head.body) == (405, b"")
    assert caller.raw(GOOD).status == 200


def test_options(caller):
    for path, allow in (
        ("/health/live", {"GET", "HEAD", "OPTIONS"}), ("/api/coupons/1/issue", {"POST", "OPTIONS"}),
        ("/api/admin/coupons", {"GET", "HEAD", "POST", "OPTIONS"}), ("/api/admin/coupons/1", {"PATCH", "OPTIONS"}),
    ):  # fmt: skip
        answer = caller.raw(encode("OPTIONS", path))
        assert (answer.status, answer.body) == (204, b"")
        assert set(answer.headers["allow"].split(", ")) == allow
    assert caller.raw(encode("OPTIONS", "*")).status == 204
    check_refusal(caller.raw(encode("OPTIONS", "/nowhere")), 404, "NOT_FOUND")


def test_expect_continue(caller):
    body = b'{"userId":1000}'
    head = encode("POST", "/api/coupons/777/issue", body, (("Expect", "100-continue"),))[: -len(body)]
    first = caller.raw(head)
    assert first.status == 100 and first.head == b"HTTP/1.1 100 Continue"
    check_refusal(caller.raw(body), 400, "INVALID_COUPON")
    too_long = post("Content-Length: 65537", "Expect: 100-continue")
    check_refusal(caller.raw(too_long), 413, "PAYLOAD_TOO_LARGE")


def test_pipelined_requests_are_answered_in_order(caller):
    """Slow ones and fast ones, good and bad ones, 200 in one write."""
    kinds = [
        lambda i: encode("POST", f"/api/coupons/1/{('issue', 'reserve')[i % 2]}", {"userId": 2000 + i}, key(i)),
        lambda i: encode("GET", "/health/live", headers=key(i)),
        lambda i: encode("GET", "/nowhere", headers=key(i)),
        lambda i: encode(
            "POST", f"/api/users/{1000 + i}/balance/charge", {"amount": 1, "idempotencyKey": f"{i}"}, key(i)
        ),
        lambda i: encode("POST", "/api/coupons/1/issue", b"{", key(i)),
    ]
    statuses = (200, 200, 404, 200, 400)

    def key(i):
        return (("X-Request-Id", f"nr-{i}"),)

    answers = [caller.raw(b"".join(kinds[i % 5](i) for i in range(200)))]
    answers += [caller.read() for _ in range(199)]
    assert [a.headers["x-request-id"] for a in answers] == [f"nr-{i}" for i in range(200)]
    assert [a.status for a in answers] == [statuses[i % 5] for i in range(200)]


def test_what_is_pipelined_before_a_malformed_request_is_answered(caller):
    first = caller.raw(GOOD + GOOD + MALFORMED["no Host"] + GOOD)
    assert [first.status, caller.read().status] == [200, 200]
    check_refusal(caller.read(), 400, "INVALID_INPUT")
    assert closed(caller)


def test_when_a_connection_stays(caller):
    for extra, stays in (
        ([], True), (["Connection: keep-alive"], True), (["Connection: close"], False),
        (["Connection: Close, x"], False),
    ):  # fmt: skip
        assert caller.raw(fields("Host: t", *extra)).status == 200
        assert (caller.sock is not None) == stays, extra
    old = GOOD.replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = caller.raw(old)
    assert answer.status == 200 and closed(caller)
    caller.close()
    assert caller.raw(old.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")).status == 200
    assert caller.raw(GOOD).status == 200


def test_request_ids(caller):
    for given, kept in (
        ("a", True), ("A-Z_09", True), ("x" * 64, True), ("x" * 65, False), ("", False), ("a b", False), ("a/b", False),
        ("ä", False), ("a,b", False),
    ):  # fmt: skip
        for path, status in (("/health/live", 200), ("/nowhere", 404)):
            answer = caller.raw(fields("Host: t", f"X-Request-Id: {given}").replace(b"/health/live", path.encode()))
            assert answer.status == status
            assert (answer.headers["x-request-id"] == given) == kept, given
    ids = {caller.raw(GOOD).headers["x-request-id"] for _ in range(200)}
    assert len(ids) == 200 and all(ids)


def test_a_header_that_does_not_come(serve):
    """408 while it trickles, and the end; silence on a fresh connection is the same."""
    server = serve(http__header_timeout="300ms", http__idle_timeout="500ms")
    for start in (b"GET /health/live HTTP/1.1\r\nHost:", b"G"):
        caller = Caller(server.port)
        check_refusal(caller.raw(start), 408, "REQUEST_TIMEOUT")
        assert closed(caller)
    caller = Caller(server.port)
    assert caller.raw(GOOD).status == 200
    assert closed(caller)  # idle


# ---- paths and methods ----


NOWHERE = [
    "/", "/api", "/api/", "/api/coupons/1/", "//api/coupons/1", "/api//coupons", "/api/coupons/1/issue/",
    "/api/coupons/1/issue/x", "/API/coupons/1", "/api/Coupons/1", "/api/coupons/1/Issue", "/api/coupons/1/take",
    "/api/users", "/api/users/1/balance/charge/x", "/api/admin", "/health", "/health/live/", "/metrics/", "/openapi",
    "/%61pi/coupons/1", "/api/coupons/1/../1", "/api/./coupons/1", "/favicon.ico",
    "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", "/ops", "/?x=/api/coupons/1",
]  # fmt: skip


@pytest.mark.parametrize("path", NOWHERE)
def test_unknown_paths(caller, path):
    for method in ("GET", "POST", "DELETE", "OPTIONS", "BREW"):
        answer = caller.raw(encode(method, path, b"{}" if method == "POST" else None))
        check_refusal(answer, 404, "NOT_FOUND")
        assert answer.json["instance"] == path.partition("?")[0]
        if method == "BREW":
            caller.close()


METHODS = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "MKCOL", "LINK", "PURGE", "M-SEARCH",
    "SEARCH", "BREW", "get", "Post", "GETT", "G", "!#$%&'*+-.^_`|~", "M" * 64,
]  # fmt: skip


def test_methods_of_every_path(shared, caller):
    """405 and Allow for every token that a path does not have, known to HTTP or not."""
    shared.get("/health/live")
    for path, item in contract.document["paths"].items():
        allow = {name.upper() for name in item} | {"OPTIONS"} | ({"HEAD"} if "get" in item else set())
        for method in (*METHODS, "CONNECT"):
            if method in allow:
                continue
            answer = caller.raw(encode(method, path.replace("{couponId}", "1").replace("{userId}", "1")))
            assert answer.status == 405, (method, path, answer)
            assert set(answer.headers["allow"].split(", ")) == allow
            if method != "HEAD":
                check_refusal(answer, 405, "METHOD_NOT_ALLOWED")


IDS = ["x", "1x", "x1", "1.0", "1e3", "0x1", "+1", "01", "-0", "%31", "%201", "9223372036854775808",
       "-9223372036854775809", "9" * 400, "null", "1,2", "1;x=y", "-", "{couponId}", ""]  # fmt: skip


@pytest.mark.parametrize("text", IDS)
def test_ids_that_are_none(shared, text):
    for path, item in contract.document["paths"].items():
        if "{" not in path:
            continue
        name = path.partition("{")[2].partition("}")[0]
        for method in item:
            answer = shared.call(method.upper(), path.replace("{" + name + "}", text), {} if method != "get" else None)
            check_refusal(answer, 400, "INVALID_INPUT", name)


def test_test_routes_are_not_there_elsewhere(serve):
    server = serve(profile="local")
    for path, body in (
        ("/api/admin/test/clock", {"advanceSeconds": 1}), ("/api/admin/test/faults", {"name": "gate", "on": True})
    ):  # fmt: skip
        for method in ("POST", "GET", "OPTIONS", "BREW"):
            check_refusal(server.caller.raw(encode(method, path, body)), 404, "NOT_FOUND")
    assert "/api/admin/test/clock" not in server.get("/openapi.json")["paths"]


# ---- bodies ----


ORDER = {"userId": 999999999, "items": [{"productId": 1, "quantity": 1}], "couponId": 1, "idempotencyKey": "k"}


def body_routes():
    """(method, path, good body) of every route that has a body; the good ones change nothing that matters."""
    return [
        ("POST", "/api/coupons/777/issue", {"userId": 1000}),
        ("POST", "/api/coupons/777/reserve", {"userId": 1000}),
        ("POST", "/api/users/999999999/balance/charge", {"amount": 1, "idempotencyKey": "k"}),
        ("POST", "/api/cart/items", {"userId": 999999999, "productId": 1, "quantity": 1}),
        ("PUT", "/api/cart/items", {"userId": 999999999, "productId": 1, "quantity": 1}),
        ("DELETE", "/api/cart/items", {"userId": 999999999, "productId": 1}),
        ("POST", "/api/orders", ORDER),
        ("POST", "/api/orders/complete", ORDER),
        ("POST", "/api/orders/1/payment", {"userId": 999999999, "idempotencyKey": "k"}),
        ("POST", "/api/orders/1/cancel", {"userId": 999999999, "idempotencyKey": "k"}),
        (
            "POST",
            "/api/admin/products",
            {"productId": 1, "name": "n", "description": "d", "price": 1, "stock": 1, "category": "c"},
        ),
        (
            "PATCH",
            "/api/admin/products/777",
            {"name": "n", "description": "d", "price": 1, "stock": 1, "category": "c"},
        ),
        (
            "POST",
            "/api/admin/coupons",
            {
                "couponId": 1,
                "name": "n",
                "discountRate": 1,
                "totalQuantity": 1,
                "endsAt": when(1),
                "startsAt": when(0),
                "usesPerUser": 1,
            },
        ),
        (
            "PATCH",
            "/api/admin/coupons/777",
            {"totalQuantity": 5, "startsAt": when(0), "endsAt": when(1), "closed": False},
        ),
        ("POST", "/api/admin/users", {"userId": 1, "username": "u", "email": "e", "balance": 0}),
        ("POST", "/api/admin/log", {"level": "info"}),
        ("POST", "/api/admin/test/clock", {"advanceSeconds": 0}),
        ("POST", "/api/admin/test/faults", {"name": "gate", "on": False}),
    ]


ROUTES = {f"{method} {path}": (method, path, body) for method, path, body in body_routes()}


def test_every_route_with_a_body_is_in_the_table(shared):
    shared.get("/health/live")
    with_body = {(method.upper(), path) for path, item in contract.document["paths"].items()
                 for method in item if "requestBody" in item[method]}  # fmt: skip
    covered = {(method, contract.find_route(path)[0]) for method, path, _ in body_routes()}
    assert with_body == covered


BROKEN = {
    "empty": b"",
    "white space": b" \r\n\t ",
    "null": b"null",
    "true": b"true",
    "number": b"1",
    "string": b'"x"',
    "array": b"[]",
    "array of objects": b'[{"userId":1}]',
    "cut": b"{",
    "cut in a name": b'{"userI',
    "cut in a value": b'{"userId":',
    "closed twice": b"{}}",
    "two objects": b"{}{}",
    "trailing bytes": b'{"userId":1000} x',
    "trailing NUL": b'{"userId":1000}\0',
    "no quotes": b"{userId:1000}",
    "single quotes": b"{'userId':1000}",
    "trailing comma": b'{"userId":1000,}',
    "comment": b'{"userId":1000/**/}',
    "NaN": b'{"userId":NaN}',
    "Infinity": b'{"userId":-Infinity}',
    "plus": b'{"userId":+1}',
    "leading zero": b'{"userId":01}',
    "hex": b'{"userId":0x10}',
    "lonely dot": b'{"userId":1.}',
    "lonely e": b'{"userId":1e}',
    "True": b'{"userId":True}',
    "duplicate": b'{"userId":1000,"userId":1000}',
    "duplicate of an unknown one": b'{"a":1,"a":2}',
    "duplicate in an object": b'{"a":{"b":1,"b":2}}',
    "escaped duplicate": b'{"userId":1,"user\\u0049d":1}',
    "BOM": b'\xef\xbb\xbf{"userId":1000}',
    "UTF-16": '{"userId":1000}'.encode("utf-16"),
    "Latin-1": b'{"a":"\xe9"}',
    "overlong": b'{"a":"\xc0\xaf"}',
    "surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "above U+10FFFF": b'{"a":"\xf4\x90\x80\x80"}',
    "cut UTF-8": b'{"a":"\xe2\x82"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "surrogates swapped": b'{"a":"\\udc00\\ud800"}',
    "raw NUL": b'{"a":"\0"}',
    "NUL": b'{"a":"b\\u0000c"}',
    "escaped NUL in a name": b'{"\\u0000":1}',
    "raw newline": b'{"a":"\n"}',
    "bad escape": b'{"a":"\\x"}',
    "bad unicode escape": b'{"a":"\\u12g4"}',
    "int above 64 bits": b'{"a":9223372036854775808}',
    "int below 64 bits": b'{"a":-9223372036854775809}',
    "real above double": b'{"a":1e400}',
    "33 deep": b'{"a":' + b"[" * 32 + b"]" * 32 + b"}",
    "30000 deep": b'{"a":' + b"[" * 30000 + b"]" * 30000 + b"}",
    "30000 open": b'{"a":' + b"[" * 30000,
    "10000 objects deep": b'{"a":' * 10000 + b"1" + b"}" * 10000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_json(shared, name):
    for method, path, _ in ROUTES.values():
        check_refusal(shared.call(method, path, BROKEN[name]), 400, "INVALID_INPUT")


WRONG = {
    "integer": ["1", "", None, True, 1.5, 1.0, [], [1], {}, 2**63, -(2**63) - 1, 10**30, 1e300],
    "string": [1, None, True, 1.5, [], ["x"], {}],
    "boolean": [1, 0, "true", "", None, [], {}, 1.5],
    "array": [1, "x", None, True, {}, 1.5],
    "time": [
        1,
        True,
        [],
        {},
        "",
        "now",
        "2026-03-06",
        "2026-03-06T12:00:00",
        "2026-13-06T12:00:00Z",
        "2026-02-29T12:00:00Z",
        "2026-03-06T24:00:00Z",
        "2026-03-06T12:60:00Z",
        "2026-03-06T12:00:00+9",
        "12026-03-06T12:00:00Z",
        "2026-03-06T12:00:00+25:00",
        "2026-03-06T12:00:00Zx",
        " 2026-03-06T12:00:00Z",
        "0000-00-00T00:00:00Z",
    ],
    "enum": [1, None, True, [], {}, "", "INFO", "info ", "nothing"],
}


def kind_of(schema):
    if schema.get("format") == "date-time":
        return "time"
    if "enum" in schema:
        return "enum"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return next(kind for kind in kinds if kind != "null")


def may_be_null(schema):
    return "null" in (schema["type"] if isinstance(schema["type"], list) else [schema["type"]])


def body_schema(method, path):
    operation = contract.find_route(path)[1][method.lower()]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return contract.document["components"]["schemas"][reference.rpartition("/")[2]]


@pytest.mark.parametrize("route", ROUTES)
def test_members_of_the_wrong_type(shared, route):
    """Each member of each body, by the schema that the server itself gives."""
    method, path, good = ROUTES[route]
    shared.get("/health/live")
    schema = body_schema(method, path)
    for member, about in schema["properties"].items():
        for value in WRONG[kind_of(about)]:
            if value is None and may_be_null(about):
                continue
            answer = shared.call(method, path, {**good, member: value})
            check_refusal(answer, 400, "INVALID_INPUT", member)


@pytest.mark.parametrize("route", ROUTES)
def test_a_nul_in_any_text(shared, route):
    """U+0000 is in no text of ours: one store would take it, another refuses it."""
    method, path, good = ROUTES[route]
    shared.get("/health/live")
    for member, about in body_schema(method, path)["properties"].items():
        if kind_of(about) not in ("string", "enum", "time"):
            continue
        for text in ("\0", "n\0", "n\0n"):
            check_refusal(shared.call(method, path, {**good, member: text}), 400, "INVALID_INPUT")


def test_a_nul_in_any_query(shared):
    shared.get("/health/live")
    asked = 0
    for path, item in contract.document["paths"].items():
        names = [p["name"] for p in item.get("get", {}).get("parameters", []) if p["in"] == "query"]
        for name in names:
            for value in ("%00", "n%00", "n%00n"):
                answer = shared.call("GET", f"{re.sub('{[^}]*}', '1000', path)}?{name}={value}")
                check_refusal(answer, 400, "INVALID_INPUT")
                asked += 1
    assert asked > 0


@pytest.mark.parametrize("name", ("a%00", "%00"))
def test_a_nul_in_a_path(shared, name):
    check_refusal(shared.call("GET", f"/api/products/{name}"), 400, "INVALID_INPUT")
    check_refusal(shared.call("GET", f"/api/{name}"), 404, "NOT_FOUND")


@pytest.mark.parametrize("route", ROUTES)
def test_members_that_are_missing(shared, route):
    method, path, good = ROUTES[route]
    shared.get("/health/live")
    for member in body_schema(method, path).get("required", []):
        rest = {name: value for name, value in good.items() if name != member}
        check_refusal(shared.call(method, path, rest), 400, "INVALID_INPUT", member)


@pytest.mark.parametrize("route", ROUTES)
def test_unknown_members_are_ignored(shared, route):
    method, path, good = ROUTES[route]
    plain = shared.call(method, path, good)
    more = shared.call(method, path, {**good, "zzz": {"deep": [1, None, {"a": "b"}]}, "": 1, "ключ": "значение"})
    assert (plain.status, plain.error) == (more.status, more.error)
    assert plain.status < 500


@pytest.mark.parametrize("route", ROUTES)
def test_media_types(shared, route):
    method, path, good = ROUTES[route]
    body = json.dumps(good).encode()

    def send(kind):
        head = f"{method} {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n" + kind + "\r\n"
        return shared.caller.raw(head.encode("latin-1") + body)

    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data",
                 "application/jsonx", "application/json, text/plain", "json", "", "*/*"):  # fmt: skip
        check_refusal(send(f"Content-Type: {kind}\r\n"), 415, "UNSUPPORTED_MEDIA_TYPE")
    for kind in ("", "Content-Type: application/json\r\n", "Content-Type: Application/JSON ; charset=utf-8\r\n"):
        assert send(kind).status not in (415, 500)


def test_what_stands_at_the_limits_of_int64(shared):
    for user in (2**63 - 1, -(2**63), 0, -1):
        check_refusal(shared.call("POST", "/api/coupons/1/issue", {"userId": user}), 404, "USER_NOT_FOUND")
        check_refusal(shared.call("GET", f"/api/users/{user}"), 404, "USER_NOT_FOUND")
        check_refusal(shared.call("GET", f"/api/users/{user}/coupons"), 404, "USER_NOT_FOUND")
        check_refusal(shared.call("GET", f"/api/coupons/{user}"), 404, "NOT_FOUND")
        check_refusal(shared.call("GET", f"/api/admin/coupons/{user}/proof"), 404, "NOT_FOUND")
    for seconds in (2**63 - 1, -(2**63), 3155760001):
        answer = shared.call("POST", "/api/admin/test/clock", {"advanceSeconds": seconds})
        check_refusal(answer, 400, "INVALID_INPUT", "advanceSeconds")


# ---- at random ----


def mutate(rng, data):
    """Some bytes changed, dropped, doubled or moved."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(5)
        if what == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif what == 1:
            del data[at : at + rng.randint(1, 8)]
        elif what == 2:
            data[at:at] = bytes(rng.choices(b'{}[]",:0123456789\\\x00\xff \r\n-+.eE', k=rng.randint(1, 8)))
        elif what == 3:
            data[at:at] = data[at : at + rng.randint(1, 30)]
        else:
            data[at:at] = rng.choice((b"9223372036854775808", b"\r\n\r\n", b"%00", b"null", b"-", b"\xed\xa0\x80"))
    return bytes(data)


def test_mutated_bodies(shared):
    """20,000 well-framed requests with bodies that once were good; the seed is fixed."""
    rng = random.Random(20261122)
    requests = []
    routes = [route for route in ROUTES.values() if "/test/" not in route[1]]
    for _ in range(20000):
        method, path, good = rng.choice(routes)
        requests.append(Request(method, path, mutate(rng, json.dumps(good).encode())))
    asked = storm(shared, requests, connections=32, depth=4)
    assert all(r.answer is not None and r.answer.status < 500 for r in asked)
    assert sum(r.answer.status == 400 for r in asked) > 10000


def test_mutated_requests(shared):
    """2,000 connections of bytes that once were a request: an answer below 500, or the end."""
    rng = random.Random(20261123)
    for _ in range(2000):
        method, path, good = rng.choice([route for route in ROUTES.values() if "/test/" not in route[1]])
        caller = Caller(shared.port)
        caller.sock = socket.create_connection(("127.0.0.1", shared.port), 5)
        caller.sock.sendall(mutate(rng, encode(method, path, good)))
        caller.sock.shutdown(socket.SHUT_WR)
        while caller.sock and caller.more():
            pass
        answer = caller.buffer
        assert not answer or (answer.startswith(b"HTTP/1.1 ") and answer[9:10] in b"124"), answer
        caller.close()
    assert shared.get("/health/live") == {"status": "UP"}


def test_nothing_internal_leaks(shared):
    """No SQL, no paths, no C in what was answered in this file."""
    for path in ("/api/users/x", "/nowhere", "/api/coupons/777", "/api/users/1/coupons?cursor=x"):
        text = shared.call("GET", path).body.decode().lower()
        for word in ("select", "sqlite", ".c:", "/tmp", "/work", "errno", "assert", str(shared.data).lower()):
            assert word not in text
