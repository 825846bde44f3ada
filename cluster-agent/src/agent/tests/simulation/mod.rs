//! Clusters, troubles and orders by the thousand, each run from its seed; the invariants are asked
//! after everything that happens.
//!
//! `FAIRWAY_SIM_SEED=n` replays one seed and prints what happened; `FAIRWAY_SIM_SEEDS=n` sets how
//! many are run, `FAIRWAY_SIM_FIRST=n` where the long run begins, `FAIRWAY_SIM_THREADS=n` how many
//! threads share them. What a long run never meets is not tested, so it fails if an event, or a gate,
//! pause, phase or stage of `tally`'s lists, never came about. A law that no sabotaged agent breaks
//! is no law: `convictions`.

mod catalogue;
mod convictions;
mod court;
mod hands;
mod hub;
mod laws;
mod laws_of_design;
mod looks;
mod network;
mod plant;
mod run;
mod sabotage;
mod shape;
mod tally;
mod trouble;

use std::ops::RangeInclusive;
use std::panic::catch_unwind;

use run::Run;
use sabotage::Sabotage;
use shape::{PRODUCTS, Shape};
use tally::Tally;

use super::world::product;

/// Seeds of an ordinary test run: a few seconds.
const SEEDS: u64 = 5;

/// Seeds of the long run.
const SEEDS_LONG: u64 = 5_000;

/// Seeds that may fail before a thread gives up: enough to see whether they are alike.
const FAILURES_MAX: usize = 5;

/// Among so many seeds everything happens that can happen.
const SEEDS_ENOUGH: u64 = 700;

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
    settles(&mut run)?;
    Ok(run.tally)
}

/// Lets a roll that nothing troubles any more come to its end.
fn settles(run: &mut Run) -> Result<(), String> {
    for probe in 0..AFTERWARDS {
        if is_done(run) {
            return Ok(());
        }
        if probe % 40 == 0 {
            trouble::act(run);
        }
        run.step();
        if !run.court.broken.is_empty() {
            return Err(failure(run, "an invariant is broken"));
        }
        // A quorum that is too small to be rolled keeps its roll where it is, for ever.
        if run.shape.is_stuck() && probe > 400 {
            return Ok(());
        }
    }
    Err(failure(run, "the roll does not end"))
}

/// Every `of`-th seed, beginning with the `nth`: the tally of those that went well, and the rest.
fn share(seeds: &RangeInclusive<u64>, nth: usize, of: usize) -> (Tally, Vec<String>) {
    let mut all = Tally::default();
    let mut failures = Vec::new();
    for seed in seeds.clone().skip(nth).step_by(of) {
        match catch_unwind(|| one(seed, None)) {
            Ok(Ok(tally)) => all.merge(&tally),
            Ok(Err(failure)) => failures.push(failure),
            Err(_) => failures.push(format!("FAIRWAY_SIM_SEED={seed}: something panics")),
        }
        if failures.len() >= FAILURES_MAX {
            break;
        }
    }
    (all, failures)
}

fn many(seeds: &RangeInclusive<u64>) -> Tally {
    let of = number("FAIRWAY_SIM_THREADS").map_or(1, |of| usize::try_from(of).unwrap().max(1));
    let shares: Vec<(Tally, Vec<String>)> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..of).map(|nth| scope.spawn(move || share(seeds, nth, of))).collect();
        all.into_iter().map(|share| share.join().unwrap()).collect()
    });
    let mut tally = Tally::default();
    for (share, _) in &shares {
        tally.merge(share);
    }
    let failures: Vec<String> = shares.into_iter().flat_map(|(_, failures)| failures).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    tally
}

#[test]
fn whatever_happens_no_invariant_breaks_and_every_roll_ends() {
    if let Some(seed) = number("FAIRWAY_SIM_SEED") {
        println!("{}", many(&(seed..=seed)).table());
        return;
    }
    many(&(1..=number("FAIRWAY_SIM_SEEDS").unwrap_or(SEEDS)));
}

#[test]
#[ignore = "needs minutes: thousands of seeds"]
fn thousands_of_seeds_break_no_invariant() {
    let count = number("FAIRWAY_SIM_SEEDS").unwrap_or(SEEDS_LONG);
    let first = number("FAIRWAY_SIM_FIRST").unwrap_or(1);
    let tally = many(&(first..=first + count - 1));
    println!("{}", tally.table());
    if count >= SEEDS_ENOUGH {
        let never = tally.never();
        assert!(never.is_empty(), "in {count} seeds from {first} never happened: {never:?}");
    }
}

/// Two that once waited for ever: for a leader that nobody else could name, and for a majority that
/// two voters do not have without one of them.
#[test]
fn small_quorums_whose_owner_allows_it_are_rolled() {
    for (controllers, majority_only) in [(1, false), (1, true), (2, false), (2, true)] {
        let shape = Shape { controllers, majority_only, small_quorum: true, ..Shape::plain(14) };
        let mut run = Run::new(shape, None);
        if let Err(failure) = settles(&mut run) {
            panic!("{failure}");
        }
    }
}
