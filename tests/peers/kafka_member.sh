#!/usr/bin/env bash
# Does one thing to one member of a Kafka cluster that kafka.sh made in DIR.
#
#   tests/peers/kafka_member.sh DIR MEMBER VERB …
#
#   create controller|broker NODE_ID   names a new member and gives it free loopback ports
#   format [--initial|--new-disk]      makes its data directory; prints {"directory_id":…}
#                                      --initial: as one of the first voters (kafka.sh does that)
#                                      --new-disk: the old directory is put aside, as a lost disk;
#                                      a controller then joins as an observer (KIP-853)
#   start [VERSION]                    starts it, in the version it last had unless one is given
#   stop                               SIGTERM, and waits for the end
#   restart VERSION                    the two together; nothing if it runs in that version
#   pause, continue, kill              SIGSTOP, SIGCONT, SIGKILL
#   rules FILE [--without-version]     gives its exporter other rules, without a restart
#   ready                              waits until it says that it has started
#   show                               prints its line of JSON
#
# A started member belongs to no caller: it runs on when the caller dies, until kafka.sh ends. Every
# verb may be repeated; a restart that was cut off is finished by asking again.
set -euo pipefail

# Seconds: a broker moves its leaders away before it ends, and a controller hands over.
readonly stop_wait=90
# Seconds until the exporter answers: it starts before Kafka does.
readonly start_wait=30
# Seconds until Kafka says that it has started; a second JVM at a time on a shared machine is slow.
readonly ready_wait=180
# Seconds for another caller's verb on the same member.
readonly lock_wait=150
# How often a port that someone else took first is replaced by another one.
readonly port_tries=50

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

usage() {
    sed -n '4,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

[[ $# -ge 3 && -d $1 ]] || usage
dir=$(cd "$1" && pwd)
readonly dir member=$2 verb=$3
shift 3
[[ $member =~ ^[a-z0-9-]{1,32}$ ]] || die "no member can be called $member"
readonly home="$dir/members/$member"
# shellcheck source=/dev/null  # CLUSTER_ID, PEERS, RULES, FIRST_VERSION, QUORUM and BOOTSTRAP
[[ ! -f $dir/cluster.env ]] || source "$dir/cluster.env"
if [[ $verb != create ]]; then
    # shellcheck source=/dev/null  # ROLE, NODE_ID, KAFKA_PORT, METRICS_PORT
    source "$home/member.env" 2>/dev/null || die "there is no member $member in $dir"
fi

# One verb that starts, stops or changes files at a time; faults need no turn.
take_turn() {
    exec 9>"$home/lock"
    flock --wait "$lock_wait" 9 || die "another command holds $member for too long"
}

# The process's start time in ticks, which with its id names it for good; fails once it has ended.
birth() {
    local line
    { line=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    local -a fields
    read -ra fields <<<"${line##*) }"
    # A zombie has ended; who should have waited for it is not our business.
    [[ ${fields[0]} != Z ]] && printf '%s\n' "${fields[19]}"
}

# Prints the id of the member's process; fails if there is none.
process() {
    local id born
    read -r id born 2>/dev/null <"$home/process" || return 1
    [[ $(birth "$id") == "$born" ]] && printf '%s\n' "$id"
}

running_version() {
    process >/dev/null && cat "$home/version"
}

send() {
    local id
    id=$(process) || die "$member is not running"
    kill "-$1" "$id"
}

answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Prints a port nothing listens at and no member has; ephemeral ports start higher.
free_port() {
    local port try
    for ((try = 0; try < port_tries; try++)); do
        port=$((20000 + RANDOM % 12000))
        if ! answers "$port" && ! grep -qs "_PORT=$port\$" "$dir"/members/*/member.*; then
            echo "$port"
            return
        fi
    done
    die 'no free port was found'
}

create() {
    [[ ($1 == controller || $1 == broker) && $2 =~ ^[0-9]+$ ]] || usage
    [[ ! -f $home/member.env ]] || die "$member exists"
    mkdir -p "$home"
    printf 'ROLE=%s\nNODE_ID=%s\n' "$1" "$2" >"$home/member.new"
    # One after the other: the second search sees the first one's port.
    echo "KAFKA_PORT=$(free_port)" >>"$home/member.new"
    echo "METRICS_PORT=$(free_port)" >>"$home/member.new"
    mv "$home/member.new" "$home/member.env"
}

# Kafka's configuration; small pools and buffers, six of these share a machine.
write_properties() {
    local listener=PLAINTEXT
    [[ $ROLE == broker ]] || listener=CONTROLLER
    cat >"$home/server.properties" <<CONFIG
process.roles=$ROLE
node.id=$NODE_ID
$QUORUM
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
listeners=$listener://127.0.0.1:$KAFKA_PORT
advertised.listeners=$listener://127.0.0.1:$KAFKA_PORT
log.dirs=$home/data
num.network.threads=1
num.io.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=4194304
CONFIG
    if [[ $ROLE == broker ]]; then
        cat >>"$home/server.properties" <<'CONFIG'
default.replication.factor=3
min.insync.replicas=2
num.partitions=3
offsets.topic.replication.factor=3
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=3
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
CONFIG
    fi
}

directory_id() {
    sed -n 's/^directory\.id=//p' "$home/data/meta.properties"
}

format_data() {
    local -a how=()
    local version
    version=$(cat "$home/version" 2>/dev/null || echo "$FIRST_VERSION")
    case "${1:-}" in
    --initial) [[ -z $INITIAL || $ROLE == broker ]] || how=(--initial-controllers "$INITIAL") ;;
    --new-disk) ;;
    '') ;;
    *) usage ;;
    esac
    if process >/dev/null; then
        die "$member is running"
    fi
    if [[ ${1:-} == --new-disk && -d $home/data ]]; then
        local number=1
        while [[ -e $home/lost-$number ]]; do number=$((number + 1)); done
        mv "$home/data" "$home/lost-$number"
    fi
    # Who is no first voter learns the voters from the others; a static quorum has them configured.
    if [[ -n $INITIAL && ${#how[@]} -eq 0 ]]; then
        how=(--no-initial-controllers)
    fi
    write_properties
    if [[ ! -f $home/data/meta.properties ]]; then
        mkdir -p "$home/data"
        java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
            -cp "$PEERS/libs-$version/*" kafka.tools.StorageTool format \
            --cluster-id "$CLUSTER_ID" --config "$home/server.properties" "${how[@]}" \
            </dev/null >"$home/format.log" 2>&1 ||
            die "$member could not be formatted: $(tail -n 3 "$home/format.log")"
    fi
    printf '%s\n' "$version" >"$home/version"
    [[ -f $home/exporter.yml ]] || write_rules "$RULES" with
    printf '{"directory_id":"%s"}\n' "$(directory_id)"
}

# write_rules FILE with|without: the file's rules, or those of Strimzi's ConfigMap in it, with the
# rule that shows Kafka's version in front of them, in the list's own indentation; and without the
# beans of single requests, of which there are 3,000 samples that make a page nine times as dear.
write_rules() {
    [[ -f $1 ]] || die "there is no rule file $1"
    local found
    found=$(awk '
        /kafka-metrics-config.yml: \|/ { inside = 1; found = 1; next }
        inside && /^[^ ]/ { inside = 0 }
        inside { sub(/^    /, ""); text = text $0 "\n" }
        { all = all $0 "\n" }
        END { printf "%s", found ? text : all }' "$1")
    if [[ $2 == with ]]; then
        found=$(awk -v rule="$(cat "$here/kafka/version-rule.yml")" '
            { lines[NR] = $0 }
            indent == "" && /^ *- *pattern/ { match($0, /^ */); indent = "x" substr($0, 1, RLENGTH) }
            END {
                pad = substr(indent, 2)
                gsub(/\n/, "\n" pad, rule)
                for (i = 1; i <= NR; i++) {
                    print lines[i]
                    if (lines[i] ~ /^rules:/) print pad rule
                }
            }' <<<"$found")
    fi
    found=$(awk -v beans='"kafka.network:*"' '
        { print }
        /^(exclude|blacklist)ObjectNames:/ { print "  - " beans; listed = 1 }
        END { if (!listed) print "excludeObjectNames:\n  - " beans }' <<<"$found")
    printf '%s\n' "$found" >"$home/exporter.new"
    mv "$home/exporter.new" "$home/exporter.yml"
}

start() {
    local version=${1:-$(cat "$home/version")} heap=256m try
    [[ -d $PEERS/libs-$version ]] || die "Kafka $version is not installed in $PEERS"
    if process >/dev/null; then
        [[ $(running_version) == "$version" ]] || die "$member runs in $(running_version)"
        return
    fi
    [[ ! -e $dir/ended ]] || die "the cluster in $dir has ended"
    [[ -f $home/data/meta.properties ]] || die "$member is not formatted"
    [[ $ROLE == controller ]] || heap=384m
    write_properties
    printf '%s\n' "$version" >"$home/version"
    rm -f "$home/process"
    [[ ! -f $home/log ]] || cat "$home/log" >>"$home/log.before"
    local -a logging=("-Dlog4j.configuration=file:$here/kafka/log4j.properties")
    [[ $version == 3.* ]] || logging=("-Dlog4j2.configurationFile=$here/kafka/log4j2.properties")
    # Its own session: no signal to the caller's group reaches it. It keeps the turn until the record
    # of who runs is complete, so a caller that dies here leaves no member that nobody can find; and
    # it keeps nothing else of the caller open, whose readers wait for the end of their input.
    # shellcheck disable=SC2016  # expanded by the inner shell
    setsid bash -c '
        for fd in /proc/$$/fd/*; do
            fd=${fd##*/}
            ((fd <= 2 || fd == 9)) || eval "exec $fd>&-"
        done
        stat=$(<"/proc/$$/stat"); read -ra fields <<<"${stat##*) }"
        printf "%s %s\n" "$$" "${fields[19]}" >"$1"; shift; exec "$@" 9>&-' \
        member "$home/process" \
        java "-Xmx$heap" "-Xms32m" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${logging[@]}" \
        "-javaagent:$PEERS/exporter.jar=127.0.0.1:$METRICS_PORT:$home/exporter.yml" \
        -cp "$PEERS/libs-$version/*" kafka.Kafka "$home/server.properties" \
        </dev/null >"$home/log" 2>&1 &
    local starter=$!
    for ((try = 0; try < start_wait * 10; try++)); do
        if [[ -s $home/process ]]; then
            process >/dev/null || die "$member ended at once: $(tail -n 3 "$home/log")"
            if answers "$METRICS_PORT"; then
                return
            fi
        elif ! birth "$starter" >/dev/null; then
            die "$member could not be started: $(tail -n 3 "$home/log")"
        fi
        sleep 0.1
    done
    die "the exporter of $member does not answer after $start_wait s"
}

stop() {
    local id try
    id=$(process) || return 0
    kill -TERM "$id" 2>/dev/null || true
    for ((try = 0; try < stop_wait * 10; try++)); do
        process >/dev/null || return 0
        sleep 0.1
    done
    die "$member has not ended $stop_wait s after SIGTERM"
}

ready() {
    local try
    for ((try = 0; try < ready_wait * 5; try++)); do
        process >/dev/null || die "$member is not running: $(tail -n 3 "$home/log")"
        if grep -q 'Kafka Server started' "$home/log"; then
            return
        fi
        sleep 0.2
    done
    die "$member has not started after $ready_wait s"
}

show() {
    printf '{"name":"%s","role":"%s","node_id":%s,"metrics_url":"http://127.0.0.1:%s/metrics",' \
        "$member" "$ROLE" "$NODE_ID" "$METRICS_PORT"
    printf '"kafka_port":%s,"directory":"%s","directory_id":"%s","version":"%s","process":%s}\n' \
        "$KAFKA_PORT" "$home" "$(directory_id)" "$(cat "$home/version")" "$(process || echo null)"
}

case "$verb" in
create)
    [[ $# -eq 2 ]] || usage
    create "$1" "$2"
    ;;
format)
    take_turn
    format_data "${1:-}"
    ;;
start)
    take_turn
    start "${1:-}"
    ;;
stop)
    take_turn
    stop
    ;;
restart)
    [[ $# -eq 1 ]] || usage
    take_turn
    [[ -d $PEERS/libs-$1 ]] || die "Kafka $1 is not installed in $PEERS"
    if [[ $(running_version || true) != "$1" ]]; then
        stop
        start "$1"
    fi
    ;;
pause) send STOP ;;
continue) send CONT ;;
kill)
    # Nothing to kill is what the caller wants.
    if process >/dev/null; then
        send KILL
        while process >/dev/null; do sleep 0.05; done
    fi
    ;;
rules)
    [[ $# -eq 1 || ($# -eq 2 && $2 == --without-version) ]] || usage
    take_turn
    write_rules "$1" "$([[ $# -eq 1 ]] && echo with || echo without)"
    ;;
ready) ready ;;
show) show ;;
*) usage ;;
esac
