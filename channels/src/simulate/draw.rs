//! The simulator's dice: one number for each question about one cluster, fixed by the seed.
//!
//! A throw depends on nothing but the seed, the cluster and the question. So a cluster does the
//! same in two runs with different faults, and no order of evaluation changes a result.

use jiff::SignedDuration;
use signing::Sha256Digest;
use uuid::Uuid;

use super::fleet::Upgrade;
use crate::names::ClusterId;
use crate::rollout::{FleetSalt, Share};

/// What is thrown for. Each question has its own sequence.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    /// Identity of a model cluster: its number.
    Identity,
    /// The fleet's salt: the word's number.
    Salt,
    /// The release's digest: the word's number.
    Release,
    /// How long its upgrade takes.
    Duration,
    /// Whether it is online: the number of the stretch.
    Online,
    /// Where its online stretches begin.
    Phase,
    /// Whether its upgrade fails by itself.
    Failure,
    /// Whether its health cannot be read after the upgrade.
    Unknown,
    /// Whether a fault is its fault: the fault's number.
    Fault,
}

impl Question {
    /// Odd constants that only have to differ.
    fn word(self) -> u64 {
        match self {
            Self::Identity => 0x01,
            Self::Salt => 0x03,
            Self::Release => 0x05,
            Self::Duration => 0x07,
            Self::Online => 0x09,
            Self::Phase => 0x0b,
            Self::Failure => 0x0d,
            Self::Unknown => 0x0f,
            Self::Fault => 0x11,
        }
    }
}

/// Dice with a seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice {
    seed: u64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    fn throw(self, question: Question, who: u64, number: u64) -> u64 {
        let first = mix(self.seed ^ mix(question.word()));
        mix(mix(first ^ who) ^ number)
    }

    /// A share below 1, evenly distributed.
    pub(super) fn share(self, question: Question, who: ClusterId, number: u64) -> Share {
        Share::from_steps(self.throw(question, key(who), number) >> 11)
    }

    /// Identity of the `number`th model cluster: a random UUID.
    pub(super) fn identity(self, number: u64) -> ClusterId {
        let high = self.throw(Question::Identity, 0, number);
        let low = self.throw(Question::Identity, 1, number);
        let word = (u128::from(high) << 64) | u128::from(low);
        ClusterId(uuid::Builder::from_random_bytes(word.to_be_bytes()).into_uuid())
    }

    /// A salt; the hub's own is a secret.
    pub(super) fn salt(self) -> FleetSalt {
        FleetSalt::from_bytes(self.bytes(Question::Salt, 0))
    }

    /// A digest that stands for the document of a release: another version, another order.
    pub(super) fn release(self, version: &str) -> Sha256Digest {
        let who = version.bytes().fold(0, |word, byte| mix(word ^ u64::from(byte)));
        Sha256Digest::of(&self.bytes(Question::Release, who))
    }

    fn bytes(self, question: Question, who: u64) -> [u8; 32] {
        let mut bytes = [0_u8; 32];
        for (number, chunk) in (0_u64..).zip(bytes.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&self.throw(question, who, number).to_be_bytes());
        }
        bytes
    }

    /// A length between the shortest and the longest, most often near the typical one (triangular
    /// distribution), in whole seconds.
    pub(super) fn duration(self, upgrade: &Upgrade, who: ClusterId) -> SignedDuration {
        let throw = self.share(Question::Duration, who, 0).as_f64();
        let [low, mode, high] =
            [upgrade.shortest, upgrade.typical, upgrade.longest].map(|p| f64::from(p.secs()));
        let width = high - low;
        // Square roots are exact in IEEE 754, so every machine draws the same lengths.
        let secs = if throw * width < mode - low {
            low + (throw * width * (mode - low)).sqrt()
        } else {
            high - ((1.0 - throw) * width * (high - mode)).sqrt()
        };
        let exact = SignedDuration::try_from_secs_f64(secs).unwrap_or(upgrade.typical.duration());
        SignedDuration::from_secs(exact.as_secs())
    }
}

fn key(who: ClusterId) -> u64 {
    let (high, low) = Uuid::as_u64_pair(&who.0);
    high ^ mix(low)
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, 2014) over its own increment.
fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_and_another_does_not() {
        let identities = |seed| [0, 1, 2].map(|number| Dice::new(seed).identity(number));
        assert_eq!(identities(7), identities(7));
        assert_ne!(identities(7), identities(8));
        assert_eq!(identities(7)[0].0.get_version_num(), 4);
    }

    #[test]
    fn throws_are_spread_evenly() {
        let dice = Dice::new(1);
        let shares = (0..10_000).map(|n| dice.share(Question::Fault, dice.identity(n), 0));
        let below = shares.filter(|share| *share < Share::of_ratio(1, 4)).count();
        assert!((2_350..2_650).contains(&below), "{below} of 10000 are below a quarter");
    }

    #[test]
    fn durations_stay_between_their_ends_and_gather_at_the_typical_one() {
        let upgrade = Upgrade {
            shortest: "10m".parse().unwrap(),
            typical: "20m".parse().unwrap(),
            longest: "60m".parse().unwrap(),
        };
        let dice = Dice::new(1);
        let secs: Vec<i64> =
            (0..2_000).map(|n| dice.duration(&upgrade, dice.identity(n)).as_secs()).collect();
        assert!(secs.iter().all(|secs| (600..=3_600).contains(secs)));
        let early = secs.iter().filter(|secs| **secs < 1_800).count();
        // 55 % of a triangle with these corners lie left of half an hour.
        assert!((1_020..1_180).contains(&early), "{early}");
        let fixed = Upgrade { shortest: upgrade.typical, longest: upgrade.typical, ..upgrade };
        assert_eq!(dice.duration(&fixed, dice.identity(1)).as_secs(), 1_200);
    }
}
