//! What an agent refuses, through real processes: each refusal is named in the agent's log, in the
//! hub's row of the cluster and in `agent status`; no unit is touched; and once what was wrong is
//! mended, the same agent goes, so nothing else held it back.

mod members;
mod metadata;
mod proxy;
mod scene;
