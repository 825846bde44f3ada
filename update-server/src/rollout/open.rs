//! How far rollouts are open to clients that are no clusters of the fleet.
//!
//! Nobody labelled them, so they are where a cluster without labels would be. While somebody or a
//! gate stops a rollout, and outside its windows, it is open to none of them: they ask nobody before
//! they begin.

use channels::rollout::{Labels, Share};
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use signing::Sha256Digest;

use super::rollouts::Rollouts;
use super::state::Head;
use crate::fleet::GraphKey;

/// A release under a rollout, and how much of the line of strangers may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTo {
    /// The release.
    pub version: ReleaseVersion,
    /// Digest of its document.
    pub digest: Sha256Digest,
    /// How much.
    pub share: Share,
}

impl Rollouts {
    /// The releases of a graph that are under a rollout of the policy that governs it.
    pub fn open_to_strangers(&self, graph: &GraphKey, now: Timestamp) -> Vec<OpenTo> {
        let Some(policy) = self.policies.governing(&graph.product, &graph.channel) else {
            return Vec::new();
        };
        let ids = self.of_product.get(&graph.product).into_iter().flatten();
        let heads = ids.filter_map(|id| self.heads.get(id));
        heads
            .filter(|head| head.policy == policy.row.name && head.state.graphs.contains(graph))
            .map(|head| OpenTo {
                version: head.version.clone(),
                digest: head.digest,
                share: head.open_to_strangers(now),
            })
            .collect()
    }
}

impl Head {
    fn open_to_strangers(&self, now: Timestamp) -> Share {
        let core = &self.state.core;
        let ring = self.rules.ring_of(&Labels::new());
        let ring = ring.filter(|ring| {
            let name = self.ring_name(*ring);
            core.clock().stops().is_empty()
                && !self.state.rings_held.contains_key(&name)
                && self.rules.calendar.is_open(now)
        });
        ring.map_or(Share::NONE, |ring| core.share(&self.rules, ring, now))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use channels::rollout::FleetSalt;
    use channels::rollout::lint::Fleet;
    use jiff::SignedDuration;

    use super::*;
    use crate::rollout::{Offer, Overlay, RolloutCommand, RolloutId};

    const POLICY: &str = "name: half\ncalendar:\n  freezes:\n    - {from: 2026-12-24T00:00:00Z, \
                          until: 2026-12-27T00:00:00Z, reason: holidays}\nrings:\n  - {name: \
                          canary, select: {match_labels: {ring: canary}}}\n  - {name: everyone, \
                          rest: true}\n";

    fn graph() -> GraphKey {
        GraphKey {
            product: "acme/os".parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        }
    }

    fn begun(text: &str, now: Timestamp) -> Rollouts {
        let mut all = Rollouts::new(FleetSalt::from_bytes([7; 32]));
        let mut overlay = Overlay::default();
        overlay.on(&all).apply_policy(text, &Fleet::Unknown, "ann", now).unwrap();
        let digest = Sha256Digest::of(b"document");
        let offer = Offer { graph: graph(), version: "1.1.0".parse().unwrap(), digest };
        overlay.on(&all).offered(&[offer], now);
        all.apply(overlay);
        all
    }

    fn share(all: &Rollouts, now: Timestamp) -> Share {
        let open = all.open_to_strangers(&graph(), now);
        let [only] = open.as_slice() else { panic!("{open:?}") };
        only.share
    }

    #[test]
    fn strangers_wait_for_the_ring_of_clusters_without_labels() {
        let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let all = begun(POLICY, now);
        assert_eq!(share(&all, now + SignedDuration::from_hours(2 * 24)), Share::NONE);
    }

    #[test]
    fn strangers_see_what_the_curve_has_opened_and_nothing_while_it_stands_still() {
        let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let text =
            POLICY.replace("  - {name: canary, select: {match_labels: {ring: canary}}}\n", "");
        let mut all = begun(&text, now);
        let later = now + SignedDuration::from_hours(4 * 24);
        assert_eq!(share(&all, later), Share::of_ratio(40, 100));
        assert_eq!(share(&all, "2026-12-25T00:00:00Z".parse().unwrap()), Share::NONE);
        let mut overlay = Overlay::default();
        let hold = RolloutCommand::Hold { ring: None, reason: "storm".to_owned() };
        overlay.on(&all).command(RolloutId(1), &hold, "ann", later).unwrap();
        all.apply(overlay);
        assert_eq!(share(&all, later), Share::NONE);
    }

    #[test]
    fn a_channel_that_no_policy_governs_is_open_to_everybody() {
        let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let text = format!("{POLICY}applies_to: [{{product: acme/other}}]\n");
        let mut all = Rollouts::new(FleetSalt::from_bytes([7; 32]));
        let mut overlay = Overlay::default();
        overlay.on(&all).apply_policy(&text, &Fleet::Unknown, "ann", now).unwrap();
        all.apply(overlay);
        let open: BTreeSet<_> =
            all.open_to_strangers(&graph(), now).into_iter().map(|open| open.version).collect();
        assert!(open.is_empty(), "{open:?}");
    }
}
