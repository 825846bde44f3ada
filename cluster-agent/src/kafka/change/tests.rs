//! Guided changes against a model of the quorum, act by act and with a crash after each.

use super::*;
use crate::kafka::quorum::tests::{dir, replica, view};
use crate::kafka::{DirectoryId, Endpoint, Features, QuorumView, Replica};

const TIMEOUT_MS: u64 = 2_000;

fn endpoint(id: i32) -> Endpoint {
    format!("CONTROLLER://c{id}:9093").parse().unwrap()
}

fn change(goal: Goal) -> Change {
    Change {
        format: Change::FORMAT,
        product: "acme/kafka".parse().unwrap(),
        cluster_id: "fairway-test-cluster-1".into(),
        opened_at: jiff::Timestamp::UNIX_EPOCH,
        goal,
        joined_by: None,
        left_by: None,
    }
}

fn disk() -> Change {
    change(Goal::Disk { id: 3, directory: dir(3), endpoints: vec![endpoint(3)] })
}

fn replace() -> Change {
    let (directory, endpoints) = (dir(3), vec![endpoint(4)]);
    change(Goal::Replace { id: 3, directory, with: 4, endpoints })
}

fn on(directory: DirectoryId, replica: &Replica) -> Replica {
    Replica { directory, ..replica.clone() }
}

/// A quorum that does as it is asked and commits with the next look.
struct Model {
    view: QuorumView,
    acts: Vec<String>,
    /// Most and fewest voters there ever were.
    sizes: (usize, usize),
}

impl Model {
    fn new(view: QuorumView) -> Self {
        let size = view.voters.len();
        Self { view, acts: vec![], sizes: (size, size) }
    }

    fn append(&mut self) {
        for replica in self.view.voters.iter_mut().chain(&mut self.view.observers) {
            replica.log_end_offset = replica.log_end_offset.map(|end| end + 1);
        }
    }

    fn commit(&mut self) {
        self.view.high_watermark = self.view.leader_log_end_offset();
    }

    /// Goes on until the change is done or waits; `forget` loses what was noted after each act.
    fn run(&mut self, change: &mut Change, forget: bool) -> Next {
        for _ in 0..50 {
            let act = next(change, &self.view, TIMEOUT_MS);
            match &act {
                Next::Add { id, directory, .. } => {
                    let id = i64::from(*id);
                    assert!(!self.view.voters.iter().any(|v| v.id == id), "DUPLICATE_VOTER");
                    self.acts.push(format!("add {id}"));
                    let at = |r: &Replica| r.id == id && r.directory == *directory;
                    let index = self.view.observers.iter().position(at).unwrap();
                    let joined = self.view.observers.remove(index);
                    self.view.voters.push(joined);
                    self.append();
                }
                Next::Remove { id, directory } => {
                    self.acts.push(format!("remove {id}"));
                    let id = i64::from(*id);
                    self.view.voters.retain(|v| v.id != id || v.directory != *directory);
                    self.append();
                }
                Next::NoteJoined(offset) => change.joined_by = Some(*offset),
                Next::NoteLeft(offset) => change.left_by = Some(*offset),
                Next::Wait(Wait::NotCommitted { .. }) => self.commit(),
                Next::Wait(_) | Next::Done => return act,
            }
            if forget && matches!(act, Next::Add { .. } | Next::Remove { .. }) {
                change.joined_by = None;
                change.left_by = None;
            }
            let size = self.view.voters.len();
            self.sizes = (self.sizes.0.max(size), self.sizes.1.min(size));
        }
        panic!("no end: {:?}", self.acts);
    }
}

#[test]
fn a_new_id_joins_before_the_old_one_leaves() {
    for forget in [false, true] {
        let mut model = Model::new(view(3));
        model.view.observers = vec![replica(4, 0), replica(7, 0)];
        assert_eq!(model.run(&mut replace(), forget), Next::Done);
        assert_eq!(model.acts, ["add 4", "remove 3"]);
        assert_eq!(model.sizes, (4, 3), "the quorum never shrinks");
    }
}

#[test]
fn a_new_disk_under_the_same_id_leaves_before_it_joins() {
    for forget in [false, true] {
        let mut model = Model::new(view(3));
        model.view.voters[2] = replica(3, 60_000);
        model.view.observers = vec![on(dir(33), &replica(3, 0))];
        assert_eq!(model.run(&mut disk(), forget), Next::Done);
        assert_eq!(model.acts, ["remove 3", "add 3"]);
        let voter = model.view.voters.iter().find(|voter| voter.id == 3).unwrap();
        assert_eq!(voter.directory, dir(33));
    }
}

#[test]
fn nobody_is_removed_before_the_new_disk_has_caught_up() {
    let mut model = Model::new(view(3));
    model.view.voters[2] = replica(3, 60_000);
    let none = Next::Wait(Wait::NoObserver { id: 3 });
    assert_eq!(model.run(&mut disk(), false), none);
    model.view.observers = vec![on(dir(33), &replica(3, 5_000))];
    let behind = Wait::ObserverBehind { id: 3, behind_ms: Some(5_000) };
    assert_eq!(model.run(&mut disk(), false), Next::Wait(behind));
    model.view.observers[0].caught_up_ms = None;
    let never = Wait::ObserverBehind { id: 3, behind_ms: None };
    assert_eq!(model.run(&mut disk(), false), Next::Wait(never));
    assert!(model.acts.is_empty());
}

#[test]
fn the_old_directory_is_no_candidate_for_itself() {
    let mut model = Model::new(view(3));
    model.view.voters.retain(|voter| voter.id != 3);
    model.view.observers = vec![replica(3, 0)];
    let mut change = Change { left_by: Some(100), ..disk() };
    model.commit();
    let wait = model.run(&mut change, false);
    assert_eq!(wait, Next::Wait(Wait::NoObserver { id: 3 }));
}

#[test]
fn two_live_directories_of_one_id_are_not_chosen_from() {
    let mut model = Model::new(view(3));
    model.view.observers = vec![on(dir(33), &replica(3, 0)), on(dir(34), &replica(3, 10))];
    let wait = model.run(&mut disk(), false);
    assert_eq!(wait, Next::Wait(Wait::SeveralObservers { id: 3, observed: 2 }));
    // One that stopped is remembered for a while and does not count.
    model.view.observers[0].caught_up_ms = Some(0);
    assert_eq!(model.run(&mut disk(), false), Next::Done);
}

#[test]
fn others_that_fall_behind_in_the_middle_are_waited_for() {
    let mut model = Model::new(view(3));
    model.view.voters[1] = replica(2, 3_000);
    model.view.observers = vec![replica(4, 0)];
    let wait = Next::Wait(Wait::OthersBehind { others: vec![2] });
    assert_eq!(model.run(&mut replace(), false), wait);
    assert!(model.acts.is_empty());
    model.view.voters[1] = replica(2, 0);
    assert_eq!(model.run(&mut replace(), false), Next::Done);
}

#[test]
fn a_change_that_an_election_lost_is_asked_for_again() {
    let mut model = Model::new(view(3));
    model.view.observers = vec![replica(4, 0)];
    let mut change = replace();
    change.joined_by = Some(101);
    model.view.high_watermark = Some(105);
    assert_eq!(model.run(&mut change, false), Next::Done);
    assert_eq!(model.acts, ["add 4", "remove 3"]);
}

#[test]
fn a_change_is_done_only_when_it_is_committed() {
    let mut change = change(Goal::Remove { id: 3, directory: dir(3) });
    let mut two = view(3);
    two.voters.retain(|voter| voter.id != 3);
    assert_eq!(next(&change, &two, TIMEOUT_MS), Next::NoteLeft(100));
    change.left_by = Some(100);
    let wait = Wait::NotCommitted { observed: Some(99), limit: 100 };
    assert_eq!(next(&change, &two, TIMEOUT_MS), Next::Wait(wait));
    two.high_watermark = None;
    let wait = Wait::NotCommitted { observed: None, limit: 100 };
    assert_eq!(next(&change, &two, TIMEOUT_MS), Next::Wait(wait));
    two.high_watermark = Some(100);
    assert_eq!(next(&change, &two, TIMEOUT_MS), Next::Done);
}

fn dynamic() -> Features {
    Features::from([("kraft.version".to_owned(), 1)])
}

fn rules(small: SmallQuorum) -> Rules {
    Rules { fetch_timeout_ms: TIMEOUT_MS, small }
}

fn refused(goal: &Goal, view: &QuorumView, features: &Features) -> Vec<Refusal> {
    refusals(goal, view, features, rules(SmallQuorum::Refused))
}

#[test]
fn a_static_quorum_is_refused_with_the_way_out() {
    for features in [Features::new(), Features::from([("kraft.version".to_owned(), 0)])] {
        let found = refused(&disk().goal, &view(3), &features);
        assert_eq!(found, [Refusal::StaticQuorum { level: 0 }]);
        assert!(found[0].to_string().contains("kafka-features.sh upgrade"));
    }
}

#[test]
fn servers_without_directory_ids_are_refused() {
    let mut old = view(3);
    old.voters[0].directory = DirectoryId::NONE;
    assert_eq!(refused(&disk().goal, &old, &dynamic()), [Refusal::NoDirectoryIds]);
}

#[test]
fn a_quorum_whose_other_voters_lag_is_not_changed() {
    let mut lagging = view(3);
    lagging.voters[1] = replica(2, 3_000);
    let found = refused(&replace().goal, &lagging, &dynamic());
    assert_eq!(found, [Refusal::OthersBehind { behind: vec![2] }]);
    // The one that goes may lag, that is why it goes.
    lagging.voters[1] = replica(2, 0);
    lagging.voters[2] = replica(3, 3_000);
    assert_eq!(refused(&replace().goal, &lagging, &dynamic()), []);
}

#[test]
fn no_change_may_cost_the_majority() {
    let goal = Goal::Disk { id: 2, directory: dir(2), endpoints: vec![endpoint(2)] };
    let found = refused(&goal, &view(2), &dynamic());
    assert_eq!(found, [Refusal::NoMajority { id: 2, left: 1, voters: 2, needed: 2 }]);
    let found = refused(&Goal::Remove { id: 1, directory: dir(1) }, &view(1), &dynamic());
    assert_eq!(found, [Refusal::LastVoter { id: 1 }]);
}

#[test]
fn a_quorum_of_two_must_be_meant() {
    let goal = Goal::Remove { id: 3, directory: dir(3) };
    assert_eq!(refused(&goal, &view(3), &dynamic()), [Refusal::SmallQuorum { left: 2 }]);
    assert_eq!(refusals(&goal, &view(3), &dynamic(), rules(SmallQuorum::Allowed)), []);
    assert_eq!(refused(&goal, &view(4), &dynamic()), []);
}

#[test]
fn wishes_are_filled_in_from_the_quorum() {
    let wish = Wish::Disk { id: 3, endpoint: None };
    assert_eq!(Goal::of(&wish, &view(3)), Ok(disk().goal));
    assert!(disk().goal.is_wish(&wish));
    assert!(!replace().goal.is_wish(&wish));
    let mut silent = view(3);
    silent.endpoints.clear();
    assert_eq!(Goal::of(&wish, &silent), Err(Refusal::NoEndpoint { id: 3 }));
    let wish = Wish::Add { id: 3, endpoint: endpoint(3) };
    assert_eq!(Goal::of(&wish, &view(3)), Err(Refusal::AlreadyVoter { id: 3 }));
    let wish = Wish::Remove { id: 9 };
    assert_eq!(Goal::of(&wish, &view(3)), Err(Refusal::NotAVoter { id: 9 }));
}

#[test]
fn a_quorum_is_settled_once_all_it_held_is_committed() {
    let before = view(3);
    let mut after = view(3);
    assert!(!is_settled(&before, &after), "99 of 100");
    after.high_watermark = Some(100);
    assert!(is_settled(&before, &after));
    after.epoch = 8;
    assert!(!is_settled(&before, &after), "an election came between");
}

#[test]
fn an_open_change_survives_on_disk_and_garbage_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = ChangeFile::new(&dir.path().join("state"));
    assert_eq!(file.read().unwrap(), None);
    let open = Change { joined_by: Some(7), ..replace() };
    file.write(&open).unwrap();
    assert_eq!(file.read().unwrap(), Some(open));
    file.remove().unwrap();
    file.remove().unwrap();
    std::fs::write(dir.path().join("state/quorum-change.json"), "{").unwrap();
    assert!(file.read().is_err());
}
