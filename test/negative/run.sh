#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each checker of ./dev must find what is planted for it here. The faults that only an instrumented
# build can find are in meson.build beside this file and run with that build's unit tests.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root" || exit 1
tools=$root/.tools
export PATH="$tools/bin:$PATH"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

# must_fail NAME PATTERN COMMAND…
must_fail() {
    local name=$1
    shift
    if "$here/must_fail.py" "$@"; then
        echo "ok   $name"
        passed=$((passed + 1))
    else
        echo "FAIL $name"
        failed=$((failed + 1))
    fi
}

# must_say NAME EXPECTED COMMAND…: the command prints exactly that on stdout.
must_say() {
    local name=$1 expected=$2 said
    shift 2
    said=$("$@" 2>/dev/null)
    if [ "$said" = "$expected" ]; then
        echo "ok   $name"
        passed=$((passed + 1))
    else
        printf 'FAIL %s: "%s" instead of "%s"\n' "$name" "$said" "$expected"
        failed=$((failed + 1))
    fi
}

# How a source of ours is compiled in build directory $1, for another file: the real flags.
compile_command() {
    python3 - "$1" "$2" <<'EOF'
import json, shlex, sys
row = next(r for r in json.load(open(f"{sys.argv[1]}/compile_commands.json")) if "/src/base/" in r["file"])
words = shlex.split(row["command"])
keep = [w for i, w in enumerate(words)
        if w not in ("-o", "-c", "-MD", "-MQ", "-MF", row["file"]) and words[i - 1] not in ("-o", "-MQ", "-MF")]
print("\n".join(keep + ["-c", "-o", "/dev/null", sys.argv[2]]))
EOF
}

for said in \
    'may not reach time\.h' 'may not reach stdio\.h' 'core may not reach base/log\.h' \
    'gate\.c:2: <uv\.h> belongs to loop' 'gate\.c:4: "gate\.h": say "module/file\.h"' \
    'gate/missing\.h": no such file' 'gate may not include shop' \
    'shop\.h:3: gate/gate_internal\.h is private to gate' "module 'attic' has no row"; do
    must_fail "layers: $said" "$said" tools/layers.py --root "$here/layers"
done
mkdir -p "$scratch/upside/tools" "$scratch/upside/src"
printf 'base: loop\nloop: base\n' >"$scratch/upside/tools/layers.txt"
must_fail "layers: a row that looks up" 'base may see loop, which is not below it' \
    tools/layers.py --root "$scratch/upside"
must_fail "layers: nothing to check" 'no sources' tools/layers.py --root "$scratch/upside"

must_fail "licence line" 'nobody\.c: no ' tools/spdx.py --root "$here/licence"
must_fail "clang-format" 'should be clang-formatted' clang-format --dry-run -Werror "$here/format.c"
must_fail "shellcheck" SC2086 shellcheck "$here/script.sh"
must_fail "clang-tidy" 'Attempt to free released memory' \
    clang-tidy --quiet --warnings-as-errors='*' "$here/tidy.c" -- -std=gnu17
must_fail "cppcheck" 'arrayIndexOutOfBounds' bash -c ". tools/dev/lint.sh && check_cppcheck '$here/cppcheck.c'"

for build in build build-asan; do
    mapfile -t compile < <(compile_command $build "$here/warning.c")
    for said in 'error.*conversion' 'error.*[Ss]witch' 'error.*shadow' 'error.*unused-result' \
        'error.*missing-prototypes'; do
        must_fail "$build: $said" "$said" "${compile[@]}"
    done
done

must_say "tally of Meson's tests" "5 3" tools/tally.py meson "$here/reports/testlog.json"
must_say "tally of no report" "0 1" tools/tally.py meson "$scratch/nothing.json"
"$tools/venv/bin/python" -m pytest -c test/pytest.ini --rootdir test "$here/pytest" \
    --junitxml "$scratch/report.xml" >/dev/null 2>&1
must_say "tally of pytest's tests" "1 3" tools/tally.py junit "$scratch/report.xml"
must_say "tally of two reports" "2 6" tools/tally.py junit "$scratch/report.xml" "$scratch/report.xml"
must_fail "k6 thresholds" "thresholds on metrics 'granted' have been crossed" k6 run --quiet "$here/threshold.js"

for stale in config metrics; do
    mkdir -p "$scratch/docs"
    cp docs/config.md docs/metrics.md "$scratch/docs/" 2>/dev/null
    echo 'a row that no table has' >>"$scratch/docs/$stale.md"
    must_fail "docs/$stale.md" '-a row that no table has' bash -c ". tools/dev/lint.sh && check_docs '$scratch/docs'"
done

# Another system: no apt-get, and nothing of what the build needs.
mkdir -p "$scratch/bin"
for tool in bash dirname uname id; do ln -s "$(command -v $tool)" "$scratch/bin/$tool"; done
must_fail "a system without apt-get" "missing: libuv's headers" \
    env PATH="$scratch/bin" bash dev run
must_fail "an unknown verb" "no verb 'biuld'" ./dev biuld
must_fail "an unknown stage" "no stage 'uint'" ./dev ci uint

echo "$passed $failed" >"${count_file:-/dev/null}"
[ "$failed" -eq 0 ]
