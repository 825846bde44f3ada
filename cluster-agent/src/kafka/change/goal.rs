//! What a guided change of the voter set is to reach, and how far it is known to be.

use std::fmt;

use channels::names::ProductRef;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::kafka::quorum::{DirectoryId, Endpoint, QuorumView};

/// What someone asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A controller that is new.
    Add {
        /// Its node id.
        id: i32,
        /// Where it listens.
        endpoint: Endpoint,
    },
    /// A controller goes for good.
    Remove {
        /// Its node id.
        id: i32,
    },
    /// A controller gives its place to a new one with another id.
    Replace {
        /// Who goes.
        id: i32,
        /// Who comes.
        with: i32,
        /// Where the new one listens.
        endpoint: Endpoint,
    },
    /// A controller comes back with a new disk.
    Disk {
        /// Its node id.
        id: i32,
        /// Where it listens, if not where it does now.
        endpoint: Option<Endpoint>,
    },
}

/// The same with what the quorum says: which directory goes, where the new voter listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Goal {
    /// See [`Wish::Add`].
    Add {
        /// Its node id.
        id: i32,
        /// Where it listens.
        endpoints: Vec<Endpoint>,
    },
    /// See [`Wish::Remove`].
    Remove {
        /// Its node id.
        id: i32,
        /// Its directory.
        directory: DirectoryId,
    },
    /// See [`Wish::Replace`].
    Replace {
        /// Who goes.
        id: i32,
        /// Its directory.
        directory: DirectoryId,
        /// Who comes.
        with: i32,
        /// Where the new one listens.
        endpoints: Vec<Endpoint>,
    },
    /// See [`Wish::Disk`].
    Disk {
        /// Its node id.
        id: i32,
        /// The directory that was lost.
        directory: DirectoryId,
        /// Where it listens.
        endpoints: Vec<Endpoint>,
    },
}

/// A voter by id and directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VoterKey {
    pub(super) id: i32,
    pub(super) directory: DirectoryId,
}

/// A voter that is to come: any directory of this id but one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Joining<'a> {
    pub(super) id: i32,
    pub(super) not: Option<DirectoryId>,
    pub(super) endpoints: &'a [Endpoint],
}

impl Goal {
    /// Fills a wish in from what the quorum says at the moment.
    pub fn of(wish: &Wish, view: &QuorumView) -> Result<Self, Refusal> {
        let voter = |id: i32| view.voters.iter().find(|voter| voter.id == i64::from(id));
        let leaving = |id: i32| voter(id).map(|v| v.directory).ok_or(Refusal::NotAVoter { id });
        let free = |id: i32| match voter(id) {
            None => Ok(()),
            Some(_) => Err(Refusal::AlreadyVoter { id }),
        };
        match wish {
            Wish::Add { id, endpoint } => {
                free(*id)?;
                Ok(Self::Add { id: *id, endpoints: vec![endpoint.clone()] })
            }
            Wish::Remove { id } => Ok(Self::Remove { id: *id, directory: leaving(*id)? }),
            Wish::Replace { id, with, endpoint } => {
                let directory = leaving(*id)?;
                free(*with)?;
                Ok(Self::Replace {
                    id: *id,
                    directory,
                    with: *with,
                    endpoints: vec![endpoint.clone()],
                })
            }
            Wish::Disk { id, endpoint } => {
                let directory = leaving(*id)?;
                let known = view.endpoints.get(&i64::from(*id)).cloned().unwrap_or_default();
                let endpoints = endpoint.clone().map_or(known, |endpoint| vec![endpoint]);
                if endpoints.is_empty() {
                    return Err(Refusal::NoEndpoint { id: *id });
                }
                Ok(Self::Disk { id: *id, directory, endpoints })
            }
        }
    }

    /// Whether `wish` asks for just this.
    pub fn is_wish(&self, wish: &Wish) -> bool {
        match (self, wish) {
            (Self::Add { id, endpoints }, Wish::Add { id: other, endpoint }) => {
                id == other && endpoints.contains(endpoint)
            }
            (Self::Remove { id, .. }, Wish::Remove { id: other }) => id == other,
            (
                Self::Replace { id, with, endpoints, .. },
                Wish::Replace { id: other, with: other_with, endpoint },
            ) => id == other && with == other_with && endpoints.contains(endpoint),
            (Self::Disk { id, endpoints, .. }, Wish::Disk { id: other, endpoint }) => {
                id == other && endpoint.as_ref().is_none_or(|endpoint| endpoints.contains(endpoint))
            }
            (
                Self::Add { .. } | Self::Remove { .. } | Self::Replace { .. } | Self::Disk { .. },
                _,
            ) => false,
        }
    }

    /// Who goes.
    pub(super) fn leaving(&self) -> Option<VoterKey> {
        match self {
            Self::Add { .. } => None,
            Self::Remove { id, directory }
            | Self::Replace { id, directory, .. }
            | Self::Disk { id, directory, .. } => Some(VoterKey { id: *id, directory: *directory }),
        }
    }

    /// Who comes.
    pub(super) fn joining(&self) -> Option<Joining<'_>> {
        match self {
            Self::Remove { .. } => None,
            Self::Add { id, endpoints } | Self::Replace { with: id, endpoints, .. } => {
                Some(Joining { id: *id, not: None, endpoints })
            }
            Self::Disk { id, directory, endpoints } => {
                Some(Joining { id: *id, not: Some(*directory), endpoints })
            }
        }
    }
}

impl Goal {
    /// Where controllers listen that may lead before they are configured.
    pub fn newcomers(&self) -> &[Endpoint] {
        self.joining().map_or(&[], |joining| joining.endpoints)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Add { id, .. } => format!("add controller {id}"),
            Self::Remove { id, .. } => format!("remove controller {id}"),
            Self::Replace { id, with, .. } => format!("replace controller {id} by {with}"),
            Self::Disk { id, .. } => format!("replace the disk of controller {id}"),
        };
        f.pad(&text)
    }
}

/// A change that is open; on disk before anything is asked of the quorum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Form of this document.
    pub format: u32,
    /// Whose quorum.
    pub product: ProductRef,
    /// The Kafka cluster, so that a request can reach no other.
    pub cluster_id: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What it is to reach.
    pub goal: Goal,
    /// End of the leader's log when the new voter was first seen: committed once the high
    /// watermark is there.
    pub joined_by: Option<i64>,
    /// The same for the old voter's absence.
    pub left_by: Option<i64>,
}

impl Change {
    /// The form this version writes.
    pub const FORMAT: u32 = 1;
}
