# SPDX-License-Identifier: Apache-2.0
"""The program as a command line: any verb, run to its end."""

import subprocess

from support.server import PROGRAM, inherited

# A key of tokens, as long as one has to be.
KEY = "0123456789abcdef0123456789abcdef"


def run(*words, env=None, timeout=60):
    """(exit code, stdout, stderr)"""
    done = subprocess.run(
        [PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**inherited(), **(env or {})},
    )
    return done.returncode, done.stdout, done.stderr
