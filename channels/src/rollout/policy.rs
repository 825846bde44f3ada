//! The policy file: what the fleet's owner writes, read whole or refused with a place and advice.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::amount::Period;
use super::calendar::Calendar;
use super::caps::Caps;
use super::curve::{Curve, Template};
use super::gates::Gates;
use super::labels::Labels;
use super::selector::Selector;
use crate::names::{ChannelName, NameError, ProductRef, VendorName};
use crate::yaml;

/// Largest policy read. One with a hundred rings of a hundred values each has 300 kB.
pub const POLICY_MAX_BYTES: usize = 1024 * 1024;
/// Most rings: a page and a person can still show and follow so many.
pub const RINGS_MAX: usize = 100;
/// Most entries under `applies_to`, and channels in one of them.
pub const SCOPES_MAX: usize = 256;

/// The name of a policy, a ring or a baseline: `[a-z0-9][a-z0-9-]*`, at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=63).contains(&text.len()) && !text.starts_with('-');
        if fits && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let why = "write 1 to 63 of a-z, 0-9 and '-', not beginning with '-'";
        Err(NameError::new("name", text, why))
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// A policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The file is larger than is read (1 MiB).
    #[error(
        "{}: has {bytes} bytes; at most {max} are read, split the policy by product",
        file.display(), max = POLICY_MAX_BYTES
    )]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The file is not well formed, or a value in it is not what its key asks for.
    #[error("{}:{line}:{column}: {problem}; {advice}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1; 0 when the parser cannot tell.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// Values that are well formed each, and do not fit together.
    #[error("{}:{line}: {fault}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong and what to do.
        fault: PolicyFault,
    },
}

impl PolicyError {
    /// The line of the fault, from 1, where one is known.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::TooLarge { .. } => None,
            Self::Syntax { line, .. } | Self::Content { line, .. } => {
                Some(*line).filter(|line| *line > 0)
            }
        }
    }
}

/// What does not fit together in a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// No rings at all.
    #[error("the policy has no rings; the shortest list is one ring with `rest: true`")]
    NoRings,
    /// More rings than are read.
    #[error("the policy has {rings} rings; at most {max} are read", max = RINGS_MAX)]
    TooManyRings {
        /// How many.
        rings: usize,
    },
    /// Two rings of one name.
    #[error("two rings are called {name}; give each its own name")]
    RingTwice {
        /// The name.
        name: Name,
    },
    /// A ring says both or neither of who is in it.
    #[error("ring {name} must say who is in it once: `select:`, or `rest: true` in the last ring")]
    RingMembers {
        /// The ring.
        name: Name,
    },
    /// The rest of the fleet is taken before the last ring.
    #[error(
        "ring {name} takes the rest, so no cluster is left for the rings after it; move it last"
    )]
    RestNotLast {
        /// The ring.
        name: Name,
    },
    /// A length of time that would make every cluster fail, or a cap that would not bind.
    #[error("`{key}` is 0s; write a length of time such as 1h, or leave the key out")]
    NoTime {
        /// Which.
        key: &'static str,
    },
    /// A label without a name.
    #[error("`caps.per_failure_domain.label` is \"\"; write the label's name")]
    NoLabel,
    /// An entry of `applies_to` says both or neither of vendor and product.
    #[error("an entry of `applies_to` must name a vendor or a product; write one of the two")]
    ScopeUnclear,
    /// More entries than are read.
    #[error("`applies_to` has too many entries or channels; at most {max} are read", max = SCOPES_MAX)]
    TooManyScopes,
}

/// Which products and channels a policy is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// All products of this vendor. Excludes `product`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<VendorName>,
    /// One product. Excludes `vendor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductRef>,
    /// Only these channels; none = all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelName>,
}

impl Scope {
    fn includes(&self, product: &ProductRef, channel: &ChannelName) -> bool {
        self.vendor.as_ref().is_none_or(|vendor| *vendor == product.vendor)
            && self.product.as_ref().is_none_or(|own| own == product)
            && (self.channels.is_empty() || self.channels.contains(channel))
    }
}

/// When a rollout starts. Text form: `publication`, or a time with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Start {
    /// As soon as the release is published.
    #[default]
    Publication,
    /// At this time, or at publication when that is later.
    At(Timestamp),
}

impl TryFrom<String> for Start {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        if text == "publication" {
            return Ok(Self::Publication);
        }
        let why = "write `publication`, or a time with its offset such as 2026-12-01T08:00:00Z";
        text.parse().map(Self::At).map_err(|_| NameError::new("start", &text, why))
    }
}

impl From<Start> for String {
    fn from(start: Start) -> Self {
        match start {
            Start::Publication => "publication".to_owned(),
            Start::At(at) => at.to_string(),
        }
    }
}

/// How long one cluster may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deadlines {
    /// From its first unit to its success; later is a failure.
    pub progress: Period,
    /// Between two reports while it rolls; longer is a failure.
    pub silence: Period,
    /// Longest time one unit may take: no window may be shorter.
    pub unit: Period,
}

impl Default for Deadlines {
    /// A day to finish, an hour of silence (twelve missed reports at the usual five minutes), half
    /// an hour for a unit.
    fn default() -> Self {
        let (progress, silence) = (Period::from_hours(24), Period::from_hours(1));
        Self { progress, silence, unit: Period::from_mins(30) }
    }
}

/// One ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ring {
    /// Its name.
    pub name: Name,
    /// Who is in it; `None` in a last ring that takes the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<Selector>,
    /// How fast it opens.
    pub curve: Curve,
    /// What must hold before the next ring opens, and what halts the rollout.
    pub gates: Gates,
    /// Whether it opens only after a person approved it, besides the gates of the ring before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
}

/// A rollout policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Its name.
    pub name: Name,
    /// What it is for; none = everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applies_to: Vec<Scope>,
    /// When a rollout starts.
    pub start: Start,
    /// The owner wants it fast and knows what that costs: lint allows a steep first hour.
    pub emergency: bool,
    /// Windows and freezes.
    pub calendar: Calendar,
    /// The rings, in the order in which they open. Never empty.
    pub rings: Vec<Ring>,
    /// How many at a time.
    pub caps: Caps,
    /// How long one cluster may take.
    pub deadlines: Deadlines,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    name: Name,
    #[serde(default)]
    applies_to: Vec<Spanned<Scope>>,
    #[serde(default)]
    start: Start,
    #[serde(default)]
    emergency: bool,
    #[serde(default)]
    calendar: Calendar,
    #[serde(default)]
    curve: Option<Curve>,
    #[serde(default)]
    gates: Option<Gates>,
    rings: Spanned<Vec<Spanned<RingFile>>>,
    #[serde(default)]
    caps: Option<Spanned<Caps>>,
    #[serde(default)]
    deadlines: Option<Spanned<Deadlines>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    name: Name,
    #[serde(default)]
    select: Option<Selector>,
    #[serde(default)]
    rest: bool,
    #[serde(default)]
    approval: bool,
    #[serde(default)]
    curve: Option<Curve>,
    #[serde(default)]
    gates: Option<Gates>,
}

impl Policy {
    /// Reads a policy; `file` is only named in errors.
    pub fn parse(file: &Path, text: &str) -> Result<Self, PolicyError> {
        let bytes = text.len();
        if bytes > POLICY_MAX_BYTES {
            return Err(PolicyError::TooLarge { file: file.to_owned(), bytes });
        }
        let read: PolicyFile = yaml::read(text).map_err(|fault| {
            let yaml::Fault { line, column, problem, .. } = fault;
            let advice = "see \"The file\" in docs/rollouts.md";
            PolicyError::Syntax { file: file.to_owned(), line, column, problem, advice }
        })?;
        read.check().map_err(|(line, fault)| PolicyError::Content {
            file: file.to_owned(),
            line,
            fault,
        })
    }

    /// Whether the policy is for this product and channel.
    pub fn applies_to(&self, product: &ProductRef, channel: &ChannelName) -> bool {
        self.applies_to.is_empty()
            || self.applies_to.iter().any(|scope| scope.includes(product, channel))
    }

    /// When the rollout of a release that was published at `published_at` starts: never before it.
    pub fn starts_at(&self, published_at: Timestamp) -> Timestamp {
        match self.start {
            Start::Publication => published_at,
            Start::At(at) => at.max(published_at),
        }
    }

    /// The same policy for an emergency: windows do not count, and every ring has the curve of
    /// that template unless its own is as short already. Freezes, gates, caps and deadlines stay.
    #[must_use]
    pub fn in_emergency(&self) -> Self {
        let fast = Curve::from(Template::Emergency);
        let mut policy = self.clone();
        policy.calendar = self.calendar.without_windows();
        for ring in policy.rings.iter_mut().filter(|ring| ring.curve.length() > fast.length()) {
            ring.curve = fast.clone();
        }
        policy
    }

    /// Index of the ring of a cluster with these labels: the first that selects it.
    pub fn ring_of(&self, labels: &Labels) -> Option<usize> {
        self.rings
            .iter()
            .position(|ring| ring.select.as_ref().is_none_or(|select| select.matches(labels)))
    }
}

type Fault = (u64, PolicyFault);

impl PolicyFile {
    fn check(self) -> Result<Policy, Fault> {
        let line = self.rings.referenced.line();
        let rings = self.rings.value;
        if rings.is_empty() {
            return Err((line, PolicyFault::NoRings));
        }
        if rings.len() > RINGS_MAX {
            return Err((line, PolicyFault::TooManyRings { rings: rings.len() }));
        }
        let curve = self.curve.unwrap_or_else(|| Template::Default.into());
        let gates = self.gates.unwrap_or_default();
        let last = rings.len() - 1;
        let mut checked: Vec<Ring> = Vec::new();
        for (index, ring) in rings.into_iter().enumerate() {
            let line = ring.referenced.line();
            let ring = ring.value;
            check_ring(&ring, index == last, &checked).map_err(|fault| (line, fault))?;
            checked.push(Ring {
                name: ring.name,
                select: ring.select,
                curve: ring.curve.unwrap_or_else(|| curve.clone()),
                gates: ring.gates.unwrap_or_else(|| gates.clone()),
                approval: ring.approval,
            });
        }
        Ok(Policy {
            name: self.name,
            applies_to: check_scopes(self.applies_to)?,
            start: self.start,
            emergency: self.emergency,
            calendar: self.calendar,
            rings: checked,
            caps: check_caps(self.caps)?,
            deadlines: check_deadlines(self.deadlines.as_ref())?,
        })
    }
}

fn check_ring(ring: &RingFile, is_last: bool, before: &[Ring]) -> Result<(), PolicyFault> {
    let name = || ring.name.clone();
    if before.iter().any(|other| other.name == ring.name) {
        return Err(PolicyFault::RingTwice { name: name() });
    }
    if ring.select.is_some() == ring.rest {
        return Err(PolicyFault::RingMembers { name: name() });
    }
    if ring.rest && !is_last {
        return Err(PolicyFault::RestNotLast { name: name() });
    }
    Ok(())
}

fn check_caps(caps: Option<Spanned<Caps>>) -> Result<Caps, Fault> {
    let Some(Spanned { value: caps, referenced, .. }) = caps else { return Ok(Caps::default()) };
    if caps.per_period.is_some_and(|cap| cap.period == Period::ZERO) {
        let fault = PolicyFault::NoTime { key: "caps.per_period.period" };
        return Err((referenced.line(), fault));
    }
    if caps.per_failure_domain.as_ref().is_some_and(|cap| cap.label.is_empty()) {
        return Err((referenced.line(), PolicyFault::NoLabel));
    }
    Ok(caps)
}

fn check_deadlines(deadlines: Option<&Spanned<Deadlines>>) -> Result<Deadlines, Fault> {
    let Some(Spanned { value: deadlines, referenced, .. }) = deadlines else {
        return Ok(Deadlines::default());
    };
    let Deadlines { progress, silence, unit } = *deadlines;
    let named = [
        ("deadlines.progress", progress),
        ("deadlines.silence", silence),
        ("deadlines.unit", unit),
    ];
    match named.into_iter().find(|(_, period)| *period == Period::ZERO) {
        Some((key, _)) => Err((referenced.line(), PolicyFault::NoTime { key })),
        None => Ok(*deadlines),
    }
}

fn check_scopes(scopes: Vec<Spanned<Scope>>) -> Result<Vec<Scope>, Fault> {
    let mut checked = Vec::new();
    for scope in scopes {
        let line = scope.referenced.line();
        let scope = scope.value;
        if scope.vendor.is_some() == scope.product.is_some() {
            return Err((line, PolicyFault::ScopeUnclear));
        }
        if checked.len() == SCOPES_MAX || scope.channels.len() > SCOPES_MAX {
            return Err((line, PolicyFault::TooManyScopes));
        }
        checked.push(scope);
    }
    Ok(checked)
}
