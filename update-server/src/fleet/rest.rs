//! What only some products have, in as few bytes as it takes: most have the names of two units and
//! nothing else, and there are two million of them.
//!
//! One byte says what is there; then each part with its length. In memory only, so its form may
//! change with every version.

use channels::names::UnitName;
use channels::wire::{AcceptedRisk, Failure, Reason, WaitingOn};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Parts in their order, each with its bit.
const UNIT: u8 = 1;
const QUORUM_LAG_UNIT: u8 = 2;
const PLEG_LAG_UNIT: u8 = 4;
const WAITING_ON: u8 = 8;
const WHY_NOT: u8 = 16;
const FAILURE: u8 = 32;
const ACCEPTED_RISKS: u8 = 64;

/// The parts, unpacked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rest {
    pub(super) unit: Option<UnitName>,
    pub(super) quorum_lag_unit: Option<UnitName>,
    pub(super) pleg_lag_unit: Option<UnitName>,
    pub(super) waiting_on: Vec<WaitingOn>,
    pub(super) why_not: Vec<Reason>,
    pub(super) failure: Option<Failure>,
    pub(super) accepted_risks: Vec<AcceptedRisk>,
}

/// Where the parts come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) unit: Option<&'a UnitName>,
    pub(super) quorum_lag_unit: Option<&'a UnitName>,
    pub(super) pleg_lag_unit: Option<&'a UnitName>,
    pub(super) waiting_on: &'a [WaitingOn],
    pub(super) why_not: &'a [Reason],
    pub(super) failure: Option<&'a Failure>,
    pub(super) accepted_risks: &'a [AcceptedRisk],
}

impl Parts<'_> {
    /// The bytes; none at all where there is nothing to keep.
    pub(super) fn pack(self) -> Box<[u8]> {
        let mut bytes = vec![0];
        let mut present = 0;
        let names = [
            (UNIT, self.unit),
            (QUORUM_LAG_UNIT, self.quorum_lag_unit),
            (PLEG_LAG_UNIT, self.pleg_lag_unit),
        ];
        for (bit, name) in names {
            // A name has at most 253 bytes.
            if let Some((name, length)) =
                name.and_then(|n| Some((n, u8::try_from(n.as_str().len()).ok()?)))
            {
                present |= bit;
                bytes.push(length);
                bytes.extend(name.as_str().as_bytes());
            }
        }
        if !self.waiting_on.is_empty() {
            present |= document(&mut bytes, WAITING_ON, self.waiting_on);
        }
        if !self.why_not.is_empty() {
            present |= document(&mut bytes, WHY_NOT, self.why_not);
        }
        if let Some(failure) = self.failure {
            present |= document(&mut bytes, FAILURE, failure);
        }
        if !self.accepted_risks.is_empty() {
            present |= document(&mut bytes, ACCEPTED_RISKS, self.accepted_risks);
        }
        if present == 0 {
            return Box::default();
        }
        if let Some(first) = bytes.first_mut() {
            *first = present;
        }
        bytes.into_boxed_slice()
    }
}

/// Appends a value as JSON; returns its bit.
fn document<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, bit: u8, value: &T) -> u8 {
    // Strings, numbers and lists of them always serialise.
    let json = serde_json::to_vec(value).unwrap_or_default();
    bytes.extend(u32::try_from(json.len()).unwrap_or(0).to_le_bytes());
    bytes.extend(json);
    bit
}

impl Rest {
    /// The parts again. Bytes that are not ours read as nothing: they never left this process.
    pub(super) fn unpack(bytes: &[u8]) -> Self {
        let Some((&present, mut left)) = bytes.split_first() else { return Self::default() };
        let has = |bit: u8| present & bit != 0;
        Self {
            unit: has(UNIT).then(|| name(&mut left)).flatten(),
            quorum_lag_unit: has(QUORUM_LAG_UNIT).then(|| name(&mut left)).flatten(),
            pleg_lag_unit: has(PLEG_LAG_UNIT).then(|| name(&mut left)).flatten(),
            waiting_on: has(WAITING_ON).then(|| parse(&mut left)).flatten().unwrap_or_default(),
            why_not: has(WHY_NOT).then(|| parse(&mut left)).flatten().unwrap_or_default(),
            failure: has(FAILURE).then(|| parse(&mut left)).flatten(),
            accepted_risks: has(ACCEPTED_RISKS)
                .then(|| parse(&mut left))
                .flatten()
                .unwrap_or_default(),
        }
    }
}

/// Whether packed parts have the hub's reasons among them.
pub(super) fn has_why_not(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|present| present & WHY_NOT != 0)
}

fn take<'a>(left: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = left.split_at_checked(count)?;
    *left = rest;
    Some(taken)
}

fn name(left: &mut &[u8]) -> Option<UnitName> {
    let length = *take(left, 1)?.first()?;
    std::str::from_utf8(take(left, usize::from(length))?).ok()?.parse().ok()
}

fn parse<T: DeserializeOwned>(left: &mut &[u8]) -> Option<T> {
    let length = u32::from_le_bytes(take(left, 4)?.try_into().ok()?);
    serde_json::from_slice(take(left, usize::try_from(length).ok()?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(rest: &Rest) -> Parts<'_> {
        Parts {
            unit: rest.unit.as_ref(),
            quorum_lag_unit: rest.quorum_lag_unit.as_ref(),
            pleg_lag_unit: rest.pleg_lag_unit.as_ref(),
            waiting_on: &rest.waiting_on,
            why_not: &rest.why_not,
            failure: rest.failure.as_ref(),
            accepted_risks: &rest.accepted_risks,
        }
    }

    #[test]
    fn nothing_takes_no_bytes_and_two_names_take_theirs_and_three_more() {
        assert!(parts(&Rest::default()).pack().is_empty());
        let names = Rest {
            quorum_lag_unit: Some("controller-1".parse().unwrap()),
            pleg_lag_unit: Some("node-17".parse().unwrap()),
            ..Rest::default()
        };
        assert_eq!(parts(&names).pack().len(), 12 + 7 + 3);
        assert_eq!(Rest::unpack(&parts(&names).pack()), names);
    }

    proptest! {
        #[test]
        fn whatever_is_there_comes_back(
            present in 0u8..128, name in "[a-z0-9]{1,253}", text in ".{0,40}", many in 1usize..4
        ) {
            let has = |bit: u8| present & bit != 0;
            let unit = |bit| has(bit).then(|| name.parse().unwrap());
            let reason = Reason { code: "held".to_owned(), message: text.clone() };
            let gate = WaitingOn {
                gate: "approval".to_owned(), unit: None, message: text.clone(),
                observed: Some(1.5), limit: None, since: None,
            };
            let at = jiff::Timestamp::UNIX_EPOCH;
            let rest = Rest {
                unit: unit(UNIT),
                quorum_lag_unit: unit(QUORUM_LAG_UNIT),
                pleg_lag_unit: unit(PLEG_LAG_UNIT),
                waiting_on: if has(WAITING_ON) { vec![gate; many] } else { vec![] },
                why_not: if has(WHY_NOT) { vec![reason; many] } else { vec![] },
                failure: has(FAILURE).then(|| Failure {
                    kind: "freeze".to_owned(), message: text.clone(), at,
                }),
                accepted_risks: if has(ACCEPTED_RISKS) {
                    vec![AcceptedRisk { name: text.clone(), reason: text, until: Some(at) }; many]
                } else {
                    vec![]
                },
            };
            let packed = parts(&rest).pack();
            prop_assert_eq!(has_why_not(&packed), !rest.why_not.is_empty());
            prop_assert_eq!(Rest::unpack(&packed), rest);
        }

        #[test]
        fn bytes_of_others_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Rest::unpack(&bytes);
        }
    }
}
