//! Documents between agents, sites and hubs, which anybody with a key may have written. The first
//! byte says which.

use channels::wire::{
    EnrolmentRequest, KeyRotationRequest, Problem, Publication, Report, ReportReply, SiteStatus,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is read is written, and read again as the same.
pub(crate) fn check(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    match *kind {
        b'a' => reads_back::<Report>(text),
        b'b' => reads_back::<ReportReply>(text),
        b'c' => reads_back::<EnrolmentRequest>(text),
        b'd' => reads_back::<KeyRotationRequest>(text),
        b'e' => reads_back::<SiteStatus>(text),
        b'f' => reads_back::<Problem>(text),
        b'g' => reads_back::<Publication>(text),
        _ => {}
    }
}

fn reads_back<T: Serialize + DeserializeOwned>(text: &[u8]) {
    let Ok(document) = serde_json::from_slice::<T>(text) else { return };
    let written = serde_json::to_vec(&document).expect("what was read is written");
    let again: T = serde_json::from_slice(&written).expect("what was written is read");
    let twice = serde_json::to_vec(&again).expect("what was read is written");
    assert!(written == twice, "a document changes when it is written");
}
