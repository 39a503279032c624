# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What ./dev says goes to stderr: stdout belongs to the program it runs.

say() {
    printf 'dev: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 1
}
