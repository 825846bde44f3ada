#!/usr/bin/env bash
# Starts a Kubernetes control plane on free loopback ports with everything of it in a directory:
# etcd, kube-apiserver (RBAC, Node authorizer), kube-controller-manager and kube-scheduler, all real.
# Prints a line of JSON once the cluster takes work, and stops everything when standard input ends or
# a signal comes. Nodes are separate: hollow_node.sh.
#
#   tests/peers/kubernetes.sh DIR [ETCD_MEMBERS]
#
# ETCD_MEMBERS is 1 unless given. The caller holds standard input open for as long as it wants the
# cluster: a caller that dies leaves nothing running.
set -euo pipefail

if [[ $# -lt 1 || $# -gt 2 || ! ${2:-1} =~ ^[135]$ ]]; then
    echo "usage: ${0##*/} DIR [1|3|5]" >&2
    exit 2
fi
bin=$("$(dirname "$0")/install.sh" kubernetes)
readonly bin
for needed in etcd curl setpriv; do
    if ! command -v "$needed" >/dev/null; then
        echo "${0##*/}: $needed is not installed" >&2
        exit 2
    fi
done
mkdir -p "$1"
dir=$(cd "$1" && pwd)
readonly dir
readonly members=${2:-1}
# Tenths of a second for the whole to take work, and for it to end by itself.
readonly start_tries=900
readonly stop_tries=50
# How often ports that someone else took first are replaced by others.
readonly port_tries=5

declare -A processes=()
stop() {
    local name tries
    for name in "${!processes[@]}"; do
        kill "${processes[$name]}" 2>/dev/null || true
        # One that a test has stopped cannot end before it goes on.
        kill -CONT "${processes[$name]}" 2>/dev/null || true
    done
    for ((tries = 0; tries < stop_tries; tries++)); do
        running || break
        sleep 0.1
    done
    for name in "${!processes[@]}"; do
        kill -KILL "${processes[$name]}" 2>/dev/null || true
        wait "${processes[$name]}" 2>/dev/null || true
    done
    processes=()
}
trap stop EXIT
trap 'exit 143' TERM INT HUP

# Whether any of the processes is left.
running() {
    local name
    for name in "${!processes[@]}"; do
        if kill -0 "${processes[$name]}" 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

# Whether all of them are.
whole() {
    local name
    for name in "${!processes[@]}"; do
        kill -0 "${processes[$name]}" 2>/dev/null || return 1
    done
}

# launch NAME COMMAND…: in the background, with its own log; it ends with this script.
launch() {
    local name=$1
    shift
    # Standard input and output are the caller's; a server must not hold them.
    setpriv --pdeathsig KILL nice -n 5 "$@" </dev/null >"$dir/$name.log" 2>&1 &
    processes[$name]=$!
}

# await NAME COMMAND…: until the command succeeds; fails once a process has ended or time is up.
await() {
    local name=$1 tries
    shift
    for ((tries = 0; tries < start_tries; tries++)); do
        if "$@" >/dev/null 2>&1; then
            return 0
        fi
        whole || return 1
        sleep 0.1
    done
    echo "${0##*/}: $name did not answer" >&2
    return 1
}

as_admin() {
    curl --silent --fail --max-time 5 --cacert "$dir/pki/ca.crt" --cert "$dir/pki/admin.crt" \
        --key "$dir/pki/admin.key" "https://127.0.0.1:$api$1"
}

# A port that nobody listens at, and that this script has not given away.
declare -A given=()
free_port() {
    while :; do
        port=$((20000 + RANDOM % 12000))
        if [[ -z ${given[$port]:-} ]] && ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            given[$port]=1
            return
        fi
    done
}

start_etcd() {
    local cluster="" i
    clients="" metrics=()
    local -a peer=() client=()
    for ((i = 1; i <= members; i++)); do
        free_port && peer[i]=$port
        free_port && client[i]=$port
        free_port && metrics[i]="http://127.0.0.1:$port"
        cluster+="${cluster:+,}etcd$i=http://127.0.0.1:${peer[i]}"
        clients+="${clients:+,}http://127.0.0.1:${client[i]}"
    done
    for ((i = 1; i <= members; i++)); do
        launch "etcd$i" etcd --name "etcd$i" --data-dir "$dir/etcd$i" --logger zap \
            --listen-client-urls "http://127.0.0.1:${client[i]}" \
            --advertise-client-urls "http://127.0.0.1:${client[i]}" \
            --listen-peer-urls "http://127.0.0.1:${peer[i]}" \
            --initial-advertise-peer-urls "http://127.0.0.1:${peer[i]}" \
            --listen-metrics-urls "${metrics[i]}" \
            --initial-cluster "$cluster" --initial-cluster-state new
    done
    for ((i = 1; i <= members; i++)); do
        await "etcd$i" curl --silent --fail --max-time 5 "${metrics[i]}/health" || return 1
    done
}

start_api() {
    free_port && api=$port
    "$bin/hollow-node" pki "$dir" "https://127.0.0.1:$api" || return 1
    launch kube-apiserver "$bin/kube-apiserver" \
        --etcd-servers "$clients" \
        --bind-address 127.0.0.1 --secure-port "$api" --advertise-address 127.0.0.1 \
        --endpoint-reconciler-type none --service-cluster-ip-range 10.96.0.0/16 \
        --tls-cert-file "$dir/pki/apiserver.crt" --tls-private-key-file "$dir/pki/apiserver.key" \
        --client-ca-file "$dir/pki/ca.crt" \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
        --allow-privileged \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$dir/pki/sa.key" \
        --service-account-signing-key-file "$dir/pki/sa.key" \
        --kubelet-preferred-address-types InternalIP \
        --kubelet-certificate-authority "$dir/pki/ca.crt" \
        --kubelet-client-certificate "$dir/pki/apiserver-kubelet.crt" \
        --kubelet-client-key "$dir/pki/apiserver-kubelet.key"
    await kube-apiserver as_admin /readyz
}

start_controllers() {
    local manager scheduler
    free_port && manager=$port
    free_port && scheduler=$port
    # Nodes count as gone after 12 s without a heartbeat (50 in a real cluster), and a pod stays on
    # one for the usual 300 s unless it tolerates less.
    launch kube-controller-manager "$bin/kube-controller-manager" \
        --kubeconfig "$dir/manager.kubeconfig" --bind-address 127.0.0.1 --secure-port "$manager" \
        --service-account-private-key-file "$dir/pki/sa.key" --root-ca-file "$dir/pki/ca.crt" \
        --cluster-signing-cert-file "$dir/pki/ca.crt" --cluster-signing-key-file "$dir/pki/ca.key" \
        --use-service-account-credentials --leader-elect=false \
        --node-monitor-period 1s --node-monitor-grace-period 12s
    launch kube-scheduler "$bin/kube-scheduler" \
        --kubeconfig "$dir/scheduler.kubeconfig" --bind-address 127.0.0.1 \
        --secure-port "$scheduler" --leader-elect=false
    await kube-controller-manager curl --silent --fail --insecure "https://127.0.0.1:$manager/healthz" &&
        await kube-scheduler curl --silent --fail --insecure "https://127.0.0.1:$scheduler/healthz" &&
        await 'the default service account' \
            as_admin /api/v1/namespaces/default/serviceaccounts/default
}

# quoted WORD…: as a JSON array of strings.
quoted() {
    local each list=""
    for each in "$@"; do
        list+="${list:+,}\"$each\""
    done
    printf '[%s]' "$list"
}

report() {
    local name list=""
    for name in "${!processes[@]}"; do
        list+="${list:+,}\"$name\":${processes[$name]}"
    done
    printf '{"api":"https://127.0.0.1:%s","kubeconfig":"%s","ca":"%s","etcd_metrics":%s,"bin":"%s","processes":{%s}}\n' \
        "$api" "$dir/admin.kubeconfig" "$dir/pki/ca.crt" "$(quoted "${metrics[@]}")" "$bin" "$list"
}

for ((try = 0; try < port_tries; try++)); do
    if start_etcd && start_api && start_controllers; then
        report
        # Ends when the caller does, or when it closes our standard input.
        cat >/dev/null
        exit 0
    fi
    stop
    rm -rf "$dir"/etcd[0-9]
done
echo "${0##*/}: the cluster did not start; the ends of its logs:" >&2
tail -n 5 "$dir"/*.log >&2
exit 1
