# SPDX-License-Identifier: Apache-2.0
"""Carts: what they show, every refusal in the order of the checks, many at once."""

import random
import threading

import pytest

from support.client import Caller, Request, encode, storm
from support.program import KEY, run
from support.server import Server
from support.tokens import bearer, claims, token

MAX = 2**63 - 1
USER = 1000  # has no cart
NOBODY = 999999999
NOTHING = 999999999


def items(server, method, user, product, quantity=None):
    body = {"userId": user, "productId": product}
    if quantity is not None:
        body["quantity"] = quantity
    return server.call(method, "/api/cart/items", body)


def add(server, user, product, quantity, status=201):
    answer = items(server, "POST", user, product, quantity)
    assert answer.status == status, answer
    return answer.json


def put(server, user, product, quantity, status=200):
    answer = items(server, "PUT", user, product, quantity)
    assert answer.status == status, answer
    return answer.json


def cart(server, user):
    return server.get(f"/api/cart?userId={user}")


def lines(shown):
    """[(product, quantity)], in the order of the cart."""
    return [(item["productId"], item["quantity"]) for item in shown["items"]]


def line_of(server, product, quantity):
    """What a line must look like."""
    p = server.get(f"/api/products/{product}")
    return {
        "productId": product, "name": p["name"], "unitPrice": p["price"], "quantity": quantity,
        "subtotal": p["price"] * quantity, "stockAvailable": p["stock"] >= quantity,
    }  # fmt: skip


# ---- looking ----


def test_the_load_test_carts(shared):
    shown = cart(shared, 1)
    assert list(shown) == ["userId", "items", "totalAmount"]
    assert list(shown["items"][0]) == ["productId", "name", "unitPrice", "quantity", "subtotal", "stockAvailable"]
    assert shown == {"userId": 1, "items": [line_of(shared, 2, 2), line_of(shared, 1, 1)], "totalAmount": 1660000}
    assert lines(cart(shared, 2)) == [(3, 1)]


def test_an_empty_one(shared):
    assert cart(shared, 3) == {"userId": 3, "items": [], "totalAmount": 0}


@pytest.mark.parametrize("user", [NOBODY, 0, -1, MAX, -MAX - 1])
def test_nobodys(shared, user):
    problem = shared.get(f"/api/cart?userId={user}", 404)
    assert (problem["code"], problem["error"]) == ("U001", "USER_NOT_FOUND")


@pytest.mark.parametrize("query", ["", "?userId=", "?userId=x", f"?userId={MAX + 1}", "?userId=1&userId=1", "?user=1"])
def test_whose(shared, query):
    assert shared.get("/api/cart" + query, 400)["member"] == "userId"


# ---- changing ----


def test_a_cart(server):
    assert add(server, USER, 5, 2) == {"userId": USER, "items": [line_of(server, 5, 2)], "totalAmount": 500000}
    assert lines(add(server, USER, 6, 1)) == [(6, 1), (5, 2)]
    assert lines(add(server, USER, 5, 3)) == [(6, 1), (5, 5)]  # adds up, where it stands
    assert put(server, USER, 6, 4) == line_of(server, 6, 4)
    assert put(server, USER, 5, 1) == line_of(server, 5, 1)
    assert lines(cart(server, USER)) == [(6, 4), (5, 1)]
    assert put(server, USER, 6, 0) == line_of(server, 6, 0)
    removed = items(server, "DELETE", USER, 5)
    assert (removed.status, removed.body) == (200, b"")
    assert cart(server, USER) == {"userId": USER, "items": [], "totalAmount": 0}
    assert lines(add(server, USER, 6, 1)) == [(6, 1)]
    assert lines(add(server, USER, 5, 1)) == [(5, 1), (6, 1)]
    assert server.get("/api/products/5")["stock"] == 10000  # nothing is taken


def test_it_shows_the_product_as_it_is_now(server):
    add(server, USER, 11, 2)
    server.patch("/api/admin/products/11", {"price": 5, "stock": 1, "name": "새 이름"})
    shown = cart(server, USER)
    assert shown["items"] == [line_of(server, 11, 2)]
    assert (shown["items"][0]["stockAvailable"], shown["items"][0]["name"]) == (False, "새 이름")
    assert shown["totalAmount"] == 10
    assert put(server, USER, 11, 0)["stockAvailable"] is True
    assert items(server, "POST", USER, 11, 2).error == "INSUFFICIENT_STOCK"


def test_sums_do_not_overflow(server):
    for product in (100, 101):
        body = {"productId": product, "name": "n", "price": 10**12, "stock": 10**12}
        server.post("/api/admin/products", body, 201)
        shown = add(server, USER, product, 10**12)
        assert shown["items"][0]["subtotal"] == shown["totalAmount"] == MAX
    assert items(server, "POST", USER, 100, MAX).error == "INSUFFICIENT_STOCK"
    assert lines(cart(server, USER)) == [(101, 10**12), (100, 10**12)]


# In the order of the checks: user, cart, product or line, quantity, stock. Each row breaks everything after its own.
REFUSALS = [
    ("POST", NOBODY, NOTHING, 0, 404, "U001", "USER_NOT_FOUND"),
    ("POST", 1, NOTHING, 0, 404, "P001", "PRODUCT_NOT_FOUND"),
    ("POST", 1, 8, 0, 400, "O001", "INVALID_QUANTITY"),
    ("POST", 1, 8, -MAX - 1, 400, "O001", "INVALID_QUANTITY"),
    ("POST", 1, 8, 1, 409, "P002", "INSUFFICIENT_STOCK"),
    ("POST", 1, 11, 3, 409, "P002", "INSUFFICIENT_STOCK"),
    ("POST", 1, 1, 10000, 409, "P002", "INSUFFICIENT_STOCK"),
    ("POST", 1, 1, MAX, 409, "P002", "INSUFFICIENT_STOCK"),
    ("PUT", NOBODY, NOTHING, -1, 404, "U001", "USER_NOT_FOUND"),
    ("PUT", 3, NOTHING, -1, 404, "CART001", "CART_NOT_FOUND"),
    ("PUT", 1, NOTHING, -1, 404, "CART002", "CART_ITEM_NOT_FOUND"),
    ("PUT", 1, 8, -1, 404, "CART002", "CART_ITEM_NOT_FOUND"),
    ("PUT", 1, 1, -1, 400, "O001", "INVALID_QUANTITY"),
    ("PUT", 1, 1, 10001, 409, "P002", "INSUFFICIENT_STOCK"),
    ("PUT", 1, 1, MAX, 409, "P002", "INSUFFICIENT_STOCK"),
    ("DELETE", NOBODY, NOTHING, None, 404, "U001", "USER_NOT_FOUND"),
    ("DELETE", 3, NOTHING, None, 404, "CART001", "CART_NOT_FOUND"),
    ("DELETE", 1, NOTHING, None, 404, "CART002", "CART_ITEM_NOT_FOUND"),
    ("DELETE", 1, 3, None, 404, "CART002", "CART_ITEM_NOT_FOUND"),
]


@pytest.mark.parametrize("method, user, product, quantity, status, code, error", REFUSALS)
def test_refusals(shared, method, user, product, quantity, status, code, error):
    before = cart(shared, 1)
    answer = items(shared, method, user, product, quantity)
    assert (answer.status, answer.json["code"], answer.error) == (status, code, error)
    assert cart(shared, 1) == before


def test_an_empty_cart_is_one(server):
    """Once something was added; also when its last line is gone."""
    assert items(server, "PUT", USER, 1, 1).error == "CART_NOT_FOUND"
    items(server, "POST", USER, 8, 1)  # refused: still none
    assert items(server, "DELETE", USER, 1).error == "CART_NOT_FOUND"
    add(server, USER, 1, 1)
    items(server, "DELETE", USER, 1)
    assert items(server, "DELETE", USER, 1).error == "CART_ITEM_NOT_FOUND"
    assert items(server, "PUT", USER, 1, 1).error == "CART_ITEM_NOT_FOUND"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_bodies_that_cannot_be(shared, method):
    good = {"userId": 1, "productId": 1, "quantity": 1}
    names = ["userId", "productId"] + (["quantity"] if method != "DELETE" else [])
    for name in names:
        for value in (None, "1", 1.5, True, [], MAX + 1):
            answer = shared.call(method, "/api/cart/items", {**good, name: value})
            assert (answer.status, answer.error, answer.json["member"]) == (400, "INVALID_INPUT", name), value
        answer = shared.call(method, "/api/cart/items", {n: v for n, v in good.items() if n != name})
        assert (answer.status, answer.json["member"]) == (400, name)
    for body in (b"", b"[]", b"{", b"null"):
        assert shared.call(method, "/api/cart/items", body).status == 400
    text = shared.caller.raw(f"{method} /api/cart/items HTTP/1.1\r\nHost: t\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 2\r\n\r\n{}".encode())  # fmt: skip
    assert text.status == 415


def test_a_cart_is_full_at_1000_lines(server):
    server.stop()
    server.change_sql(
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " INSERT INTO products (product_id, name, price, stock, created_at) SELECT i, 'n', 1, 9, 1 FROM n"
    )
    server.change_sql("INSERT INTO cart_lines SELECT 1000, product_id, 1, product_id FROM products WHERE product_id"
                      " BETWEEN 1000 AND 1999")  # fmt: skip
    server.change_sql("UPDATE users SET has_cart = 1 WHERE user_id = 1000")
    server.start()
    answer = items(server, "POST", USER, 2000, 1)
    assert (answer.status, answer.error) == (409, "CONFLICT")
    shown = add(server, USER, 1500, 1)  # a line that is there
    assert len(shown["items"]) == 1000 and shown["totalAmount"] == 1001
    items(server, "DELETE", USER, 1000)
    assert lines(add(server, USER, 2000, 1))[0] == (2000, 1)


def test_it_lasts(serve):
    server = serve()
    add(server, USER, 5, 2)
    add(server, USER, 6, 3)
    put(server, USER, 5, 7)
    server.kill9()
    server.start()
    assert lines(cart(server, USER)) == [(6, 3), (5, 7)]
    assert lines(cart(server, 1)) == [(2, 2), (1, 1)]


def test_while_sql_is_away(server):
    server.fault("ledger", True)
    for method in ("POST", "PUT", "DELETE"):
        answer = items(server, method, 1, 1, 1)
        assert (answer.status, answer.error) == (503, "STORE_UNAVAILABLE")
    assert server.call("GET", "/api/cart?userId=1").status == 503
    server.fault("ledger", False)
    assert lines(cart(server, 1)) == [(2, 2), (1, 1)]


# ---- many at once ----


def test_adding_at_once_adds_up(serve):
    """Never more than there is, and what was answered 201 is there."""
    server = serve(threads=2)
    server.post("/api/admin/products", {"productId": 100, "name": "n", "price": 1, "stock": 500}, 201)
    body = {"userId": USER, "productId": 100, "quantity": 3}
    asked = storm(server, [Request("POST", "/api/cart/items", body) for _ in range(400)], connections=64)
    statuses = [r.answer.status for r in asked]
    assert statuses.count(201) == 166 and statuses.count(409) == 234
    assert lines(cart(server, USER)) == [(100, 498)]
    quantities = sorted(r.answer.json["items"][0]["quantity"] for r in asked if r.answer.status == 201)
    assert all(q % 3 == 0 for q in quantities) and quantities[-1] == 498


def test_everybody_reads_their_own_writes(serve):
    """Eight people change their carts on connections of any thread; each sees exactly what they did."""
    server = serve(threads=3, ledger__queue_age_max="1m")
    wrong = []

    def shop(user):
        rng, mine = random.Random(user), []
        callers = [Caller(server.port) for _ in range(3)]
        for _ in range(60):
            product, caller = rng.choice([1, 2, 3, 4]), rng.choice(callers)
            line = next((l for l in mine if l[0] == product), None)
            way = rng.choice(["POST", "PUT", "DELETE"]) if line else "POST"
            quantity = rng.randrange(0 if way == "PUT" else 1, 9)
            body = {"userId": user, "productId": product, "quantity": quantity}
            answer = caller.call(way, "/api/cart/items", body)
            if line is None:
                mine.insert(0, [product, quantity])
            elif way == "POST":
                line[1] += quantity
            elif way == "PUT" and quantity:
                line[1] = quantity
            else:
                mine.remove(line)
            seen = rng.choice(callers).call("GET", f"/api/cart?userId={user}").json
            if answer.status not in (200, 201) or lines(seen) != [tuple(l) for l in mine]:
                wrong.append((user, way, body, answer, mine, seen))
                return
        for caller in callers:
            caller.close()

    threads = [threading.Thread(target=shop, args=(2000 + i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


# ---- whose it is ----


@pytest.fixture
def prod(tmp_path):
    """A server in profile prod that knows users of another system; ask(subject, method, path, body, role)."""
    server = Server(tmp_path, profile="prod", payment__gateway="none", auth__secret=KEY, users__external="on")
    assert run("migrate", "--data", server.data)[0] == 0
    server.start()

    def ask(subject, method, path, body=None, role=None):
        fields = [bearer(token(KEY.encode(), "HS256", claims(subject, role=role)))] if subject else []
        return server.caller.raw(encode(method, path, body, fields))

    yield ask
    server.close()


def test_whose_it_is(prod):
    product = {"productId": 5, "name": "n", "price": 1, "stock": 9}
    assert prod(None, "POST", "/api/admin/products", product).status == 401
    assert prod(7, "POST", "/api/admin/products", product).status == 403
    assert prod(7, "POST", "/api/admin/products", product, role="admin").status == 201
    assert prod(7, "PATCH", "/api/admin/products/5", {"price": 2}).status == 403
    assert prod(None, "GET", "/api/products/5").json["price"] == 1
    assert prod(None, "GET", "/api/products").json["totalCount"] == 1
    for role in (None, "admin"):
        assert prod(8, "GET", "/api/cart?userId=7", role=role).status == 403
        for method in ("POST", "PUT", "DELETE"):
            body = {"userId": 7, "productId": 5, "quantity": 1}
            answer = prod(8, method, "/api/cart/items", body, role=role)
            assert (answer.status, answer.json["code"]) == (403, "AUTH002")
            assert prod(None, method, "/api/cart/items", body).status == 401
    assert prod(None, "GET", "/api/cart?userId=7").status == 401
    # Nobody has told this shop of user 7, and that does no harm.
    assert prod(7, "GET", "/api/cart?userId=7").json == {"userId": 7, "items": [], "totalAmount": 0}
    assert prod(7, "DELETE", "/api/cart/items", {"userId": 7, "productId": 5}).error == "CART_NOT_FOUND"
    added = prod(7, "POST", "/api/cart/items", {"userId": 7, "productId": 5, "quantity": 2})
    assert (added.status, added.json["totalAmount"]) == (201, 2)
    assert lines(prod(7, "GET", "/api/cart?userId=7").json) == [(5, 2)]
