//! Two hubs on one database are one hub.

use std::sync::Arc;

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::wire::{Action, HealthSummary, HealthVerdict, HoldScope, Phase, ProductState};
use signing::Sha256Digest;

use super::super::tests::place::Place;
use super::super::tests::{Hub, NOW, asking, at, state};
use super::super::*;
use crate::auth::{Access, Scope};
use crate::fleet::Slot;
use crate::rollout::{RolloutCommand, RolloutId};

/// Two at a time, and three in an hour.
const FEW: &str = "\
name: few
emergency: true
gates: {min_sample: 1}
deadlines: {silence: 10m}
caps: {concurrent: 2}
rings:
  - name: everyone
    rest: true
    curve: {points: [{after: 0s, share: 100%}]}
";

struct Pair {
    hubs: [Hub; 2],
    random: u64,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let place = Arc::new(Place::on_server());
        let hubs = [Hub::on(Arc::clone(&place)), Hub::on(place)];
        Self { hubs, random: seed.wrapping_mul(2).wrapping_add(1) }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    fn any(&mut self) -> usize {
        usize::try_from(self.below(2)).unwrap()
    }

    /// Both have seen everything, and count it at one time.
    async fn settle(&self, second: i64) {
        for _ in 0..2 {
            for hub in &self.hubs {
                hub.store.tick(at(second)).await.unwrap();
            }
        }
        self.hubs[0].store.sweep(at(second)).await.unwrap();
    }
}

/// Everything in memory, but for what counts this process's own work.
fn memory(hub: &Hub, second: i64) -> String {
    let committed = hub.store.committed();
    let fleet = committed.fleet();
    let records: Vec<_> = (0..fleet.rows()).map(|row| fleet.record(Slot(row))).collect();
    let rollouts = committed.rollouts();
    let views = rollouts.views(at(second));
    let attempts: Vec<_> = views
        .iter()
        .map(|view| {
            let settled: Vec<_> =
                (0..fleet.rows()).map(|row| rollouts.has_settled(view.id, Slot(row))).collect();
            (rollouts.attempts(view.id, at(second)), settled)
        })
        .collect();
    format!(
        "{records:#?}\n{:?}\n{:?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{views:#?}\n{attempts:#?}\n{:#?}",
        in_order(fleet.counts().iter()),
        fleet.freshness_counts().into_iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>(),
        committed.holds(),
        committed.tokens().list(),
        committed.sessions().list(),
        committed.sites(),
        rollouts.policies().in_force().map(|known| &known.row).collect::<Vec<_>>(),
    )
}

/// What is counted comes in the order in which it was first seen.
fn in_order(counts: impl Iterator<Item = impl std::fmt::Debug>) -> Vec<String> {
    let mut counts: Vec<_> = counts.map(|count| format!("{count:?}")).collect();
    counts.sort();
    counts
}

fn differ(one: &str, other: &str) -> String {
    let pairs = one.lines().zip(other.lines()).enumerate();
    let found = pairs.filter(|(_, (a, b))| a != b).take(8);
    found.map(|(n, (a, b))| [format!("line {n}:"), a.to_owned(), b.to_owned()].join("\n")).collect()
}

fn well(product: ProductState) -> ProductState {
    let health = HealthSummary { verdict: HealthVerdict::Healthy, ..HealthSummary::default() };
    ProductState { health, ..product }
}

fn moved(phase: Phase, there: bool) -> ProductState {
    let mut product = well(state("acme/kafka", phase));
    if there {
        product.version = "1.1.0".parse().unwrap();
    } else {
        product.target = Some("1.1.0".parse().unwrap());
    }
    product
}

async fn some_work(pair: &mut Pair, ids: &mut Vec<ClusterId>, seqs: &mut Vec<u64>, step: i64) {
    let (place, what) = (pair.any(), pair.below(24));
    let which = usize::try_from(pair.below(60)).unwrap() % ids.len().max(1);
    let kind = pair.below(6);
    match what {
        0 | 1 if ids.len() < 12 => {
            let n = u8::try_from(ids.len() + 1).unwrap();
            // The join token was made by either hub.
            ids.push(pair.hubs[place].enrol(n).await.unwrap());
            seqs.push(0);
        }
        2..=9 => person(pair, place, ids.get(which).copied(), (what, kind), step).await,
        _ if !ids.is_empty() => {
            let product = match kind {
                0 => well(state("acme/kafka", Phase::Idle)),
                1 | 2 => well(asking("acme/kafka")),
                3 => moved(Phase::Mutate, false),
                _ => moved(Phase::Idle, true),
            };
            seqs[which] += 1;
            let hub = &pair.hubs[place];
            let full = kind.is_multiple_of(2);
            report(hub, ids[which], seqs[which], full, product, step).await.unwrap();
        }
        _ => {}
    }
}

/// What a person does at one of the hubs.
async fn person(
    pair: &Pair,
    place: usize,
    id: Option<ClusterId>,
    (what, kind): (u64, u64),
    step: i64,
) {
    let store = pair.hubs[place].store.clone();
    let (by, now) = (format!("person-{step}"), at(NOW + step));
    match what {
        2 => {
            let scope = HoldScope::Fleet;
            let new = NewHold { scope, reason: "storm".to_owned(), by, now };
            store.hold(new).await.unwrap();
        }
        3 => {
            // Held by either, known to the other when it looks.
            let open = pair.hubs[1 - place].store.committed().holds();
            if let Some(hold) = open.first() {
                match store.resume(hold.id, "over".to_owned(), by, now).await {
                    Ok(_) | Err(Refusal::AlreadyResumed { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
        4 => {
            let Some(id) = id else { return };
            let mut labels = Labels::new();
            labels.insert("rack".parse().unwrap(), format!("r{kind}").parse().unwrap());
            let patch = labels.into_iter().map(|(key, value)| (key, Some(value))).collect();
            store.set_labels(SetLabels { id, patch, by, now }).await.unwrap();
        }
        5 => {
            let new = NewToken {
                name: format!("token-{step}"),
                access: Access::Viewer,
                scope: Scope::whole(),
                expires_at: None,
                digest: Sha256Digest::of(&step.to_le_bytes()),
                by,
                now,
            };
            let made = store.create_token(new).await.unwrap();
            if kind == 0 {
                let other = pair.hubs[1 - place].store.clone();
                other.revoke_token(made.id, "mira".to_owned(), now).await.unwrap();
            }
        }
        6 => {
            let new = NewSession {
                name: by,
                access: Access::Viewer,
                scope: Scope::whole(),
                digest: Sha256Digest::of(&(step + 10_000).to_le_bytes()),
                expires_at: at(NOW + 100_000),
                now,
            };
            store.begin_session(new).await.unwrap();
        }
        7 => store.tick(now).await.unwrap(),
        8 => {
            let text = FEW.replace("concurrent: 2", &format!("concurrent: {}", 1 + kind));
            let name = "few".parse().unwrap();
            store.apply_policy(NewPolicy { name, text, by, now }).await.unwrap();
        }
        9 => {
            let reason = "look".to_owned();
            let command =
                if kind < 3 { RolloutCommand::Hold { ring: None, reason } } else { resume(reason) };
            let steer = Steer { id: RolloutId(1), commands: vec![command], by, now };
            // Refused where there is no rollout yet, or nothing to do.
            let _ = store.steer(steer).await;
        }
        _ => {}
    }
}

fn resume(reason: String) -> RolloutCommand {
    RolloutCommand::Resume { seen: std::collections::BTreeSet::new(), reason }
}

async fn report(
    hub: &Hub,
    id: ClusterId,
    seq: u64,
    full: bool,
    product: ProductState,
    step: i64,
) -> Result<channels::wire::ReportReply, Refusal> {
    // A cluster that another hub has just enrolled is known here after the next look.
    hub.store.sweep(at(NOW + step)).await.unwrap();
    hub.report(id, seq, full, &[product]).await
}

#[tokio::test]
#[ignore = "needs PostgreSQL: FAIRWAY_POSTGRES=postgres://…"]
async fn whatever_two_hubs_do_their_memories_end_alike_and_like_a_fresh_one() {
    let seeds = std::env::var("FAIRWAY_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let mut granted = 0;
    for seed in 1..=seeds {
        let mut pair = Pair::new(seed);
        pair.hubs[0].invite(100).await;
        let (mut ids, mut seqs) = (Vec::new(), Vec::new());
        for step in 0..160 {
            some_work(&mut pair, &mut ids, &mut seqs, step).await;
            let in_flight = |hub: &Hub| {
                let committed = hub.store.committed().rollouts();
                committed.views(at(NOW + step)).iter().map(|view| view.in_flight).max()
            };
            let rolling = pair.hubs.iter().filter_map(in_flight).max();
            granted = granted.max(rolling.unwrap_or(0));
        }
        let end = NOW + 400;
        pair.settle(end).await;
        let fresh =
            Hub::open_at(Arc::clone(&pair.hubs[0].place), super::super::tests::settings(), at(end));
        fresh.store.tick(at(end)).await.unwrap();
        pair.settle(end).await;
        let [one, other] = [0, 1].map(|n| memory(&pair.hubs[n], end));
        assert!(one == other, "seed {seed}: {}", differ(&one, &other));
        let anew = memory(&fresh, end);
        assert!(one == anew, "seed {seed}, afresh: {}", differ(&one, &anew));
        let reader = Reader::open(&fresh.place.database).unwrap();
        assert_eq!(reader.verify_audit().unwrap().broken_at, None, "seed {seed}");
    }
    assert!(granted > 1, "no seed had rollouts to speak of");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: FAIRWAY_POSTGRES=postgres://…"]
async fn a_report_that_one_hub_took_is_a_replay_at_the_other() {
    let pair = Pair::new(1);
    pair.hubs[0].invite(1).await;
    let id = pair.hubs[0].enrol(1).await.unwrap();
    let [one, other] = &pair.hubs;
    let product = [well(state("acme/kafka", Phase::Idle))];
    let taken = one.report(id, 7, true, &product).await.unwrap();
    other.store.sweep(at(NOW)).await.unwrap();
    assert_eq!(other.report(id, 7, true, &product).await, Ok(taken), "the same again is a retry");
    let different = [well(state("acme/kafka", Phase::Soak))];
    let refused = other.report(id, 7, true, &different).await;
    assert_eq!(refused, Err(Refusal::Replayed { seq: 7, last: 7 }));
    other.report(id, 8, true, &different).await.unwrap();
    let refused = one.report(id, 8, true, &product).await;
    assert_eq!(refused, Err(Refusal::Replayed { seq: 8, last: 8 }));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: FAIRWAY_POSTGRES=postgres://…"]
async fn caps_hold_with_both_hubs_granting_at_once() {
    let pair = Pair::new(1);
    let [one, other] = &pair.hubs;
    one.invite(20).await;
    let mut ids = Vec::new();
    for n in 1..=10 {
        ids.push([one, other][usize::from(n % 2)].enrol(n).await.unwrap());
    }
    pair.settle(NOW).await;
    for id in &ids {
        one.report(*id, 1, true, &[well(state("acme/kafka", Phase::Idle))]).await.unwrap();
    }
    let name = "few".parse().unwrap();
    let policy = NewPolicy { name, text: FEW.to_owned(), by: "mira".to_owned(), now: at(NOW) };
    other.store.apply_policy(policy).await.unwrap();
    let asks = [well(asking("acme/kafka"))];
    pair.settle(NOW + 5).await;
    for id in &ids {
        one.report(*id, 2, true, &asks).await.unwrap();
    }
    pair.settle(NOW + 10).await;
    let all = ids.iter().enumerate().map(|(n, id)| [one, other][n % 2].report(*id, 3, true, &asks));
    let replies = futures_util::future::join_all(all).await;
    let granted = replies
        .into_iter()
        .filter(|reply| reply.as_ref().unwrap().directives[0].action == Action::Proceed)
        .count();
    assert_eq!(granted, 2);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: FAIRWAY_POSTGRES=postgres://…"]
async fn a_batch_whose_connection_dies_answers_nobody_with_success_and_the_next_one_works() {
    let place = Arc::new(Place::on_server());
    let hub = Hub::on(Arc::clone(&place));
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let release = super::super::tests::block(&hub).await;
    let product = [well(state("acme/kafka", Phase::Idle))];
    // Both are queued while the writer is busy, so they share a batch.
    let report = hub.report(id, 1, true, &product);
    let ending = Arc::clone(&place);
    let cut = hub.store.submit(move |_| {
        ending.cut();
        Ok(())
    });
    let release = async { release.send(()).unwrap() };
    let (report, cut, ()) = tokio::join!(report, cut, release);
    assert_eq!(cut, Err(Refusal::Failed));
    assert_eq!(report, Err(Refusal::Failed));
    assert!(!hub.store.committed().is_writable());
    hub.report(id, 1, true, &product).await.unwrap();
    assert!(hub.store.committed().is_writable());
    let reader = Reader::open(&place.database).unwrap();
    place.cut();
    // A read finds out that its connection is gone; the next one has another.
    let _ = reader.audit(None, 1);
    assert_eq!(reader.audit(None, 1).unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: FAIRWAY_POSTGRES=postgres://…"]
async fn a_hub_that_was_away_for_too_long_reads_everything_anew() {
    let pair = Pair::new(1);
    pair.hubs[0].invite(5).await;
    pair.settle(NOW).await;
    // Something happened, and its row is forgotten before anybody looked.
    let db = pair.hubs[0].place.connection();
    let tx = db.begin_alone().unwrap();
    let hold = "INSERT INTO hold (scope, reason, by, at) VALUES (?1, 'storm', 'mira', 0)";
    db.execute(hold, &[&serde_json::json!(HoldScope::Fleet).to_string()]).unwrap();
    db.execute("INSERT INTO change (at, what) VALUES (0, '{}')", &[]).unwrap();
    super::prune(&db, at(NOW)).unwrap();
    tx.commit().unwrap();
    pair.settle(NOW + 2).await;
    for hub in &pair.hubs {
        assert_eq!(hub.store.committed().holds().len(), 1);
    }
    let [one, other] = [0, 1].map(|n| memory(&pair.hubs[n], NOW + 2));
    assert!(one == other, "{}", differ(&one, &other));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: FAIRWAY_POSTGRES=postgres://…"]
async fn what_one_hub_does_is_told_to_those_who_listen_at_the_other() {
    let pair = Pair::new(1);
    let [one, other] = &pair.hubs;
    let before = other.store.committed().events().newest();
    let new = NewHold {
        scope: HoldScope::Fleet,
        reason: "storm".to_owned(),
        by: "mira".to_owned(),
        now: at(NOW),
    };
    let hold = one.store.hold(new).await.unwrap();
    // Nothing is asked of the other: it looks by itself.
    let mut told = other.store.committed().events().listen();
    while other.store.committed().events().newest() == before {
        told.changed().await.unwrap();
    }
    assert_eq!(other.store.committed().holds().as_ref(), &[hold]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: FAIRWAY_POSTGRES=postgres://…"]
async fn two_hubs_may_make_the_schema_at_once() {
    let place = Arc::new(Place::on_server());
    let opened: Vec<_> = (0..4)
        .map(|_| {
            let place = Arc::clone(&place);
            std::thread::spawn(move || Hub::on(place))
        })
        .collect();
    let salts: Vec<_> = opened
        .into_iter()
        .map(|thread| format!("{:?}", thread.join().unwrap().store.committed().rollouts().salt()))
        .collect();
    assert!(salts.windows(2).all(|pair| pair[0] == pair[1]));
}
