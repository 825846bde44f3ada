//! Checks before units go: what must have passed, and which commands have to be run for it.
//!
//! A result counts only for the release document it was made for, while it is young enough, and
//! never across a `resume`. What has not passed is a reason to wait, whatever it is.

use channels::names::{ProductRef, UnitName};
use jiff::Timestamp;

use super::facts::{CheckOutcome, CheckResult};
use super::{CheckRules, CheckWhen, Goal, Outdated, Scene, WaitingOn};
use crate::driver::CheckOrder;
use crate::phase::elapsed_ms;

/// What has not passed, and the commands to run for it.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// Why the unit waits.
    pub(super) why: Vec<WaitingOn>,
    /// What is to be run, in order.
    pub(super) run: Vec<CheckOrder>,
}

/// How one check stands.
enum Verdict {
    Passed,
    /// It must be made, or made again.
    Due(String),
    /// It has said no, or has not ended.
    Wait(String),
}

/// What must pass before `unit` goes.
pub(super) fn before(scene: &Scene<'_>, product: &ProductRef, unit: &Outdated) -> Checks {
    let Some(policy) = scene.policy.products.get(product) else { return Checks::default() };
    let rules = &policy.rules.checks;
    let own = Some(&unit.key.unit);
    let mut checks = Checks::default();
    let names = |when: CheckWhen| {
        let commands = rules.commands.iter().filter(move |rule| rule.when == when);
        commands.map(|rule| rule.name.as_str())
    };
    if is_roll_due(scene, product) {
        let said = results(scene, product, &unit.goal, None).map(|found| found.name.as_str());
        let others = rules.required.iter().map(String::as_str).chain(said);
        add(&mut checks, scene, rules, unit, None, names(CheckWhen::Roll), others);
    }
    let said = results(scene, product, &unit.goal, own).map(|found| found.name.as_str());
    add(&mut checks, scene, rules, unit, own, names(CheckWhen::Unit), said);
    checks
}

/// Whether a check has said no about the unit or its roll: that lasts.
pub(super) fn has_said_no(scene: &Scene<'_>, product: &ProductRef, unit: &Outdated) -> bool {
    let about = [None, Some(&unit.key.unit)];
    let mut found = about.into_iter().flat_map(|about| results(scene, product, &unit.goal, about));
    found.any(CheckResult::says_no)
}

/// Before the first unit of a roll, and before the first after a person said `resume`.
fn is_roll_due(scene: &Scene<'_>, product: &ProductRef) -> bool {
    let record = scene.history.products.get(product);
    let begun = record.and_then(|r| r.roll.as_ref()).is_some_and(|roll| roll.touched);
    !begun || scene.history.baseline_owed_since.is_some()
}

fn add<'a>(
    checks: &mut Checks,
    scene: &Scene<'_>,
    rules: &CheckRules,
    unit: &Outdated,
    about: Option<&UnitName>,
    commands: impl Iterator<Item = &'a str>,
    others: impl Iterator<Item = &'a str>,
) {
    let mut seen: Vec<&str> = vec![];
    let all = commands.map(|name| (name, true)).chain(others.map(|name| (name, false)));
    for (name, is_command) in all {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let found = results(scene, &unit.key.product, &unit.goal, about);
        let found = found.filter(|found| found.name == name).max_by_key(|found| found.at);
        let why = match judge(scene, rules, found) {
            Verdict::Passed => continue,
            Verdict::Wait(why) => why,
            Verdict::Due(why) => {
                if is_command {
                    checks.run.push(order(name, unit, about));
                }
                why
            }
        };
        checks.why.push(WaitingOn::Check { name: name.to_owned(), unit: about.cloned(), why });
    }
}

fn order(name: &str, unit: &Outdated, about: Option<&UnitName>) -> CheckOrder {
    let component = unit.goal.components.get(&unit.role);
    CheckOrder {
        name: name.to_owned(),
        product: unit.key.product.clone(),
        from: unit.from.clone(),
        to: unit.goal.to.clone(),
        release: unit.goal.release_digest,
        unit: about.and_then(|_| Some((unit.key.clone(), component?.clone()))),
    }
}

fn judge(scene: &Scene<'_>, rules: &CheckRules, found: Option<&CheckResult>) -> Verdict {
    let Some(found) = found else { return Verdict::Due("it has not been made yet".to_owned()) };
    let owed_since = scene.history.baseline_owed_since.unwrap_or(Timestamp::MIN);
    let age_ms = elapsed_ms(found.at, scene.now);
    // What was found in the future was found before the clock went back.
    if found.at < owed_since || found.at > scene.now {
        return Verdict::Due("it has to be made again".to_owned());
    }
    let again = age_ms >= scene.policy.timings.refused_retry_ms;
    let failed = |why: String| if again { Verdict::Due(why) } else { Verdict::Wait(why) };
    match &found.outcome {
        CheckOutcome::Running => Verdict::Wait("it has not ended".to_owned()),
        CheckOutcome::Failed { why } => failed(why.clone()),
        CheckOutcome::Unknown { why } => failed(format!("it cannot be told: {why}")),
        CheckOutcome::Passed if age_ms > rules.max_age_ms => {
            let (age_s, limit_s) = (age_ms / 1000, rules.max_age_ms / 1000);
            Verdict::Due(format!("it passed {age_s} s ago, limit {limit_s} s"))
        }
        CheckOutcome::Passed => Verdict::Passed,
    }
}

fn results<'a>(
    scene: &Scene<'a>,
    product: &ProductRef,
    goal: &Goal,
    about: Option<&UnitName>,
) -> impl Iterator<Item = &'a CheckResult> {
    let (product, release, about) = (product.clone(), goal.release_digest, about.cloned());
    scene
        .standing
        .checks
        .values()
        .filter_map(move |found| found.get(&product))
        .flatten()
        .filter(move |found| found.release == release && found.unit == about)
}
