//! The finalize step of a product: one command, found again after a crash like a stage.

use std::path::Path;

use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::template::{Placeholder, Values};
use super::{CommandSpec, Run, Runner};
use crate::driver::{DriverError, StepId, StepStatus};

/// Its directory below that of the step.
const NAME: &str = "finalize";

/// What is to be finalized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalizeOrder {
    /// Identity of the step.
    pub step_id: StepId,
    /// The product.
    pub product: ProductRef,
    /// The release.
    pub release: ReleaseVersion,
    /// Digest of its document.
    pub release_digest: Sha256Digest,
    /// The level its document names, e.g. Kafka's `--release-version`.
    pub level: String,
}

/// Finalizes one product.
#[derive(Debug)]
pub struct Finalizer {
    runner: Runner,
    spec: CommandSpec,
}

impl Finalizer {
    /// A command that keeps its files beside those of stages, in `<state_dir>/steps`.
    pub fn open(state_dir: &Path, spec: CommandSpec) -> Result<Self, DriverError> {
        Ok(Self { runner: Runner::open(state_dir)?, spec })
    }

    /// Starts the command unless it was started before.
    pub async fn start(&self, order: &FinalizeOrder) -> Result<(), DriverError> {
        let values = Values::from([
            (Placeholder::Version, order.release.to_string()),
            (Placeholder::Level, order.level.clone()),
            (Placeholder::ReleaseDigest, order.release_digest.to_string()),
            (Placeholder::StepId, order.step_id.to_string()),
        ]);
        let mut variables = values.variables()?;
        variables.push(("FAIRWAY_PRODUCT".to_owned(), order.product.to_string()));
        variables.push(("FAIRWAY_STAGE".to_owned(), NAME.to_owned()));
        let step = &order.step_id;
        let run = Run { step, name: NAME, spec: &self.spec, values: &values, variables };
        self.runner.start(run).await
    }

    /// How it stands; ends it if it has run for longer than it may.
    pub async fn status(&self, step: &StepId) -> Result<StepStatus, DriverError> {
        self.runner.status(step, NAME, self.spec.timeout).await
    }
}
