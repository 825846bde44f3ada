//! What an action on a rollout does, to how many, and when it is felt: said before it is done. Pure.

use channels::version::ReleaseVersion;

use super::super::forms::{Effect, effect};
use super::super::words;
use super::totals::Totals;

/// What may be done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Hold,
    Resume,
    Approve,
    Emergency,
}

impl Verb {
    /// The word in addresses.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Approve => "approve",
            Self::Emergency => "emergency",
        }
    }

    /// The verb of a word.
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Hold, Self::Resume, Self::Approve, Self::Emergency]
            .into_iter()
            .find(|verb| verb.as_str() == text)
    }
}

/// What effects depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    /// The clusters that it is about: of the rollout, or of the ring.
    pub(super) totals: Totals,
    /// Only this ring.
    pub(super) ring: Option<&'a str>,
    pub(super) release: &'a ReleaseVersion,
    /// Failures that nobody acknowledged.
    pub(super) failures: u64,
    /// How long a grant is good.
    pub(super) grant_ttl_s: u64,
    /// A hold of the hub covers it as well, which this does not lift.
    pub(super) also_held: bool,
}

const NOW: &str = "Now";
const NEXT_REPORT: &str = "With their next report";
const UNIT: &str = "After the unit that is out";
const LATER: &str = "Later";
const NOT: &str = "Not at all";

/// `1 cluster`, `3 clusters`.
fn clusters(count: u64) -> String {
    words::count(count, "cluster")
}

/// Everything that follows.
pub(super) fn effects(verb: Verb, on: Situation<'_>) -> Vec<Effect> {
    match verb {
        Verb::Hold => hold(on),
        Verb::Resume => resume(on),
        Verb::Approve => approve(on),
        Verb::Emergency => emergency(on),
    }
}

fn hold(on: Situation<'_>) -> Vec<Effect> {
    let Totals { not_started, granted, rolling, .. } = on.totals;
    let still = match on.ring {
        Some(ring) => format!("The curve goes on; rings behind {ring} wait for it."),
        None => "The curve stands still and no ring opens.".to_owned(),
    };
    let mut all = vec![
        effect(
            NOW,
            format!(
                "No cluster starts any more: {} that have not started stay on what they run. {still}",
                clusters(not_started)
            ),
        ),
        effect(
            UNIT,
            format!(
                "{} on the way: a unit that is being changed is finished, with its soak; a step that \
                 has changed nothing yet is taken back. Then the cluster waits, because every unit \
                 needs a renewed grant. Deadlines stand still meanwhile.",
                clusters(rolling)
            ),
        ),
        effect(
            LATER,
            format!(
                "{} granted and not begun: each may still begin one unit until its grant expires, \
                 within {}.",
                clusters(granted),
                words::span(on.grant_ttl_s)
            ),
        ),
        effect(
            LATER,
            "Where Strimzi rolls Kafka, the unit is the whole Kafka resource: once the agent has \
             changed it, Strimzi rolls all of its pods, and the hold is felt after the last one."
                .to_owned(),
        ),
    ];
    all.push(match on.ring {
        None => effect(
            LATER,
            format!(
                "Plain Cincinnati clients see the risk FairwayHold on edges to {} when they ask \
                 next. One that has begun goes on.",
                on.release
            ),
        ),
        Some(_) => effect(
            NOT,
            "Plain Cincinnati clients are in no ring: they are not told. Hold the whole rollout to \
             stop them."
                .to_owned(),
        ),
    });
    all.push(effect(
        NOT,
        format!(
            "{} that run {} keep it: a hold takes nothing back.",
            clusters(on.totals.on_release()),
            on.release
        ),
    ));
    all
}

fn resume(on: Situation<'_>) -> Vec<Effect> {
    let Totals { not_started, granted, rolling, failed, .. } = on.totals;
    let mut all = Vec::new();
    if on.also_held {
        all.push(effect(
            NOT,
            "Another hold covers this rollout: until it is lifted too, nobody goes on.".to_owned(),
        ));
    }
    all.push(effect(
        NOW,
        "The clock goes on from where it stood. Time that was counted is not lost, and time that \
         was not is not made up for."
            .to_owned(),
    ));
    if on.failures > 0 {
        all.push(effect(
            NOW,
            format!(
                "{} acknowledged: they count for nothing any more. One failure more than the gates \
                 allow halts it again.",
                if on.failures == 1 {
                    "1 failure is".to_owned()
                } else {
                    format!("{} failures are", on.failures)
                }
            ),
        ));
        all.push(effect(
            NOT,
            format!(
                "{} that failed stay as they are: nothing is tried again or led back by this.",
                clusters(failed)
            ),
        ));
    }
    all.push(effect(
        NEXT_REPORT,
        format!(
            "{} on the way and {} granted are renewed before their next unit; of {} that have not \
             started, those whose turn has come are granted.",
            clusters(rolling),
            clusters(granted),
            clusters(not_started)
        ),
    ));
    if on.ring.is_none() {
        all.push(effect(
            LATER,
            format!(
                "Plain Cincinnati clients no longer see FairwayHold on edges to {} when they ask \
                 next.",
                on.release
            ),
        ));
    }
    all
}

fn approve(on: Situation<'_>) -> Vec<Effect> {
    let ring = on.ring.unwrap_or("the ring");
    vec![
        effect(
            NOW,
            format!("{ring} no longer waits for a person. It cannot be taken back: hold it instead."),
        ),
        effect(
            LATER,
            format!(
                "{ring} opens once the gates of the ring before it hold, and its {} go as its curve \
                 comes to them.",
                clusters(on.totals.members)
            ),
        ),
        effect(
            NOT,
            "Gates, caps, windows and freezes stay as they are. Plain Cincinnati clients are in no \
             ring."
                .to_owned(),
        ),
    ]
}

fn emergency(on: Situation<'_>) -> Vec<Effect> {
    vec![
        effect(
            NOW,
            "Every ring whose own curve is longer takes the emergency curve of three hours, and \
             windows do not count. It cannot be taken back."
                .to_owned(),
        ),
        effect(
            NEXT_REPORT,
            format!(
                "{} have not started; those that the steeper curve has come to are granted.",
                clusters(on.totals.not_started)
            ),
        ),
        effect(
            NOT,
            "Freezes, gates, approvals and caps stay, and so do the agents' own windows: what a \
             cluster's owner forbids the hub cannot allow."
                .to_owned(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation(release: &ReleaseVersion) -> Situation<'_> {
        let totals = Totals {
            members: 20,
            not_started: 10,
            granted: 2,
            rolling: 1,
            succeeded: 5,
            there: 1,
            failed: 1,
            ..Totals::default()
        };
        Situation { totals, ring: None, release, failures: 1, grant_ttl_s: 900, also_held: false }
    }

    fn text(verb: Verb, on: Situation<'_>) -> String {
        let all = effects(verb, on).into_iter().map(|one| format!("{}: {}\n", one.when, one.what));
        all.collect()
    }

    #[test]
    fn a_hold_says_how_many_stop_now_how_many_after_their_unit_and_who_hears_later() {
        let release = "4.3.1".parse().unwrap();
        let said = text(Verb::Hold, situation(&release));
        for part in [
            "Now: No cluster starts any more: 10 clusters",
            "After the unit that is out: 1 cluster on the way",
            "2 clusters granted and not begun: each may still begin one unit until its grant \
             expires, within 15 min.",
            "Later: Plain Cincinnati clients see the risk FairwayHold on edges to 4.3.1",
            "Strimzi rolls all of its pods",
            "Not at all: 6 clusters that run 4.3.1 keep it",
        ] {
            assert!(said.contains(part), "no {part:?} in\n{said}");
        }
        let ring = text(Verb::Hold, Situation { ring: Some("prod"), ..situation(&release) });
        assert!(ring.contains("rings behind prod wait"), "{ring}");
        assert!(ring.contains("Not at all: Plain Cincinnati clients"), "{ring}");
    }

    #[test]
    fn a_resume_says_what_is_acknowledged_and_that_nothing_is_tried_again() {
        let release = "4.3.1".parse().unwrap();
        let said = text(Verb::Resume, situation(&release));
        assert!(said.contains("1 failure is acknowledged"), "{said}");
        assert!(said.contains("nothing is tried again"), "{said}");
        let calm = Situation { failures: 0, also_held: true, ..situation(&release) };
        let said = text(Verb::Resume, calm);
        assert!(!said.contains("acknowledged") && said.contains("Another hold"), "{said}");
    }

    #[test]
    fn every_verb_has_its_word_and_says_something() {
        let release = "4.3.1".parse().unwrap();
        for verb in [Verb::Hold, Verb::Resume, Verb::Approve, Verb::Emergency] {
            assert_eq!(Verb::parse(verb.as_str()), Some(verb));
            assert!(effects(verb, situation(&release)).len() >= 3);
        }
        assert_eq!(Verb::parse("promote"), None);
    }
}
