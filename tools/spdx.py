#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check that every source names its licence in one of its first two lines. --root DIR: another tree."""

import argparse
import os
import pathlib
import sys

LINE = "SPDX-License-Identifier: Apache-2.0"
SUFFIXES = {".c", ".h", ".def", ".py", ".sh", ".js", ".mjs", ".ts", ".lua", ".pml", ".sql", ".html", ".css"}
NAMES = {"dev", "meson.build", "meson.options", "meson_options.txt"}
NOT_OURS = {"node_modules", "var", "corpus", "__pycache__"}


def sources(root):
    for top, folders, files in os.walk(root):
        folders[:] = [f for f in folders
                      if not f.startswith((".", "build")) and f not in NOT_OURS]
        for name in files:
            if name in NAMES or pathlib.Path(name).suffix in SUFFIXES:
                yield pathlib.Path(top) / name


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=here)
    root = parser.parse_args().root
    checked, bad = 0, []
    # What is planted on purpose is looked at only when it is the tree that was asked for.
    planted = here / "test/negative"
    for path in sources(root):
        if planted in path.parents and planted not in [root, *root.parents]:
            continue
        checked += 1
        with open(path, encoding="utf-8", errors="replace") as f:
            if not any(LINE in f.readline() for _ in range(2)):
                bad.append(f"{path.relative_to(root)}: no '{LINE}' in its first two lines")
    print("\n".join(sorted(bad)) or f"licence lines: {checked} files, ok")
    sys.exit(bool(bad) or not checked)


if __name__ == "__main__":
    main()
