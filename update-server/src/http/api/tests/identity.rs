//! A cluster's key after enrolment: replaced, lost, stolen, shared by two machines.

use super::*;
use channels::wire::{
    Action, AgentInstance, AuditRow, BulkReply, ClusterRow, KeyRotationReply, KeyRotationRequest,
    Page,
};

const KEY: &str = "/api/v1/clusters/self/key";

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

/// A rotation request of `id` from `old` to `new`, whose proof `prover` made.
fn rotation(
    id: ClusterId,
    old: &SecretKey,
    new: &SecretKey,
    prover: &SecretKey,
    seq: u64,
) -> KeyRotationRequest {
    let hex = |key: &SecretKey| key.public().key_id().to_string();
    let statement = KeyRotationRequest::statement(id, &hex(old), &hex(new), seq);
    KeyRotationRequest {
        cluster_id: id,
        public_key: new.public().to_spki_pem(),
        seq,
        proof: hex::encode(prover.sign(&statement)),
    }
}

impl Hub {
    async fn rotate(&self, signer: &SecretKey, request: &KeyRotationRequest) -> Answer {
        let body = serde_json::to_vec(request).unwrap();
        self.call(signed(KEY, &body, signer, self.now())).await
    }

    async fn reinvite(&self, name: &str) -> String {
        let path = format!("/api/v1/clusters/{name}/join-tokens");
        let body = json!({ "expires_in_s": 600, "note": "disk lost" });
        let answer = self.ask(Access::Operator, "POST", &path, Some(body)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json::<JoinToken>().token
    }

    async fn trust(&self, name: &str) -> Answer {
        let path = format!("/api/v1/clusters/{name}/trust");
        let body = json!({ "acknowledge": "the clone is off" });
        self.ask(Access::Operator, "POST", &path, Some(body)).await
    }

    async fn revoke(&self, name: &str) -> Answer {
        let path = format!("/api/v1/clusters/{name}/revoke");
        let body = json!({ "reason": "the rack was opened" });
        self.ask(Access::Operator, "POST", &path, Some(body)).await
    }

    /// Audit rows of an action, newest first.
    async fn audited(&self, action: &str) -> Vec<AuditRow> {
        let page: Page<AuditRow> = self.get("/api/v1/audit?limit=500").await;
        page.items.into_iter().filter(|row| row.action == action).collect()
    }

    async fn row(&self, name: &str) -> ClusterRow {
        self.get(&format!("/api/v1/clusters/{name}")).await
    }

    /// A report of one process of an agent, which asks for 1.1.0.
    async fn told(&self, agent: &Agent, seq: u64, instance: u64) -> Answer {
        self.told_by(agent, seq, Some(AgentInstance(instance))).await
    }

    async fn told_by(&self, agent: &Agent, seq: u64, instance: Option<AgentInstance>) -> Answer {
        let mut report = agent.of(seq, vec![asking(self, "1.1.0")]);
        report.cluster.instance = instance;
        report.cluster.sent_at = self.now();
        self.report(agent, &report).await
    }
}

fn action(answer: &Answer) -> (Action, Option<String>) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let directive = answer.json::<ReportReply>().directives.remove(0);
    (directive.action, directive.reasons.into_iter().next().map(|reason| reason.code))
}

fn conflict() -> (Action, Option<String>) {
    (Action::Hold, Some("identity_conflict".to_owned()))
}

fn slug(answer: &Answer) -> String {
    answer.problem().1
}

#[actix_web::test]
async fn a_key_is_replaced_with_both_signatures_and_the_old_one_is_refused_by_name() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    hub.reply(&agent, &agent.idle(1)).await;
    let new = Agent { id: agent.id, key: key(9) };
    let request = rotation(agent.id, &agent.key, &new.key, &new.key, 2);
    let first = hub.rotate(&agent.key, &request).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let reply: KeyRotationReply = first.json();
    assert_eq!(reply.key_id, new.key.public().key_id().to_string());
    assert_eq!(hub.report(&agent, &agent.idle(2)).await.problem(), (401, "key_replaced".into()));
    hub.reply(&new, &new.idle(2)).await;
    let again = hub.rotate(&agent.key, &request).await;
    assert_eq!((again.status, &again.body), (200, &first.body), "the answer was lost");
    let rows = hub.audited("rotate_key").await;
    assert_eq!(rows.len(), 1, "one row for one change");
    assert!(rows[0].detail.contains(&reply.key_id), "{}", rows[0].detail);
    let row = hub.row("site-1").await;
    assert_eq!((row.id, row.seq), (agent.id, 2), "the cluster is the same");
}

#[actix_web::test]
async fn a_rotation_needs_the_key_in_force_and_proof_of_the_new_one() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let other = hub.agent(2).await;
    hub.reply(&agent, &agent.idle(7)).await;
    let (old, new, stranger) = (&agent.key, key(9), key(10));
    let good = rotation(agent.id, old, &new, &new, 8);
    let low = rotation(agent.id, old, &new, &new, 7);
    let unproved = rotation(agent.id, old, &new, old, 8);
    let renumbered = KeyRotationRequest { seq: 9, ..good.clone() };
    let of_other = rotation(other.id, old, &new, &new, 8);
    let taken = rotation(agent.id, old, &other.key, &other.key, 8);
    let same = rotation(agent.id, old, old, old, 8);
    let huge = rotation(agent.id, old, &new, &new, u64::MAX);
    let odd = KeyRotationRequest { proof: "zz".to_owned(), ..good.clone() };
    for (case, signer, request, expected) in [
        ("signed by a stranger", &stranger, &good, (401, "unknown_cluster")),
        ("signed by the new key", &new, &good, (401, "unknown_cluster")),
        ("proved by the old key", old, &unproved, (401, "invalid_signature")),
        ("another number than proved", old, &renumbered, (401, "invalid_signature")),
        ("for another cluster", old, &of_other, (403, "forbidden")),
        ("an old request", old, &low, (409, "replayed_report")),
        ("another cluster's key", old, &taken, (409, "key_in_use")),
        ("the key it has", old, &same, (409, "key_in_use")),
        ("a number out of range", old, &huge, (422, "unprocessable")),
        ("no proof", old, &odd, (422, "unprocessable")),
    ] {
        let answer = hub.rotate(signer, request).await.problem();
        assert_eq!((answer.0, answer.1.as_str()), expected, "{case}");
    }
    assert_eq!(hub.report(&agent, &agent.idle(8)).await.status, 200, "nothing was replaced");
    assert_eq!(hub.audited("rotate_key").await, []);
}

#[actix_web::test]
async fn a_captured_rotation_cannot_bring_a_key_back() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let (a, b, c) = (&agent.key, key(8), key(9));
    let first = rotation(agent.id, a, &b, &b, 1);
    assert_eq!(hub.rotate(a, &first).await.status, 200);
    assert_eq!(hub.rotate(&b, &rotation(agent.id, &b, &c, &c, 2)).await.status, 200);
    assert_eq!(slug(&hub.rotate(a, &first).await), "key_replaced", "two rotations ago");
    let back = rotation(agent.id, &b, a, a, 3);
    assert_eq!(slug(&hub.rotate(&b, &back).await), "key_replaced");
}

#[actix_web::test]
async fn a_cluster_that_lost_its_disk_enrols_again_and_the_old_key_dies() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    let granted = hub.reply(&agent, &agent.of(40, vec![asking(&hub, "1.1.0")])).await;
    let generation = granted.directives[0].grant.as_ref().unwrap().generation;
    let token = hub.reinvite("site-1").await;
    assert_eq!(hub.report(&agent, &agent.idle(41)).await.status, 200, "an invitation ends nothing");
    let new = Agent { id: agent.id, key: key(9) };
    let answer = hub.enrol(&token, "site-1", &new.key).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json::<EnrolmentReply>().cluster_id, agent.id, "the same cluster");
    let again = hub.enrol(&token, "site-1", &new.key).await;
    assert_eq!(again.status, 201, "a retry after a lost answer: {}", again.text());
    assert_eq!(hub.report(&agent, &agent.idle(99)).await.problem(), (401, "key_replaced".into()));
    let old_key_again = hub.enrol(&hub.invite(1).await, "site-9", &agent.key).await;
    assert_eq!(slug(&old_key_again), "key_replaced", "nor does it enrol as somebody else");
    let row = hub.row("site-1").await;
    assert_eq!((row.seq, row.products.len()), (0, 1), "counts anew, its history stays");
    let asks = new.of(1, vec![asking(&hub, "1.1.0")]);
    let grant = hub.reply(&new, &asks).await.directives[0].grant.clone().unwrap();
    assert!(grant.generation > generation, "what was granted before is worth nothing");
    let rows = hub.audited("re_enrol").await;
    assert_eq!(rows.len(), 1);
    assert!(rows[0].detail.contains("\"former_seq\":41"), "{}", rows[0].detail);
    assert_eq!(hub.audited("reinvite").await.len(), 1);
}

#[actix_web::test]
async fn a_grant_ends_with_the_enrolment_it_was_given_to() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    hub.reply(&agent, &agent.of(1, vec![asking(&hub, "1.1.0")])).await;
    let slot = hub.state.store.committed().fleet().slot(agent.id).unwrap();
    let current = || hub.state.store.committed().fleet().record(slot).unwrap().ledger.current;
    assert!(current().is_some());
    let token = hub.reinvite("site-1").await;
    assert_eq!(hub.enrol(&token, "site-1", &key(9)).await.status, 201);
    assert_eq!(current(), None);
    let new = Agent { id: agent.id, key: key(9) };
    hub.reply(&new, &new.of(1, vec![asking(&hub, "1.1.0")])).await;
    assert!(current().is_some());
    let path = format!("/api/v1/clusters/{}", agent.id);
    assert_eq!(hub.ask(Access::Operator, "DELETE", &path, None).await.status, 204);
    assert_eq!(current(), None, "a retired cluster has no grant");
}

#[actix_web::test]
async fn a_token_for_one_cluster_admits_nobody_else_and_once() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let other = hub.agent(2).await;
    let first = hub.reinvite("site-1").await;
    let token = hub.reinvite(&agent.id.to_string()).await;
    for (case, token, name, key, expected) in [
        ("a newer one was minted", &first, "site-1", &key(9), "invalid_join_token"),
        ("another name", &token, "site-7", &key(9), "invalid_join_token"),
        ("another cluster's key", &token, "site-1", &other.key, "invalid_join_token"),
        ("the key that is lost", &token, "site-1", &agent.key, "key_in_use"),
    ] {
        assert_eq!(slug(&hub.enrol(token, name, key).await), expected, "{case}");
    }
    assert_eq!(hub.enrol(&token, "site-1", &key(9)).await.status, 201, "none of them used it up");
    let second = hub.enrol(&token, "site-1", &key(10)).await;
    assert_eq!(slug(&second), "invalid_join_token");
    let token = hub.reinvite("site-2").await;
    hub.advance(601);
    assert_eq!(slug(&hub.enrol(&token, "site-2", &key(11)).await), "invalid_join_token");
}

#[actix_web::test]
async fn only_an_operator_invites_again_and_only_what_is_in_force() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let path = "/api/v1/clusters/site-1/join-tokens";
    let body = |s: u64| Some(json!({ "expires_in_s": s }));
    for (access, body, expected) in [
        (Access::Viewer, body(60), (403, "forbidden")),
        (Access::Publisher, body(60), (403, "forbidden")),
        (Access::Operator, body(0), (422, "unprocessable")),
        (Access::Operator, body(86_401), (422, "unprocessable")),
    ] {
        let answer = hub.ask(access, "POST", path, body).await.problem();
        assert_eq!((answer.0, answer.1.as_str()), expected);
    }
    let token = hub.reinvite("site-1").await;
    let own = format!("/api/v1/clusters/{}", agent.id);
    assert_eq!(hub.ask(Access::Operator, "DELETE", &own, None).await.status, 204);
    assert_eq!(hub.ask(Access::Operator, "POST", path, body(60)).await.problem().0, 404);
    assert_eq!(slug(&hub.enrol(&token, "site-1", &key(9)).await), "cluster_retired");
}

#[actix_web::test]
async fn a_retired_cluster_is_told_so_and_cannot_take_another_key() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let path = format!("/api/v1/clusters/{}", agent.id);
    assert_eq!(hub.ask(Access::Operator, "DELETE", &path, None).await.status, 204);
    let request = rotation(agent.id, &agent.key, &key(9), &key(9), 1);
    assert_eq!(hub.rotate(&agent.key, &request).await.problem(), (403, "cluster_retired".into()));
    let forged = signed(KEY, b"{}", &key(9), hub.now());
    assert_eq!(slug(&hub.call(forged).await), "unknown_cluster", "strangers are told nothing");
}

#[actix_web::test]
async fn a_refused_number_tells_the_last_one_to_the_key_alone() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    hub.reply(&agent, &agent.idle(41)).await;
    let refused: Problem = hub.report(&agent, &agent.idle(3)).await.json();
    assert_eq!(refused.last_seq, Some(41));
    let body = serde_json::to_vec(&agent.idle(3)).unwrap();
    for (signer, at) in [(&key(9), hub.now()), (&agent.key, hub.now() - seconds(61))] {
        let refused: Problem = hub.call(signed("/api/v1/reports", &body, signer, at)).await.json();
        assert_eq!((refused.status, refused.last_seq), (401, None));
    }
}

#[actix_web::test]
async fn two_machines_with_one_key_get_nothing_until_a_person_looks() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    assert_eq!(action(&hub.told(&agent, 10, 1).await).0, Action::Proceed);
    assert_eq!(action(&hub.told(&agent, 20, 2).await).0, Action::Proceed, "perhaps a restart");
    assert_eq!(slug(&hub.told(&agent, 11, 1).await), "replayed_report");
    assert_eq!(action(&hub.told(&agent, 21, 1).await), conflict());
    assert_eq!(action(&hub.told(&agent, 22, 2).await), conflict(), "neither of them");
    let refused = hub.told(&agent, 22, 1).await;
    assert_eq!(refused.problem(), (409, "identity_conflict".to_owned()), "nor one that counts low");
    assert_eq!(refused.json::<Problem>().last_seq, Some(22));
    let row = hub.row("site-1").await;
    assert_eq!(row.identity_conflict_since, Some(t0()));
    assert_eq!(row.products[0].why_not[0].code, "identity_conflict");
    assert_eq!(hub.audited("identity_conflict").await.len(), 1, "once, however often they report");
    let metrics = hub.ask(Access::Viewer, "GET", "/metrics", None).await.text();
    assert!(metrics.contains("fairway_identity_conflicts 1\n"), "{metrics}");
    let request = rotation(agent.id, &agent.key, &key(9), &key(9), 99);
    assert_eq!(slug(&hub.rotate(&agent.key, &request).await), "identity_conflict");

    assert_eq!(hub.trust("site-1").await.json::<ClusterRow>().identity_conflict_since, None);
    assert_eq!(hub.row("site-1").await.identity_conflict_since, None);
    assert_eq!(action(&hub.told(&agent, 23, 2).await).0, Action::Proceed);
    assert_eq!(slug(&hub.trust("site-1").await), "conflict", "there is none any more");
    assert_eq!(action(&hub.told(&agent, 24, 1).await).0, Action::Proceed, "once is a restart");
    assert_eq!(action(&hub.told(&agent, 25, 2).await), conflict(), "the clone was not off");
    assert_eq!(hub.audited("identity_conflict").await.len(), 2);
}

#[actix_web::test]
async fn a_new_key_for_the_true_machine_ends_a_conflict() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    for (seq, instance) in [(10, 1), (20, 2), (21, 1)] {
        hub.told(&agent, seq, instance).await;
    }
    assert!(hub.row("site-1").await.identity_conflict_since.is_some());
    let token = hub.reinvite("site-1").await;
    assert_eq!(hub.enrol(&token, "site-1", &key(9)).await.status, 201);
    let new = Agent { id: agent.id, key: key(9) };
    assert_eq!(action(&hub.told(&new, 1, 3).await).0, Action::Proceed);
    assert_eq!(slug(&hub.told(&agent, 30, 1).await), "key_replaced");
    assert_eq!(hub.row("site-1").await.identity_conflict_since, None);
}

#[actix_web::test]
async fn a_machine_copied_with_its_memory_is_found_out_by_its_refusals() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    hub.told(&agent, 10, 1).await;
    for (seq, expected) in
        [(11, "replayed_report"), (12, "replayed_report"), (13, "identity_conflict")]
    {
        hub.advance(1);
        assert_eq!(hub.told(&agent, seq, 1).await.status, 200, "one of them");
        hub.advance(1);
        assert_eq!(slug(&hub.told(&agent, seq, 1).await), expected, "and the other");
    }
    assert_eq!(action(&hub.told(&agent, 14, 1).await), conflict());
}

#[actix_web::test]
async fn an_honest_agent_with_bad_luck_is_no_conflict() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    hub.told(&agent, 10, 1).await;
    assert_eq!(hub.told(&agent, 10, 1).await.status, 200, "the answer was lost");
    hub.told(&agent, 1_000, 2).await;
    for _ in 0..20 {
        assert_eq!(slug(&hub.told(&agent, 9, 1).await), "replayed_report", "late, from before");
    }
    hub.told(&agent, 2_000, 3).await;
    assert_eq!(slug(&hub.told(&agent, 1_500, 4).await), "replayed_report", "restored state");
    assert_eq!(hub.told(&agent, 2_001, 4).await.status, 200, "and it goes on above");
    assert_eq!(hub.row("site-1").await.identity_conflict_since, None);
    assert_eq!(hub.audited("identity_conflict").await, []);
}

/// The highest number the hub takes.
fn reach(hub: &Hub) -> u64 {
    u64::try_from(hub.now().as_millisecond()).unwrap() + Report::SEQ_AHEAD_MAX_MS
}

#[actix_web::test]
async fn a_number_that_no_clock_reaches_is_refused_and_uses_nothing_up() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    hub.told(&agent, 10, 1).await;
    let far = reach(&hub) + 1;
    let refused = hub.told_by(&agent, far, None).await;
    assert_eq!(refused.problem(), (422, "seq_out_of_reach".to_owned()));
    assert_eq!(refused.json::<Problem>().last_seq, Some(10), "an honest agent goes on from there");
    let request = rotation(agent.id, &agent.key, &key(9), &key(9), far);
    assert_eq!(slug(&hub.rotate(&agent.key, &request).await), "seq_out_of_reach");
    assert_eq!(action(&hub.told(&agent, 11, 1).await).0, Action::Proceed);
    assert_eq!(hub.told(&agent, reach(&hub), 1).await.status, 200);
}

#[actix_web::test]
async fn a_thief_without_an_instance_far_ahead_is_found_out_and_trust_gives_the_numbers_back() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    hub.told(&agent, 10, 1).await;
    let far = reach(&hub);
    assert_eq!(hub.told_by(&agent, far, None).await.status, 200, "it could be an older agent");
    assert_eq!(slug(&hub.told(&agent, 11, 1).await), "replayed_report");
    hub.advance(1);
    assert_eq!(action(&hub.told(&agent, far + 1, 1).await), conflict());
    let rows = hub.audited("identity_conflict").await;
    assert!(rows[0].detail.contains("superseded_instance"), "{}", rows[0].detail);
    assert_eq!(hub.trust("site-1").await.status, 200);
    let now_ms = u64::try_from(hub.now().as_millisecond()).unwrap();
    assert_eq!(hub.row("site-1").await.seq, now_ms);
    assert_eq!(action(&hub.told(&agent, now_ms + 1, 1).await).0, Action::Proceed);
}

#[actix_web::test]
async fn a_report_dated_in_the_future_hides_no_second_machine() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    for seq in [11, 12, 13] {
        hub.advance(1);
        let mut report = agent.of(seq, vec![asking(&hub, "1.1.0")]);
        report.cluster.instance = Some(AgentInstance(1));
        report.cluster.sent_at = "9999-12-30T00:00:00Z".parse().unwrap();
        assert_eq!(hub.report(&agent, &report).await.status, 200);
        hub.advance(1);
        hub.told(&agent, seq, 1).await;
    }
    assert!(hub.row("site-1").await.identity_conflict_since.is_some());
}

#[actix_web::test]
async fn a_burst_of_instances_is_a_conflict_before_the_true_one_is_forgotten() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    for n in 0..70 {
        assert_eq!(hub.told(&agent, 10 + n, 100 + n).await.status, 200);
    }
    let rows = hub.audited("identity_conflict").await;
    assert!(rows[0].detail.contains("many_starts"), "{}", rows[0].detail);
}

#[actix_web::test]
async fn a_key_that_a_thief_replaced_is_a_conflict_as_soon_as_the_true_agent_reports() {
    for rotations in [1, 2, 3] {
        let hub = Hub::published().await;
        let agent = hub.agent(1).await;
        hub.told(&agent, 10, 1).await;
        let mut thief = Agent { id: agent.id, key: key(1) };
        for n in 0..rotations {
            let new = key(50 + n);
            let request = rotation(agent.id, &thief.key, &new, &new, 20 + u64::from(n));
            assert_eq!(hub.rotate(&thief.key, &request).await.status, 200);
            thief.key = new;
        }
        hub.advance(300);
        assert_eq!(slug(&hub.told(&agent, 11, 1).await), "key_replaced");
        assert_eq!(hub.row("site-1").await.identity_conflict_since, None, "it was on its way");
        assert_eq!(action(&hub.told(&thief, 30, 2).await).0, Action::Proceed);
        hub.advance(1);
        assert_eq!(slug(&hub.told(&agent, 12, 1).await), "key_replaced");
        assert_eq!(hub.row("site-1").await.identity_conflict_since, Some(hub.now()));
        assert_eq!(action(&hub.told(&thief, 31, 2).await), conflict());
        let rows = hub.audited("identity_conflict").await;
        assert!(rows[0].detail.contains("replaced_key"), "{}", rows[0].detail);

        let token = hub.reinvite("site-1").await;
        assert_eq!(hub.enrol(&token, "site-1", &key(9)).await.status, 201);
        let new = Agent { id: agent.id, key: key(9) };
        assert_eq!(action(&hub.told(&new, 1, 3).await).0, Action::Proceed);
        hub.advance(3600);
        assert_eq!(slug(&hub.told(&thief, 32, 2).await), "key_replaced");
        assert_eq!(hub.row("site-1").await.identity_conflict_since, None, "a lost key stays lost");
    }
}

#[actix_web::test]
async fn a_revoked_key_is_refused_with_who_and_why_until_the_cluster_has_another_one() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    assert_eq!(action(&hub.told(&agent, 1, 1).await).0, Action::Proceed);
    let before = hub.reinvite("site-1").await;
    let answer = hub.revoke("site-1").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let revoked = answer.json::<ClusterRow>().key_revoked.unwrap();
    assert_eq!(revoked.reason, "the rack was opened");
    let refused = hub.told(&agent, 2, 1).await;
    assert_eq!(refused.problem(), (403, "key_revoked".into()));
    let text = refused.text();
    assert!(text.contains(&revoked.by) && text.contains("the rack was opened"), "{text}");
    let next = rotation(agent.id, &agent.key, &key(9), &key(9), 3);
    let refused = hub.rotate(&agent.key, &next).await;
    assert_eq!(slug(&refused), "key_revoked", "nor does it give itself another one");
    let refused = hub.enrol(&before, "site-1", &key(9)).await;
    assert_eq!(slug(&refused), "invalid_join_token", "tokens from before are void");
    let row = hub.row("site-1").await;
    assert_eq!(row.products[0].why_not[0].code, "key_revoked");
    assert_eq!(hub.revoke("site-1").await.status, 200);
    assert_eq!(hub.audited("revoke").await.len(), 1, "once is enough");

    let token = hub.reinvite("site-1").await;
    let same = hub.enrol(&token, "site-1", &agent.key).await;
    assert_eq!(slug(&same), "key_revoked");
    assert_eq!(hub.enrol(&token, "site-1", &key(9)).await.status, 201);
    let back = Agent { id: agent.id, key: key(9) };
    assert_eq!(hub.told(&back, 1, 2).await.status, 200);
    assert_eq!(hub.row("site-1").await.key_revoked, None);
    assert_eq!(slug(&hub.told(&agent, 3, 1).await), "key_replaced");
}

#[actix_web::test]
async fn keys_are_revoked_by_operators_with_a_reason_one_by_one_or_many_at_once() {
    let hub = Hub::new().await;
    for n in 1..=3 {
        hub.agent(n).await;
    }
    let path = "/api/v1/clusters/site-1/revoke";
    for (access, body, expected) in [
        (Access::Viewer, json!({ "reason": "x" }), (403, "forbidden")),
        (Access::Operator, json!({ "reason": " " }), (422, "unprocessable")),
    ] {
        let refused = hub.ask(access, "POST", path, Some(body)).await.problem();
        assert_eq!((refused.0, refused.1.as_str()), expected);
    }
    hub.revoke("site-2").await;
    let mut body = json!({
        "filter": { "all": true }, "action": { "kind": "revoke", "reason": "broken into" }
    });
    let bulk = async |body: &Value| {
        hub.ask(Access::Operator, "POST", "/api/v1/bulk", Some(body.clone())).await
    };
    let preview: BulkReply = bulk(&body).await.json();
    assert_eq!((preview.expect.clusters, preview.unchanged), (2, 1));
    body["expect"] = json!(preview.expect);
    assert_eq!(bulk(&body).await.json::<BulkReply>().done, 2);
    for name in ["site-1", "site-2", "site-3"] {
        assert!(hub.row(name).await.key_revoked.is_some(), "{name}");
    }
    body["action"]["reason"] = json!("");
    assert_eq!(bulk(&body).await.problem(), (422, "unprocessable".into()));
}

#[actix_web::test]
async fn a_report_that_says_only_that_nothing_changed_is_refused_with_a_revoked_key_as_well() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    hub.reply(&agent, &agent.idle(1)).await;
    let beat = |seq| Report { full: false, ..agent.of(seq, vec![]) };
    hub.reply(&agent, &beat(2)).await;
    hub.revoke("site-1").await;
    let refused = hub.report(&agent, &beat(3)).await;
    assert_eq!(refused.problem(), (403, "key_revoked".into()));
    assert_eq!(hub.row("site-1").await.seq, 2);
}
