//! Acknowledged means durable; refused means unchanged; memory is what is committed.

mod audit_search;
pub(crate) mod place;

use std::sync::Arc;
use std::sync::mpsc::channel;

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::version::ReleaseVersion;
use channels::wire::{
    Action, ClusterHeader, Drift, GrantRequest, HealthSummary, HoldScope, Phase, ProductState,
    Report, ReportReply, UnitState,
};
use jiff::Timestamp;
use signing::Sha256Digest;

use super::db::Db;
use super::*;
use crate::auth::{Access, Scope, Secret, SecretKind};
use crate::directive::ReleaseFacts;
use crate::fleet::{ClusterKey, FormerKey, GraphKey, Slot};
use place::Place;

pub(crate) const NOW: i64 = 1_790_000_000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Serves every release under the digest of its version, from every version.
#[derive(Debug)]
pub(crate) struct Anything;

impl Served for Anything {
    fn facts(&self, _: &GraphKey, _: &ReleaseVersion, to: &ReleaseVersion) -> ReleaseFacts {
        let digest = Some(Sha256Digest::of(to.to_string().as_bytes()));
        ReleaseFacts { digest, allowed: true, offered: true }
    }

    fn drift(&self, _: &GraphKey, _: &ReleaseVersion, _: Timestamp) -> Drift {
        Drift::no_graph()
    }

    fn has_graph(&self, _: &GraphKey) -> bool {
        true
    }

    fn has_version(&self, _: &GraphKey, _: &ReleaseVersion) -> bool {
        true
    }

    fn generation(&self) -> u64 {
        0
    }

    fn timestamp_etag(&self) -> Option<String> {
        Some("\"etag\"".to_owned())
    }
}

pub(crate) struct Hub {
    pub(crate) place: Arc<Place>,
    pub(crate) store: Store,
    thread: Option<WriterThread>,
}

pub(crate) fn settings() -> StoreSettings {
    StoreSettings { report_interval_s: 300, grant_ttl_s: 900, queue_capacity: 100, history_days: 2 }
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(Place::new()))
    }

    /// Another one in the same place.
    pub(crate) fn on(place: Arc<Place>) -> Self {
        Self::open_at(place, settings(), at(NOW))
    }

    pub(crate) fn open_at(place: Arc<Place>, settings: StoreSettings, now: Timestamp) -> Self {
        let (database, served) = (&place.database, Arc::new(Anything));
        let (store, thread) =
            Store::open(database, settings, served, Box::new(|_, _| ()), now).unwrap();
        Self { place, store, thread: Some(thread) }
    }

    pub(crate) fn restart(mut self) -> Self {
        self.store.stop();
        self.thread.take().unwrap().join();
        Self::on(self.place)
    }

    pub(crate) fn restart_at(mut self, now: Timestamp) -> Self {
        self.store.stop();
        self.thread.take().unwrap().join();
        Self::open_at(self.place, settings(), now)
    }

    pub(crate) fn second_connection(&self) -> Db {
        schema::open_for_reading(&self.place.database).unwrap()
    }

    pub(crate) async fn enrol(&self, n: u8) -> Result<ClusterId, Refusal> {
        self.enrol_named(n, &format!("site-{n}")).await
    }

    async fn enrol_named(&self, n: u8, name: &str) -> Result<ClusterId, Refusal> {
        let enrolment = Enrolment {
            token_digest: join_secret().digest(),
            key: key(n),
            name: name.to_owned(),
            agent_version: "0.1.0".to_owned(),
            now: at(NOW),
        };
        Ok(self.store.enrol(enrolment).await?.cluster_id)
    }

    pub(crate) async fn invite(&self, uses: u32) {
        let new = NewJoinToken {
            digest: join_secret().digest(),
            uses,
            cluster: None,
            expires_at: at(NOW + 3600),
            note: String::new(),
            labels: Labels::new(),
            by: "mira".to_owned(),
            now: at(NOW),
        };
        self.store.create_join_token(new).await.unwrap();
    }

    pub(crate) async fn report(
        &self,
        id: ClusterId,
        seq: u64,
        full: bool,
        products: &[ProductState],
    ) -> Result<ReportReply, Refusal> {
        self.report_at(id, seq, full, products, NOW + 10).await
    }

    pub(crate) async fn report_at(
        &self,
        id: ClusterId,
        seq: u64,
        full: bool,
        products: &[ProductState],
        second: i64,
    ) -> Result<ReportReply, Refusal> {
        let report = Report {
            cluster: ClusterHeader {
                id,
                seq,
                sent_at: at(NOW),
                agent_version: "0.1.0".to_owned(),
                instance: None,
                heard_seq: None,
            },
            full,
            products: products.to_vec(),
        };
        let body = serde_json::to_vec(&report).unwrap();
        let slot = self.store.committed().fleet().slot(id).unwrap();
        let key = self.store.committed().fleet().record(slot).unwrap().key.id;
        let accepted = AcceptedReport {
            slot,
            key,
            report,
            body_digest: Sha256Digest::of(&body),
            received_at: at(second),
        };
        self.store.report(accepted).await
    }

    fn phase(&self, id: ClusterId) -> Option<Phase> {
        let fleet = self.store.committed().fleet();
        let record = fleet.record(fleet.slot(id)?)?;
        Some(record.products.first()?.phase)
    }
}

pub(crate) fn join_secret() -> Secret {
    Secret::parse(SecretKind::Join, &format!("fwj_{}", "A".repeat(43))).unwrap()
}

pub(crate) fn key(n: u8) -> ClusterKey {
    ClusterKey { bytes: [n; 32], id: Sha256Digest::of(&[n]) }
}

pub(crate) fn state(product: &str, phase: Phase) -> ProductState {
    ProductState {
        product: product.parse().unwrap(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        target: None,
        phase,
        since: at(NOW),
        unit: None,
        progress: None,
        health: HealthSummary::default(),
        waiting_on: Vec::new(),
        failure: None,
        accepted_risks: Vec::new(),
        wants: None,
        units: Vec::new(),
    }
}

pub(crate) fn asking(product: &str) -> ProductState {
    let wants = GrantRequest {
        to: "1.1.0".parse().unwrap(),
        release_digest: Sha256Digest::of(b"1.1.0"),
        renews: None,
    };
    ProductState { wants: Some(wants), ..state(product, Phase::Waiting) }
}

#[tokio::test]
async fn an_acknowledged_report_is_on_disk_before_the_answer() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    for seq in 1..=5 {
        hub.report(id, seq, true, &[asking("acme/kafka")]).await.unwrap();
        let (durable, generation): (u64, u64) = hub
            .second_connection()
            .row("SELECT seq, generation FROM cluster", &[], |r| {
                Ok((r.get::<_, u32>(0)?.into(), r.get::<_, u32>(1)?.into()))
            })
            .unwrap();
        assert_eq!((durable, generation), (seq, seq), "the grant is in the report's commit");
    }
}

#[tokio::test]
async fn a_restart_loads_what_was_acknowledged() {
    let hub = Hub::new();
    hub.invite(2).await;
    let id = hub.enrol(1).await.unwrap();
    hub.enrol(2).await.unwrap();
    let reply = hub.report(id, 7, true, &[asking("acme/kafka")]).await.unwrap();
    let new = NewHold {
        scope: HoldScope::Fleet,
        reason: "page".to_owned(),
        by: "mira".to_owned(),
        now: at(NOW),
    };
    let hold = hub.store.hold(new).await.unwrap();
    let new = NewToken {
        name: "ci".to_owned(),
        access: Access::Publisher,
        scope: Scope::whole(),
        expires_at: None,
        digest: Sha256Digest::of(b"secret"),
        by: "mira".to_owned(),
        now: at(NOW),
    };
    let token = hub.store.create_token(new).await.unwrap();
    let before = hub.store.committed().fleet().record(Slot(0)).unwrap();
    let hub = hub.restart();
    let committed = hub.store.committed();
    assert_eq!(committed.fleet().record(Slot(0)), Some(before));
    assert_eq!(committed.fleet().rows(), 2);
    assert_eq!(committed.holds().as_slice(), [hold]);
    assert_eq!(committed.tokens().find(&Sha256Digest::of(b"secret")), Some(&token));
    let again = hub.report(id, 7, true, &[asking("acme/kafka")]).await.unwrap();
    assert_eq!(again, reply, "the stored reply outlives the process");
}

#[tokio::test]
async fn a_report_that_does_not_grow_is_refused_unless_it_is_the_same_again() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let first = hub.report(id, 3, true, &[state("acme/kafka", Phase::Soak)]).await.unwrap();
    let again = hub.report(id, 3, true, &[state("acme/kafka", Phase::Soak)]).await.unwrap();
    assert_eq!(first, again);
    for (seq, phase) in [(3, Phase::Idle), (2, Phase::Soak), (0, Phase::Soak)] {
        let refused = hub.report(id, seq, true, &[state("acme/kafka", phase)]).await.unwrap_err();
        assert_eq!(refused, Refusal::Replayed { seq, last: 3 });
    }
    assert_eq!(hub.phase(id), Some(Phase::Soak));
}

#[tokio::test]
async fn a_partial_report_changes_only_what_it_lists_and_a_gap_asks_for_everything() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let unit = UnitState {
        name: "controller-0".parse().unwrap(),
        role: channels::wire::Role::Controller,
        pool: "controllers".parse().unwrap(),
        version: None,
        health: channels::wire::HealthVerdict::Healthy,
        why: None,
    };
    let with_units = ProductState { units: vec![unit.clone()], ..state("acme/kafka", Phase::Idle) };
    let both = [with_units, state("acme/os", Phase::Idle)];
    let reply = hub.report(id, 1, false, &both).await.unwrap();
    assert!(reply.full_state_wanted, "a first report that is partial is not enough");
    let reply = hub.report(id, 2, false, &[state("acme/os", Phase::Soak)]).await.unwrap();
    assert!(!reply.full_state_wanted);
    assert_eq!(reply.directives.len(), 1, "one per reported product");
    let record = hub.store.committed().fleet().record(Slot(0)).unwrap();
    let phases: Vec<Phase> = record.products.iter().map(|p| p.phase).collect();
    assert_eq!(phases, [Phase::Idle, Phase::Soak]);
    assert!(hub.report(id, 9, false, &[]).await.unwrap().full_state_wanted);
    let reader = Reader::open(&hub.place.database).unwrap();
    let product = "acme/kafka".parse().unwrap();
    assert_eq!(reader.units(Slot(0), &product).unwrap(), [unit], "kept through both");
    assert!(
        !hub.report(id, 10, true, &[state("acme/os", Phase::Idle)])
            .await
            .unwrap()
            .full_state_wanted
    );
    assert_eq!(reader.units(Slot(0), &product).unwrap(), [], "not in the full state");
}

#[tokio::test]
async fn a_hold_reaches_the_next_answer_and_is_shown_as_why_not() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let reply = hub.report(id, 1, true, &[asking("acme/kafka")]).await.unwrap();
    assert_eq!(reply.directives[0].action, Action::Proceed);
    let new = NewHold {
        scope: HoldScope::Fleet,
        reason: "page".to_owned(),
        by: "mira".to_owned(),
        now: at(NOW),
    };
    let hold = hub.store.hold(new).await.unwrap();
    let reply = hub.report(id, 2, true, &[asking("acme/kafka")]).await.unwrap();
    assert_eq!(reply.directives[0].action, Action::Hold);
    let why = hub.store.committed().fleet().record(Slot(0)).unwrap().products[0].why_not.clone();
    assert_eq!(why[0].message, "held by mira: page (hold 1)");
    let lifted = hub.store.resume(hold.id, "seen".into(), "tom".into(), at(NOW + 1)).await.unwrap();
    assert_eq!(lifted.resumed_by.as_deref(), Some("tom"));
    let again = hub.store.resume(hold.id, "seen".into(), "tom".into(), at(NOW + 1)).await;
    assert_eq!(again, Err(Refusal::AlreadyResumed { id: hold.id }));
    let unknown = hub.store.resume(99, "seen".into(), "tom".into(), at(NOW + 1)).await;
    assert_eq!(unknown, Err(Refusal::UnknownHold { id: 99 }));
    let reply = hub.report(id, 3, true, &[asking("acme/kafka")]).await.unwrap();
    assert_eq!(reply.directives[0].action, Action::Proceed);
}

#[tokio::test]
async fn enrolment_is_idempotent_by_key_and_bounded_by_the_token() {
    let hub = Hub::new();
    let token = |why| Err(Refusal::JoinToken { why });
    assert_eq!(hub.enrol(1).await, token("is unknown"));
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    assert_eq!(hub.enrol(1).await, Ok(id), "a retry after a lost answer");
    assert_eq!(hub.enrol(2).await, token("has no uses left"));
    assert_eq!(hub.store.committed().fleet().rows(), 1);
}

#[tokio::test]
async fn a_taken_name_is_refused_also_within_one_batch() {
    let hub = Hub::new();
    hub.invite(9).await;
    let (a, b) = tokio::join!(hub.enrol_named(1, "berlin"), hub.enrol_named(2, "berlin"));
    assert_eq!([a.is_ok(), b.is_ok()].iter().filter(|ok| **ok).count(), 1);
    let refused = a.and(b).unwrap_err();
    assert_eq!(refused, Refusal::NameTaken { name: "berlin".to_owned() });
}

#[tokio::test]
async fn an_expired_join_token_admits_nobody_not_even_a_known_key() {
    let hub = Hub::new();
    hub.invite(5).await;
    hub.enrol(1).await.unwrap();
    let enrolment = Enrolment {
        token_digest: join_secret().digest(),
        key: key(1),
        name: "site-1".to_owned(),
        agent_version: String::new(),
        now: at(NOW + 3600),
    };
    let refused = hub.store.enrol(enrolment).await.unwrap_err();
    assert_eq!(refused, Refusal::JoinToken { why: "has expired" });
}

#[tokio::test]
async fn a_retired_cluster_may_neither_report_nor_enrol_again() {
    let hub = Hub::new();
    hub.invite(9).await;
    let id = hub.enrol(1).await.unwrap();
    hub.store.retire(id, "mira".to_owned(), at(NOW)).await.unwrap();
    assert_eq!(hub.report(id, 1, true, &[]).await, Err(Refusal::Retired));
    assert_eq!(hub.enrol(1).await, Err(Refusal::Retired));
    let again = hub.store.retire(id, "mira".to_owned(), at(NOW)).await;
    assert_eq!(again, Err(Refusal::UnknownCluster));
    hub.enrol_named(2, "site-1").await.unwrap();
    let hub = hub.restart();
    assert_eq!(hub.report(id, 1, true, &[]).await, Err(Refusal::Retired));
}

#[tokio::test]
async fn a_failed_commit_acknowledges_nobody_and_leaves_memory_as_it_was() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    // Both jobs are queued while the writer is busy, so they share a batch.
    let release = block(&hub).await;
    let products = [state("acme/kafka", Phase::Soak)];
    let good = hub.report(id, 1, true, &products);
    let bad = hub.store.submit(|batch| Ok(batch.break_database()?));
    let (good, bad, ()) = tokio::join!(good, bad, async { release.send(()).unwrap() });
    assert_eq!((good.unwrap_err(), bad), (Refusal::Failed, Err(Refusal::Failed)));
    assert_eq!(hub.phase(id), None);
    assert!(!hub.store.committed().is_writable());
    hub.report(id, 1, true, &[state("acme/kafka", Phase::Soak)]).await.unwrap();
    assert!(hub.store.committed().is_writable());
    assert!(Reader::open(&hub.place.database).unwrap().verify_audit().unwrap().broken_at.is_none());
}

#[tokio::test]
async fn a_report_that_was_verified_before_its_key_was_replaced_is_refused() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let slot = hub.store.committed().fleet().slot(id).unwrap();
    // Both jobs are queued while the writer is busy, so they share a batch.
    let release = block(&hub).await;
    let rotation = KeyRotation { slot, old: key(1).id, new: key(9), seq: 1, now: at(NOW) };
    let replaced = hub.store.rotate_key(rotation);
    let report = hub.report(id, 1, true, &[]);
    let (replaced, report, ()) =
        tokio::join!(replaced, report, async { release.send(()).unwrap() });
    replaced.unwrap();
    assert_eq!(report, Err(Refusal::KeyReplaced { end: KeyEnd::Rotated }));
    let hub = hub.restart();
    let record = hub.store.committed().fleet().record(slot).unwrap();
    assert_eq!(record.key, key(9));
    assert_eq!(record.former, Some(FormerKey { key: key(1), end: KeyEnd::Rotated, at: at(NOW) }));
}

/// Occupies the writer until the returned sender speaks.
pub(crate) async fn block(hub: &Hub) -> std::sync::mpsc::Sender<()> {
    let (tell, started) = tokio::sync::oneshot::channel();
    let (release, released) = channel::<()>();
    let store = hub.store.clone();
    let occupy = move |_: &mut Batch<'_>| {
        tell.send(()).unwrap();
        released.recv().unwrap();
        Ok(())
    };
    tokio::spawn(async move { store.submit(occupy).await });
    started.await.unwrap();
    release
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_what_was_taken_is_still_written() {
    let small = StoreSettings { queue_capacity: 1, ..settings() };
    let hub = Hub::open_at(Arc::new(Place::new()), small, at(NOW));
    hub.invite(3).await;
    let id = hub.enrol(1).await.unwrap();
    let release = block(&hub).await;
    let products = [state("acme/kafka", Phase::Soak)];
    // The writer holds one job; the queue takes one more.
    let mut waiting = Vec::new();
    let mut busy = 0;
    for seq in 1..=3 {
        let mut report = Box::pin(hub.report(id, seq, true, &products));
        match futures_util::future::poll_immediate(&mut report).await {
            Some(result) => {
                assert_eq!(result, Err(Refusal::Busy));
                busy += 1;
            }
            None => waiting.push(report),
        }
    }
    assert_eq!((waiting.len(), busy), (1, 2));
    release.send(()).unwrap();
    assert_eq!(waiting.remove(0).await.unwrap().seq, 1);
    assert_eq!(hub.store.committed().queued(), 0);
}

#[tokio::test]
async fn stopping_commits_what_is_queued() {
    let mut hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let products = [state("acme/kafka", Phase::Soak)];
    let mut report = Box::pin(hub.report(id, 1, true, &products));
    assert_eq!(futures_util::future::poll_immediate(&mut report).await, None);
    hub.store.stop();
    assert_eq!(report.await.unwrap().seq, 1);
    hub.thread.take().unwrap().join();
    let late = hub.report(id, 2, true, &[]).await;
    assert_eq!(late, Err(Refusal::Stopped));
    assert!(!hub.store.committed().is_writable(), "nothing writes any more");
}

#[tokio::test]
async fn history_has_changes_only_and_old_days_are_dropped() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    for (seq, phase) in
        [(1, Phase::Idle), (2, Phase::Idle), (3, Phase::Mutate), (4, Phase::Soak), (5, Phase::Soak)]
    {
        hub.report(id, seq, true, &[state("acme/kafka", phase)]).await.unwrap();
    }
    let reader = Reader::open(&hub.place.database).unwrap();
    let trail: Vec<(u64, Phase)> =
        reader.history(Slot(0), 10).unwrap().iter().map(|h| (h.seq, h.phase)).collect();
    assert_eq!(trail, [(4, Phase::Soak), (3, Phase::Mutate), (1, Phase::Idle)]);
    hub.store.tick(at(NOW + 86_400)).await.unwrap();
    assert_eq!(reader.history(Slot(0), 10).unwrap().len(), 3, "within two days");
    for day in 2..=4 {
        hub.store.tick(at(NOW + day * 86_400)).await.unwrap();
    }
    assert_eq!(reader.history(Slot(0), 10).unwrap(), []);
}

#[tokio::test]
async fn a_clock_that_jumps_days_ahead_does_not_drop_history_at_its_first_tick() {
    const DAY: i64 = 86_400;
    let hub = Hub::new();
    hub.store.submit(|batch| Ok(batch.history_day(at(NOW))?)).await.unwrap();
    let tables = || hub.second_connection().tables("history_").unwrap().len();
    hub.store.tick(at(NOW)).await.unwrap();
    hub.store.tick(at(NOW + 400 * DAY)).await.unwrap();
    assert_eq!(tables(), 1, "a jump drops nothing");
    hub.store.tick(at(NOW + 60)).await.unwrap();
    assert_eq!(tables(), 1, "and going back to the right time neither");
    for day in 1..=4 {
        hub.store.tick(at(NOW + day * DAY)).await.unwrap();
    }
    assert_eq!(tables(), 0, "time that passes does");
}

#[tokio::test]
async fn a_report_is_dated_by_the_clock_it_came_under_even_after_one_that_ran_ahead() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let slot = hub.store.committed().fleet().slot(id).unwrap();
    for (seq, received_at) in [(1, at(NOW + 86_400)), (2, at(NOW))] {
        let report = Report {
            cluster: ClusterHeader {
                id,
                seq,
                sent_at: at(NOW),
                agent_version: "1".to_owned(),
                instance: None,
                heard_seq: None,
            },
            full: true,
            products: Vec::new(),
        };
        let body_digest = Sha256Digest::of(&seq.to_be_bytes());
        let key = key(1).id;
        let accepted = AcceptedReport { slot, key, report, body_digest, received_at };
        hub.store.report(accepted).await.unwrap();
    }
    let seen = hub.store.committed().fleet().record(slot).unwrap().last_seen;
    assert_eq!(seen, Some(at(NOW)));
}

#[tokio::test]
async fn every_write_of_a_person_leaves_an_audit_row_with_its_actor() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    hub.report(id, 1, true, &[asking("acme/kafka")]).await.unwrap();
    hub.report(id, 2, true, &[asking("acme/kafka")]).await.unwrap();
    hub.store.retire(id, "tom".to_owned(), at(NOW)).await.unwrap();
    let reader = Reader::open(&hub.place.database).unwrap();
    let rows = reader.audit(None, 100).unwrap();
    let log: Vec<(&str, &str)> =
        rows.iter().rev().map(|r| (r.actor.as_str(), r.action.as_str())).collect();
    let expected = [
        ("mira", "create_join_token"),
        ("join-token/1", "enrol"),
        ("hub", "grant"),
        ("tom", "retire"),
    ];
    assert_eq!(log, expected, "a renewal is not a new grant");
    assert_eq!(reader.verify_audit().unwrap().rows, 4);
}

#[tokio::test]
async fn the_last_admin_token_cannot_be_revoked() {
    let hub = Hub::new();
    let new = |name: &str, access| NewToken {
        name: name.to_owned(),
        access,
        scope: Scope::whole(),
        expires_at: None,
        digest: Sha256Digest::of(name.as_bytes()),
        by: "hub".to_owned(),
        now: at(NOW),
    };
    let first = hub.store.create_token(new("a", Access::Admin)).await.unwrap();
    hub.store.create_token(new("v", Access::Viewer)).await.unwrap();
    let revoke = |id| hub.store.revoke_token(id, "a".to_owned(), at(NOW));
    assert_eq!(revoke(first.id).await, Err(Refusal::LastAdmin));
    let taken = hub.store.create_token(new("a", Access::Admin)).await;
    assert_eq!(taken, Err(Refusal::TokenNameTaken { name: "a".to_owned() }));
    hub.store.create_token(new("b", Access::Admin)).await.unwrap();
    revoke(first.id).await.unwrap();
    assert_eq!(revoke(first.id).await, Err(Refusal::UnknownToken { id: first.id }));
    assert_eq!(hub.restart().store.committed().tokens().list().len(), 2);
}
