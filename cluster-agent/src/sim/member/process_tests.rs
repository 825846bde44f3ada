//! Three real processes, restarted by the `exec` driver as an operator's command would.
//!
//! A member process is this test binary running [`process_entry`]; the last argument holds the
//! command line, and the test harness takes it for a filter that matches nothing.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use channels::wire::Role;
use clap::Parser;

use super::tests::{free_address, shows};
use super::*;
use crate::driver::process::ProcessIdentity;
use crate::driver::{CommandSpec, CommandTemplate, ExecDriver, Stage, StepOrder, StepStatus};

const ENTRY: &str = "sim::member::process_tests::process_entry";

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: MemberCommand,
}

#[test]
#[ignore = "entry point of the member processes of the test below"]
fn process_entry() {
    let Some(line) = std::env::args().next_back().filter(|line| line.starts_with("member ")) else {
        return;
    };
    let cli = Cli::parse_from(line.split(' '));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(cli.command.execute()).unwrap();
}

fn this_binary() -> String {
    std::env::current_exe().unwrap().to_str().unwrap().to_owned()
}

/// Ends every member of a directory, also when the test fails.
struct Members<'a> {
    dir: &'a Path,
    children: Vec<Child>,
}

impl Drop for Members<'_> {
    fn drop(&mut self) {
        for id in 1..=3 {
            let record = std::fs::read_to_string(self.dir.join(format!("c-{id}.process")));
            if let Some(process) = record.ok().and_then(|text| ProcessIdentity::parse(&text)) {
                process.terminate_alone().unwrap();
            }
        }
        for child in &mut self.children {
            child.wait().unwrap();
        }
    }
}

fn spawn(dir: &Path, id: u32, address: SocketAddr) -> Child {
    std::fs::write(dir.join(format!("c-{id}.version")), "3.9.1").unwrap();
    let line = format!(
        "member run --dir {} --unit c-{id} --id {id} --voters 3 --listen {address}",
        dir.display()
    );
    Command::new(this_binary())
        .args(["--ignored", "--exact", ENTRY, &line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn order(id: u32) -> StepOrder {
    StepOrder::sample(
        ("acme/kafka", &format!("c-{id}")),
        Role::Controller,
        ["3.9.1", "4.3.1"],
        ("4.3.1", "acme/kafka", b"i"),
    )
}

fn driver(dir: &Path) -> ExecDriver {
    let line = format!(
        "member restart --dir {} --unit {{unit}} --version {{component_version}}",
        dir.display()
    );
    let argv = [this_binary().as_str(), "--ignored", "--exact", ENTRY, &line].map(str::to_owned);
    let template = CommandTemplate::parse(&argv).unwrap();
    let timeout = Duration::from_mins(1);
    let spec = CommandSpec { template, environment: std::collections::BTreeMap::new(), timeout };
    ExecDriver::open(&dir.join("agent"), [(Stage::Mutate, spec)].into()).unwrap()
}

/// Restarts a member; the driver that sees it finish is not the one that started it.
async fn restart_with_driver(dir: &Path, id: u32) {
    let order = order(id);
    driver(dir).start(&order, Stage::Mutate).await.unwrap();
    let again = driver(dir);
    loop {
        match again.status(&order.step_id, Stage::Mutate).await.unwrap() {
            StepStatus::Finished { exit_code, log_tail } => {
                assert_eq!(exit_code, 0, "{log_tail}");
                return;
            }
            StepStatus::Running { .. } => tokio::time::sleep(Duration::from_millis(20)).await,
            StepStatus::Absent => panic!("the step was lost"),
        }
    }
}

/// Node id of the leader, once there is one; the bound only turns a hang into a failure.
async fn leader_of(addresses: &[SocketAddr]) -> u32 {
    for _ in 0..1000 {
        let page = shows(addresses[0], "raftmetrics_current_leader ").await;
        let line = page.lines().find(|l| l.starts_with("kafka_server_raftmetrics_current_leader "));
        if let Ok(id) = line.unwrap().rsplit(' ').next().unwrap().parse() {
            return id;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no leader was elected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exec_driver_rolls_three_member_processes_into_a_new_version() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = [free_address(), free_address(), free_address()];
    let children = (1..=3).zip(addresses).map(|(id, a)| spawn(dir.path(), id, a)).collect();
    let _members = Members { dir: dir.path(), children };
    for address in addresses {
        shows(address, "kafka_server_app_info{version=\"3.9.1\"} 1").await;
    }
    let mut left: Vec<u32> = vec![1, 2, 3];
    while !left.is_empty() {
        let leader = leader_of(&addresses).await;
        let next = left.iter().copied().find(|id| *id != leader).unwrap_or(leader);
        left.retain(|id| *id != next);
        let address = addresses[usize::try_from(next - 1).unwrap()];
        let before = shows(address, "process_start_time_seconds ").await;
        restart_with_driver(dir.path(), next).await;
        let after = shows(address, "kafka_server_app_info{version=\"4.3.1\"} 1").await;
        let start = |page: &str| {
            let line = page.lines().find(|l| l.starts_with("process_start_time_seconds "));
            line.unwrap().to_owned()
        };
        assert_ne!(start(&before), start(&after));
        shows(address, "current_state=\"follower\"").await;
    }
    let ledger = read_ledger(dir.path()).unwrap();
    let downs: Vec<bool> =
        ledger.iter().filter(|e| e.event == LedgerEvent::Down).map(|e| e.led).collect();
    assert_eq!(downs, [false, false, true], "the leader went last: {ledger:?}");
    assert_eq!(ledger.iter().filter(|e| e.event == LedgerEvent::Up).count(), 6);
}
