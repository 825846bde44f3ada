//! The rings of a simulated rollout, as rows for spreadsheets and scripts.

use channels::simulate::report::{Report, RingReport};
use jiff::{SignedDuration, Timestamp};

use crate::table::{Table, cell};

/// One row per ring, with moments instead of lengths of time.
pub(super) fn table(report: &Report) -> Table {
    let mut table = Table::new(&[
        "ring",
        "clusters",
        "planned",
        "opened",
        "first_grant",
        "passed",
        "converged",
        "begun",
        "succeeded",
        "failed",
    ]);
    for ring in &report.rings {
        table.row(row(ring, report.starts_at));
    }
    table
}

fn row(ring: &RingReport, starts_at: Timestamp) -> Vec<String> {
    let at = |after_s: Option<u64>| {
        let after = after_s.and_then(|seconds| i64::try_from(seconds).ok());
        let at = after.and_then(|s| starts_at.checked_add(SignedDuration::from_secs(s)).ok());
        cell(at.as_ref())
    };
    vec![
        ring.name.to_string(),
        ring.clusters.to_string(),
        at(ring.planned_s),
        at(ring.opened_s),
        at(ring.first_grant_s),
        at(ring.passed_s),
        at(ring.converged_s),
        ring.begun.to_string(),
        ring.succeeded.to_string(),
        ring.failed.to_string(),
    ]
}
