#!/usr/bin/env bash
# Starts Debian's prometheus on a free loopback port with its data in a directory, prints host:port
# and its process id once it is ready, and stops it when standard input ends or a signal comes.
#
#   tests/peers/prometheus.sh DIR SCRAPED…
#
#   DIR      where its files go; alerting rules are read from DIR/rules.yml, TLS and the like from
#            DIR/web.yml, if they are there
#   SCRAPED  host:port whose /metrics is scraped twice a second, as job "page"; may be repeated
#
# It takes remote-write at /api/v1/write as well.
#
# The caller holds standard input open for as long as it wants the server: a caller that dies leaves
# nothing running.
set -euo pipefail

if [[ $# -lt 2 ]]; then
    echo "usage: ${0##*/} DIR SCRAPED…" >&2
    exit 2
fi
if ! command -v prometheus >/dev/null; then
    echo "${0##*/}: prometheus is not installed (Debian package prometheus)" >&2
    exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
readonly dir
shift
printf -v scraped '"%s", ' "$@"
readonly scraped
# How often a port that someone else took first is replaced by another one.
readonly port_tries=20
# Tenths of a second a server may take to be ready.
readonly start_tries=300

server=""
stop() {
    if [[ -n $server ]]; then
        # A server that a test has stopped does not hear the other signal.
        kill "$server" 2>/dev/null || true
        kill -CONT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=""
    fi
}
trap stop EXIT
trap 'exit 143' TERM INT HUP

# Starts a server on the port; succeeds once it is ready, fails once it has ended.
start() {
    local port=$1
    local flags=(--config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/data"
        --web.enable-remote-write-receiver)
    if [[ -f $dir/web.yml ]]; then
        flags+=(--web.config.file="$dir/web.yml")
    fi
    prometheus "${flags[@]}" --web.listen-address="127.0.0.1:$port" \
        </dev/null >"$dir/log" 2>&1 &
    server=$!
    for ((i = 0; i < start_tries; i++)); do
        if ! kill -0 "$server" 2>/dev/null; then
            wait "$server" || true
            server=""
            return 1
        fi
        # Its own word: an answer at the port could be another process's.
        if grep -q "Listening on" "$dir/log" &&
            grep -q "ready to receive web requests" "$dir/log"; then
            return 0
        fi
        sleep 0.1
    done
    stop
    return 1
}

cat >"$dir/prometheus.yml" <<CONFIG
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
  evaluation_interval: 500ms
rule_files:
  - $dir/rules*.yml
scrape_configs:
  - job_name: page
    static_configs:
      - targets: [${scraped%, }]
CONFIG

for ((try = 0; try < port_tries; try++)); do
    port=$((20000 + RANDOM % 12000))
    if start "$port"; then
        echo "127.0.0.1:$port $server"
        # Ends when the caller does, or when it closes our standard input.
        cat >/dev/null
        exit 0
    fi
done
echo "${0##*/}: prometheus did not start; its log:" >&2
cat "$dir/log" >&2
exit 1
