//! One binary for all integration tests: they share the cost of linking and of building processes.

mod e2e;
#[expect(clippy::expect_used, reason = "a rule that cannot be checked is broken")]
mod tidy;
