//! Crash points: a test aid that ends the process at a chosen place of a step.
//!
//! `FAIRWAY_CRASH_AT=<phase>:<before|after>` is read once at start. `before` ends the process when
//! the phase has been persisted and its effect has not run; `after` ends it when the effect has
//! run. Unset, which is every production process, nothing here does anything.

use std::str::FromStr;

use channels::wire;

/// On which side of a phase's effect the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The phase is on disk, its effect has not run.
    Before,
    /// The effect has run, nothing after it has been persisted.
    After,
}

/// Where the process ends, if anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrashPoint(Option<(String, Side)>);

/// The variable that names the crash point.
pub const VARIABLE: &str = "FAIRWAY_CRASH_AT";

/// The text is not `<phase>:<before|after>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}={0:?} is not <phase>:<before|after>")]
pub struct CrashPointError(String);

impl CrashPoint {
    /// No crash point.
    pub fn none() -> Self {
        Self(None)
    }

    /// Reads the environment.
    pub fn from_env() -> Result<Self, CrashPointError> {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => text.parse(),
            Ok(_) | Err(_) => Ok(Self::none()),
        }
    }

    /// Whether the process ends here.
    pub fn is_at(&self, phase: wire::Phase, side: Side) -> bool {
        self.0.as_ref().is_some_and(|(name, at)| name == phase.as_str() && *at == side)
    }

    /// Ends the process without unwinding if this is the place, as `kill -9` would.
    pub fn pass(&self, phase: wire::Phase, side: Side) {
        if self.is_at(phase, side) {
            tracing::warn!(phase = phase.as_str(), ?side, "crash point reached, aborting");
            std::process::abort();
        }
    }
}

impl FromStr for CrashPoint {
    type Err = CrashPointError;
    fn from_str(text: &str) -> Result<Self, CrashPointError> {
        let refused = || CrashPointError(text.chars().take(80).collect());
        let (phase, side) = text.split_once(':').ok_or_else(refused)?;
        let side = match side {
            "before" => Side::Before,
            "after" => Side::After,
            _ => return Err(refused()),
        };
        Ok(Self(Some((phase.to_owned(), side))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_point_names_phase_and_side() {
        let point: CrashPoint = "mutate:after".parse().unwrap();
        assert!(point.is_at(wire::Phase::Mutate, Side::After));
        assert!(!point.is_at(wire::Phase::Mutate, Side::Before));
        assert!(!point.is_at(wire::Phase::Soak, Side::After));
        assert!("mutate".parse::<CrashPoint>().is_err());
        assert!(!CrashPoint::none().is_at(wire::Phase::Mutate, Side::After));
    }
}
