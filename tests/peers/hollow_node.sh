#!/usr/bin/env bash
# Starts one node of a cluster that kubernetes.sh runs in a directory: the real kubelet over a runtime
# that only keeps books. Prints a line of JSON once the node is Ready, and stops when standard input
# ends or a signal comes. What a test can do to the node: kubernetes/README.md.
#
#   tests/peers/hollow_node.sh DIR NAME [--version v1.33.13] [--labels key=value,…]
set -euo pipefail

if [[ $# -lt 2 ]]; then
    echo "usage: ${0##*/} DIR NAME [--version VERSION] [--labels KEY=VALUE,…]" >&2
    exit 2
fi
bin=$("$(dirname "$0")/install.sh" kubernetes)
cluster=$1 name=$2
shift 2
exec nice -n 5 "$bin/hollow-node" node --cluster "$cluster" --name "$name" "$@"
