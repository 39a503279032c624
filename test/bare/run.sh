#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The README's two commands on a bare Debian 12, from nothing: debootstrap, a clone of this repository
# as committed, `./dev run` until the server answers, the same again, `./dev test`, setup again.
#
#   test/bare/run.sh [DIR]        DIR (default /var/tmp/doorbuster-bare) is made anew; needs root,
#                                 debootstrap and git here, some 4 GiB and half an hour
#   BARE_STEPS="run test"         which of the steps `run test setup`
#   BARE_BASE=FILE.tar            a debootstrap made earlier, to save its half minute
#   BARE_LISTEN=ADDR:PORT         where to serve (default 127.0.0.1:8080)
#
# Not part of ci: it installs everything again. What this machine says about its network (apt's
# sources and proxy, certificates, pip's and npm's configuration) is taken along where it is there.
set -euo pipefail

dir=${1:-/var/tmp/doorbuster-bare}
steps=${BARE_STEPS:-run test setup}
listen=${BARE_LISTEN:-127.0.0.1:8080}
repo=$(cd "$(dirname "$0")/../.." && pwd)
home=/root/doorbuster

say() {
    printf 'bare: %s\n' "$*"
}

make_system() {
    rm -rf "$dir"
    mkdir -p "$dir"
    if [ -n "${BARE_BASE:-}" ]; then
        tar -C "$dir" -xf "$BARE_BASE"
    else
        debootstrap --variant=minbase bookworm "$dir" >"$dir.log" 2>&1
    fi
    say "$(chroot "$dir" dpkg-query -W | wc -l) packages"
}

take_along() {
    local file
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /root/.config/pip/pip.conf /root/.npmrc \
        /etc/apt/sources.list.d/debian.sources /etc/apt/apt.conf.d/*proxy* \
        /etc/apt/apt.conf.d/*registry* /usr/local/share/ca-certificates/*.crt; do
        [ -f "$file" ] || continue
        mkdir -p "$dir$(dirname "$file")"
        cp -L "$file" "$dir$file"
    done
    if [ -f "$dir/etc/apt/sources.list.d/debian.sources" ]; then
        rm -f "$dir/etc/apt/sources.list"
    fi
    git clone -q "$repo" "$dir$home"
}

# The README's first drop: its curl lines as they stand there, at the address that is served.
drop_lines() {
    # shellcheck disable=SC2016 # backquotes of Markdown
    sed -n '/^## A first drop/,/^## /p' "$repo/README.md" | sed -n '/^```sh/,/^```/p' | grep '^curl' | head -n 5 |
        sed "s/localhost:8080/$listen/g; s/^curl/curl -sS/; s/\$/; echo/"
}

# Run a command inside, with mounts and processes that end with it, and a clean environment.
inside() {
    local keep
    mapfile -t keep < <(env | grep -E '^(https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|PIP_[A-Z_]+|GO(PROXY|SUMDB|FLAGS)|SSL_CERT_[A-Z]+|[A-Z_]*CA_(CERTS|BUNDLE|FILE))=')
    # shellcheck disable=SC2016 # expanded inside
    unshare --mount --pid --fork --kill-child bash -c '
        mount --make-rprivate /
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        mount -t tmpfs tmpfs "$1/tmp"
        exec chroot "$1" /usr/bin/env -i "${@:2}"
    ' - "$dir" HOME=/root TERM=dumb LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${keep[@]}" \
        bash -c "cd $home || exit; $*"
}

# `./dev run` until it answers, then the commands in file $1; it must end well when it is told to.
serve() {
    local start=$SECONDS
    cp "${1:-/dev/null}" "$dir/root/commands"
    # shellcheck disable=SC2016 # expanded inside
    inside './dev run --listen '"$listen"' >/root/run.log 2>&1 & server=$!
        for ((i = 0; i < 6000; i++)); do
            curl -fsS http://'"$listen"'/health/live >/dev/null 2>&1 && break
            kill -0 $server 2>/dev/null || break
            sleep 0.1
        done
        curl -fsS http://'"$listen"'/health/live || { tail -n 40 /root/run.log; exit 1; }
        echo
        . /root/commands | tee /root/commands.log
        kill -TERM $server
        wait $server'
    say "./dev run answered, and ended, within $((SECONDS - start)) s"
}

step_run() {
    drop_lines >"$dir.drop"
    serve "$dir.drop"
    grep -q '"ok":true' "$dir/root/commands.log" || {
        say "the README's first drop is not proved"
        exit 1
    }
    say "the second time"
    serve
    if grep 'installing' "$dir/root/run.log"; then
        say "the second run installed something"
        exit 1
    fi
}

step_test() {
    local start=$SECONDS status=0
    inside './dev test' 2>&1 | tee "$dir.test.log" || status=$?
    say "./dev test took $((SECONDS - start)) s"
    tail -n 1 "$dir.test.log" | grep -qE '^[0-9]+ passed, [0-9]+ failed$'
    return $status
}

step_setup() {
    local start=$SECONDS
    inside './dev setup' 2>&1 | tee "$dir.setup.log"
    say "./dev setup took $((SECONDS - start)) s"
}

make_system
take_along
for step in $steps; do
    "step_$step"
done
say "done"
