#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write a C file with a Redis Function library: embed_library.py OUT FILE [MORE]

MORE is put behind the library's text. Its names get a digest of its text: a release with another text never calls, nor replaces, this one.
"""
import hashlib
import json
import pathlib
import sys

out, path = sys.argv[1], pathlib.Path(sys.argv[2])
text = path.read_text(encoding="utf-8") + "".join(f"{more}\n" for more in sys.argv[3:])
digest = hashlib.sha256(text.encode()).hexdigest()[:10]
for mark, name in (("@LIBRARY@", f"{path.stem}_{digest}"), ("@PREFIX@", f"db_{digest}_")):
    if mark not in text:
        sys.exit(f"{path}: {mark} is missing")
    text = text.replace(mark, name)
lines = "\n    ".join(json.dumps(line, ensure_ascii=True) for line in text.splitlines(keepends=True))
pathlib.Path(out).write_text(
    '#include "gate/gate_redis_internal.h"\n\n'
    f'const char gate_library_prefix[] = "db_{digest}_";\n'
    f"const char gate_library[] =\n    {lines};\n"
    "const size_t gate_library_bytes = sizeof gate_library - 1;\n"
)
