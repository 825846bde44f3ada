//! The release document: what a vendor's offline keys say about one version of one product.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use crate::names::{Arch, ProductName, ProductRef, VendorName};
use crate::version::{ReleaseVersion, Requirement};

/// Target `<vendor>/<product>/<version>.release.json`, signed by `<vendor>.releases`; immutable.
///
/// Versions, digests and conditions only: a document never chooses a command, a privilege, a
/// namespace or a registry host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseDocument {
    /// Form of this document; readers refuse other majors.
    pub format: u32,
    /// Field names a reader must understand to use this document at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<String>,
    /// Vendor; must agree with the target path, or the document is `wrong_software`.
    pub vendor: VendorName,
    /// Product; must agree with the target path.
    pub product: ProductName,
    /// Version; must agree with the target path.
    pub version: ReleaseVersion,
    /// When the vendor released it (drift counts `age_days` from here).
    pub released_at: jiff::Timestamp,
    /// How urgent the vendor thinks it is.
    #[serde(default)]
    pub severity: Severity,
    /// Advisory ids or URLs, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<String>,
    /// Page for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Versions that may move to this one: any of these requirements.
    pub upgrade_from: Vec<Requirement>,
    /// Newer versions that may go *back* to this one; empty = no downgrade into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downgrade_from: Vec<Requirement>,
    /// Other products that must already run on the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// Content by architecture.
    pub arches: BTreeMap<Arch, ArchContent>,
    /// A separate, approved step after which there is no way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalize: Option<Finalize>,
}

/// Fields of [`ReleaseDocument`] this version of Fairway knows; `critical` may name only these.
const KNOWN_FIELDS: [&str; 13] = [
    "format",
    "vendor",
    "product",
    "version",
    "released_at",
    "severity",
    "advisories",
    "url",
    "upgrade_from",
    "downgrade_from",
    "dependencies",
    "arches",
    "finalize",
];

/// The document relies on something this reader does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the document marks {field:?} as critical, which this version of fairway does not know")]
pub struct UnknownCritical {
    /// The unknown field, or `format=N`.
    pub field: String,
}

/// Documents that list what a reader must not skip.
pub trait Critical {
    /// Fails on the first critical field this reader does not know.
    fn check_critical(&self) -> Result<(), UnknownCritical>;
}

impl ReleaseDocument {
    /// The form written by this version.
    pub const FORMAT: u32 = 1;

    /// The product it belongs to.
    pub fn product_ref(&self) -> ProductRef {
        ProductRef { vendor: self.vendor.clone(), product: self.product.clone() }
    }

    /// Its TUF target path, `<vendor>/<product>/<version>.release.json`.
    pub fn target_path(product: &ProductRef, version: &ReleaseVersion) -> String {
        format!("{}/{}/{version}.release.json", product.vendor, product.product)
    }

    /// The bytes that are signed: compact JSON, members in the order of this type.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Whether a cluster on `from` may move to this release: newer by `upgrade_from`, older only by
    /// `downgrade_from`, itself never.
    pub fn allows_from(&self, from: &ReleaseVersion) -> bool {
        let listed = |requirements: &[Requirement]| requirements.iter().any(|r| r.matches(from));
        match from.semver().cmp_precedence(self.version.semver()) {
            std::cmp::Ordering::Less => listed(&self.upgrade_from),
            std::cmp::Ordering::Greater => listed(&self.downgrade_from),
            std::cmp::Ordering::Equal => false,
        }
    }
}

impl Critical for ReleaseDocument {
    fn check_critical(&self) -> Result<(), UnknownCritical> {
        if self.format != Self::FORMAT {
            return Err(UnknownCritical { field: format!("format={}", self.format) });
        }
        match self.critical.iter().find(|field| !KNOWN_FIELDS.contains(&field.as_str())) {
            Some(field) => Err(UnknownCritical { field: field.clone() }),
            None => Ok(()),
        }
    }
}

/// What a release holds for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchContent {
    /// The release payload (an OCI image or artifact), for tools that want one digest.
    pub payload: Image,
    /// Components by role; a role appears at most once.
    pub components: Vec<Component>,
}

/// An OCI image by digest; the registry host is local policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Image {
    /// Repository path without host, e.g. `acme/kafka`.
    pub repository: String,
    /// Manifest (or index) digest.
    pub digest: Sha256Digest,
}

/// One thing that runs on units of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Which units take it.
    pub role: Role,
    /// The version such a unit reports of itself when it runs this component (evidence).
    pub version: String,
    /// The image it is delivered in.
    pub image: Image,
}

/// Which kind of unit a component is for. Rolled in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A KRaft controller (a voter of the metadata quorum).
    Controller,
    /// A Kafka broker.
    Broker,
    /// A Kubernetes node.
    Node,
    /// Anything else with a rollout of its own.
    Workload,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Controller => "controller",
            Self::Broker => "broker",
            Self::Node => "node",
            Self::Workload => "workload",
        })
    }
}

/// Vendor's urgency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing urgent.
    #[default]
    None,
    /// Low.
    Low,
    /// Moderate.
    Moderate,
    /// Important.
    Important,
    /// Critical.
    Critical,
    /// A severity this reader does not know.
    #[serde(other)]
    Unknown,
}

/// Another product that must run in a matching version before this release starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The other product.
    pub product: ProductRef,
    /// Versions that satisfy it.
    pub requirement: Requirement,
}

/// An irreversible step after all units run the release (Kafka: `metadata.version`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finalize {
    /// What becomes irreversible, for the person who approves it.
    pub summary: String,
    /// The feature level, e.g. Kafka's `--release-version`.
    pub level: String,
}
