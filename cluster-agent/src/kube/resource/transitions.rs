//! Which events tell the difference between two statuses, and between two specs.
//!
//! Pure, and bounded: at most [`NOTES_MAX`] a time. An event's subject names its series: the same
//! thing again counts up the same event instead of making a new one.

use channels::names::UnitName;
use channels::wire::{Phase, ProductState};

use super::conditions::{PASSING, camel};
use super::spec::{ClusterUpdateSpec, PolicyMode};
use super::status::{ClusterUpdateStatus, Condition, ConditionStatus, HistoryState};

/// Events of one difference; more are a storm that nobody reads.
pub const NOTES_MAX: usize = 16;

/// How urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Something happened.
    Normal,
    /// Something needs a look.
    Warning,
}

impl Urgency {
    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// One event to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How urgent.
    pub urgency: Urgency,
    /// Why, in one word.
    pub reason: String,
    /// What it is about, beside the resource: a unit, a gate. Names the series with the reason.
    pub subject: String,
    /// What happened, for people.
    pub message: String,
}

impl Note {
    fn new(urgency: Urgency, reason: &str, subject: &str, message: String) -> Self {
        Self { urgency, reason: reason.to_owned(), subject: subject.to_owned(), message }
    }

    fn normal(reason: &str, subject: &str, message: String) -> Self {
        Self::new(Urgency::Normal, reason, subject, message)
    }
}

/// Events of a change of status.
pub fn transitions(before: Option<&ClusterUpdateStatus>, after: &ClusterUpdateStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    for condition in &after.conditions {
        let old = before.and_then(|before| before.condition(&condition.type_));
        notes.extend(turned(old, condition));
    }
    // What an agent finds when it first looks is no news, except where it is bad.
    if let Some(before) = before {
        notes.extend(completed(before, after));
        notes.extend(offered(before, after));
        notes.extend(waits(before, after));
    }
    notes.truncate(NOTES_MAX);
    notes
}

fn turned(old: Option<&Condition>, new: &Condition) -> Option<Note> {
    use ConditionStatus::{False, True, Unknown};
    use Urgency::{Normal, Warning};
    let before = old.map_or(Unknown, |old| old.status);
    // A pause of another kind is another failure.
    let same = before == new.status && (new.status != True || new.type_ != "Failing");
    if same || old.is_some_and(|old| (old.status, &old.reason) == (new.status, &new.reason)) {
        return None;
    }
    let (urgency, reason) = match (new.type_.as_str(), before, new.status) {
        ("Available", _, False) => (Warning, "Unavailable"),
        ("Available", False, True) => (Normal, "Available"),
        ("Progressing", _, True) => (Normal, "UpdateStarted"),
        ("Failing", _, True) => (Warning, new.reason.as_str()),
        ("Failing", True, False) => (Normal, "Recovered"),
        ("RetrievedUpdates", _, False) => (Warning, "UpdatesNotRetrieved"),
        ("RetrievedUpdates", False, True) => (Normal, "UpdatesRetrieved"),
        ("ReleaseAccepted", _, False) => (Warning, "ReleaseNotAccepted"),
        ("ReleaseAccepted", False, True) => (Normal, "ReleaseAccepted"),
        _ => return None,
    };
    Some(Note::new(urgency, reason, &new.type_, new.message.clone()))
}

fn completed(before: &ClusterUpdateStatus, after: &ClusterUpdateStatus) -> Option<Note> {
    let last = |status: &ClusterUpdateStatus| {
        status.history.iter().find(|entry| entry.state == HistoryState::Completed).cloned()
    };
    let done = last(after)?;
    if last(before).is_some_and(|old| old.completion_time == done.completion_time) {
        return None;
    }
    let from = done.from.map_or_else(String::new, |from| format!(", which ran {from}"));
    let message = format!("every unit{from}, runs {} and has soaked", done.version);
    Some(Note::normal("UpdateCompleted", &done.version, message))
}

/// Where a product's unit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The unit that is out.
    pub unit: Option<UnitName>,
    /// The phase of its step.
    pub phase: Phase,
}

/// A unit went out, went on, or came back. Told by the loop at every change, because phases can be
/// shorter than the time between two looks at the API server.
pub fn moves(before: &Place, after: &ProductState) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(unit) = &before.unit
        && after.unit.as_ref() != Some(unit)
    {
        let now = after.units.iter().find(|listed| listed.name == *unit);
        let runs = now.and_then(|listed| listed.version.clone());
        let runs = runs.map_or_else(String::new, |version| format!(" and runs {version}"));
        let message = format!("{unit} is no longer out{runs}");
        notes.push(Note::normal("UnitBack", unit.as_str(), message));
    }
    let same = (&before.unit, before.phase) == (&after.unit, after.phase);
    // A pause has its own event.
    if let Some(unit) = &after.unit
        && !same
        && after.phase.is_rolling()
    {
        let to =
            after.target.as_ref().map_or_else(String::new, |to| format!(" on its way to {to}"));
        let reason = format!("Unit{}", camel(after.phase.as_str()));
        notes.push(Note::normal(&reason, unit.as_str(), format!("{unit}: {}{to}", after.phase)));
    }
    notes
}

fn offered(before: &ClusterUpdateStatus, after: &ClusterUpdateStatus) -> Option<Note> {
    let newest = after.available_updates.first()?;
    if before.available_updates.contains(newest) || before.version != after.version {
        return None;
    }
    let message = format!("{newest} is available in channel {}", after.channel.as_deref()?);
    Some(Note::normal("UpdateAvailable", newest, message))
}

/// Gates that came to stand in the way.
fn waits(before: &ClusterUpdateStatus, after: &ClusterUpdateStatus) -> Vec<Note> {
    let known = |gate: &str, unit: Option<&String>| {
        before.waiting_on.iter().any(|old| old.gate == gate && old.unit.as_ref() == unit)
    };
    after
        .waiting_on
        .iter()
        .filter(|why| !PASSING.contains(&why.gate.as_str()) && why.gate != "paused")
        .filter(|why| !known(&why.gate, why.unit.as_ref()))
        .map(|why| {
            let unit = why.unit.as_deref().unwrap_or("");
            let subject = format!("{}/{unit}", why.gate);
            Note::normal("Waiting", &subject, format!("[{}] {}", why.gate, why.message))
        })
        .collect()
}

/// Events of a change of spec: who reads them can tell what was ordered, and when.
pub fn orders(before: &ClusterUpdateSpec, after: &ClusterUpdateSpec) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut field = |reason: &str, old: Option<&str>, new: Option<&str>| {
        if old != new {
            let says = |value: Option<&str>| value.unwrap_or("nothing").to_owned();
            let message = format!("{}, before that {}", says(new), says(old));
            notes.push(Note::normal(reason, "spec", message));
        }
    };
    field("ChannelOrdered", before.channel.as_deref(), after.channel.as_deref());
    field("ReleaseOrdered", before.desired.as_deref(), after.desired.as_deref());
    field("PinOrdered", before.pin.as_deref(), after.pin.as_deref());
    field("PolicyOrdered", before.policy.map(policy), after.policy.map(policy));
    let text = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
    field("ResumeOrdered", text(before.resume).as_deref(), text(after.resume).as_deref());
    if let Some(approval) = after.finalize.as_ref()
        && before.finalize.as_ref() != Some(approval)
    {
        let message = format!("{}, by {}", approval.release, approval.by);
        notes.push(Note::normal("FinalizeApproved", &approval.release, message));
    }
    for hold in after.holds.iter().filter(|hold| !before.holds.contains(hold)) {
        let message = format!("{}: {}", hold.name, hold.reason);
        notes.push(Note::normal("HoldPlaced", &hold.name, message));
    }
    let lifted = |name: &str| after.holds.iter().all(|hold| hold.name != name);
    for hold in before.holds.iter().filter(|hold| lifted(&hold.name)) {
        let message = format!("{}: {}", hold.name, hold.reason);
        notes.push(Note::normal("HoldLifted", &hold.name, message));
    }
    let risks = &after.accepted_risks;
    for risk in risks.iter().filter(|risk| !before.accepted_risks.contains(risk)) {
        let until = risk.until.map_or_else(String::new, |until| format!(" until {until}"));
        let message = format!("{}{until}: {}", risk.name, risk.reason);
        notes.push(Note::normal("RiskAccepted", &risk.name, message));
    }
    let dropped = |name: &str| risks.iter().all(|risk| risk.name != name);
    for risk in before.accepted_risks.iter().filter(|risk| dropped(&risk.name)) {
        notes.push(Note::normal("RiskNoLongerAccepted", &risk.name, risk.name.clone()));
    }
    let calendar = |spec: &ClusterUpdateSpec| {
        (spec.time_zone.clone(), spec.windows.clone(), spec.freezes.clone())
    };
    if calendar(before) != calendar(after) {
        let (windows, freezes) = (after.windows.len(), after.freezes.len());
        let message = format!("{windows} windows and {freezes} freezes");
        notes.push(Note::normal("CalendarOrdered", "spec", message));
    }
    notes.truncate(NOTES_MAX);
    notes
}

fn policy(mode: PolicyMode) -> &'static str {
    match mode {
        PolicyMode::Manual => "manual",
        PolicyMode::Patch => "patch",
        PolicyMode::Auto => "auto",
        PolicyMode::Hub => "hub",
    }
}
