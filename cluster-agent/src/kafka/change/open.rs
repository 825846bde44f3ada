//! Before a change is opened: what the quorum says against it, and what it will take.

use std::time::Duration;

use channels::names::ProductRef;
use jiff::Timestamp;
use tokio::time::sleep;

use super::goal::{Change, Goal, Wish};
use super::refusal::{Refusal, Rules, is_settled, refusals};
use crate::kafka::client::KafkaClient;
use crate::kafka::error::KafkaError;

/// Looks until everything that stood in the log at first is committed.
const SETTLE_LOOKS: u32 = 10;

/// Between them: an idle quorum commits a record every half second.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It may begin; nothing is written yet.
    Ready(Change),
    /// It may not.
    Refused(Vec<Refusal>),
}

/// Asks the quorum whether `wish` may begin.
pub async fn open(
    client: &mut KafkaClient,
    product: &ProductRef,
    wish: &Wish,
    rules: Rules,
    now: Timestamp,
) -> Result<Opening, KafkaError> {
    let before = client.describe().await?;
    let goal = match Goal::of(wish, &before) {
        Ok(goal) => goal,
        Err(refusal) => return Ok(Opening::Refused(vec![refusal])),
    };
    let features = client.features().await?;
    let mut found = refusals(&goal, &before, &features, rules);
    let mut settled = false;
    for _ in 0..SETTLE_LOOKS {
        sleep(SETTLE_AGAIN).await;
        if is_settled(&before, &client.describe().await?) {
            settled = true;
            break;
        }
    }
    if !settled {
        found.push(Refusal::Uncommitted);
    }
    if !found.is_empty() {
        return Ok(Opening::Refused(found));
    }
    Ok(Opening::Ready(Change {
        format: Change::FORMAT,
        product: product.clone(),
        cluster_id: client.cluster_id().await?,
        opened_at: now,
        goal,
        joined_by: None,
        left_by: None,
    }))
}

impl Change {
    /// What is done, step by step, for people.
    pub fn plan(&self) -> Vec<String> {
        let format = |id: i32| {
            format!(
                "on controller {id}: kafka-storage.sh format --cluster-id {} \
                 --no-initial-controllers --config FILE, then start it",
                self.cluster_id
            )
        };
        let caught_up = |id: i32| format!("wait until observer {id} has caught up");
        let add = |id: i32, endpoints: &[crate::kafka::Endpoint]| {
            let list: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            format!("add voter {id} at {}, wait until it is committed", list.join(","))
        };
        let remove = |id: i32, directory| {
            format!("remove voter {id}, directory {directory}, wait until it is committed")
        };
        match &self.goal {
            Goal::Add { id, endpoints } => vec![format(*id), caught_up(*id), add(*id, endpoints)],
            Goal::Remove { id, directory } => {
                vec![remove(*id, directory), format!("stop controller {id}")]
            }
            Goal::Replace { id, directory, with, endpoints } => vec![
                format(*with),
                caught_up(*with),
                add(*with, endpoints),
                remove(*id, directory),
                format!("stop controller {id}"),
            ],
            Goal::Disk { id, directory, endpoints } => vec![
                format!("stop controller {id} and give it its new disk"),
                format(*id),
                caught_up(*id),
                remove(*id, directory),
                add(*id, endpoints),
            ],
        }
    }

    /// What is left to people once it is done.
    pub fn afterwards(&self) -> Option<String> {
        match &self.goal {
            Goal::Add { id, .. } => Some(format!(
                "add controller {id} to the agent's configuration (units and kafka.bootstrap): \
                 until then the voter set differs from the configured one and no unit goes"
            )),
            Goal::Remove { id, .. } => Some(format!(
                "stop controller {id} (with controller.quorum.auto.join.enable it would join \
                 again) and remove it from the agent's configuration: until then no unit goes"
            )),
            Goal::Replace { id, with, .. } => Some(format!(
                "stop controller {id}, and put {with} in its place in the agent's configuration \
                 (units and kafka.bootstrap): until then no unit goes"
            )),
            Goal::Disk { .. } => None,
        }
    }
}
