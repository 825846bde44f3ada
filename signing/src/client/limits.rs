//! Bounds on what a source can make the client do.

/// Largest root, in bytes: hundreds of keys.
pub const MAX_ROOT_BYTES: u64 = 512 * 1024;
/// Largest timestamp, in bytes: it names one file.
pub const MAX_TIMESTAMP_BYTES: u64 = 16 * 1024;
/// Largest snapshot without a pinned length, in bytes: about ten thousand roles.
pub const MAX_SNAPSHOT_BYTES: u64 = 2 * 1024 * 1024;
/// Largest targets metadata without a pinned length, in bytes: about twenty thousand files.
pub const MAX_TARGETS_BYTES: u64 = 5 * 1024 * 1024;
/// Most root rotations in one refresh. A yearly rotation needs as many in two and a half
/// centuries; progress is kept, so a longer chain takes another refresh.
pub const MAX_ROOT_ROTATIONS: u64 = 256;
/// Most delegated roles visited for one target. Ours needs two.
pub const MAX_VISITED_ROLES: usize = 32;
/// Most delegation edges followed below one top-level delegation when everything is listed. Ours
/// has three.
pub const MAX_ROLES_PER_DELEGATION: usize = 64;

/// The limit for a file: its pinned length, but never more than the role's own limit.
pub(super) fn at_most(pinned: Option<u64>, limit: u64) -> u64 {
    pinned.map_or(limit, |pinned| pinned.min(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_the_ones_that_are_documented() {
        let bytes = [MAX_ROOT_BYTES, MAX_TIMESTAMP_BYTES, MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES];
        assert_eq!(bytes, [524_288, 16_384, 2_097_152, 5_242_880]);
    }

    #[test]
    fn pin_lowers_the_limit_of_a_role_and_never_lifts_it() {
        assert_eq!([at_most(None, 5), at_most(Some(4), 5), at_most(Some(6), 5)], [5, 4, 5]);
    }
}
