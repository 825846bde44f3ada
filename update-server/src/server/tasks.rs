//! What runs beside the handlers: maintenance of the store, re-signing of the online roles.

use std::time::Duration;

use actix_web::web;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::http::api::HubState;

/// Freshness classes and `/readyz` are at most this old.
const TICK: Duration = Duration::from_secs(15);
/// Metadata lives for a day or more; a minute's delay is nothing.
const RESIGN_CHECK: Duration = Duration::from_mins(1);

/// Starts them; they end when they are aborted.
pub(super) fn spawn(state: &web::Data<HubState>) -> Vec<JoinHandle<()>> {
    vec![tokio::spawn(maintain(state.clone())), tokio::spawn(resign(state.clone()))]
}

async fn maintain(state: web::Data<HubState>) {
    let mut timer = interval(TICK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if let Err(refusal) = state.store.tick(state.now()).await {
            tracing::warn!(reason = %refusal, "maintenance skipped");
        }
        // A gate may have halted a rollout, in the tick or between two of them.
        let shown = state.clone();
        if let Err(panic) = tokio::task::spawn_blocking(move || shown.show_holds()).await {
            tracing::error!(error = %panic, "holds are not shown to plain clients");
        }
    }
}

async fn resign(state: web::Data<HubState>) {
    let mut timer = interval(RESIGN_CHECK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let signer = state.clone();
        let now = state.now();
        let result = tokio::task::spawn_blocking(move || signer.publisher.resign_if_due(now)).await;
        match result {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!("online roles signed again"),
            Ok(Err(error)) => tracing::error!(error = error.chain(), "re-signing failed"),
            Err(panic) => tracing::error!(error = %panic, "re-signing failed"),
        }
    }
}
