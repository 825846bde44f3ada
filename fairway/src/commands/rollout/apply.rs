//! `fairway rollout apply` and `remove`: what a policy would change is shown before it does.

use std::path::Path;

use channels::edit::unified;
use channels::rollout::policy::POLICY_MAX_BYTES;
use channels::rollout::{Name, Policy};
use channels::wire::{PolicyReply, PolicyRequest, PolicyRow};

use super::Ask;
use crate::error::{CliError, Exit, Result};
use crate::files::read_bounded;
use crate::hub::Hub;
use crate::out::Out;
use crate::table::{Format, Table};
use crate::words::count;

/// Runs `fairway rollout apply`; without `ask`, nobody is asked.
pub(super) async fn apply(
    hub: &Hub,
    file: &Path,
    format: Format,
    out: &mut Out,
    ask: Option<&Ask>,
) -> Result<()> {
    let text = read(file)?;
    let policy = Policy::parse(file, &text)
        .map_err(|error| CliError::failed(crate::error::chain(&error)))?;
    let before = in_force(hub, &policy.name).await?;
    let request = PolicyRequest { text };
    let path = format!("api/v1/rollout-policies/{}", policy.name);
    let review: PolicyReply =
        hub.put(&format!("{path}?dry_run=true"), "application/json", &request).await?;
    show(&review, before.as_ref(), &request.text, out)?;
    let errors = review.findings.iter().filter(|finding| finding.severity == "error").count();
    if errors > 0 {
        return Err(CliError::no(format!("lint finds {} in the policy", count(errors, "error")))
            .hint("nothing was applied; docs/rollouts.md explains every finding"));
    }
    if !review.changed {
        out.note(&format!("{} version {} is in force already", review.name, review.version))?;
        return document(&review, format, out);
    }
    let question = format!("Apply {} as version {}?", review.name, review.version);
    agree(ask, &question, "apply it without being asked with --yes")?;
    let reply: PolicyReply = hub.put(&path, "application/json", &request).await?;
    out.note(&format!("{} version {} is in force", reply.name, reply.version))?;
    document(&reply, format, out)
}

/// What was applied, for scripts; people were told.
fn document(reply: &PolicyReply, format: Format, out: &mut Out) -> Result<()> {
    match format {
        Format::Json => out.json(reply),
        Format::Csv => out.csv(&rings(reply)),
        Format::Table => Ok(()),
    }
}

/// One row per ring; clusters in no ring have a row without one.
fn rings(reply: &PolicyReply) -> Table {
    let mut table = Table::new(&["policy", "version", "changed", "ring", "clusters"]);
    let changed = if reply.changed { "yes" } else { "no" };
    let mut row = |ring: String, clusters: u64| {
        let (policy, version) = (reply.name.to_string(), reply.version.to_string());
        table.row(vec![policy, version, changed.to_owned(), ring, clusters.to_string()]);
    };
    for ring in &reply.rings {
        row(ring.name.to_string(), ring.clusters);
    }
    if reply.in_no_ring > 0 {
        row(String::new(), reply.in_no_ring);
    }
    table
}

/// Runs `fairway rollout remove`; without `ask`, nobody is asked.
pub(super) async fn remove(
    hub: &Hub,
    name: &Name,
    reason: &str,
    out: &mut Out,
    ask: Option<&Ask>,
) -> Result<()> {
    let reason = super::steer::required(reason, "--reason")?;
    let question = format!(
        "Take {name} out of force? What it governs is granted at once unless another policy does."
    );
    agree(ask, &question, "remove it without being asked with --yes")?;
    let query: String = reqwest::Url::parse_with_params("http://x/", [("reason", reason.as_str())])
        .ok()
        .and_then(|url| url.query().map(str::to_owned))
        .unwrap_or_default();
    hub.delete(&format!("api/v1/rollout-policies/{name}?{query}")).await?;
    out.note(&format!("{name} is out of force; its versions stay on record"))
}

/// Asks, unless nobody is to be asked; a no is the answer no.
pub(super) fn agree(ask: Option<&Ask>, question: &str, hint: &str) -> Result<()> {
    let Some(ask) = ask else { return Ok(()) };
    if ask(question)? {
        return Ok(());
    }
    Err(CliError::no("nobody has agreed to it").hint(format!("nothing was changed; {hint}")))
}

fn read(file: &Path) -> Result<String> {
    let max_bytes = u64::try_from(POLICY_MAX_BYTES).unwrap_or(u64::MAX);
    let what = || format!("{}: cannot be read", file.display());
    let bytes = read_bounded(file, max_bytes).map_err(|error| CliError::because(what(), &error))?;
    String::from_utf8(bytes).map_err(|error| CliError::because(what(), &error))
}

/// The policy of this name, if the hub has one.
async fn in_force(hub: &Hub, name: &Name) -> Result<Option<PolicyRow>> {
    match hub.get(&format!("api/v1/rollout-policies/{name}"), &[]).await {
        Ok(row) => Ok(Some(row)),
        // A hub that was asked and has none; one without the path answers no problem document.
        Err(error) if error.exit() == Exit::No && error.is_refusal() => Ok(None),
        Err(error) => Err(error),
    }
}

fn show(review: &PolicyReply, before: Option<&PolicyRow>, text: &str, out: &mut Out) -> Result<()> {
    let old = before.and_then(|row| row.text.as_deref());
    let file = format!("{}.yaml", review.name);
    for line in unified(Path::new(&file), old, Some(text)).lines() {
        out.note(line)?;
    }
    for finding in &review.findings {
        let line = format!("{}: {} ({})", finding.severity, finding.message, finding.code);
        if finding.severity == "error" { out.warn(&line)? } else { out.note(&line)? }
    }
    for (number, ring) in (1..).zip(&review.rings) {
        let clusters = count(usize::try_from(ring.clusters).unwrap_or(usize::MAX), "cluster");
        out.note(&format!("ring {number}, {}: {clusters}", ring.name))?;
    }
    if review.in_no_ring > 0 {
        let clusters = count(usize::try_from(review.in_no_ring).unwrap_or(usize::MAX), "cluster");
        out.warn(&format!("{clusters} in no ring: they would never go"))?;
    }
    Ok(())
}
