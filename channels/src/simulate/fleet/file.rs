//! The fleet file: groups of clusters that are alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{CLUSTERS_MAX, Fleet, Habits, Member, Upgrade};
use crate::names::ClusterId;
use crate::rollout::{Labels, Name, Percent, Period};
use crate::simulate::draw::Dice;
use crate::version::ReleaseVersion;
use crate::yaml;

/// Largest fleet file read; a thousand groups with their labels have 300 kB.
pub const FLEET_MAX_BYTES: usize = 1024 * 1024;
/// Most groups of a fleet file.
const GROUPS_MAX: usize = 1_000;

/// A fleet file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The file is larger than is read (1 MiB).
    #[error(
        "{}: has {bytes} bytes; at most {max} are read, put clusters that are alike into one group",
        file.display(), max = FLEET_MAX_BYTES
    )]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The file is not well formed, or a value in it is not what its key asks for.
    #[error("{}:{line}:{column}: {problem}; see \"Simulate\" in docs/rollouts.md", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1; 0 when the parser cannot tell.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        problem: String,
    },
    /// Values that are well formed each, and do not fit together.
    #[error("{}:{line}: {fault}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong and what to do.
        fault: FleetFault,
    },
}

/// What does not fit together in a fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetFault {
    /// Nobody to upgrade.
    #[error("the fleet has no clusters; write at least one group with `clusters: 1`")]
    NoClusters,
    /// More clusters than are simulated.
    #[error("the fleet has {clusters} clusters; at most {max} are simulated", max = CLUSTERS_MAX)]
    TooManyClusters {
        /// How many.
        clusters: usize,
    },
    /// More groups than are read.
    #[error("the fleet has {groups} groups; at most {max} are read", max = GROUPS_MAX)]
    TooManyGroups {
        /// How many.
        groups: usize,
    },
    /// Two groups of one name.
    #[error("two groups are called {name}; give each its own name")]
    GroupTwice {
        /// The name.
        name: Name,
    },
    /// One identity twice.
    #[error("two clusters have the identity {id}; a cluster is in a fleet once")]
    ClusterTwice {
        /// The identity.
        id: ClusterId,
    },
    /// A length below the one that must be shorter.
    #[error(
        "group {name}: an upgrade takes {shortest}, {typical} and {longest}; write them in rising \
         order, the shortest at least 1s"
    )]
    UpgradeOutOfOrder {
        /// The group.
        name: Name,
        /// What was written.
        shortest: Period,
        /// What was written.
        typical: Period,
        /// What was written.
        longest: Period,
    },
    /// A share above the whole.
    #[error("group {name}: `{key}` is {share}; write at most 100%")]
    ShareAboveAll {
        /// The group.
        name: Name,
        /// The key.
        key: &'static str,
        /// What was written.
        share: Percent,
    },
    /// A cluster that would change every instant.
    #[error("group {name}: `stretch` is {stretch}; write at least 1m")]
    StretchTooShort {
        /// The group.
        name: Name,
        /// What was written.
        stretch: Period,
    },
    /// A label is dealt from no values, or said twice.
    #[error(
        "group {name}: label {label:?} of `spread` needs values, and must not be in `labels` too"
    )]
    Spread {
        /// The group.
        name: Name,
        /// The label.
        label: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetFile {
    name: Name,
    groups: Vec<Spanned<Group>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: Name,
    clusters: u32,
    #[serde(default)]
    version: Option<ReleaseVersion>,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    spread: BTreeMap<String, Vec<String>>,
    #[serde(default = "upgrade")]
    upgrade: Upgrade,
    #[serde(default = "online")]
    online: Percent,
    #[serde(default = "stretch")]
    stretch: Period,
    #[serde(default = "failing")]
    failing: Percent,
    #[serde(default = "unknown")]
    unknown: Percent,
    #[serde(default = "unknown_for")]
    unknown_for: Period,
}

fn upgrade() -> Upgrade {
    Habits::DEFAULT.upgrade
}
fn online() -> Percent {
    Habits::DEFAULT.online
}
fn stretch() -> Period {
    Habits::DEFAULT.stretch
}
fn failing() -> Percent {
    Habits::DEFAULT.failing
}
fn unknown() -> Percent {
    Habits::DEFAULT.unknown
}
fn unknown_for() -> Period {
    Habits::DEFAULT.unknown_for
}

impl Fleet {
    /// Reads a fleet file; `seed` fixes the identities of its clusters. `file` is named in errors.
    pub fn from_yaml(file: &Path, text: &str, seed: u64) -> Result<Self, FleetError> {
        let bytes = text.len();
        if bytes > FLEET_MAX_BYTES {
            return Err(FleetError::TooLarge { file: file.to_owned(), bytes });
        }
        let read: FleetFile = yaml::read(text).map_err(|fault| {
            let yaml::Fault { line, column, problem, .. } = fault;
            FleetError::Syntax { file: file.to_owned(), line, column, problem }
        })?;
        read.fleet(Dice::new(seed)).map_err(|(line, fault)| FleetError::Content {
            file: file.to_owned(),
            line,
            fault,
        })
    }
}

type Fault = (u64, FleetFault);

impl FleetFile {
    fn fleet(self, dice: Dice) -> Result<Fleet, Fault> {
        let groups = self.groups.len();
        if groups > GROUPS_MAX {
            return Err((1, FleetFault::TooManyGroups { groups }));
        }
        let mut names = BTreeSet::new();
        let mut members = Vec::new();
        for group in self.groups {
            let line = group.referenced.line();
            let group = group.value;
            group.check().map_err(|fault| (line, fault))?;
            if !names.insert(group.name.clone()) {
                return Err((line, FleetFault::GroupTwice { name: group.name }));
            }
            let clusters = usize::try_from(group.clusters).unwrap_or(usize::MAX);
            let clusters = members.len().saturating_add(clusters);
            if clusters > CLUSTERS_MAX {
                return Err((line, FleetFault::TooManyClusters { clusters }));
            }
            group.settle(dice, &mut members);
        }
        Fleet::new(self.name.to_string(), members).map_err(|fault| (1, fault))
    }
}

impl Group {
    fn check(&self) -> Result<(), FleetFault> {
        let name = || self.name.clone();
        let Upgrade { shortest, typical, longest } = self.upgrade;
        if shortest == Period::ZERO || shortest > typical || typical > longest {
            return Err(FleetFault::UpgradeOutOfOrder { name: name(), shortest, typical, longest });
        }
        for (key, share) in
            [("online", self.online), ("failing", self.failing), ("unknown", self.unknown)]
        {
            if share > Percent::ALL {
                return Err(FleetFault::ShareAboveAll { name: name(), key, share });
            }
        }
        if self.stretch < Period::from_mins(1) {
            return Err(FleetFault::StretchTooShort { name: name(), stretch: self.stretch });
        }
        let unclear = |(label, values): &(&String, &Vec<String>)| {
            values.is_empty() || self.labels.contains_key(*label)
        };
        match self.spread.iter().find(unclear) {
            Some((label, _)) => Err(FleetFault::Spread { name: name(), label: label.clone() }),
            None => Ok(()),
        }
    }

    /// Adds the group's clusters. Values of `spread` are dealt round, every combination in turn.
    fn settle(&self, dice: Dice, members: &mut Vec<Member>) {
        let habits = Habits {
            upgrade: self.upgrade,
            online: self.online,
            stretch: self.stretch,
            failing: self.failing,
            unknown: self.unknown,
            unknown_for: self.unknown_for,
        };
        let mut shared: BTreeMap<Labels, Arc<Labels>> = BTreeMap::new();
        for number in 0..self.clusters {
            let mut labels = self.labels.clone();
            let mut rest = usize::try_from(number).unwrap_or(usize::MAX);
            for (label, values) in &self.spread {
                let count = values.len().max(1);
                if let Some(value) = values.get(rest % count) {
                    labels.insert(label.clone(), value.clone());
                }
                rest /= count;
            }
            // A fleet has few combinations of labels, and many clusters with each.
            let known = shared.entry(labels).or_insert_with_key(|labels| Arc::new(labels.clone()));
            let labels = Arc::clone(known);
            let id = dice.identity(u64::try_from(members.len()).unwrap_or(u64::MAX));
            let name = format!("{}-{}", self.name, number + 1);
            members.push(Member { id, name, labels, version: self.version.clone(), habits });
        }
    }
}
