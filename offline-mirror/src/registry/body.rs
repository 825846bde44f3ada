//! Bodies of answers that fit into memory, and what a refusal says. Bounded in bytes and in pace.

use std::time::Duration;

use bytes::Bytes;
use oci_distribution::errors::{OciEnvelope, OciErrorCode};
use reqwest::{Response, StatusCode};

use super::RegistryError;
use super::error::said;
use super::pace::{Pace, Traffic};

/// Silence inside one answer after which it counts as broken; a whole blob may take any time.
pub(super) const SILENCE_MAX: Duration = Duration::from_mins(1);
/// Largest refusal read for its words.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Reads a body of at most `most` bytes.
pub(super) async fn bounded(
    mut response: Response,
    most: usize,
    what: &str,
) -> Result<Vec<u8>, RegistryError> {
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    let endless = || RegistryError::Endless { what: what.to_owned(), limit, unit: "bytes" };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(endless());
    }
    // Small enough that nothing else takes its time meanwhile.
    let traffic = Traffic::unlimited();
    let (mut bytes, mut pace) = (Vec::new(), Pace::default());
    loop {
        let piece = next(&mut response, &mut pace, &traffic, what).await?;
        let Some(piece) = piece else { return Ok(bytes) };
        if bytes.len().saturating_add(piece.len()) > most {
            return Err(endless());
        }
        bytes.extend_from_slice(&piece);
    }
}

/// The next piece of a body, none at its end.
pub(super) async fn next(
    response: &mut Response,
    pace: &mut Pace,
    traffic: &Traffic,
    what: &str,
) -> Result<Option<Bytes>, RegistryError> {
    let waiting = traffic.wait();
    let piece = loop {
        match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            // Work of our own kept us from hearing what may be there.
            Err(_) if waiting.elapsed() < SILENCE_MAX => {}
            Err(_) => return Err(RegistryError::silent(what, SILENCE_MAX)),
            Ok(Err(source)) => return Err(RegistryError::connection(what, source)),
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(piece))) => break piece,
        }
    };
    let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
    match pace.received(length, waiting.elapsed()) {
        Ok(()) => Ok(Some(piece)),
        Err(slow) => {
            let waited_ms = u64::try_from(slow.waited.as_millis()).unwrap_or(u64::MAX);
            Err(RegistryError::Slow { what: what.to_owned(), received: slow.received, waited_ms })
        }
    }
}

/// The error that an answer without success is, with the registry's own words.
pub(super) async fn refusal(what: &str, response: Response, tried: &str) -> RegistryError {
    let status = response.status();
    let body = bounded(response, REFUSAL_BYTES_MAX, what).await.unwrap_or_default();
    let (codes, said) = words(&body);
    let what = what.to_owned();
    if codes.contains(&OciErrorCode::Unsupported) || status == StatusCode::METHOD_NOT_ALLOWED {
        return RegistryError::Unsupported { what, said };
    }
    match status.as_u16() {
        401 | 403 => RegistryError::Unauthorised { what, tried: tried.to_owned(), said },
        404 => RegistryError::NotFound { what, said },
        429 => RegistryError::RateLimited { what, retry_after_s: None },
        status => RegistryError::Status { what, status, said },
    }
}

/// Codes and messages of the distribution spec's error document; nothing of any other body.
fn words(body: &[u8]) -> (Vec<OciErrorCode>, String) {
    let Ok(envelope) = serde_json::from_slice::<OciEnvelope>(body) else {
        return (Vec::new(), String::new());
    };
    let code = |code: &OciErrorCode| {
        let name = serde_json::to_value(code).ok()?;
        name.as_str().map(str::to_owned)
    };
    let each = |error: &oci_distribution::errors::OciError| {
        format!("{}: {}", code(&error.code).unwrap_or_default(), error.message)
    };
    let text: Vec<_> = envelope.errors.iter().map(each).collect();
    let codes = envelope.errors.into_iter().map(|error| error.code).collect();
    (codes, said(&text.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_own_words_are_repeated_on_one_line() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\nentry"},{"code":"OWN"}]}"#;
        let (codes, text) = words(body);
        assert_eq!(codes, [OciErrorCode::Denied, OciErrorCode::Other("OWN".to_owned())]);
        assert_eq!(text, " (DENIED: no entry; OWN:)");
        assert_eq!(words(b"<html>").1, "");
    }
}
