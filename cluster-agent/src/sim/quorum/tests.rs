//! The rules a gate relies on.

use super::*;

struct World {
    quorum: Quorum,
    now_ms: i64,
}

impl World {
    fn new(voters: u32, seed: u64) -> Self {
        let mut world = Self { quorum: Quorum::new(voters, 0, Rng::new(seed)), now_ms: 0 };
        world.run(1000);
        world
    }

    fn run(&mut self, ms: i64) {
        for _ in 0..ms / TICK_MS {
            self.now_ms += TICK_MS;
            self.quorum.tick(self.now_ms);
        }
    }

    fn leader(&self) -> u32 {
        self.quorum.leader().unwrap()
    }

    fn follower(&self) -> u32 {
        *self.quorum.voters.keys().find(|id| **id != self.leader()).unwrap()
    }

    fn watermark(&self) -> i64 {
        self.quorum.voters.values().map(|v| v.high_watermark).max().unwrap()
    }

    fn voter(&self, id: u32) -> &Voter {
        &self.quorum.voters[&id]
    }
}

#[test]
fn an_idle_quorum_commits_two_records_a_second() {
    for voters in [1, 2, 3, 4, 5] {
        let mut world = World::new(voters, 1);
        let before = world.watermark();
        world.run(10_000);
        assert_eq!(world.watermark() - before, 20, "{voters} voters");
        assert_eq!(world.quorum.elections, 0);
    }
}

#[test]
fn an_even_quorum_needs_more_than_half() {
    for (voters, may_stop) in [(2, 0), (4, 1), (6, 2)] {
        let mut world = World::new(voters, 1);
        let leader = world.leader();
        let mut others: Vec<u32> = (1..=voters).filter(|id| *id != leader).collect();
        for id in others.drain(..may_stop) {
            world.quorum.stop(id, world.now_ms);
        }
        let before = world.watermark();
        world.run(5000);
        assert_eq!(world.watermark() - before, 10, "{voters} voters");
        world.quorum.stop(others[0], world.now_ms);
        let before = world.watermark();
        world.run(10_000);
        assert!(world.watermark() - before <= 1, "{voters} voters");
        assert_eq!(world.quorum.leader(), None, "{voters} voters");
    }
}

#[test]
fn restarting_a_follower_elects_nobody_and_it_catches_up() {
    let mut world = World::new(3, 2);
    let (leader, follower) = (world.leader(), world.follower());
    let epoch = world.voter(leader).epoch;
    world.quorum.stop(follower, world.now_ms);
    let before = world.watermark();
    world.run(8000);
    assert_eq!(world.watermark() - before, 16, "two of three commit");
    assert!(world.voter(follower).log.end() < world.voter(leader).log.end());
    world.quorum.start(follower, world.now_ms);
    world.run(500);
    let (l, f) = (world.voter(leader), world.voter(follower));
    assert_eq!((l.state, l.epoch), (RaftState::Leader, epoch));
    assert_eq!((f.state, f.epoch, f.leader), (RaftState::Follower, epoch, Some(leader)));
    assert!(l.log.end() - f.log.end() <= 1);
    assert_eq!(world.quorum.elections, 0);
}

#[test]
fn restarting_the_leader_causes_one_election_and_a_new_epoch() {
    for seed in 0..50 {
        let mut world = World::new(3, seed);
        let old = world.leader();
        let epoch = world.voter(old).epoch;
        world.quorum.stop(old, world.now_ms);
        assert_eq!(world.quorum.leader(), None, "seed {seed}");
        world.run(1500);
        let new = world.leader();
        assert_ne!(new, old, "seed {seed}");
        assert_eq!(world.voter(new).epoch, epoch + 1, "seed {seed}");
        world.run(7000);
        world.quorum.start(old, world.now_ms);
        world.run(1000);
        assert_eq!(world.leader(), new, "seed {seed}");
        assert_eq!(world.voter(old).state, RaftState::Follower, "seed {seed}");
        assert_eq!(world.quorum.elections, 1, "seed {seed}");
    }
}

#[test]
fn a_leader_that_freezes_is_replaced_after_the_fetch_timeout_and_steps_down_when_it_thaws() {
    for seed in 0..50 {
        let mut world = World::new(3, seed);
        let old = world.leader();
        world.quorum.freeze(old, true);
        world.run(FETCH_TIMEOUT_MS - 2 * TICK_MS);
        assert_eq!(world.quorum.leader(), None, "seed {seed}: nobody noticed yet");
        world.run(4000);
        let new = world.leader();
        assert_ne!(new, old, "seed {seed}");
        world.quorum.freeze(old, false);
        world.run(500);
        assert_eq!(world.leader(), new, "seed {seed}");
        assert_eq!(world.voter(old).leader, Some(new), "seed {seed}");
        assert_eq!(world.voter(old).epoch, world.voter(new).epoch, "seed {seed}");
    }
}

#[test]
fn without_a_majority_the_high_watermark_stands_and_the_leader_resigns() {
    let mut world = World::new(3, 4);
    let leader = world.leader();
    let others: Vec<u32> = world.quorum.voters.keys().copied().filter(|id| *id != leader).collect();
    let before = world.watermark();
    for id in &others {
        world.quorum.stop(*id, world.now_ms);
    }
    world.run(2000);
    assert!(world.watermark() - before <= 1, "nothing commits with one of three");
    world.run(20_000);
    assert_eq!(world.quorum.leader(), None);
    for id in others {
        world.quorum.start(id, world.now_ms);
    }
    world.run(6000);
    assert!(world.quorum.leader().is_some());
    let back = world.watermark();
    world.run(5000);
    assert_eq!(world.watermark() - back, 10);
    assert!(back >= before, "a committed record was lost");
}

#[test]
fn a_lagging_follower_stays_a_follower_and_is_behind_by_its_lag() {
    let mut world = World::new(3, 5);
    let (leader, slow) = (world.leader(), world.follower());
    world.quorum.voters.get_mut(&slow).unwrap().lag_ms = 5000;
    world.run(20_000);
    assert_eq!(world.voter(slow).state, RaftState::Follower);
    assert_eq!(world.voter(leader).log.end() - world.voter(slow).log.end(), 10);
    world.quorum.voters.get_mut(&slow).unwrap().lag_ms = 0;
    world.run(500);
    assert!(world.voter(leader).log.end() - world.voter(slow).log.end() <= 1);
}

#[test]
fn a_lagging_follower_is_not_elected_while_a_better_one_runs() {
    for seed in 0..50 {
        let mut world = World::new(3, seed);
        let (leader, slow) = (world.leader(), world.follower());
        world.quorum.voters.get_mut(&slow).unwrap().lag_ms = 30_000;
        world.run(10_000);
        world.quorum.freeze(leader, true);
        world.run(15_000);
        assert_ne!(world.leader(), slow, "seed {seed}");
    }
}

#[test]
fn committed_offsets_never_go_back_under_random_stops_and_starts() {
    for seed in 0..30 {
        let mut world = World::new(5, seed);
        let mut chance = Rng::new(seed ^ 0xfeed);
        let mut highest = world.watermark();
        for _ in 0..200 {
            let id = 1 + chance.below(5);
            match chance.below(4) {
                0 => world.quorum.stop(id, world.now_ms),
                1 => world.quorum.freeze(id, true),
                _ if !world.voter(id).running => world.quorum.start(id, world.now_ms),
                _ => {}
            }
            world.run(i64::from(chance.below(5000)));
            let mut leaders: Vec<u64> = world
                .quorum
                .voters
                .values()
                .filter(|v| v.state == RaftState::Leader)
                .map(|v| v.epoch)
                .collect();
            leaders.sort_unstable();
            let mut distinct = leaders.clone();
            distinct.dedup();
            assert_eq!(leaders.len(), distinct.len(), "seed {seed}: two leaders in one epoch");
            if let Some(leader) = world.quorum.leader().map(|id| world.voter(id)) {
                if leader.high_watermark >= 0 {
                    assert!(leader.high_watermark >= highest, "seed {seed}");
                    highest = leader.high_watermark;
                }
                assert!(leader.log.end() >= highest, "seed {seed}: a committed record is gone");
            }
        }
    }
}
