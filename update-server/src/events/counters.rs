//! The live fleet in a dozen numbers, from counters that are kept anyway.

use channels::wire::FleetCounters;

use crate::fleet::{FleetIndex, View};

/// Counts the fleet.
pub fn fleet_counters(fleet: &FleetIndex, view: &mut View<'_>) -> FleetCounters {
    let mut counters = FleetCounters {
        at: view.now,
        clusters: fleet.in_force(),
        by_freshness: fleet.freshness_counts(),
        by_health: fleet.verdict_counts(),
        silent_while_updating: fleet.silent_while_updating(),
        identity_conflicts: fleet.identity_conflicts(),
        ..FleetCounters::default()
    };
    counters.by_freshness.retain(|_, n| *n > 0);
    counters.by_health.retain(|_, n| *n > 0);
    for totals in fleet.drift(view).items {
        counters.rolling += totals.rolling;
        counters.stopped += totals.stopped;
        counters.current += totals.current;
        counters.behind += totals.behind;
        counters.stranded += totals.stranded;
        counters.off_graph += totals.off_graph;
        counters.eol += totals.eol;
    }
    counters
}
