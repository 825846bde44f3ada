//! Rules about how much a curve opens at a time.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::{
    AT_ONCE_CLUSTERS, AT_ONCE_LIMIT, EVALUATION_TICK, FIRST_HOUR_LIMIT, Finding, Found, Rule,
};
use crate::lint::Severity;
use crate::rollout::amount::Period;
use crate::rollout::curve::Curve;
use crate::rollout::known::FcosRollout;
use crate::rollout::policy::{Policy, Ring};
use crate::rollout::share::Share;

pub(super) fn check(
    policy: &Policy,
    fleet: Option<u32>,
    size: &impl Fn(usize) -> Option<u32>,
    found: &mut Found<'_>,
) {
    let last = policy.rings.len().saturating_sub(1);
    for (index, ring) in policy.rings.iter().enumerate() {
        let known = size(index).zip(fleet);
        // Gates stand behind every ring but the last, so a small early ring may go at once; how
        // small it is can only be told of a fleet.
        let hurts = |share: Share| match known {
            Some((ring, fleet)) => share_of_fleet(share, ring, fleet) >= limit(),
            None => index == last,
        };
        let spared =
            |share: Share| known.is_some_and(|(ring, _)| share.of(ring) <= AT_ONCE_CLUSTERS);
        let severity = |share: Share| {
            let severe = hurts(share) && !policy.emergency;
            if severe { Severity::Error } else { Severity::Warning }
        };
        let (share, at) = ring.curve.steepest(EVALUATION_TICK);
        let is_steep = share >= limit() && !spared(share);
        if is_steep {
            let message = at_once(&format!("ring {}", ring.name), share, at);
            found.add_as(severity(share), Rule::ShareAtOnce, ring.name.as_str(), message);
        }
        check_first_hour(policy, ring, is_steep, &spared, &severity, found);
    }
}

fn check_first_hour(
    policy: &Policy,
    ring: &Ring,
    is_steep: bool,
    spared: &impl Fn(Share) -> bool,
    severity: &impl Fn(Share) -> Severity,
    found: &mut Found<'_>,
) {
    let hour = Period::from_hours(1).duration();
    let share = ring.curve.share_at(hour);
    let allowed = Share::try_from(FIRST_HOUR_LIMIT).unwrap_or(Share::ALL);
    // A step in the first hour was already reported as what it is.
    let reported = is_steep && ring.curve.steepest(EVALUATION_TICK).1 <= hour;
    if share > allowed && !policy.emergency && !reported && !spared(share) {
        found.add_as(
            severity(share),
            Rule::FirstHourSteep,
            ring.name.as_str(),
            format!(
                "ring {} opens {share} within its first hour, at most {FIRST_HOUR_LIMIT} is \
                 careful; take a slower curve, or write `emergency: true` and mean it",
                ring.name
            ),
        );
    }
}

fn limit() -> Share {
    Share::try_from(AT_ONCE_LIMIT).unwrap_or(Share::ALL)
}

/// `share` of a ring as a share of the fleet.
fn share_of_fleet(share: Share, ring: u32, fleet: u32) -> Share {
    Share::of_ratio(u64::from(share.of(ring)), u64::from(fleet.max(1)))
}

fn at_once(whose: &str, share: Share, at: SignedDuration) -> String {
    let seconds = u32::try_from(at.as_secs()).unwrap_or(0);
    let at = Period::from_secs(seconds);
    format!(
        "{whose} opens {share} at once (within {EVALUATION_TICK}, {at} after it begins to open), so \
         a fault would hit them all before anybody can stop it; spread it over points that rise less than \
         {AT_ONCE_LIMIT} within {EVALUATION_TICK}"
    )
}

/// Applies the rules about steepness to a curve that stands alone, such as an imported one.
pub fn lint_curve(file: &Path, curve: &Curve) -> Vec<Finding> {
    let mut found = Found { file, findings: Vec::new() };
    let (share, at) = curve.steepest(EVALUATION_TICK);
    if share >= limit() {
        found.add(Rule::ShareAtOnce, "", at_once("the curve", share, at));
    }
    found.findings
}

/// Applies the rules to a Fedora `CoreOS` rollout that is published at `now`. There the curve's
/// time runs from `start_epoch` whenever it is published, so what a start in the past has opened
/// by then opens at once.
///
/// A rollout that says 100 % without a duration is a finished one and has no findings; what is no
/// curve at all has none either, [`Curve::from_fcos`] names its fault.
pub fn lint_fcos(file: &Path, rollout: &FcosRollout, now: Timestamp) -> Vec<Finding> {
    let mut found = Found { file, findings: Vec::new() };
    let Ok((start, curve)) = Curve::from_fcos(rollout) else { return found.findings };
    if rollout.duration_minutes.is_none() {
        return found.findings;
    }
    let late = now.duration_since(start);
    if late > SignedDuration::ZERO {
        let share = curve.share_at(late);
        found.add(
            Rule::StartInPast,
            "start_epoch",
            format!(
                "the rollout's start {start} lies in the past; correct start_epoch, which is in \
                 seconds since 1970"
            ),
        );
        if share >= limit() {
            found.add(
                Rule::ShareAtOnce,
                "start_epoch",
                format!(
                    "the start {start} is past, so {share} open at the moment of publication; \
                     correct start_epoch"
                ),
            );
        }
    }
    found.findings.extend(lint_curve(file, &curve));
    found.findings.sort();
    found.findings
}
