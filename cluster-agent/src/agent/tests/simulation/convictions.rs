//! The net catches fish: every sabotaged agent is convicted, by the law that names what it did.

use channels::names::UnitName;
use channels::wire::Role;

use super::super::world::{product, unit, version};
use super::hands::{CordonedBy, Fate};
use super::hub::Hub;
use super::run::Run;
use super::sabotage::Sabotage;
use super::shape::{KAFKA, PLATFORM, Shape};
use super::trouble;
use crate::driver::Task;
use crate::plan::CheckOutcome;
use crate::sim::Fault;

/// Probes in which a sabotaged agent must have been convicted.
const PROBES: u32 = 900;

/// A cluster in which the sabotage has something to ignore.
fn scene(sabotage: Sabotage) -> Run {
    let mut shape = Shape::plain(7);
    shape.checked = sabotage == Sabotage::IgnoresChecks;
    if sabotage == Sabotage::IgnoresQuorum {
        shape.controllers = 5;
    }
    if sabotage == Sabotage::IgnoresApprovals {
        shape.mode = crate::plan::Mode::Manual;
    }
    if sabotage == Sabotage::IgnoresNeeds {
        (shape.dependent, shape.workloads) = (true, 1);
    }
    let mut run = Run::new(shape, Some(sabotage));
    match sabotage {
        Sabotage::IgnoresHub => run.hub = Hub::Silent,
        Sabotage::IgnoresLease => trouble::lease_lost(&mut run),
        Sabotage::IgnoresWindows => trouble::freeze(&mut run),
        Sabotage::IgnoresHold => trouble::hold(&mut run),
        Sabotage::IgnoresPin => {
            // There is no way back from beyond it.
            let platform = run.policy.products.get_mut(&product(PLATFORM)).unwrap();
            platform.pin = Some(version("1.32.0"));
        }
        Sabotage::IgnoresChecks => {
            run.moment.check = Some(CheckOutcome::Failed { why: "no space".to_owned() });
        }
        Sabotage::StaleGraph => {
            let kafka = run.catalogue.shelves.get_mut(&product(KAFKA)).unwrap();
            kafka.edges.remove(&(0, 1));
        }
        Sabotage::IgnoresRefusals => {
            run.hands.fates.insert(Task::Quiesce, Fate::Fails);
        }
        Sabotage::ForgetsPauses => {
            run.hands.fates.insert(Task::Mutate, Fate::Fails);
        }
        Sabotage::UncordonsAll => {
            run.hands.cordons.insert(unit("n-1"), CordonedBy::Person);
            run.court.cordoned_by_people.insert(unit("n-1"));
        }
        Sabotage::TwoAtOnce
        | Sabotage::TrustsOldPages
        | Sabotage::NoSoak
        | Sabotage::LeaderFirst
        | Sabotage::FinalizesUnasked
        | Sabotage::NeverPersists
        | Sabotage::HostAnyTime
        | Sabotage::RetargetsMidStep
        | Sabotage::IgnoresApprovals
        | Sabotage::IgnoresNeeds
        | Sabotage::DeafMidStep
        | Sabotage::IgnoresQuorum => {}
    }
    run
}

/// What goes on around it at each probe.
fn goes_on(run: &mut Run, law: &str, probe: u32) {
    match (run.sabotage, law) {
        // A peer becomes unreadable at the last moment: what was read before is not old enough to
        // be caught standing still.
        (Some(Sabotage::TrustsOldPages), "I3") => {
            let out = run.core.history.out.as_ref();
            let going = out.filter(|out| out.role() == Role::Controller && !out.phase.is_changed());
            if let Some(going) = going.map(|out| out.key().unit.clone()) {
                let family = "kafka_server_raftmetrics_current_epoch".to_owned();
                let peer = followers(run).into_iter().find(|name| *name != going).unwrap();
                run.sim.set_fault(&peer, Fault::MissingMetric { family });
            }
        }
        (Some(Sabotage::TrustsOldPages), "I5") if probe == 20 => {
            let node = run.targets.iter().find(|target| target.role == Role::Node).unwrap();
            run.sim.set_fault(&node.key.unit, Fault::Hang);
        }
        (Some(Sabotage::IgnoresQuorum), _) if probe == 0 => {
            // The one that goes first, because it is ill, must not go while the other is.
            for name in followers(run).into_iter().take(2) {
                run.sim.set_fault(&name, Fault::Lag { ms: 30_000 });
            }
            run.hub = Hub::Silent;
        }
        (Some(Sabotage::IgnoresQuorum), _) if probe == 60 => run.hub = Hub::Grants,
        // A node is being drained when somebody says stop.
        (Some(Sabotage::DeafMidStep), _) => {
            let drains = |order: &crate::driver::StepOrder| order.role == Role::Node;
            let out = run.core.history.out.as_ref().map(|out| &out.order);
            if out.is_some_and(drains) && run.hub == Hub::Grants {
                run.hub = Hub::Holds;
                run.report();
            }
        }
        _ => {}
    }
}

fn followers(run: &Run) -> Vec<UnitName> {
    let voters = run.sim.voters().into_iter();
    voters.filter(|(_, voter)| !voter.leads).map(|(name, _)| name).collect()
}

#[test]
fn every_sabotage_is_convicted_by_the_law_it_breaks() {
    let mut free = Vec::new();
    for (sabotage, law) in Sabotage::ALL {
        let mut run = scene(sabotage);
        let convicted = (0..PROBES).any(|probe| {
            goes_on(&mut run, law, probe);
            run.step();
            run.court.broken.iter().any(|broken| broken.law == law)
        });
        if !convicted {
            let why = format!("{sabotage:?} is not convicted of {law}");
            free.push(super::failure(&run, &why));
        }
    }
    assert!(free.is_empty(), "{}", free.join("\n\n"));
}

#[test]
fn an_honest_agent_is_convicted_of_nothing() {
    let mut run = Run::new(Shape::plain(7), None);
    for _ in 0..PROBES {
        run.step();
    }
    assert_eq!(run.court.broken, []);
    assert!(super::is_done(&run), "{}", super::failure(&run, "it does not end"));
}
