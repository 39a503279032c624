#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The k6 scripts, each against a fresh server of its own, and what they leave in the database.
#
#     loadtest/run.sh [short|full] [SCRIPT…]      SCRIPT: a name, or NAME:WAY (the script says which)
#
# Each run of a drop counts as three: its thresholds, the proof with the list of who was told what, and
# the rows in the database; each run of the shop as two: its thresholds, and rows and ranking. Three more
# are runs with something planted, which must be seen to fail.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$root/loadtest
invariants=$root/test/support/invariants.py
program=${DOORBUSTER:-$root/build/doorbuster}
export PATH=$root/.tools/bin:$PATH

form=full
case ${1:-} in
short | full) form=$1 && shift ;;
esac
scripts=("$@")
if [ ${#scripts[@]} -eq 0 ] && [ "$form" = short ]; then
    scripts=(extremeConcurrency extremeConcurrency:mixed sequentialIssue rampUpTest arrivalRate
        rankingUnderOrders cartReadYourWrites charge:one charge:many orderPayment:one orderPayment:many
        idempotentReplays allRoutesRamp)
elif [ ${#scripts[@]} -eq 0 ]; then
    scripts=(extremeConcurrency extremeConcurrency:issue extremeConcurrency:mixed sequentialIssue
        rampUpTest rampUpTest:mixed arrivalRate arrivalRate:issue arrivalRate:mixed
        rankingUnderOrders cartReadYourWrites charge:one charge:many orderPayment:one orderPayment:many
        idempotentReplays allRoutesRamp)
fi

command -v k6 >/dev/null || {
    echo "load: k6 is not there: ./dev setup" >&2
    exit 1
}
[ -x "$program" ] || {
    echo "load: $program is not there: ./dev build" >&2
    exit 1
}

scratch=$(mktemp -d)
server=
passed=0
failed=0

stop_server() {
    [ -n "$server" ] || return 0
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || true
    server=
}

end() {
    stop_server
    rm -rf "$scratch"
}
trap end EXIT
trap 'exit 130' INT TERM

# A fresh server with the load-test data in $dir and flags $@; sets BASE_URL.
start_server() {
    local line _
    rm -rf "$dir"
    mkdir "$dir"
    : >"$dir/out"
    "$program" serve --profile test --data "$dir/data" --listen 127.0.0.1:0 "$@" >"$dir/out" 2>"$dir/log" &
    server=$!
    for _ in {1..200}; do
        read -r line <"$dir/out" && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    if [[ ${line:-} != "listening on http://"* ]]; then
        echo "load: the server did not start" >&2
        cat "$dir/log" >&2
        exit 1
    fi
    export BASE_URL=${line#listening on }
}

run_k6() {
    FORM=$form WAY=$way RESULT=$dir/result k6 run --quiet --no-usage-report --log-format raw \
        --console-output "$dir/console" "$here/$name.js"
}

# What the winners were told, and apart from it what went wrong.
split_console() {
    touch "$dir/console"
    grep -E '^(issued|reserved) ' "$dir/console" >"$dir/told" || true
    grep -vE '^(issued|reserved) ' "$dir/console" | head -20 >&2 || true
}

# Count one more: what it shows, then 0 for passed.
count() {
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $1"
    fi
}

coupon_of_result() {
    sed -E 's/.*"couponId":([0-9]+).*/\1/' "$dir/result"
}

# The proof against the running server, and once more from the stores at rest.
prove() {
    "$program" prove "$coupon" --data "$dir/data" --told "$1"
}

# Rows of reservations may follow within 2 s: until then the proof calls them pending.
wait_until_stored() {
    local _
    for _ in {1..60}; do
        case $("$program" prove "$coupon" --data "$dir/data" --json) in
        *'"pending":0,'*) return 0 ;;
        esac
        sleep 0.05
    done
}

# More of what is bought than anybody can buy, however fast the machine is.
fill_stock() {
    local product
    for product in 13 15 17 19 20; do
        curl -sS --fail --max-time 10 -o "$dir/product" -X PATCH -H 'Content-Type: application/json' \
            -d '{"stock":1000000000}' "$BASE_URL/api/admin/products/$product"
    done
}

# A payment takes as long as a gateway would.
run_shop() {
    local label=$1 status=0
    start_server --set payment.mock_latency=5ms
    fill_stock
    "$invariants" copy "$dir/data/shop.db" "$dir/before.db"
    run_k6 || status=$?
    count "$label: thresholds" $status
    head -5 "$dir/console" >&2 2>/dev/null || true
    if [ ! -s "$dir/result" ]; then
        count "$label: it wrote no result" 1
        stop_server
        return
    fi
    curl -sS --max-time 10 -o "$dir/top" "$BASE_URL/api/products/ranking/top?limit=100"
    stop_server
    status=0
    check_shop || status=$?
    count "$label: database" $status
}

check_shop() {
    "$here/check.py" "$dir/result" "$dir/data/shop.db" "$dir/before.db" "$dir/top"
}

# One sale is taken away behind the server's back: that must be seen.
run_planted_shop() {
    local status=0 planted=1
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE sales SET units = units - 1 WHERE day = (SELECT max(day) FROM sales)")
db.commit()' "$dir/data/shop.db"
    check_shop >"$dir/check" || status=$?
    if [ $status -eq 1 ] && grep -q 'each paid order is counted once' "$dir/check"; then planted=0; else cat "$dir/check"; fi
    count "planted: a lost sale was not seen" $planted
}

run_drop() {
    local label=$1 status=0 coupon
    start_server
    run_k6 || status=$?
    count "$label: thresholds" $status
    split_console
    if [ ! -s "$dir/result" ]; then
        count "$label: it wrote no result" 1
        stop_server
        return
    fi
    coupon=$(coupon_of_result)
    status=0
    wait_until_stored
    prove "$dir/told" >"$dir/proof" || status=$?
    stop_server
    prove "$dir/told" >>"$dir/proof" || status=$?
    [ $status -eq 0 ] || cat "$dir/proof"
    count "$label: proof" $status
    status=0
    "$here/check.py" "$dir/result" "$dir/data/shop.db" "$dir/told" || status=$?
    count "$label: database" $status
}

# One winner too many is expected: k6 must say so. One winner too many was told: so must the proof.
run_planted() {
    local status=0 coupon planted=1
    start_server
    WINNERS=51 run_k6 >"$dir/k6" 2>&1 || status=$?
    # 99 is k6's code for a crossed threshold; no other one may be crossed.
    if [ $status -eq 99 ] && grep -q 'CROSSED winners count==51$' "$dir/k6"; then planted=0; else cat "$dir/k6"; fi
    count "planted: a threshold that cannot be met was met" $planted
    echo "planted: 51 winners expected of 50: seen to fail"
    split_console
    coupon=$(coupon_of_result)
    wait_until_stored
    stop_server
    echo "reserved 1099 51" >>"$dir/told"
    status=0 planted=1
    prove "$dir/told" >"$dir/proof" 2>&1 || status=$?
    if [ $status -eq 1 ]; then planted=0; else cat "$dir/proof"; fi
    count "planted: a told number without a row was proved" $planted
}

for script in "${scripts[@]}"; do
    name=${script%%:*}
    way=${script#"$name"}
    way=${way#:}
    [ -f "$here/$name.js" ] || {
        echo "load: no script $name" >&2
        exit 2
    }
    dir=$scratch/$name${way:+-$way}
    if grep -q "from './shop.js'" "$here/$name.js"; then run_shop "$script"; else run_drop "$script"; fi
done
if [ $# -eq 0 ]; then
    run_planted_shop
    name=extremeConcurrency way='' dir=$scratch/planted
    run_planted
fi

echo "$passed $failed" >"${count_file:-/dev/null}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
