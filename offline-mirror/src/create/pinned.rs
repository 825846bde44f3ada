//! What the first run of a bundle decided, kept beside its unfinished segments, so that every later
//! run ends in the same bytes: same releases, same sequence, same moment, same signatures.
//!
//! ```text
//! NAME.work/plan.json        written last; without it nothing was decided
//! NAME.work/content/DIGEST   TUF files and manifests, which are not fetched again
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::error::CreateError;
use crate::belief::read_bounded;
use crate::bundle::{
    BundleManifest, BundleName, CarriedImage, ImageRole, Missing, Planned, PlannedEntry, Required,
    oci_layout_files, work_dir,
};
use crate::disk::write_file;
use crate::oci::Digest;
use crate::plan::{Asked, BlobToCarry, Gathered, Place, listed};

/// Name of the plan in the working state.
pub(super) const PLAN: &str = "plan.json";
/// Longest plan, in bytes: a bundle's manifest with every blob's places, twice over.
const PLAN_BYTES_MAX: u64 = 192 * 1024 * 1024;
/// Largest file that is kept: bundles take no larger ones.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A bundle of which everything is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pinned {
    /// Form of this file.
    pub(super) format: u32,
    /// What was asked for, as [`Asked`] is written.
    pub(super) asked: serde_json::Value,
    /// The manifest of the bundle, without segments and entries.
    pub(super) manifest: BundleManifest,
    /// Path in the bundle of the view's root that names the key of its manifest.
    pub(super) root: String,
    /// TUF files by path in the bundle.
    pub(super) files: BTreeMap<String, Kept>,
    /// Images, in the order of the manifest, with what they need.
    pub(super) images: Vec<PinnedImage>,
    /// Manifests that are carried.
    pub(super) manifests: BTreeMap<Digest, KeptManifest>,
    /// Blobs that are carried.
    pub(super) blobs: BTreeMap<Digest, PinnedBlob>,
    /// What a site that imported it has.
    pub(super) afterwards: Vec<Required>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

/// A small file that is kept beside the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Its digest, by which it is kept.
    pub(super) digest: Digest,
    /// Its length in bytes.
    pub(super) size: u64,
}

/// A manifest that is kept beside the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptManifest {
    /// Its media type.
    pub(super) media_type: String,
    /// Its length in bytes.
    pub(super) size: u64,
}

/// An image with what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinnedImage {
    /// What the manifest says of it.
    pub(super) image: CarriedImage,
    /// Its manifests, itself among them.
    pub(super) manifests: BTreeSet<Digest>,
    /// Its blobs.
    pub(super) blobs: BTreeSet<Digest>,
}

/// A blob that is carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinnedBlob {
    /// Its length in bytes.
    pub(super) size: u64,
    /// Its media type.
    pub(super) media_type: String,
    /// Where it can be read.
    pub(super) places: BTreeSet<Place>,
}

impl From<&BlobToCarry> for PinnedBlob {
    fn from(blob: &BlobToCarry) -> Self {
        let BlobToCarry { size, media_type, places } = blob.clone();
        Self { size, media_type, places }
    }
}

impl From<&Gathered> for PinnedImage {
    fn from(gathered: &Gathered) -> Self {
        let Gathered { image, tree, .. } = gathered;
        Self {
            image: image.clone(),
            manifests: tree.manifests().iter().map(|node| node.digest).collect(),
            blobs: tree.blobs().map(|blob| blob.digest).collect(),
        }
    }
}

impl Pinned {
    /// The form written by this version.
    pub(super) const FORMAT: u32 = 1;

    /// What an earlier run decided, if it came that far.
    pub(super) fn read(dir: &Path, name: &BundleName) -> Result<Option<Self>, CreateError> {
        Self::read_at(&plan_path(dir, name))
    }

    /// The same from a file that was set aside.
    pub(super) fn read_at(path: &Path) -> Result<Option<Self>, CreateError> {
        if !path.exists() {
            return Ok(None);
        }
        let bytes = read_bounded(path, PLAN_BYTES_MAX)?;
        let refuse = |why: String| CreateError::Pinned { path: path.to_owned(), why };
        let pinned: Self = serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?;
        if pinned.format != Self::FORMAT {
            return Err(refuse(format!("format {}, not {}", pinned.format, Self::FORMAT)));
        }
        Ok(Some(pinned))
    }

    /// Keeps small contents, to be named by a plan that is written afterwards.
    pub(super) fn keep<'a>(
        dir: &Path,
        name: &BundleName,
        contents: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), CreateError> {
        for bytes in contents {
            write_file(&content_path(dir, name, &Digest::of(bytes)), bytes)?;
        }
        Ok(())
    }

    /// Writes the plan: decided from here on.
    pub(super) fn write(&self, dir: &Path) -> Result<(), CreateError> {
        self.write_at(&plan_path(dir, &self.manifest.name))
    }

    /// The same into another file.
    pub(super) fn write_at(&self, path: &Path) -> Result<(), CreateError> {
        let refuse = |e: serde_json::Error| CreateError::Pinned {
            path: path.to_owned(),
            why: e.to_string(),
        };
        let bytes = serde_json::to_vec(self).map_err(refuse)?;
        Ok(write_file(path, &bytes)?)
    }

    /// Refuses to go on for a request that decides on other bytes, or that does not put up with
    /// what was left out.
    pub(super) fn check_asked(
        &self,
        dir: &Path,
        asked: &Asked,
        keep_going: bool,
    ) -> Result<(), CreateError> {
        let asked = as_value(asked);
        let empty = serde_json::Map::new();
        let (before, after) =
            (self.asked.as_object().unwrap_or(&empty), asked.as_object().unwrap_or(&empty));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let differs = |name: &&&String| before.get(**name) != after.get(**name);
        let mut differences: Vec<_> =
            names.iter().filter(differs).map(ToString::to_string).collect();
        if !self.manifest.complete && !keep_going {
            differences.push("keep_going".to_owned());
        }
        if differences.is_empty() {
            return Ok(());
        }
        let (name, dir) = (self.manifest.name.clone(), dir.to_owned());
        Err(CreateError::Changed { name, dir, differences })
    }

    /// Digest of what was asked for.
    pub(super) fn asked_digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.asked.to_string().as_bytes())
    }

    /// Everything that the bundle holds.
    pub(super) fn entries(&self) -> Vec<PlannedEntry> {
        let mut entries: Vec<_> = self.layout().into_iter().map(|(entry, _)| entry).collect();
        let file = |path: &str, digest: Digest, size: u64| PlannedEntry {
            digest,
            size,
            what: Planned::File { path: path.to_owned() },
        };
        entries.extend(self.files.iter().map(|(path, kept)| file(path, kept.digest, kept.size)));
        entries.extend(self.manifests.iter().map(|(digest, manifest)| PlannedEntry {
            digest: *digest,
            size: manifest.size,
            what: Planned::Manifest { media_type: manifest.media_type.clone() },
        }));
        entries.extend(self.blobs.iter().map(|(digest, blob)| PlannedEntry {
            digest: *digest,
            size: blob.size,
            what: Planned::Blob,
        }));
        entries
    }

    /// The bytes of a TUF file or a manifest.
    pub(super) fn kept(&self, dir: &Path, digest: &Digest) -> Result<Vec<u8>, CreateError> {
        let path = content_path(dir, &self.manifest.name, digest);
        Ok(read_bounded(&path, FILE_BYTES_MAX)?)
    }

    /// The view's root that names the key of the bundle's manifest.
    pub(super) fn root(&self, dir: &Path) -> Result<Vec<u8>, CreateError> {
        let kept = self.files.get(&self.root).ok_or_else(|| CreateError::Pinned {
            path: plan_path(dir, &self.manifest.name),
            why: format!("it does not list {}", self.root),
        })?;
        self.kept(dir, &kept.digest)
    }

    /// The files of the OCI layout.
    pub(super) fn layout(&self) -> [(PlannedEntry, Vec<u8>); 2] {
        let carried = self.images.iter().filter_map(|pinned| {
            let manifest = self.manifests.get(&pinned.image.digest)?;
            Some(listed(&pinned.image, &manifest.media_type, manifest.size))
        });
        oci_layout_files(&carried.flatten().collect::<Vec<_>>())
    }

    /// The same without the images that need one of `failed`, and without what is about those.
    #[must_use]
    pub(super) fn without(&self, failed: &BTreeMap<Digest, String>) -> Self {
        let mut smaller = self.clone();
        if self.images.is_empty() {
            smaller.lack(failed);
            return smaller;
        }
        let mut gone: BTreeSet<Digest> = BTreeSet::new();
        let mut missing = Vec::new();
        loop {
            let before = smaller.images.len();
            let kept: BTreeSet<Digest> = smaller
                .images
                .iter()
                .filter(|pinned| !pinned.blobs.iter().any(|blob| failed.contains_key(blob)))
                .flat_map(|pinned| pinned.manifests.iter().copied())
                .collect();
            smaller.images.retain(|pinned| {
                let why = reason(pinned, failed, &gone, &kept);
                let is_kept = why.is_none();
                missing.extend(why.map(|why| Missing { what: told(&pinned.image), why }));
                if !is_kept {
                    gone.extend(&pinned.manifests);
                }
                is_kept
            });
            if smaller.images.len() == before {
                break;
            }
        }
        let manifests: BTreeSet<Digest> =
            smaller.images.iter().flat_map(|pinned| pinned.manifests.iter().copied()).collect();
        let blobs: BTreeSet<Digest> =
            smaller.images.iter().flat_map(|pinned| pinned.blobs.iter().copied()).collect();
        let is_needed = |digest: &Digest| manifests.contains(digest) || blobs.contains(digest);
        smaller.manifests.retain(|digest, _| is_needed(digest));
        smaller.blobs.retain(|digest, _| is_needed(digest));
        smaller.afterwards.retain(|held| is_needed(&held.digest));
        let manifest = &mut smaller.manifest;
        manifest.required.retain(|required| is_needed(&required.digest));
        manifest.images = smaller.images.iter().map(|pinned| pinned.image.clone()).collect();
        manifest.missing.extend(missing);
        manifest.complete = manifest.missing.is_empty();
        smaller
    }

    /// A repair names digests and no images: it goes without those alone.
    fn lack(&mut self, failed: &BTreeMap<Digest, String>) {
        self.blobs.retain(|digest, _| !failed.contains_key(digest));
        self.afterwards.retain(|held| !failed.contains_key(&held.digest));
        let missing = |(digest, why): (&Digest, &String)| Missing {
            what: digest.to_string(),
            why: why.clone(),
        };
        self.manifest.missing.extend(failed.iter().map(missing));
        self.manifest.complete = self.manifest.missing.is_empty();
    }
}

/// Why an image cannot be carried, if it cannot.
fn reason(
    pinned: &PinnedImage,
    failed: &BTreeMap<Digest, String>,
    gone: &BTreeSet<Digest>,
    kept: &BTreeSet<Digest>,
) -> Option<String> {
    if let Some(why) = pinned.blobs.iter().find_map(|blob| failed.get(blob)) {
        return Some(why.clone());
    }
    match &pinned.image.role {
        ImageRole::Referrer { subject } if gone.contains(subject) && !kept.contains(subject) => {
            Some(format!("{subject}, which it is about, is not carried"))
        }
        ImageRole::Referrer { .. } | ImageRole::Release | ImageRole::Extra => None,
    }
}

fn told(image: &CarriedImage) -> String {
    format!("{}/{}@{}", image.source, image.repository, image.digest)
}

/// A request as it is compared and kept.
pub(super) fn as_value(asked: &Asked) -> serde_json::Value {
    // Plain members only; what could not be written would differ from everything.
    serde_json::to_value(asked).unwrap_or_default()
}

fn plan_path(dir: &Path, name: &BundleName) -> PathBuf {
    work_dir(dir, name).join(PLAN)
}

fn content_path(dir: &Path, name: &BundleName, digest: &Digest) -> PathBuf {
    work_dir(dir, name).join("content").join(digest.to_string().replace(':', "-"))
}
