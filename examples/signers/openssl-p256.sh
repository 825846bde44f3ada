#!/bin/sh
# An external signer for fairway: signs with an ECDSA P-256 key file through openssl. It stands for
# the command line of a key service (KMS), a token or a smart card: keep the parsing and the answers,
# replace the two openssl commands.
#
#   openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out /secure/root-1.key
#   printf 'command = ["/usr/local/bin/openssl-p256.sh", "/secure/root-1.key"]\n' >keys/root-1.signer
#   chmod 400 keys/root-1.signer
#   fairway key public keys/root-1.signer       # writes keys/root-1.pub
#
# One JSON document comes on standard input, one answer goes to standard output:
#   {"version":1,"operation":"public"}                 {"public_key":"-----BEGIN PUBLIC KEY-----\n…"}
#   {"version":1,"operation":"sign","key_id":"…",
#    "scheme":"ecdsa-sha2-nistp256","message":"…"}     {"signature":"…"}
#   whatever cannot be done                            {"error":"…"}
# The document is one line without spaces, and no value has escapes, so sed can read it.
set -eu

fail() {
    printf '{"error":"%s"}\n' "$1"
    exit 1
}

[ $# -eq 1 ] || fail 'usage: openssl-p256.sh KEY'
key=$1
[ -r "$key" ] || fail 'the key file cannot be read'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/request"

field() { # field NAME: a string of the request
    sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/request"
}

grep -q '"version":1[,}]' "$work/request" || fail 'only version 1 is understood'

case $(field operation) in
public)
    openssl pkey -in "$key" -pubout -out "$work/public" || fail 'openssl cannot read the key'
    # Line ends become \n, as JSON wants them.
    printf '{"public_key":"%s"}\n' "$(sed 's/$/\\n/' "$work/public" | tr -d '\n')"
    ;;
sign)
    [ "$(field scheme)" = ecdsa-sha2-nistp256 ] || fail 'this key signs ecdsa-sha2-nistp256 only'
    field message | openssl base64 -d -A >"$work/message" || fail 'the message is not base64'
    # SHA-256 over the message, signature in DER: what TUF carries.
    openssl dgst -sha256 -sign "$key" -out "$work/signature" "$work/message" ||
        fail 'openssl cannot sign with the key'
    printf '{"signature":"%s"}\n' "$(openssl base64 -A -in "$work/signature")"
    ;;
*) fail 'unknown operation' ;;
esac
