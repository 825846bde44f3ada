#!/usr/bin/env bash
# Makes the pictures of the documents: starts the demo, waits for the middle of a release, and lets
# chromium look at every kind of page.
#
#   docs/screenshots.sh               docs/dashboard.png and docs/img/*.png
#   docs/screenshots.sh DIR           every page on every screen into DIR, to be looked at
#
# FAIRWAY names the program, target/release/fairway otherwise. Needs what
# `tests/peers/install.sh browser` needs, curl and Python.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root all=${1:-}
readonly fairway=${FAIRWAY:-$root/target/release/fairway}
# Clusters of the demo: enough for rings, few enough for two cores.
readonly clusters=12
# Clusters that are through when the pictures are made: the middle.
readonly through=5
# Seconds until this is given up.
readonly patience=300
# Largest picture in the repository, bytes.
readonly picture_max=150000

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

[[ -x $fairway ]] || die "no program $fairway: cargo build --release, or set FAIRWAY"
peer=$("$root/tests/peers/install.sh" browser)
work=$(mktemp -d)
demo=""
finish() {
    if [[ -n $demo ]]; then
        kill "$demo" 2>/dev/null || true
        wait "$demo" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM INT HUP

# until_true WHAT COMMAND…: runs it until it succeeds.
until_true() {
    local what=$1 end=$((SECONDS + patience))
    shift
    until "$@"; do
        kill -0 "$demo" 2>/dev/null || die "the demo ended: $(tail -n 3 "$work/log")"
        [[ $SECONDS -lt $end ]] || die "never happened: $what: $(tail -n 5 "$work/log")"
        sleep 0.2
    done
}

# api PATH EXPRESSION: evaluates Python over the answer `a`; fails while there is none.
api() {
    curl --silent --fail "$hub$1" 2>/dev/null | python3 -c "import json,sys; a=json.load(sys.stdin); print($2)" 2>/dev/null
}

"$fairway" demo --clusters "$clusters" --speed 10 --data-dir "$work/demo" >"$work/log" 2>&1 &
demo=$!
until_true 'the demo starts' grep -q '^published' "$work/log"
hub=$(sed -n 's/^dashboard  *\(http[^ ]*[^/ ]\)\/*$/\1/p' "$work/log")
export FAIRWAY_SERVER=$hub FAIRWAY_TOKEN_FILE=$work/demo/hub/admin.token

cat >"$work/policy.yaml" <<'POLICY'
name: canary-first
applies_to: [{product: acme/kafka}]
curve: {points: [{after: 0s, share: 30%}, {after: 30s, share: 60%}, {after: 2m, share: 100%}]}
gates: {soak: 5s, success: 60%, min_sample: 1, max_unknown: 100%, max_failures: 100}
rings:
  - {name: canary, select: {match_labels: {ring: canary}}}
  - {name: early, select: {match_labels: {ring: early}}}
  - {name: everyone, rest: true}
caps: {concurrent: 4}
POLICY
quietly() { "$fairway" "$@" >"$work/said" 2>&1 || die "fairway $1: $(cat "$work/said")"; }
quietly rollout apply "$work/policy.yaml" --yes
quietly hold --fleet --reason 'labels first'
hold=$(api /api/v1/holds 'a["items"][0]["id"]')
enrolled() { [[ $(api '/api/v1/clusters?limit=100' 'len(a["items"])') == "$clusters" ]]; }
until_true 'all clusters enrol' enrolled
# The second one lags until the demo repairs it: it is no canary.
rings=(- canary prod canary canary early early early prod prod prod prod prod)
regions=(north south east)
for ((number = 1; number <= clusters; number++)); do
    quietly clusters label "$(printf 'cluster-%02d' "$number")" "ring=${rings[number]}" \
        "region=${regions[number % 3]}"
done
until_true 'the vendor releases' grep -q '^released' "$work/log"
quietly resume "$hold" --acknowledge 'labelled'
is_on_the_way() {
    id=$(api /api/v1/rollouts 'next(r["id"] for r in a["items"] if r["release"]=="4.3.0" or r["release"]=="4.3.1")') &&
        [[ $(api "/api/v1/rollouts/$id" 'sum(r["succeeded"] for r in a["rings"])') -ge $through ]]
}
until_true 'the release is in its middle' is_on_the_way

# Pictures of everything are an admin's, who sees the audit log and every form.
base=$hub
[[ -z $all ]] || base=http://admin:$(tr -d '\n' <"$FAIRWAY_TOKEN_FILE")@${hub#http://}

# orders NAME PATH SCREEN FILE: what the browser is told for one picture.
orders() {
    local path=$2 width=1280 height=860 scheme=light whole=false
    [[ $3 != *phone* ]] || { width=360 height=740; }
    [[ $3 != *dark* ]] || scheme=dark
    [[ -z $all ]] || whole=true
    printf '{"do":"open","width":%d,"height":%d,"scheme":"%s","script":true}\n' "$width" "$height" "$scheme"
    printf '{"do":"goto","url":"%s%s"}\n' "$base" "$path"
    printf '{"do":"screenshot","file":"%s","whole":%s}\n' "$4" "$whole"
}

declare -A pages=(
    [fleet]=/ [rollouts]=/rollouts [rollout]=/rollouts/$id [cluster]=/clusters/cluster-02
    [channels]=/channels [channel]=/channels/acme/kafka/stable-4/amd64
    [sites]=/sites [trust]=/trust [audit]=/audit
)
if [[ -n $all ]]; then
    mkdir -p "$all"
    for page in "${!pages[@]}"; do
        for screen in light dark phone phone-dark; do
            orders "$page" "${pages[$page]}" "$screen" "$(cd "$all" && pwd)/$page-$screen.png"
        done
    done >"$work/orders"
else
    mkdir -p "$root/docs/img"
    {
        orders fleet / light "$root/docs/dashboard.png"
        orders fleet / dark "$root/docs/img/fleet-dark.png"
        orders fleet / phone "$root/docs/img/fleet-phone.png"
        for page in rollout cluster channel; do
            orders "$page" "${pages[$page]}" light "$root/docs/img/$page.png"
        done
    } >"$work/orders"
fi
node "$root/tests/peers/browser.mjs" "$peer" <"$work/orders" >"$work/answers"
if grep '"error"' "$work/answers" >&2; then die 'chromium could not make a picture'; fi
if [[ -z $all ]]; then
    heavy=$(find "$root/docs/dashboard.png" "$root/docs/img" -name '*.png' -size "+${picture_max}c")
    [[ -z $heavy ]] || die "larger than $picture_max bytes: $heavy"
fi
grep -c screenshot "$work/orders" | sed 's/$/ pictures/'
