//! Workloads: objects that roll their own pods. One unit per object.
//!
//! The agent writes the object once and then watches it: Deployments, StatefulSets and DaemonSets by
//! their counts, custom resources by the generation and the condition that their operator reports,
//! `Kafka` resources of Strimzi's by those and by their pods. Nothing here restarts, evicts or
//! deletes a pod, and nothing is rolled back.
//!
//! Strimzi: a unit is a whole Kafka cluster, all its controllers and brokers, because its operator
//! picks their order and its own gates. So a stop is weaker than elsewhere: the agent pauses the
//! operator, which holds the *next* reconciliation, while one that has begun is finished, pod after
//! pod. The status says so while it is the case.

mod built_in;
mod custom;
mod driver;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests")]
mod real;
mod seen;
mod strimzi;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests")]
mod tests;

pub use driver::Workloads;
