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

# Every script that says so in its first line, and what they read in.
check_shell() {
    local scripts
    mapfile -t scripts < <(grep -rlE -m1 '^#!.*\b(ba)?sh$' dev .ci tools test loadtest ops 2>/dev/null)
    shellcheck --external-sources --check-sourced "${scripts[@]}"
}

# clang-tidy wants to know how each file is compiled: build-asan does. Headers come with their
# sources. One file at a time: the analyzer's va_list checker carries its state over to the next file.
check_tidy() {
    c_sources '*.c' | grep -zv '_fuzz\.c$' |
        xargs -0 -r -n 1 -P "$(nproc)" clang-tidy --quiet -p build-asan --warnings-as-errors='*' \
            2> >(grep -v 'warnings\? generated\.$' >&2)
}

# Sources or folders to look at are given. Findings that cannot be said with a comment in the code stand in tools/cppcheck.txt, each with its reason.
check_cppcheck() {
    cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
        --suppressions-list=tools/cppcheck.txt --template='{file}:{line}: {message} [{id}]' \
        --error-exitcode=1 -j "$(nproc)" -I src "$@"
}

# config.md and metrics.md in folder $1 are what the program prints from its tables.
check_docs() {
    local fresh name status=0
    fresh=$(mktemp -d)
    build/doorbuster config --docs "$fresh" || status=1
    for name in config.md metrics.md; do
        diff -u "$1/$name" "$fresh/$name" || status=1
    done
    rm -rf "$fresh"
    return $status
}
