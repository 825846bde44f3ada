#!/usr/bin/env bash
# Starts Debian's docker-registry on a free loopback port with its storage in a directory, prints
# host:port once it answers, and stops it when standard input ends or a signal comes.
#
#   tests/peers/registry.sh STORAGE_DIR
#
# The caller holds standard input open for as long as it wants the registry: a caller that dies
# leaves nothing running.
set -euo pipefail

if [[ $# -ne 1 ]]; then
    echo "usage: ${0##*/} STORAGE_DIR" >&2
    exit 2
fi
if ! command -v docker-registry >/dev/null; then
    echo "${0##*/}: docker-registry is not installed (Debian package docker-registry)" >&2
    exit 2
fi
mkdir -p "$1"
storage=$(cd "$1" && pwd)
readonly storage
# How often a port that someone else took first is replaced by another one.
readonly port_tries=20
# Tenths of a second a registry may take to answer.
readonly start_tries=100

registry=""
stop() {
    if [[ -n $registry ]]; then
        kill "$registry" 2>/dev/null || true
        wait "$registry" 2>/dev/null || true
        registry=""
    fi
}
trap stop EXIT
trap 'exit 143' TERM INT HUP

# Whether something speaks HTTP at the port and says it is a registry.
answers() {
    local status=""
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET /v2/ HTTP/1.0\r\n\r\n' >&3
    read -r status <&3 || true
    exec 3>&- 3<&-
    [[ $status == *" 200 "* ]]
}

# Starts a registry on the port; succeeds once it answers, fails once it has ended.
start() {
    local port=$1 config="$storage/config.yml"
    cat >"$config" <<CONFIG
version: 0.1
log:
  level: info
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: $storage/data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:$port
CONFIG
    # Standard input and output are the caller's; the registry must not hold them.
    docker-registry serve "$config" </dev/null >"$storage/log" 2>&1 &
    registry=$!
    for ((i = 0; i < start_tries; i++)); do
        if ! kill -0 "$registry" 2>/dev/null; then
            wait "$registry" || true
            registry=""
            return 1
        fi
        # Its own word that it has the port: an answer alone could be another process's.
        if grep -q 'listening on' "$storage/log" && answers "$port" 2>/dev/null; then
            return 0
        fi
        sleep 0.1
    done
    stop
    return 1
}

for ((try = 0; try < port_tries; try++)); do
    port=$((20000 + RANDOM % 12000))
    if start "$port"; then
        echo "127.0.0.1:$port"
        # Ends when the caller does, or when it closes our standard input.
        cat >/dev/null
        exit 0
    fi
done
echo "${0##*/}: the registry did not start; its log:" >&2
cat "$storage/log" >&2
exit 1
