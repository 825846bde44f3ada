//! A verified report: merged, decided on and written in one transaction.

use channels::wire::{Action, Directive, Report, ReportReply};
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use signing::Sha256Digest;

use super::audit::Event;
use super::units::{self, Units};
use super::{Batch, Refusal, Stop, Store, history, int};
use crate::directive::{self, Asked, Decision, Ledger, ReleaseFacts, Situation};
use crate::fleet::{ClusterRecord, ProductRecord, Slot};

/// A report whose signature was verified and whose limits were checked.
#[derive(Debug, Clone)]
pub struct AcceptedReport {
    /// Row of the cluster whose key signed it.
    pub slot: Slot,
    /// What it says.
    pub report: Report,
    /// SHA-256 of the body as received: equal body and `seq` is a retry, not a replay.
    pub body_digest: Sha256Digest,
    /// When, by the hub's clock.
    pub received_at: Timestamp,
}

/// A record after a report, with what only the disk keeps.
struct Merged {
    record: ClusterRecord,
    /// `None` leaves the stored units as they are.
    units: Option<Units>,
    full_state_wanted: bool,
}

impl Store {
    /// Commits a report. The reply is durable with it: a retry of the same report gets the same
    /// reply.
    pub async fn report(&self, accepted: AcceptedReport) -> Result<ReportReply, Refusal> {
        self.submit(move |batch| batch.report(accepted)).await
    }
}

impl Batch<'_> {
    fn report(&mut self, accepted: AcceptedReport) -> Result<ReportReply, Stop> {
        let AcceptedReport { slot, report, body_digest, received_at: now } = accepted;
        let before = self.cluster(slot).ok_or(Refusal::UnknownCluster)?;
        if before.retired_at.is_some() {
            return Err(Refusal::Retired.into());
        }
        let seq = report.cluster.seq;
        if seq <= before.seq {
            return self.retry(slot, seq, before.seq, &body_digest);
        }
        let products_before = before.products.clone();
        let facts = self.facts(&report);
        let decision = self.decide(&before, &report, &facts, now);
        let mut merged = self.merge(slot, before, report, now)?;
        explain(&mut merged.record, &decision.directives);
        self.audit_grant(&merged.record, &decision.ledger, now)?;
        merged.record.ledger = decision.ledger;
        let reply = ReportReply {
            seq,
            at: now,
            timestamp_etag: self.served.timestamp_etag(),
            directives: decision.directives,
            next_report_in_s: self.committed.fleet().next_report_in_s(slot, now),
            full_state_wanted: merged.full_state_wanted,
        };
        self.write(slot, &merged, &reply, &body_digest)?;
        self.write_history(slot, &products_before, &merged.record, now)?;
        self.put_cluster(slot, merged.record, now);
        Ok(reply)
    }

    /// The same report again gets the same reply; anything else with an old `seq` is a replay.
    fn retry(
        &self,
        slot: Slot,
        seq: u64,
        last: u64,
        digest: &Sha256Digest,
    ) -> Result<ReportReply, Stop> {
        let replayed = Refusal::Replayed { seq, last };
        if seq != last {
            return Err(replayed.into());
        }
        let stored: Option<(Option<Vec<u8>>, Option<String>)> = self
            .conn
            .prepare_cached("SELECT body_digest, reply FROM cluster WHERE id = ?1")?
            .query_row([slot.rowid()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let same = |known: &Vec<u8>| known.as_slice() == digest.as_bytes();
        stored
            .filter(|(known, _)| known.as_ref().is_some_and(same))
            .and_then(|(_, reply)| serde_json::from_str(&reply?).ok())
            .ok_or(replayed.into())
    }

    fn facts(&self, report: &Report) -> Vec<ReleaseFacts> {
        let facts = |state: &channels::wire::ProductState| {
            let Some(wants) = &state.wants else { return ReleaseFacts::default() };
            let graph = crate::fleet::GraphKey {
                product: state.product.clone(),
                channel: state.channel.clone(),
                arch: state.arch.clone(),
            };
            self.served.facts(&graph, &state.version, &wants.to)
        };
        report.products.iter().map(facts).collect()
    }

    fn decide(
        &self,
        before: &ClusterRecord,
        report: &Report,
        facts: &[ReleaseFacts],
        now: Timestamp,
    ) -> Decision {
        let committed = self.committed.holds();
        let holds = self.changes.holds.as_ref().unwrap_or(&committed);
        let situation = Situation {
            cluster: before.id,
            holds,
            full: report.full,
            now,
            ttl_s: self.settings.grant_ttl_s,
        };
        let asked: Vec<Asked<'_>> = report
            .products
            .iter()
            .zip(facts)
            .map(|(state, facts)| Asked {
                product: &state.product,
                channel: &state.channel,
                version: &state.version,
                target: state.target.as_ref(),
                phase: state.phase,
                wants: state.wants.as_ref(),
                facts: *facts,
            })
            .collect();
        directive::decide(&situation, &before.ledger, &asked)
    }

    fn merge(
        &self,
        slot: Slot,
        before: ClusterRecord,
        report: Report,
        now: Timestamp,
    ) -> Result<Merged, Stop> {
        let gap = report.cluster.seq != before.seq.saturating_add(1);
        let first = before.last_seen.is_none();
        let full = report.full;
        let mut products = if full { Vec::new() } else { before.products };
        let mut units: Option<Units> = match (full, report.products.is_empty()) {
            (true, _) => Some(Units::new()),
            (false, true) => None,
            (false, false) => Some(self.stored_units(slot)?),
        };
        for state in report.products {
            let (record, its_units) = ProductRecord::of(state);
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
        if !self.committed.fleet().has_room_for(&products, self.served) {
            return Err(Refusal::TooManyNames.into());
        }
        let record = ClusterRecord {
            agent_version: report.cluster.agent_version,
            // Not the later of two: one report under a clock that ran ahead would make the cluster
            // look fresh for as long.
            last_seen: Some(now),
            seq: report.cluster.seq,
            products,
            id: before.id,
            name: before.name,
            key: before.key,
            enrolled_at: before.enrolled_at,
            retired_at: before.retired_at,
            ledger: before.ledger,
        };
        Ok(Merged { record, units, full_state_wanted: !full && (first || gap) })
    }

    fn stored_units(&self, slot: Slot) -> rusqlite::Result<Units> {
        let blob: Option<Vec<u8>> = self
            .conn
            .prepare_cached("SELECT units FROM cluster WHERE id = ?1")?
            .query_row([slot.rowid()], |row| row.get(0))?;
        Ok(blob.as_deref().map(units::decode).unwrap_or_default())
    }

    fn write(
        &self,
        slot: Slot,
        merged: &Merged,
        reply: &ReportReply,
        body_digest: &Sha256Digest,
    ) -> rusqlite::Result<()> {
        let record = &merged.record;
        // Names, numbers and sentences: always serialise.
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        self.conn
            .prepare_cached(
                "UPDATE cluster SET agent_version = ?2, last_seen = ?3, seq = ?4, \
                 body_digest = ?5, reply = ?6, generation = ?7, grant_json = ?8, products = ?9, \
                 units = coalesce(?10, units) WHERE id = ?1",
            )?
            .execute(params![
                slot.rowid(),
                record.agent_version,
                record.last_seen.map(Timestamp::as_millisecond),
                int(record.seq),
                body_digest.as_bytes(),
                json(serde_json::to_string(reply)),
                int(record.ledger.generation),
                record.ledger.current.as_ref().map(|g| json(serde_json::to_string(g))),
                json(serde_json::to_string(&record.products)),
                merged.units.as_ref().map(units::encode),
            ])?;
        Ok(())
    }

    fn write_history(
        &mut self,
        slot: Slot,
        before: &[ProductRecord],
        after: &ClusterRecord,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        for product in &after.products {
            let old = before.iter().find(|p| p.graph.product == product.graph.product);
            if history::differs(old, product) {
                self.history_day(now)?;
                history::append(self.conn, slot, now, after.seq, product)?;
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
    ) -> rusqlite::Result<()> {
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
