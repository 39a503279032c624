#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure what docs/performance.md says, in one run, and write its table.

Every ratio is the median over pairs of runs, A and B in turn, with one load generator script on both
sides. --quick and --only print, and write nothing. A missed figure is marked so; it is no error.
"""

import argparse
import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

import figures
import figures_shop
import figures_stores
import report
from sides import ROOT, BenchError

ALL = {**figures.FIGURES, **figures_shop.FIGURES, **figures_stores.FIGURES}
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
FULL = {"pairs": 9, "seconds": 3, "holders": 10_000_000}
QUICK = {"pairs": 3, "seconds": 1, "holders": 1_000_000}


def said_by(*command):
    try:
        answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    except FileNotFoundError:
        return ""
    return (answer.stdout + answer.stderr).strip()


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def circumstances(program, how, seconds):
    wrk = said_by("wrk", "-v").split(" [", 1)[0].removeprefix("wrk ").removeprefix("debian/")
    nginx = said_by(shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin"), "-v")
    version = said_by(program, "--version").splitlines()
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    return (f"{today}, {', '.join(version[:2])}. {os.cpu_count()} × {processor()}, Linux {platform.release()}; "
            f"wrk {wrk}, {nginx.removeprefix('nginx version: ')}. {how['pairs']} pairs, {how['seconds']} s a "
            f"side where it is not a burst; {seconds / 60:.0f} minutes in all. Load of the machine before: "
            f"{before_load:.2f}.")


def write(path, done, text):
    old = path.read_text()
    if BEGIN not in old or END not in old:
        raise BenchError(f"{path} has no place for the table: {BEGIN} … {END}")
    block = "\n".join([BEGIN, text, "", *report.table(done), END])
    path.write_text(re.sub(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: block, old, flags=re.S))


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and short runs, while developing")
    parser.add_argument("--only", metavar="NAME", action="append", choices=ALL,
                        help="one of " + ", ".join(ALL))
    parser.add_argument("--pairs", type=int, help="pairs of every ratio")
    parser.add_argument("--seconds", type=int, help="how long each side runs")
    parser.add_argument("--holders", type=int, help="the larger number of holders")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/doorbuster")
    parser.add_argument("--raw-insert", type=pathlib.Path, default=ROOT / "build/tools/bench/raw_insert")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE",
                        help="where the table goes; docs/performance.md after a full run")
    return parser.parse_args()


def main():
    args = arguments()
    how = dict(QUICK if args.quick else FULL)
    how.update({name: value for name in how if (value := getattr(args, name)) is not None})
    target = args.write
    if not target and not (args.quick or args.only or args.pairs or args.seconds or args.holders):
        target = ROOT / "docs/performance.md"
    started, done = time.monotonic(), []

    def say(figure):
        done.append(figure)
        print("\n".join(figure.lines()), flush=True)

    folder = pathlib.Path(tempfile.mkdtemp(prefix="doorbuster-bench-"))
    try:
        folder.chmod(0o755)  # nginx's worker reads its page there
        # Copies: a build meanwhile must not change what is measured.
        program = shutil.copy2(args.program, folder / "doorbuster")
        raw_insert = shutil.copy2(args.raw_insert, folder / "raw_insert")
        bench = figures.Bench(program, raw_insert, folder, **how)
        for name, measure in ALL.items():
            if not args.only or name in args.only:
                measure(bench, say)
    except BaseException:
        print(f"bench: stores and logs are left in {folder}", file=sys.stderr)
        raise
    else:
        text = circumstances(program, how, time.monotonic() - started)
        shutil.rmtree(folder)
    missed = sum(not figure.met for figure in done)
    print(f"{text}\n{len(done) - missed} met, {missed} missed")
    if target:
        write(target, done, text)
        print(f"table written to {target}")


if __name__ == "__main__":
    before_load = os.getloadavg()[0]
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
