# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The build directories: one per compiler and instrumentation, all from the same meson.build.

# Options of a build directory, first its compiler.
build_options() {
    case $1 in
    build) echo gcc ;;
    build-ndebug) echo gcc -Db_ndebug=true ;;
    build-asan) echo clang -Db_sanitize=address,undefined -Db_lundef=false ;;
    build-tsan) echo clang -Db_sanitize=thread -Db_lundef=false ;;
    build-fuzz) echo clang -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true ;;
    *) die "no build directory $1" ;;
    esac
}

# Configure $1 if it is not, or not with these options. Warnings are errors where the compiler is
# the one they were written for; elsewhere a newer compiler's new warning should not stop a person.
configure() {
    local cc options
    read -r cc options <<<"$(build_options "$1")"
    # shellcheck source=/dev/null
    if (. /etc/os-release 2>/dev/null && [ "${ID:-}${VERSION_ID:-}" = debian12 ]); then
        options="-Dwerror=true $options"
    else
        [ "$cc" != gcc ] || cc=cc
    fi
    [ "$(cat "$1/configured" 2>/dev/null)" != "$cc $options" ] || return 0
    say "configuring $1 ($cc $options)"
    local again=() log
    if [ -f "$1/configured" ]; then
        rm -rf "${root:?}/$1"
    elif [ -f "$1/build.ninja" ]; then
        again=(--reconfigure)
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086 # options are words
    CC=$cc meson setup "${again[@]}" "$1" $options >"$log" 2>&1 || {
        cat "$log" >&2
        rm -f "$log"
        die "meson could not configure $1"
    }
    rm -f "$log"
    echo "$cc $options" >"$1/configured"
}

# Configure and compile all of $1, or only the targets named after it; one at a time in each directory.
build_dir() {
    mkdir -p "$tools"
    (
        flock 9
        configure "$1"
        ninja -C "$@" 9>&-
    ) 9>"$tools/$1.lock"
}

# The program alone, quietly unless something is wrong.
build_program() {
    configure build
    ninja -C build -n doorbuster | grep -q 'no work to do' || say "building"
    ninja -C build --quiet doorbuster >&2
}

# All fuzz targets, nothing else of it; prints the directory.
build_fuzz() {
    build_dir build-fuzz fuzzers >&2
    echo build-fuzz
}
