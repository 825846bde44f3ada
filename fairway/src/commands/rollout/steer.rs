//! `fairway rollout hold`, `resume`, `approve`, `emergency`.

use channels::rollout::Name;
use channels::wire::{
    RolloutApproveRequest, RolloutEmergencyRequest, RolloutHoldRequest, RolloutResumeRequest,
    RolloutRow, SeenFailure,
};
use jiff::Timestamp;

use super::apply::agree;
use super::{Ask, render};
use crate::error::{CliError, Result};
use crate::hub::Hub;
use crate::out::Out;
use crate::table::Format;
use crate::words::count;

/// What `fairway rollout resume` was told.
pub(super) struct Resume<'a> {
    pub(super) id: u64,
    pub(super) ring: Option<&'a Name>,
    pub(super) acknowledge: &'a str,
    pub(super) format: Format,
    pub(super) now: Timestamp,
}

/// A text that people must give.
pub(super) fn required(text: &str, flag: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(CliError::failed(format!("{flag} must not be empty")));
    }
    Ok(text.to_owned())
}

/// Runs `fairway rollout hold`.
pub(super) async fn hold(
    hub: &Hub,
    id: u64,
    ring: Option<&Name>,
    reason: &str,
    format: Format,
    out: &mut Out,
) -> Result<()> {
    let request = RolloutHoldRequest { reason: required(reason, "--reason")?, ring: ring.cloned() };
    let row = send(hub, id, "hold", &request).await?;
    let (what, option) = match ring {
        Some(ring) => (format!("ring {ring} of {}", named(&row)), format!(" --ring {ring}")),
        None => (named(&row), String::new()),
    };
    done(
        &row,
        &format!(
            "{what} is held; lift it with: fairway rollout resume {id}{option} --acknowledge TEXT"
        ),
        format,
        out,
    )
}

/// Runs `fairway rollout resume`; without `ask`, nobody is asked.
pub(super) async fn resume(
    hub: &Hub,
    resume: &Resume<'_>,
    out: &mut Out,
    ask: Option<&Ask>,
) -> Result<()> {
    let Resume { id, ring, acknowledge, format, now } = *resume;
    let acknowledge = required(acknowledge, "--acknowledge")?;
    let row: RolloutRow = hub.get(&format!("api/v1/rollouts/{id}"), &[]).await?;
    // Whoever lifts the hold of a ring has not looked at failures.
    let open = row.failures.iter().filter(|failure| ring.is_none() && !failure.acknowledged);
    let failures: Vec<SeenFailure> = open
        .clone()
        .map(|f| SeenFailure { cluster: f.cluster, why: f.why.clone(), at: f.at })
        .collect();
    if !failures.is_empty() {
        let shown: Vec<_> = open.cloned().collect();
        for line in render::failures(&shown, now, Format::Table).text().lines() {
            out.note(line)?;
        }
        let question = format!(
            "Let {} go on with {}? They stay on record, and only others halt it again.",
            named(&row),
            count(failures.len(), "failure")
        );
        agree(ask, &question, "accept the failures without being asked with --yes")?;
    }
    let seen = failures.len();
    let request = RolloutResumeRequest { acknowledge, ring: ring.cloned(), failures };
    let row = send(hub, id, "resume", &request).await?;
    let told = match ring {
        Some(ring) => format!("ring {ring} of {} is held no longer", named(&row)),
        None if seen == 0 => format!("{} is {}", named(&row), row.state.as_str()),
        None => {
            let seen = count(seen, "failure");
            format!("{seen} acknowledged; {} is {}", named(&row), row.state.as_str())
        }
    };
    done(&row, &told, format, out)
}

/// Runs `fairway rollout approve`.
pub(super) async fn approve(
    hub: &Hub,
    id: u64,
    ring: &Name,
    reason: &str,
    format: Format,
    out: &mut Out,
) -> Result<()> {
    let reason = required(reason, "--reason")?;
    let request = RolloutApproveRequest { ring: ring.clone(), reason };
    let row = send(hub, id, "approve", &request).await?;
    let told = format!("ring {ring} of {} may open once the gates before it pass", named(&row));
    done(&row, &told, format, out)
}

/// Runs `fairway rollout emergency`; without `ask`, nobody is asked.
pub(super) async fn emergency(
    hub: &Hub,
    id: u64,
    reason: &str,
    format: Format,
    out: &mut Out,
    ask: Option<&Ask>,
) -> Result<()> {
    let reason = required(reason, "--reason")?;
    let row: RolloutRow = hub.get(&format!("api/v1/rollouts/{id}"), &[]).await?;
    let question = format!(
        "Make {} an emergency? It opens within hours, also outside windows, and cannot be slowed \
         again but by a hold.",
        named(&row)
    );
    agree(ask, &question, "do it without being asked with --yes")?;
    let row = send(hub, id, "emergency", &RolloutEmergencyRequest { reason }).await?;
    done(&row, &format!("{} is an emergency", named(&row)), format, out)
}

async fn send<B: serde::Serialize>(
    hub: &Hub,
    id: u64,
    verb: &str,
    request: &B,
) -> Result<RolloutRow> {
    let path = format!("api/v1/rollouts/{id}/{verb}");
    hub.post(&path, "application/json", request).await
}

fn done(row: &RolloutRow, told: &str, format: Format, out: &mut Out) -> Result<()> {
    out.note(told)?;
    match format {
        Format::Json => out.json(row),
        // CSV has no ages and needs no `now`.
        Format::Csv => out.csv(&render::rollouts(
            std::slice::from_ref(row),
            Timestamp::UNIX_EPOCH,
            Format::Csv,
        )),
        Format::Table => Ok(()),
    }
}

fn named(row: &RolloutRow) -> String {
    format!("rollout {} ({} {})", row.id, row.product, row.release)
}
