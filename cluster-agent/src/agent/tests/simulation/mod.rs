//! Clusters, troubles and orders by the thousand, each run from its seed; the invariants are asked
//! after everything that happens.
//!
//! `FAIRWAY_SIM_SEED=n` replays one seed and prints what happened; `FAIRWAY_SIM_SEEDS=n` sets how
//! many are run. A law that no sabotaged agent breaks is no law: `every_sabotage_is_convicted`.

mod catalogue;
mod convictions;
mod court;
mod hands;
mod laws;
mod looks;
mod network;
mod run;
mod sabotage;
mod shape;
mod tally;
mod trouble;

use run::Run;
use sabotage::Sabotage;
use shape::{PRODUCTS, Shape};
use tally::Tally;

use super::world::product;

/// Seeds of an ordinary test run: a few seconds.
const SEEDS: u64 = 5;

/// Seeds of the long run.
const SEEDS_LONG: u64 = 5_000;

/// Probes during which things go wrong: two to four minutes.
const TROUBLE: u64 = 240;

/// Probes after the trouble in which a roll must have ended: 25 minutes.
const AFTERWARDS: u32 = 3_000;

/// One in so many probes brings an event.
const EVENT_EVERY: u64 = 7;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How a run went wrong, for whoever replays it.
fn failure(run: &Run, why: &str) -> String {
    let journal: Vec<&str> = run.journal.iter().map(String::as_str).collect();
    format!(
        "FAIRWAY_SIM_SEED={}: {why}\n{:#?}\nbroken {:#?}\nout {:?}\npause {:?}\nwaits {:?}\nplan {:#?}\n{}",
        run.shape.seed,
        run.shape,
        run.court.broken,
        run.core.history.out,
        run.core.history.pause,
        run.core.current_wait,
        run.core.plan.as_ref().map(|plan| &plan.waiting_on),
        journal.join("\n"),
    )
}

fn troubled(run: &mut Run) {
    for _ in 0..TROUBLE {
        if run.dice.below(EVENT_EVERY) == 0 {
            trouble::happens(run);
        }
        run.step();
        if !run.court.broken.is_empty() {
            return;
        }
    }
}

/// Everything that has units runs the newest release, and nothing is out.
fn is_done(run: &Run) -> bool {
    let newest = |name: &str| run.catalogue.shelves[&product(name)].newest();
    let runs = PRODUCTS.iter().all(|name| {
        let own = product(name);
        let mut units = run.targets.iter().filter(|target| target.key.product == own);
        units.all(|target| run.sim.version(&target.key.unit) == Some(newest(name)))
    });
    runs && run.core.history.out.is_none() && run.core.history.pause.is_none()
}

/// One seed, to its end.
fn one(seed: u64, sabotage: Option<Sabotage>) -> Result<Tally, String> {
    let mut run = Run::new(Shape::draw(seed), sabotage);
    if run.targets.is_empty() {
        return Ok(run.tally);
    }
    troubled(&mut run);
    if !run.court.broken.is_empty() {
        return Err(failure(&run, "an invariant is broken"));
    }
    trouble::ends(&mut run);
    for probe in 0..AFTERWARDS {
        if is_done(&run) {
            break;
        }
        if probe % 40 == 0 {
            trouble::act(&mut run);
        }
        run.step();
        if !run.court.broken.is_empty() {
            return Err(failure(&run, "an invariant is broken"));
        }
        // A quorum that is too small to be rolled keeps its roll where it is, for ever.
        if run.shape.is_stuck() && probe > 400 {
            return Ok(run.tally);
        }
    }
    if !is_done(&run) {
        return Err(failure(&run, "the roll does not end"));
    }
    Ok(run.tally)
}

fn many(seeds: std::ops::RangeInclusive<u64>) -> Tally {
    let mut all = Tally::default();
    let mut failures = Vec::new();
    for seed in seeds {
        match one(seed, None) {
            Ok(tally) => all.merge(&tally),
            Err(failure) => failures.push(failure),
        }
        assert!(failures.len() < 5, "{}", failures.join("\n\n"));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    all
}

#[test]
fn whatever_happens_no_invariant_breaks_and_every_roll_ends() {
    if let Some(seed) = number("FAIRWAY_SIM_SEED") {
        println!("{}", many(seed..=seed).table());
        return;
    }
    many(1..=number("FAIRWAY_SIM_SEEDS").unwrap_or(SEEDS));
}

#[test]
#[ignore = "needs minutes: thousands of seeds"]
fn thousands_of_seeds_break_no_invariant() {
    let count = number("FAIRWAY_SIM_SEEDS").unwrap_or(SEEDS_LONG);
    let first = number("FAIRWAY_SIM_FIRST").unwrap_or(1);
    println!("{}", many(first..=first + count - 1).table());
}

/// Seeds that once broke something: a sole controller whose owner allows its roll never went,
/// because nobody else could say who leads.
#[test]
fn seeds_that_once_failed_do_not_fail_again() {
    for seed in [14, 18] {
        if let Err(failure) = one(seed, None) {
            panic!("{failure}");
        }
    }
}
