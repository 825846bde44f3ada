//! Logging in: PLAIN and SCRAM, always inside TLS (the configuration sees to that).

pub(super) mod scram;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::error::{ErrorCode, KafkaError};
use super::settings::{Mechanism, SaslSettings};
use scram::{Digest, Scram, ScramError};

/// Randomness of a nonce, bytes.
const NONCE_BYTES: usize = 24;

/// Logs in on a fresh connection.
pub(super) async fn login(
    connection: &mut Connection,
    settings: &SaslSettings,
    password: &str,
) -> Result<(), KafkaError> {
    let name = settings.mechanism.as_str();
    let handshake = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(name));
    let answer = connection.ask(&handshake).await?;
    if let Some(code) = ErrorCode::of(answer.error_code) {
        let offered: Vec<&str> = answer.mechanisms.iter().take(8).map(StrBytes::as_str).collect();
        let why = format!("{code}; it offers {}", offered.join(", "));
        return Err(denied(connection, settings, why));
    }
    let digest = match settings.mechanism {
        Mechanism::Plain => {
            let message = format!("\0{}\0{password}", settings.username);
            return authenticate(connection, settings, message).await.map(drop);
        }
        Mechanism::ScramSha256 => Digest::Sha256,
        Mechanism::ScramSha512 => Digest::Sha512,
    };
    let mut nonce = [0_u8; NONCE_BYTES];
    getrandom::fill(&mut nonce)
        .map_err(|e| denied(connection, settings, format!("there is no randomness: {e}")))?;
    let nonce = STANDARD_NO_PAD.encode(nonce);
    let scram = Scram::begin(digest, &settings.username, password, nonce);
    let server_first = authenticate(connection, settings, scram.first()).await?;
    let wrong = |connection: &Connection, error: ScramError| {
        denied(connection, settings, error.to_string())
    };
    let last = scram.answer(&server_first).map_err(|error| wrong(connection, error))?;
    let server_final = authenticate(connection, settings, last.message.clone()).await?;
    last.finish(&server_final).map_err(|error| wrong(connection, error))
}

async fn authenticate(
    connection: &mut Connection,
    settings: &SaslSettings,
    message: String,
) -> Result<Vec<u8>, KafkaError> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into_bytes().into());
    let answer = connection.ask(&request).await?;
    match ErrorCode::of(answer.error_code) {
        None => Ok(answer.auth_bytes.to_vec()),
        Some(code) => {
            let said = answer.error_message.map_or_else(String::new, |text| format!(": {text}"));
            Err(denied(connection, settings, format!("{code}{said}")))
        }
    }
}

fn denied(connection: &Connection, settings: &SaslSettings, why: String) -> KafkaError {
    KafkaError::Login {
        address: connection.address().to_string(),
        mechanism: settings.mechanism.as_str(),
        why,
    }
}
