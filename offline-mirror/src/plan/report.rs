//! A plan, for people and programs. Pure.

use std::fmt;

use channels::names::SiteName;
use serde::Serialize;

use super::prepare::Prepared;
use super::request::Request;
use crate::bundle::{Base, BundleName, CarriedRelease, ImageRole, Missing, Segment};
use crate::oci::{Digest, Host, Repository, Tag};

/// What a bundle would carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[must_use = "an unread plan is not reviewed"]
pub struct Report {
    /// Form of this document.
    pub format: u32,
    /// Name of the bundle.
    pub name: BundleName,
    /// Sites it is for; empty = any.
    pub sites: Vec<SiteName>,
    /// What it is computed against; empty for a full bundle.
    pub bases: Vec<Base>,
    /// Whether everything that is asked for can be carried.
    pub complete: bool,
    /// What cannot.
    pub missing: Vec<Missing>,
    /// Releases.
    pub releases: Vec<CarriedRelease>,
    /// Images, and what is about them.
    pub images: Vec<ReportedImage>,
    /// Manifests that are carried.
    pub manifests: u64,
    /// Blobs that are carried.
    pub blobs: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Manifests and blobs that are left out because all addressed sites have them.
    pub left_out: u64,
    /// Bytes of those.
    pub left_out_bytes: u64,
    /// The segment files.
    pub segments: Vec<ReportedSegment>,
    /// Requests that planning has sent to registries.
    pub requests_sent: u64,
    /// Requests that fetching the blobs will send, as long as nothing breaks off.
    pub requests_to_come: u64,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// An image in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportedImage {
    /// Registry.
    pub source: Host,
    /// Repository.
    pub repository: Repository,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Tags it gets at the site.
    pub tags: Vec<Tag>,
    /// Why it is carried.
    pub role: ImageRole,
    /// Manifests of it, its own and those below.
    pub manifests: u64,
    /// Blobs of it.
    pub blobs: u64,
    /// Bytes of both, wherever they are shared with others.
    pub bytes: u64,
}

/// A segment file in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportedSegment {
    /// File name.
    pub file: String,
    /// Length in bytes.
    pub bytes: u64,
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Report {
    /// The form written by this version.
    pub const FORMAT: u32 = 1;

    pub(super) fn new(
        request: &Request,
        prepared: &Prepared,
        segments: &[Segment],
        requests_sent: u64,
    ) -> Self {
        let contents = &prepared.contents;
        let image = |gathered: &super::contents::Gathered| {
            let (image, tree) = (&gathered.image, &gathered.tree);
            let manifests = tree.manifests().iter().map(|node| count(node.bytes.len()));
            let blobs = tree.blobs().map(|blob| blob.size);
            ReportedImage {
                source: image.source.clone(),
                repository: image.repository.clone(),
                digest: image.digest,
                tags: image.tags.clone(),
                role: image.role.clone(),
                manifests: count(tree.manifests().len()),
                blobs: count(tree.blobs().count()),
                bytes: manifests.chain(blobs).sum(),
            }
        };
        Self {
            format: Self::FORMAT,
            name: request.name.clone(),
            sites: prepared.sites.clone(),
            bases: prepared.bases.clone(),
            complete: prepared.missing.is_empty(),
            missing: prepared.missing.clone(),
            releases: prepared.hub.releases.clone(),
            images: prepared.images.iter().map(image).collect(),
            manifests: count(contents.manifests.len()),
            blobs: count(contents.blobs.len()),
            bytes: contents.bytes(),
            left_out: count(contents.required.len()),
            left_out_bytes: contents.required.values().map(|required| required.size).sum(),
            segments: segments
                .iter()
                .map(|segment| ReportedSegment { file: segment.file.clone(), bytes: segment.size })
                .collect(),
            requests_sent,
            requests_to_come: count(contents.blobs.len()),
            warnings: prepared.warnings.clone(),
        }
    }
}

/// Bytes as people read them, in powers of 1000.
pub(crate) fn readable(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // Tenths, so that no number is rounded to nothing; the largest unit takes all that is left.
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit + 1 < units.len() {
        (tenths, unit) = (tenths / 1000, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units.get(unit).copied().unwrap_or("TB"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, sites, bases, missing, releases, images, segments, warnings, .. } = self;
        let list = |sites: &[SiteName]| {
            let names: Vec<_> = sites.iter().map(SiteName::as_str).collect();
            if names.is_empty() { "any site of the view".to_owned() } else { names.join(", ") }
        };
        writeln!(f, "bundle {name} for {}", list(sites))?;
        for base in bases {
            match &base.site {
                Some(site) => writeln!(f, "  on top of what {site} has after {}", base.sequence)?,
                None => writeln!(f, "  assuming that bundle {} arrived", base.sequence)?,
            }
        }
        for CarriedRelease { product, version, arches } in releases {
            let arches: Vec<_> = arches.iter().map(channels::names::Arch::as_str).collect();
            writeln!(f, "release {product} {version} ({})", arches.join(", "))?;
        }
        for image in images {
            let ReportedImage { source, repository, digest, tags, role, bytes, .. } = image;
            let tags: Vec<_> = tags.iter().map(Tag::as_str).collect();
            let tags = if tags.is_empty() { String::new() } else { format!(":{}", tags.join(":")) };
            let kind = match role {
                ImageRole::Release => "image",
                ImageRole::Extra => "extra image",
                ImageRole::Referrer { .. } => "  about it",
            };
            writeln!(f, "{kind} {source}/{repository}{tags}@{digest} {}", readable(*bytes))?;
        }
        writeln!(
            f,
            "to carry {}: {} manifests and {} blobs in {} segments",
            readable(self.bytes),
            self.manifests,
            self.blobs,
            segments.len()
        )?;
        for ReportedSegment { file, bytes } in segments {
            writeln!(f, "  {file} {}", readable(*bytes))?;
        }
        if self.left_out > 0 {
            let bytes = readable(self.left_out_bytes);
            writeln!(f, "left out {bytes}: {} that are at the site already", self.left_out)?;
        }
        writeln!(f, "requests {} sent, {} to come", self.requests_sent, self.requests_to_come)?;
        for Missing { what, why } in missing {
            writeln!(f, "MISSING {what}: {why}")?;
        }
        for warning in warnings {
            writeln!(f, "WARNING {warning}")?;
        }
        write!(f, "{}", if self.complete { "complete" } else { "NOT COMPLETE" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (4_294_901_760, "4.2 GB"),
            (u64::MAX, "18446744.0 TB"),
        ] {
            assert_eq!(readable(bytes), text);
        }
    }
}
