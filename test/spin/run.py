#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check the models of this folder with spin, every state of every run that is listed in runs.py.

run.py [check|sim] [--only WORD] [--count FILE]   `sim` has the larger ones, too
run.py --show NAME                                 the counterexample of one run, in words

A run named `no ...` has one guard taken away and must find an error, `reach ...` must find what it
names; everything else must be clean, with nothing left out. Ends in `N passed, N failed`.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import runs

HERE = pathlib.Path(__file__).resolve().parent
LIMIT_S = {"check": 120, "sim": 1800}
# How a verifier is made: for safety, and for cycles (any one: no step is marked as progress).
MADE = {"safety": (["-DSAFETY", "-DNOREDUCE"], []), "cycles": (["-DNP", "-DNOREDUCE"], ["-l"]),
        "fair": (["-DNOREDUCE"], ["-a", "-f"])}


def build(folder, model, kind):
    """Make the verifier of one model; return its path."""
    place = folder / f"{model}-{kind}"
    place.mkdir()
    subprocess.run(["spin", "-a", HERE / f"{model}.pml"], cwd=place, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["gcc", "-O2", "-w", "-DMEMLIM=12000", *MADE[kind][0], "-o", "pan", "pan.c"],
                   cwd=place, check=True)
    return place / "pan"


def settings(run):
    guards = dict(re.findall(r"#define ((?:NO|REACH)_\w+) +(\d+)", "".join(
        path.read_text(encoding="utf-8") for path in HERE.glob(f"{run.model}*.pml"))))
    env = dict(os.environ)
    for name, value in run.settings.items():
        env[name] = str(guards.get(value, value))
    return env


class Outcome:
    """What pan said, in what matters."""

    def __init__(self, text, seconds):
        self.text, self.seconds = text, seconds
        found = re.search(r"(\d+) states, stored", text)
        self.states = int(found[1]) if found else 0
        found = re.search(r"errors: (\d+)", text)
        self.errors = int(found[1]) if found else None
        found = re.search(r"depth reached (\d+)", text)
        self.depth = int(found[1]) if found else 0
        # Anything but a whole search is no answer.
        self.whole = "Full statespace search" in text and not re.search(
            r"max search depth too small|out of memory|Search not completed|max memory", text)
        found = re.search(r"pan:\d+: (.*)", text)
        self.error = found[1] if found else ""


def verify(pan, run, limit_s):
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=pan.parent) as place:
        try:
            done = subprocess.run([pan, "-m30000", "-n", "-w22", *MADE[run.kind][1], *run.arguments], cwd=place,
                                  env=settings(run), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=limit_s, check=False)
            text = done.stdout
        except subprocess.TimeoutExpired:
            text = f"stopped after {limit_s} s"
    return Outcome(text, time.monotonic() - start)


def judge(run, outcome):
    """None, or what is wrong."""
    if outcome.errors is None:
        return outcome.text.strip()[-200:]
    if run.must_fail:
        if not outcome.errors:
            return "no error found"
        good = re.match(r"assertion violated|non-progress cycle|acceptance cycle", outcome.error)
        return None if good else outcome.error
    if outcome.errors:
        return outcome.error
    if not outcome.whole:
        return "the search is not whole"
    return None


def show(folder, run):
    pan = build(folder, run.model, run.kind)
    env = settings(run)
    subprocess.run([pan, "-m30000", "-n", *MADE[run.kind][1], *run.arguments], cwd=pan.parent, env=env,
                   stdout=subprocess.DEVNULL, check=False)
    trails = list(pan.parent.glob("*.trail"))
    if not trails:
        sys.exit("no counterexample")
    said = subprocess.run([pan, "-S", trails[0].name], cwd=pan.parent, env=env, stdout=subprocess.PIPE,
                          text=True, check=False).stdout
    for line in said.splitlines():
        if re.match(r"\s*(S[01]|SQL|FAULT|ADMIN|BROKEN|REACHED|REST|STEP|pan:)", line.strip()):
            print(line.strip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", nargs="?", choices=["check", "sim"], default="check")
    parser.add_argument("--only", help="runs with this word in their names")
    parser.add_argument("--show", metavar="NAME")
    parser.add_argument("--count", type=pathlib.Path, help="write `PASSED FAILED` there")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spin-") as folder:
        folder = pathlib.Path(folder)
        if args.show:
            show(folder, next(run for run in runs.ALL if run.name == args.show))
            return
        chosen = [run for run in runs.ALL if (args.size == "sim" or not run.large) and
                  (not args.only or args.only in run.name)]
        passed = failed = 0
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            kinds = sorted({(run.model, run.kind) for run in chosen})
            pans = dict(zip(kinds, pool.map(lambda kind: build(folder, *kind), kinds)))
            outcomes = pool.map(lambda run: verify(pans[run.model, run.kind], run, LIMIT_S[args.size]), chosen)
            for run, outcome in zip(chosen, outcomes):
                wrong = judge(run, outcome)
                passed, failed = passed + (wrong is None), failed + (wrong is not None)
                print(f"{'FAIL' if wrong else 'ok':4} {run.name:44} {outcome.states:9} states "
                      f"{outcome.depth:6} deep {outcome.seconds:7.1f} s  {wrong or ''}", flush=True)
    print(f"{passed} passed, {failed} failed")
    if args.count:
        args.count.write_text(f"{passed} {failed}\n", encoding="utf-8")
    sys.exit(bool(failed) or not passed)


if __name__ == "__main__":
    main()
