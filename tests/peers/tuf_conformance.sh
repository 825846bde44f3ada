#!/usr/bin/env bash
# Runs the public TUF client conformance suite against our client. The suite is no part of this
# repository: it is a checkout of github.com/theupdateframework/tuf-conformance.
#
#   tests/peers/tuf_conformance.sh SUITE_DIR [PYTEST_ARGUMENT…]
#
# There is no list of expected failures: every test must pass.
set -euo pipefail

if [[ $# -lt 1 || ! -f $1/tuf_conformance/conftest.py ]]; then
    echo "usage: ${0##*/} SUITE_DIR [PYTEST_ARGUMENT…]   (a checkout of tuf-conformance)" >&2
    exit 2
fi
suite=$(cd "$1" && pwd)
readonly suite
shift
here=$(cd "$(dirname "$0")" && pwd)
readonly here
if ! command -v faketime >/dev/null; then
    echo "${0##*/}: faketime is not installed (Debian package faketime)" >&2
    exit 2
fi

python=$("$here/install.sh" python)
readonly python
cd "$here/../.."
# The path of the program, from cargo's own words: a debug build, linked dynamically, because
# faketime works through the dynamic linker.
client=$(cargo build --quiet -p signing --features http --example tuf_client \
    --message-format json-render-diagnostics |
    "$python" -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "tuf_client":
        print(message["executable"])')
readonly client

cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
PYTHONPATH=$suite PYTHONDONTWRITEBYTECODE=1 "$python" -m pytest -q -p no:cacheprovider \
    "$suite/tuf_conformance" --entrypoint "$client" "$@"
