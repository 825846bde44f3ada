//! How a roll is stopped until a person says `resume`, and what is remembered of why.
//!
//! Pure; part of [`Core`]. What `resume` makes of it is `resume`'s.

use channels::wire;
use jiff::Timestamp;

use super::core::{Change, Core};
use super::events::DriverFacts;
use crate::driver::Task;
use crate::history::Pause;
use crate::phase::{Effect, Failed};

/// Gate of the pause when a stage does not get started.
const STAGE_NOT_STARTED: &str = "stage_not_started";

/// How often a stage may be found not started. Once is how `preflight` begins, once is a crash
/// between writing and starting; what fails more often fails for a reason that a person must mend.
const UNSTARTED_MAX: u32 = 3;

/// What a person should know of a unit that went first because it was ill (I5).
const ILL_BEFORE: &str = "; it was not healthy before, and went first for that";

impl Core {
    /// Pauses when a stage is found not started too often, instead of starting it for ever.
    pub(super) fn count_starts(
        &mut self,
        stage: Task,
        unstarted: bool,
        driver: &DriverFacts,
        effects: &mut Vec<Effect>,
        now: Timestamp,
    ) -> Change {
        let Some(out) = &mut self.history.out else { return Change::default() };
        if !unstarted {
            if driver.status.is_some() {
                out.note_started(stage);
            }
            return Change::default();
        }
        let times = out.note_unstarted(stage);
        let counted = Change { persist: true, ..Change::default() };
        if times <= UNSTARTED_MAX {
            return counted;
        }
        effects.retain(|effect| !matches!(effect, Effect::Start(_)));
        let why = self.start_error.as_deref().unwrap_or("its driver does not say why");
        let message = format!("stage {stage} could not be started: {why}");
        counted.and(self.fail(
            Failed::Start,
            wire::WaitingOn {
                gate: STAGE_NOT_STARTED.to_owned(),
                unit: None,
                message,
                observed: Some(f64::from(times)),
                limit: Some(f64::from(UNSTARTED_MAX)),
                since: Some(now),
            },
            now,
        ))
    }

    /// Pauses because the step itself failed. A pause that is in force already takes it in: what
    /// `resume` does, and what a person has to mend, are the failure's.
    pub(super) fn fail(&mut self, failed: Failed, why: wire::WaitingOn, now: Timestamp) -> Change {
        let Some(out) = &mut self.history.out else { return self.pause(why, now) };
        let news = out.failed != Some(failed);
        out.failed = Some(failed);
        let ill = out.was_ill && failed == Failed::Change;
        let note = if ill { ILL_BEFORE } else { "" };
        let message = format!("{}{note}", why.message);
        let unit = why.unit.or_else(|| Some(out.order.key.unit.clone()));
        let why = wire::WaitingOn { message, unit, ..why };
        match &mut self.history.pause {
            None => self.pause(why, now),
            Some(_) if !news => Change::default(),
            Some(pause) => {
                let (gate, said) = (&pause.why.gate, &pause.why.message);
                let message = format!("{}; paused before by {gate}: {said}", why.message);
                pause.why = wire::WaitingOn { message, ..why };
                Change::moved()
            }
        }
    }

    pub(super) fn pause(&mut self, why: wire::WaitingOn, now: Timestamp) -> Change {
        if self.history.pause.is_some() {
            return Change::default();
        }
        let unit = self.history.out.as_mut().map(|out| {
            out.disturbed = true;
            out.order.key.unit.clone()
        });
        let why = wire::WaitingOn { unit: why.unit.or(unit), ..why };
        self.history.pause = Some(Pause { why, at: now });
        Change::moved()
    }
}
