//! What the core wants to know about risks, and what it is told. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::core::Core;
use crate::plan::{RiskAnswers, running};

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
}
