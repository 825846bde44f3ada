//! One binary for all integration tests: they share the cost of linking and of building processes.

mod e2e;
mod tidy;
