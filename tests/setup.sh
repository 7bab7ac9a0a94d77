#!/bin/sh
# Installs what the tests need beyond the Rust toolchain: the MCP clients and
# servers under tests/clients, the fixture binaries under target/fixture, and
# PostgreSQL when the machine has none.  Can be run again at any time; does
# only what is not done yet, or what changed.
#
# Needs python3, npm and cargo, and the network when something is missing.
set -eu

tests=$(cd "$(dirname "$0")" && pwd)
clients=$tests/clients

say() { echo "setup: $*"; }

need() {
    command -v "$1" >/dev/null || { say "$1 is not installed"; exit 1; }
}

# Whether the stamp in directory $1 says that it was made from file $2.
current() {
    [ -f "$1/.stamp" ] && [ "$(cat "$1/.stamp")" = "$(sum "$2")" ]
}

sum() { sha256sum <"$1" | cut -d' ' -f1; }

install_packages() {
    say "apt-get install $*"
    if [ "$(id -u)" = 0 ]; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y "$@"
    else
        sudo DEBIAN_FRONTEND=noninteractive apt-get install -y "$@"
    fi
}

npm_packages() {
    if current "$clients/node_modules" "$clients/package-lock.json"; then
        say "npm packages are up to date"
        return
    fi
    say "npm ci in tests/clients"
    (cd "$clients" && npm ci --no-audit --no-fund --loglevel=error)
    sum "$clients/package-lock.json" >"$clients/node_modules/.stamp"
}

python_packages() { # NAME: .venv-NAME from requirements-NAME.txt
    venv=$clients/.venv-$1 wanted=$clients/requirements-$1.txt
    if current "$venv" "$wanted"; then
        say "python packages ($1) are up to date"
        return
    fi
    say "pip install -r tests/clients/requirements-$1.txt"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    sum "$wanted" >"$venv/.stamp"
}

postgres() {
    for initdb in "$(command -v initdb || true)" /usr/lib/postgresql/*/bin/initdb; do
        if [ -x "$initdb" ]; then
            say "PostgreSQL is there: $initdb"
            return
        fi
    done
    install_packages postgresql
}

keyring() {
    for tool in dbus-run-session dbus-send gnome-keyring-daemon secret-tool; do
        if ! command -v "$tool" >/dev/null; then
            install_packages dbus-daemon dbus-bin gnome-keyring libsecret-tools
            return
        fi
    done
    say "GNOME Keyring is there"
}

need cargo
need npm
need python3
python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv

npm_packages
python_packages py1
python_packages py2
python_packages servers
postgres
keyring

say "cargo build of tests/fixture into target/fixture"
cargo build --locked --manifest-path "$tests/fixture/Cargo.toml" --target-dir "$tests/../target/fixture"
