//! Everything that is looked at before anything is written.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use channels::names::Arch;
use signing::{MemStore, Sha256Digest};

use super::believe::{Believed, believe};
use super::contents::Contents;
use super::error::ImportError;
use super::evidence::{BundleEvidence, Evidence, Log};
use super::{Carried, ImportRequest, rules};
use crate::bundle::{BundleDir, Content, Reader, check};
use crate::site::{Ledger, SiteConfig, SiteDir, Told};

/// Where bundles are looked at from.
#[derive(Debug)]
pub(super) struct Place<'a> {
    root: &'a [u8],
    /// What was seen of the view; raised in memory as bundles are believed.
    pub(super) seen: MemStore,
    /// The site; none for a verification against a root alone.
    site: Option<(&'a SiteConfig, &'a Ledger)>,
}

impl<'a> Place<'a> {
    pub(super) fn of(site: &'a SiteDir, ledger: &'a Ledger) -> Result<Self, ImportError> {
        let seen = crate::belief::seen(&site.seen())?;
        Ok(Self { root: site.root(), seen, site: Some((site.config(), ledger)) })
    }
}

/// Bundles that may be taken in as far as their manifests go.
#[derive(Debug)]
pub(super) struct Checked {
    /// By sequence.
    pub(super) bundles: Vec<(Believed, Reader)>,
    /// What they ask for together.
    pub(super) contents: Contents,
}

impl Checked {
    pub(super) fn readers(&self) -> Vec<(Sha256Digest, Reader)> {
        self.bundles.iter().map(|(bundle, reader)| (bundle.digest, reader.clone())).collect()
    }
}

/// What hashing found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hashed {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// Verifies bundles without a network and without writing anything: against a site, or against a
/// root alone.
///
/// What bundles presume to be at the site is not looked for: that is the target's to say.
///
/// # Errors
/// Whatever an import would refuse.
pub async fn verify(
    site: Option<&SiteDir>,
    root: &[u8],
    request: &ImportRequest,
    mut log: Log<'_>,
) -> Result<Evidence, ImportError> {
    let started_at = log.now();
    let ledger = site.map(SiteDir::ledger).transpose()?.unwrap_or_default();
    let place = match site {
        Some(site) => Place::of(site, &ledger)?,
        None => Place { root, seen: MemStore::new(), site: None },
    };
    let checked = look(&place, request, &mut log).await?;
    let required = checked.contents.required.len();
    if required > 0 {
        log.done("required", format!("{required} digests must be at the site; not looked for"));
    }
    let hashed = hash(&checked.readers(), &mut log).await?;
    let because = request.accept_expired.as_ref().map(|leave| leave.reason.as_str());
    Ok(Evidence {
        verified_by: concat!("offline-mirror ", env!("CARGO_PKG_VERSION")).to_owned(),
        site: site.map(|site| site.config().name.clone()),
        pinned_root: Sha256Digest::of(place.root),
        target: None,
        started_at,
        ended_at: log.now(),
        bundles: checked.bundles.iter().map(|(bundle, _)| evidence(bundle, because)).collect(),
        told: Told {
            entries_verified: hashed.entries,
            bytes_verified: hashed.bytes,
            ..Told::default()
        },
        left_out: left_out(&checked.contents),
        publications: Vec::new(),
        steps: log.into_steps(),
    })
}

/// Steps 1 and 2 of the module's list, for all bundles of one import.
pub(super) async fn look(
    place: &Place<'_>,
    request: &ImportRequest,
    log: &mut Log<'_>,
) -> Result<Checked, ImportError> {
    let leave = request.accept_expired.as_ref();
    if let Some(leave) = leave {
        // A site directory remembers; against a root alone nothing does.
        leave.check(place.site.map(|_| std::path::Path::new("seen")))?;
    }
    let dirs = open_all(request)?;
    let together: Vec<(u64, Sha256Digest)> =
        dirs.iter().map(|dir| (dir.claims().sequence, dir.digest())).collect();
    let mut bundles = Vec::new();
    for dir in dirs {
        let now = log.now();
        // Floors hold the newest bundle's versions, which those taken in before it cannot reach.
        let (sequence, digest) = (dir.claims().sequence, dir.digest());
        let is_known = |(_, ledger): (_, &Ledger)| {
            rules::is_older_and_known(sequence, digest, ledger, &together)
        };
        let none = MemStore::new();
        let seen = if place.site.is_some_and(is_known) { &none } else { &place.seen };
        let found = believe(dir, place.root, seen, leave, now).await?;
        told(&found, log);
        check_rules(&found, place, &together, request, log)?;
        bundles.push(found);
    }
    let mut carried = Carried::default();
    let mut opened = Vec::new();
    for bundle in bundles {
        let reader = bundle.reader()?;
        gather(&reader, &mut carried)?;
        opened.push((bundle, reader));
    }
    let contents = plan(&opened, &carried, log)?;
    Ok(Checked { bundles: opened, contents })
}

/// Opens the bundles, by sequence. Each is read once: what is looked up in the ledger is what is
/// believed afterwards, whatever a stick shows at a second reading.
fn open_all(request: &ImportRequest) -> Result<Vec<BundleDir>, ImportError> {
    let open = |path| Ok::<_, ImportError>(BundleDir::open(path, &request.also)?);
    let mut dirs: Vec<BundleDir> =
        request.bundles.iter().map(PathBuf::as_path).map(open).collect::<Result<_, _>>()?;
    dirs.sort_by_key(|dir| dir.claims().sequence);
    let twice = dirs.windows(2).find_map(|pair| match pair {
        [one, two] if one.claims().sequence == two.claims().sequence => Some(one),
        _ => None,
    });
    match twice.map(|dir| dir.claims().sequence) {
        Some(sequence) => Err(ImportError::Twice { sequence }),
        None => Ok(dirs),
    }
}

/// Reads the manifests of a bundle's images into memory, each compared with its digest.
fn gather(reader: &Reader, carried: &mut Carried) -> Result<(), ImportError> {
    carried.add_blobs(reader.manifest());
    for entry in &reader.manifest().entries {
        if matches!(entry.content, Content::Manifest { .. }) {
            carried.add_manifest(entry.digest, reader.image_manifest(&entry.digest)?)?;
        }
    }
    Ok(())
}

fn plan(
    bundles: &[(Believed, Reader)],
    carried: &Carried,
    log: &mut Log<'_>,
) -> Result<Contents, ImportError> {
    let mut contents = Contents::default();
    for (bundle, _) in bundles {
        contents.add(&bundle.manifest, carried)?;
    }
    for (bundle, _) in bundles {
        rules::check_referrers(&bundle.manifest, &contents)?;
    }
    let (images, left_out) = (contents.images.len(), contents.left_out.len());
    log.done("images", format!("{images} images are whole, {left_out} are left out"));
    Ok(contents)
}

fn told(found: &Believed, log: &mut Log<'_>) {
    let [root, timestamp, snapshot, targets] = found.versions;
    let as_of = found.as_of.map(|at| format!(", as of {at} by leave")).unwrap_or_default();
    log.done(
        "metadata",
        format!(
            "{}: root {root}, timestamp {timestamp}, snapshot {snapshot}, targets {targets}{as_of}",
            found.manifest.name
        ),
    );
    let keys: Vec<&str> = found.signed_by.iter().map(signing::KeyId::as_str).collect();
    let digest = found.digest;
    log.done("signature", format!("manifest {digest} signed by {}", keys.join(", ")));
}

fn check_rules(
    found: &Believed,
    place: &Place<'_>,
    together: &[(u64, Sha256Digest)],
    request: &ImportRequest,
    log: &mut Log<'_>,
) -> Result<(), ImportError> {
    let manifest = &found.manifest;
    if let Some((config, ledger)) = place.site {
        let novelty = rules::check_sequence(manifest, found.digest, ledger, together)?;
        let again = if novelty == rules::Novelty::Again { ", taken in before" } else { "" };
        log.done("sequence", format!("{}{again}", manifest.sequence));
        rules::check_addressed(manifest, config)?;
    }
    rules::check_complete(manifest, request.accept_incomplete)?;
    if let Some((config, _)) = place.site {
        rules::check_extras(manifest, config)?;
    }
    rules::check_tags(manifest)?;
    rules::check_releases(manifest, &rules::named_by(&found.documents)?)?;
    check_arches(found, &request.arches)?;
    log.done("releases", format!("{} as their vendors signed them", found.documents.len()));
    Ok(())
}

fn check_arches(found: &Believed, wanted: &[Arch]) -> Result<(), ImportError> {
    for release in &found.manifest.releases {
        if let Some(arch) = wanted.iter().find(|arch| !release.arches.contains(arch)) {
            return Err(ImportError::Release {
                release: format!("{} {}", release.product, release.version),
                why: format!("it is not carried for {arch}"),
            });
        }
    }
    Ok(())
}

/// Hashes every byte of every segment.
pub(super) async fn hash(
    readers: &[(Sha256Digest, Reader)],
    log: &mut Log<'_>,
) -> Result<Hashed, ImportError> {
    let mut all = Hashed::default();
    for (_, reader) in readers {
        let reader = reader.clone();
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let checking = tokio::task::spawn_blocking(move || check(&reader, threads, &|_| {}));
        let found = checking.await.map_err(|_| ImportError::Thread { what: "hashing" })??;
        for segment in &found.segments {
            all.entries = all.entries.saturating_add(segment.entries);
            all.bytes = all.bytes.saturating_add(segment.bytes);
        }
        let segments = found.segments.len();
        log.done("content", format!("{}: {segments} segments, every byte", found.name));
    }
    Ok(all)
}

pub(super) fn evidence(bundle: &Believed, because: Option<&str>) -> BundleEvidence {
    let manifest = &bundle.manifest;
    BundleEvidence {
        name: manifest.name.clone(),
        sequence: manifest.sequence,
        manifest: bundle.digest,
        created_at: manifest.created_at,
        signed_by: bundle.signed_by.clone(),
        versions: bundle.versions,
        verified_as_of: bundle.as_of,
        accepted_because: because.filter(|_| bundle.as_of.is_some()).map(str::to_owned),
        complete: manifest.complete,
        releases: manifest.releases.clone(),
        segments: manifest.segments.clone(),
    }
}

pub(super) fn left_out(contents: &Contents) -> Vec<String> {
    contents.left_out.iter().map(|i| format!("{}@{}", i.repository, i.digest)).collect()
}
