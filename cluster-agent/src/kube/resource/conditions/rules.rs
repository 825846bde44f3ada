//! What each condition says.

use channels::wire::{HealthVerdict, Phase, WaitingOn};

use super::super::status::ConditionStatus::{self, False, True, Unknown};
use super::super::view::{Acceptance, Retrieval, View};
use super::{Judged, camel};

/// Reason of a condition that is as it should be.
const AS_EXPECTED: &str = "AsExpected";

/// Reason of a spec that is not followed.
pub(in crate::kube::resource) const INVALID_SPEC: &str = "InvalidSpec";

/// Gates that pass by themselves, or wait for a yes that has not been asked for elsewhere: they
/// do not make a product less upgradeable.
pub(in crate::kube::resource) const PASSING: [&str; 17] = [
    "approval",
    "baseline",
    "finalize_approval",
    "finalizing",
    "freeze",
    "gate_once",
    "grant",
    "grant_expired",
    "grant_renewal",
    "hub_wait",
    "observation_old",
    "other_product",
    "page_unproved",
    "policy_patch",
    "too_few_good_probes",
    "window",
    "window_too_short",
];

/// All six, in the order that `kubectl describe` shows them.
pub(super) fn all(view: &View) -> Vec<Judged> {
    vec![
        available(view),
        progressing(view),
        failing(view),
        retrieved_updates(view),
        upgradeable(view),
        release_accepted(view),
    ]
}

/// The conditions of a resource that is not followed at all.
pub(super) fn refused(why: &str) -> Vec<Judged> {
    vec![
        judged("Failing", True, INVALID_SPEC, why),
        judged("ReleaseAccepted", False, INVALID_SPEC, why),
    ]
}

fn judged(
    type_: &'static str,
    status: ConditionStatus,
    reason: &str,
    message: impl Into<String>,
) -> Judged {
    Judged { type_, status, reason: reason.to_owned(), message: message.into() }
}

/// The units that are not out serve.
fn available(view: &View) -> Judged {
    let why = || view.serving.why.clone().unwrap_or_else(|| "nothing has been observed".into());
    match view.serving.verdict {
        HealthVerdict::Healthy => {
            let rest = if view.state.unit.is_some() { "every other unit" } else { "every unit" };
            judged("Available", True, AS_EXPECTED, format!("{rest} is healthy"))
        }
        HealthVerdict::Unhealthy => judged("Available", False, "UnitsUnhealthy", why()),
        HealthVerdict::Unknown => judged("Available", Unknown, "HealthUnknown", why()),
    }
}

/// A roll is under way, moving or not: it ends when every unit has soaked.
fn progressing(view: &View) -> Judged {
    let state = &view.state;
    let first = || first_reason(view).map(|why| why.message.clone());
    if !view.rolling {
        return match (&state.target, state.phase) {
            (Some(to), Phase::Waiting) if *to != state.version => {
                let why = first().map_or_else(String::new, |why| format!(": {why}"));
                let message = format!("runs {}, {to} waits{why}", state.version);
                judged("Progressing", False, &reason_of(view, "Waiting"), message)
            }
            _ if state.unit.is_some() => {
                let message = format!("runs {}; {}", state.version, doing(view));
                judged("Progressing", True, "Adopting", message)
            }
            _ => judged("Progressing", False, "UpToDate", format!("runs {}", state.version)),
        };
    }
    let to = state.target.as_ref().unwrap_or(&state.version);
    let done = state.progress.map_or_else(String::new, |progress| {
        format!(", {} of {} units done", progress.done, progress.total)
    });
    let towards = format!("{} to {to}{done}", state.version);
    if view.pause.is_some() {
        let why = first().unwrap_or_default();
        return judged("Progressing", True, "Paused", format!("{towards}: {why}"));
    }
    match first() {
        _ if state.unit.is_some() => {
            judged("Progressing", True, "Rolling", format!("{towards}; {}", doing(view)))
        }
        Some(why) => judged(
            "Progressing",
            True,
            &reason_of(view, "Waiting"),
            format!("{towards}; waiting: {why}"),
        ),
        None => judged("Progressing", True, "Rolling", towards),
    }
}

fn doing(view: &View) -> String {
    let unit = view.state.unit.as_ref().map_or_else(String::new, ToString::to_string);
    let wait = first_reason(view).map_or_else(String::new, |why| format!(" ({})", why.message));
    format!("{unit}: {}{wait}", view.state.phase)
}

/// Something that a person must mend.
fn failing(view: &View) -> Judged {
    if let Some(pause) = &view.pause {
        let unit = pause.why.unit.as_ref().map_or_else(String::new, |unit| format!("{unit}: "));
        let message = format!("paused, needs resume: {unit}{}", pause.why.message);
        return judged("Failing", True, &camel(&pause.why.gate), message);
    }
    if let Some(why) = &view.spec.refused {
        return judged("Failing", True, INVALID_SPEC, invalid(why));
    }
    if let Retrieval::Failed { kind, message, refused: true } = &view.retrieval {
        return judged("Failing", True, &camel(kind), message);
    }
    judged("Failing", False, AS_EXPECTED, "nothing needs a person")
}

/// The channel was read and verified.
fn retrieved_updates(view: &View) -> Judged {
    match &view.retrieval {
        Retrieval::Done => judged(
            "RetrievedUpdates",
            True,
            AS_EXPECTED,
            format!("channel {} is verified", view.state.channel),
        ),
        Retrieval::NotYet => {
            judged("RetrievedUpdates", Unknown, "NotYet", "the channel has not been read yet")
        }
        Retrieval::Failed { kind, message, .. } => {
            judged("RetrievedUpdates", False, &camel(kind), message)
        }
    }
}

/// Nothing that stands would keep the next move from beginning.
fn upgradeable(view: &View) -> Judged {
    let stands: Vec<&WaitingOn> =
        view.state.waiting_on.iter().filter(|why| !PASSING.contains(&why.gate.as_str())).collect();
    match stands.as_slice() {
        [] => judged("Upgradeable", True, AS_EXPECTED, "no gate stands in the way"),
        [why] => judged("Upgradeable", False, &camel(&why.gate), &why.message),
        several => {
            let messages: Vec<&str> = several.iter().map(|why| why.message.as_str()).collect();
            judged("Upgradeable", False, "MultipleReasons", messages.join("; "))
        }
    }
}

/// The release to run verified, and may be run from here.
fn release_accepted(view: &View) -> Judged {
    if let Some(why) = &view.spec.refused {
        return judged("ReleaseAccepted", False, INVALID_SPEC, invalid(why));
    }
    match &view.acceptance {
        Acceptance::Unknown => {
            judged("ReleaseAccepted", Unknown, "NotYet", "no release document has been judged yet")
        }
        Acceptance::Accepted { version, digest } => {
            let digest =
                digest.as_ref().map_or_else(String::new, |digest| format!(", document {digest}"));
            let message = format!("release {version} is verified{digest}");
            judged("ReleaseAccepted", True, "ReleaseVerified", message)
        }
        Acceptance::Refused { gate, message } => {
            judged("ReleaseAccepted", False, &camel(gate), message)
        }
    }
}

fn invalid(why: &str) -> String {
    format!("the spec is not followed, the last valid one is: {why}")
}

fn first_reason(view: &View) -> Option<&WaitingOn> {
    view.state.waiting_on.first()
}

fn reason_of(view: &View, otherwise: &str) -> String {
    first_reason(view).map_or_else(|| otherwise.to_owned(), |why| camel(&why.gate))
}
