#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Starts the stores of a distributed Doorbuster on this machine, in one of the topologies it knows,
# prints the two lines of configuration that lead to them, and stops them when it is stopped.
#
#   ops/local.sh TOPOLOGY [DIR]       DIR keeps the data for the next time (default ./var/TOPOLOGY; for root
#                                     /var/tmp/doorbuster/TOPOLOGY, which user `postgres` can get to)
#
#   single      one Redis, one PostgreSQL
#   sentinel    a Redis, a replica and three Sentinels; one PostgreSQL
#   cluster     six Redis, three of them replicas; one PostgreSQL
#   tls         both speak TLS only, with certificates of an authority made here; stunnel is the
#               servers' way to Redis
#   passwords   both want a user and a password; Redis allows that user what it needs, by ACL
#   standby     one Redis; PostgreSQL with a synchronous standby
#   pgbouncer   one Redis; PgBouncer in transaction mode before PostgreSQL
#
#   OPS_PORT=17000                    the first of the ports, all on 127.0.0.1; kept with the data
#
# The two lines go to stdout, everything else to stderr and to DIR/*.log. It needs redis-tools,
# postgresql-15, and, for what they are in, stunnel4 and pgbouncer: `./dev setup` installs them.
# shellcheck disable=SC2317 # functions are called by `trap` and by `wait_for`
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
export PATH="$here/../.tools/bin:/usr/lib/postgresql/15/bin:$PATH"
topology=${1:-}
# What was started, the last first: "PID SIGNAL".
started=()

say() {
    printf 'local: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 1
}

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || die "$program is not there: ./dev setup"
    done
}

# Sets `free` to the next port.
next_port() {
    free=$port
    port=$((port + 1))
    ! (exec 3<>"/dev/tcp/127.0.0.1/$free") 2>/dev/null || die "port $free is taken: OPS_PORT=N chooses others"
}

# Try a command until it succeeds, for 20 s.
wait_for() {
    local what=$1 i
    shift
    for ((i = 0; i < 400; i++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.05
    done
    die "$what: not within 20 s; see $dir/*.log"
}

# start NAME SIGNAL COMMAND…: ends with this script, in whatever way that ends; SIGNAL stops it.
start() {
    local name=$1 signal=$2
    shift 2
    setpriv --pdeathsig "$signal" "$@" >>"$dir/$name.log" 2>&1 </dev/null &
    started=("$! $signal" "${started[@]}")
}

stop_all() {
    local row pid signal
    trap - EXIT
    for row in "${started[@]}"; do
        read -r pid signal <<<"$row"
        kill -s "$signal" "$pid" 2>/dev/null || continue
        wait "$pid" || true
    done
    say "stopped"
}

# ---- Redis ----

redis_cli() {
    local at=$1
    shift
    timeout 5 redis-cli -p "$at" "$@"
}

redis_answers() {
    redis_cli "$1" "${redis_words[@]}" ping | grep -q PONG
}

# redis_server NAME PORT [LINE…]: one server, with these lines after those it always has.
redis_words=()
redis_server() {
    local name=$1 at=$2
    shift 2
    mkdir -p "$dir/$name"
    {
        cat "$here/redis.conf"
        printf '%s\n' "bind 127.0.0.1" "port $at" "dir $dir/$name" "$@"
    } >"$dir/$name/redis.conf"
    start "$name" TERM redis-server "$dir/$name/redis.conf"
    wait_for "$name" redis_answers "$at"
}

redis_single() {
    next_port
    redis_server redis "$free"
    redis_url=redis://127.0.0.1:$free/0
}

sentinel_knows() {
    redis_cli "$1" sentinel ckquorum shop | grep -q '^OK 3' && redis_cli "$1" sentinel replicas shop | grep -q .
}

# Which of the two is the primary, if it was decided in an earlier run, the Sentinels remember.
redis_sentinel() {
    local primary replica i at hosts=()
    next_port && primary=$free
    next_port && replica=$free
    redis_server redis-1 "$primary"
    redis_server redis-2 "$replica" "replicaof 127.0.0.1 $primary"
    for i in 1 2 3; do
        next_port
        mkdir -p "$dir/sentinel-$i"
        [ -e "$dir/sentinel-$i/sentinel.conf" ] || printf '%s\n' \
            "bind 127.0.0.1" "port $free" "dir $dir/sentinel-$i" \
            "sentinel monitor shop 127.0.0.1 $primary 2" \
            "sentinel down-after-milliseconds shop 1000" \
            "sentinel failover-timeout shop 10000" >"$dir/sentinel-$i/sentinel.conf"
        start "sentinel-$i" TERM redis-sentinel "$dir/sentinel-$i/sentinel.conf"
        hosts+=("127.0.0.1:$free")
    done
    for at in "${hosts[@]}"; do
        wait_for "Sentinel on $at" sentinel_knows "${at#*:}"
    done
    redis_url="redis+sentinel://$(
        IFS=,
        echo "${hosts[*]}"
    )/shop"
}

cluster_is_whole() {
    redis_cli "$1" cluster info | grep -q '^cluster_state:ok'
}

redis_cluster() {
    local i at hosts=() bus
    for i in 1 2 3 4 5 6; do
        next_port && at=$free
        next_port && bus=$free
        redis_server "redis-$i" "$at" "cluster-enabled yes" "cluster-port $bus" "cluster-node-timeout 1000"
        hosts+=("127.0.0.1:$at")
    done
    at=${hosts[0]#*:}
    if redis_cli "$at" cluster info | grep -q '^cluster_slots_assigned:0'; then
        sleep 0.2
        timeout 60 redis-cli --cluster create "${hosts[@]}" --cluster-replicas 1 --cluster-yes \
            >>"$dir/cluster.log" || die "the cluster could not be made: $dir/cluster.log"
    fi
    for at in "${hosts[@]}"; do
        wait_for "cluster at $at" cluster_is_whole "${at#*:}"
    done
    redis_url="redis+cluster://$(
        IFS=,
        echo "${hosts[*]}"
    )"
}

# The rights are what the server uses, and no more: it cannot flush, save, or change users.
redis_passwords() {
    local secret=$1
    next_port
    redis_words=(--user doorbuster --pass "$secret" --no-auth-warning)
    redis_server redis "$free" "user default off" \
        "user doorbuster on >$secret ~* &* +@read +@write +@connection +fcall +fcall_ro +function|load +function|list +info +role +time +config|get +cluster|slots +cluster|shards +cluster|nodes -keys -flushall -flushdb -swapdb"
    redis_url=redis://doorbuster:$secret@127.0.0.1:$free/0
}

redis_tls() {
    local tls
    next_port && tls=$free
    redis_words=(--tls --cacert "$dir/tls/ca.crt")
    mkdir -p "$dir/redis"
    {
        cat "$here/redis.conf"
        printf '%s\n' "bind 127.0.0.1" "port 0" "tls-port $tls" "dir $dir/redis" \
            "tls-cert-file $dir/tls/server.crt" "tls-key-file $dir/tls/server.key" \
            "tls-ca-cert-file $dir/tls/ca.crt" "tls-auth-clients no" "tls-replication yes"
    } >"$dir/redis/redis.conf"
    start redis TERM redis-server "$dir/redis/redis.conf"
    wait_for "Redis with TLS" redis_answers "$tls"
    redis_words=()
    stunnel_to "$tls"
}

# The servers' end of the tunnel: plain on this machine, TLS and a certificate that is looked at beyond.
stunnel_to() {
    next_port
    printf '%s\n' "foreground = yes" "pid =" "debug = warning" "[redis]" "client = yes" \
        "accept = 127.0.0.1:$free" "connect = 127.0.0.1:$1" \
        "CAfile = $dir/tls/ca.crt" "verifyChain = yes" "checkIP = 127.0.0.1" \
        "TIMEOUTclose = 0" >"$dir/stunnel.conf"
    start stunnel TERM stunnel "$dir/stunnel.conf"
    wait_for stunnel redis_answers "$free"
    redis_url=redis://127.0.0.1:$free/0
}

# An authority, and a certificate of it for this machine, which both stores use.
make_certificates() {
    local tls=$dir/tls
    [ ! -e "$tls/server.crt" ] || return 0
    mkdir -p "$tls"
    {
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Doorbuster's own authority" \
            -keyout "$tls/ca.key" -out "$tls/ca.crt"
        openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$tls/server.key" -out "$tls/server.csr"
        openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial \
            -days 3650 -out "$tls/server.crt" -extfile <(echo "subjectAltName = DNS:localhost, IP:127.0.0.1")
    } >"$dir/openssl.log" 2>&1 || die "openssl: $dir/openssl.log"
}

# ---- PostgreSQL ----

# Words before a program that does not run as root; none for who is not root.
as_postgres() {
    [ "$(id -u)" -ne 0 ] || echo "--reuid=postgres --regid=postgres --clear-groups"
}

sql() {
    local url=$1
    shift
    timeout 10 psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" "$url"
}

# postgres_init NAME: an empty server's files, once; its superuser is `postgres`, on a socket only.
postgres_init() {
    local data=$dir/$1/data
    [ ! -e "$data/PG_VERSION" ] || return 0
    mkdir -p "$dir/$1"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$dir/$1"
    # shellcheck disable=SC2046 # words
    (cd / && setpriv $(as_postgres) test -w "$dir/$1") ||
        die "user postgres, as whom PostgreSQL runs, cannot get to $dir: name another DIR"
    # shellcheck disable=SC2046 # words
    (cd "$dir/$1" && setpriv $(as_postgres) initdb -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync) \
        >>"$dir/$1.log" 2>&1 || die "initdb: $dir/$1.log"
}

# postgres_server NAME PORT [LINE…]
postgres_server() {
    local name=$1 at=$2 data=$dir/$1/data
    shift 2
    {
        printf '%s\n' "listen_addresses = '127.0.0.1'" "unix_socket_directories = '$dir/$name'" "port = $at"
        cat "$here/postgresql.conf"
        printf '%s\n' "$@"
    } >"$data/doorbuster.conf"
    grep -q doorbuster.conf "$data/postgresql.conf" || echo "include 'doorbuster.conf'" >>"$data/postgresql.conf"
    # shellcheck disable=SC2046 # words
    start "$name" INT $(as_postgres) postgres -D "$data"
    wait_for "$name" pg_isready -q -h "$dir/$name" -p "$at" -U postgres -d postgres
}

# The user and the database of the shop, once. $3 is a password, or empty.
postgres_shop() {
    local socket="host=$dir/$1 port=$2 user=postgres"
    [ -z "$(sql "$socket dbname=postgres" -c "SELECT 1 FROM pg_database WHERE datname = 'shop'")" ] || return 0
    sql "$socket dbname=postgres" -c "CREATE ROLE doorbuster LOGIN"
    [ -z "$3" ] || sql "$socket dbname=postgres" -c "ALTER ROLE doorbuster PASSWORD '$3'"
    sql "$socket dbname=postgres" -c "CREATE DATABASE shop OWNER doorbuster"
}

postgres_single() {
    next_port
    postgres_init postgres
    postgres_server postgres "$free"
    postgres_shop postgres "$free" ""
    postgres_url=postgresql://doorbuster@127.0.0.1:$free/shop
}

# Who comes over the network must know the password; TLS or not, as $1 says: host, hostssl.
postgres_hba() {
    printf '%s\n' "local all postgres trust" "$1 all doorbuster 127.0.0.1/32 $2" >"$dir/postgres/data/pg_hba.conf"
}

postgres_passwords() {
    next_port
    postgres_init postgres
    postgres_hba host scram-sha-256
    postgres_server postgres "$free"
    postgres_shop postgres "$free" "$1"
    postgres_url=postgresql://doorbuster:$1@127.0.0.1:$free/shop
}

postgres_tls() {
    local data=$dir/postgres/data
    next_port
    postgres_init postgres
    postgres_hba hostssl trust
    cp "$dir/tls/server.crt" "$dir/tls/server.key" "$data/"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$data/server.crt" "$data/server.key"
    chmod 600 "$data/server.key"
    postgres_server postgres "$free" "ssl = on" "ssl_min_protocol_version = 'TLSv1.2'"
    postgres_shop postgres "$free" ""
    postgres_url="postgresql://doorbuster@127.0.0.1:$free/shop?sslmode=verify-full&sslrootcert=$dir/tls/ca.crt"
}

standby_streams() {
    [ "$(sql "host=$dir/postgres-1 port=$1 user=postgres dbname=postgres" -c \
        "SELECT state FROM pg_stat_replication WHERE application_name = 'standby'")" = streaming ]
}

# The standby is a copy of the primary. Once it is there, a commit is acknowledged when both have it.
# Who is the primary is decided here anew at each start: this is for trying, not for keeping.
postgres_standby() {
    local primary standby data=$dir/postgres-2/data
    next_port && primary=$free
    next_port && standby=$free
    postgres_init postgres-1
    postgres_server postgres-1 "$primary"
    postgres_shop postgres-1 "$primary" ""
    rm -rf "$data"
    mkdir -p "$dir/postgres-2"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$dir/postgres-2"
    # shellcheck disable=SC2046 # words
    (cd "$dir/postgres-2" && setpriv $(as_postgres) pg_basebackup -D "$data" -c fast --no-sync -R \
        -d "host=$dir/postgres-1 port=$primary user=postgres application_name=standby") \
        >>"$dir/postgres-2.log" 2>&1 || die "pg_basebackup: $dir/postgres-2.log"
    postgres_server postgres-2 "$standby"
    wait_for "the standby" standby_streams "$primary"
    printf '%s\n' "synchronous_standby_names = 'standby'" >>"$dir/postgres-1/data/doorbuster.conf"
    sql "host=$dir/postgres-1 port=$primary user=postgres dbname=postgres" -c "SELECT pg_reload_conf()" >/dev/null
    postgres_url="postgresql://doorbuster@127.0.0.1:$primary,127.0.0.1:$standby/shop?target_session_attrs=read-write"
}

postgres_pgbouncer() {
    local behind
    postgres_single
    behind=${postgres_url##*:}
    behind=${behind%%/*}
    next_port
    mkdir -p "$dir/pgbouncer"
    echo '"doorbuster" ""' >"$dir/pgbouncer/users.txt"
    printf '%s\n' "[databases]" "shop = host=127.0.0.1 port=$behind" "[pgbouncer]" \
        "listen_addr = 127.0.0.1" "listen_port = $free" "unix_socket_dir =" \
        "auth_type = trust" "auth_file = $dir/pgbouncer/users.txt" \
        "pool_mode = transaction" "default_pool_size = 50" "max_client_conn = 1000" \
        "server_login_retry = 1" >"$dir/pgbouncer/pgbouncer.ini"
    # shellcheck disable=SC2046 # words
    start pgbouncer INT $(as_postgres) pgbouncer "$dir/pgbouncer/pgbouncer.ini"
    postgres_url=postgresql://doorbuster@127.0.0.1:$free/shop
    wait_for PgBouncer sql "$postgres_url" -c "SELECT 1"
}

# A password of these files, made once.
secret_of() {
    [ -e "$dir/$1.password" ] || (umask 077 && openssl rand -hex 16 >"$dir/$1.password")
    cat "$dir/$1.password"
}

usage() {
    sed -n 's/^# \{0,1\}//; 3,21p' "$0" >&2
    exit 2
}

case $topology in
single | sentinel | cluster | tls | passwords | standby | pgbouncer) ;;
*) usage ;;
esac
need redis-server redis-sentinel redis-cli postgres psql setpriv openssl
default=$here/../var/$topology
[ "$(id -u)" -ne 0 ] || default=/var/tmp/doorbuster/$topology
dir=${2:-$default}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# Sentinel and Cluster remember addresses.
[ -e "$dir/port" ] || echo "${OPS_PORT:-17000}" >"$dir/port"
port=$(cat "$dir/port")
trap stop_all EXIT
trap 'exit 0' INT TERM HUP

case $topology in
single) redis_single && postgres_single ;;
sentinel) redis_sentinel && postgres_single ;;
cluster) redis_cluster && postgres_single ;;
tls)
    need stunnel
    make_certificates
    redis_tls && postgres_tls
    ;;
passwords)
    redis_passwords "$(secret_of redis)"
    postgres_passwords "$(secret_of postgres)"
    ;;
standby) redis_single && postgres_standby ;;
pgbouncer)
    need pgbouncer
    redis_single && postgres_pgbouncer
    ;;
esac

echo "redis = $redis_url"
echo "postgres = $postgres_url"
say "ready; data and logs are in $dir; Ctrl-C stops"
# A signal ends the wait, and the trap the rest. So does the end of any of them, with a word.
wait -n -p ended || true
say "a process has ended (${ended:-?}); see $dir/*.log"
exit 1
