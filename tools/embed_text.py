#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write a C file with a text file as NAME and NAME_bytes: embed_text.py OUT NAME FILE"""
import json
import pathlib
import sys

out, name, file = sys.argv[1:]
lines = pathlib.Path(file).read_text(encoding="utf-8").splitlines(keepends=True)
text = "\n    ".join(json.dumps(line, ensure_ascii=True) for line in lines)
pathlib.Path(out).write_text(
    "#include <stddef.h>\n\n"
    f"extern const char {name}[];\nextern const size_t {name}_bytes;\n\n"
    f"const char {name}[] =\n    {text};\nconst size_t {name}_bytes = sizeof {name} - 1;\n"
)
