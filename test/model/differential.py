#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random commands at a server and at the plain model: differential.py [--commands N] [--seed S] [--zone Z]

Each answer's status, error and every member must be what the model says, and every --every commands
the whole state, read in all ways there are, must be the model's; after that the server is started
again, every other time killed. Prints the first difference with the commands before it. DOORBUSTER
names the program. The same seed makes the same commands again.
"""

import argparse
import collections
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from model.commands import Commands  # noqa: E402
from model.compare import Learned, difference  # noqa: E402
from model.model import Shop  # noqa: E402
from model.real import Real  # noqa: E402
from model.seen import Seen  # noqa: E402

LAST_COMMANDS = 12
DAY_MS = 86400000
SETTLE_SECONDS = 3  # what is shown some time after it was decided, at the latest
SHOWN_LATER = ("/api/products/ranking", "/api/products/top", "/coupons")


class Difference(AssertionError):
    """Those that are compared do not agree. With the last commands, and how to do it again."""

    def __init__(self, found, program, run, zone, last):
        lines = "\n  ".join(last)
        super().__init__(
            f"seed {run.seed}, command {run.count}: {found}\n  the last commands:\n  {lines}\n"
            f"again: test/model/{program} --seed {run.seed} --commands {run.count + 1} --zone {zone}"
        )


class Differential:
    """One run: a target (a server, or another model), the model, and the commands."""

    def __init__(self, target, time_zone, seed, model=Shop):
        self.target, self.seed = target, seed
        self.shop = model(time_zone)
        self.commands = Commands(random.Random(seed), self.shop)
        self.last = collections.deque(maxlen=LAST_COMMANDS)
        self.first_bytes = {}  # of an answer with a key: (when, status, bytes)
        self.count, self.counts = 0, collections.Counter()
        self.seen = Seen(self)

    def run(self, commands, every):
        self.seen.learn()
        for _ in range(commands):
            self.step(self.commands.next())
            self.count += 1
            if self.count % every == 0:
                self.seen.compare()
                self.target.restart()
        self.seen.compare()
        self.target.finish(self)

    def step(self, request):
        """One command, to both; GETs of what is shown later are asked again until it is shown."""
        self.target.keep_clear(request, self.shop)
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            answer = self.target.ask(request)
            learned = Learned(answer)
            status, body = self.shop.answer(request, answer.earliest, learned)
            found = learned.problem or difference(status, body, answer)
            if not found or not self.is_shown_later(request) or not self.target.settles or time.monotonic() > end:
                break
            time.sleep(0.005)
        self.counts[request.method, answer.status, answer.error] += 1
        self.last.append(f"{request!r}\n      → {answer!r}")
        found = found or self.replay_differs(request, answer)
        if found:
            self.report(f"{found}\n  the model: {status} {body}")
        self.target.asked(request, self.shop)
        return answer

    def is_shown_later(self, request):
        if request.method != "GET":
            return False
        return request.query.get("sort") == "popularity" or any(part in request.path for part in SHOWN_LATER)

    def replay_differs(self, request, answer):
        """Within a day the stored bytes are answered."""
        if request.method != "POST" or answer.status not in (200, 201, 402):
            return None
        key = (request.body or {}).get("idempotencyKey") or request.key
        if key is None:
            return None
        place = request.path, key, (request.body or {}).get("userId")
        when, status, text = self.first_bytes.setdefault(place, (answer.earliest, answer.status, answer.text))
        if answer.earliest - when < DAY_MS and (status, text) != (answer.status, answer.text):
            return f"not the bytes of the first answer: {status} {text}"
        return None

    def report(self, found):
        raise Difference(found, "differential.py", self, self.shop.zone, self.last)


def arguments(doc):
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--zone", default="Asia/Seoul")
    parser.add_argument(
        "--every", type=int, default=2500, help="commands between comparisons of everything, and restarts"
    )
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    return args


def main():
    args = arguments(__doc__)
    started = time.monotonic()
    target = Real(args.zone)
    run = Differential(target, args.zone, args.seed)
    try:
        run.run(args.commands, args.every)
    except Difference as found:
        print(found)
        sys.exit(1)
    finally:
        target.close()
    seconds = time.monotonic() - started
    for (method, status, error), count in sorted(run.counts.items(), key=str):
        print(f"{count:8} {method:6} {status} {error or ''}")
    print(f"{args.commands} commands in {seconds:.1f} s: no difference")


if __name__ == "__main__":
    main()
