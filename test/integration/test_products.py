# SPDX-License-Identifier: Apache-2.0
"""Products: one, lists and their pages, administration; what is kept is never old."""

import random
import threading
from urllib.parse import quote

import pytest

from support.client import Caller
from support.distributed import CHOSEN, heard
from support.server import Server, wait_for

MAX = 2**63 - 1
MONEY_MAX = 10**12
# id: category, price, stock
LOAD_DATA = {
    1: ("전자제품", 1500000, 10000), 2: ("전자제품", 80000, 10000), 3: ("전자제품", 120000, 10000),
    4: ("전자제품", 500000, 10000), 5: ("전자제품", 250000, 10000), 6: ("전자제품", 150000, 10000),
    7: ("전자제품", 95000, 10000), 8: ("전자제품", 180000, 0), 9: ("가구", 350000, 10000),
    10: ("가구", 450000, 10000), 11: ("가구", 75000, 2), 12: ("도서", 45000, 10000), 13: ("도서", 38000, 10000),
    14: ("도서", 42000, 10000), 15: ("도서", 35000, 10000), 16: ("도서", 40000, 10000), 17: ("의류", 25000, 10000),
    18: ("의류", 55000, 10000), 19: ("의류", 12000, 10000), 20: ("잡화", 1000, 10000), 21: ("전자제품", 15000000, 100),
}  # fmt: skip
MEMBERS = ["productId", "name", "description", "price", "stock", "category"]


def make(server, product=None, status=201, **members):
    body = {"name": "새 상품", "price": 1000, "stock": 10, **members}
    if product is not None:
        body["productId"] = product
    return server.post("/api/admin/products", body, status)


def change(server, product, status=200, **members):
    return server.patch(f"/api/admin/products/{product}", members, status)


def listed(server, **query):
    """One page."""
    words = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    return server.get("/api/products" + ("?" + words if words else ""))


def ids(page):
    return [p["productId"] for p in page["products"]]


def pages(server, limit, **query):
    """Every id of a list, page by page."""
    page = listed(server, limit=limit, **query)
    found, total = ids(page), page["totalCount"]
    while page["nextCursor"]:
        assert len(page["products"]) == limit
        page = listed(server, limit=limit, cursor=page["nextCursor"], **query)
        assert page["totalCount"] == total
        found += ids(page)
    assert len(found) == total
    return found


# ---- the load-test data ----


def test_the_load_test_products(shared):
    shown = {p["productId"]: (p["category"], p["price"], p["stock"]) for p in listed(shared)["products"]}
    assert shown == LOAD_DATA
    names = [p["name"] for p in listed(shared)["products"]]
    assert len(set(names)) == 21 and all(any("가" <= c <= "힣" for c in name) for name in names)


def test_one_product(shared):
    product = shared.get("/api/products/11")
    assert list(product) == MEMBERS
    assert (product["category"], product["price"], product["stock"]) == LOAD_DATA[11]
    for path in ("/api/products/999999999", "/api/products/0", "/api/products/-1", f"/api/products/{MAX}"):
        problem = shared.get(path, 404)
        assert (problem["code"], problem["error"]) == ("P001", "PRODUCT_NOT_FOUND")
    for path in ("/api/products/one", "/api/products/1.0", f"/api/products/{MAX + 1}", "/api/products/%31"):
        assert shared.get(path, 400)["member"] == "productId"


def test_head(shared):
    """Kept or not: the same head, no body."""
    for path in ("/api/products/1", "/api/products", "/api/products/999999"):
        for _ in range(2):
            get, head = shared.call("GET", path), shared.call("HEAD", path)
            assert (head.status, head.body) == (get.status, b"")
            if get.status == 200:
                assert int(head.headers["content-length"]) == len(get.body)


# ---- lists ----


def test_sorts(shared):
    by_price = sorted(LOAD_DATA, key=lambda i: (LOAD_DATA[i][1], i))
    assert ids(listed(shared)) == sorted(LOAD_DATA)
    assert ids(listed(shared, sort="price")) == ids(listed(shared, sort="price_asc")) == by_price
    assert ids(listed(shared, sort="price_desc")) == sorted(LOAD_DATA, key=lambda i: (-LOAD_DATA[i][1], i))
    assert ids(listed(shared, sort="newest")) == sorted(LOAD_DATA, reverse=True)


@pytest.mark.parametrize("sort", [None, "price", "price_desc", "newest"])
@pytest.mark.parametrize("category", [None, "전자제품", "잡화", "없는 것"])
def test_pages(shared, sort, category):
    query = {name: value for name, value in (("sort", sort), ("category", category)) if value}
    whole = ids(listed(shared, **query))
    assert set(whole) == {i for i, row in LOAD_DATA.items() if category in (None, row[0])}
    for limit in (1, 2, 3, 7, 20, 21, 22, 100):
        assert pages(shared, limit, **query) == whole


def test_ties(server):
    """Equal prices by id in either direction; of the same age, the larger id first."""
    for product in (105, 101, 104, 103, 102):
        make(server, product, price=7777, category="ties")
    assert pages(server, 2, category="ties", sort="price") == [101, 102, 103, 104, 105]
    assert pages(server, 2, category="ties", sort="price_desc") == [101, 102, 103, 104, 105]
    newest = pages(server, 2, category="ties", sort="newest")
    age = dict(server.sql("SELECT product_id, created_at FROM products WHERE category = 'ties'"))
    assert newest == sorted(age, key=lambda i: (-age[i], -i))


@pytest.mark.parametrize(
    "query, member",
    [
        ("sort=cheapest", "sort"), ("sort=", "sort"), ("sort=PRICE", "sort"), ("limit=0", "limit"),
        ("limit=101", "limit"), ("limit=x", "limit"), ("category=", "category"), ("category=" + "x" * 101, "category"),
        ("category=%FF", "category"), ("cursor=", "cursor"), ("cursor=x", "cursor"), ("cursor=c-1", "cursor"),
        ("cursor=i-0", "cursor"), ("cursor=i-0-0", "cursor"), ("cursor=i-0-01", "cursor"), ("cursor=i-0-1-1", "cursor"),
        ("cursor=i--1", "cursor"), ("cursor=i-0-8000000000000000", "cursor"), ("cursor=i-0-11111111111111111", "cursor"),
        ("cursor=p-1-1", "cursor"), ("sort=price&cursor=d-1-1", "cursor"), ("sort=newest&cursor=i-0-1", "cursor"),
        ("limit=1&limit=1", "limit"), ("category=a&category=b", "category"),
    ],
)  # fmt: skip
def test_queries_that_cannot_be(shared, query, member):
    problem = shared.get("/api/products?" + query, 400)
    assert (problem["error"], problem["member"]) == ("INVALID_INPUT", member)


def test_a_space_in_a_query(server):
    """As forms write it, or as URLs do; a plus is written out."""
    make(server, 100, category="a b")
    make(server, 101, category="a+b")
    for written, product in (("a+b", 100), ("a%20b", 100), ("a%2Bb", 101)):
        assert ids(server.get(f"/api/products?category={written}")) == [product]


def test_a_category_of_100_characters(server):
    make(server, 100, category="열" * 100)
    assert ids(listed(server, category="열" * 100)) == [100]


def test_unknown_parameters_are_ignored(shared):
    assert ids(shared.get("/api/products?shape=round&limit=2")) == [1, 2]


def test_total_is_a_counter(server):
    assert listed(server, category="도서", limit=1)["totalCount"] == 5
    make(server, 100, category="도서")
    change(server, 12, category="가구")
    change(server, 13, category=None)
    make(server, 101)
    assert listed(server, category="도서")["totalCount"] == 4
    assert listed(server, category="가구")["totalCount"] == 4
    assert listed(server)["totalCount"] == 23
    counted = dict(server.sql("SELECT category, count(*) FROM products WHERE category IS NOT NULL GROUP BY category"))
    kept = dict(server.sql("SELECT category, products FROM categories WHERE products > 0"))
    assert kept == counted
    assert server.sql("SELECT products FROM store") == [(23,)]


def test_a_page_goes_on_while_products_come_in(server):
    page = listed(server, limit=5)
    make(server, 100)
    change(server, 5, price=1)
    assert ids(listed(server, limit=3, cursor=page["nextCursor"])) == [6, 7, 8]


def test_no_page_is_slow(server):
    """5,000 products of one price: no page sorts or skips them all."""
    server.stop()
    many = "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 5999) "
    server.change_sql(
        many + "INSERT INTO products (product_id, name, category, price, stock, created_at)"
        " SELECT i, 'n', CASE WHEN i % 2 = 1 THEN 'odd' ELSE 'even' END, 5, 1, 1 FROM n"
    )
    server.change_sql("UPDATE store SET products = products + 5000")
    server.change_sql("INSERT INTO categories VALUES ('odd', 2500), ('even', 2500)")
    server.start()
    for sort in ("price", "price_desc", "newest"):
        assert sorted(pages(server, 100, sort=sort, category="odd")) == list(range(1001, 6000, 2))
    assert len(pages(server, 100, sort="price_desc")) == 5021


# ---- administration ----


def test_a_new_product(server):
    body = {"productId": 500, "name": "태블릿", "description": "", "price": 0, "stock": 0, "category": "전자제품"}
    assert server.post("/api/admin/products", body, 201) == body
    assert server.get("/api/products/500") == body
    taken = server.call("POST", "/api/admin/products", body)
    assert (taken.status, taken.error) == (409, "CONFLICT")
    following = make(server)
    assert following == {"productId": 501, "name": "새 상품", "description": None, "price": 1000, "stock": 10,
                         "category": None}  # fmt: skip
    assert make(server, name="n", description=None, category=None)["productId"] == 502
    assert make(server, product=MAX)["productId"] == MAX
    assert server.call("POST", "/api/admin/products", {"name": "n", "price": 1, "stock": 1}).status == 409


def test_changes(server):
    before = server.get("/api/products/1")
    assert change(server, 1) == before
    assert change(server, 1, price=MONEY_MAX, stock=MONEY_MAX)["price"] == MONEY_MAX
    assert change(server, 1, name="x" * 200, description="열" * 2000)["description"] == "열" * 2000
    now = change(server, 1, description=None, category=None, price=0, stock=0)
    assert now == {"productId": 1, "name": "x" * 200, "description": None, "price": 0, "stock": 0, "category": None}
    assert server.get("/api/products/1") == now
    assert 1 not in ids(listed(server, category="전자제품"))
    assert change(server, 999999, 404, price=1)["code"] == "P001"


@pytest.mark.parametrize(
    "member, value",
    [
        ("name", ""), ("name", "x" * 201), ("name", None), ("name", 1), ("description", "x" * 2001), ("category", ""),
        ("category", "x" * 101), ("price", -1), ("price", MONEY_MAX + 1), ("price", 1.5), ("price", "1"), ("price", None),
        ("stock", -1), ("stock", MONEY_MAX + 1), ("stock", None), ("stock", True),
    ],
)  # fmt: skip
def test_what_a_product_cannot_be(shared, member, value):
    body = {"name": "n", "price": 1, "stock": 1, member: value}
    for answer in (
        shared.call("POST", "/api/admin/products", body), shared.call("PATCH", "/api/admin/products/2", {member: value})
    ):  # fmt: skip
        assert (answer.status, answer.error, answer.json["member"]) == (400, "INVALID_INPUT", member), answer


@pytest.mark.parametrize("missing", ["name", "price", "stock"])
def test_what_a_product_needs(shared, missing):
    body = {name: value for name, value in (("name", "n"), ("price", 1), ("stock", 1)) if name != missing}
    answer = shared.call("POST", "/api/admin/products", body)
    assert (answer.status, answer.json["member"]) == (400, missing)


def test_ids_that_cannot_be(shared):
    for product in (0, -1, MAX + 1, "1"):
        answer = shared.call("POST", "/api/admin/products", {"productId": product, "name": "n", "price": 1, "stock": 1})
        assert (answer.status, answer.json["member"]) == (400, "productId")


def test_it_lasts(serve):
    server = serve()
    make(server, 100, category="새것", description="오래 간다")
    change(server, 2, price=1, stock=3)
    before = server.get("/api/products/100"), server.get("/api/products/2"), listed(server)
    server.kill9()
    server.start()
    assert (server.get("/api/products/100"), server.get("/api/products/2"), listed(server)) == before


def test_while_sql_is_away(server):
    server.get("/api/products/1")
    server.fault("ledger", True)
    if not CHOSEN:
        server.get("/api/products/1")  # kept, and certainly not old
    answer = server.call("GET", "/api/products/2")
    assert (answer.status, answer.error) == (503, "STORE_UNAVAILABLE")
    assert server.call("GET", "/api/products?limit=3").status == 503
    assert server.call("PATCH", "/api/admin/products/1", {"price": 5}).status == 503
    server.fault("ledger", False)
    assert server.get("/api/products/1")["price"] == LOAD_DATA[1][1]


# ---- what is kept ----


def metric(server, name):
    text = server.call("GET", "/metrics").body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " "))


@pytest.mark.embedded
def test_a_second_read_is_kept(server):
    paths = ("/api/products/3", "/api/products", "/api/products?sort=price&limit=2", "/api/products?category=none")
    first = [server.call("GET", path).body for path in paths]
    kept = metric(server, "answers_kept_total")
    assert [server.call("GET", path).body for path in paths] == first
    assert metric(server, "answers_kept_total") == kept + len(paths)
    made = metric(server, "answers_made_total")
    server.call("GET", "/api/products/999999")
    server.call("GET", "/api/products/999999")  # refusals are not kept
    assert metric(server, "answers_made_total") == made + 2


@pytest.mark.parametrize("answers", ["4096", "0"])
def test_a_change_is_seen_at_once(tmp_path, answers):
    server = Server(tmp_path, answers__cache_max=answers).start()
    try:
        others = [Caller(server.port) for _ in range(4)]
        for i in range(50):
            price = 1000 + i
            change(server, 1, price=price)
            for caller in others:
                assert caller.call("GET", "/api/products/1").json["price"] == price
                assert caller.call("GET", "/api/products?limit=1").json["products"][0]["price"] == price
        make(server, 100)
        assert ids(listed(server))[-1] == 100
        for caller in others:
            caller.close()
    finally:
        server.close()


@pytest.mark.measured
def test_made_up_queries_cost_no_memory(tmp_path):
    server = Server(tmp_path, answers__cache_bytes_max="1M").start()
    try:
        for i in range(2000):
            server.call("GET", f"/api/products?limit=21&made-up={i}")
        before = server.rss_kib()
        for i in range(6000):
            server.call("GET", f"/api/products?limit=21&also-made-up={i}")
        assert server.rss_kib() < before + 4096
    finally:
        server.close()


class Watched:
    """Eight products whose stock only grows: what was seen or acknowledged once is never unseen."""

    PRODUCTS = range(201, 209)

    def __init__(self, server, writes):
        self.server, self.writes = server, writes
        self.floor = dict.fromkeys(self.PRODUCTS, 0)
        self.lock, self.left, self.wrong, self.reads = threading.Lock(), len(self.PRODUCTS), [], 0
        for product in self.PRODUCTS:
            make(server, product, stock=0, category="watched")

    def raise_floor(self, product, stock):
        with self.lock:
            self.floor[product] = max(self.floor[product], stock)

    def write(self, product):
        caller = Caller(self.server.port)
        for stock in range(1, self.writes + 1):
            answer = caller.call("PATCH", f"/api/admin/products/{product}", {"stock": stock})
            if answer.status != 200 or answer.json["stock"] != stock:
                self.wrong.append(answer)
            self.raise_floor(product, stock)
        caller.close()
        with self.lock:
            self.left -= 1

    def read_one(self, caller, product):
        floor = self.floor[product]
        stock = caller.call("GET", f"/api/products/{product}").json["stock"]
        self.compare({product: floor}, {product: stock})

    def read_list(self, caller, sort):
        with self.lock:
            floors = dict(self.floor)
        page = caller.call("GET", f"/api/products?category=watched&sort={sort}").json
        self.compare(floors, {p["productId"]: p["stock"] for p in page["products"]})

    def compare(self, floors, seen):
        if seen.keys() != floors.keys() or any(seen[p] < floors[p] for p in seen):
            self.wrong.append((floors, seen))
        for product, stock in seen.items():
            self.raise_floor(product, stock)
        self.reads += 1

    def read(self, seed):
        rng, caller = random.Random(seed), Caller(self.server.port)
        while self.left > 0 and not self.wrong:
            if rng.random() < 0.7:
                self.read_one(caller, rng.choice(self.PRODUCTS))
            else:
                self.read_list(caller, rng.choice(["price", "newest"]))
        caller.close()

    def run(self):
        threads = [threading.Thread(target=self.write, args=(p,)) for p in self.PRODUCTS]
        threads += [threading.Thread(target=self.read, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("threads", [1, 3])
def test_nothing_old_is_ever_read(serve, threads):
    server = serve(threads=threads, ledger__queue_age_max="1m")
    watched = Watched(server, writes=150)
    watched.run()
    assert not watched.wrong, watched.wrong[:3]
    assert watched.reads > 500
    assert {p["stock"] for p in listed(server, category="watched")["products"]} == {150}
    if not CHOSEN:
        wait_for(lambda: metric(server, "answers_kept_total") > 0, what="something was kept")


# ---- by popularity ----


def buy(server, user, product, quantity):
    body = {"userId": user, "items": [{"productId": product, "quantity": quantity}]}
    return server.post("/api/orders/complete", body, 201)["order"]["orderId"]


def popularity(server):
    """The order as the ranking and the ids have it."""
    ranked = [r["productId"] for r in server.get("/api/products/ranking/top?window=rolling&limit=100")["rankings"]]
    return ranked + [i for i in ids(listed(server)) if i not in ranked]


def check_popularity(server):
    heard()
    whole = ids(listed(server, sort="popularity"))
    for limit in (1, 2, 3, 5, 7, 20, 21, 22):
        assert pages(server, limit, sort="popularity") == whole
    for category in ("전자제품", "도서", "잡화", "없는 것"):
        of_it = [i for i in whole if LOAD_DATA[i][0] == category]
        assert pages(server, 2, sort="popularity", category=category) == of_it
    return whole


@pytest.mark.parametrize("ranking", [True, False])
def test_popularity(server, ranking):
    """Sold ones by rank, then the others by id; the same while the ranking is away."""
    if not ranking:
        server.fault("ranking", True)
    first = check_popularity(server)
    order = buy(server, 1, 20, 500)
    buy(server, 1, 16, 300)
    buy(server, 1, 17, 300)
    whole = check_popularity(server)
    assert whole[:3] == [20, 16, 17]
    assert whole[3:] == [i for i in first if i not in (20, 16, 17)]
    if ranking:
        assert whole == popularity(server)
    server.post(f"/api/orders/{order}/cancel", {"userId": 1, "idempotencyKey": "back"})
    assert check_popularity(server) == [16, 17] + [i for i in first if i not in (16, 17)]
    server.post("/api/admin/test/clock", {"advanceSeconds": 8 * 86400})
    assert check_popularity(server) == sorted(LOAD_DATA)


def test_popularity_is_seen_at_once(server):
    for i in range(20):
        product = (15, 17, 18, 19)[i % 4]
        buy(server, 1, product, 100 * (i + 1))
        sold = {}
        for j in range(i + 1):
            sold[(15, 17, 18, 19)[j % 4]] = sold.get((15, 17, 18, 19)[j % 4], 0) + 100 * (j + 1)
        want = sorted(sold, key=lambda p: -sold[p])
        seen = lambda: ids(listed(server, sort="popularity", limit=len(want))) == want
        assert seen() or (CHOSEN and wait_for(seen, 2, what="the other server has heard"))


@pytest.mark.parametrize("cursor", ["i-0-1", "r-0-0", "r-0", "u-0-0", "u-1", "x-0-1", "r-0-1-1"])
def test_cursors_of_popularity(shared, cursor):
    assert shared.get(f"/api/products?sort=popularity&cursor={cursor}", 400)["member"] == "cursor"
