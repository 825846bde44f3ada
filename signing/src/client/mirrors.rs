//! Going on to the next mirror. Two reasons: a mirror gave no usable answer, or its answer did not
//! verify. Either way nothing of it is kept that was not verified, so the next mirror starts from
//! honest state; and either way the failure is reported, by mirror and by attack.
//!
//! What no list of mirrors can tell: a mirror that holds on to old files which have not expired
//! looks like a repository where nothing happens. Expiry bounds that, as with a single source.

use super::{Client, Refreshed, Target};
use crate::Verified;
use crate::attack::Attack;
use crate::causes::chain;
use crate::error::Error;
use crate::names::TargetPath;
use crate::source::{Mirrors, Source};
use crate::store::Store;
use jiff::Timestamp;
use std::fmt;

/// What went wrong at one mirror.
#[derive(Debug)]
pub struct MirrorFailure {
    /// Its name.
    pub mirror: String,
    /// What it did.
    pub error: Error,
}

/// No mirror served what verifies.
#[derive(Debug)]
pub struct MirrorsFailed {
    /// The failures in the order in which the mirrors were asked.
    pub failures: Vec<MirrorFailure>,
}

impl MirrorsFailed {
    /// The first attack among the failures: a mirror that lies is worth more attention than one
    /// that is away.
    pub fn attack(&self) -> Option<Attack> {
        self.failures.iter().find_map(|failure| failure.error.attack())
    }
}

impl fmt::Display for MirrorsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no mirror served what verifies")?;
        for MirrorFailure { mirror, error } in &self.failures {
            write!(f, "; {mirror}: {}", chain(error))?;
            if let Some(attack) = error.attack() {
                write!(f, " ({attack})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for MirrorsFailed {}

/// An answer that verified, and who failed before it.
#[derive(Debug)]
pub struct FromMirror<R> {
    /// The answer.
    pub value: R,
    /// The mirror that served it.
    pub mirror: String,
    /// Mirrors that were asked before and failed.
    pub failures: Vec<MirrorFailure>,
}

/// One turn through the mirrors.
struct Turn {
    next: usize,
    left: usize,
    failures: Vec<MirrorFailure>,
}

impl Turn {
    fn new<S>(mirrors: &Mirrors<S>, first: usize) -> Self {
        Self { next: first, left: mirrors.count(), failures: Vec::new() }
    }

    /// Selects the next mirror; false when all were asked.
    fn select<S>(&mut self, mirrors: &Mirrors<S>) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        mirrors.select(self.next);
        self.left = left;
        self.next = self.next.saturating_add(1);
        true
    }

    /// The end of the turn, if this result is one. A broken store is: it is ours, and no mirror
    /// can mend it.
    fn ends<R>(
        &mut self,
        mirror: &str,
        result: Result<R, Error>,
    ) -> Option<Result<FromMirror<R>, MirrorsFailed>> {
        let mirror = mirror.to_owned();
        match result {
            Ok(value) => {
                Some(Ok(FromMirror { value, mirror, failures: std::mem::take(&mut self.failures) }))
            }
            Err(error) => {
                let ours = matches!(error, Error::Store(_));
                self.failures.push(MirrorFailure { mirror, error });
                ours.then(|| Err(self.failed()))
            }
        }
    }

    fn failed(&mut self) -> MirrorsFailed {
        MirrorsFailed { failures: std::mem::take(&mut self.failures) }
    }
}

impl<S: Source, T: Store> Client<Mirrors<S>, T> {
    /// [`Client::refresh`] from the first mirror whose files verify, in order of preference.
    pub async fn refresh_any(
        &mut self,
        now: Timestamp,
    ) -> Result<FromMirror<Refreshed>, MirrorsFailed> {
        let mut turn = Turn::new(&self.source, 0);
        while turn.select(&self.source) {
            let result = self.refresh(now).await;
            if let Some(end) = turn.ends(self.source.current(), result) {
                return end;
            }
        }
        Err(turn.failed())
    }

    /// [`Client::target`], beginning at the mirror that served the last answer.
    pub async fn target_any(
        &mut self,
        path: &TargetPath,
        now: Timestamp,
    ) -> Result<FromMirror<Option<Verified<Target>>>, MirrorsFailed> {
        let mut turn = Turn::new(&self.source, self.source.index());
        while turn.select(&self.source) {
            let result = self.target(path, now).await;
            if let Some(end) = turn.ends(self.source.current(), result) {
                return end;
            }
        }
        Err(turn.failed())
    }

    /// [`Client::fetch_target`], beginning at the mirror that served the last answer.
    pub async fn fetch_target_any(
        &mut self,
        target: &Verified<Target>,
    ) -> Result<FromMirror<Verified<Vec<u8>>>, MirrorsFailed> {
        let mut turn = Turn::new(&self.source, self.source.index());
        while turn.select(&self.source) {
            let result = self.fetch_target(target).await;
            if let Some(end) = turn.ends(self.source.current(), result) {
                return end;
            }
        }
        Err(turn.failed())
    }
}
