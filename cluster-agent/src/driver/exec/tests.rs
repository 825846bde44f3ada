//! Real processes below a temporary directory.

use std::fs;
use std::path::{Path, PathBuf};

use channels::wire::Role;
use proptest::prelude::*;
use signing::Sha256Digest;

use super::super::Task;
use super::template::Values;
use super::*;

fn order(component_version: &str) -> StepOrder {
    StepOrder::sample(
        ("acme/kafka", "c-1"),
        Role::Controller,
        ["3.9.1", "4.3.1"],
        (component_version, "acme/kafka", b"i"),
    )
}

fn template(argv: &[&str]) -> Result<CommandTemplate, TemplateError> {
    let argv: Vec<String> = argv.iter().map(|&argument| argument.to_owned()).collect();
    CommandTemplate::parse(&argv)
}

fn driver(dir: &Path, argv: &[&str], timeout: Duration) -> ExecDriver {
    let template = template(argv).unwrap();
    let spec = CommandSpec { template, environment: BTreeMap::new(), timeout };
    ExecDriver::open(dir, BTreeMap::from([(Stage::Mutate, spec)])).unwrap()
}

const HOUR: Duration = Duration::from_hours(1);

/// Polls until the stage ends; the loop's bound only turns a hang into a failure.
async fn finished(driver: &ExecDriver, step: &StepId) -> (i32, String) {
    for _ in 0..3000 {
        if let StepStatus::Finished { exit_code, log_tail } =
            driver.status(step, Stage::Mutate).await.unwrap()
        {
            return (exit_code, log_tail);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the stage did not end");
}

async fn appears(path: &Path) {
    for _ in 0..3000 {
        if path.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} did not appear", path.display());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_command_outlives_its_driver_and_is_found_again_by_step_id() {
    let dir = tempfile::tempdir().unwrap();
    let gate = dir.path().join("gate");
    let script = "while [ ! -e \"$0\" ]; do sleep 0.02; done; echo through; exit 3";
    let argv = ["sh", "-c", script, gate.to_str().unwrap()];
    let order = order("4.3.1");

    let first = driver(dir.path(), &argv, HOUR);
    let before = runtime();
    before.block_on(first.start(&order, Stage::Mutate)).unwrap();
    drop(before);
    drop(first);

    let again = driver(dir.path(), &argv, HOUR);
    runtime().block_on(async {
        let status = again.status(&order.step_id, Stage::Mutate).await.unwrap();
        assert!(matches!(status, StepStatus::Running { .. }), "{status:?}");
        fs::write(&gate, "").unwrap();
        assert_eq!(finished(&again, &order.step_id).await, (3, "through\n".to_owned()));
    });
}

#[tokio::test]
async fn a_stage_runs_once_however_often_and_by_whomever_it_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    let argv = ["sh", "-c", "echo ran >>\"$0\"", count.to_str().unwrap()];
    let (one, two) = (driver(dir.path(), &argv, HOUR), driver(dir.path(), &argv, HOUR));
    let order = order("4.3.1");
    let starts = tokio::join!(
        one.start(&order, Stage::Mutate),
        two.start(&order, Stage::Mutate),
        one.start(&order, Stage::Mutate),
    );
    assert!(starts.0.is_ok() && starts.1.is_ok() && starts.2.is_ok());
    finished(&one, &order.step_id).await;
    two.start(&order, Stage::Mutate).await.unwrap();
    finished(&two, &order.step_id).await;
    assert_eq!(fs::read_to_string(&count).unwrap(), "ran\n");
}

/// A driver whose wrappers stall right before they claim, until `gate` exists; each first leaves
/// its process id in `stalled`. The command leaves `ran`.
struct Stalling {
    dir: tempfile::TempDir,
}

impl Stalling {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let stalling = Self { dir: tempfile::tempdir().unwrap() };
        let script = "#!/bin/sh\necho $PPID >\"$TEST_DIR/stalled.new\"\n\
                      mv \"$TEST_DIR/stalled.new\" \"$TEST_DIR/stalled\"\n\
                      while [ ! -e \"$TEST_DIR/gate\" ]; do sleep 0.02; done\n\
                      PATH=$REAL_PATH exec ln \"$@\"\n";
        let bin = stalling.path("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("ln"), script).unwrap();
        fs::set_permissions(bin.join("ln"), fs::Permissions::from_mode(0o755)).unwrap();
        stalling
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn driver(&self) -> ExecDriver {
        let real = std::env::var("PATH").unwrap();
        let environment = [
            ("PATH", format!("{}:{real}", self.path("bin").display())),
            ("REAL_PATH", real),
            ("TEST_DIR", self.dir.path().display().to_string()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        let template = template(&["sh", "-c", "echo ran >>\"$TEST_DIR/ran\""]).unwrap();
        let spec = CommandSpec { template, environment, timeout: HOUR };
        ExecDriver::open(self.dir.path(), BTreeMap::from([(Stage::Mutate, spec)])).unwrap()
    }

    /// Lets the stalled wrapper go on and waits for its end.
    async fn let_go(&self) {
        let wrapper = fs::read_to_string(self.path("stalled")).unwrap();
        fs::write(self.path("gate"), "").unwrap();
        for _ in 0..3000 {
            if !runs(&wrapper) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the wrapper did not end");
    }
}

#[tokio::test]
async fn a_start_that_was_given_up_never_runs_its_command_later() {
    let stalling = Stalling::new();
    let (driver, order) = (stalling.driver(), order("4.3.1"));
    let refused = driver.start(&order, Stage::Mutate).await.unwrap_err();
    assert!(matches!(refused, DriverError::File { action: "lock", .. }), "{refused}");
    stalling.let_go().await;
    assert!(!stalling.path("ran").exists(), "a stage ran that was reported as not started");
    let status = driver.status(&order.step_id, Stage::Mutate).await.unwrap();
    assert_eq!(status, StepStatus::Absent);

    driver.start(&order, Stage::Mutate).await.unwrap();
    assert_eq!(finished(&driver, &order.step_id).await.0, 0);
    assert_eq!(fs::read_to_string(stalling.path("ran")).unwrap(), "ran\n");
}

#[test]
fn a_stage_found_absent_after_a_crash_before_its_claim_never_runs() {
    let stalling = Stalling::new();
    let order = order("4.3.1");
    let driver = stalling.driver();
    let stalled = stalling.path("stalled");
    let before = runtime();
    before.block_on(async {
        tokio::select! {
            started = driver.start(&order, Stage::Mutate) => panic!("{started:?}"),
            () = appears(&stalled) => {}
        }
    });
    drop(before);

    let again = stalling.driver();
    runtime().block_on(async {
        let status = again.status(&order.step_id, Stage::Mutate).await.unwrap();
        assert_eq!(status, StepStatus::Absent);
        stalling.let_go().await;
        assert!(!stalling.path("ran").exists(), "a stage ran that was reported as absent");
    });
}

#[tokio::test]
async fn a_step_never_started_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let driver = driver(dir.path(), &["true"], HOUR);
    assert_eq!(driver.status(&StepId::new(), Stage::Mutate).await.unwrap(), StepStatus::Absent);
    let refused = driver.start(&order("1"), Stage::Quiesce).await.unwrap_err();
    assert!(matches!(refused, DriverError::StageNotConfigured { stage: Stage::Quiesce }));
}

fn runs(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

#[tokio::test]
async fn a_stage_out_of_time_is_ended_with_everything_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let child = dir.path().join("child");
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >\"$0.new\"; mv \"$0.new\" \"$0\"; \
                  while :; do sleep 1; done' \"$0\" & wait; while :; do sleep 1; done";
    let argv = ["sh", "-c", script, child.to_str().unwrap()];
    let driver = driver(dir.path(), &argv, Duration::ZERO).with_kill_grace(Duration::ZERO);
    let order = order("4.3.1");
    driver.start(&order, Stage::Mutate).await.unwrap();
    appears(&child).await;
    let pid = fs::read_to_string(&child).unwrap();
    assert!(runs(&pid));
    assert_eq!(finished(&driver, &order.step_id).await.0, EXIT_TIMED_OUT);
    assert!(!runs(&pid), "a grandchild that ignores SIGTERM outlived its stage");
}

#[tokio::test]
async fn a_stage_whose_shell_was_killed_is_lost_not_successful() {
    let dir = tempfile::tempdir().unwrap();
    let driver = driver(dir.path(), &["sleep", "1000"], HOUR);
    let order = order("4.3.1");
    driver.start(&order, Stage::Mutate).await.unwrap();
    let claim = driver.runner.dir(&order.step_id, "mutate").path().join("claim");
    let claim = fs::read_to_string(claim).unwrap();
    super::super::process::ProcessIdentity::parse(&claim).unwrap().kill().unwrap();
    assert_eq!(finished(&driver, &order.step_id).await, (EXIT_LOST, String::new()));
}

#[tokio::test]
async fn a_value_is_one_argument_and_the_agents_environment_stays_with_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let script = "printf '<%s>' \"$@\"; env";
    let argv = ["sh", "-c", script, "x", "{unit}", "--to={component_version}@{digest}", "{{}}"];
    let driver = driver(dir.path(), &argv, HOUR);
    let order = order("4.3.1+b7");
    driver.start(&order, Stage::Mutate).await.unwrap();
    let (code, log) = finished(&driver, &order.step_id).await;
    assert_eq!(code, 0);
    let digest = Sha256Digest::of(b"i");
    assert!(log.starts_with(&format!("<c-1><--to=4.3.1+b7@{digest}><{{}}>")), "{log}");
    assert!(log.contains("FAIRWAY_REPOSITORY=acme/kafka\n"), "{log}");
    assert!(!log.contains("CARGO_"), "the agent's environment leaked into a command");
}

#[tokio::test]
async fn a_component_version_cannot_smuggle_options_paths_or_shell_words() {
    let dir = tempfile::tempdir().unwrap();
    let driver = driver(dir.path(), &["echo", "{component_version}"], HOUR);
    for hostile in
        ["-rf", "1 --force", "$(id)", "1;id", "`id`", "../../etc", "/etc", "a\nb", "", "{unit}"]
    {
        let order = order(hostile);
        let refused = driver.start(&order, Stage::Mutate).await.unwrap_err();
        assert!(
            matches!(refused, DriverError::UnsafeValue { placeholder: "component_version", .. }),
            "{hostile:?}: {refused}"
        );
        let status = driver.status(&order.step_id, Stage::Mutate).await.unwrap();
        assert_eq!(status, StepStatus::Absent, "{hostile:?}");
    }
}

#[tokio::test]
async fn the_log_tail_is_bounded_and_holds_the_last_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let script = "i=0; while [ $i -lt 9000 ]; do echo line-$i; i=$((i+1)); done";
    let driver = driver(dir.path(), &["sh", "-c", script], HOUR);
    let order = order("4.3.1");
    driver.start(&order, Stage::Mutate).await.unwrap();
    let (_, tail) = finished(&driver, &order.step_id).await;
    assert!(tail.len() <= LOG_TAIL_BYTES, "{}", tail.len());
    assert!(tail.starts_with("line-") && tail.ends_with("line-8999\n"));
}

#[test]
fn a_template_names_what_is_wrong_with_it() {
    let refused = |argv: &[&str]| template(argv).unwrap_err();
    assert_eq!(refused(&[]), TemplateError::Empty);
    assert!(matches!(refused(&["{unit}"]), TemplateError::ProgramVaries { .. }));
    assert!(matches!(refused(&["x", "{host}"]), TemplateError::UnknownPlaceholder { .. }));
    assert!(matches!(refused(&["x", "a}b"]), TemplateError::StrayBrace { .. }));
    assert!(matches!(refused(&["x", "a{b"]), TemplateError::StrayBrace { .. }));
    assert!(matches!(refused(&["x", "\0"]), TemplateError::Nul { .. }));
}

/// As many steps as a driver keeps, all of them over.
fn fill(dir: &Path) {
    for _ in 0..STEPS_KEPT {
        fs::create_dir_all(dir.join("steps").join(StepId::new().to_string())).unwrap();
    }
}

fn steps_in(dir: &Path) -> usize {
    fs::read_dir(dir.join("steps")).unwrap().count()
}

#[test]
fn only_the_newest_steps_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    fs::create_dir(dir.path().join("steps/one-more")).unwrap();
    driver(dir.path(), &["true"], HOUR);
    assert_eq!(steps_in(dir.path()), STEPS_KEPT);
}

#[tokio::test]
async fn a_driver_that_goes_on_starting_steps_keeps_no_more_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let driver = driver(dir.path(), &["true"], HOUR);
    fill(dir.path());
    for _ in 0..3 {
        let order = order("4.3.1");
        driver.start(&order, Stage::Mutate).await.unwrap();
        finished(&driver, &order.step_id).await;
    }
    assert_eq!(steps_in(dir.path()), STEPS_KEPT);
}

#[tokio::test]
async fn neither_the_step_in_hand_nor_one_that_runs_is_ever_removed() {
    let dir = tempfile::tempdir().unwrap();
    let gate = dir.path().join("gate");
    let script = "while [ ! -e \"$0\" ]; do sleep 0.02; done; exit 3";
    let driver = driver(dir.path(), &["sh", "-c", script, gate.to_str().unwrap()], HOUR);
    let (running, in_hand) = (order("4.3.1"), order("4.3.1"));
    driver.start(&running, Stage::Mutate).await.unwrap();
    driver.runner.dir(&in_hand.step_id, "preflight").create().unwrap();
    fill(dir.path());
    driver.start(&in_hand, Stage::Mutate).await.unwrap();
    assert_eq!(steps_in(dir.path()), STEPS_KEPT);
    fs::write(&gate, "").unwrap();
    assert_eq!(finished(&driver, &running.step_id).await.0, 3);
    assert_eq!(finished(&driver, &in_hand.step_id).await.0, 3);
}

#[tokio::test]
async fn of_a_long_log_only_the_end_is_kept_once_its_stage_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let script = "head -c 1000000 /dev/zero; echo; echo the end";
    let driver = driver(dir.path(), &["sh", "-c", script], HOUR);
    let chatty = order("4.3.1");
    driver.start(&chatty, Stage::Mutate).await.unwrap();
    finished(&driver, &chatty.step_id).await;
    driver.start(&order("4.3.1"), Stage::Mutate).await.unwrap();
    let log = driver.runner.dir(&chatty.step_id, "mutate").path().join("log");
    assert!(fs::metadata(&log).unwrap().len() <= LOG_KEPT_BYTES);
    assert_eq!(fs::read(&log).unwrap(), b"the end\n", "whole lines");
}

proptest! {
    #[test]
    fn text_with_doubled_braces_comes_out_as_it_was(text in "[^\0]{0,40}") {
        let escaped = text.replace('{', "{{").replace('}', "}}");
        let rendered = template(&["x", &escaped]).unwrap().fill(&Values::of_step(&order("1"))).unwrap();
        prop_assert_eq!(rendered, vec!["x".to_owned(), text]);
    }

    #[test]
    fn any_argument_is_parsed_or_refused(text in ".{0,60}") {
        let _ = template(&["x", &text]);
    }
}

#[test]
fn files_of_a_relative_state_directory_are_found_from_everywhere() {
    let driver = ExecDriver::open(std::path::Path::new("no-such-state"), ExecCommands::new());
    let driver = driver.unwrap();
    let steps = driver.runner.root();
    assert_eq!(steps, std::env::current_dir().unwrap().join("no-such-state/steps"));
}

fn spec(argv: &[&str], purpose: Purpose) -> CommandSpec {
    let argv: Vec<String> = argv.iter().map(|&argument| argument.to_owned()).collect();
    let template = CommandTemplate::parse_for(&argv, purpose).unwrap();
    CommandSpec { template, environment: BTreeMap::new(), timeout: HOUR }
}

#[tokio::test]
async fn a_hook_runs_beside_the_stages_of_its_step() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo $FAIRWAY_STAGE of $1 for $2";
    let command = spec(&["sh", "-c", script, "x", "{unit}", "{version}"], Purpose::Step);
    let hooks = HookRunner::open(dir.path(), BTreeMap::from([(Task::Before, command)])).unwrap();
    let order = order("4.3.1");
    hooks.start(&order, Task::Before).await.unwrap();
    hooks.start(&order, Task::Before).await.unwrap();
    let log_tail = loop {
        match hooks.status(&order.step_id, Task::Before).await.unwrap() {
            StepStatus::Finished { exit_code: 0, log_tail } => break log_tail,
            StepStatus::Running { .. } => tokio::time::sleep(Duration::from_millis(10)).await,
            other @ (StepStatus::Finished { .. } | StepStatus::Absent) => panic!("{other:?}"),
        }
    };
    assert_eq!(log_tail, "before of c-1 for 4.3.1\n");
    assert!(!hooks.has(Task::After));
    let refused = hooks.start(&order, Task::After).await.unwrap_err();
    assert!(matches!(refused, DriverError::HookNotConfigured { task: Task::After }));
}

fn finalize_order(level: &str) -> FinalizeOrder {
    FinalizeOrder {
        step_id: StepId::new(),
        product: "acme/kafka".parse().unwrap(),
        release: "4.0.0".parse().unwrap(),
        release_digest: Sha256Digest::of(b"doc"),
        level: level.to_owned(),
    }
}

#[tokio::test]
async fn a_finalize_command_gets_its_level_once_and_is_found_by_the_next_agent() {
    let dir = tempfile::tempdir().unwrap();
    let argv = ["sh", "-c", "echo \"$1 $2\"; exit 7", "x", "{level}", "{version}"];
    let open = || Finalizer::open(dir.path(), spec(&argv, Purpose::Finalize)).unwrap();
    let order = finalize_order("4.0-IV3");
    assert_eq!(open().status(&order.step_id).await.unwrap(), StepStatus::Absent);
    open().start(&order).await.unwrap();
    let ended = loop {
        match open().status(&order.step_id).await.unwrap() {
            StepStatus::Finished { exit_code, log_tail } => break (exit_code, log_tail),
            StepStatus::Running { .. } | StepStatus::Absent => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    assert_eq!(ended, (7, "4.0-IV3 4.0.0\n".to_owned()));
    let hostile = finalize_order("4.0; rm -rf /");
    let refused = open().start(&hostile).await.unwrap_err();
    assert!(matches!(refused, DriverError::UnsafeValue { placeholder: "level", .. }), "{refused}");
}

#[test]
fn a_command_may_only_ask_for_what_there_is_to_tell() {
    let parse = |name: &str, purpose| {
        let argv = ["x".to_owned(), format!("{{{name}}}")];
        CommandTemplate::parse_for(&argv, purpose).is_ok()
    };
    assert!(parse("unit", Purpose::Step) && parse("unit", Purpose::UnitCheck));
    assert!(!parse("unit", Purpose::RollCheck) && !parse("unit", Purpose::Finalize));
    assert!(parse("level", Purpose::Finalize) && !parse("level", Purpose::Step));
    assert!(parse("from", Purpose::RollCheck) && !parse("from", Purpose::Finalize));
}

#[tokio::test]
async fn a_check_that_the_agent_before_left_running_is_ended_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let script = "echo $$ >\"$0.new\"; mv \"$0.new\" \"$0\"; sleep 1000";
    let command = spec(&["sh", "-c", script, pid.to_str().unwrap()], Purpose::RollCheck);
    let order = CheckOrder {
        name: "validate".to_owned(),
        product: "acme/kafka".parse().unwrap(),
        from: "3.9.1".parse().unwrap(),
        to: "4.3.1".parse().unwrap(),
        release: Sha256Digest::of(b"doc"),
        unit: None,
    };
    let id = StepId::new();
    let checker = Checker::open(dir.path()).unwrap();
    checker.start(&id, &command, &order).await.unwrap();
    appears(&pid).await;
    let pid = fs::read_to_string(&pid).unwrap();
    assert!(runs(&pid));
    let next = Checker::open(dir.path()).unwrap();
    for _ in 0..3000 {
        if !runs(&pid) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!runs(&pid), "a check outlived its agent and the next one's start");
    assert_eq!(next.status(&id, &command).await.unwrap(), StepStatus::Absent);
}
