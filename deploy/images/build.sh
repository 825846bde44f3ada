#!/usr/bin/env bash
# Makes container images of Fairway's programs without a container engine: OCI image layouts of two
# layers, what a program needs of a system (C library, CA certificates, a user) and the program.
#
#   deploy/images/build.sh --out DIR --binaries DIR [--version V] [--revision R] [--ca FILE] [PROGRAM…]
#
#   --out       a folder for each image is made in it; one that is there is replaced
#   --binaries  where the programs lie, for Linux and one processor; libraries that they are linked
#               with are taken from this machine, so build them on the system that you run this on
#   --version   the tag [default: what the program says of itself]
#   --revision  what it was built from, for a label
#   --ca        CA certificates in PEM [default: /etc/ssl/certs/ca-certificates.crt]
#   PROGRAM     update-server, cluster-agent, offline-mirror, fairway [default: those that are there]
#
# Prints for each image: folder:tag, a tab, the digest of its manifest. The same input gives the same
# digest: files are dated SOURCE_DATE_EPOCH [default: 0] and belong to root, in one order.
set -euo pipefail
export LC_ALL=C
umask 022

readonly known_programs=(update-server cluster-agent offline-mirror fairway)
# Nobody in particular, and what deploy/kubernetes runs them as.
readonly user=65532

die() {
    echo "${0##*/}: $*" >&2
    exit 2
}

out="" binaries="" version="" revision="" ca=/etc/ssl/certs/ca-certificates.crt
programs=()
while [[ $# -gt 0 ]]; do
    case $1 in
    --out | --binaries | --version | --revision | --ca)
        [[ $# -ge 2 ]] || die "$1 needs a value"
        printf -v "${1#--}" '%s' "$2"
        shift 2
        ;;
    -*) die "no option $1" ;;
    *)
        [[ " ${known_programs[*]} " == *" $1 "* ]] || die "no program $1"
        programs+=("$1")
        shift
        ;;
    esac
done
[[ -n $out && -n $binaries ]] || die "--out and --binaries are needed"
[[ -r $ca ]] || die "$ca cannot be read: --ca names another file"
if [[ ${#programs[@]} -eq 0 ]]; then
    for program in "${known_programs[@]}"; do
        [[ -x $binaries/$program ]] && programs+=("$program")
    done
fi
[[ ${#programs[@]} -gt 0 ]] || die "none of ${known_programs[*]} is in $binaries"
# Both stand in JSON without quoting.
[[ $version =~ ^[A-Za-z0-9._-]*$ ]] || die "$version is no tag"
[[ $revision =~ ^[A-Za-z0-9._-]*$ ]] || die "$revision is no revision"
readonly epoch="${SOURCE_DATE_EPOCH:-0}"
[[ $epoch =~ ^[0-9]+$ ]] || die "SOURCE_DATE_EPOCH is no number of seconds"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the processor is called in images, by the program's own header.
architecture() {
    case $(od -An -tx1 -j18 -N2 "$1" | tr -d ' ') in
    3e00) echo amd64 ;;
    b700) echo arm64 ;;
    *) die "$1 is for a processor that is not known here" ;;
    esac
}

# Libraries and the loader, by the paths that the loader looks at; none for a static program.
libraries() {
    ldd "$1" 2>/dev/null | grep -o '/[^ ]*' || true
}

# base PROGRAM FOLDER: everything but the program.
base() {
    local library root=$2
    mkdir -p "$root/etc/ssl/certs" "$root/tmp" "$root/usr/local/bin"
    chmod 1777 "$root/tmp"
    install -m 0644 "$ca" "$root/etc/ssl/certs/ca-certificates.crt"
    printf 'root:x:0:0:root:/:/sbin/nologin\nfairway:x:%s:%s:fairway:/:/sbin/nologin\n' \
        "$user" "$user" >"$root/etc/passwd"
    printf 'root:x:0:\nfairway:x:%s:\n' "$user" >"$root/etc/group"
    printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
    while read -r library; do
        mkdir -p "$root${library%/*}"
        install -m 0755 "$library" "$root$library"
    done < <(libraries "$1")
}

# blob FILE: moves it to its place in the layout; sets digest and size.
blob() {
    digest=$(sha256sum "$1")
    digest=${digest%% *}
    size=$(stat -c %s "$1")
    mv "$1" "$layout/blobs/sha256/$digest"
}

# layer FOLDER: a compressed archive that depends on nothing but the folder's content; sets plain as
# well, the digest of what is compressed.
layer() {
    tar --create --directory "$1" --sort=name --format=ustar --mtime="@$epoch" \
        --owner=0 --group=0 --numeric-owner --file "$work/layer.tar" .
    plain=$(sha256sum "$work/layer.tar")
    plain=${plain%% *}
    gzip --no-name <"$work/layer.tar" >"$work/layer.tar.gz"
    rm "$work/layer.tar"
    blob "$work/layer.tar.gz"
}

image() {
    local program=$1 binary="$binaries/$1" tag=$version created
    [[ -x $binary ]] || die "$binary is not there"
    if [[ -z $tag ]]; then
        tag=$("$binary" --version)
        tag=${tag##* }
        [[ $tag =~ ^[A-Za-z0-9._-]+$ ]] || die "$program does not say its version"
    fi
    created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
    layout="$out/$program"
    rm -rf "$layout" "$work/base" "$work/program"
    mkdir -p "$layout/blobs/sha256" "$work/program/usr/local/bin"
    base "$binary" "$work/base"
    layer "$work/base"
    local base_digest=$digest base_size=$size base_plain=$plain
    install -m 0755 "$binary" "$work/program/usr/local/bin/$program"
    layer "$work/program"
    local program_digest=$digest program_size=$size program_plain=$plain

    local labels="\"org.opencontainers.image.title\":\"$program\""
    labels+=",\"org.opencontainers.image.version\":\"$tag\""
    labels+=",\"org.opencontainers.image.licenses\":\"Apache-2.0\""
    [[ -z $revision ]] || labels+=",\"org.opencontainers.image.revision\":\"$revision\""
    printf '{"created":"%s","architecture":"%s","os":"linux","config":{"User":"%s:%s","WorkingDir":"/","Env":["PATH=/usr/local/bin","SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],"Entrypoint":["/usr/local/bin/%s"],"Labels":{%s}},"rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]},"history":[{"created":"%s","created_by":"deploy/images/build.sh: base"},{"created":"%s","created_by":"deploy/images/build.sh: %s"}]}' \
        "$created" "$(architecture "$binary")" "$user" "$user" "$program" "$labels" \
        "$base_plain" "$program_plain" "$created" "$created" "$program" >"$work/config"
    blob "$work/config"
    local gzipped=application/vnd.oci.image.layer.v1.tar+gzip
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"%s","digest":"sha256:%s","size":%s},{"mediaType":"%s","digest":"sha256:%s","size":%s}],"annotations":{%s}}' \
        "$digest" "$size" "$gzipped" "$base_digest" "$base_size" \
        "$gzipped" "$program_digest" "$program_size" "$labels" >"$work/manifest"
    blob "$work/manifest"
    printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
        "$digest" "$size" "$tag" >"$layout/index.json"
    printf '%s:%s\tsha256:%s\n' "$layout" "$tag" "$digest"
}

mkdir -p "$out"
for program in "${programs[@]}"; do
    image "$program"
done
