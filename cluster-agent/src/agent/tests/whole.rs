//! The whole agent with its real loop: signed metadata, pages and steps over real HTTP.

use std::net::SocketAddr;

use channels::wire::Phase;
use tokio::sync::watch;

use super::lab::{Lab, Offer, until};
use crate::config::{Overrides, Settings};
use crate::sim::Fault;
use crate::state::{Control, LocalHold};
use crate::status::{self, Status};
use crate::{agent, clock};

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn settings(lab: &Lab) -> Settings {
    Settings::load(&lab.config, Overrides::default()).unwrap()
}

fn kafka(status: &Status) -> &channels::wire::ProductState {
    status.products.iter().find(|p| p.product.to_string() == "acme/kafka").unwrap()
}

fn waits(status: &Status, gate: &str) -> bool {
    kafka(status).waiting_on.iter().any(|why| why.gate == gate)
}

#[actix_web::test]
async fn an_agent_refuses_what_is_wrongly_signed_obeys_a_hold_and_then_rolls_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    let settings = settings(&lab);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    // A hub before its first publication has nothing to verify.
    until(&settings, "nothing published", |s| waits(s, "metadata_unusable")).await;

    lab.publish(&Offer { upgrade_from: "^3.8.5, <3.9", ..Offer::default() });
    let status = until(&settings, "edge", |s| waits(s, "edge_not_allowed")).await;
    assert_eq!(kafka(&status).version.to_string(), "3.9.0");

    let control = Control::new(&settings.state_dir);
    let hold = LocalHold { reason: "drill".to_owned(), since: clock::now() };
    control.place_hold(&hold).unwrap();
    // The same version of a release with other bytes is a new publication like any other here.
    lab.publish(&Offer::default());
    until(&settings, "hold", |s| waits(s, "hold")).await;
    assert_eq!(lab.sim.state("east").unwrap().ledger.restarts, []);

    control.lift_hold().unwrap();
    until(&settings, "the end", |s| {
        let versions: Vec<String> = s.products.iter().map(|p| p.version.to_string()).collect();
        versions == ["4.0.0", "1.33.0"]
    })
    .await;
    let ledger = lab.sim.state("east").unwrap().ledger;
    assert_eq!(ledger.violations, Vec::<String>::new());
    assert_eq!(ledger.restarts.len(), 5);
    assert_eq!(ledger.restarts[2].leader.as_ref(), Some(&ledger.restarts[2].unit));
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}

#[actix_web::test]
async fn a_graph_signed_with_another_key_is_refused_by_the_attacks_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    lab.publish(&Offer { channels_key: 66, ..Offer::default() });
    let settings = settings(&lab);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    let status = until(&settings, "refusal", |s| kafka(s).failure.is_some()).await;
    let failure = kafka(&status).failure.clone().unwrap();
    assert_eq!(failure.kind, "arbitrary_software", "{failure:?}");
    assert!(!kafka(&status).waiting_on.is_empty());
    assert_eq!(lab.sim.state("east").unwrap().ledger.restarts, []);
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}

/// An enrolled agent: its configuration reports.
pub(super) async fn enrolled(lab: &Lab) -> Settings {
    let text = std::fs::read_to_string(&lab.config).unwrap();
    std::fs::write(&lab.config, text.replace("reports = false", "reports = true")).unwrap();
    let settings = settings(lab);
    let enrolment =
        agent::enroll(&settings, "token", agent::EnrolKey::Kept, clock::now()).await.unwrap();
    assert_eq!(enrolment.cluster_id, super::world::cluster());
    settings
}

#[actix_web::test]
async fn an_agent_that_reports_but_is_not_enrolled_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(dir.path(), anywhere());
    let text = std::fs::read_to_string(&lab.config).unwrap();
    std::fs::write(&lab.config, text.replace("reports = false", "reports = true")).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let error = Box::pin(agent::run(settings(&lab), stopped)).await.unwrap_err();
    assert!(matches!(error, agent::AgentError::NotEnrolled { .. }), "{error}");
    lab.stop().await;
}

#[actix_web::test]
async fn a_hub_grants_every_unit_and_its_hold_in_mid_roll_stops_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    lab.publish(&Offer::default());
    let settings = enrolled(&lab).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    until(&settings, "first change", |s| s.step.is_some()).await;
    lab.hub.lock().unwrap().hold = Some("incident 4711".to_owned());
    until(&settings, "hub hold", |s| s.step.is_none() && waits(s, "hub_hold")).await;
    let moved = lab.sim.state("east").unwrap().ledger.restarts.len();
    assert!(moved <= 1, "{moved} units moved under a hold");

    lab.hub.lock().unwrap().hold = None;
    until(&settings, "the end", |s| {
        let versions: Vec<String> = s.products.iter().map(|p| p.version.to_string()).collect();
        versions == ["4.0.0", "1.33.0"]
    })
    .await;
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    let reports = std::mem::take(&mut lab.hub.lock().unwrap().reports);
    assert!(reports.is_sorted_by(|a, b| a.cluster.seq < b.cluster.seq), "numbers grow");
    let asked = reports.iter().flat_map(|r| &r.products).filter(|p| p.wants.is_some()).count();
    assert!(asked >= 5, "asked {asked} times for five units");
    let phases: Vec<Phase> = reports
        .iter()
        .flat_map(|report| &report.products)
        .filter(|state| state.unit.as_ref().is_some_and(|unit| unit.as_str() == "n-2"))
        .map(|state| state.phase)
        .collect();
    for phase in [Phase::Mutate, Phase::AwaitReturn, Phase::AwaitHealth, Phase::Soak] {
        assert!(phases.contains(&phase), "{phase} was not reported: {phases:?}");
    }
    assert_eq!(lab.sim.state("east").unwrap().ledger.violations, Vec::<String>::new());
    lab.stop().await;
}

#[actix_web::test]
async fn an_agent_whose_key_is_refused_starts_no_other_unit_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    lab.publish(&Offer::default());
    let settings = enrolled(&lab).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    until(&settings, "first change", |s| s.step.is_some()).await;
    lab.hub.lock().unwrap().refuse = Some((409, "identity_conflict"));
    let status = until(&settings, "the refusal is shown", |s| {
        s.step.is_none() && s.hub.key_refused.is_some() && waits(s, "hub_disowned")
    })
    .await;
    assert_eq!(status.hub.key_refused.as_deref(), Some("identity_conflict"));
    let text = status::render(&status, crate::state::InUse::Yes, clock::now());
    assert!(text.contains("REFUSES this cluster's key [identity_conflict]"), "{text}");
    let moved = lab.sim.state("east").unwrap().ledger.restarts.len();
    assert!(moved <= 1, "{moved} units moved without leave");

    lab.hub.lock().unwrap().refuse = None;
    until(&settings, "it goes on once the key is taken again", |s| {
        s.hub.key_refused.is_none() && kafka(s).version.to_string() == "4.0.0"
    })
    .await;
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}

#[actix_web::test]
async fn an_agent_that_lost_count_goes_on_above_the_hubs_number_and_takes_a_new_key_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    lab.publish(&Offer::default());
    let settings = enrolled(&lab).await;
    let ahead = u64::try_from(clock::now().as_millisecond()).unwrap() + 3_600_000;
    {
        let mut hub = lab.hub.lock().unwrap();
        hub.hold = Some("nothing is to move".to_owned());
        (hub.refuse, hub.last_seq) = (Some((409, "replayed_report")), Some(ahead));
    }
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    until(&settings, "the refusal", |s| s.hub.error.is_some()).await;
    let old = crate::hub::open_key(&settings.state_dir, crate::hub::KeyPlace::InForce);
    let agent::Rotated::LeftToTheAgent(next) =
        agent::rotate_key(&settings, clock::now()).await.unwrap()
    else {
        panic!("an agent is running");
    };
    lab.hub.lock().unwrap().refuse = None;
    until(&settings, "a report is taken", |s| s.hub.answered_at.is_some()).await;
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    let reports = std::mem::take(&mut lab.hub.lock().unwrap().reports);
    assert!(reports[0].cluster.seq > ahead, "{} is not above {ahead}", reports[0].cluster.seq);
    assert_eq!(reports[0].cluster.heard_seq, Some(ahead));
    let instance = reports[0].cluster.instance;
    assert!(instance.is_some() && reports.iter().all(|r| r.cluster.instance == instance));
    let key = crate::hub::open_key(&settings.state_dir, crate::hub::KeyPlace::InForce);
    let id = |key: Option<signing::SecretKey>| key.unwrap().public().key_id();
    assert_ne!(id(old.unwrap()), next);
    assert_eq!(id(key.unwrap()), next);
    lab.stop().await;
}

/// Commands of the owner's that each leave a line in `told`.
fn with_commands(lab: &Lab, dir: &std::path::Path) {
    let tell = |words: &str| {
        let script = dir.join("tell").display().to_string();
        format!("command = [\"sh\", \"{script}\", {words}]")
    };
    let script = format!("echo \"$*\" >>{}\n", dir.join("told").display());
    std::fs::write(dir.join("tell"), script).unwrap();
    let rules = format!(
        r#"initial_version = "3.9.0"
[products.finalize]
{finalize}
[[products.checks.commands]]
name = "validate"
{check}
[[products.pools]]
name = "controllers"
role = "controller"
hooks = {{ before = {{ {before} }}, after = {{ {after} }} }}"#,
        finalize = tell(r#""finalize", "{level}""#),
        check = tell(r#""check", "{from}", "{version}""#),
        before = tell(r#""before", "{unit}""#),
        after = tell(r#""after", "{unit}""#),
    );
    let text = std::fs::read_to_string(&lab.config).unwrap();
    let bare = "initial_version = \"3.9.0\"\n[[products.pools]]\nname = \"controllers\"\nrole = \"controller\"";
    assert!(text.contains(bare));
    std::fs::write(&lab.config, text.replacen(bare, &rules, 1)).unwrap();
}

fn told(dir: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[actix_web::test]
async fn checks_hooks_and_the_finalize_step_run_as_configured_and_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    lab.publish(&Offer { level: Some("4.0-IV3"), ..Offer::default() });
    with_commands(&lab, dir.path());
    let settings = settings(&lab);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    let asks = |s: &Status| {
        waits(s, "finalize_approval") && s.products.iter().all(|p| p.phase == Phase::Idle)
    };
    until(&settings, "everything runs, and a word is missing", asks).await;
    let lines = told(dir.path());
    assert_eq!(lines[0], "check 3.9.0 4.0.0");
    let hooks: Vec<&str> = lines[1..].iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(hooks, ["before", "after", "before", "after", "before", "after"]);

    let command = |yes: &[&str]| {
        let config = lab.config.display().to_string();
        let words = ["cluster-agent", "finalize", "acme/kafka", "--by", "ada", "--config", &config];
        crate::cli::cli_main(words.iter().chain(yes).map(ToString::to_string))
    };
    assert_ne!(command(&[]), std::process::ExitCode::SUCCESS, "nobody can be asked in a test");
    assert_eq!(command(&["--yes"]), std::process::ExitCode::SUCCESS);
    let status = until(&settings, "it is finalized", |s| kafka(s).waiting_on.is_empty()).await;
    let text = status::render(&status, crate::state::InUse::Yes, clock::now());
    assert!(text.contains("final    4.0.0, level 4.0-IV3, at "), "{text}");
    assert_eq!(told(dir.path())[7..], ["finalize 4.0-IV3"]);
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    let memory = crate::state::load(&settings.state_dir, "east").unwrap();
    let done = &memory.history.products[&"acme/kafka".parse().unwrap()].finalized[0];
    assert_eq!((&*done.level, &*done.by), ("4.0-IV3", "ada"));
    let config = lab.config.display().to_string();
    let words = ["cluster-agent", "back", "--product", "acme/kafka", "--version", "3.9.0"];
    let back = crate::cli::cli_main(words.iter().chain(&["--config", &config]));
    assert_ne!(back, std::process::ExitCode::SUCCESS, "there is no way back");
    lab.stop().await;
}

#[actix_web::test]
async fn a_hung_follower_is_rolled_first_although_nobody_answers_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    let settings = settings(&lab);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(settings.clone(), stopped));
    until(&settings, "every unit has said what it runs", |s| {
        kafka(s).units.iter().filter(|unit| unit.version.is_some()).count() == 3
    })
    .await;
    let leader = lab.sim.state("east").unwrap().quorum.unwrap().leader.unwrap();
    let hung = if leader.as_str() == "c-2" { "c-3" } else { "c-2" }.parse().unwrap();
    // It takes connections and never answers: every round waits for it.
    lab.sim.with("east", |sim| sim.set_fault(&hung, Fault::Hang)).unwrap().unwrap();
    lab.publish(&Offer::default());
    until(&settings, "the hung one goes", |_| {
        !lab.sim.state("east").unwrap().ledger.restarts.is_empty()
    })
    .await;
    assert_eq!(lab.sim.state("east").unwrap().ledger.restarts[0].unit, hung);
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}

/// Runs `cluster-agent resume --give-up NAME`.
fn give_up(lab: &Lab, name: &str) -> std::process::ExitCode {
    let config = lab.config.display().to_string();
    let words = ["cluster-agent", "resume", "--give-up", name, "--config", &config];
    crate::cli::cli_main(words.iter().map(ToString::to_string))
}

#[actix_web::test]
async fn what_was_begun_and_is_no_longer_configured_is_refused_by_name_until_it_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(dir.path(), anywhere());
    lab.publish(&Offer::default());
    let all = settings(&lab);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(all.clone(), stopped));
    let away = |s: &Status| s.step.is_some() && kafka(s).phase == Phase::AwaitHealth;
    let status = until(&all, "a unit is changed", away).await;
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    let unit = kafka(&status).unit.clone().unwrap();
    assert_ne!(give_up(&lab, &format!("acme/kafka/{unit}")), std::process::ExitCode::SUCCESS);

    // Its product leaves the configuration while its unit is out.
    let text = std::fs::read_to_string(&lab.config).unwrap();
    let (start, end) =
        ("[[products]]\nproduct = \"acme/kafka\"", "[[products]]\nproduct = \"acme/p");
    let cut = text.find(start).unwrap()..text.find(end).unwrap();
    let mut less = text;
    less.replace_range(cut, "");
    std::fs::write(&lab.config, less).unwrap();
    let rest = settings(&lab);
    let refused = || async {
        let (_stop, stopped) = watch::channel(false);
        let error = Box::pin(agent::run(rest.clone(), stopped)).await.unwrap_err();
        error.to_string()
    };
    let said = refused().await;
    let order = format!("resume --give-up acme/kafka/{unit}`");
    assert!(said.contains(&order), "{said}");
    assert_eq!(give_up(&lab, &format!("acme/kafka/{unit}")), std::process::ExitCode::SUCCESS);
    let said = refused().await;
    assert!(said.contains("resume --give-up acme/kafka`"), "{said}");
    assert_eq!(give_up(&lab, "acme/kafka"), std::process::ExitCode::SUCCESS);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(agent::run(rest.clone(), stopped));
    until(&rest, "it goes on with what is left", |s| s.step.is_none() && s.products.len() == 1)
        .await;
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    lab.stop().await;
}
