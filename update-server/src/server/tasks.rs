//! What runs beside the handlers: maintenance of the store, re-signing of the online roles, a look
//! at the files of TLS, webhooks; among replicas, a look at what the others did.

use std::time::Duration;

use actix_web::web;
use jiff::SignedDuration;
use signing::causes::chain;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::tls::{Reload, Tls};
use crate::http::api::HubState;
use crate::webhooks::{self, Client};

/// Freshness classes and `/readyz` are at most this old.
const TICK: Duration = Duration::from_secs(15);
/// Metadata lives for a day or more; a minute's delay is nothing.
const RESIGN_CHECK: Duration = Duration::from_mins(1);
/// Whoever renews a certificate does so days before it expires; a person who waits for it is glad
/// of seconds.
const TLS_CHECK: Duration = Duration::from_secs(10);
/// A publication at one replica is served by the others so much later; one short statement each time.
const FOLLOW_CHECK: Duration = Duration::from_secs(1);

/// Starts them; they end when they are aborted.
pub(super) fn spawn(
    state: &web::Data<HubState>,
    tls: Option<Tls>,
    client: Client,
) -> Vec<JoinHandle<()>> {
    let mut tasks = vec![
        tokio::spawn(maintain(state.clone())),
        tokio::spawn(resign(state.clone())),
        tokio::spawn(deliver(state.clone(), client)),
    ];
    if state.publisher.is_shared() {
        tasks.push(tokio::spawn(follow(state.clone())));
        tasks.push(tokio::spawn(show_others_holds(state.clone())));
    }
    tasks.extend(tls.map(|tls| tokio::spawn(follow_files(state.clone(), tls))));
    tasks
}

/// Sends events, while this replica leads.
async fn deliver(state: web::Data<HubState>, client: Client) {
    let leadership = state.leadership.clone();
    leadership
        .while_leading(|| {
            let (store, reader) = (state.store.clone(), state.reader.clone());
            let (clock, deliveries) = (state.clock.clone(), state.deliveries.clone());
            webhooks::run(store, reader, client.clone(), clock, deliveries)
        })
        .await;
}

/// Serves what other replicas publish.
async fn follow(state: web::Data<HubState>) {
    let mut timer = interval(FOLLOW_CHECK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Said once, however long it lasts.
    let mut told = None;
    loop {
        timer.tick().await;
        let follower = state.clone();
        let now = state.now();
        let look = tokio::task::spawn_blocking(move || follower.publisher.follow(now)).await;
        let trouble = match look {
            Ok(Ok(false)) => None,
            Ok(Ok(true)) => {
                tracing::info!("took over what another replica published");
                None
            }
            Ok(Err(error)) => Some(error.chain()),
            Err(panic) => Some(panic.to_string()),
        };
        state.leadership.set_fit(trouble.is_none());
        if let Some(error) = trouble.as_ref().filter(|_| trouble != told) {
            tracing::error!(error, "what other replicas publish is not taken over");
        }
        told = trouble;
    }
}

/// Shows plain clients what people hold, and what halts, at other replicas.
async fn show_others_holds(state: web::Data<HubState>) {
    let mut told = state.store.committed().events().listen();
    while told.changed().await.is_ok() {
        show_holds(&state).await;
    }
}

async fn show_holds(state: &web::Data<HubState>) {
    let shown = state.clone();
    if let Err(panic) = tokio::task::spawn_blocking(move || shown.show_holds()).await {
        tracing::error!(error = %panic, "holds are not shown to plain clients");
    }
}

async fn follow_files(state: web::Data<HubState>, mut tls: Tls) {
    let mut timer = interval(TLS_CHECK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let look = tokio::task::spawn_blocking(move || {
            let found = tls.reload();
            (tls, found)
        });
        let Ok((same, found)) = look.await else {
            tracing::error!("the look at the certificate's files failed: it is looked at no more");
            return;
        };
        tls = same;
        match found {
            Reload::Unchanged => {}
            Reload::Taken => {
                state.metrics.count_tls_reload("ok");
                state.metrics.set_certificate_expiry(tls.expires());
                tracing::info!("new certificate taken");
            }
            Reload::Refused(error) => {
                state.metrics.count_tls_reload("refused");
                tracing::error!(
                    error = chain(&error),
                    "new certificate refused, the old one stays"
                );
            }
        }
    }
}

async fn maintain(state: web::Data<HubState>) {
    let mut timer = interval(TICK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let leads = state.leadership.is_leader();
        let now = state.now();
        let kept = if leads { state.store.tick(now).await } else { state.store.sweep(now).await };
        if let Err(refusal) = kept {
            tracing::warn!(reason = %refusal, "maintenance skipped");
        }
        if let Err(refusal) = state.store.note_trends(state.now()).await {
            tracing::warn!(reason = %refusal, "the fleet is noted down for trends later");
        }
        write_activity(&state).await;
        // A gate may have halted a rollout, in the tick or between two of them.
        show_holds(&state).await;
    }
}

/// When tokens and sessions were last used; sessions that are over go.
async fn write_activity(state: &HubState) {
    let used = state.access.activity.take();
    if !used.is_empty()
        && let Err(refusal) = state.store.note_use(used.clone()).await
    {
        tracing::debug!(reason = %refusal, "uses are written later");
        state.access.activity.put_back(used);
    }
    if let Some(oidc) = state.settings.oidc.as_ref().filter(|_| state.leadership.is_leader()) {
        let idle = SignedDuration::from_secs(oidc.idle_s);
        if let Err(refusal) = state.store.sweep_sessions(idle, state.now()).await {
            tracing::debug!(reason = %refusal, "sessions are swept later");
        }
    }
}

async fn resign(state: web::Data<HubState>) {
    let mut timer = interval(RESIGN_CHECK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if !state.leadership.is_leader() {
            continue;
        }
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
