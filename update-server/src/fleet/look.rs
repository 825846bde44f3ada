//! All that a page of the fleet shows, from one pass over the rows: each is read from memory once,
//! however many figures it is counted in.

use channels::wire::HealthAnswer;

use super::health::HealthPass;
use super::heat::HeatPass;
use super::query::View;
use super::scoped::is_seen;
use super::tally::{Change, Tally};
use super::{ClusterFilter, FleetIndex, HeatGroup, HeatQuestion, Overview, Slot};

/// Everything that was counted.
#[derive(Debug, Clone)]
pub struct Look {
    /// Drift, and what is run.
    pub overview: Overview,
    /// Verdicts, lags, and who is stuck.
    pub health: HealthAnswer,
    /// Clusters by distance from the head.
    pub heat: Vec<HeatGroup>,
    /// How many match the filter.
    pub matching: u64,
}

impl FleetIndex {
    /// Counts the clusters that `question` is about, and those that match `filter`.
    pub fn look(
        &self,
        question: &HeatQuestion,
        filter: &ClusterFilter,
        view: &mut View<'_>,
    ) -> Look {
        let about = &question.about;
        let marks = self.marks(&about.scope);
        // The counters of all are kept; those of some are counted here.
        let mut narrowed = marks.as_ref().map(|_| Tally::default());
        let mut health = HealthPass::new(self, about, view.now);
        let mut heat = HeatPass::new(self, question);
        let list = self.resolve_all(filter, view);
        let class = self.classes(view.now);
        let mut matching = 0;
        for (number, row) in self.rows.iter().enumerate() {
            matching += u64::from(list.matches(row, &class));
            if !is_seen(marks.as_deref(), row) {
                continue;
            }
            health.see(number, row);
            heat.see(row);
            if let (Some(tally), Ok(number)) = (&mut narrowed, u32::try_from(number)) {
                tally.change(Slot(number), row, Change::Enter);
            }
        }
        let tally = narrowed.as_ref().unwrap_or(&self.tally);
        let (found, stuck) = health.end(self);
        Look {
            overview: self.overview_of(tally, view),
            health: self.health_answer(about, tally, found, view.now),
            heat: heat.end(self, &stuck, view),
            matching,
        }
    }
}

#[cfg(test)]
mod tests {
    use channels::wire::Phase;

    use super::*;
    use crate::auth::Scope;
    use crate::fleet::tests::{Line, NOW, at, cluster, kafka};
    use crate::fleet::{DriftMemo, HealthQuestion, HeatBy};

    /// Two channels, three rings, some silent, some that have stood still for long.
    fn fleet() -> FleetIndex {
        let mut fleet = FleetIndex::new(300);
        for n in 0..120 {
            let mut product = kafka(&format!("1.0.{}", n % 4), Phase::Idle);
            product.graph.channel = ["stable", "fast"][usize::from(n % 3 == 0)].parse().unwrap();
            product.since = at(NOW - 100 * i64::from(n));
            if n % 5 == 0 {
                product.phase = Phase::AwaitHealth;
            }
            product.health.quorum_lag_ms = Some(u64::from(n));
            let seen = if n % 7 == 0 { NOW - 7200 } else { NOW };
            fleet.apply(Slot(n), &cluster(n, Some(seen), vec![product]), at(NOW));
        }
        fleet
    }

    #[test]
    fn one_look_counts_what_every_question_alone_counts() {
        let fleet = fleet();
        let scopes = [Scope::whole(), "ring=canary".parse().unwrap(), "ring=none".parse().unwrap()];
        for (scope, channel) in scopes
            .into_iter()
            .flat_map(|scope| [(scope.clone(), None), (scope, Some("fast".parse().unwrap()))])
        {
            let about = HealthQuestion { channel, scope, ..HealthQuestion::default() };
            let filter =
                ClusterFilter { phase: Some(Phase::AwaitHealth), ..ClusterFilter::default() };
            let mut memo = DriftMemo::default();
            let view = &mut View::new(at(NOW), &Line, &mut memo);
            let question = HeatQuestion { about: about.clone(), by: HeatBy::Channel };
            let look = fleet.look(&question, &filter, view);
            assert_eq!(look.health, fleet.health(&about, view), "{about:?}");
            assert_eq!(look.overview.drift, fleet.drift_within(&about.scope, view), "{about:?}");
            assert_eq!(look.overview.in_force, fleet.in_force_within(&about.scope), "{about:?}");
            assert_eq!(look.matching, fleet.matching(&filter, view));
            let in_strip: u64 = look.heat.iter().map(HeatGroup::clusters).sum();
            let lags = look.health.lags.iter().map(|totals| totals.active + totals.silent);
            assert_eq!(in_strip, lags.sum::<u64>(), "{about:?}");
        }
    }
}
