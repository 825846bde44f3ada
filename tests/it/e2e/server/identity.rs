//! Keys of real agents at a real hub: replaced, lost, copied.

use std::path::{Path, PathBuf};

use channels::wire::{AuditRow, Page};
use cluster_agent::status::Status;

use crate::e2e::cluster::Shape;
use crate::e2e::process::{Process, eventually, eventually_true, run, run_ok};
use crate::e2e::world::{World, copy_dir};

const NAME: &str = "vega";

fn one_cluster() -> World {
    let mut world = World::new("");
    world.add_cluster(NAME, &Shape::default());
    world.settled();
    world
}

fn text(path: &Path) -> String {
    path.to_str().expect("a utf-8 path").to_owned()
}

/// A second machine with the first one's disk.
#[derive(Debug)]
struct Copy {
    config: PathBuf,
    agent: Option<Process>,
}

impl Copy {
    fn of(world: &mut World) -> Self {
        let dir = world.dir().join("copy");
        // As a snapshot of a disk: of one moment.
        world.clusters[0].agent().signal("STOP");
        copy_dir(world.clusters[0].dir(), &dir);
        world.clusters[0].agent().signal("CONT");
        Self { config: dir.join("agent.toml"), agent: None }
    }

    fn run(&mut self) {
        let config = text(&self.config);
        let words = ["agent", "run", "--log-format", "text", "--config", &config];
        self.agent = Some(Process::start(&words, &[], &self.config.with_extension("log")));
    }

    fn status(&self) -> Result<Status, String> {
        let config = text(&self.config);
        let output = run(&["agent", "status", "--output", "json", "--config", &config], &[]);
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }
}

fn audited(world: &World, action: &str) -> usize {
    let page: Page<AuditRow> = world.hub.get("/api/v1/audit?limit=500").expect("the audit log");
    page.items.iter().filter(|row| row.action == action).count()
}

#[test]
fn a_running_agent_takes_a_new_key_and_the_copied_old_one_is_worthless() {
    let mut world = one_cluster();
    let id = world.hub.cluster(NAME).expect("a row").id;
    let mut copy = Copy::of(&mut world);
    let config = text(&world.clusters[0].config());
    let said = run_ok(&["agent", "rotate-key", "--config", &config], &[]);
    assert!(said.contains("the running agent"), "{said}");
    eventually_true(
        "the key is replaced",
        || audited(&world, "rotate_key") == 1,
        || world.clusters[0].log(),
    );
    world.hear_reports(&[NAME], 2);
    assert_eq!(world.hub.cluster(NAME).expect("a row").id, id);

    copy.run();
    eventually("the copy is told", || {
        let status = copy.status()?;
        let refused = status.hub.key_refused.as_deref() == Some("key_replaced");
        if refused { Ok(()) } else { Err(format!("{:?}", status.hub)) }
    });
    world.hear_reports(&[NAME], 2);
    let row = world.hub.cluster(NAME).expect("a row");
    assert_eq!(row.identity_conflict_since, None, "a refused key is nobody's twin");

    world.clusters[0].agent().kill();
    let said = run_ok(&["agent", "rotate-key", "--config", &config], &[]);
    assert!(said.contains("from now on"), "{said}");
    assert_eq!(audited(&world, "rotate_key"), 2);
    world.clusters[0].run(None);
    world.release(false);
    world.eventually_upgraded(NAME);
}

#[test]
fn a_cluster_that_lost_its_disk_comes_back_as_itself() {
    let mut world = one_cluster();
    let before = world.hub.cluster(NAME).expect("a row");
    let history = world.hub.trail(NAME, "acme/kafka").len();
    world.clusters[0].agent().kill();
    std::fs::remove_dir_all(world.clusters[0].state_dir()).expect("the disk is lost");

    let token = world.hub.fairway(&["clusters", "reinvite", NAME, "--note", "disk lost"]);
    let config = text(&world.clusters[0].config());
    let words = ["agent", "enroll", "--config", &config, "--token", token.trim()];
    run_ok(&words, &[]);
    let again = run_ok(&words, &[]);
    assert!(again.contains(&before.id.to_string()), "a repeated command: {again}");
    world.clusters[0].run(None);
    world.hear_reports(&[NAME], 2);
    let after = world.hub.cluster(NAME).expect("a row");
    assert_eq!((after.id, after.enrolled_at), (before.id, before.enrolled_at));
    assert!(world.hub.trail(NAME, "acme/kafka").len() >= history, "its history stays");
    assert_eq!((audited(&world, "reinvite"), audited(&world, "re_enrol")), (1, 1));
    world.release(false);
    world.eventually_upgraded(NAME);
    world.clusters[0].rolled_once();
}

#[test]
fn a_cloned_machine_stops_both_until_a_person_says_which_is_which() {
    let mut world = one_cluster();
    let mut copy = Copy::of(&mut world);
    copy.run();
    world
        .eventually_row(NAME, "the conflict is found", |row| row.identity_conflict_since.is_some());
    world.release(false);
    let held = |status: &Status| {
        let mut why = status.products.iter().flat_map(|product| &product.waiting_on);
        why.any(|why| {
            let gate = ["hub_hold", "hub_disowned"].contains(&why.gate.as_str());
            gate && why.message.contains("more than one agent")
        })
    };
    let both = || Ok::<_, String>([world.clusters[0].status()?, copy.status()?]);
    eventually("both are told", || {
        let both = both()?;
        if both.iter().all(held) { Ok(()) } else { Err(format!("{both:#?}")) }
    });
    let shown = world.hub.fairway(&["clusters", "show", NAME]);
    assert!(shown.contains("CONFLICT"), "{shown}");
    assert_eq!(audited(&world, "identity_conflict"), 1);
    assert_eq!(world.clusters[0].begun("mutate"), Vec::<String>::new());

    copy.agent.as_mut().expect("it runs").kill();
    world.hub.fairway(&["clusters", "trust", NAME, "--acknowledge", "the copy is off"]);
    world.eventually_upgraded(NAME);
    world.clusters[0].rolled_once();
    assert_eq!(world.hub.cluster(NAME).expect("a row").identity_conflict_since, None);
}

#[test]
fn an_agent_whose_key_was_revoked_says_so_and_comes_back_with_another_one() {
    let mut world = one_cluster();
    world.hub.fairway(&["clusters", "revoke", NAME, "--reason", "the rack was opened"]);
    eventually("the agent is told", || {
        let status = world.clusters[0].status()?;
        let error = status.hub.error.clone().unwrap_or_default();
        let told = status.hub.key_refused.as_deref() == Some("key_revoked")
            && error.contains("the rack was opened");
        if told { Ok(()) } else { Err(format!("{:?}", status.hub)) }
    });
    assert!(world.clusters[0].log().contains("asks no more"), "{}", world.clusters[0].log());
    let shown = world.hub.fairway(&["clusters", "show", NAME]);
    assert!(shown.contains("REVOKED by"), "{shown}");

    world.clusters[0].agent().kill();
    let token = world.hub.fairway(&["clusters", "reinvite", NAME]);
    let config = text(&world.clusters[0].config());
    let token = token.trim();
    run_ok(&["agent", "enroll", "--new-key", "--config", &config, "--token", token], &[]);
    world.clusters[0].run(None);
    world.hear_reports(&[NAME], 2);
    assert_eq!((audited(&world, "revoke"), audited(&world, "re_enrol")), (1, 1));
    world.release(false);
    world.eventually_upgraded(NAME);
}
