#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check the includes of src/ against tools/layers.txt.

A module includes only modules below it, names them as "module/file.h", and leaves another module's
*_internal.h alone. Unit tests and fuzz targets may look anywhere but into those. With --root DIR
the rules and the sources are those of another tree.
"""

import argparse
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
TEST = re.compile(r"_(test|fuzz)\.[ch]$")


class Rules:
    """layers.txt, parsed. `bad` holds what is wrong with the rules themselves."""

    def __init__(self, path):
        self.may, self.order, self.bad = {}, [], []
        self.reaches, self.never, self.only = {}, {}, {}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            line = line.split("#")[0].strip()
            if not line:
                continue
            where = f"{path.name}:{number}"
            layer = re.fullmatch(r"(\w+):\s*(.*)", line)
            extra = re.fullmatch(r"(\S+) (reaches|not|only) (.+)", line)
            if layer:
                self.add_layer(where, layer[1], layer[2].split())
            elif extra:
                table = {"reaches": self.reaches, "not": self.never, "only": self.only}[extra[2]]
                table.setdefault(extra[1], set()).update(extra[3].split())
                self.check_names(where, {extra[1]} if extra[2] != "only" else set(extra[3].split()))
            else:
                self.bad.append(f"{where}: not a rule: {line}")

    def add_layer(self, where, module, below):
        if module in self.may:
            self.bad.append(f"{where}: {module} has two rows")
        self.bad += [f"{where}: {module} may see {m}, which is not below it"
                     for m in below if m not in self.order]
        self.may[module] = set(below)
        self.order.append(module)

    def check_names(self, where, modules):
        self.bad += [f"{where}: no module {m}" for m in modules if m not in self.may]


class Tree:
    """The sources: per file its includes as (line, quoted, system), read once."""

    def __init__(self, src):
        self.src = src
        self.files = {str(p.relative_to(src)): self.read(p)
                      for p in sorted(src.rglob("*")) if p.suffix in (".c", ".h", ".def")}

    @staticmethod
    def read(path):
        found = []
        for number, text in enumerate(path.read_text().splitlines(), 1):
            m = INCLUDE.match(text)
            if m:
                found.append((number, m[1], m[2]))
        return found

    def reach(self, name):
        """Yield (line in `name`, header, is it a system's) for all it includes, at any depth."""
        for line, quoted, system in self.files[name]:
            if system:
                yield line, system, True
                continue
            seen, todo = set(), [quoted]
            while todo:
                header = todo.pop()
                if header in seen:
                    continue
                seen.add(header)
                yield line, header, False
                for _, q, s in self.files.get(header, []):
                    if s:
                        yield line, s, True
                    else:
                        todo.append(q)


def check_direct(rules, tree, name, module, test):
    for line, quoted, system in tree.files[name]:
        where = f"src/{name}:{line}"
        if system:
            owners = rules.only.get(system)
            if owners and module not in owners and not test:
                yield f"{where}: <{system}> belongs to {', '.join(sorted(owners))}"
            continue
        other = quoted.split("/")[0]
        if quoted.count("/") < 1 or ".." in quoted.split("/"):
            yield f'{where}: "{quoted}": say "module/file.h"'
        elif other not in rules.may:
            yield f'{where}: "{quoted}": no module {other}'
        elif quoted not in tree.files:
            yield f'{where}: "{quoted}": no such file in src/'
        elif other != module and quoted.endswith("_internal.h"):
            yield f"{where}: {quoted} is private to {other}"
        elif other != module and other not in rules.may[module] and not test:
            yield f"{where}: {module} may not include {other}"


def check_reach(rules, tree, name, module):
    allowed, never = rules.reaches.get(module), rules.never.get(module, set())
    reported = set()
    for line, header, system in tree.reach(name):
        if header in reported:
            continue
        reported.add(header)
        if header in never or (allowed is not None and system and header not in allowed):
            yield f"src/{name}:{line}: {module} may not reach {header}"


def check(root):
    rules = Rules(root / "tools/layers.txt")
    tree = Tree(root / "src")
    bad = list(rules.bad)
    for name in tree.files:
        module = name.split("/")[0]
        if "/" not in name or module not in rules.may:
            bad.append(f"src/{name}: module '{module}' has no row in layers.txt")
            continue
        test = bool(TEST.search(name))
        bad += check_direct(rules, tree, name, module, test)
        if not test:
            bad += check_reach(rules, tree, name, module)
    if not tree.files:
        bad.append("src/: no sources, nothing was checked")
    return bad, len(tree.files)


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=here)
    bad, count = check(parser.parse_args().root)
    print("\n".join(bad) or f"layers: {count} files, ok")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
