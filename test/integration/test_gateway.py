# SPDX-License-Identifier: Apache-2.0
"""The payment gateway: what `serve` asks for, and that the gateway which other tests pay at keeps
books that can be trusted."""

import hashlib
import hmac
import http.client
import json
import time

import pytest

from support.gateway import MANNERS, SECRET, Gateway
from support.program import run
from support.server import wait_for


@pytest.fixture
def gateway():
    with Gateway() as one:
        yield one


class Shop:
    """What doorbuster sends, and nothing else of it."""

    def __init__(self, gateway):
        self.port = gateway.port

    def ask(self, operation, key, order=17, amount=9000, refunds=None, secret=SECRET, timeout=5, skew=0):
        body = json.dumps(
            {"operation": operation, "key": key, "userId": 1, "orderId": order, "amount": amount,
             "refundedTransactionId": refunds, "sentAt": "2026-03-06T12:00:00.000+09:00"}
        )  # fmt: skip
        stamp = str(int(time.time()) + skew)
        mac = hmac.new(secret.encode(), f"{stamp}.{body}".encode(), hashlib.sha256).hexdigest()
        headers = {"Idempotency-Key": key, "X-Doorbuster-Timestamp": stamp, "X-Doorbuster-Signature": f"v1={mac}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST", "/pay", body, headers)
            answer = connection.getresponse()
            self.content_type = answer.headers.get_content_type()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@pytest.fixture
def shop(gateway):
    return Shop(gateway)


APPROVED = (200, {"status": "approved", "transactionId": "T-1"})
REFUSED = (402, {"status": "refused", "transactionId": None})


# ---- the gateway of other tests ----


def test_same_key_is_one_charge(gateway, shop):
    assert shop.ask("charge", "order-17-1") == shop.ask("charge", "order-17-1") == APPROVED
    gateway.check({17: 9000})
    assert gateway.requests_of["charge", "order-17-1"] == 2


def test_void_holds_also_for_a_late_request(gateway, shop):
    assert shop.ask("charge", "order-17-1") == APPROVED
    assert shop.ask("void", "order-17-1")[1]["status"] == "approved"
    assert shop.ask("charge", "order-17-1") == REFUSED
    gateway.tell("late", times=1, seconds=0.3)
    assert shop.ask("charge", "order-17-2")[0] == 503
    assert shop.ask("void", "order-17-2")[1]["status"] == "approved"
    wait_for(gateway.quiet)
    gateway.check({})
    assert gateway.state()["lateRefused"] == 2
    gateway.tell("late", times=1, seconds=0.1)
    assert shop.ask("charge", "order-17-3")[0] == 503
    wait_for(gateway.quiet)
    gateway.check({17: 9000})


def test_refund(gateway, shop):
    shop.ask("charge", "order-17-1")
    assert shop.ask("refund", "order-17-2", refunds="T-1")[0] == 200
    assert shop.ask("refund", "order-17-2", refunds="T-1")[0] == 200
    gateway.check({})
    assert shop.ask("void", "order-17-2")[0] == 200
    gateway.check({17: 9000})


@pytest.mark.parametrize("manner", [m for m in MANNERS if m not in ("hang_before", "hang_after")])
def test_manners(gateway, shop, manner):
    """Each does what its line says, once, and the books say whether it was booked."""
    gateway.tell(manner, times=1, key="-17-", operation="charge", seconds=0.1)
    try:
        answer = shop.ask("charge", "order-17-1")
    except (OSError, http.client.HTTPException, ValueError) as e:
        answer = e
    wait_for(gateway.quiet)
    booked = manner not in ("refuse", "error_before", "close_before", "redirect", "deny")
    gateway.check({17: 9000} if booked else {})
    if manner == "wrong_type":
        assert shop.content_type == "text/html"
    elif manner in ("slow", "wait"):
        assert answer == APPROVED
    elif manner == "refuse":
        assert answer == REFUSED == shop.ask("charge", "order-17-1")
    else:
        assert answer != APPROVED
        assert shop.ask("charge", "order-17-1") == APPROVED


@pytest.mark.parametrize("manner", ["hang_before", "hang_after"])
def test_hangs(gateway, shop, manner):
    gateway.tell(manner, times=1)
    with pytest.raises(TimeoutError):
        shop.ask("charge", "order-17-1", timeout=0.2)
    gateway.check({17: 9000} if manner == "hang_after" else {})


@pytest.mark.parametrize(
    "wrong", [{"secret": "x" * 32}, {"skew": -400}, {"skew": 400}], ids=["key", "too old", "too new"]
)
def test_signature_is_checked(gateway, shop, wrong):
    assert shop.ask("charge", "order-17-1", **wrong)[0] == 401
    assert gateway.problems({}) == ["1 requests without a good signature"]


def planted(shop, bug):
    """What a shop with this bug would do; gives what it then believes."""
    if bug == "charged, not paid":
        shop.ask("charge", "order-17-1")
        return {}
    if bug == "paid, not charged":
        return {17: 9000}
    if bug == "charged twice":
        shop.ask("charge", "order-17-1")
        shop.ask("charge", "order-17-2")
    elif bug == "another amount":
        shop.ask("charge", "order-17-1", amount=8999)
    elif bug == "a key for two":
        shop.ask("charge", "order-17-1")
        shop.ask("charge", "order-17-1", order=18)
    elif bug == "paid, but voided":
        shop.ask("charge", "order-17-1")
        shop.ask("void", "order-17-1")
    elif bug == "paid, but refunded":
        shop.ask("charge", "order-17-1")
        shop.ask("refund", "order-17-2", refunds="T-1")
    elif bug == "refunded twice":
        shop.ask("charge", "order-17-1")
        shop.ask("refund", "order-17-2", refunds="T-1")
        shop.ask("refund", "order-17-3", refunds="T-1")
        return {}
    elif bug == "refund of nothing":
        shop.ask("refund", "order-17-2", refunds="T-9")
        return {}
    return {17: 9000}


@pytest.mark.parametrize(
    "bug",
    ["charged, not paid", "paid, not charged", "charged twice", "another amount", "a key for two", "paid, but voided",
     "paid, but refunded", "refunded twice", "refund of nothing"],
)  # fmt: skip
def test_check_finds(gateway, shop, bug):
    believed = planted(shop, bug)
    assert len(gateway.problems(believed)) == 1
    with pytest.raises(AssertionError):
        gateway.check(believed)


def test_charges_of_balances(gateway, shop):
    shop.ask("charge", "charge-1-1", order=None, amount=500)
    shop.ask("charge", "charge-2-1", order=None, amount=600)
    gateway.check({}, {1: 1100})
    assert len(gateway.problems({}, {1: 500})) == len(gateway.problems({}, {})) == 1
    assert len(gateway.problems({}, {1: 1100, 2: 1})) == 1


# ---- `serve` ----


def start_refused(tmp_path, *settings):
    flags = [word for setting in settings for word in ("--set", setting)]
    code, _, err = run("serve", "--profile", "test", "--data", tmp_path / "d", "--listen", "127.0.0.1:0", *flags)
    assert not (tmp_path / "d").exists()
    return code, err


def test_what_http_needs(tmp_path):
    http_gateway, url = "payment.gateway=http", "payment.http_url=http://127.0.0.1:1/pay"
    code, err = start_refused(tmp_path, http_gateway)
    assert code == 1 and "payment.http_url = https://" in err and "payment.http_secret_file = " in err
    code, err = start_refused(tmp_path, http_gateway, url)
    assert code == 1 and "payment.http_url = " not in err and "payment.http_secret_file = " in err
    code, err = start_refused(tmp_path, http_gateway, f"payment.http_secret={'x' * 32}")
    assert code == 1 and "payment.http_url = " in err and "payment.http_secret_file = " not in err
    (tmp_path / "key").write_text("x" * 31 + "\n")
    secret_file = f"payment.http_secret_file={tmp_path / 'key'}"
    code, err = start_refused(tmp_path, http_gateway, url, secret_file, f"payment.http_secret={'x' * 32}")
    assert code == 1 and "keep one" in err
    code, err = start_refused(tmp_path, http_gateway, url, secret_file)
    assert code == 1 and "31 bytes" in err
    code, err = start_refused(tmp_path, http_gateway, "payment.http_url=http://a b/", f"payment.http_secret={'x' * 32}")
    assert code == 1 and "not a URL that can be called" in err
    code, err = start_refused(tmp_path, http_gateway, url, f"payment.http_secret={'x' * 32}", "payment.http_ca_file=/no")
    assert code == 1 and "/no cannot be read" in err


@pytest.mark.embedded  # of one server
def test_metrics(serve, gateway, tmp_path):
    server = serve(**gateway.settings(tmp_path))
    text = server.call("GET", "/metrics").body.decode()
    assert 'resilience4j_circuitbreaker_state{name="gateway",state="closed"} 1' in text
    assert 'resilience4j_circuitbreaker_state{name="gateway",state="open"} 0' in text
    assert 'resilience4j_circuitbreaker_failure_rate{name="gateway"} -1' in text
    assert 'resilience4j_circuitbreaker_not_permitted_calls_total{name="gateway"} 0' in text
    assert "payment_gateway_calls_in_flight 0" in text
