# SPDX-License-Identifier: Apache-2.0
"""Answers, what the model learns from them, and where they differ from what it says."""

import datetime
import json

from model.base import PROBLEMS, Moment


class Answer:
    """What came back, and between which two moments of the shop's clock it was made."""

    __slots__ = ("status", "text", "earliest", "latest", "json", "headers")

    def __init__(self, status, text, earliest, latest, headers=None):
        self.status, self.text, self.headers = status, text, headers or {}
        self.earliest, self.latest = earliest, latest
        self.json = json.loads(text) if text else None

    @property
    def error(self):
        return self.json.get("error") if self.status >= 400 else None

    def __repr__(self):
        return f"{self.status} {self.text.decode(errors='replace')[:600]}"


def moment(text):
    """Unix milliseconds of an RFC 3339 time with offset; None if it is not one."""
    try:
        parsed = datetime.datetime.fromisoformat(text)
        return None if parsed.tzinfo is None else round(parsed.timestamp() * 1000)
    except (TypeError, ValueError):
        return None


class Learned:
    """What the server has chosen, within what it may choose; `problem` says what it may not."""

    def __init__(self, answer, at=None):
        self.answer, self.at, self.problem = answer, answer.json if at is None else at, None

    def find(self, where):
        found = self.at
        for name in where:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def refuse(self, where, found, what):
        if self.answer.status < 300:
            self.problem = f"{'.'.join(where)} is {found!r}, not {what}"

    def number(self, *where):
        found = self.find(where)
        if type(found) is not int or found < 1:
            self.refuse(where, found, "an id")
            return -1
        return found

    def text(self, *where):
        found = self.find(where)
        if not isinstance(found, str) or not found:
            self.refuse(where, found, "a text")
        return found

    def moment(self, *where):
        found = self.past(*where)
        if not self.answer.earliest <= found <= self.answer.latest:
            between = f"{rfc3339(self.answer.earliest)} and {rfc3339(self.answer.latest)}"
            self.refuse(where, self.find(where), f"between {between}")
        return found

    def past(self, *where):
        found = moment(self.find(where))
        if found is None or found > self.answer.latest:
            self.refuse(where, self.find(where), "a time that has been")
        return Moment(found or 0)

    def is_given(self, *where):
        return self.find(where) is not None

    def one_of(self, those, *where):
        if self.find(where) not in those:
            self.refuse(where, self.find(where), f"one of {those}")
        return self.find(where)

    def anything(self, *where):
        return self.find(where)

    def length(self, *where):
        found = self.find(where)
        return len(found) if isinstance(found, list) else 0

    def row(self, name, member, value):
        """The item of a list whose `member` is `value`, if it has an id yet."""
        for item in self.find((name,)) or ():
            if item.get(member) == value and item.get("userCouponId") is not None:
                return Learned(self.answer, item)
        return None


def rfc3339(ms):
    """In UTC."""
    when = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"


def wire(value):
    """A body as JSON has it: moments become texts."""
    if isinstance(value, Moment):
        return rfc3339(value)
    if isinstance(value, dict):
        return {name: wire(member) for name, member in value.items()}
    if isinstance(value, list):
        return [wire(item) for item in value]
    return value


def difference(status, body, answer):
    """Where the answer is not what the model says; None: nowhere."""
    if status != answer.status:
        return f"status {answer.status}, not {status}"
    if status >= 400:
        return differing_problem(body, answer.json)
    if body is None:
        return None if not answer.text else "a body where there should be none"
    return differing("", body, answer.json)


def differing_problem(expected, actual):
    code = PROBLEMS[expected["error"]][0]
    if expected["error"] not in actual.get("message", "") or actual.get("type") != f"/problems/{code}":
        return f"a {expected['error']} without its name or type"
    return differing("", expected, {name: actual.get(name) for name in expected})


def differing(where, expected, actual):
    if isinstance(expected, Moment):
        return None if moment(actual) == expected else f"{where} is {actual}, not {rfc3339(expected)}"
    if type(expected) is not type(actual):
        return f"{where} is {actual!r}, not {expected!r}"
    if isinstance(expected, dict):
        if expected.keys() != actual.keys():
            return f"{where or 'the answer'} has {', '.join(actual)}; it should have {', '.join(expected)}"
        pairs = ((f"{where}.{name}".lstrip("."), expected[name], actual[name]) for name in expected)
    elif isinstance(expected, list):
        if len(expected) != len(actual):
            return f"{where} has {len(actual)} items, not {len(expected)}: {actual!r}, not {expected!r}"
        pairs = ((f"{where}[{i}]", e, a) for i, (e, a) in enumerate(zip(expected, actual)))
    else:
        return None if expected == actual else f"{where} is {actual!r}, not {expected!r}"
    return next((found for found in (differing(*pair) for pair in pairs) if found), None)
