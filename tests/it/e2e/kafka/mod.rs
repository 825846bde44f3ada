//! The agent on a real Kafka cluster: three controllers and three brokers out of
//! `tests/peers/kafka.sh`, moved from 3.9.1 to 4.3.1 by the operator's own commands.
//!
//! One cluster at a time, whatever the number of test threads: six servers fill two cores. Waits
//! that a person would sit through (baseline, soak) are short here; every limit is the default.

mod faults;
mod liar;
mod names;
mod pages;
mod peer;
mod quorum;
mod roll;
mod stage;
mod traffic;
mod voters;
