//! Order: as documented, uniform, and drawn anew for every release.

use signing::Sha256Digest;

use super::{cluster, salt};
use crate::names::ClusterId;
use crate::rollout::{FleetSalt, Position, Share, place};

/// Version 4 UUIDs as a hub issues them, from a counter: only their spread matters here.
fn issued(number: u32) -> ClusterId {
    let digest = Sha256Digest::of(&number.to_be_bytes());
    let bytes: [u8; 16] = digest.as_bytes()[..16].try_into().unwrap();
    ClusterId(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

fn release(name: &str) -> Sha256Digest {
    Sha256Digest::of(name.as_bytes())
}

#[test]
fn a_place_is_the_top_53_bits_of_the_hash_over_raw_bytes() {
    let mut bytes = release("4.3.1").as_bytes().to_vec();
    bytes.extend([7; 32]);
    bytes.extend(cluster(9).0.as_bytes());
    let hash = Sha256Digest::of(&bytes);
    let top = u64::from_be_bytes(hash.as_bytes()[..8].try_into().unwrap()) >> 11;
    assert_eq!(place(&release("4.3.1"), &salt(), cluster(9)), Share::from_steps(top));
}

#[test]
fn a_place_is_the_same_on_every_machine() {
    // printf 4.3.1 | sha256sum, then that ‖ 32 bytes 07 ‖ 16 bytes of the UUID, hashed by sha256sum.
    let steps = place(&release("4.3.1"), &salt(), cluster(9)).steps();
    assert_eq!(steps, GOLDEN_STEPS);
}

/// Made with coreutils, not with this code.
const GOLDEN_STEPS: u64 = 2_109_352_049_689_102;

#[test]
fn rings_go_before_places_and_equal_places_have_one_order() {
    let position = |ring, steps, number| Position {
        ring,
        place: Share::from_steps(steps),
        cluster: cluster(number),
    };
    let sorted = [position(0, 9, 3), position(1, 1, 1), position(1, 1, 2), position(1, 2, 0)];
    assert!(sorted.is_sorted());
    assert!(sorted[0].is_before(&sorted[1]) && !sorted[1].is_before(&sorted[1]));
}

#[test]
fn places_of_100_000_clusters_are_uniform() {
    let mut cells = [0_u32; 100];
    for number in 0..100_000 {
        let place = place(&release("4.3.1"), &salt(), issued(number));
        assert!(place < Share::ALL);
        cells[usize::try_from((place.steps() * 100) >> 53).unwrap()] += 1;
    }
    let chi_square: f64 =
        cells.iter().map(|count| (f64::from(*count) - 1000.0).powi(2) / 1000.0).sum();
    // 99 degrees of freedom: 0.1 % of uniform draws are above 148.2, and 0.1 % below 61.1.
    assert!((61.1..148.2).contains(&chi_square), "{chi_square}");
}

#[test]
fn the_order_is_drawn_anew_for_every_release_and_fleet() {
    let tenth = Share::of_ratio(1, 10);
    let is_early =
        |name: &str, salt: &FleetSalt, number| place(&release(name), salt, issued(number)) < tenth;
    let other = FleetSalt::from_bytes([8; 32]);
    let (mut both_releases, mut both_fleets) = (0, 0);
    for number in 0..100_000 {
        let early = is_early("4.3.1", &salt(), number);
        both_releases += u32::from(early && is_early("4.3.2", &salt(), number));
        both_fleets += u32::from(early && is_early("4.3.1", &other, number));
    }
    // Independent draws share 1 % of the fleet in both first tenths: 1000, give or take 32 (1 σ).
    for both in [both_releases, both_fleets] {
        assert!((850..1150).contains(&both), "{both}");
    }
}

#[test]
fn a_salt_reads_64_hex_digits_and_never_shows() {
    let text = "07".repeat(32);
    assert_eq!(text.parse::<FleetSalt>().unwrap(), salt());
    assert_eq!(format!("{:?}", salt()), "FleetSalt(..)");
    let error = "07".parse::<FleetSalt>().unwrap_err();
    assert_eq!(error.why, "it must be 64 lower-case hex digits");
    assert_eq!(salt().as_bytes(), &[7; 32]);
}
