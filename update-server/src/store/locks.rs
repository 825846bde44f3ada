//! Numbers of the advisory locks that replicas of a hub take in one database. They share the number
//! space with every other program there, so they begin with a name.

/// `FAIRWAY` in ASCII and a byte for what is locked; 1 is the writer's, see `db`.
const BASE: i64 = 0x4641_4952_5741_5900;

/// Held by whoever publishes or signs the online roles again, for one transaction.
pub(super) const PUBLISH: i64 = BASE + 2;
/// Held by the replica that leads, for as long as its connection lives.
pub(super) const LEAD: i64 = BASE + 3;
/// Shared by every hub that runs; taken alone by whoever moves the hub elsewhere.
pub(super) const RUNNING: i64 = BASE + 4;
