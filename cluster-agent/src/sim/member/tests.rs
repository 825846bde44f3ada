//! The rules in simulated time, and three members with real files and sockets.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::quorum::{CHECK_QUORUM_MS, FETCH_TIMEOUT_MS, RaftState};
use super::rules::{Action, Core, Fetch, Lease};
use super::*;

/// The directory, in memory.
#[derive(Default)]
struct World {
    lease: Option<Lease>,
    fetches: BTreeMap<u32, Fetch>,
    members: BTreeMap<u32, Core>,
    now_ms: i64,
}

impl World {
    fn new(voters: u32) -> Self {
        let members = (1..=voters).map(|id| (id, Core::new(id, voters, None, 0))).collect();
        let mut world = Self { members, ..Self::default() };
        world.run(3000);
        world
    }

    fn run(&mut self, ms: i64) {
        for _ in 0..ms / 100 {
            self.now_ms += 100;
            let ids: Vec<u32> = self.members.keys().copied().collect();
            for id in ids {
                let mut others = self.fetches.clone();
                others.remove(&id);
                let member = self.members.get_mut(&id).unwrap();
                match member.beat(self.lease.as_ref(), &others, self.now_ms) {
                    Action::Follow => {}
                    Action::Renew(lease) => self.lease = Some(lease),
                    Action::Claim(lease) => {
                        let known = self.lease.as_ref().map_or(0, |lease| lease.epoch);
                        if lease.epoch > known {
                            member.won(&lease, self.now_ms);
                            self.lease = Some(lease);
                        }
                    }
                }
                self.fetches.insert(id, member.fetch(self.now_ms));
            }
        }
    }

    fn leader(&self) -> Option<u32> {
        let leads = |(_, member): &(&u32, &Core)| member.state == RaftState::Leader;
        self.members.iter().find(leads).map(|(id, _)| *id)
    }

    fn watermark(&self) -> i64 {
        self.members.values().map(|member| member.high_watermark).max().unwrap()
    }
}

#[test]
fn members_elect_one_leader_and_commit_two_records_a_second() {
    let mut world = World::new(3);
    let leader = world.leader().unwrap();
    let before = world.watermark();
    world.run(10_000);
    assert!((19..=21).contains(&(world.watermark() - before)));
    assert_eq!(world.leader(), Some(leader));
    assert!(world.members.values().all(|member| member.leader == Some(leader)));
}

#[test]
fn a_member_alone_elects_itself_only_if_it_is_alone_by_design() {
    assert_eq!(World::new(1).leader(), Some(1));
    let mut world = World::new(3);
    world.members.retain(|id, _| *id == 1);
    world.run(CHECK_QUORUM_MS + FETCH_TIMEOUT_MS + 1000);
    let before = world.watermark();
    world.run(10_000);
    assert_eq!(world.leader(), None);
    assert!(world.watermark() <= before);
}

#[test]
fn a_leader_that_crashed_is_replaced_after_the_fetch_timeout_and_loses_nothing_committed() {
    let mut world = World::new(3);
    let old = world.leader().unwrap();
    let (epoch, committed) = (world.members[&old].epoch, world.watermark());
    let crashed = world.members.remove(&old).unwrap();
    world.run(FETCH_TIMEOUT_MS - 200);
    assert_eq!(world.leader(), None);
    world.run(1000);
    let new = world.leader().unwrap();
    assert_eq!(world.members[&new].epoch, epoch + 1);
    world.run(2000);
    assert!(world.watermark() >= committed);
    // As after SIGCONT: it thinks that it leads, and learns better.
    world.members.insert(old, crashed);
    world.run(500);
    assert_eq!(world.members[&old].leader, Some(new));
    assert_eq!(world.leader(), Some(new));
}

#[test]
fn a_leader_that_resigns_is_replaced_at_once() {
    let mut world = World::new(3);
    let old = world.leader().unwrap();
    let mut leaving = world.members.remove(&old).unwrap();
    world.lease = leaving.resign(world.now_ms);
    world.run(300);
    assert!(world.leader().is_some_and(|leader| leader != old));
}

fn args(dir: &std::path::Path, id: u32, listen: SocketAddr) -> MemberArgs {
    let unit: UnitName = format!("c-{id}").parse().unwrap();
    std::fs::write(dir.join(format!("{unit}.version")), "3.9.1\n").unwrap();
    MemberArgs { dir: dir.to_owned(), unit, id, voters: 3, listen, version: None }
}

pub(super) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Running {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), MemberError>>,
}

fn start(args: MemberArgs) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        run_until(&args, async move {
            let _ = stopped.await;
        })
        .await
    });
    Running { stop, task }
}

/// Polls a page until it contains `text`; the bound only turns a hang into a failure.
pub(super) async fn shows(address: SocketAddr, text: &str) -> String {
    let brief = Duration::from_secs(2);
    let http = crate::hub::http_client(brief, brief).unwrap();
    let mut last = String::new();
    for _ in 0..1000 {
        if let Ok(answer) = http.get(format!("http://{address}/metrics")).send().await {
            last = answer.text().await.unwrap_or_default();
            if last.contains(text) {
                return last;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{address} never showed {text}:\n{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_share_a_directory_survive_a_handover_and_read_their_version_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = [free_address(), free_address(), free_address()];
    let all: Vec<MemberArgs> =
        (1..=3).zip(addresses).map(|(id, address)| args(dir.path(), id, address)).collect();
    let mut running: BTreeMap<u32, Running> = BTreeMap::new();
    for args in &all {
        running.insert(args.id, start(args.clone()));
    }
    for address in addresses {
        let page = shows(address, "kafka_server_raftmetrics_number_of_voters 3").await;
        assert!(page.contains("kafka_server_app_info{version=\"3.9.1\"} 1"));
    }
    let mut leader = None;
    while leader.is_none() {
        for (args, address) in all.iter().zip(addresses) {
            let page = shows(address, "current_state{").await;
            if page.contains("current_state=\"leader\"") {
                leader = Some((args.clone(), address));
            }
        }
    }
    let (leader, address) = leader.unwrap();
    let old = running.remove(&leader.id).unwrap();
    old.stop.send(()).unwrap();
    old.task.await.unwrap().unwrap();
    let files = super::files::Files::open(dir.path(), "test").unwrap();
    files.set_version(&leader.unit, "4.3.1").unwrap();
    running.insert(leader.id, start(leader.clone()));
    let page = shows(address, "current_state=\"follower\"").await;
    assert!(page.contains("kafka_server_app_info{version=\"4.3.1\"} 1"), "{page}");
    for (_, member) in running {
        member.stop.send(()).unwrap();
        member.task.await.unwrap().unwrap();
    }
}
