//! What differs between graphs, as rows for spreadsheets and scripts.

use channels::diff::NodeChange;
use channels::version::ReleaseVersion;

use super::compare::ChannelDiff;
use crate::table::{Table, cell};

/// One row per release, head, group of edges or risk that changed.
pub(super) fn rows(diffs: &[ChannelDiff]) -> Table {
    let columns =
        ["product", "channel", "arch", "what", "change", "name", "from", "risks", "clusters"];
    let mut table = Table::new(&columns);
    for one in diffs {
        let place = [one.product.to_string(), one.channel.to_string(), one.arch.to_string()];
        for change in changes(one) {
            table.row(place.iter().cloned().chain(change).collect());
        }
    }
    table
}

/// The cells behind the place: what, change, name, from, risks, clusters.
fn changes(one: &ChannelDiff) -> Vec<[String; 6]> {
    let row = |what: &str, change: &str, name: String, from: String| {
        [what.to_owned(), change.to_owned(), name, from, String::new(), String::new()]
    };
    let mut rows: Vec<[String; 6]> = Vec::new();
    for (version, change) in &one.diff.nodes {
        rows.push(row("release", word(*change), version.to_string(), String::new()));
    }
    if let Some((old, new)) = &one.diff.head {
        rows.push(row("head", "moved", cell(new.as_ref()), cell(old.as_ref())));
    }
    for (number, group) in one.diff.edges.iter().enumerate() {
        let from: Vec<String> = group.from.iter().map(ReleaseVersion::to_string).collect();
        let mut edges = row("edges", group.change.as_str(), group.to.to_string(), from.join(" "));
        let [.., risks, clusters] = &mut edges;
        *risks = group.risks.join(" ");
        *clusters = cell(one.clusters_of_group(number).as_ref());
        rows.push(edges);
    }
    for (change, names) in [
        ("appeared", &one.diff.risks_appeared),
        ("vanished", &one.diff.risks_vanished),
        ("reworded", &one.diff.risks_reworded),
    ] {
        rows.extend(names.iter().map(|name| row("risk", change, name.clone(), String::new())));
    }
    rows
}

/// The word that JSON has too.
fn word(change: NodeChange) -> &'static str {
    match change {
        NodeChange::Appeared => "appeared",
        NodeChange::Vanished => "vanished",
        NodeChange::Withdrawn => "withdrawn",
        NodeChange::Restored => "restored",
        NodeChange::PayloadChanged => "payload_changed",
    }
}
