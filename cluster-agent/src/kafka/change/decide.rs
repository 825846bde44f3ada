//! The next act of a guided change, from what the quorum says now. Pure, and asked again before
//! every act: what was done before a crash is found in the quorum, not remembered.
//!
//! Order matters. A new id joins before the old one leaves, so the quorum never shrinks. The same
//! id on a new disk must leave first: two voters of one id cannot be (`DUPLICATE_VOTER`).

use super::goal::{Change, Goal, Joining, VoterKey};
use super::refusal::{behind, others};
use crate::kafka::quorum::{CaughtUp, DirectoryId, Endpoint, QuorumView, Replica};

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask the leader to add a voter.
    Add {
        /// Its node id.
        id: i32,
        /// Its directory.
        directory: DirectoryId,
        /// Where it listens.
        endpoints: Vec<Endpoint>,
    },
    /// Ask the leader to remove a voter.
    Remove {
        /// Its node id.
        id: i32,
        /// Its directory.
        directory: DirectoryId,
    },
    /// The new voter is seen: committed once the high watermark reaches this offset.
    NoteJoined(i64),
    /// The old voter's absence is seen, likewise.
    NoteLeft(i64),
    /// Something outside must happen first.
    Wait(Wait),
    /// The goal is reached and committed.
    Done,
}

/// What is waited for. `Display` is the sentence people read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentence above each variant says what its fields hold")]
pub enum Wait {
    #[error("controller {id} does not fetch as an observer yet")]
    NoObserver { id: i32 },
    #[error("controller {id} fetches from {observed} directories, 1 is expected: stop all but one")]
    SeveralObservers { id: i32, observed: usize },
    #[error("controller {id} is an observer and has not caught up: {}", lag(*behind_ms))]
    ObserverBehind { id: i32, behind_ms: Option<u64> },
    #[error("controller {id} is a voter on a directory that nobody asked for: {directory}")]
    OtherDirectory { id: i32, directory: DirectoryId },
    #[error("other voters are not caught up: {others:?}")]
    OthersBehind { others: Vec<i64> },
    #[error("the change is not committed: high watermark {observed:?}, needed {limit}")]
    NotCommitted { observed: Option<i64>, limit: i64 },
    #[error("the leader does not tell the end of its log")]
    NoLogEnd,
}

fn lag(behind_ms: Option<u64>) -> String {
    behind_ms.map_or("never yet".to_owned(), |ms| format!("{ms} ms behind"))
}

/// The next act.
pub fn next(change: &Change, view: &QuorumView, fetch_timeout_ms: u64) -> Next {
    let scene = Scene { change, view, fetch_timeout_ms };
    let leaving = change.goal.leaving();
    let joining = change.goal.joining();
    let join = || joining.and_then(|joining| scene.join(joining));
    let leave = || leaving.and_then(|leaving| scene.leave(leaving));
    let act = match &change.goal {
        Goal::Add { .. } | Goal::Remove { .. } | Goal::Replace { .. } => join().or_else(leave),
        Goal::Disk { .. } => {
            // Nobody leaves before the one that takes the place is ready.
            let ready = joining.and_then(|joining| scene.not_ready(joining));
            ready.map(Next::Wait).or_else(leave).or_else(join)
        }
    };
    act.unwrap_or(Next::Done)
}

struct Scene<'a> {
    change: &'a Change,
    view: &'a QuorumView,
    fetch_timeout_ms: u64,
}

impl Scene<'_> {
    /// What is still to do until the new voter is one; `None` = nothing.
    fn join(&self, joining: Joining<'_>) -> Option<Next> {
        if self.joined(joining).is_some() {
            return self.committed(self.change.joined_by, Next::NoteJoined);
        }
        let observer = match self.candidate(joining) {
            Ok(observer) => observer,
            Err(wait) => return Some(Next::Wait(wait)),
        };
        Some(self.others_ready().map_or_else(
            || Next::Add {
                id: joining.id,
                directory: observer.directory,
                endpoints: joining.endpoints.to_vec(),
            },
            Next::Wait,
        ))
    }

    /// What is still to do until the old voter is none; `None` = nothing.
    fn leave(&self, leaving: VoterKey) -> Option<Next> {
        let there =
            self.view.voters.iter().any(|voter| {
                voter.id == i64::from(leaving.id) && voter.directory == leaving.directory
            });
        if !there {
            return self.committed(self.change.left_by, Next::NoteLeft);
        }
        let remove = Next::Remove { id: leaving.id, directory: leaving.directory };
        Some(self.others_ready().map_or(remove, Next::Wait))
    }

    /// Why the new voter could not be added now; `None` also if it is one already.
    fn not_ready(&self, joining: Joining<'_>) -> Option<Wait> {
        match self.joined(joining) {
            Some(_) => None,
            None => self.candidate(joining).err(),
        }
    }

    fn joined(&self, joining: Joining<'_>) -> Option<&Replica> {
        of(&self.view.voters, joining).next()
    }

    /// The observer that is to become the voter.
    fn candidate(&self, joining: Joining<'_>) -> Result<&Replica, Wait> {
        let id = joining.id;
        let found: Vec<&Replica> = of(&self.view.observers, joining).collect();
        // An observer that stopped is remembered for five minutes; one that fetches is not behind.
        let live: Vec<&&Replica> = found
            .iter()
            .filter(|observer| self.view.caught_up(observer, self.fetch_timeout_ms).is_yes())
            .collect();
        match (live.as_slice(), found.as_slice()) {
            ([observer], _) => Ok(observer),
            ([], []) => Err(Wait::NoObserver { id }),
            ([], [observer, ..]) => {
                let behind_ms = match self.view.caught_up(observer, self.fetch_timeout_ms) {
                    CaughtUp::Yes(ms) | CaughtUp::Behind(ms) => Some(ms),
                    CaughtUp::Never => None,
                };
                Err(Wait::ObserverBehind { id, behind_ms })
            }
            ([_, _, ..], _) => Err(Wait::SeveralObservers { id, observed: live.len() }),
        }
    }

    fn others_ready(&self) -> Option<Wait> {
        let others = others(&self.change.goal, self.view);
        let others = behind(&others, self.view, self.fetch_timeout_ms);
        (!others.is_empty()).then_some(Wait::OthersBehind { others })
    }

    fn committed(&self, by: Option<i64>, note: fn(i64) -> Next) -> Option<Next> {
        match by {
            None => {
                Some(self.view.leader_log_end_offset().map_or(Next::Wait(Wait::NoLogEnd), note))
            }
            Some(limit) if self.view.high_watermark.is_some_and(|at| at >= limit) => None,
            Some(limit) => {
                let observed = self.view.high_watermark;
                Some(Next::Wait(Wait::NotCommitted { observed, limit }))
            }
        }
    }
}

/// Replicas that could be the one that joins.
fn of<'r>(replicas: &'r [Replica], joining: Joining<'_>) -> impl Iterator<Item = &'r Replica> {
    let (id, not) = (i64::from(joining.id), joining.not);
    replicas.iter().filter(move |replica| {
        replica.id == id && replica.directory != DirectoryId::NONE && Some(replica.directory) != not
    })
}
