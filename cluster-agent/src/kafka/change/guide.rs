//! Drives a change that is open: asks the quorum, does the next act, and again until it is done.
//!
//! May be killed at any line and run again: the file says what is to be reached, the quorum says
//! what already is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::decide::{Next, next};
use super::file::{ChangeFile, Held};
use super::goal::Change;
use crate::kafka::client::KafkaClient;
use crate::kafka::error::{ErrorCode, KafkaError};
use crate::state::StateError;

/// Between two looks at the quorum.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Why a change stopped; its file stays, and it goes on when the command is run again.
#[derive(Debug, thiserror::Error)]
pub enum GuideError {
    /// The file.
    #[error("the open change cannot be kept")]
    File(#[source] StateError),
    /// The leader refuses, and waiting will not help.
    #[error("{act} is refused")]
    Refused {
        /// What was asked.
        act: String,
        /// What it said.
        #[source]
        source: KafkaError,
    },
}

/// How a drive ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The goal is reached and committed; the file is gone.
    Done,
    /// The file is gone or another's: somebody closed the change, so nothing more is done.
    Closed,
    /// Time is up; the file stays.
    Waiting {
        /// What for.
        why: String,
    },
}

/// What came of one act.
enum Acted {
    /// It was done.
    Done,
    /// The quorum has to be looked at again, for this reason.
    LookAgain(String),
    /// It was not begun: the change was closed.
    Closed,
}

/// One drive.
#[derive(Debug)]
pub struct Guide<'a> {
    /// Whom to ask.
    pub client: &'a mut KafkaClient,
    /// Where progress is kept.
    pub file: &'a ChangeFile,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: u64,
}

impl Guide<'_> {
    /// Goes on until the goal is reached, the leader refuses, or `until`. `say` hears every act and
    /// every new reason to wait, once.
    pub async fn drive(
        &mut self,
        change: &mut Change,
        until: Instant,
        say: &mut (dyn FnMut(String) + Send),
    ) -> Result<Ended, GuideError> {
        let mut said = String::new();
        self.client.also_ask(change.goal.newcomers());
        loop {
            let looked = self.client.describe().await;
            // A waiting command may be forgotten for a day: it goes on only with its own change.
            if self.file.held(change).map_err(GuideError::File)? == Held::Closed {
                return Ok(Ended::Closed);
            }
            let why = match looked {
                Err(error) => error.story(),
                Ok(view) => match next(change, &view, self.fetch_timeout_ms) {
                    Next::Done => {
                        return Ok(match self.file.end(change).map_err(GuideError::File)? {
                            Held::Still => Ended::Done,
                            Held::Closed => Ended::Closed,
                        });
                    }
                    Next::Wait(wait) => wait.to_string(),
                    act @ (Next::Add { .. }
                    | Next::Remove { .. }
                    | Next::NoteJoined(_)
                    | Next::NoteLeft(_)) => match self.act(change, act, say).await? {
                        Acted::Closed => return Ok(Ended::Closed),
                        Acted::Done => continue,
                        Acted::LookAgain(why) => why,
                    },
                },
            };
            if Instant::now() >= until {
                return Ok(Ended::Waiting { why });
            }
            if why != said {
                say(format!("waiting: {why}"));
                said = why;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Does one act, unless the change was closed.
    async fn act(
        &mut self,
        change: &mut Change,
        act: Next,
        say: &mut (dyn FnMut(String) + Send),
    ) -> Result<Acted, GuideError> {
        let known = change.clone();
        match act {
            Next::NoteJoined(offset) => change.joined_by = Some(offset),
            Next::NoteLeft(offset) => change.left_by = Some(offset),
            Next::Add { .. } => change.joined_by = None,
            Next::Remove { .. } => change.left_by = None,
            Next::Wait(_) | Next::Done => return Ok(Acted::Done),
        }
        if self.file.note(&known, change).map_err(GuideError::File)? == Held::Closed {
            return Ok(Acted::Closed);
        }
        let (what, answer) = match &act {
            Next::Add { id, directory, endpoints } => {
                let what = format!("adding controller {id}, directory {directory}");
                say(what.clone());
                let client = &mut *self.client;
                (what, client.add_voter(&change.cluster_id, *id, *directory, endpoints).await)
            }
            Next::Remove { id, directory } => {
                let what = format!("removing controller {id}, directory {directory}");
                say(what.clone());
                let client = &mut *self.client;
                (what, client.remove_voter(&change.cluster_id, *id, *directory).await)
            }
            Next::NoteJoined(_) | Next::NoteLeft(_) | Next::Wait(_) | Next::Done => {
                return Ok(Acted::Done);
            }
        };
        match answer {
            Ok(()) => Ok(Acted::Done),
            Err(error) if passes(&error) => {
                Ok(Acted::LookAgain(format!("{what}: {}", error.story())))
            }
            Err(source) => Err(GuideError::Refused { act: what, source }),
        }
    }
}

/// Whether the next look at the quorum may find things better, or done.
fn passes(error: &KafkaError) -> bool {
    let known = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::DUPLICATE_VOTER,
        ErrorCode::VOTER_NOT_FOUND,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::FENCED_LEADER_EPOCH,
    ];
    error.may_have_happened()
        || matches!(error, KafkaError::NoLeader { .. } | KafkaError::Connect { .. })
        || error.code().is_some_and(|code| known.contains(&code))
}
