# SPDX-License-Identifier: Apache-2.0
"""Events out: what was issued, completed and cancelled reaches a receiver, at least once and in order
of each coupon and user, whatever happens to the receiver or to the server."""

import collections
import json
import os
import random
import time

import pytest

from support import contract
from support.client import Request, storm
from support.distributed import Servers
from support.receiver import Receiver
from support.server import wait_for
from support.stores import Stores

USERS = 40
EVENTS = int(os.environ.get("DOORBUSTER_TEST_EVENTS", "2000"))  # 1000000 in a full run
COUPON = 900


@pytest.fixture
def receiver():
    with Receiver() as it:
        yield it


def shop(serve, receiver, tmp_path, **more):
    """A shop with users 1001.., a product and COUPON."""
    server = serve(**receiver.settings(tmp_path, **more))
    make(server, USERS)
    return server


def make(server, users, quantity=100000):
    post(server, "/api/admin/users", {"fromUserId": 1001, "toUserId": 1000 + users, "balance": 10**12}, 201)
    post(server, "/api/admin/products", {"productId": 901, "name": "thing", "price": 10, "stock": 10**9}, 201)
    coupon(server, COUPON, quantity)


def coupon(server, coupon_id, quantity):
    body = {"couponId": coupon_id, "name": "X", "discountRate": 10, "totalQuantity": quantity}
    post(server, "/api/admin/coupons", {**body, "endsAt": "2036-01-01T00:00:00Z"}, 201)
    for node in getattr(server, "nodes", [server]):  # nobody of that name: the gate is not asked, unless it is closed
        wait_for(lambda: node.call("POST", f"/api/coupons/{coupon_id}/issue", {"userId": 10**9}).status != 503)


def post(server, path, body, status=200):
    answer = server.call("POST", path, body)
    assert answer.status == status, answer
    return answer.json


def issue(server, user, coupon_id=COUPON):
    """Where another server has just made the coupon, this one takes a moment to hear of it."""
    path, body = f"/api/coupons/{coupon_id}/issue", {"userId": user}
    answer = wait_for(lambda: (it := server.call("POST", path, body)).status != 503 and it, what="an open gate")
    assert answer.status == 200, answer
    return answer.json


def complete(server, user, key=None):
    body = {"userId": user, "items": [{"productId": 901, "quantity": 1}]}
    return post(server, "/api/orders/complete", {**body, "idempotencyKey": key} if key else body, 201)


def metric(server, name, consumer="webhook"):
    """Of several servers each says what is in the ledger, and what it has done itself."""
    values = []
    for node in getattr(server, "nodes", [server]):
        for line in node.call("GET", "/metrics").body.decode().splitlines():
            if line.startswith(f'{name}{{consumer="{consumer}"}}'):
                values.append(float(line.split()[-1]))
    return sum(values) if name.endswith("_total") else max(values)


def of_key(receiver, key, count):
    """Events that the load-test data makes do not matter."""
    wait_for(lambda: receiver.last.get(key, 0) >= count, seconds=30, what=f"{count} events of {key}")
    assert not receiver.wrong, receiver.wrong[:5]
    return receiver.of(key)


# ---- what they say ----


def test_coupon(serve, receiver, tmp_path):
    server = shop(serve, receiver, tmp_path)
    answers = [issue(server, user) for user in (1001, 1002)]
    post(server, f"/api/coupons/{COUPON}/reserve", {"userId": 1003})
    events = of_key(receiver, f"coupon-{COUPON}", 3)
    for number, (answer, event) in enumerate(zip(answers, events), 1):
        assert event["type"] == "coupon.issued" and event["number"] == number
        assert event["id"].startswith(f"coupon-{COUPON}-{number}-")
        assert event["data"] == {
            "couponId": COUPON,
            "userId": 1000 + number,
            "sequenceNumber": answer["sequenceNumber"],
            "userCouponId": answer["userCouponId"],
            "issuedAt": answer["issuedAt"],
            "expiresAt": answer["expiresAt"],
        }
        assert event["occurredAt"] == answer["issuedAt"]
    assert events[2]["data"]["userId"] == 1003


def test_orders(serve, receiver, tmp_path):
    server = shop(serve, receiver, tmp_path)
    done = complete(server, 1001, "a")
    assert complete(server, 1001, "a") == done
    order_id = done["order"]["orderId"]
    cancelled = post(server, f"/api/orders/{order_id}/cancel", {"userId": 1001, "idempotencyKey": "b"})
    pending = post(
        server, "/api/orders", {"userId": 1001, "items": [{"productId": 901, "quantity": 2}], "idempotencyKey": "c"}, 201
    )
    post(server, f"/api/orders/{pending['orderId']}/cancel", {"userId": 1001, "idempotencyKey": "d"})
    first, second, third = of_key(receiver, "user-1001", 3)
    assert [first["type"], second["type"], third["type"]] == ["order.completed", "order.cancelled", "order.cancelled"]
    assert {name: first["data"][name] for name in done["order"]} == done["order"]
    assert first["data"]["paidAt"] == done["payment"]["paidAt"] and first["data"]["cancelledAt"] is None
    assert {name: second["data"][name] for name in cancelled} == cancelled
    assert second["data"]["paidAt"] == done["payment"]["paidAt"] and second["data"]["cancelledAt"]
    assert third["data"]["orderId"] == pending["orderId"] and third["data"]["paidAt"] is None
    assert first["data"]["couponId"] is None


def test_paid_through_the_gateway_refused(serve, receiver, tmp_path):
    """A payment that is refused is no event."""
    server = shop(serve, receiver, tmp_path)
    body = {"userId": 1001, "items": [{"productId": 901, "quantity": 1}], "idempotencyKey": "fail-1"}
    assert server.call("POST", "/api/orders/complete", body).status == 402
    complete(server, 1001)
    (event,) = of_key(receiver, "user-1001", 1)
    assert event["type"] == "order.completed"


# ---- dead letters ----


def test_dead(serve, receiver, tmp_path):
    server = shop(serve, receiver, tmp_path, events__tries_max=3)
    receiver.poisoned.add("user-1001")
    for _ in range(3):
        complete(server, 1001)
        complete(server, 1002)
    of_key(receiver, "user-1002", 3)  # the others go on

    def dead():
        answer = server.call("GET", "/api/admin/events/dead?limit=10")
        assert answer.status == 200
        return answer.json["events"]

    (event,) = wait_for(dead)
    assert event["key"] == "user-1001" and event["number"] == 1 and event["type"] == "order.completed"
    assert event["consumer"] == "webhook" and event["tries"] == 3 and event["why"] == "answered 500"
    wait_for(lambda: metric(server, "events_dead") == 1)
    wait_for(lambda: metric(server, "events_undelivered") == 3)
    assert metric(server, "events_failures_total") == 3
    assert server.call("GET", "/health/ready").status == 200
    server.kill9()
    server.start()
    complete(server, 1001)  # it still waits, behind it
    assert post(server, f"/api/admin/events/dead/{event['id']}/replay", None)["eventId"] == event["eventId"]
    (again,) = wait_for(dead)
    assert again["id"] != event["id"] and again["eventId"] == event["eventId"]
    assert server.call("POST", f"/api/admin/events/dead/{event['id']}/replay").status == 404
    assert "user-1001" not in receiver.last
    receiver.poisoned.clear()
    receiver.last["user-1001"] = 1  # it is left out
    assert post(server, f"/api/admin/events/dead/{again['id']}/skip", None)["number"] == 1
    assert [event["number"] for event in of_key(receiver, "user-1001", 4)] == [2, 3, 4]
    assert dead() == []
    contract.check_problem(server.call("POST", "/api/admin/events/dead/77/skip"))


def test_pages(serve, receiver, tmp_path):
    server = shop(serve, receiver, tmp_path, events__tries_max=1)
    receiver.poisoned |= {f"user-{1000 + i}" for i in range(1, 6)}
    for user in range(1001, 1006):
        complete(server, user)
    ask = lambda more: server.call("GET", f"/api/admin/events/dead?limit=2{more}").json
    wait_for(lambda: ask("")["totalCount"] == 5)
    seen, more = [], ""
    while more is not None:
        page = ask(more)
        seen += [event["key"] for event in page["events"]]
        more = f"&cursor={page['nextCursor']}" if page["nextCursor"] else None
    assert sorted(seen) == [f"user-{1000 + i}" for i in range(1, 6)]
    assert server.call("GET", "/api/admin/events/dead?cursor=x").status == 400


# ---- refused configurations ----


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"events__webhook_url": "http://127.0.0.1:1/"}, "events.webhook_secret_file = /etc/doorbuster/events"),
        ({"events__webhook_url": "http://[::1/", "events__webhook_secret": "x" * 32}, "not a URL that can be called"),
        ({"events__stream": "events"}, "events.redis"),
    ],
)
def test_refused(tmp_path, settings, said):
    from support.server import Server

    code, log = Server(tmp_path, **settings).start_refused()
    assert code == 1 and said in log


# ---- to a Redis Stream ----

STREAM = "doorbuster:events"


@pytest.fixture
def redis():
    with Stores() as stores:
        yield stores.redis()


def streamed(redis, start="-"):
    """What stands in the stream, by key, in its order; each event once, as a reader would have it."""
    keys, seen = collections.defaultdict(list), set()
    for _, fields in redis.call("XRANGE", STREAM, start, "+"):
        entry = dict(zip(fields[::2], fields[1::2]))
        event = json.loads(entry["event"])
        assert sorted(entry) == ["event", "id", "key", "number", "type"]
        assert (entry["id"], entry["key"], entry["number"], entry["type"]) == (
            event["id"], event["key"], str(event["number"]), event["type"],
        )  # fmt: skip
        if entry["id"] not in seen:
            seen.add(entry["id"])
            keys[event["key"]].append(event)
    for events in keys.values():
        numbers = [event["number"] for event in events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return keys


def in_stream(redis, wanted, seconds=20):
    ready = lambda: all(len(streamed(redis)[key]) >= count for key, count in wanted.items())
    wait_for(ready, seconds=seconds, every=0.1, what=f"{wanted} in the stream")
    return streamed(redis)


def test_stream(serve, redis, receiver, tmp_path):
    """Beside a webhook; what one has is not what the other has."""
    receiver.away = True
    server = shop(serve, receiver, tmp_path, events__stream=STREAM, events__redis=redis.url)
    for user in range(1001, 1011):
        issue(server, user)
        complete(server, user)
    keys = in_stream(redis, {f"coupon-{COUPON}": 10, **{f"user-{user}": 1 for user in range(1001, 1011)}})
    assert [event["data"]["userId"] for event in keys[f"coupon-{COUPON}"]] == list(range(1001, 1011))
    assert keys["user-1001"][0]["data"]["status"] == "COMPLETED"
    assert metric(server, "events_delivered_total", "stream") >= 20
    assert metric(server, "events_delivered_total") == 0
    receiver.away = False
    of_key(receiver, f"coupon-{COUPON}", 10)


def test_stream_is_trimmed(serve, redis):
    server = serve(events__stream=STREAM, events__redis=redis.url, events__stream_length_max=100)
    make(server, 600)
    for _ in range(3):
        for request in storm(server, [buy(user) for user in range(1001, 1601)]):
            assert request.answer.status == 201
    wait_for(lambda: metric(server, "events_delivered_total", "stream") >= 1800, seconds=20, what="all in the stream")
    assert 100 <= redis.call("XLEN", STREAM) <= 300


def test_stream_redis_away(serve, redis):
    """Redis refuses writes, dies (what it took is on disk), hangs: all there once it is back."""
    redis.config("appendonly", "yes")
    redis.config("appendfsync", "always")
    options = {"events__stream": STREAM, "events__redis": redis.url, "events__retry_after": "20ms", "events__retry_max": "200ms"}
    server = serve(**options)
    make(server, 50)
    wanted = collections.Counter()

    def some(count):
        for request in storm(server, [buy(random.randrange(1001, 1051)) for _ in range(count)]):
            assert request.answer.status == 201
            wanted[f"user-{request.user}"] += 1

    some(200)
    redis.call("CONFIG", "SET", "maxmemory", "1")
    some(200)
    redis.call("CONFIG", "SET", "maxmemory", "0")
    some(100)
    redis.restart(kill=True)
    some(100)
    redis.freeze()
    some(100)
    redis.thaw()
    server.kill9()
    server.start()
    some(100)
    in_stream(redis, wanted)
    wait_for(lambda: metric(server, "events_undelivered", "stream") == 0, what="all marked")


# ---- failures ----


def test_receiver_away(serve, tmp_path):
    """As long as it is away nothing is given up, whatever events.tries_max says."""
    receiver = Receiver()
    receiver.start()
    settings = receiver.settings(tmp_path, events__tries_max=20)
    receiver.stop()
    server = serve(**settings)
    make(server, USERS)
    for user in range(1001, 1001 + USERS):
        complete(server, user)
    time.sleep(3)
    receiver.start()
    for user in range(1001, 1001 + USERS):
        of_key(receiver, f"user-{user}", 1)
    assert server.call("GET", "/api/admin/events/dead").json["events"] == []
    receiver.stop()


def delivered_by(node):
    return metric(node, "events_delivered_total")


def test_two_servers(shared_stores, tmp_path):
    """One of them delivers; when it dies the other one takes over, and nothing is lost or out of order."""
    with Receiver(fail=0.05) as receiver:
        servers = Servers(tmp_path, shared_stores, **receiver.settings(tmp_path))
        try:
            servers.start()
            make(servers, USERS)
            wanted = collections.Counter()

            def some(nodes, count):
                for i in range(count):
                    user = random.randrange(1001, 1001 + USERS)
                    complete(nodes[i % len(nodes)], user)
                    wanted[f"user-{user}"] += 1

            some(servers.nodes, 100)
            for key, count in wanted.items():
                of_key(receiver, key, count)
            (holder,) = [node for node in servers.nodes if delivered_by(node)]
            (other,) = [node for node in servers.nodes if node is not holder]
            some(servers.nodes, 50)
            holder.kill9()
            some([other], 50)
            started = time.monotonic()
            for key, count in wanted.items():
                of_key(receiver, key, count)
            print(f"\ntaken over within {time.monotonic() - started:.1f} s")
            assert delivered_by(other) > 0
        finally:
            servers.close()


def buy(user):
    body = {"userId": user, "items": [{"productId": 901, "quantity": 1}]}
    return Request("POST", "/api/orders/complete", body, user=user)


def take(user):
    return Request("POST", f"/api/coupons/{COUPON}/issue", {"userId": user}, user=user)


def test_storm(serve, tmp_path):
    """A receiver that fails 10 % of the time and is restarted; kill -9 of the server: every event at
    least once, in order of each key, none lost."""
    dice = random.Random(EVENTS)
    users = range(1001, 1001 + max(EVENTS // 10, 50))
    takers = iter(dice.sample(users, len(users)))
    with Receiver(fail=0.1, keep=False) as receiver:
        server = serve(**receiver.settings(tmp_path, events__tries_max=0, events__webhook_timeout="2s"))
        make(server, len(users), quantity=len(users))
        wanted, started, restarts, kills = collections.Counter(), time.monotonic(), 0, 0
        while wanted.total() < EVENTS:
            size = min(max(EVENTS // 20, 50), 5000)
            asked = [buy(dice.choice(users)) for _ in range(size)]
            asked += [take(user) for user, _ in zip(takers, range(size // 50))]
            dice.shuffle(asked)
            for request in storm(server, asked):
                if request.answer.error == "OVERLOADED":
                    continue  # and nothing was done: no event
                assert request.answer.status in (200, 201), request.answer
                wanted[f"user-{request.user}" if "orders" in request.path else f"coupon-{COUPON}"] += 1
            if dice.random() < 0.5:
                receiver.restart(after=dice.random() / 5)
                restarts += 1
            if dice.random() < 0.5:
                server.kill9()
                server.start()
                kills += 1
        made = time.monotonic() - started
        wait_for(
            lambda: receiver.wrong or all(receiver.last.get(key, 0) >= count for key, count in wanted.items()),
            seconds=60 + EVENTS // 100,
            every=0.1,
            what="all events",
        )
        assert not receiver.wrong, receiver.wrong[:5]
        assert {key: receiver.last[key] for key in wanted} == wanted
        wait_for(lambda: metric(server, "events_undelivered") == 0, what="all marked")
        took = time.monotonic() - started
        print(
            f"\n{wanted.total()} events of {len(wanted)} keys made in {made:.1f} s and delivered in {took:.1f} s:"
            f" {wanted.total() / took:.0f}/s; {receiver.tries} tries, {receiver.again} came again,"
            f" {restarts} restarts, {kills} kills"
        )
