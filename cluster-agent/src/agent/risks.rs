//! What the core wants to know of the cluster's Prometheus, and what it is told. Pure.

use std::collections::BTreeSet;

use channels::names::ProductRef;
use jiff::Timestamp;

use super::core::Core;
use crate::plan::{RiskAnswers, Target, running};
use crate::prometheus::ApiSubject;

impl Core {
    /// Takes in what the cluster's Prometheus said to the queries of risks.
    pub fn answers(&mut self, answers: RiskAnswers, now: Timestamp) {
        self.answers = answers;
        self.retarget(now);
    }

    /// The queries that decisions depend on, of all products.
    pub fn questions(&self, now: Timestamp) -> BTreeSet<String> {
        let mut questions = BTreeSet::new();
        for (product, policy) in &self.policy.products {
            let graph = self.known.get(product).and_then(|known| known.graph.as_ref());
            let record = self.history.products.get(product);
            let (Some(graph), Some(record)) = (graph, record) else { continue };
            let exposure = policy.exposure(&self.answers, now);
            for from in running(record) {
                questions.extend(exposure.questions(graph, &from));
            }
        }
        questions
    }
    /// The releases that products may move to, as far as everything verified goes.
    pub fn api_subjects(&self) -> Vec<ApiSubject> {
        let subject = |(product, target): (&ProductRef, &Target)| match target {
            Target::Settled | Target::Blocked { .. } => None,
            Target::Move(goal) => Some(ApiSubject {
                product: product.clone(),
                release: goal.release_digest,
                to: goal.components.iter().map(|(role, c)| (*role, c.version.clone())).collect(),
                from: goal
                    .olds
                    .iter()
                    .map(|(role, olds)| (*role, olds.keys().cloned().collect()))
                    .collect(),
                // A subject that differs is looked at at once.
                resumed_at: self.history.baseline_owed_since,
            }),
        };
        self.targets.iter().filter_map(subject).collect()
    }
}
