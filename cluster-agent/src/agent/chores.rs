//! What the shell does beside steps on units: finalize steps, checks, and naming what is missing.
//!
//! Part of [`Shell`]; nothing in here decides.

use signing::causes::chain;

use super::AgentError;
use super::shell::Shell;
use crate::clock;
use crate::driver::FinalizeOrder;
use crate::observation::Observation;
use crate::plan::{CheckSource, missing_metrics};

impl Shell {
    /// Advances a finalize step.
    pub(super) async fn finalize(&mut self) -> Result<(), AgentError> {
        let Some(run) = self.core.finalizing() else { return Ok(()) };
        let product = &run.order.product;
        let Some(finalizer) = self.finalizers.get(product) else {
            return Err(AgentError::NoFinalizer { product: product.clone() });
        };
        match finalizer.status(&run.order.step_id).await {
            Ok(status) => {
                let change = self.core.finalize_told(&status, clock::now());
                self.apply(change).await
            }
            Err(error) => {
                // Not knowing is a reason to wait, never a reason to start again.
                tracing::warn!(%product, error = chain(&error), "finalize step does not answer");
                Ok(())
            }
        }
    }

    /// Starts a finalize step that has been written down; if that fails, the next round finds it
    /// absent and the core decides.
    pub(super) async fn start_finalize(&mut self, order: &FinalizeOrder) {
        let Some(finalizer) = self.finalizers.get(&order.product) else { return };
        tracing::warn!(
            product = %order.product, release.version = %order.release, order.level,
            step.id = %order.step_id, "finalizing: there is no way back from here"
        );
        let error = finalizer.start(order).await.err().map(|error| chain(&error));
        if let Some(error) = &error {
            tracing::warn!(product = %order.product, error, "finalize step not started");
        }
        self.core.start_ended(error);
    }

    /// Runs the checks that the last plan asks for.
    pub(super) async fn check(&mut self) {
        let wanted = self.core.plan.as_ref().map_or(&[][..], |plan| &plan.checks);
        if let Some(results) = self.checks.look(wanted, clock::now()).await {
            self.core.checks(CheckSource::Commands, results);
        }
    }

    /// Says once, as an error, which required metrics live pages do not have: no roll will begin.
    pub(super) fn name_missing_metrics(&mut self, seen: &Observation) {
        let missing = missing_metrics(seen, &self.core.history);
        self.missing
            .retain(|known| missing.iter().any(|m| (&m.unit, m.signal) == (&known.0, known.1)));
        for metric in missing {
            if self.missing.insert((metric.unit.clone(), metric.signal)) {
                tracing::error!(
                    unit = %metric.unit, signal = %metric.signal, read_from = metric.names,
                    "a required metric is not on the page: no roll begins without it"
                );
            }
        }
    }
}
