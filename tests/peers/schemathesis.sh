#!/usr/bin/env bash
# Throws generated requests at a running hub, by what its /openapi.json says, and fails on a 5xx, an
# undeclared status, a wrong media type or a document of another shape.
#
#   tests/peers/schemathesis.sh URL TOKEN_FILE SECONDS
#
# TOKEN_FILE holds an admin token; the hub should have something published, or its answers to that
# count as faults. Left out are the event stream, which has no end, and revoking API tokens, which
# would revoke this one. Ends early when standard input does.
set -euo pipefail

if [[ $# -ne 3 ]]; then
    echo "usage: ${0##*/} URL TOKEN_FILE SECONDS" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here url=$1 seconds=$3
token=$(<"$2")
readonly token
program=$("$here/install.sh" schemathesis)
readonly program
scratch=$(mktemp -d)
readonly scratch

run="" watcher=""
stop() {
    if [[ -n $run ]]; then
        kill "$run" 2>/dev/null || true
        wait "$run" 2>/dev/null || true
    fi
    if [[ -n $watcher ]]; then
        kill "$watcher" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 143' TERM INT HUP

cd "$scratch"
exec 3<&0
"$program" run "$url/openapi.json" \
    --url "$url" \
    --header "Authorization: Bearer $token" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --exclude-path /api/v1/events \
    --exclude-operation-id delete-api-v1-tokens-id \
    --phases examples,coverage,fuzzing \
    --max-time "$seconds" --seed 7 --continue-on-failure --warnings off \
    --suppress-health-check all --request-timeout 30 3<&- </dev/null &
run=$!
# A caller that dies closes our standard input.
(cat <&3 >/dev/null; kill "$run" 2>/dev/null || true) &
watcher=$!
exec 3<&-
status=0
wait "$run" || status=$?
run=""
exit "$status"
