//! Random moments that can be repeated: the seed is printed, `SEED=n` replays it.

/// A small generator (splitmix64): moments need no better one.
#[derive(Debug)]
pub(super) struct Seed {
    first: u64,
    state: u64,
}

impl Seed {
    /// `SEED` from the environment, else a fresh one; printed, so that a failure can be replayed.
    pub(super) fn take(test: &str) -> Self {
        let given = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
        let first = given.unwrap_or_else(|| u64::from(std::process::id()) ^ nanoseconds());
        print(test, first);
        Self { first, state: first }
    }

    /// The seed, for messages of assertions.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

fn nanoseconds() -> u64 {
    u64::try_from(super::hub::now().as_nanosecond()).unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "a failed run must say how to repeat it")]
fn print(test: &str, seed: u64) {
    eprintln!("{test}: SEED={seed}");
}
