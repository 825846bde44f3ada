//! The `simulated` driver: units of a simulated cluster, restarted into a new version over HTTP.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DriverError, Stage, StepId, StepOrder, StepStatus};

/// A simulator on loopback answers at once; one that does not is gone.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How much of an error body is kept.
const ERROR_BODY_CHARS: usize = 200;

/// What a simulated cluster says about a step it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedStep {
    /// When the unit went down for it, milliseconds since 1970.
    pub started_at_ms: i64,
    /// Whether the unit is up again in the new version.
    pub finished: bool,
}

/// Changes units of one simulated cluster.
#[derive(Debug)]
pub struct SimulatedDriver {
    base: String,
    client: reqwest::Client,
}

impl SimulatedDriver {
    /// A driver for the cluster at `base`, e.g. `http://127.0.0.1:9400/clusters/east`.
    pub fn new(base: &str) -> Result<Self, DriverError> {
        let base = base.trim_end_matches('/').to_owned();
        let client = crate::hub::http_client(TIMEOUT, TIMEOUT)
            .map_err(|source| DriverError::Request { url: base.clone(), source })?;
        Ok(Self { base, client })
    }

    /// Restarts a unit into the component's version; only [`Stage::Mutate`] means anything here.
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        if stage != Stage::Mutate {
            return Err(DriverError::StageNotConfigured { stage });
        }
        let url = format!("{}/units/{}/upgrade", self.base, order.key.unit);
        let body = serde_json::json!({
            "step_id": order.step_id,
            "version": order.component.version,
        });
        let request = self.client.post(&url).json(&body);
        self.send(url, request).await.map(drop)
    }

    /// How a stage stands.
    pub async fn status(&self, step: &StepId, stage: Stage) -> Result<StepStatus, DriverError> {
        if stage != Stage::Mutate {
            return Err(DriverError::StageNotConfigured { stage });
        }
        let url = format!("{}/steps/{step}", self.base);
        let Some(answer) = self.send(url.clone(), self.client.get(&url)).await? else {
            return Ok(StepStatus::Absent);
        };
        let found: SimulatedStep =
            answer.json().await.map_err(|source| DriverError::Request { url, source })?;
        if found.finished {
            return Ok(StepStatus::Finished { exit_code: 0, log_tail: String::new() });
        }
        let since = Timestamp::from_millisecond(found.started_at_ms).unwrap_or(Timestamp::MIN);
        Ok(StepStatus::Running { since, detail: None })
    }

    /// `None` = 404 to a GET.
    async fn send(
        &self,
        url: String,
        request: reqwest::RequestBuilder,
    ) -> Result<Option<reqwest::Response>, DriverError> {
        let is_step = url.contains("/steps/");
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(source) => return Err(DriverError::Request { url, source }),
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(Some(answer));
        }
        if status == reqwest::StatusCode::NOT_FOUND && is_step {
            return Ok(None);
        }
        let body = answer.text().await.unwrap_or_default();
        let body = body.chars().take(ERROR_BODY_CHARS).collect();
        Err(DriverError::Refused { url, status: status.as_u16(), body })
    }
}
