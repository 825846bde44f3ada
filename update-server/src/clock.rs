//! The one place where this process reads the clock; everything else takes `now`.

use jiff::Timestamp;

/// The hub's time, in whole milliseconds as the database keeps it: what is answered from memory is
/// then what is answered after a restart. Agents' clocks are only ever recorded as skew.
#[expect(clippy::disallowed_methods, reason = "the hub's only clock")]
pub fn now() -> Timestamp {
    whole_milliseconds(Timestamp::now())
}

fn whole_milliseconds(at: Timestamp) -> Timestamp {
    // Every time has a whole millisecond at or just before it; the fallback is never taken.
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_counts_in_the_milliseconds_its_database_keeps() {
        let at: Timestamp = "2026-11-20T14:45:52.616324886Z".parse().unwrap();
        assert_eq!(whole_milliseconds(at).to_string(), "2026-11-20T14:45:52.616Z");
        assert_eq!(now().as_nanosecond() % 1_000_000, 0);
    }
}
