//! Graph data and what is known of the releases, together a product.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::GraphData;
use super::suggestions::exactly;
use crate::names::{Arch, ProductRef};
use crate::promotion::Record;
use crate::repository::release::agreed;
use crate::repository::{Defaults, GraphRules, ProductSource, PullSpec, ReleaseSource};
use crate::version::{Minor, ReleaseVersion, Requirement};
use crate::wire::{ArchContent, ReleaseDocument, Severity};

/// Tells the payload of a release on an architecture; `None` when it does not exist there.
pub type Content<'a> = &'a dyn Fn(&ReleaseVersion, &Arch) -> Option<PullSpec>;

/// One release, as its image or a scrape of it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRelease {
    /// When it came out.
    pub released_at: Timestamp,
    /// Its page for people.
    pub url: Option<String>,
    /// Its payload on every architecture it exists on.
    pub payloads: BTreeMap<Arch, PullSpec>,
    /// Versions that may move to it, on each of these architectures.
    pub upgrade_from: BTreeMap<Arch, Vec<Requirement>>,
}

impl KnownRelease {
    pub(super) fn released_at(released_at: Timestamp) -> Self {
        let (payloads, upgrade_from) = (BTreeMap::new(), BTreeMap::new());
        Self { released_at, url: None, payloads, upgrade_from }
    }
}

impl GraphData {
    /// Every version of the channels as a release with the predecessors that `build-suggestions/`
    /// names; none where there is no file for its minor. Versions for which `content` knows no
    /// payload at all are left out.
    pub fn suggested_releases(
        &self,
        arches: &[Arch],
        released_at: Timestamp,
        content: Content<'_>,
    ) -> BTreeMap<ReleaseVersion, KnownRelease> {
        let known = self.versions();
        let mut by_minor: BTreeMap<(Minor, &Arch), Vec<Requirement>> = BTreeMap::new();
        for (minor, suggestions) in &self.suggestions {
            for arch in arches {
                by_minor.insert((*minor, arch), suggestions.on(arch).requirements(&known));
            }
        }
        let mut releases = BTreeMap::new();
        for version in &known {
            let mut release = KnownRelease::released_at(released_at);
            for arch in arches {
                let Some(payload) = content(version, arch) else { continue };
                let from = by_minor.get(&(Minor::of(version), arch)).cloned().unwrap_or_default();
                release.upgrade_from.insert(arch.clone(), from);
                release.payloads.insert(arch.clone(), payload);
            }
            if !release.payloads.is_empty() {
                releases.insert(version.clone(), release);
            }
        }
        releases
    }

    /// The product these channels, blocks and releases make. Edges that `raw/metadata.json` adds
    /// join the predecessors of the releases they lead to.
    pub fn into_product(
        self,
        product: ProductRef,
        releases: BTreeMap<ReleaseVersion, KnownRelease>,
    ) -> ProductSource {
        let releases = releases
            .into_iter()
            .map(|(version, known)| {
                let release = release(&product, &version, known, &self);
                (version, release)
            })
            .collect();
        ProductSource {
            directory: PathBuf::new(),
            product,
            defaults: Defaults::default(),
            rules: GraphRules::default(),
            eol: BTreeMap::new(),
            releases,
            channels: self.channels.into_iter().map(|one| (one.name.clone(), one)).collect(),
            internal_channels: self
                .internal_channels
                .into_iter()
                .map(|one| (one.name.clone(), one))
                .collect(),
            blocks: self.blocks,
            promotions: Record::default(),
        }
    }
}

fn release(
    product: &ProductRef,
    version: &ReleaseVersion,
    mut known: KnownRelease,
    data: &GraphData,
) -> ReleaseSource {
    let added = data.added.iter().filter(|(_, to)| to.without_build() == *version);
    for (from, to) in added {
        let only: Option<Arch> = to.semver().build.as_str().parse().ok();
        for (arch, requirements) in &mut known.upgrade_from {
            if only.as_ref().is_none_or(|only| only == arch) {
                requirements.extend(exactly(from));
            }
        }
    }
    let (upgrade_from, narrowed) = agreed(&known.upgrade_from);
    let content =
        |payload: &PullSpec| ArchContent { payload: payload.image.clone(), components: Vec::new() };
    let document = ReleaseDocument {
        format: ReleaseDocument::FORMAT,
        critical: Vec::new(),
        vendor: product.vendor.clone(),
        product: product.product.clone(),
        version: version.clone(),
        released_at: known.released_at,
        severity: Severity::None,
        advisories: Vec::new(),
        url: known.url,
        upgrade_from,
        downgrade_from: Vec::new(),
        dependencies: Vec::new(),
        arches: known.payloads.iter().map(|(arch, spec)| (arch.clone(), content(spec))).collect(),
        finalize: None,
    };
    ReleaseSource {
        file: Path::new("releases").join(format!("{version}.yaml")),
        document,
        payloads: known
            .payloads
            .iter()
            .map(|(arch, spec)| (arch.clone(), spec.to_string()))
            .collect(),
        narrowed,
        minor_hops: None,
    }
}
