#!/usr/bin/env bash
# Starts PostgreSQL with a fresh, empty database on a free loopback port, prints the database's URL
# once it answers, and stops the server and removes its files when standard input ends or a signal
# comes. It writes to disk as in earnest (fsync), so that what it acknowledged is there after a kill.
#
#   tests/peers/postgres.sh
#
# Lines on standard input are orders, each answered by "done":
#   stop     it ends at once, as after a power cut; the port stays free for it
#   start    it starts again on what it had written
#
# The caller holds standard input open for as long as it wants the server: a caller that dies leaves
# nothing running.
set -euo pipefail

if [[ $# -ne 0 ]]; then
    echo "usage: ${0##*/}" >&2
    exit 2
fi
# How often a port that someone else took first is replaced by another one.
readonly port_tries=20
# Seconds a server may take to start or to end.
readonly patience=60

bin=""
for candidate in /usr/lib/postgresql/*/bin; do
    [[ -x $candidate/initdb ]] && bin=$candidate
done
if [[ -z $bin ]]; then
    echo "${0##*/}: PostgreSQL is not installed (Debian package postgresql)" >&2
    exit 2
fi
readonly bin

dir=$(mktemp -d)
readonly dir
# It refuses to run as root. Debian's package makes a user for it.
as=()
if [[ $EUID -eq 0 ]]; then
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
    chown postgres:postgres "$dir"
fi
readonly as

running=""
stop() {
    if [[ -n $running ]]; then
        (cd "$dir" && "${as[@]}" "$bin/pg_ctl" --pgdata="$dir/data" --mode=immediate \
            --timeout="$patience" --silent stop >/dev/null 2>&1) || true
        running=""
    fi
}
finish() {
    stop
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 143' TERM INT HUP

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
readonly password
# Read by initdb, which may be another user.
(umask 077 && echo "$password" >"$dir/password")
if [[ $EUID -eq 0 ]]; then
    chown postgres:postgres "$dir/password"
fi

# pg_ctl waits until the server takes connections. Standard input and output are the caller's; the
# server must not hold them.
start() {
    if (cd "$dir" && "${as[@]}" "$bin/pg_ctl" --pgdata="$dir/data" --log="$dir/log" --wait \
        --timeout="$patience" --silent --options="-p $1" start </dev/null >/dev/null 2>&1); then
        running=yes
        return 0
    fi
    return 1
}

(cd "$dir" && "${as[@]}" "$bin/initdb" --pgdata="$dir/data" --username=fairway \
    --pwfile="$dir/password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
    </dev/null >"$dir/initdb.log" 2>&1) || {
    echo "${0##*/}: initdb failed:" >&2
    cat "$dir/initdb.log" >&2
    exit 1
}
cat >>"$dir/data/postgresql.conf" <<CONFIG
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
shared_buffers = 64MB
CONFIG

port=""
for ((try = 0; try < port_tries; try++)); do
    candidate=$((20000 + RANDOM % 12000))
    if start "$candidate"; then
        port=$candidate
        break
    fi
done
if [[ -z $port ]]; then
    echo "${0##*/}: PostgreSQL did not start; its log:" >&2
    cat "$dir/log" >&2
    exit 1
fi
echo "postgres://fairway:$password@127.0.0.1:$port/postgres"

# Ends when the caller does, or when it closes our standard input.
while read -r order; do
    case $order in
    stop) stop ;;
    start)
        if [[ -z $running ]] && ! start "$port"; then
            echo "${0##*/}: PostgreSQL did not start again; its log:" >&2
            tail -n 20 "$dir/log" >&2
            exit 1
        fi
        ;;
    *)
        echo "${0##*/}: no such order: $order" >&2
        exit 2
        ;;
    esac
    echo done
done
