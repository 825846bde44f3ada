//! What is kept of old steps: a bounded number of them, each with a bounded log.
//!
//! Never touches the step in hand, nor one of which a stage runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::STEPS_KEPT;
use super::stage_dir::{StageDir, file_error};
use crate::driver::{DriverError, StepId};

/// Removes the oldest steps below `steps` beyond [`STEPS_KEPT`] and cuts the logs of the others.
pub(super) fn prune(steps: &Path, in_hand: Option<&StepId>) -> Result<(), DriverError> {
    let entries = match fs::read_dir(steps) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(file_error("read", steps, source)),
    };
    let in_hand = in_hand.map(|step| steps.join(step.to_string()));
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    let mut excess = found.len().saturating_sub(STEPS_KEPT);
    for (_, step) in found {
        let stages = commands_of(&step);
        if in_hand.as_ref() == Some(&step) || stages.iter().any(StageDir::may_run) {
            continue;
        }
        if excess > 0 {
            excess -= 1;
            remove(&step)?;
            continue;
        }
        for stage in stages {
            stage.shorten_log()?;
        }
    }
    Ok(())
}

/// Ends whatever still runs below `root` and removes all of it.
pub(super) fn clear(root: &Path) -> Result<(), DriverError> {
    for step in folders(root) {
        for command in commands_of(&step) {
            command.end()?;
        }
        remove(&step)?;
    }
    Ok(())
}

/// The commands that a step has started.
fn commands_of(step: &Path) -> Vec<StageDir> {
    folders(step).into_iter().map(StageDir::new).collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return vec![] };
    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|p| p.is_dir()).collect()
}

/// Another driver of the same agent may have been quicker.
fn remove(step: &Path) -> Result<(), DriverError> {
    match fs::remove_dir_all(step) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file_error("remove", step, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
