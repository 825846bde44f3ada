//! The agent on a real Kubernetes API server: `tests/peers/kubernetes.sh` with real kubelets over
//! runtimes that only keep books, except for pods that ask to be processes.
//!
//! One cluster at a time, whatever the number of test threads. The agent is a process of its own
//! with the rights that `deploy/kubernetes` gives it and no others; people act through `kubectl`.
//! Waits that a person would sit through are short here (baseline, soak, and how many relists a node
//! must show before and after its change); every other limit is the default.

mod manifests;
mod objects;
mod peer;
mod roll;
mod stage;
mod stops;
mod watch;
