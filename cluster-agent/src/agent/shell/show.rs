//! What an agent shows of itself: its view on disk, and its own figures.

use channels::wire::ProductState;
use jiff::{SignedDuration, Timestamp};

use super::Shell;
use crate::agent::AgentError;
use crate::agent::due::{is_due, later};
use crate::config::Reports;
use crate::footprint::{Facts, Snapshot};
use crate::status::{self, HubView, Status, StepView};

/// A view that has not changed is written again this often, so that its age says the agent lives.
const STATUS_AT_LEAST: SignedDuration = SignedDuration::from_secs(5);

impl Shell {
    /// Brings the agent's own figures up to date.
    pub(super) fn expose(&self, states: &[ProductState], now: Timestamp) {
        let Some(footprint) = &self.footprint else { return };
        let facts = Facts {
            cluster: self.settings.cluster_name.clone(),
            upstream: self.settings.hub.upstream(),
            reports: self.settings.hub.reports == Reports::On,
            started_at: Some(self.started_at),
            answered_at: self.answered_at,
            verified_at: self.verified_at,
            scrapes: self.prober.tally().clone(),
            gates: self.gates.clone(),
        };
        footprint.show(Snapshot::of(&self.core, states, facts, now));
        footprint.turned();
    }

    pub(super) fn show(
        &mut self,
        products: Vec<ProductState>,
        now: Timestamp,
    ) -> Result<(), AgentError> {
        let status = Status {
            at: now,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: self.settings.cluster_name.clone(),
            cluster_id: self.cluster_id,
            hub: HubView {
                url: self.settings.hub.url.clone(),
                reports: self.settings.hub.reports == Reports::On,
                answered_at: self.answered_at,
                error: self.core.standing.hub_error.as_ref().map(|error| error.why.clone()),
                key_refused: self.core.standing.disowned.as_ref().map(|no| no.code.clone()),
                verified_at: self.verified_at,
            },
            hold: self.core.standing.hold.clone(),
            pause: self.core.history.pause.clone(),
            step: self.core.history.out.as_ref().map(|out| StepView {
                step_id: out.order.step_id.to_string(),
                unit: out.key().to_string(),
                from: out.order.from.to_string(),
                to: out.order.to.to_string(),
                attempt: out.order.attempt,
            }),
            products,
            finalized: self.core.history.last_finalized(),
        };
        let same = self.shown.as_ref().is_some_and(|shown| {
            Status { at: shown.at, ..status.clone() } == *shown
                && !is_due(later(shown.at, STATUS_AT_LEAST), STATUS_AT_LEAST, now)
        });
        if !same {
            status::write(&self.settings.state_dir, &status)
                .map_err(|source| AgentError::State { source })?;
            self.shown = Some(status);
        }
        Ok(())
    }
}
