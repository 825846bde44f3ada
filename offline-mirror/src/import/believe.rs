//! From the pinned root to a manifest that is believed, with everything the vendors signed.

use channels::names::VendorName;
use channels::wire::{PublicationFile, ReleaseDocument};
use jiff::Timestamp;
use signing::{FileName, KeyId, KeySet, MemStore, Sha256Digest, Statement, TopRole};

use super::error::ImportError;
use crate::belief::{AcceptExpired, TufFiles, at_a_good_moment, recording, refreshed};
use crate::bundle::{BundleDir, BundleManifest, CarriedRelease, Reader};
use crate::feed::vendor_files;
use crate::metadata::{fetch_release, trust};

/// Folder of the TUF repository inside a bundle.
const TUF: &str = "tuf/";

/// A bundle whose metadata and manifest are believed. Its segments were not looked at.
#[derive(Debug)]
pub(super) struct Believed {
    dir: BundleDir,
    keys: KeySet,
    /// What it says.
    pub(super) manifest: BundleManifest,
    /// Digest of the manifest file.
    pub(super) digest: Sha256Digest,
    /// Keys whose signature on the manifest counted.
    pub(super) signed_by: Vec<KeyId>,
    /// Versions of root, timestamp, snapshot and targets.
    pub(super) versions: [u64; 4],
    /// The moment it was verified as of, if it has expired since and that was accepted.
    pub(super) as_of: Option<Timestamp>,
    /// Signed documents of the carried releases.
    pub(super) documents: Vec<(CarriedRelease, ReleaseDocument)>,
    /// Files of every vendor of a carried release, as they go to the update server.
    pub(super) vendors: Vec<(VendorName, Vec<PublicationFile>)>,
    /// The TUF files.
    pub(super) tuf: TufFiles,
}

impl Believed {
    /// A reader of its segments, which must all be there.
    pub(super) fn reader(&self) -> Result<Reader, ImportError> {
        Ok(self.dir.reader(&self.keys)?)
    }
}

/// The TUF files among the files of a bundle.
pub(crate) fn tuf_files(dir: &BundleDir) -> Result<TufFiles, ImportError> {
    let mut files = TufFiles::new();
    for (path, bytes) in dir.files()? {
        let Some(name) = path.strip_prefix(TUF) else { continue };
        let name = FileName::from_relative_path(name)
            .map_err(|e| crate::Error::Document { path: path.clone(), why: e.to_string() })?;
        files.insert(name, bytes);
    }
    Ok(files)
}

/// What the metadata of a bundle comes to, once believed.
pub(crate) struct Metadata {
    pub(crate) keys: KeySet,
    pub(crate) versions: [u64; 4],
    pub(crate) documents: Vec<(CarriedRelease, ReleaseDocument)>,
    pub(crate) vendors: Vec<(VendorName, Vec<PublicationFile>)>,
}

/// Believes TUF files from the pinned root, as of now or with leave as of when they were signed, and
/// reads the documents of `releases`.
pub(crate) async fn believe_files(
    files: &TufFiles,
    root: &[u8],
    seen: &MemStore,
    releases: &[CarriedRelease],
    leave: Option<&AcceptExpired>,
    now: Timestamp,
) -> Result<(Metadata, Option<Timestamp>), crate::Error> {
    let verify = async |now: Timestamp| {
        let recording = recording(files);
        let mut client = refreshed(&recording, files, root, seen, now).await?;
        let keys = client.keys(TopRole::Snapshot, now).map_err(trust("the view's root"))?.clone();
        let mut documents = Vec::new();
        for release in releases {
            let document =
                fetch_release(&mut client, &release.product, &release.version, now).await?;
            documents.push((release.clone(), document));
        }
        let mut names: Vec<VendorName> =
            releases.iter().map(|release| release.product.vendor.clone()).collect();
        names.sort();
        names.dedup();
        let mut vendors = Vec::new();
        for vendor in names {
            let files = vendor_files(&mut client, &recording, &vendor, now).await?;
            vendors.push((vendor, files));
        }
        let found = client.trusted_versions();
        let versions = [found.root, found.timestamp, found.snapshot, found.targets];
        Ok(Metadata { keys, versions, documents, vendors })
    };
    at_a_good_moment(files, leave, now, verify).await
}

/// Believes the metadata and the manifest of one bundle, in this order.
pub(super) async fn believe(
    dir: BundleDir,
    root: &[u8],
    seen: &MemStore,
    leave: Option<&AcceptExpired>,
    now: Timestamp,
) -> Result<Believed, ImportError> {
    let tuf = tuf_files(&dir)?;
    // Which releases' documents are read is the manifest's word; they are signed by their vendors.
    let releases = dir.claims().releases.clone();
    let (metadata, as_of) = believe_files(&tuf, root, seen, &releases, leave, now).await?;
    let Metadata { keys, versions, documents, vendors } = metadata;
    let manifest = dir.verify(&keys)?.into_inner();
    let signed_by = signers(dir.statement(), &keys);
    let digest = dir.digest();
    Ok(Believed {
        dir,
        keys,
        manifest,
        digest,
        signed_by,
        versions,
        as_of,
        documents,
        vendors,
        tuf,
    })
}

/// The keys whose signature is good.
fn signers(statement: &Statement, keys: &KeySet) -> Vec<KeyId> {
    let good = |id: &&KeyId| {
        let key = keys.keys.get(*id);
        let alone =
            key.map(|key| KeySet { threshold: 1, keys: [((*id).clone(), key.clone())].into() });
        alone.is_some_and(|alone| statement.verify::<serde::de::IgnoredAny>(&alone).is_ok())
    };
    statement.claimed_keys().filter(good).cloned().collect()
}
