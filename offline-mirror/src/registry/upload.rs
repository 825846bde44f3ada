//! The body of an upload: pieces of a source, within the byte rate, watched for being taken.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use reqwest::Body;
use tokio::time::Instant;

use super::body::SILENCE_MAX;
use super::pace::Traffic;
use super::push::Pieces;

/// Time for a registry to take a finished blob over: some hash it again, and large ones take
/// minutes.
pub(super) const COMMIT_MAX: Duration = Duration::from_mins(10);

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The source's or the byte rate's: as long as they want.
    Ours,
    /// The registry's, since then, to take a piece.
    Taking(Instant),
    /// The registry's, since then, to answer: it has everything.
    Answering(Instant),
}

#[derive(Debug)]
struct State {
    turn: Turn,
    /// What the source failed with, told past the HTTP client, which would call it a broken
    /// connection.
    failed: Option<io::Error>,
}

/// One upload's progress, shared between its body and whoever waits for the answer.
#[derive(Debug, Clone)]
pub(super) struct Upload(Arc<Mutex<State>>);

impl Default for Upload {
    /// Nothing was taken yet; connecting and signing in have bounds of their own.
    fn default() -> Self {
        let turn = Turn::Taking(Instant::now());
        Self(Arc::new(Mutex::new(State { turn, failed: None })))
    }
}

impl Upload {
    /// The body made of `pieces`.
    pub(super) fn body(&self, pieces: Pieces, traffic: Arc<Traffic>) -> Body {
        let start = (self.clone(), pieces, traffic);
        Body::wrap_stream(stream::unfold(start, |(upload, mut pieces, traffic)| async move {
            upload.set(Turn::Ours);
            let Some(piece) = pieces.next().await else {
                upload.set(Turn::Answering(Instant::now()));
                return None;
            };
            let piece = match piece {
                Ok(bytes) => {
                    traffic.moved(bytes.len()).await;
                    Ok(bytes)
                }
                Err(error) => {
                    upload.with(|state| state.failed = Some(error));
                    Err(io::Error::other("the source failed"))
                }
            };
            upload.set(Turn::Taking(Instant::now()));
            Some((piece, (upload, pieces, traffic)))
        }))
    }

    /// Ends when the registry takes nothing or does not answer for too long; answers how long.
    pub(super) async fn stalled(&self) -> Duration {
        loop {
            let turn = self.with(|state| state.turn);
            let (since, most) = match turn {
                Turn::Ours => (Instant::now(), SILENCE_MAX),
                Turn::Taking(since) => (since, SILENCE_MAX),
                Turn::Answering(since) => (since, COMMIT_MAX),
            };
            tokio::time::sleep_until(since + most).await;
            if turn != Turn::Ours && self.with(|state| state.turn) == turn {
                return most;
            }
        }
    }

    /// What the source failed with.
    pub(super) fn failed(&self) -> Option<io::Error> {
        self.with(|state| state.failed.take())
    }

    fn set(&self, turn: Turn) {
        self.with(|state| state.turn = turn);
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Nothing in here panics.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
