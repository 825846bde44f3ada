//! Media types by which a manifest says what it is.

/// Images and artifacts with a config and layers: OCI first, the default.
pub const MANIFEST_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Indexes over manifests: OCI first, the default.
pub const INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// Layers that a registry need not hold (OCI image spec, "non-distributable layers"; Docker's
/// foreign layers).
pub(super) fn may_be_elsewhere(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
}
