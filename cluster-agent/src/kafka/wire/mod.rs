//! Bytes of the Kafka protocol: requests out, answers in. Pure; connections are elsewhere.
//!
//! `kafka-protocol` knows the messages; around it stand the bounds it lacks: a frame's size, the
//! lengths inside it, and that an answer is to the request that was made.

pub(super) mod calls;
pub(super) mod shape;
#[cfg(test)]
mod tests;

use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, HeaderVersion as _, StrBytes};

use calls::Call;
use shape::{Field, NO_TAGS, ShapeError};

/// How this agent names itself to servers.
const CLIENT_ID: &str = "fairway-agent";

/// Why an answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// A length or a field contradicts the layout.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// It answers another request.
    #[error("it answers request {found}, not {expected}")]
    OtherRequest {
        /// What it answers.
        found: i32,
        /// What was asked.
        expected: i32,
    },
    /// The codec refuses it.
    #[error("{0}")]
    Codec(String),
}

/// A request as a frame: length, header, body.
pub(super) fn request<C: Call>(call: &C, version: i16, id: i32) -> Result<Vec<u8>, String> {
    let header = RequestHeader::default()
        .with_request_api_key(C::KEY)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut frame = vec![0; 4];
    header.encode(&mut frame, C::header_version(version)).map_err(|e| e.to_string())?;
    call.encode(&mut frame, version).map_err(|e| e.to_string())?;
    let length = frame.len().saturating_sub(4);
    let length = i32::try_from(length).map_err(|_| "it is larger than 2 GiB".to_owned())?;
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = length.to_be_bytes();
    }
    Ok(frame)
}

/// The answer to request `id` in a frame without its length.
pub(super) fn answer<C: Call>(
    frame: &[u8],
    version: i16,
    id: i32,
) -> Result<C::Answer, AnswerError> {
    let header_version = C::Answer::header_version(version);
    let header: &[Field] =
        if header_version >= 1 { &[Field::Fixed(4), NO_TAGS] } else { &[Field::Fixed(4)] };
    let mut body = shape::walk(frame, header)?;
    let mut head = frame;
    let found = ResponseHeader::decode(&mut head, header_version)
        .map_err(|e| AnswerError::Codec(e.to_string()))?
        .correlation_id;
    if found != id {
        return Err(AnswerError::OtherRequest { found, expected: id });
    }
    shape::check(body, C::layout(version))?;
    C::Answer::decode(&mut body, version).map_err(|e| AnswerError::Codec(e.to_string()))
}

/// The first two bytes of an answer's body: for most kinds its error code.
///
/// A server that does not know the version of `ApiVersions` answers in version 0, of which only
/// the code is of use.
pub(super) fn leading_code(frame: &[u8]) -> Option<i16> {
    let code = frame.get(4..6)?;
    Some(i16::from_be_bytes(code.try_into().ok()?))
}
