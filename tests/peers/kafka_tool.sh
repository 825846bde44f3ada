#!/usr/bin/env bash
# Runs one of Kafka's own command-line tools, in the newest version of install.sh, against the
# cluster that kafka.sh made in DIR.
#
#   tests/peers/kafka_tool.sh DIR quorum describe --replication
#   tests/peers/kafka_tool.sh DIR quorum --command-config DIR/members/c4/server.properties add-controller
#   tests/peers/kafka_tool.sh DIR quorum remove-controller --controller-id 3 --controller-directory-id ID
#   tests/peers/kafka_tool.sh DIR features upgrade --release-version 4.3
#   tests/peers/kafka_tool.sh DIR topics --describe
#   tests/peers/kafka_tool.sh DIR traffic TOPIC OUTPUT_DIR RECORDS_PER_SECOND   (kafka/Traffic.java)
#
# Exit codes and output are the tool's. KAFKA_TOOL_VERSION names another version to run.
set -euo pipefail

usage() {
    sed -n '5,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

[[ $# -ge 2 && -f $1/cluster.env ]] || usage
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# shellcheck source=/dev/null  # PEERS, FIRST_VERSION, CONTROLLERS, BROKERS
source "$1/cluster.env"
tool=$2
shift 2
case "$tool" in
quorum)
    main=org.apache.kafka.tools.MetadataQuorumCommand
    set -- --bootstrap-controller "$CONTROLLERS" "$@"
    ;;
features)
    main=org.apache.kafka.tools.FeatureCommand
    set -- --bootstrap-controller "$CONTROLLERS" "$@"
    ;;
topics)
    main=org.apache.kafka.tools.TopicCommand
    set -- --bootstrap-server "$BROKERS" "$@"
    ;;
traffic)
    [[ $# -eq 3 ]] || usage
    main=Traffic
    set -- "$BROKERS" "$@"
    ;;
*) usage ;;
esac
version=${KAFKA_TOOL_VERSION:-}
if [[ -z $version ]]; then
    if [[ $main == Traffic ]]; then
        # An application is upgraded after its brokers.
        version=$FIRST_VERSION
    else
        version=$(printf '%s\n' "$PEERS"/libs-* | sed 's/.*libs-//' | sort -V | tail -n 1)
    fi
fi
# What a tool logs goes to standard error, and only warnings: standard output is its answer.
logging=(-Dlog4j.configuration="file:$here/kafka/tools-log4j.properties")
[[ $version == 3.* ]] || logging=("-Dlog4j2.configurationFile=$here/kafka/tools-log4j2.properties")
exec java -Xmx192m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${logging[@]}" \
    -cp "$PEERS/libs-$version/*:$PEERS-traffic" "$main" "$@"
