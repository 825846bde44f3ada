//! Rules about who is in a ring, its gates, and caps.

use super::{Fleet, Found, Rule};
use crate::rollout::amount::{Amount, Percent};
use crate::rollout::policy::{Policy, Ring};

pub(super) fn check(
    policy: &Policy,
    fleet: &Fleet<'_>,
    size: &impl Fn(usize) -> Option<u32>,
    found: &mut Found<'_>,
) {
    check_caps(policy, found);
    for (index, ring) in policy.rings.iter().enumerate() {
        check_failures(ring, found);
        let shadowed = check_shadow(policy, index, found);
        let members = size(index);
        if members == Some(0) && !shadowed {
            found.add(
                Rule::RingEmpty,
                ring.name.as_str(),
                format!(
                    "no cluster is in ring {}, and a ring without clusters never passes its \
                     gates; correct its selector or take it out",
                    ring.name
                ),
            );
        }
        if let (Some(members), Amount::Count(needed)) = (members, ring.gates.min_sample)
            && needed > members
            && members > 0
        {
            found.add(
                Rule::GateNeverPasses,
                ring.name.as_str(),
                format!(
                    "ring {} has {members} clusters and waits until {needed} have begun; lower \
                     `min_sample`, or write a share such as 50%",
                    ring.name
                ),
            );
        }
    }
    if let Fleet::Labels(clusters) = fleet {
        let outside = clusters.iter().filter(|labels| policy.ring_of(labels).is_none()).count();
        if outside > 0 {
            found.add(
                Rule::ClustersInNoRing,
                "rings",
                format!(
                    "{outside} of {} clusters are in no ring and would never be granted; label \
                     them, or let the last ring take the rest",
                    clusters.len()
                ),
            );
        }
    }
}

/// Failures that are allowed and yet keep the success share from being reached leave a ring stuck:
/// it neither passes nor halts.
fn check_failures(ring: &Ring, found: &mut Found<'_>) {
    let (success, failures) = (ring.gates.success, ring.gates.max_failures);
    let spare = Percent::ALL.hundredths().saturating_sub(success.hundredths());
    let stalls = match failures {
        Amount::Percent(percent) => percent.hundredths() > spare,
        Amount::Count(count) => count > 0 && spare == 0,
    };
    if stalls {
        found.add(
            Rule::FailuresStall,
            ring.name.as_str(),
            format!(
                "ring {} may have {failures} failures (`max_failures`) and needs {success} \
                 success, so it can stand still without halting; lower one of the two",
                ring.name
            ),
        );
    }
}

/// Whether an earlier ring surely takes all of this one.
fn check_shadow(policy: &Policy, index: usize, found: &mut Found<'_>) -> bool {
    let Some(ring) = policy.rings.get(index) else { return false };
    let Some(select) = &ring.select else { return false };
    let earlier = policy.rings.iter().take(index);
    let by = earlier
        .filter(|earlier| earlier.select.as_ref().is_some_and(|other| other.covers(select)))
        .map(|earlier| &earlier.name)
        .next();
    if let Some(by) = by {
        found.add(
            Rule::RingShadowed,
            ring.name.as_str(),
            format!(
                "every cluster that ring {} selects ({select}) is already in ring {by}; put the \
                 narrower ring first",
                ring.name
            ),
        );
    }
    by.is_some()
}

fn check_caps(policy: &Policy, found: &mut Found<'_>) {
    let caps = &policy.caps;
    let named = [
        ("concurrent", caps.concurrent),
        ("per_period.grants", caps.per_period.map(|cap| cap.grants)),
        (
            "per_failure_domain.concurrent",
            caps.per_failure_domain.as_ref().map(|cap| cap.concurrent),
        ),
    ];
    for (name, cap) in named {
        if cap == Some(0) {
            found.add(
                Rule::CapZero,
                "caps",
                format!("`caps.{name}` is 0, so no cluster ever starts; hold the rollout instead"),
            );
        }
    }
}
