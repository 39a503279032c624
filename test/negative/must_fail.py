#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""must_fail.py PATTERN COMMAND…: passes if the command fails and says PATTERN, a regular expression.

A command that fails for another reason, such as not being there, does not pass.
"""

import re
import subprocess
import sys


def main():
    pattern, command = sys.argv[1], sys.argv[2:]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240,
                         stdin=subprocess.DEVNULL, check=False)
    said = run.stdout.decode(errors="replace")
    if run.returncode != 0 and re.search(pattern, said):
        return
    print(said[-4000:])
    what = "succeeded" if run.returncode == 0 else f"ended with {run.returncode}, but did not say"
    sys.exit(f"must fail: {' '.join(command)}: {what}: {pattern}")


if __name__ == "__main__":
    main()
