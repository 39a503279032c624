# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The stages of `./dev test`. Each runs by itself with a time limit and its own log, is counted, and
# does not stop the others. A stage that counts its tests leaves "PASSED FAILED" in $count_file; one
# that leaves nothing is one test, passed or failed.
#
# Stages that start servers wait more than they work. So there is a second lane, of stages that only work:
# it gets what the first lane leaves of the processors, and nothing while that wants them.

logs=$tools/ci
count_file=${count_file:-/dev/null}

export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

# name, seconds at most, what it shows
ci_stages=(
    "layers      60  no module includes what stands above it"
    "licence     60  every source names its licence"
    "format      60  clang-format has nothing to change"
    "shell       60  shellcheck finds nothing"
    "gcc        600  gcc without a warning, unit tests"
    "docs        60  docs/config.md and docs/metrics.md are as the tables say"
    "testbed    200  the stores that tests start for themselves do what the tests think"
    "topologies 300  each topology of ops/local.sh starts, is used and stops"
    "stores     300  unit tests of what speaks to Redis and PostgreSQL, on real ones"
    "integration 600 the server from outside, over HTTP"
    "schema     240  schemathesis from /openapi.json, all its checks"
    "typescript 240  types from /openapi.json, a client that fits them and runs"
    "losses     600  what is lost between two servers and their stores; another region"
    "drill      600  killed in mid-drop, and proved"
    "fault      600  every write, sync and allocation failed in turn"
    "load       400  k6 with its thresholds, and proved"
    "ndebug     600  unit tests, built with -DNDEBUG"
    "asan       600  unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"
    "tsan       600  unit tests under ThreadSanitizer"
    "integration_distributed 600 coupons, orders, cart, wallet: of two servers on one Redis and one PostgreSQL"
    "integration_sanitized 900 all of it, of an embedded server, under ASan and UBSan; one case of each test under TSan"
    "fuzz       400  every fuzz target for some seconds"
)
second_lane=(
    "builds    1800  what ndebug, asan, tsan and fuzz build; the last three by clang, without a warning"
    "spin       900  the models of the protocol: every state, and every guard for a reason"
    "negative   900  every checker finds what was planted for it"
    "cppcheck   900  cppcheck finds nothing"
    "tidy      1800  clang-tidy finds nothing"
)

# Only where they are named: too long for every run.
more_stages=(
    "integration_distributed_whole 2400 all of it that is not about the embedded stores, of two servers"
    "stores_sanitized 600 stores, under ASan and UBSan, then under TSan"
)

ci() {
    if [ "${1:-}" = --list ]; then
        printf '%s\n' "${ci_stages[@]}" "${second_lane[@]}" "${more_stages[@]}" |
            while read -r name limit rest; do printf '%-16s %s\n' "$name" "$rest"; done
        return
    fi
    check_stage_names "$@"
    mkdir -p "$logs"
    if [ $# -gt 0 ]; then
        # Named ones: one after the other.
        ci_lane first "$logs/total.first" "$(printf '%s\n' "${ci_stages[@]}" "${second_lane[@]}" "${more_stages[@]}")" "$@"
        ci_total "$logs/total.first"
    else
        ci_lane second "$logs/total.second" "$(printf '%s\n' "${second_lane[@]}")" &
        # shellcheck disable=SC2064 # this lane
        trap "kill -TERM $! 2>/dev/null" EXIT
        ci_lane first "$logs/total.first" "$(printf '%s\n' "${ci_stages[@]}")"
        wait $!
        trap - EXIT
        ci_total "$logs"/total.{first,second}
    fi
}

check_stage_names() {
    local name
    for name in "$@"; do
        declare -F "stage_$name" >/dev/null || die "no stage '$name'; ./dev ci --list names them"
    done
}

# ci_lane LANE FILE ROWS [NAME…]: the stages of ROWS in turn, all or those named; FILE gets the sum.
ci_lane() {
    local lane=$1 file=$2 rows name limit rest passed_all=0 failed_all=0 passed failed
    mapfile -t rows <<<"$3"
    shift 3
    rm -f "$file"
    for row in "${rows[@]}"; do
        read -r name limit rest <<<"$row"
        [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
        ci_stage "$lane" "$name" "$limit"
        passed_all=$((passed_all + passed))
        failed_all=$((failed_all + failed))
    done
    echo "$passed_all $failed_all" >"$file"
}

# What the lanes left in these files, together; a lane that left none has failed.
ci_total() {
    local file passed failed passed_all=0 failed_all=0
    for file in "$@"; do
        read -r passed failed 2>/dev/null <"$file" || passed=0 failed=1
        passed_all=$((passed_all + passed))
        failed_all=$((failed_all + failed))
    done
    echo "$passed_all passed, $failed_all failed"
    [ "$failed_all" -eq 0 ]
}

# Become the command, in a session of its own. The second lane's has no claim to the processors: by its nice
# value, and by that of its session where the kernel shares them out by sessions.
become() {
    local lane=$1
    shift
    [ "$lane" = second ] || exec setsid "$@"
    # shellcheck disable=SC2016 # for the shell within
    exec nice -n 19 setsid sh -c '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec "$@"' second "$@"
}

# Run one stage; sets passed and failed, prints a line, and the end of the log where it failed.
ci_stage() {
    local lane=$1 name=$2 limit=$3 log=$logs/$2.log count=$logs/$2.count start=$SECONDS status=0 word=ok
    rm -f "$count"
    export count_file=$count
    # In a session of its own, which `timeout` ends as a whole, and so does an interrupt.
    become "$lane" timeout -k 10 "$limit" ./dev ci-stage "$name" >"$log" 2>&1 </dev/null &
    # shellcheck disable=SC2064 # this stage's process
    trap "kill -TERM $! 2>/dev/null; exit 130" INT TERM
    wait $! || status=$?
    trap - INT TERM
    if ! read -r passed failed 2>/dev/null <"$count"; then
        passed=$((status == 0 ? 1 : 0)) failed=0
    fi
    if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ] || [ $((passed + failed)) -eq 0 ]; then
        failed=$((failed + 1))
    fi
    [ "$failed" -eq 0 ] || word=FAIL
    # All at once: the other lane prints too.
    {
        printf '%-4s %-16s %5d passed %3d failed %5d s\n' "$word" "$name" "$passed" "$failed" $((SECONDS - start))
        [ "$failed" -eq 0 ] || {
            [ "$status" -ne 124 ] || echo "     stopped after $limit s"
            tail -n 50 "$log" | sed 's/^/     | /'
            echo "     whole log: ${log#"$root"/}"
        }
    } >"$log.said"
    cat "$log.said"
    rm -f "$log.said"
}

# Meson's tests of a built directory, counted by the cmocka cases in them.
unit_tests() {
    local status=0
    rm -f "$1/meson-logs/testlog.json"
    meson test -C "$1" --no-rebuild --print-errorlogs "${@:2}" || status=$?
    tools/tally.py meson "$1/meson-logs/testlog.json" >"$count_file"
    return $status
}

# The pytest suite in a folder, $workers of its tests at a time (one more than there are processors, as they
# also wait), and those that measure by themselves; counted by its cases. A skipped one has failed. DOORBUSTER names the program
# under test, for a run by hand against another build.
pytest_folder() {
    local status=0
    rm -f "$logs/$stage".*.xml
    pytest_run together -m 'not measured' -n "${workers:-$(($(nproc) + 1))}" --dist worksteal "$@" || status=$?
    if grep -rqs 'mark\.measured' "$@" && [ "${DOORBUSTER_TEST_SLOW:-}" != 1 ]; then
        pytest_run alone -m measured "$@" || status=$?
    fi
    tools/tally.py junit "$logs/$stage".*.xml >"$count_file"
    return $status
}

# pytest_run NAME ARGUMENTS…: its report is named after the stage and NAME.
pytest_run() {
    export DOORBUSTER=${DOORBUSTER:-$root/build/doorbuster}
    [ -x "$DOORBUSTER" ] || die "$DOORBUSTER is not there: ./dev ci gcc"
    "$tools/venv/bin/python" -m pytest -c test/pytest.ini --rootdir test "${@:2}" --junitxml "$logs/$stage.$1.xml"
}

# The integration suite against an instrumented server. Whatever its sanitizer says goes to a file, so
# that a report counts even where no test looks at how the server ended.
pytest_sanitized() {
    local reports=$logs/$stage.reports status=0
    rm -rf "$reports"
    mkdir -p "$reports"
    ASAN_OPTIONS+=:log_path=$reports/asan
    UBSAN_OPTIONS+=:log_path=$reports/ubsan
    TSAN_OPTIONS+=:log_path=$reports/tsan
    workers=$(nproc) DOORBUSTER_TEST_SLOW=1 DOORBUSTER=$root/$1/doorbuster \
        pytest_folder test/integration || status=$?
    if [ -n "$(ls "$reports")" ]; then
        head -n 60 "$reports"/*
        status=1
    fi
    return $status
}

stage_layers() { tools/layers.py; }
stage_licence() { tools/spdx.py; }
stage_format() { check_format; }
stage_shell() { check_shell; }
stage_gcc() { build_dir build && unit_tests build --no-suite stores; }
stage_builds() {
    local dir
    for dir in build-{ndebug,asan,tsan}; do build_dir "$dir" || return; done
    build_fuzz
}
stage_spin() { test/spin/run.py check --count "$count_file"; }
stage_negative() { configure build && configure build-asan && test/negative/run.sh; }
stage_tidy() { configure build-asan && check_tidy; }
stage_cppcheck() { check_cppcheck src; }
stage_docs() { check_docs docs; }
stage_ndebug() { build_dir build-ndebug && unit_tests build-ndebug --no-suite stores; }
stage_asan() { build_dir build-asan && unit_tests build-asan -t 4 --no-suite stores; }
stage_tsan() { build_dir build-tsan && unit_tests build-tsan -t 6 --no-suite stores; }
stage_testbed() { pytest_folder test/stores; }
stage_topologies() { pytest_folder test/ops; }
stage_stores() { build_dir build && unit_tests build --suite stores; }
stage_stores_sanitized() {
    local kind status=0 passed=0 failed=0 p f
    for kind in asan tsan; do
        build_dir "build-$kind" && unit_tests "build-$kind" -t 6 --suite stores || status=1
        read -r p f <"$count_file" || return 1
        passed=$((passed + p)) failed=$((failed + f))
    done
    echo "$passed $failed" >"$count_file"
    return $status
}
# Three quarters of it is waiting.
stage_integration() { workers=$((2 * $(nproc))) && pytest_folder test/integration; }
# One case of each test; the whole has them all.
stage_integration_distributed() {
    DOORBUSTER_TEST_STORES=distributed DOORBUSTER_TEST_EACH=once \
        pytest_folder test/integration/test_{drop,coupons,orders,cart,users}.py
}
stage_integration_distributed_whole() { DOORBUSTER_TEST_STORES=distributed pytest_folder test/integration; }
# Both at once: they wait more than they work. Of cases that differ in a value only, TSan takes one: who races
# does so whatever the value.
stage_integration_sanitized() {
    local kind status=0 passed=0 failed=0 p f
    local -A pids each=([asan]="" [tsan]=once)
    build_dir build-asan && build_dir build-tsan || return 1
    for kind in asan tsan; do
        stage=integration_$kind count_file=$logs/integration_$kind.count DOORBUSTER_TEST_EACH=${each[$kind]} \
            pytest_sanitized "build-$kind" >"$logs/integration_$kind.log" 2>&1 &
        pids[$kind]=$!
    done
    for kind in asan tsan; do
        wait "${pids[$kind]}" || status=1
        read -r p f <"$logs/integration_$kind.count" || return 1
        passed=$((passed + p)) failed=$((failed + f))
        tail -n 25 "$logs/integration_$kind.log"
    done
    echo "$passed $failed" >"$count_file"
    return $status
}
stage_schema() { pytest_folder test/schema; }
stage_typescript() { pytest_folder test/typescript; }
stage_losses() { pytest_folder test/distributed; }
stage_drill() { pytest_folder test/drill; }
stage_fault() { pytest_folder test/fault; }
stage_load() { ./dev load short; }
stage_fuzz() {
    build_fuzz
    test/negative/must_fail.py 'deadly signal' build-fuzz/test/negative/planted_fuzz -seed=1 -runs=5000000
    tools/fuzz.py --build build-fuzz --seconds "${FUZZ_SECONDS:-10}" --count "$count_file"
}
