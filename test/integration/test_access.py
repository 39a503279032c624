# SPDX-License-Identifier: Apache-2.0
"""Who may call: keys and algorithms, keys that change, limits, proxies, pages of other origins."""

import json
import os
import re
import time

import pytest

from support import contract
from support.client import encode
from support.program import KEY, run
from support.server import Server, wait_for
from support.tokens import Key, bearer, claims, token

pytestmark = pytest.mark.embedded

SECRET = KEY.encode()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """What issuers have: made once, since making them takes longest."""
    directory = tmp_path_factory.mktemp("keys")
    kinds = {"rsa": "RSA", "other_rsa": "RSA", "weak": "WEAK", "ec": "EC", "other_ec": "EC"}
    return {name: Key(directory, name, kind) for name, kind in kinds.items()}


@pytest.fixture
def prod(tmp_path):
    """Starts servers in profile prod, migrated, with what else they are given."""
    servers = []

    def start(refused=False, **settings):
        directory = tmp_path / f"prod{len(servers)}"
        directory.mkdir()
        server = Server(directory, profile="prod", **{"payment__gateway": "none", **settings})
        assert run("migrate", "--data", server.data)[0] == 0
        servers.append(server)
        return server.start_refused() if refused else server.start()

    yield start
    for server in servers:
        server.close()


def ask(server, text, path="/api/users/7/balance", method="GET", body=None, headers=()):
    fields = list(headers) + ([bearer(text)] if text else [])
    return server.caller.raw(encode(method, path, body, fields))


def with_users(server):
    """Users 1..10, made by an administrator whose token is of HS256."""
    admin = token(SECRET, "HS256", claims(1, role="admin"))
    answer = ask(server, admin, "/api/admin/users", "POST", {"fromUserId": 1, "toUserId": 10})
    assert answer.status == 201, answer
    return server


# ---- algorithms and keys ----


def test_algorithms(prod, keys, tmp_path):
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    (tmp_path / "public.pem").write_bytes(keys["rsa"].public + keys["ec"].public)
    server = with_users(
        prod(auth__secret_file=tmp_path / "secret", auth__public_key_file=tmp_path / "public.pem")
    )
    rsa, ec, good = keys["rsa"], keys["ec"], claims(7)
    for key, algorithm in ((SECRET, "HS256"), (rsa, "RS256"), (rsa, "PS256"), (ec, "ES256")):
        text = token(key, algorithm, good)
        assert ask(server, text).status == 200, algorithm
        assert ask(server, text, "/api/users/8").status == 403, algorithm
        assert ask(server, text[:-4] + "AAAA").status == 401, algorithm
        assert ask(server, token(key, algorithm, claims(7, -60))).status == 401, algorithm
        assert ask(server, token(key, algorithm, {"sub": "7"})).status == 401, algorithm
        assert ask(server, token(key, algorithm, claims(7, nbf=int(time.time()) + 90))).status == 401, algorithm
        assert ask(server, token(key, algorithm, good, crit=["exp"])).status == 401, algorithm
        assert ask(server, token(key, algorithm, claims(7, role="admin")), "/api/users/8").status == 403, algorithm
        assert ask(server, token(key, algorithm, claims(7, roles=["admin"])), "/api/admin/coupons").status == 200
    refused = [
        token(None, "none", good),
        token(SECRET, "none", good),
        token(SECRET, "RS256", good),
        token(rsa.public, "HS256", good),
        token(rsa.public.strip(), "HS256", good),
        token(rsa.public + ec.public, "HS256", good),
        token(json.dumps({"keys": [rsa.jwk()]}).encode(), "HS256", good),
        token(keys["other_rsa"], "RS256", good),
        token(keys["other_rsa"], "PS256", good),
        token(keys["other_ec"], "ES256", good),
        token(rsa, "PS256", good).replace(".", "x", 1),
    ]
    for text in refused:
        answer = ask(server, text)
        assert (answer.status, answer.error) == (401, "UNAUTHENTICATED"), text
        contract.check_problem(answer)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert server.alive()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("public_key_file", lambda keys: keys["weak"].public, "an RSA key of 1024 bits: 2048 to 8192 are taken"),
        ("public_key_file", lambda keys: keys["rsa"].private, "holds a private key"),
        ("public_key_file", lambda keys: b"nonsense", "holds no public key"),
        ("jwks_file", lambda keys: {"keys": [keys["ec"].jwk(), keys["weak"].jwk()]}, "keys[1] holds an RSA key of 1024"),
        ("jwks_file", lambda keys: {"keys": [{"kty": "oct", "k": "A" * 43}]}, "keys[0] is a symmetric key"),
        ("jwks_file", lambda keys: {"keys": [keys["rsa"].jwk(use="enc")]}, "holds no key for signatures"),
        ("jwks_file", lambda keys: b"{", "is not a JSON Web Key Set"),
        ("secret_file", lambda keys: b"too short", "a key has at least 32"),
    ],
)
def test_unusable_keys(prod, keys, tmp_path, name, content, said):
    made = content(keys)
    (tmp_path / "file").write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())
    code, log = prod(refused=True, **{f"auth__{name}": tmp_path / "file"})
    assert code == 1 and said in log and f"auth.{name} {tmp_path / 'file'}" in log


def test_no_keys(prod, tmp_path):
    code, log = prod(refused=True)
    assert code == 1 and "auth.secret_file = " in log and "auth.jwks_file" in log
    code, log = prod(refused=True, auth__jwks_file=tmp_path / "missing.json")
    assert code == 1 and "auth.jwks_file" in log and "No such file" in log
    code, log = prod(refused=True, auth__secret=KEY, auth__secret_file=tmp_path / "missing")
    assert code == 1 and "keep one" in log


def test_token_verb_needs_a_secret(keys, tmp_path):
    (tmp_path / "public.pem").write_bytes(keys["rsa"].public)
    code, out, err = run("token", "--user", 1, "--set", f"auth.public_key_file={tmp_path / 'public.pem'}")
    assert (code, out) == (1, "") and "nothing can be signed" in err and "auth.secret_file" in err


# ---- keys that change ----


class Jwks:
    """A file that is replaced as a whole, as issuers' programs do."""

    def __init__(self, path):
        self.path = path

    def write(self, data):
        data = data if isinstance(data, bytes) else json.dumps({"keys": data}).encode()
        beside = self.path.with_suffix(".new")
        beside.write_bytes(data)
        os.replace(beside, self.path)


def test_keys_change(prod, keys, tmp_path):
    jwks = Jwks(tmp_path / "jwks.json")
    first, second = keys["rsa"].jwk("first", use="sig", alg="RS256"), keys["ec"].jwk("second")
    jwks.write([first])
    (tmp_path / "secret").write_bytes(SECRET)
    server = prod(auth__jwks_file=jwks.path, auth__secret_file=tmp_path / "secret", users__external="on")
    old, new = token(keys["rsa"], "RS256", claims(7), "first"), token(keys["ec"], "ES256", claims(7), "second")
    other = token(keys["rsa"], "PS256", claims(7), "first")

    def status(text):
        return ask(server, text).status

    assert [status(text) for text in (old, old, new, other)] == [200, 200, 401, 401]
    jwks.write([first, second])
    wait_for(lambda: status(new) == 200, what="the second key")
    assert status(old) == 200
    jwks.write([second])
    wait_for(lambda: status(old) == 401, what="the first key gone")
    assert [status(text) for text in (old, new)] == [401, 200]
    assert status(token(keys["ec"], "ES256", claims(7), "first")) == 401

    # what cannot be used changes nothing, and is said once
    for broken in (b"{", [keys["weak"].jwk()], []):
        before = server.log_text().count("stay as they are")
        jwks.write(broken)
        wait_for(lambda: server.log_text().count("stay as they are") == before + 1, what="the broken file noticed")
        assert [status(text) for text in (old, new)] == [401, 200]
    jwks.path.unlink()
    wait_for(lambda: "cannot be opened" in server.log_text(), what="the missing file noticed")
    for secret in (SECRET[::-1], SECRET):  # which is noticed by looking again
        (tmp_path / "secret").write_bytes(secret)
        text = token(secret, "HS256", claims(7))
        wait_for(lambda text=text: status(text) == 200, what="the other secret")
    assert server.log_text().count("cannot be opened") == 1
    assert [status(text) for text in (old, new)] == [401, 200]
    # in place, not by another file
    jwks.path.write_text(json.dumps({"keys": [first]}))
    wait_for(lambda: status(old) == 200, what="the first key again")
    assert status(new) == 401


def test_secret_changes(prod, tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    server = prod(auth__secret_file=path, users__external="on")
    old = token(SECRET, "HS256", claims(7))
    other = token(SECRET[::-1], "HS256", claims(7))
    assert [ask(server, text).status for text in (old, other)] == [200, 401]
    path.write_bytes(SECRET[::-1])
    wait_for(lambda: ask(server, other).status == 200, what="the other secret")
    assert ask(server, old).status == 401


# ---- what belongs to somebody ----


def test_what_is_anothers(prod):
    """Orders, carts, coupons: looked at in the object, not only in the path."""
    server = with_users(prod(auth__secret=KEY))
    mine, yours = token(SECRET, "HS256", claims(7)), token(SECRET, "HS256", claims(8))
    admin = token(SECRET, "HS256", claims(8, role="admin"))
    product = {"productId": 1, "name": "only 7 knows", "price": 0, "stock": 10}
    coupon = {"couponId": 5, "name": "n", "discountRate": 1, "totalQuantity": 9, "endsAt": "2099-01-01T00:00:00Z"}
    assert ask(server, admin, "/api/admin/products", "POST", product).status == 201
    assert ask(server, admin, "/api/admin/coupons", "POST", coupon).status == 201

    def order(user, **more):
        return {"userId": user, "items": [{"productId": 1, "quantity": 1}], "idempotencyKey": "k", **more}

    made = ask(server, mine, "/api/orders", "POST", order(7))
    assert made.status == 201, made
    number, path = made.json["orderNumber"], f"/api/orders/{made.json['orderId']}"
    keyed = {"userId": 7, "idempotencyKey": "p"}
    assert ask(server, mine, "/api/cart/items", "POST", {"userId": 7, "productId": 1, "quantity": 2}).status == 201
    assert ask(server, mine, "/api/coupons/5/issue", "POST", {"userId": 7}).status == 200
    calls = [
        ("GET", path, None),
        ("GET", "/api/orders?userId=7", None),
        ("GET", "/api/cart?userId=7", None),
        ("GET", "/api/users/7/coupons", None),
        ("POST", "/api/orders", order(7)),
        ("POST", "/api/orders/complete", order(7)),
        ("POST", path + "/payment", keyed),
        ("POST", path + "/payment", {**keyed, "userId": 8}),
        ("POST", path + "/cancel", keyed),
        ("POST", path + "/cancel", {**keyed, "userId": 8}),
        ("POST", "/api/cart/items", {"userId": 7, "productId": 1, "quantity": 1}),
        ("PUT", "/api/cart/items", {"userId": 7, "productId": 1, "quantity": 9}),
        ("DELETE", "/api/cart/items", {"userId": 7, "productId": 1}),
        ("POST", "/api/coupons/5/issue", {"userId": 7}),
        ("POST", "/api/coupons/5/reserve", {"userId": 7}),
    ]
    for method, where, body in calls:
        for text, status in ((None, 401), (yours, 403), (admin, 403)):
            answer = ask(server, text, where, method, body)
            assert answer.status == status, (method, where, body, answer)
            assert number not in answer.body.decode() and "only 7 knows" not in answer.body.decode()
    for text in (mine, yours):
        assert ask(server, text, "/api/orders/999999").status == 404
    assert ask(server, mine, path).json == made.json
    assert ask(server, mine, "/api/cart?userId=7").json["items"][0]["quantity"] == 2
    assert ask(server, yours, "/api/orders", "POST", order(8, couponId=5)).error == "INVALID_COUPON"
    assert ask(server, mine, path + "/payment", "POST", keyed).status == 200


# ---- who did it ----


def test_changes_name_who_made_them(prod):
    server = with_users(prod(auth__secret=KEY))
    coupon = {"name": "n", "discountRate": 1, "totalQuantity": 9, "endsAt": "2099-01-01T00:00:00Z"}
    changes = [
        ("POST", "/api/admin/users", {}, "users created"),
        ("POST", "/api/admin/products", {"name": "p", "price": 0, "stock": 10}, "product created"),
        ("PATCH", "/api/admin/products/1", {"stock": 11}, "product changed"),
        ("POST", "/api/admin/coupons", coupon, "coupon created"),
        ("PATCH", "/api/admin/coupons/1", {"totalQuantity": 10}, "coupon changed"),
        ("POST", "/api/users/7/balance/charge", {"amount": 5, "idempotencyKey": "k"}, "charge"),
        ("POST", "/api/admin/log", {"level": "info"}, "log level"),
    ]

    def logged(event, by):
        lines = [json.loads(line) for line in server.log_text().splitlines()]
        return [x for x in lines if (x["event"], x.get("by"), x.get("by_address")) == (event, by, "127.0.0.1")]

    # 64 bytes of a subject at most, and no character cut in two
    for subject, by in ((7, "7"), ("운영자 A", "운영자 A"), ("가" * 50, "가" * 21)):
        text = token(SECRET, "HS256", {**claims(0), "sub": subject, "role": "admin"})
        for method, path, body, event in changes:
            answer = ask(server, text, path, method, body)
            assert answer.status in (200, 201), answer
            wait_for(lambda: logged(event, by), what=f"{event} by {by}")


# ---- users of another system ----


def test_external_users(prod):
    server = prod(auth__secret=KEY, users__external="on")
    text = token(SECRET, "HS256", claims(4711))
    assert ask(server, text, "/api/users/4711").json == {
        "userId": 4711,
        "username": "user4711",
        "email": "user4711@example.com",
        "balance": 0,
    }
    assert ask(server, text, "/api/users/4711/balance").json == {"userId": 4711, "balance": 0}
    assert ask(server, text, "/api/users/4712/balance").status == 403
    assert ask(server, token(SECRET, "HS256", claims(0)), "/api/users/0").status == 404


def test_external_users_without_tokens(serve):
    server = serve(users__external="on")
    assert server.get("/api/users/987654321/balance") == {"userId": 987654321, "balance": 0}
    assert server.call("GET", "/api/users/0").status == 404
    assert server.call("GET", "/api/users/-1/balance").status == 404


# ---- limits ----


def test_user_limit(prod):
    server = with_users(prod(auth__secret=KEY, limit__user_rate=1, limit__user_burst=5, threads=2))
    text = token(SECRET, "HS256", claims(7))
    answers = [ask(server, text) for _ in range(8)]
    assert [answer.status for answer in answers][:5] == [200] * 5
    refused = answers[-1]
    assert (refused.status, refused.error) == (429, "TOO_MANY_REQUESTS")
    contract.check_problem(refused)
    assert refused.headers["ratelimit-policy"] == '"user";q=5;w=5'
    assert re.fullmatch(r'"user";r=0;t=[345]', refused.headers["ratelimit"])
    assert re.match(r'"user";r=4;t=1', answers[0].headers["ratelimit"])
    # another token of the same user does not help; another user is not concerned
    assert ask(server, token(SECRET, "HS256", claims(7, 1800))).status == 429
    assert ask(server, token(SECRET, "HS256", claims(8)), "/api/users/8").status == 200
    admin = token(SECRET, "HS256", claims(1, role="admin"))
    metrics = ask(server, admin, "/metrics").body.decode()
    assert re.search(r"^limited_users_total [1-9]", metrics, re.M)
    assert re.search(r"^limited_addresses_total 0$", metrics, re.M)
    document = ask(server, None, "/openapi.json").json
    assert "429" in document["paths"]["/api/users/{userId}"]["get"]["responses"]
    assert "429" not in document["paths"]["/health/live"]["get"]["responses"]
    wait_for(lambda: ask(server, text).status == 200, what="a token again")


def test_no_limits_by_default(server):
    answers = [server.call("GET", "/api/users/1") for _ in range(300)]
    assert all(answer.status == 200 and "ratelimit" not in answer.headers for answer in answers)


def test_address_limit_and_proxies(serve):
    server = serve(http__trusted_proxies="127.0.0.1", limit__address_rate=1, limit__address_burst=3)

    def status(address, path="/api/coupons"):
        return server.caller.raw(encode("GET", path, None, [("X-Forwarded-For", address)])).status

    assert [status("198.51.100.1") for _ in range(5)][:3] == [200] * 3
    assert status("198.51.100.1") == 429
    assert status("203.0.113.5, 198.51.100.1") == 429
    assert status("198.51.100.1", "/health/ready") == 200
    assert status("198.51.100.2") == 200
    assert [status(f"2001:db8::{i}") for i in range(1, 6)][-1] == 429
    assert all(server.call("GET", "/api/coupons").status == 200 for _ in range(10))


# ---- proxies ----


def test_proxies(serve):
    """Who sits at this machine may administer; whom the proxy speaks for does not sit there."""
    believed, alone = serve(http__trusted_proxies="10.0.0.0/8, 127.0.0.1"), serve()
    rows = [
        ([], 200),
        ([("X-Forwarded-For", "198.51.100.1")], 403),
        ([("Forwarded", 'for="[2001:db8::1]:4711";proto=https')], 403),
        ([("X-Forwarded-For", "127.0.0.1, 198.51.100.1")], 403),
        ([("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "198.51.100.1, 10.1.1.1")], 403),
        ([("Forwarded", "for=_hidden")], 403),
        ([("X-Forwarded-For", "127.0.0.1")], 200),
        ([("X-Forwarded-For", "nonsense")], 400),
        ([("Forwarded", 'for="127.0.0.1')], 400),
        ([("Forwarded", "for=127.0.0.1"), ("X-Forwarded-For", "198.51.100.1")], 400),
    ]
    for fields, status in rows:
        answer = believed.call("GET", "/api/admin/coupons", None, fields)
        assert answer.status == status, (fields, answer)
        assert alone.call("GET", "/api/admin/coupons", None, fields).status == 200, fields


def test_wrong_proxies(tmp_path):
    for name, value in (("http.trusted_proxies", "10.0.0.0/33"), ("cors.origins", "shop.example")):
        words = ["serve", "--profile", "test", "--data", tmp_path / "d", "--listen", "127.0.0.1:0"]
        code, _, err = run(*words, "--set", f"{name}={value}")
        assert code == 1 and name in err and f'"{value}"' in err


# ---- pages of other origins ----


def test_cors(prod):
    server = prod(auth__secret=KEY, cors__origins="https://shop.example https://admin.example", users__external="on")
    origin = ("Origin", "https://shop.example")
    asks = ("Access-Control-Request-Method", "POST")
    answer = ask(server, None, "/api/coupons/1/issue", "OPTIONS", None, [origin, asks])
    assert answer.status == 204 and not answer.body
    headers = answer.headers
    assert headers["access-control-allow-origin"] == "https://shop.example"
    assert headers["access-control-allow-methods"] == "POST"
    assert "Authorization" in headers["access-control-allow-headers"]
    assert "Idempotency-Key" in headers["access-control-allow-headers"]
    assert int(headers["access-control-max-age"]) > 0 and headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in headers
    for path, text, status in [
        ("/api/users/7", token(SECRET, "HS256", claims(7)), 200),
        ("/api/users/7", None, 401),
        ("/api/users/8", token(SECRET, "HS256", claims(7)), 403),
        ("/nothing", None, 404),
    ]:
        answer = ask(server, text, path, headers=[origin])
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
        answer = ask(server, text, path, headers=[("Origin", "https://evil.example")])
        assert answer.status == status and "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"
