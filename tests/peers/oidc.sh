#!/usr/bin/env bash
# Starts npm's oidc-provider on a free loopback port, prints its issuer once it listens, and stops
# it when standard input ends or a signal comes.
#
#   tests/peers/oidc.sh CLIENT_ID CLIENT_SECRET REDIRECT_URI
#
# The caller holds standard input open for as long as it wants the provider: a caller that dies
# leaves nothing running.
set -euo pipefail

if [[ $# -ne 3 ]]; then
    echo "usage: ${0##*/} CLIENT_ID CLIENT_SECRET REDIRECT_URI" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peer=$("$here/install.sh" oidc)
# It ends with its standard input, which is ours.
exec node "$here/oidc_provider.mjs" "$peer" "$@" 2>/dev/null
