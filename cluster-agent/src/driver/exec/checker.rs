//! Checks before a roll: the owner's commands, which change nothing.
//!
//! Nobody looks for a check after a crash: it is run again. So whatever an agent that was killed
//! left running is ended when the next one opens its checks.

use std::path::Path;

use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use channels::wire::Component;
use signing::Sha256Digest;

use super::template::{Placeholder, Values};
use super::{CommandSpec, Run, Runner};
use crate::driver::{DriverError, StepId, StepStatus};
use crate::observation::UnitKey;

/// Where checks are kept, below the state directory.
const CHECKS: &str = "checks";

/// What is to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOrder {
    /// Name of the check.
    pub name: String,
    /// The product.
    pub product: ProductRef,
    /// The release it comes from.
    pub from: ReleaseVersion,
    /// The release it goes to.
    pub to: ReleaseVersion,
    /// Digest of that release's document.
    pub release: Sha256Digest,
    /// The unit and what it is to take; `None` = the whole roll.
    pub unit: Option<(UnitKey, Component)>,
}

/// Runs checks.
#[derive(Debug)]
pub struct Checker {
    runner: Runner,
}

impl Checker {
    /// Ends and forgets the checks of the agent before this one.
    pub fn open(state_dir: &Path) -> Result<Self, DriverError> {
        Ok(Self { runner: Runner::open_afresh(state_dir, CHECKS)? })
    }

    /// Starts a check under an id of its own.
    pub async fn start(
        &self,
        id: &StepId,
        spec: &CommandSpec,
        order: &CheckOrder,
    ) -> Result<(), DriverError> {
        let mut values = Values::from([
            (Placeholder::Version, order.to.to_string()),
            (Placeholder::From, order.from.to_string()),
            (Placeholder::ReleaseDigest, order.release.to_string()),
            (Placeholder::StepId, id.to_string()),
        ]);
        if let Some((key, component)) = &order.unit {
            values.extend([
                (Placeholder::Unit, key.unit.to_string()),
                (Placeholder::ComponentVersion, component.version.clone()),
                (Placeholder::Digest, component.image.digest.to_string()),
                (Placeholder::Repository, component.image.repository.clone()),
            ]);
        }
        let mut variables = values.variables()?;
        variables.push(("FAIRWAY_PRODUCT".to_owned(), order.product.to_string()));
        variables.push(("FAIRWAY_CHECK".to_owned(), order.name.clone()));
        let run = Run { step: id, name: CHECKS, spec, values: &values, variables };
        self.runner.start(run).await
    }

    /// How a check stands; ends it if it has run for longer than it may.
    pub async fn status(&self, id: &StepId, spec: &CommandSpec) -> Result<StepStatus, DriverError> {
        self.runner.status(id, CHECKS, spec.timeout).await
    }
}
