//! `releases/<version>.yaml`: one release, written for people.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;
use serde::Deserialize;
use signing::Sha256Digest;

use super::{Defaults, RepositoryError, files};
use crate::names::{Arch, NameError, ProductRef};
use crate::version::{ReleaseVersion, Requirement};
use crate::wire::{
    ArchContent, Component, Dependency, Finalize, Image, ReleaseDocument, Role, Severity,
};

/// Longest repository path of an image: what registries take.
const REPOSITORY_MAX_BYTES: usize = 255;

/// A release as its file says it, with the product's defaults filled in.
#[derive(Debug, Clone)]
pub struct ReleaseSource {
    /// The file, relative to the repository's root.
    pub file: PathBuf,
    /// The document to sign.
    pub document: ReleaseDocument,
    /// Payload with registry host, per architecture, for the nodes of Cincinnati graphs. The
    /// release document never names a host.
    pub payloads: BTreeMap<Arch, String>,
    /// Versions that may move to it on an architecture where those are fewer than the document
    /// allows: the document is one for all architectures, and lists every version any of them
    /// takes.
    pub narrowed: BTreeMap<Arch, Vec<Requirement>>,
    /// How many minors an edge into this release may pass, where it says otherwise than the
    /// product's rules.
    pub minor_hops: Option<u32>,
}

impl ReleaseSource {
    /// Whether a cluster on `from` may move to this release on one architecture.
    pub fn allows_from(&self, from: &ReleaseVersion, arch: &Arch) -> bool {
        let upgrade = || from.semver().cmp_precedence(self.document.version.semver()).is_lt();
        match self.narrowed.get(arch) {
            Some(narrow) if upgrade() => narrow.iter().any(|one| one.matches(from)),
            Some(_) | None => self.document.allows_from(from),
        }
    }
}

/// One list for the document out of those of the architectures, and those that list fewer.
pub(super) fn agreed(
    lists: &BTreeMap<Arch, Vec<Requirement>>,
) -> (Vec<Requirement>, BTreeMap<Arch, Vec<Requirement>>) {
    let mut different = lists.values();
    let first = different.next().cloned().unwrap_or_default();
    if different.all(|list| *list == first) {
        return (first, BTreeMap::new());
    }
    let mut seen = HashSet::new();
    let all = lists.values().flatten();
    let union: Vec<Requirement> = all.filter(|one| seen.insert(*one)).cloned().collect();
    let fewer = |list: &Vec<Requirement>| list.iter().collect::<HashSet<_>>().len() < seen.len();
    let narrowed = lists.iter().filter(|(_, list)| fewer(list));
    let narrowed = narrowed.map(|(arch, list)| (arch.clone(), list.clone())).collect();
    (union, narrowed)
}

/// An image by digest, `[host/]repository@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PullSpec {
    /// Registry host, with port if it has one.
    pub host: Option<String>,
    /// Repository and digest.
    pub image: Image,
}

impl FromStr for PullSpec {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = |why| NameError::new("pull specification", text, why);
        let (name, digest) = text
            .split_once('@')
            .ok_or_else(|| error("it must end with @sha256:<64 hex digits>; tags can move"))?;
        let digest: Sha256Digest =
            digest.parse().map_err(|_| error("it must end with @sha256:<64 hex digits>"))?;
        // The rule of container tools: a first segment with a dot or a port is a host.
        let (host, repository) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                (Some(host.to_owned()), rest)
            }
            Some(_) | None => (None, name),
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/".contains(&b);
        if repository.len() > REPOSITORY_MAX_BYTES || repository.split('/').any(str::is_empty) {
            return Err(error("the repository must have 1 to 255 characters, no empty segment"));
        }
        if !repository.bytes().all(plain) || repository.contains("..") {
            return Err(error("a repository holds a-z, 0-9, '.', '_', '-' and '/', and no tag"));
        }
        Ok(Self { host, image: Image { repository: repository.to_owned(), digest } })
    }
}

impl TryFrom<String> for PullSpec {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

/// `2025-03-18` (midnight UTC) or a full RFC 3339 time.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct When(Timestamp);

impl TryFrom<String> for When {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        let midnight = || format!("{text}T00:00:00Z").parse();
        text.parse().or_else(|_| midnight()).map(Self).map_err(|_| {
            NameError::new("time", &text, "it must read 2025-03-18 or 2025-03-18T10:00:00Z")
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseFile {
    version: ReleaseVersion,
    released_at: When,
    #[serde(default)]
    severity: SeverityWord,
    #[serde(default)]
    advisories: Vec<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    payload: Option<PullSpec>,
    #[serde(default)]
    components: Vec<ComponentFile>,
    #[serde(default)]
    arches: BTreeMap<Arch, ArchFile>,
    #[serde(default)]
    upgrade_from: Option<Vec<Requirement>>,
    #[serde(default)]
    minor_hops: Option<u32>,
    #[serde(default)]
    downgrade_from: Vec<Requirement>,
    #[serde(default)]
    dependencies: Vec<DependencyFile>,
    #[serde(default)]
    finalize: Option<FinalizeFile>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SeverityWord {
    #[default]
    None,
    Low,
    Moderate,
    Important,
    Critical,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentFile {
    role: Role,
    version: String,
    image: PullSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchFile {
    #[serde(default)]
    payload: Option<PullSpec>,
    #[serde(default)]
    components: Option<Vec<ComponentFile>>,
    #[serde(default)]
    upgrade_from: Option<Vec<Requirement>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DependencyFile {
    product: ProductRef,
    requirement: Requirement,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FinalizeFile {
    summary: String,
    level: String,
}

/// Parses a release file of `product`.
pub(super) fn parse(
    file: PathBuf,
    text: &str,
    product: &ProductRef,
    defaults: &Defaults,
) -> Result<ReleaseSource, RepositoryError> {
    let mut release: ReleaseFile = files::parse(&file, text, "Releases")?;
    files::check_name(&file, &release.version.to_string(), "version")?;
    let Some(upgrade_from) = release.upgrade_from.take().or_else(|| defaults.upgrade_from.clone())
    else {
        return Err(RepositoryError::content(
            &file,
            "upgrade_from is missing, and fairway.toml has no default for it".to_owned(),
            "list the versions that may move here, or write upgrade_from: [] for none",
        ));
    };
    let (arches, payloads) = contents(&file, &release, defaults)?;
    let listed = arches.keys().map(|arch| {
        let own = release.arches.get(arch).and_then(|over| over.upgrade_from.as_ref());
        (arch.clone(), own.unwrap_or(&upgrade_from).clone())
    });
    let (upgrade_from, narrowed) = agreed(&listed.collect());
    let document = ReleaseDocument {
        format: ReleaseDocument::FORMAT,
        critical: Vec::new(),
        vendor: product.vendor.clone(),
        product: product.product.clone(),
        version: release.version,
        released_at: release.released_at.0,
        severity: match release.severity {
            SeverityWord::None => Severity::None,
            SeverityWord::Low => Severity::Low,
            SeverityWord::Moderate => Severity::Moderate,
            SeverityWord::Important => Severity::Important,
            SeverityWord::Critical => Severity::Critical,
        },
        advisories: release.advisories,
        url: release.url,
        upgrade_from,
        downgrade_from: release.downgrade_from,
        dependencies: release
            .dependencies
            .into_iter()
            .map(|one| Dependency { product: one.product, requirement: one.requirement })
            .collect(),
        arches,
        finalize: release
            .finalize
            .map(|finalize| Finalize { summary: finalize.summary, level: finalize.level }),
    };
    Ok(ReleaseSource { file, document, payloads, narrowed, minor_hops: release.minor_hops })
}

type Contents = (BTreeMap<Arch, ArchContent>, BTreeMap<Arch, String>);

/// Content by architecture: the release's own for the default architectures, overridden or added
/// to by `arches`.
fn contents(
    file: &Path,
    release: &ReleaseFile,
    defaults: &Defaults,
) -> Result<Contents, RepositoryError> {
    let own = defaults.arches.iter().filter(|_| release.payload.is_some());
    let names: std::collections::BTreeSet<&Arch> = own.chain(release.arches.keys()).collect();
    if names.is_empty() {
        return Err(RepositoryError::content(
            file,
            "the release has content for no architecture".to_owned(),
            "give it a payload and [defaults] arches in fairway.toml, or an arches: map",
        ));
    }
    let (mut arches, mut payloads) = (BTreeMap::new(), BTreeMap::new());
    for arch in names {
        let over = release.arches.get(arch);
        let payload = over.and_then(|o| o.payload.as_ref()).or(release.payload.as_ref());
        let Some(payload) = payload else {
            return Err(RepositoryError::content(
                file,
                format!("{arch} has no payload"),
                "add payload: to the release or to the architecture",
            ));
        };
        let components = over.and_then(|o| o.components.as_ref()).unwrap_or(&release.components);
        let components = components_of(file, arch, components)?;
        let host = payload.host.as_ref().or(defaults.registry.as_ref());
        payloads.insert(arch.clone(), pull_text(host, &payload.image));
        arches.insert(arch.clone(), ArchContent { payload: payload.image.clone(), components });
    }
    Ok((arches, payloads))
}

fn components_of(
    file: &Path,
    arch: &Arch,
    components: &[ComponentFile],
) -> Result<Vec<Component>, RepositoryError> {
    let mut seen = std::collections::BTreeSet::new();
    for component in components {
        if !seen.insert(component.role) {
            return Err(RepositoryError::content(
                file,
                format!("{arch} has two components of the role {}", component.role),
                "keep one component per role",
            ));
        }
    }
    if seen.is_empty() {
        return Err(RepositoryError::content(
            file,
            format!("{arch} has no components, so nothing could run it"),
            "list at least one component with role, version and image",
        ));
    }
    let components = components.iter().map(|component| Component {
        role: component.role,
        version: component.version.clone(),
        image: component.image.image.clone(),
    });
    Ok(components.collect())
}

fn pull_text(host: Option<&String>, image: &Image) -> String {
    let spec = PullSpec { host: host.cloned(), image: image.clone() };
    spec.to_string()
}

impl fmt::Display for PullSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        write!(f, "{}@{}", self.image.repository, self.image.digest)
    }
}
