#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write a C file with the numbered SQL files given: embed_migrations.py OUT FILE...

Those of a folder named postgres are an array of their own. One named next.sql is behind all others,
whatever their number: that of a version to come.
"""
import json
import pathlib
import sys

out, files = sys.argv[1], [pathlib.Path(f) for f in sys.argv[2:]]


def array(name, files):
    rows = []
    for number, path in enumerate(sorted(files), 1):
        if path.stem != "next" and not path.name.startswith(f"{number:04d}_"):
            sys.exit(f"{path}: migrations are numbered without a gap; expected {number:04d}_*.sql")
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        text = "\n        ".join(json.dumps(line, ensure_ascii=True) for line in lines)
        rows.append(f'    {{ {number}, "{path.stem}",\n        {text} }},\n')
    return (
        f"const struct sqlite_migration {name}[] = {{\n"
        + "".join(rows)
        + f"}};\nconst size_t {name}_count = sizeof {name} / sizeof {name}[0];\n"
    )


postgres = [f for f in files if f.parent.name == "postgres"]
embedded = [f for f in files if f.parent.name != "postgres"]
if [f.name for f in sorted(postgres)] != [f.name for f in sorted(embedded)]:
    sys.exit("migrations: both kinds of store have the same levels, by the same names")
pathlib.Path(out).write_text(
    '#include "ledger/migrations.h"\n\n'
    + array("migrations", embedded)
    + "\n"
    + array("migrations_postgres", postgres)
)
