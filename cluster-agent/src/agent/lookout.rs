//! Asks a slow source in the background, one look at a time.
//!
//! The agent's round never waits for it: a look is begun when it is due and taken when it is in, so
//! a source that hangs costs its own words and nothing else.

use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::kube::{Gathered, Look, Watcher};
use crate::observation::UnitKey;
use crate::phase::elapsed_ms;

/// The API server, asked in the background.
#[derive(Debug)]
pub(super) struct Lookout {
    state: State,
    begun_at: Option<Timestamp>,
}

#[derive(Debug)]
enum State {
    Ready(Box<Watcher>),
    Asking(JoinHandle<(Box<Watcher>, Gathered)>),
    /// Its task ended in a panic; nothing is said any more, so everything it says grows old.
    Lost,
}

impl Lookout {
    pub(super) fn new(watcher: Watcher) -> Self {
        Self { state: State::Ready(Box::new(watcher)), begun_at: None }
    }

    /// Takes a look that is in, and begins the next one if it is due.
    pub(super) async fn poll(
        &mut self,
        period_ms: u64,
        out: Option<&UnitKey>,
        now: Timestamp,
    ) -> Option<Look> {
        let look = self.take(out).await;
        // A clock that went back must not stop looking.
        let due = self.begun_at.is_none_or(|at| at > now || elapsed_ms(at, now) >= period_ms);
        if due {
            self.begin(out, now);
        }
        look
    }

    async fn take(&mut self, out: Option<&UnitKey>) -> Option<Look> {
        match std::mem::replace(&mut self.state, State::Lost) {
            State::Asking(task) if task.is_finished() => match task.await {
                Ok((watcher, gathered)) => {
                    self.state = State::Ready(watcher);
                    Some(gathered.judge(out))
                }
                Err(error) => {
                    tracing::error!(%error, "the task that asks the API server ended early");
                    None
                }
            },
            state @ (State::Ready(_) | State::Asking(_) | State::Lost) => {
                self.state = state;
                None
            }
        }
    }

    fn begin(&mut self, out: Option<&UnitKey>, now: Timestamp) {
        match std::mem::replace(&mut self.state, State::Lost) {
            State::Ready(mut watcher) => {
                let out = out.cloned();
                self.begun_at = Some(now);
                self.state = State::Asking(tokio::spawn(async move {
                    let gathered = watcher.gather(out.as_ref(), now).await;
                    (watcher, gathered)
                }));
            }
            state @ (State::Asking(_) | State::Lost) => self.state = state,
        }
    }
}
