# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The checkers that read sources. test/negative holds, for each, something it must find.

# Every C source and header of ours, NUL-separated; what is planted in test/negative is not ours.
c_sources() {
    find src test -path test/negative -prune -o -name "${1:-*.[ch]}" -type f -print0 | sort -z
}

c_format() {
    xargs -0 -r clang-format "$@"
}

fmt() {
    c_sources | c_format -i
}

check_format() {
    c_sources | c_format --dry-run -Werror
}

# Shell scripts are the files that say so in their first line, and what ./dev reads.
check_shell() {
    local scripts
    mapfile -t scripts < <(grep -rlE -m1 '^#!.*\b(ba)?sh$|^# shellcheck shell=' dev .ci tools test loadtest 2>/dev/null)
    shellcheck -x "${scripts[@]}"
}

# clang-tidy wants to know how each file is compiled: build-clang does. Headers come with their sources.
check_tidy() {
    c_sources '*.c' | grep -zv '_fuzz\.c$' |
        xargs -0 -r -n 4 -P "$(nproc)" clang-tidy --quiet -p build-clang --warnings-as-errors='*'
}

# Findings that cannot be said with a comment in the code stand in tools/cppcheck.txt, each with its reason.
check_cppcheck() {
    cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
        --suppressions-list=tools/cppcheck.txt --error-exitcode=1 -j "$(nproc)" \
        -I src "${@:-src}"
}

# docs/config.md and docs/metrics.md are printed from the tables.
check_docs() {
    local fresh
    fresh=$(mktemp -d)
    build/doorbuster config --docs "$fresh"
    diff -u docs/config.md "$fresh/config.md"
    diff -u docs/metrics.md "$fresh/metrics.md"
    rm -rf "$fresh"
}
