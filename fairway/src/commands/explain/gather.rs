//! Everything that the hub knows about one cluster. Only the cluster itself must be found: what else
//! cannot be seen is said, and the answer is given without it.

use channels::graph::Graph;
use channels::names::{ClusterId, ProductRef};
use channels::rollout::Policy;
use channels::wire::{
    AttemptState, ClusterRisk, ClusterRow, Hold, Page, PolicyRow, ProductRow, RolloutCluster,
    RolloutRow,
};

use crate::commands::clusters::one;
use crate::error::{CliError, Result};
use crate::hub::Hub;

/// Open rollouts looked at per product: the newest ones, and rarely is there more than one.
const MAX_ROLLOUTS: usize = 20;

/// Clusters that are on their way in a rollout, looked through for this one. Caps keep them few; of
/// more than these the cluster's own report tells what it does.
const MAX_ATTEMPTS: usize = 2_000;

/// What is known.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) cluster: ClusterRow,
    pub(super) holds: Vec<Hold>,
    pub(super) risks: Vec<ClusterRisk>,
    pub(super) turns: Vec<Turn>,
    pub(super) graphs: Vec<(ProductRef, Graph)>,
    /// What could not be looked at, as warnings.
    pub(super) unseen: Vec<String>,
}

/// A rollout that may concern the cluster.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) rollout: RolloutRow,
    /// The ring that its labels put it into; `None` where that is not known.
    pub(super) ring: Option<channels::rollout::Name>,
    /// Its place there, where it is on its way or has failed.
    pub(super) attempt: Option<RolloutCluster>,
}

/// Asks the hub.
pub(super) async fn facts(hub: &Hub, name: &str) -> Result<Facts> {
    let cluster = one(hub, name).await?;
    let mut unseen = Vec::new();
    let path = format!("api/v1/clusters/{}/risks", cluster.id);
    let risks = seen(hub.get::<Page<ClusterRisk>>(&path, &[]).await, "risks", &mut unseen);
    let holds = seen(hub.get::<Page<Hold>>("api/v1/holds", &[]).await, "holds", &mut unseen);
    let mut turns = Vec::new();
    let mut graphs = Vec::new();
    for product in &cluster.products {
        match turns_of(hub, &cluster, product).await {
            Ok(found) => turns.extend(found),
            Err(error) => unseen.push(missed("rollouts", &error)),
        }
        match hub.graph(&product.product, &product.channel, &product.arch).await {
            Ok(graph) => graphs.push((product.product.clone(), graph)),
            Err(error) => unseen.push(missed(&format!("graph of {}", product.product), &error)),
        }
    }
    let items = |page: Option<Page<Hold>>| page.map(|page| page.items).unwrap_or_default();
    Ok(Facts {
        holds: items(holds),
        risks: risks.map(|page| page.items).unwrap_or_default(),
        cluster,
        turns,
        graphs,
        unseen,
    })
}

fn missed(what: &str, error: &CliError) -> String {
    format!("the {what} cannot be seen: {error}")
}

fn seen<T>(result: Result<T>, what: &str, unseen: &mut Vec<String>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            unseen.push(missed(what, &error));
            None
        }
    }
}

async fn turns_of(hub: &Hub, cluster: &ClusterRow, product: &ProductRow) -> Result<Vec<Turn>> {
    let query = [("product", product.product.to_string())];
    let page: Page<RolloutRow> = hub.pages("api/v1/rollouts", &query, MAX_ROLLOUTS).await?;
    let mut turns = Vec::new();
    for rollout in page.items {
        let ring = ring(hub, cluster, product, &rollout).await?;
        let attempt = attempt(hub, cluster.id, rollout.id).await?;
        // One whose policy has no ring for it, and that it never was in, is not its rollout.
        if ring.is_some() || attempt.is_some() {
            turns.push(Turn { rollout, ring, attempt });
        }
    }
    Ok(turns)
}

/// The ring that the policy in force puts the cluster into.
async fn ring(
    hub: &Hub,
    cluster: &ClusterRow,
    product: &ProductRow,
    rollout: &RolloutRow,
) -> Result<Option<channels::rollout::Name>> {
    let path = format!("api/v1/rollout-policies/{}", rollout.policy);
    let row: PolicyRow = hub.get(&path, &[]).await?;
    let Some(text) = row.text else { return Ok(None) };
    let name = rollout.policy.to_string();
    let policy = Policy::parse(std::path::Path::new(&name), &text)
        .map_err(|error| CliError::because(format!("the policy {name} cannot be read"), &error))?;
    if !policy.applies_to(&product.product, &product.channel) {
        return Ok(None);
    }
    let ring = policy.ring_of(&cluster.labels).and_then(|index| policy.rings.get(index));
    Ok(ring.map(|ring| ring.name.clone()))
}

/// Where the cluster is in a rollout, if it is on its way there or has failed.
async fn attempt(hub: &Hub, id: ClusterId, rollout: u64) -> Result<Option<RolloutCluster>> {
    let states = [
        AttemptState::Granted,
        AttemptState::Rolling,
        AttemptState::Failed,
        AttemptState::Acknowledged,
    ];
    for state in states {
        let path = format!("api/v1/rollouts/{rollout}/clusters");
        let query = [("state", state.as_str().to_owned())];
        let page: Page<RolloutCluster> = hub.pages(&path, &query, MAX_ATTEMPTS).await?;
        if let Some(found) = page.items.into_iter().find(|row| row.cluster == id) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
