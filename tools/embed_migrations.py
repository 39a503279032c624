#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write a C file with the numbered SQL files given: embed_migrations.py OUT FILE..."""
import json
import pathlib
import sys

out, files = sys.argv[1], [pathlib.Path(f) for f in sys.argv[2:]]
rows = []
for number, path in enumerate(sorted(files), 1):
    if not path.name.startswith(f"{number:04d}_"):
        sys.exit(f"{path}: migrations are numbered without a gap; expected {number:04d}_*.sql")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    text = "\n        ".join(json.dumps(line, ensure_ascii=True) for line in lines)
    rows.append(f'    {{ {number}, "{path.stem}",\n        {text} }},\n')
pathlib.Path(out).write_text(
    '#include "ledger/migrations.h"\n\nconst struct sqlite_migration migrations[] = {\n'
    + "".join(rows)
    + "};\nconst size_t migrations_count = sizeof migrations / sizeof migrations[0];\n"
)
