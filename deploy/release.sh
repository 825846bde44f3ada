#!/usr/bin/env bash
# Makes everything of a release in one folder: programs, an archive, container images, a list of what
# is in them (CycloneDX), checksums.
#
#   deploy/release.sh --out DIR [--binary PATH…] [--sign KEY]
#
#   --out     a folder that is not there yet, or empty
#   --binary  take this program as it is, named like one of ours, in place of building all four
#   --sign    an Ed25519 key (PEM) that signs the checksums; without it nothing is signed
#
# Needs no network once `cargo fetch --locked` has run. Needs jq, tar, gzip; openssl to sign. Files are
# dated SOURCE_DATE_EPOCH [default: the commit's time].
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")/.." && pwd)
readonly here
readonly programs=(fairway update-server cluster-agent offline-mirror)

die() {
    echo "${0##*/}: $*" >&2
    exit 2
}

out="" key="" given=()
while [[ $# -gt 0 ]]; do
    case $1 in
    --out | --sign | --binary)
        [[ $# -ge 2 ]] || die "$1 needs a value"
        case $1 in
        --out) out=$2 ;;
        --sign) key=$2 ;;
        --binary) given+=("$2") ;;
        esac
        shift 2
        ;;
    *) die "no option $1" ;;
    esac
done
[[ -n $out ]] || die "--out is needed"
[[ -z $(ls -A "$out" 2>/dev/null) ]] || die "$out is not empty"
[[ -z $key || -r $key ]] || die "$key cannot be read"
command -v jq >/dev/null || die "jq is not installed"
mkdir -p "$out"
out=$(cd "$out" && pwd)

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$here/Cargo.toml")
[[ -n $version ]] || die "Cargo.toml says no version"
revision=$(git -C "$here" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
platform="$(uname -m)-linux"
name="fairway-$version-$platform"

# The programs, in $out/bin.
mkdir "$out/bin"
if [[ ${#given[@]} -gt 0 ]]; then
    for binary in "${given[@]}"; do
        [[ " ${programs[*]} " == *" ${binary##*/} "* ]] || die "$binary is named like no program"
        install -m 0755 "$binary" "$out/bin/"
    done
else
    (
        cd "$here"
        # Where a program was built must not change it; line numbers are for debuggers, not for users.
        export CARGO_PROFILE_DIST_STRIP=debuginfo CARGO_PROFILE_HUB_STRIP=debuginfo
        # The agent is made small, all others fast: Cargo.toml says why.
        cargo build --profile dist --locked --offline -p cluster-agent
        cargo build --profile hub --locked --offline -p fairway -p update-server -p offline-mirror
        target=$(cargo metadata --no-deps --format-version 1 --offline | jq -r .target_directory)
        for program in "${programs[@]}"; do
            profile=hub
            [[ $program != cluster-agent ]] || profile=dist
            install -m 0755 "$target/$profile/$program" "$out/bin/"
        done
    )
fi

# What is compiled into them.
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
awk -F'"' '
    /^name = / { name = $2 }
    /^version = / { version = $2 }
    /^checksum = / { printf "%s{\"key\":\"%s %s\",\"value\":\"%s\"}", sep, name, version, $2; sep = "," }
' "$here/Cargo.lock" | sed 's/^/[/; s/$/]/' | jq -c from_entries >"$stage/checksums"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo metadata --manifest-path "$here/Cargo.toml" --locked --offline --format-version 1 \
    --filter-platform "$host" |
    jq --arg version "$version" \
        --arg timestamp "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" \
        --slurpfile checksums "$stage/checksums" \
        --argjson programs '["fairway","update-server","cluster-agent","offline-mirror"]' \
        --from-file "$here/deploy/sbom.jq" >"$out/$name.cdx.json"

# Images, and the digests that manifests should name.
"$here/deploy/images/build.sh" --out "$out/images" --binaries "$out/bin" --version "$version" \
    --revision "$revision" | sed "s#^$out/##" >"$out/images.txt"

# One archive with everything that a machine without a registry needs.
mkdir "$stage/$name"
cp -R "$out/bin" "$stage/$name/bin"
cp -R "$here/deploy/systemd" "$here/deploy/monitoring" "$here/deploy/kubernetes" \
    "$here/deploy/agent" "$here/LICENSE" "$here/CHANGELOG.md" "$out/$name.cdx.json" "$stage/$name/"
tar --create --directory "$stage" --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" \
    --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r,go-w "$name" | gzip --no-name >"$out/$name.tar.gz"

(
    cd "$out"
    # Images are named by their digests; everything else by what is in it.
    sha256sum -- bin/* images.txt "$name.cdx.json" "$name.tar.gz" >SHA256SUMS
)
if [[ -n $key ]]; then
    openssl pkeyutl -sign -rawin -inkey "$key" -in "$out/SHA256SUMS" -out "$out/SHA256SUMS.sig"
fi

echo "Fairway $version ($revision) in $out:"
sed 's/^/  /' "$out/SHA256SUMS"
sed 's/^/  /' "$out/images.txt"
jq -r '"  \(.components | length) components in \(input_filename | split("/") | last)"' "$out/$name.cdx.json"
if [[ -n $key ]]; then
    echo "  SHA256SUMS.sig: openssl pkeyutl -verify -rawin -pubin -inkey PUBLIC -in SHA256SUMS -sigfile SHA256SUMS.sig"
else
    echo "  not signed: --sign KEY signs SHA256SUMS"
fi
