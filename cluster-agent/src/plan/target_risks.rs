//! Whether risks on the way forbid it, and what must be asked to find out.
//!
//! Pure: the answers of the cluster's Prometheus come in as values. A risk is cleared by a clear
//! answer alone; one that cannot be told stands like one that is there, under a name of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use channels::graph::{Graph, MatchingRule, Risk};
use channels::version::ReleaseVersion;
use jiff::Timestamp;

use super::WaitingOn;
use crate::phase::elapsed_ms;

/// Longest reason of one risk in a message.
const REASON_CHARS_MAX: usize = 200;

/// What the cluster's Prometheus said to the queries of risks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RiskAnswers {
    /// Whether somebody asks at all; if not, what needs an answer is unknown at once.
    pub asked: bool,
    /// Age at which an answer no longer counts, milliseconds.
    pub max_age_ms: u64,
    /// By query, word for word.
    pub by_query: BTreeMap<String, RiskAnswer>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskAnswer {
    /// What it says.
    pub outcome: RiskOutcome,
    /// When it was there (agent's clock).
    pub at: Timestamp,
}

/// What the answer to a risk's query says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RiskOutcome {
    /// The cluster is exposed.
    Matches,
    /// It is not.
    Clear,
    /// It cannot be told.
    Failed {
        /// Why not.
        why: String,
    },
}

/// Where one risk stands on this cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RiskVerdict {
    /// Its owner accepts it, whatever the rules say.
    Accepted,
    /// The cluster is not exposed.
    Clear,
    /// It is.
    Matches,
    /// It cannot be told.
    Unknown {
        /// Why not.
        why: String,
    },
    /// The question is on its way.
    Pending,
}

impl RiskVerdict {
    fn passes(&self) -> bool {
        matches!(self, Self::Accepted | Self::Clear)
    }
}

/// Judges risks at one moment.
#[derive(Debug)]
pub struct Exposure<'a> {
    /// Names of the risks that are accepted.
    pub accepted: BTreeSet<String>,
    /// Answers.
    pub answers: &'a RiskAnswers,
    /// The time.
    pub now: Timestamp,
}

impl Exposure<'_> {
    /// Where a risk stands: its rules in order of precedence, the first that can be told decides.
    pub fn verdict(&self, risk: &Risk) -> RiskVerdict {
        if self.accepted.contains(&risk.name) {
            return RiskVerdict::Accepted;
        }
        let mut why = None;
        for rule in &risk.matching_rules {
            match rule {
                MatchingRule::Always => return RiskVerdict::Matches,
                MatchingRule::PromQl { promql } => match self.outcome(promql) {
                    Ok(RiskOutcome::Matches) => return RiskVerdict::Matches,
                    Ok(RiskOutcome::Clear) => return RiskVerdict::Clear,
                    Ok(RiskOutcome::Failed { why: failed }) => why = Some(failed.clone()),
                    Err(None) => return RiskVerdict::Pending,
                    Err(Some(unasked)) => why = Some(unasked.to_owned()),
                },
                MatchingRule::Unknown { kind } => {
                    why.get_or_insert(format!("a rule of kind {kind:?} is not known here"));
                }
            }
        }
        RiskVerdict::Unknown { why: why.unwrap_or_else(|| "it has no rule".to_owned()) }
    }

    /// Whether a step may run this risk.
    pub fn passes(&self, risk: &Risk) -> bool {
        self.verdict(risk).passes()
    }

    /// The answer to a query that still counts; an error says why there never will be one.
    fn outcome(&self, query: &str) -> Result<&RiskOutcome, Option<&'static str>> {
        if !self.answers.asked {
            return Err(Some("no Prometheus is configured to ask"));
        }
        let answer = self.answers.by_query.get(query).ok_or(None)?;
        let fresh = elapsed_ms(answer.at, self.now) <= self.answers.max_age_ms;
        if fresh { Ok(&answer.outcome) } else { Err(None) }
    }

    /// Why an edge with these risks to `to` is not taken; `None` if nothing forbids it. A risk that
    /// is there is named before those that cannot be told.
    pub fn closed(&self, to: &ReleaseVersion, risks: &[Risk]) -> Option<WaitingOn> {
        let mut matching = BTreeSet::new();
        let mut unknown = BTreeSet::new();
        for risk in risks {
            match self.verdict(risk) {
                RiskVerdict::Accepted | RiskVerdict::Clear => {}
                RiskVerdict::Matches => drop(matching.insert(risk.name.clone())),
                RiskVerdict::Unknown { why } => {
                    let why: String = why.chars().take(REASON_CHARS_MAX).collect();
                    unknown.insert(format!("{} ({why})", risk.name));
                }
                RiskVerdict::Pending => {
                    unknown.insert(format!("{} (being asked)", risk.name));
                }
            }
        }
        let to = to.clone();
        if !matching.is_empty() {
            return Some(WaitingOn::Risks { to, risks: matching.into_iter().collect() });
        }
        let risks: Vec<String> = unknown.into_iter().collect();
        (!risks.is_empty()).then_some(WaitingOn::RiskUnknown { to, risks })
    }

    /// Queries whose answers decide about ways on from `from`: those of risks on edges that could
    /// be taken, towards newer releases and towards older ones.
    pub fn questions(&self, graph: &Graph, from: &ReleaseVersion) -> BTreeSet<String> {
        let mut questions = BTreeSet::new();
        let onward: [fn(&ReleaseVersion, &ReleaseVersion) -> bool; 2] =
            [|here, to| to > here, |here, to| to < here];
        for goes_on in onward {
            let mut open = BTreeSet::from([from.clone()]);
            let mut seen = open.clone();
            while let Some(here) = open.pop_first() {
                for offer in graph.targets_of(&here) {
                    // Rules that need nobody's answer are the cheapest: an edge they close is closed.
                    let asked = self.asked_on(offer.risks);
                    if !goes_on(&here, offer.to) || asked.is_none() {
                        continue;
                    }
                    questions.extend(asked.into_iter().flatten().map(str::to_owned));
                    if seen.insert(offer.to.clone()) {
                        open.insert(offer.to.clone());
                    }
                }
            }
        }
        questions
    }

    /// The queries an edge with these risks depends on; `None` if it is closed whatever they say.
    fn asked_on<'r>(&self, risks: &'r [Risk]) -> Option<Vec<&'r str>> {
        let mut queries = Vec::new();
        for risk in risks.iter().filter(|risk| !self.accepted.contains(&risk.name)) {
            let mut rules = risk.matching_rules.iter().filter_map(|rule| match rule {
                MatchingRule::Always => Some(None),
                MatchingRule::PromQl { promql } => Some(Some(promql.as_str())),
                MatchingRule::Unknown { .. } => None,
            });
            // The first rule that can be told; further ones matter only if it fails.
            let first = rules.next()??;
            queries.push(first);
            queries.extend(rules.map_while(|rule| rule));
        }
        Some(queries)
    }
}

/// Risks met on the way that a question still decides about.
#[derive(Debug, Default)]
pub(super) struct Awaited(RefCell<BTreeSet<String>>);

impl Awaited {
    /// Whether a step may run the risk as far as is known.
    pub(super) fn strict(&self, exposure: &Exposure<'_>, risk: &Risk) -> bool {
        let verdict = exposure.verdict(risk);
        if verdict == RiskVerdict::Pending {
            self.0.borrow_mut().insert(format!("{} (being asked)", risk.name));
        }
        verdict.passes()
    }

    /// The same if every question on its way came back clear.
    pub(super) fn hopeful(exposure: &Exposure<'_>, risk: &Risk) -> bool {
        let verdict = exposure.verdict(risk);
        verdict.passes() || verdict == RiskVerdict::Pending
    }

    /// Names of those met, with what they wait for.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.borrow().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
