//! A verified report: merged, decided on and written in one transaction.

use std::borrow::Cow;

use channels::wire::{
    Action, ClusterHeader, Directive, GrantRequest, Reason, Report, ReportReply, UnitState,
};
use jiff::Timestamp;
use rusqlite::params;
use signing::Sha256Digest;

use super::audit::Event;
use super::db::DbResult;
use super::identity::{check_key, check_reach};
use super::judge::{Incoming, LastSeen, Superseded, Verdict};
use super::units::{self, Units};
use super::{Batch, Refusal, Stop, Store, history, judge};
use crate::directive::{self, Asked, Decision, HELD, Ledger, Limits, ReleaseFacts, Situation};
use crate::fleet::{ClusterRecord, ProductRecord, Slot};
use crate::rollout::Turn;

/// A report whose signature was verified and whose limits were checked.
#[derive(Debug, Clone)]
pub struct AcceptedReport {
    /// Row of the cluster whose key signed it.
    pub slot: Slot,
    /// Id of that key.
    pub key: Sha256Digest,
    /// What it says.
    pub report: Report,
    /// SHA-256 of the body as received: equal body and `seq` is a retry, not a replay.
    pub body_digest: Sha256Digest,
    /// When, by the hub's clock.
    pub received_at: Timestamp,
}

/// A record after a report, with what only the disk keeps.
pub(super) struct Merged {
    pub(super) record: ClusterRecord,
    /// `None` leaves the stored units as they are.
    pub(super) units: Option<Units>,
    pub(super) full_state_wanted: bool,
}

/// The products of a report, taken apart.
pub(super) struct Said {
    full: bool,
    /// What is kept of each.
    pub(super) records: Vec<ProductRecord>,
    /// What each asks for.
    wants: Vec<Option<GrantRequest>>,
    units: Vec<Vec<UnitState>>,
}

impl Said {
    fn of(report: Report) -> (ClusterHeader, Self) {
        let Report { cluster, full, products } = report;
        let mut said = Self { full, records: Vec::new(), wants: Vec::new(), units: Vec::new() };
        for mut state in products {
            said.wants.push(state.wants.take());
            let (record, units) = ProductRecord::of(state);
            said.records.push(record);
            said.units.push(units);
        }
        (cluster, said)
    }

    /// What the report says of every product: what it leaves out is as it was.
    fn heard<'a>(&'a self, before: &'a [ProductRecord]) -> Cow<'a, [ProductRecord]> {
        if self.full {
            return Cow::Borrowed(&self.records);
        }
        if self.records.is_empty() {
            return Cow::Borrowed(before);
        }
        let unchanged = before.iter().filter(|known| !self.lists(known));
        Cow::Owned(self.records.iter().chain(unchanged).cloned().collect())
    }

    fn lists(&self, product: &ProductRecord) -> bool {
        self.records.iter().any(|record| record.graph.product == product.graph.product)
    }

    /// Each product with what it asks for, in the report's order.
    pub(super) fn questions(
        &self,
    ) -> impl Iterator<Item = (&ProductRecord, &Option<GrantRequest>)> {
        self.records.iter().zip(&self.wants)
    }
}

/// What the next report is judged by.
#[derive(Debug)]
pub(super) struct Succession {
    pub(super) body_digest: Sha256Digest,
    pub(super) sent_at: Timestamp,
    /// `None` leaves the stored ones as they are.
    pub(super) superseded: Option<Vec<Superseded>>,
}

impl Succession {
    fn of(last: &LastSeen, incoming: &Incoming) -> Self {
        let another = incoming.instance != last.instance;
        Self {
            body_digest: incoming.body_digest,
            sent_at: incoming.sent_at_most(),
            superseded: another.then(|| judge::succeed(last, incoming)),
        }
    }
}

impl Store {
    /// Commits a report. The reply is durable with it: a retry of the same report gets the same
    /// reply.
    pub async fn report(&self, accepted: AcceptedReport) -> Result<ReportReply, Refusal> {
        self.submit(move |batch| batch.report(accepted)).await?
    }
}

impl Batch<'_> {
    /// The inner refusal is one that leaves a mark: what it hints at is committed.
    fn report(&mut self, accepted: AcceptedReport) -> Result<Result<ReportReply, Refusal>, Stop> {
        if let Some(reply) = self.beat(&accepted)? {
            return Ok(Ok(reply));
        }
        let AcceptedReport { slot, key, report, body_digest, received_at: now } = accepted;
        let mut before = self.cluster(slot).ok_or(Refusal::UnknownCluster)?;
        if before.retired_at.is_some() {
            return Err(Refusal::Retired.into());
        }
        if let Err(refusal) = check_key(&before, &key) {
            self.ended_key(slot, before, &key, now)?;
            return Ok(Err(refusal));
        }
        let seq = report.cluster.seq;
        check_reach(&before, seq, now)?;
        let incoming = Incoming {
            seq,
            body_digest,
            sent_at: report.cluster.sent_at,
            received_at: now,
            instance: report.cluster.instance,
            heard_seq: report.cluster.heard_seq,
        };
        let last = self.last_seen(slot, &before, &incoming)?;
        let replayed = if before.conflict_since.is_some() {
            Refusal::IdentityConflict { last_seq: Some(before.seq) }
        } else {
            Refusal::Replayed { seq, last: before.seq }
        };
        match judge::judge(&last, &incoming) {
            Verdict::Fresh => {}
            Verdict::Retry => {
                return Ok(self.reply_again(slot, &before, &report)?.ok_or(replayed));
            }
            Verdict::Replay { heat } => {
                self.note_heat(slot, last.heat, heat)?;
                return Ok(Err(replayed));
            }
            Verdict::Conflict(proof) => {
                self.mark_conflict(slot, &mut before, proof.as_str(), now)?;
                self.put_cluster(slot, before.clone(), now);
                if seq <= before.seq {
                    let last_seq = Some(before.seq);
                    return Ok(Err(Refusal::IdentityConflict { last_seq }));
                }
            }
        }
        let succession = Succession::of(&last, &incoming);
        self.commit_report(slot, before, report, &succession, now).map(Ok)
    }

    /// Decides on a report that is new, and writes it.
    fn commit_report(
        &mut self,
        slot: Slot,
        before: ClusterRecord,
        report: Report,
        succession: &Succession,
        now: Timestamp,
    ) -> Result<ReportReply, Stop> {
        let seq = report.cluster.seq;
        let products_before = before.products.clone();
        let (heard, said) = Said::of(report);
        self.rollouts_heard(slot, &before, &said.heard(&products_before), now);
        let news = !said.full && self.has_news(&before, &said);
        let facts = self.facts(&said);
        let turns = self.turns(slot, &before, &said, now);
        let decision = self.decide(&before, &said, &facts, &turns, now);
        self.rollouts_granted(slot, &before, &said, &turns, &decision, now);
        let mut merged = self.merge(slot, before, heard, said, now)?;
        explain(&mut merged.record, &decision.directives);
        self.audit_grant(&merged.record, &decision.ledger, now)?;
        merged.record.ledger = decision.ledger;
        merged.full_state_wanted |= news;
        let reply = ReportReply {
            directives: decision.directives,
            full_state_wanted: merged.full_state_wanted,
            measures: self.measures(slot, &merged.record),
            ..self.plain_reply(slot, &merged.record, seq, now)
        };
        self.write(slot, &products_before, &merged, &reply, succession)?;
        self.write_history(slot, &products_before, &merged.record, now)?;
        self.put_cluster(slot, merged.record, now);
        Ok(reply)
    }

    /// What is remembered of the last report, from the disk only where the verdict needs more than
    /// its number: a process that goes on counting does not.
    fn last_seen(
        &mut self,
        slot: Slot,
        before: &ClusterRecord,
        incoming: &Incoming,
    ) -> Result<LastSeen, Stop> {
        let known = LastSeen { seq: before.seq, instance: before.instance, ..LastSeen::default() };
        if incoming.seq > before.seq && incoming.instance == before.instance {
            return Ok(known);
        }
        self.row_written(slot)?;
        let found = self.db.row_if_any(
            "SELECT body_digest, sent_at, superseded, heat FROM cluster WHERE id = ?1",
            params![slot.rowid()],
            |row| {
                let digest: Option<[u8; 32]> = row.get(0)?;
                let sent_at: Option<i64> = row.get(1)?;
                let superseded: String = row.get(2)?;
                Ok(LastSeen {
                    body_digest: digest.map(Sha256Digest::from),
                    sent_at: sent_at.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
                    // Written by this hub; a list that cannot be read forgets processes, no more.
                    superseded: serde_json::from_str(&superseded).unwrap_or_default(),
                    heat: row.get(3)?,
                    ..known.clone()
                })
            },
        )?;
        Ok(found.unwrap_or(known))
    }

    fn note_heat(&mut self, slot: Slot, before: u8, heat: u8) -> DbResult<()> {
        if before == heat {
            return Ok(());
        }
        self.row_written(slot)?;
        self.db
            .execute("UPDATE cluster SET heat = ?2 WHERE id = ?1", params![slot.rowid(), heat])
            .map(drop)
    }

    /// Whether a product that the report leaves out must hear that it is held, or is so no more: the
    /// reply is about those that are listed.
    fn has_news(&self, before: &ClusterRecord, said: &Said) -> bool {
        let committed = self.committed.holds();
        let holds = self.changes.holds.as_ref().unwrap_or(&committed);
        let mut left_out = before.products.iter().filter(|known| !said.lists(known));
        left_out.any(|product| {
            let told = product.why_not.iter().any(|reason| reason.code == HELD);
            told != directive::is_held(holds, before.id, product)
        })
    }

    fn facts(&self, said: &Said) -> Vec<ReleaseFacts> {
        let facts = |(record, wants): (&ProductRecord, &Option<GrantRequest>)| match wants {
            Some(wants) => self.served.facts(&record.graph, &record.version, &wants.to),
            None => ReleaseFacts::default(),
        };
        said.questions().map(facts).collect()
    }

    fn decide(
        &self,
        before: &ClusterRecord,
        said: &Said,
        facts: &[ReleaseFacts],
        turns: &[Turn],
        now: Timestamp,
    ) -> Decision {
        let committed = self.committed.holds();
        let holds = self.changes.holds.as_ref().unwrap_or(&committed);
        let situation = Situation {
            cluster: before.id,
            holds,
            full: said.full,
            now,
            ttl_s: self.settings.grant_ttl_s,
        };
        let asked: Vec<Asked<'_>> = said
            .questions()
            .zip(facts)
            .zip(turns)
            .map(|(((record, wants), facts), turn)| {
                let limits = Limits::of(before.settings_of(&record.graph.product));
                Asked::by(record, wants.as_ref(), *facts, turn, limits)
            })
            .collect();
        if before.conflict_since.is_some() {
            return directive::withhold(&before.ledger, &asked, &two_agents());
        }
        directive::decide(&situation, &before.ledger, &asked)
    }

    fn merge(
        &mut self,
        slot: Slot,
        before: ClusterRecord,
        heard: ClusterHeader,
        said: Said,
        now: Timestamp,
    ) -> Result<Merged, Stop> {
        let gap = heard.seq != before.seq.saturating_add(1);
        let first = before.last_seen.is_none();
        let (full, said_any) = (said.full, !said.records.is_empty());
        let mut products = if full { Vec::new() } else { before.products };
        let mut units: Option<Units> = match (full, said_any) {
            (true, _) => Some(Units::new()),
            (false, false) => None,
            (false, true) => Some(self.stored_units(slot)?),
        };
        for (mut record, its_units) in said.records.into_iter().zip(said.units) {
            // Rollouts have heard them; a row with other numbers in every report would be written anew.
            record.health.measured.clear();
            if let Some(units) = &mut units {
                units.insert(record.graph.product.clone(), its_units);
            }
            match products.iter_mut().find(|p| p.graph.product == record.graph.product) {
                Some(known) => *known = record,
                None => products.push(record),
            }
        }
        if products.len() > Report::MAX_PRODUCTS {
            let (found, max) = (products.len(), Report::MAX_PRODUCTS);
            return Err(Refusal::TooManyProducts { found, max }.into());
        }
        // Names that are there already were let in before.
        if said_any && !self.committed.fleet().has_room_for(&products, self.served) {
            return Err(Refusal::TooManyNames.into());
        }
        let record = ClusterRecord {
            agent_version: heard.agent_version,
            // Not the later of two: one report under a clock that ran ahead would make the cluster
            // look fresh for as long.
            last_seen: Some(now),
            seq: heard.seq,
            instance: heard.instance,
            products,
            id: before.id,
            name: before.name,
            labels: before.labels,
            settings: before.settings,
            key: before.key,
            former: before.former,
            elder: before.elder,
            conflict_since: before.conflict_since,
            revoked: before.revoked,
            enrolled_at: before.enrolled_at,
            retired_at: before.retired_at,
            ledger: before.ledger,
        };
        Ok(Merged { record, units, full_state_wanted: !full && (first || gap) })
    }

    fn stored_units(&mut self, slot: Slot) -> DbResult<Units> {
        self.row_written(slot)?;
        let blob: Option<Vec<u8>> = self.db.row(
            "SELECT units FROM cluster WHERE id = ?1",
            params![slot.rowid()],
            |row| row.get(0),
        )?;
        Ok(blob.as_deref().map(units::decode).unwrap_or_default())
    }

    fn write_history(
        &mut self,
        slot: Slot,
        before: &[ProductRecord],
        after: &ClusterRecord,
        now: Timestamp,
    ) -> DbResult<()> {
        for product in &after.products {
            let old = before.iter().find(|p| p.graph.product == product.graph.product);
            if history::differs(old, product) {
                self.history_day(now)?;
                history::append(&mut self.changes.history, slot, now, after.seq, product);
            }
        }
        Ok(())
    }

    /// A first grant of a step is a state change people look for; its renewals, one per unit, are
    /// in the history of units.
    fn audit_grant(
        &mut self,
        before: &ClusterRecord,
        after: &Ledger,
        now: Timestamp,
    ) -> DbResult<()> {
        let Some(grant) = &after.current else { return Ok(()) };
        let step = |g: &channels::wire::Grant| (g.product.clone(), g.to.clone());
        if after.generation == before.ledger.generation
            || before.ledger.current.as_ref().map(step) == Some(step(grant))
        {
            return Ok(());
        }
        self.audit(&Event {
            at: now,
            actor: "hub".to_owned(),
            action: "grant",
            object: before.id.to_string(),
            detail: serde_json::json!({
                "product": grant.product, "to": grant.to, "generation": grant.generation,
                "expires_at": grant.expires_at,
            }),
        })
    }
}

/// The reason both agents are told.
fn two_agents() -> Reason {
    Reason {
        code: "identity_conflict".to_owned(),
        message: Refusal::IdentityConflict { last_seq: None }.to_string(),
    }
}

/// Keeps the hub's reasons beside the product, so that people see what the agent was told.
fn explain(record: &mut ClusterRecord, directives: &[Directive]) {
    for directive in directives {
        let product = record.products.iter_mut().find(|p| p.graph.product == directive.product);
        if let Some(product) = product {
            let asked = directive.action == Action::Hold
                || directive.reasons.iter().any(|r| r.code != "not_asked");
            product.why_not = if asked { directive.reasons.clone() } else { Vec::new() };
        }
    }
}
