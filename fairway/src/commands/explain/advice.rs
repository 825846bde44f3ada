//! What to do about a reason: the table of gates in `docs/agent.md` for the agent's, own words for the
//! hub's.
//!
//! The page for the person on duty is read here as it is, so that the two never say different things.

/// The page; its tables under "Every gate" have a row per gate.
const GUIDE: &str = include_str!("../../../../docs/agent.md");

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    /// One line for people.
    pub(super) text: String,
    /// Whether somebody has to do it.
    pub(super) who: Who,
}

/// Whether a reason ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// It does, or is on its way to.
    Time,
    /// Somebody must act.
    Person,
}

/// About a gate of the agent; `None` for one that a newer agent has.
pub(super) fn of_gate(gate: &str) -> Option<Advice> {
    let gates = GUIDE.split_once("\n## Every gate\n")?.1.split("\n## ").next()?;
    let mut section = "";
    let mut before = "";
    for line in gates.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            section = title;
        }
        let Some(row) = line.strip_prefix("| `") else { continue };
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
        let [names, .., act] = cells.as_slice() else { continue };
        let act = if *act == "the same" { before } else { act };
        before = act;
        // The first back quote was taken with the prefix: names stand at even places.
        let mut quoted = names.split('`').step_by(2);
        let family = gate.strip_prefix("check_").map(|_| "check_<name>");
        if quoted.any(|name| name == gate || Some(name) == family) {
            let turn = section == "It is not its turn" && !act.contains("too many");
            let passes =
                turn || act == "wait" || act.starts_with("wait ") || act.starts_with("wait,");
            let who = if passes { Who::Time } else { Who::Person };
            return Some(Advice { text: plain(act), who });
        }
    }
    None
}

/// A cell of Markdown as plain text: no back quotes, links without their address.
fn plain(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell;
    while let Some((before, link)) = rest.split_once('[') {
        text.push_str(before);
        let named = link.split_once("](");
        if let Some((name, after)) =
            named.and_then(|(name, to)| Some((name, to.split_once(')')?.1)))
        {
            text.push_str(name);
            rest = after;
        } else {
            text.push('[');
            rest = link;
        }
    }
    text.push_str(rest);
    text.replace('`', "")
}

/// About a reason of the hub; `None` for one that a newer hub has.
pub(super) fn of_hub(code: &str) -> Option<Advice> {
    let (who, text) = match code {
        "held" => (
            Who::Person,
            "fairway holds names it, fairway resume N --acknowledge TEXT lifts it; of a rollout: \
             fairway rollout resume N --acknowledge TEXT",
        ),
        "halted" => (
            Who::Person,
            "fairway rollout show N lists the failures; fairway rollout resume N --acknowledge TEXT \
             lets it go on",
        ),
        "needs_approval" => (Who::Person, "fairway rollout approve N RING --reason TEXT"),
        "no_ring" => (
            Who::Person,
            "give it labels that a ring selects: fairway clusters label NAME KEY=VALUE",
        ),
        "health_unknown" => {
            (Who::Person, "find out why their health cannot be told: fairway health")
        }
        "pinned" => (Who::Person, "fairway clusters set NAME --of PRODUCT pin- takes the pin away"),
        "above_max" => (
            Who::Person,
            "fairway clusters set NAME --of PRODUCT max-version- takes the limit away",
        ),
        "release_unknown" | "not_served" => (
            Who::Person,
            "does the agent follow the channel that this hub serves? compare with fairway drift",
        ),
        "ring_closed" => (Who::Time, "wait for the ring before: fairway rollout show N"),
        "not_started" | "not_yet" => (
            Who::Time,
            "wait; fairway rollout emergency N --reason TEXT speeds the whole rollout up",
        ),
        "outside_windows" | "frozen" => (Who::Time, "wait, or change the policy's calendar"),
        "cap_concurrent" | "cap_failure_domain" => {
            (Who::Time, "wait until another cluster has ended")
        }
        "grant_elsewhere" => (Who::Time, "wait: one product of a cluster moves at a time"),
        "cap_period" | "not_counted" | "baseline_unmeasured" | "superseded" | "not_asked" => {
            (Who::Time, "wait")
        }
        _ => return None,
    };
    Some(Advice { text: text.to_owned(), who })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_has_the_advice_of_the_guide() {
        let quorum = of_gate("quorum_lag").unwrap();
        assert_eq!(quorum.text, "disk and network of that voter");
        assert_eq!(quorum.who, Who::Person);
        assert_eq!(of_gate("not_a_voter").unwrap().text, "the same; is the node id right?");
        assert_eq!(of_gate("commit_stalled").unwrap().text, of_gate("no_leader").unwrap().text);
        assert_eq!(of_gate("check_images").unwrap().text, "the message has its output");
        assert_eq!(of_gate("limits.quorum.fetch_timeout_ms"), None);
        assert_eq!(of_gate("of_another_century"), None);
    }

    #[test]
    fn what_ends_by_itself_needs_nobody() {
        for gate in ["baseline", "gate_once", "window", "freeze", "grant", "observation_old"] {
            assert_eq!(of_gate(gate).unwrap().who, Who::Time, "{gate}");
        }
        for gate in ["lease", "approval", "hub_hold", "risk", "pin", "foreign_cordon", "alert"] {
            assert_eq!(of_gate(gate).unwrap().who, Who::Person, "{gate}");
        }
    }

    #[test]
    fn marks_of_the_page_do_not_reach_a_terminal() {
        assert_eq!(plain("see [keys](operations.md#keys) and `x`"), "see keys and x");
        assert_eq!(plain("`[prometheus]`, the query"), "[prometheus], the query");
    }

    #[test]
    fn every_reason_of_a_rollout_has_advice() {
        let manual = include_str!("../../../../docs/rollouts.md");
        let table = manual.split_once("| `no_ring` |").unwrap().1;
        let codes = table.split("\n\n").next().unwrap();
        let codes: Vec<&str> =
            codes.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert!(codes.len() > 10, "{codes:?}");
        for code in codes.into_iter().chain(["no_ring"]) {
            assert!(of_hub(code).is_some(), "{code}");
        }
    }
}
