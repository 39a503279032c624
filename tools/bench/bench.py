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

# Each group has a table of its own.
GROUPS = {"embedded": {**figures.FIGURES, **figures_shop.FIGURES}, "stores": figures_stores.FIGURES}
ALL = {name: measure for group in GROUPS.values() for name, measure in group.items()}
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
    stores = (said_by("redis-benchmark", "--version").replace("-benchmark", "") + ", " +
              said_by("/usr/lib/postgresql/15/bin/postgres", "--version").split(" (Debian", 1)[0])
    nginx = said_by(shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin"), "-v")
    version = said_by(program, "--version").splitlines()
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    return (f"{today}, {', '.join(version[:2])}. {os.cpu_count()} × {processor()}, Linux {platform.release()}; "
            f"wrk {wrk}, {nginx.removeprefix('nginx version: ')}, {stores}. {how['pairs']} pairs, {how['seconds']} s a "
            f"side where it is not a burst; {seconds / 60:.0f} minutes in all. Load of the machine before: "
            f"{before_load:.2f}, at the end {os.getloadavg()[0]:.2f}.")


def write(path, group, done, text):
    old, begin, end = path.read_text(), f"<!-- {group}: begin -->", f"<!-- {group}: end -->"
    if begin not in old or end not in old:
        raise BenchError(f"{path} has no place for the table: {begin} … {end}")
    block = "\n".join([begin, text, "", *report.table(done), end])
    path.write_text(re.sub(re.escape(begin) + ".*" + re.escape(end), lambda _: block, old, flags=re.S))


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and short runs, while developing")
    parser.add_argument("--only", metavar="NAME", action="append", choices=ALL,
                        help="one of " + ", ".join(ALL))
    parser.add_argument("--group", choices=GROUPS, help="the figures of one table")
    parser.add_argument("--pairs", type=int, help="pairs of every ratio")
    parser.add_argument("--seconds", type=int, help="how long each side runs")
    parser.add_argument("--holders", type=int, help="the larger number of holders")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/doorbuster")
    parser.add_argument("--raw-insert", type=pathlib.Path, default=ROOT / "build/tools/bench/raw_insert")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE",
                        help="where the tables go; docs/performance.md after a full run")
    return parser.parse_args()


def measure_group(bench, group, figures_of, only, how, target):
    started, done = time.monotonic(), []

    def say(figure):
        done.append(figure)
        print("\n".join(figure.lines()), flush=True)

    names = [name for name in figures_of if not only or name in only]
    for name in names:
        figures_of[name](bench, say)
    if not names:
        return
    text = circumstances(bench.program, how, time.monotonic() - started)
    missed = sum(not figure.met for figure in done)
    print(f"{text}\n{len(done) - missed} met, {missed} missed")
    if target and len(names) == len(figures_of):
        write(target, group, done, text)
        print(f"table written to {target}")


def main():
    args = arguments()
    how = dict(QUICK if args.quick else FULL)
    how.update({name: value for name in how if (value := getattr(args, name)) is not None})
    target = args.write
    if not target and not (args.quick or args.only or args.group or args.pairs or args.seconds or args.holders):
        target = ROOT / "docs/performance.md"
    groups = {args.group: GROUPS[args.group]} if args.group else GROUPS

    folder = pathlib.Path(tempfile.mkdtemp(prefix="doorbuster-bench-"))
    try:
        folder.chmod(0o755)  # nginx's worker reads its page there
        # Copies: a build meanwhile must not change what is measured.
        program = shutil.copy2(args.program, folder / "doorbuster")
        raw_insert = shutil.copy2(args.raw_insert, folder / "raw_insert")
        bench = figures.Bench(program, raw_insert, folder, **how)
        for group, figures_of in groups.items():
            measure_group(bench, group, figures_of, args.only, how, target)
    except BaseException:
        print(f"bench: stores and logs are left in {folder}", file=sys.stderr)
        raise
    else:
        shutil.rmtree(folder)


if __name__ == "__main__":
    before_load = os.getloadavg()[0]
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
