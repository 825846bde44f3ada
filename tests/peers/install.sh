#!/usr/bin/env bash
# Installs something independent to test against below the home directory, unless it is there
# already, and prints what starts it.
#
#   tests/peers/install.sh python      python-tuf; prints the interpreter that can import it
#   tests/peers/install.sh schemathesis  schemathesis; prints its program
#   tests/peers/install.sh node        tuf-js; prints the folder whose node_modules has it
#   tests/peers/install.sh oidc        an OpenID provider; prints the folder whose node_modules has it
#   tests/peers/install.sh browser     playwright-core and axe-core for Debian's chromium; prints the
#                                      folder whose node_modules has them
#   tests/peers/install.sh kafka       two Kafka versions, the JMX exporter and the traffic program;
#                                      prints the folder with libs-<version>/ and exporter.jar
#   tests/peers/install.sh kubernetes  a control plane and a hollow node; prints the folder with them
#   tests/peers/install.sh postgres    nothing: prints where Debian's package has its programs, or
#                                      says how to install it
#
# Versions are pinned: a peer that changes under a test says nothing about us. Nothing of a peer
# is ever committed. Fails with a reason when packages cannot be had.
set -euo pipefail

readonly cache="${FAIRWAY_PEERS_CACHE:-$HOME/.cache/fairway-ci/peers}"
# The pins that tuf-conformance itself asks for, so that one environment serves both.
readonly python_packages=(
    'tuf==7.0.0'
    'securesystemslib[crypto]==1.4.0'
    'pytest==9.1.1'
    'pytest-json-report==1.5.0'
)
readonly schemathesis_package='schemathesis==4.32.5'
# The newest release that still runs on Node 20; 6.x needs Node 22.22.
readonly node_package='tuf-js@5.0.1'
readonly oidc_package='oidc-provider@9.13.3'
# The driver without a browser of its own, and the rules of accessibility. puppeteer-core needs Node 22.
readonly browser_packages=('playwright-core@1.65.1' 'axe-core@4.14.1')
# The last release that upgrades from every KRaft version, and the newest one.
readonly kafka_versions=(3.9.1 4.3.1)
# The newest exporter that the Maven repository has.
readonly kafka_exporter='io.prometheus.jmx:jmx_prometheus_javaagent:1.0.1'
readonly maven_dependency='org.apache.maven.plugins:maven-dependency-plugin:3.8.1'
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# What builds Kubernetes; its release is in go.mod.
readonly kubernetes_source="$here/kubernetes"
# Longest wait for another process that installs the same, in seconds: Kubernetes is built, which
# takes five minutes on two idle cores.
readonly lock_wait=1800

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# once NAME WANTED COMMAND…: runs the command in a fresh folder unless the folder has the stamp.
once() {
    local name=$1 wanted=$2 folder="$cache/$1"
    shift 2
    mkdir -p "$cache"
    exec 9>"$cache/$name.lock"
    flock --wait "$lock_wait" 9 || die "another process has been installing $name for too long"
    if [[ $(cat "$folder/.installed" 2>/dev/null || true) != "$wanted" ]]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        "$@" "$folder" >&2 || die "$name could not be installed"
        printf '%s\n' "$wanted" >"$folder/.installed"
    fi
    exec 9>&-
}

python_into() {
    python3 -m venv "$1" || return 1
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check "${python_packages[@]}"
}

schemathesis_into() {
    python3 -m venv "$1" || return 1
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check "$schemathesis_package"
}

node_into() {
    npm install --prefix "$1" --no-audit --no-fund --ignore-scripts --silent "$node_package"
}

oidc_into() {
    npm install --prefix "$1" --no-audit --no-fund --ignore-scripts --silent "$oidc_package"
}

browser_into() {
    npm install --prefix "$1" --no-audit --no-fund --ignore-scripts --silent "${browser_packages[@]}"
}

# Maven's own cache goes with the folder: it would be as large again as what is used.
maven() {
    mvn --quiet --batch-mode -Dstyle.color=never -Dmaven.repo.local="$1/maven" "${@:2}"
}

kafka_into() {
    local version
    for version in "${kafka_versions[@]}"; do
        maven "$1" -f "$here/kafka/kafka-$version.xml" "$maven_dependency:copy-dependencies" \
            -DincludeScope=runtime -DoutputDirectory="$1/libs-$version" || return 1
    done
    maven "$1" "$maven_dependency:copy" -Dartifact="$kafka_exporter" \
        -DoutputDirectory="$1" -Dmdep.stripVersion=true || return 1
    mv "$1/jmx_prometheus_javaagent.jar" "$1/exporter.jar" || return 1
    rm -rf "$1/maven"
}

# The oldest version's clients: an application is upgraded after its brokers.
traffic_into() {
    javac -d "$1" -cp "$cache/kafka/libs-${kafka_versions[0]}/*" "$here/kafka/Traffic.java"
}

# Which Kubernetes go.mod asks for, such as v1.33.13.
kubernetes_version() {
    sed -n 's/^.*[[:space:]]k8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' "$kubernetes_source/go.mod"
}

kubernetes_into() {
    local version into=$1
    version=$(kubernetes_version)
    # Without -trimpath every package would have to be built again for each checkout.
    CGO_ENABLED=0 nice -n 5 go build -C "$kubernetes_source" -p 2 -trimpath \
        -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$into/" \
        k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager \
        k8s.io/kubernetes/cmd/kube-scheduler k8s.io/kubernetes/cmd/kubectl || return 1
    CGO_ENABLED=0 nice -n 5 go build -C "$kubernetes_source" -p 2 -trimpath \
        -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" \
        -o "$into/hollow-node" .
}

case "${1:-}" in
python)
    command -v python3 >/dev/null || die 'python3 is not installed'
    once python "${python_packages[*]}" python_into
    echo "$cache/python/bin/python"
    ;;
schemathesis)
    command -v python3 >/dev/null || die 'python3 is not installed'
    once schemathesis "$schemathesis_package" schemathesis_into
    echo "$cache/schemathesis/bin/schemathesis"
    ;;
node)
    command -v node >/dev/null || die 'node is not installed'
    command -v npm >/dev/null || die 'npm is not installed'
    once node "$node_package" node_into
    echo "$cache/node"
    ;;
oidc)
    command -v node >/dev/null || die 'node is not installed'
    command -v npm >/dev/null || die 'npm is not installed'
    once oidc "$oidc_package" oidc_into
    echo "$cache/oidc"
    ;;
browser)
    command -v node >/dev/null || die 'node is not installed'
    command -v npm >/dev/null || die 'npm is not installed'
    command -v chromium >/dev/null || die 'chromium is not installed: apt-get install chromium'
    once browser "${browser_packages[*]}" browser_into
    echo "$cache/browser"
    ;;
kafka)
    command -v mvn >/dev/null || die 'mvn is not installed'
    command -v javac >/dev/null || die 'javac is not installed (a Java 17 development kit)'
    once kafka "${kafka_versions[*]} $kafka_exporter" kafka_into
    once kafka-traffic "$(cksum <"$here/kafka/Traffic.java")" traffic_into
    echo "$cache/kafka"
    ;;
kubernetes)
    command -v go >/dev/null || die 'go is not installed'
    sources=$(cat "$kubernetes_source"/go.* "$kubernetes_source"/*.go "$kubernetes_source"/*/*.go | sha256sum)
    once kubernetes "${sources%% *}" kubernetes_into
    echo "$cache/kubernetes"
    ;;
postgres)
    found=""
    for candidate in /usr/lib/postgresql/*/bin; do
        [[ -x $candidate/initdb ]] && found=$candidate
    done
    [[ -n $found ]] || die 'PostgreSQL is not installed: apt-get install postgresql'
    echo "$found"
    ;;
*)
    echo "usage: ${0##*/} python|schemathesis|node|oidc|browser|kafka|kubernetes|postgres" >&2
    exit 2
    ;;
esac
