#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the fuzz targets of a build directory, each for some seconds.

A target is src/MODULE/NAME_fuzz.c; its seeds, and every input that once broke it, are committed in
test/corpus/NAME. What a run finds on top is kept in .tools/fuzz/NAME, so the next one starts there.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEPT = ROOT / ".tools/fuzz"


def targets(build):
    """Yield (name, program) for every fuzz target; a source that is not built is an error."""
    built = {}
    with open(build / "meson-info/intro-targets.json", encoding="utf-8") as f:
        for target in json.load(f):
            for group in target["target_sources"]:
                for source in group.get("sources", []):
                    built[os.path.relpath(source, ROOT)] = target["filename"][0]
    for source in sorted((ROOT / "src").rglob("*_fuzz.c")):
        name = source.name.removesuffix("_fuzz.c")
        program = built.get(str(source.relative_to(ROOT)))
        if program is None:
            sys.exit(f"fuzz: {source.relative_to(ROOT)} is not built by meson.build")
        yield name, program


def fuzz(name, program, seconds):
    """True if the target ran for its time without a crash, a leak, a hang or a huge allocation."""
    kept, seeds = KEPT / name, ROOT / "test/corpus" / name
    kept.mkdir(parents=True, exist_ok=True)
    folders = [str(kept)] + ([str(seeds)] if seeds.is_dir() else [])
    run = subprocess.run(
        [program, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
         "-print_final_stats=1", "-verbosity=1", f"-artifact_prefix={KEPT}/{name}-", *folders],
        env={**os.environ, "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds * 3 + 120, check=False)
    text = run.stdout.decode(errors="replace")
    done = re.search(r"number_of_executed_units:\s*(\d+)", text)
    good = run.returncode == 0 and done is not None
    if not good:
        print(text[-6000:])
    covered = re.findall(r"cov: (\d+)", text)
    print(f"{'ok  ' if good else 'FAIL'} {name}: {done[1] if done else '?'} runs in {seconds} s, "
          f"{covered[-1] if covered else '?'} edges", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build-fuzz")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--count", type=pathlib.Path, help="where to leave `PASSED FAILED`")
    parser.add_argument("names", nargs="*", help="only these targets")
    args = parser.parse_args()
    wanted = [t for t in targets(args.build) if not args.names or t[0] in args.names]
    unknown = set(args.names) - {name for name, _ in wanted}
    if unknown or not wanted:
        sys.exit(f"fuzz: no target {', '.join(sorted(unknown)) or 'at all'}")
    results = [fuzz(name, program, args.seconds) for name, program in wanted]
    if args.count:
        args.count.write_text(f"{sum(results)} {len(results) - sum(results)}\n", encoding="utf-8")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
