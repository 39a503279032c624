#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Count the tests of a run: prints `PASSED FAILED`, and what failed to stderr.

tally.py meson testlog.json   a cmocka program counts by its cases, any other test as one
tally.py junit report.xml…    pytest's reports; a skipped case has failed, for nothing is skipped here
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree

CASE = re.compile(r"^\[\s*(OK|FAILED|SKIPPED)\s*\] (?!.*test\(s\))(.+?)\s*$", re.MULTILINE)


def meson_cases(test):
    """Yield (name, passed) for one line of testlog.json."""
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    # cmocka names a failed case again in its summary, and says some of it on stderr.
    cases = {}
    for word, name in CASE.findall(f"{test.get('stdout') or ''}\n{test.get('stderr') or ''}"):
        cases[name] = cases.get(name, True) and word == "OK"
    for name, passed in cases.items():
        yield f"{test['name']}: {name}", passed
    # A crash ends the program before its summary: the program itself then is the case that failed.
    if not cases or (not good and all(cases.values())):
        yield test["name"], good


def meson(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            yield from meson_cases(json.loads(line))


def junit(path):
    for case in ElementTree.parse(path).iter("testcase"):
        bad = [e.tag for e in case if e.tag in ("failure", "error", "skipped")]
        yield f"{case.get('classname')}::{case.get('name')}", not bad


def main():
    reader = {"meson": meson, "junit": junit}[sys.argv[1]]
    passed = failed = 0
    for path in sys.argv[2:]:
        try:
            for name, good in reader(path):
                passed, failed = passed + good, failed + (not good)
                if not good:
                    print(f"failed: {name}", file=sys.stderr)
        except (OSError, ValueError, ElementTree.ParseError) as error:
            print(f"no report of the run: {error}", file=sys.stderr)
            failed += 1
    print(passed, failed)


if __name__ == "__main__":
    main()
