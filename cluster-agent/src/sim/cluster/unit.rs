//! One unit of a simulated cluster: its process, its faults, and what is particular to its role.

use channels::wire::Role;

use super::super::broker::Broker;
use super::super::fault::Fault;
use super::super::pleg::Pleg;
use crate::driver::StepId;

#[derive(Debug, Clone)]
pub(super) struct Restart {
    pub(super) step: StepId,
    pub(super) to: String,
    pub(super) up_at_ms: i64,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Controller,
    Broker(Broker),
    Node(Box<Pleg>),
    Workload,
}

#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) role: Role,
    /// Kafka's `node.id`; 0 for others.
    pub(super) id: u32,
    pub(super) version: String,
    pub(super) start_ms: i64,
    pub(super) restart: Option<Restart>,
    pub(super) faults: Vec<Fault>,
    pub(super) hung_since_ms: Option<i64>,
    pub(super) stale: Option<String>,
    pub(super) kind: Kind,
}

impl Unit {
    /// Whether it answers.
    pub(super) fn is_up(&self) -> bool {
        self.restart.is_none() && self.hung_since_ms.is_none()
    }
}

/// How long each role is away for a restart at speed 1.
pub(super) fn restart_ms(role: Role) -> i64 {
    match role {
        Role::Controller => 8000,
        Role::Broker => 12_000,
        Role::Node => 25_000,
        Role::Workload => 3000,
    }
}
