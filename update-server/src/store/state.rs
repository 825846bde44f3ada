//! Products of a cluster as bytes: a fifth of their JSON, and several times as fast to write and read.
//! Rows that are small share pages, and pages are what a commit writes.
//!
//! The first byte is the format. Numbers are little-endian; texts and documents have their length
//! first, in as many bytes as it takes. A format is never changed once it was released but for parts
//! that are added, each with a bit of its own: a reader that meets a newer format or part says so.

use channels::names::UnitName;
use channels::version::ReleaseVersion;
use channels::wire::{HealthSummary, HealthVerdict, Phase, Progress};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fleet::{GraphKey, ProductRecord};

/// The format written.
const FORMAT: u8 = 1;
/// A number goes on in the next byte.
const MORE: u8 = 0x80;
/// Bits of a number in one byte.
const BITS: u32 = 7;

/// Which optional parts follow, one bit each.
mod part {
    pub(super) const TARGET: u16 = 1;
    pub(super) const UNIT: u16 = 1 << 1;
    pub(super) const PROGRESS: u16 = 1 << 2;
    pub(super) const HEALTH_SINCE: u16 = 1 << 3;
    pub(super) const QUORUM_LAG: u16 = 1 << 4;
    pub(super) const QUORUM_LAG_UNIT: u16 = 1 << 5;
    pub(super) const PLEG_LAG: u16 = 1 << 6;
    pub(super) const PLEG_LAG_UNIT: u16 = 1 << 7;
    pub(super) const WAITING_ON: u16 = 1 << 8;
    pub(super) const WHY_NOT: u16 = 1 << 9;
    pub(super) const FAILURE: u16 = 1 << 10;
    pub(super) const ACCEPTED_RISKS: u16 = 1 << 11;
    pub(super) const ALL: u16 = (1 << 12) - 1;
}

/// Bytes that are no products.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StateError {
    /// Written by another hub.
    #[error("format {found} is not known; known is {FORMAT}")]
    Format {
        /// The first byte.
        found: u8,
    },
    /// They end too early.
    #[error("cut off")]
    Cut,
    /// A part that does not parse.
    #[error("{what} cannot be read: {why}")]
    Part {
        /// Which.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// There is more than the products.
    #[error("{bytes} bytes too many")]
    Rest {
        /// How many.
        bytes: usize,
    },
}

/// The bytes of the products.
pub(super) fn encode(products: &[ProductRecord]) -> Vec<u8> {
    let mut to = Writer(Vec::with_capacity(2 + 128 * products.len()));
    to.0.push(FORMAT);
    to.number(u64::try_from(products.len()).unwrap_or(0));
    for product in products {
        to.product(product);
    }
    to.0
}

/// The products of the bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<ProductRecord>, StateError> {
    let mut from = Reader(bytes);
    match from.byte()? {
        FORMAT => {}
        found => return Err(StateError::Format { found }),
    }
    // Bounded by the bytes there are, whatever the number says.
    let count = from.number()?;
    let products = (0..count).map(|_| from.product()).collect::<Result<Vec<_>, _>>()?;
    match from.0.len() {
        0 => Ok(products),
        bytes => Err(StateError::Rest { bytes }),
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= BITS;
            if number == 0 {
                self.0.push(low & !MORE);
                return;
            }
            self.0.push(low | MORE);
        }
    }

    fn text(&mut self, text: &str) {
        self.number(u64::try_from(text.len()).unwrap_or(0));
        self.0.extend(text.as_bytes());
    }

    fn time(&mut self, time: Timestamp) {
        self.0.extend(time.as_millisecond().to_le_bytes());
    }

    fn document<T: Serialize + ?Sized>(&mut self, value: &T) {
        // Strings, numbers and lists of them always serialise.
        self.text(&serde_json::to_string(value).unwrap_or_default());
    }

    fn product(&mut self, product: &ProductRecord) {
        let health = &product.health;
        let parts = [
            (product.target.is_some(), part::TARGET),
            (product.unit.is_some(), part::UNIT),
            (product.progress.is_some(), part::PROGRESS),
            (health.since.is_some(), part::HEALTH_SINCE),
            (health.quorum_lag_ms.is_some(), part::QUORUM_LAG),
            (health.quorum_lag_unit.is_some(), part::QUORUM_LAG_UNIT),
            (health.pleg_lag_ms.is_some(), part::PLEG_LAG),
            (health.pleg_lag_unit.is_some(), part::PLEG_LAG_UNIT),
            (!product.waiting_on.is_empty(), part::WAITING_ON),
            (!product.why_not.is_empty(), part::WHY_NOT),
            (product.failure.is_some(), part::FAILURE),
            (!product.accepted_risks.is_empty(), part::ACCEPTED_RISKS),
        ];
        let present = parts.iter().filter(|(there, _)| *there).fold(0, |all, (_, bit)| all | bit);
        self.0.extend(u16::to_le_bytes(present));
        self.text(&product.graph.product.to_string());
        self.text(product.graph.channel.as_str());
        self.text(product.graph.arch.as_str());
        self.text(&product.version.to_string());
        self.0.push(phase_number(product.phase));
        self.0.push(verdict_number(health.verdict));
        self.time(product.since);
        if let Some(target) = &product.target {
            self.text(&target.to_string());
        }
        if let Some(progress) = product.progress {
            self.number(progress.done.into());
            self.number(progress.total.into());
        }
        if let Some(since) = health.since {
            self.time(since);
        }
        [health.quorum_lag_ms, health.pleg_lag_ms].into_iter().flatten().for_each(|ms| {
            self.number(ms);
        });
        let names = [&product.unit, &health.quorum_lag_unit, &health.pleg_lag_unit];
        names.into_iter().flatten().for_each(|name| self.text(name.as_str()));
        if !product.waiting_on.is_empty() {
            self.document(&product.waiting_on);
        }
        if !product.why_not.is_empty() {
            self.document(&product.why_not);
        }
        if let Some(failure) = &product.failure {
            self.document(failure);
        }
        if !product.accepted_risks.is_empty() {
            self.document(&product.accepted_risks);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], StateError> {
        let (taken, left) = self.0.split_at_checked(count).ok_or(StateError::Cut)?;
        self.0 = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        self.take(N)?.try_into().map_err(|_| StateError::Cut)
    }

    fn byte(&mut self) -> Result<u8, StateError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, StateError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & !MORE) << shift;
            if byte & MORE == 0 {
                return Ok(number);
            }
        }
        Err(StateError::Part { what: "number", why: "it has no end".to_owned() })
    }

    fn text(&mut self) -> Result<&'a str, StateError> {
        let length = usize::try_from(self.number()?).map_err(|_| StateError::Cut)?;
        std::str::from_utf8(self.take(length)?).map_err(|e| wrong("text")(&e))
    }

    fn named<T: std::str::FromStr>(&mut self, what: &'static str) -> Result<T, StateError>
    where
        T::Err: std::error::Error,
    {
        self.text()?.parse().map_err(|e| wrong(what)(&e))
    }

    fn time(&mut self) -> Result<Timestamp, StateError> {
        let ms = i64::from_le_bytes(self.array()?);
        Timestamp::from_millisecond(ms).map_err(|e| wrong("time")(&e))
    }

    fn document<T: DeserializeOwned>(&mut self, what: &'static str) -> Result<T, StateError> {
        serde_json::from_str(self.text()?).map_err(|e| wrong(what)(&e))
    }

    fn small(&mut self) -> Result<u32, StateError> {
        u32::try_from(self.number()?).map_err(|e| wrong("number")(&e))
    }

    /// The fields in the order in which they were written.
    fn product(&mut self) -> Result<ProductRecord, StateError> {
        let present = u16::from_le_bytes(self.array()?);
        if present & !part::ALL != 0 {
            let why = format!("unknown parts in {present:#x}");
            return Err(StateError::Part { what: "product", why });
        }
        let has = |bit: u16| present & bit != 0;
        let graph = GraphKey {
            product: self.named("product")?,
            channel: self.named("channel")?,
            arch: self.named("arch")?,
        };
        let version: ReleaseVersion = self.named("version")?;
        let phase = phase(self.byte()?);
        let verdict = verdict(self.byte()?);
        let since = self.time()?;
        let target = has(part::TARGET).then(|| self.named("target")).transpose()?;
        let progress = has(part::PROGRESS)
            .then(|| Ok(Progress { done: self.small()?, total: self.small()? }))
            .transpose()?;
        let health_since = has(part::HEALTH_SINCE).then(|| self.time()).transpose()?;
        let quorum_lag_ms = has(part::QUORUM_LAG).then(|| self.number()).transpose()?;
        let pleg_lag_ms = has(part::PLEG_LAG).then(|| self.number()).transpose()?;
        let mut unit = |bit| has(bit).then(|| self.named::<UnitName>("unit")).transpose();
        let out = unit(part::UNIT)?;
        let quorum_lag_unit = unit(part::QUORUM_LAG_UNIT)?;
        let pleg_lag_unit = unit(part::PLEG_LAG_UNIT)?;
        let waiting_on = has(part::WAITING_ON).then(|| self.document("waiting_on")).transpose()?;
        let why_not = has(part::WHY_NOT).then(|| self.document("why_not")).transpose()?;
        let failure = has(part::FAILURE).then(|| self.document("failure")).transpose()?;
        let accepted_risks =
            has(part::ACCEPTED_RISKS).then(|| self.document("accepted_risks")).transpose()?;
        Ok(ProductRecord {
            graph,
            version,
            target,
            phase,
            since,
            unit: out,
            progress,
            health: HealthSummary {
                verdict,
                since: health_since,
                quorum_lag_ms,
                quorum_lag_unit,
                pleg_lag_ms,
                pleg_lag_unit,
                measured: Vec::new(),
            },
            waiting_on: waiting_on.unwrap_or_default(),
            why_not: why_not.unwrap_or_default(),
            failure,
            accepted_risks: accepted_risks.unwrap_or_default(),
        })
    }
}

fn wrong<E: std::error::Error>(what: &'static str) -> impl FnOnce(&E) -> StateError {
    move |error| StateError::Part { what, why: error.to_string() }
}

/// Every phase with its number on disk.
const PHASES: [(Phase, u8); 10] = [
    (Phase::Unknown, 0),
    (Phase::Idle, 1),
    (Phase::Waiting, 2),
    (Phase::Preflight, 3),
    (Phase::Quiesce, 4),
    (Phase::Mutate, 5),
    (Phase::AwaitReturn, 6),
    (Phase::AwaitHealth, 7),
    (Phase::Soak, 8),
    (Phase::Paused, 9),
];

fn phase_number(phase: Phase) -> u8 {
    PHASES.iter().find(|(known, _)| *known == phase).map_or(0, |(_, number)| *number)
}

fn phase(number: u8) -> Phase {
    PHASES.iter().find(|(_, known)| *known == number).map_or(Phase::Unknown, |(phase, _)| *phase)
}

fn verdict_number(verdict: HealthVerdict) -> u8 {
    match verdict {
        HealthVerdict::Unknown => 0,
        HealthVerdict::Healthy => 1,
        HealthVerdict::Unhealthy => 2,
    }
}

fn verdict(number: u8) -> HealthVerdict {
    match number {
        1 => HealthVerdict::Healthy,
        2 => HealthVerdict::Unhealthy,
        _ => HealthVerdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use channels::wire::{AcceptedRisk, Failure, Reason, WaitingOn};
    use proptest::prelude::*;

    fn record(present: u16, n: u64, text: &str) -> ProductRecord {
        let has = |bit: u16| present & bit != 0;
        let at = |n: u64| Timestamp::from_millisecond(i64::try_from(n).unwrap()).unwrap();
        let unit = |bit| has(bit).then(|| format!("unit-{n}").parse().unwrap());
        let (phase, _) = PHASES[usize::try_from(n % 10).unwrap()];
        let gate = WaitingOn {
            gate: "approval".to_owned(),
            unit: None,
            message: text.to_owned(),
            observed: Some(0.5),
            limit: None,
            since: None,
        };
        let reason = Reason { code: "held".to_owned(), message: text.to_owned() };
        let failure =
            Failure { kind: "freeze".to_owned(), message: text.to_owned(), at: at(n / 2) };
        let accepted = AcceptedRisk {
            name: "DiskStorm".to_owned(),
            reason: text.to_owned(),
            until: Some(at(n)),
        };
        let small = u32::try_from(n % 1000).unwrap();
        ProductRecord {
            graph: GraphKey {
                product: "acme/kafka".parse().unwrap(),
                channel: format!("stable-{}", n % 50).parse().unwrap(),
                arch: "amd64".parse().unwrap(),
            },
            version: format!("4.{}.0", n % 300).parse().unwrap(),
            target: has(part::TARGET).then(|| "5.0.0-rc.1+amd64".parse().unwrap()),
            phase,
            since: at(n),
            unit: unit(part::UNIT),
            progress: has(part::PROGRESS).then_some(Progress { done: small, total: 1000 }),
            health: HealthSummary {
                verdict: verdict(u8::try_from(n % 3).unwrap()),
                since: has(part::HEALTH_SINCE).then(|| at(n + 1)),
                quorum_lag_ms: has(part::QUORUM_LAG).then_some(n),
                quorum_lag_unit: unit(part::QUORUM_LAG_UNIT),
                pleg_lag_ms: has(part::PLEG_LAG).then_some(u64::MAX - n),
                pleg_lag_unit: unit(part::PLEG_LAG_UNIT),
                measured: Vec::new(),
            },
            waiting_on: if has(part::WAITING_ON) { vec![gate] } else { vec![] },
            why_not: if has(part::WHY_NOT) { vec![reason; 2] } else { vec![] },
            failure: has(part::FAILURE).then_some(failure),
            accepted_risks: if has(part::ACCEPTED_RISKS) { vec![accepted] } else { vec![] },
        }
    }

    proptest! {
        #[test]
        fn products_come_back_as_they_were(
            all in proptest::collection::vec((0..=part::ALL, 0u64..4_000_000_000_000, ".{0,30}"), 0..4)
        ) {
            let products: Vec<_> = all.iter().map(|(p, n, text)| record(*p, *n, text)).collect();
            prop_assert_eq!(decode(&encode(&products)), Ok(products));
        }

        #[test]
        fn bytes_of_others_are_an_error_and_never_a_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200), format in any::<bool>()
        ) {
            if format && let Some(first) = bytes.first_mut() {
                *first = FORMAT;
            }
            let _ = decode(&bytes);
        }

        #[test]
        fn what_is_cut_off_is_refused(present in 0..=part::ALL, n in 0u64..1_000_000) {
            let bytes = encode(&[record(present, n, "x")]);
            for end in 0..bytes.len() {
                prop_assert!(decode(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn a_format_of_a_newer_hub_is_refused_by_its_number() {
        assert_eq!(decode(&[9, 0]), Err(StateError::Format { found: 9 }));
        assert_eq!(decode(&[FORMAT, 0, 0]), Err(StateError::Rest { bytes: 1 }));
    }

    /// Released: rows on disk look like this.
    #[test]
    fn the_first_format_stays_what_it_is() {
        let lags = part::QUORUM_LAG | part::PLEG_LAG_UNIT;
        let bytes = encode(&[record(lags, 1, "")]);
        assert_eq!(
            hex::encode(bytes),
            "010190000a61636d652f6b61666b6108737461626c652d3105616d64363405342e312e30\
             0101010000000000000001067570"
                .replace("067570", "06756e69742d31")
        );
    }

    #[test]
    fn an_idle_product_takes_an_eighth_of_a_kilobyte_at_most() {
        let usual = part::HEALTH_SINCE
            | part::QUORUM_LAG
            | part::QUORUM_LAG_UNIT
            | part::PLEG_LAG
            | part::PLEG_LAG_UNIT;
        let bytes = encode(&[record(usual, 1_790_000_000_000, "")]).len();
        assert!(bytes <= 128, "{bytes}");
    }
}
