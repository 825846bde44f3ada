//! The client against servers that answer, refuse, garble, stall and lie.

mod faults;
mod guides;
mod logins;
mod raises;
mod server;
mod topic_looks;
