#!/usr/bin/env bash
# Starts a Kafka cluster on free loopback ports: three controllers, three brokers, each with the JMX
# exporter. Prints one line of JSON once all have started; stops everything when standard input ends
# or a signal comes.
#
#   tests/peers/kafka.sh DIR [--controllers] [--static] [--version VERSION] [--rules FILE]
#
#   --controllers  the controllers only
#   --static   a quorum of controller.quorum.voters; without it a dynamic one (KIP-853)
#   --version  the Kafka version of install.sh to start in; 3.9.1
#   --rules    the exporter's rules, or a manifest with Strimzi's ConfigMap in it;
#              $FAIRWAY_DATA/jmx-exporter-rules/strimzi-kafka-metrics.yaml
#
# Members are c1 c2 c3 (node ids 1 2 3) and b1 b2 b3 (7 8 9); kafka_member.sh restarts and breaks
# them. A caller that dies leaves nothing running: it holds standard input open for as long as it
# wants the cluster.
set -euo pipefail

# How often the whole cluster is tried, each time with other ports: someone else may take one first.
readonly cluster_tries=3
readonly controllers=(c1 c2 c3)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
brokers=(b1 b2 b3) version=3.9.1 kind=dynamic rules="${FAIRWAY_DATA:+$FAIRWAY_DATA/jmx-exporter-rules/strimzi-kafka-metrics.yaml}"

usage() {
    echo "usage: ${0##*/} DIR [--controllers] [--static] [--version VERSION] [--rules FILE]" >&2
    exit 2
}

[[ $# -ge 1 && $1 != -* ]] || usage
mkdir -p "$1"
dir=$(cd "$1" && pwd)
readonly dir
shift
while [[ $# -gt 0 ]]; do
    case "$1" in
    --controllers) brokers=() && shift ;;
    --static) kind=static && shift ;;
    --version) version=${2:-} && shift 2 || usage ;;
    --rules) rules=${2:-} && shift 2 || usage ;;
    *) usage ;;
    esac
done
if [[ ! -f $rules ]]; then
    echo "${0##*/}: no rule file: name one with --rules, or the data folder in FAIRWAY_DATA" >&2
    exit 2
fi
rules=$(realpath "$rules")
peers=$("$here/install.sh" kafka)

member() {
    "$here/kafka_member.sh" "$dir" "$@"
}

# A member that is being started sees `ended` or is found by the second round.
stop() {
    local folder round
    touch "$dir/ended"
    for round in 1 2; do
        for folder in "$dir"/members/*; do
            [[ ! -f $folder/member.env ]] || member "${folder##*/}" kill || true
            [[ $round == 2 || ! -d $folder ]] || flock --wait 120 "$folder/lock" true || true
        done
    done
}
trap 'stop; kill "$(jobs -p)" 2>/dev/null || true' EXIT
trap 'exit 143' TERM INT HUP

# A random id as Kafka writes it: 16 bytes, base64url, never with a dash in front.
random_id() {
    local id=-
    while [[ $id == -* ]]; do
        id=$(head -c 16 /dev/urandom | basenc --base64url | tr -d =)
    done
    printf '%s\n' "$id"
}

# port_of MEMBER: its Kafka port.
port_of() {
    sed -n 's/^KAFKA_PORT=//p' "$dir/members/$1/member.env"
}

# Gives every member its ports and writes what all of them share.
lay_out() {
    local id=0 name voters="" servers="" addresses="" initial="" quorum
    for name in "${controllers[@]}"; do
        id=$((id + 1))
        member "$name" create controller "$id"
        voters+="${voters:+,}$id@127.0.0.1:$(port_of "$name")"
        initial+="${initial:+,}$id@127.0.0.1:$(port_of "$name"):$(random_id)"
        servers+="${servers:+,}127.0.0.1:$(port_of "$name")"
    done
    id=6
    for name in "${brokers[@]}"; do
        id=$((id + 1))
        member "$name" create broker "$id"
        addresses+="${addresses:+,}127.0.0.1:$(port_of "$name")"
    done
    quorum="controller.quorum.bootstrap.servers=$servers"
    if [[ $kind == static ]]; then
        quorum="controller.quorum.voters=$voters"
        initial=""
    fi
    cat >"$dir/cluster.env" <<CONFIG
CLUSTER_ID=$(random_id)
PEERS=$(printf '%q' "$peers")
RULES=$(printf '%q' "$rules")
FIRST_VERSION=$version
QUORUM=$quorum
INITIAL=$initial
CONTROLLERS=$servers
BROKERS=$addresses
CONFIG
}

# each 'MEMBER …' VERB …: for all of them at once; fails if one does.
each() {
    local name failed=0
    local -a members children=()
    read -ra members <<<"$1"
    shift
    for name in "${members[@]}"; do
        member "$name" "$@" >/dev/null &
        children+=($!)
    done
    for name in "${children[@]}"; do
        wait "$name" || failed=1
    done
    return "$failed"
}

bring_up() {
    # What an earlier run left there, should it have been killed.
    [[ ! -d $dir/members ]] || stop
    rm -rf "$dir/members" "$dir/cluster.env" "$dir/ended"
    mkdir "$dir/members"
    lay_out && each "${controllers[*]} ${brokers[*]}" format --initial || return 1
    # One after the other: a broker that starts while the first leaders are elected may never manage
    # to register (seen with 3.9.1 on a busy machine).
    each "${controllers[*]}" start && each "${controllers[*]}" ready || return 1
    each "${brokers[*]}" start && each "${brokers[*]}" ready
}

for ((try = 1; ; try++)); do
    if bring_up; then
        break
    fi
    for log in "$dir"/members/*/log; do
        [[ ! -f $log ]] || tail -n 5 "$log" >&2
    done
    if ((try >= cluster_tries)); then
        echo "${0##*/}: the cluster did not start" >&2
        exit 1
    fi
done

shown=""
for name in "${controllers[@]}" "${brokers[@]}"; do
    shown+="${shown:+,}$(member "$name" show)"
done
# shellcheck source=/dev/null
source "$dir/cluster.env"
printf '{"cluster_id":"%s","version":"%s","quorum":"%s","bootstrap_servers":"%s",' \
    "$CLUSTER_ID" "$version" "$kind" "$BROKERS"
printf '"bootstrap_controllers":"%s","peers":"%s","members":[%s]}\n' "$CONTROLLERS" "$peers" "$shown"
# Ends when the caller does, or when it closes our standard input. In the background, since bash
# hears a signal only between two commands or in `wait`.
cat <&0 >/dev/null &
wait "$!"
