//! Reading `Signature-Input` and `Signature`: the one shape of the profile, nothing more.
//!
//! Not a structured-fields parser (RFC 8941): one label, strings without escapes, integers.

use super::{LABEL, MAX_LIFETIME, MessageError, SignatureParams, TAG};
use crate::key::KeyId;
use base64ct::{Base64, Encoding as _};
use jiff::Timestamp;

/// Longest `Signature-Input`, in bytes: twice what the profile can produce.
const MAX_FIELD_BYTES: usize = 1024;

/// A parsed `Signature-Input`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    /// The covered components as sent, with parentheses.
    pub(super) covered: &'a str,
    /// Everything after the label, as sent: the value of `@signature-params`.
    pub(super) params_text: &'a str,
    /// See [`SignatureParams::created`].
    pub(super) created: Timestamp,
    /// See [`SignatureParams::expires`].
    pub(super) expires: Timestamp,
    nonce: &'a str,
    /// A well-formed key id.
    pub(super) key_id: &'a str,
}

impl Input<'_> {
    /// The parameters, to keep.
    pub(super) fn params(&self) -> Result<SignatureParams, MessageError> {
        Ok(SignatureParams {
            created: self.created,
            expires: self.expires,
            nonce: self.nonce.to_owned(),
            key_id: KeyId::new(self.key_id).map_err(|_| outside("keyid"))?,
        })
    }
}

fn outside(reason: &'static str) -> MessageError {
    MessageError::Profile { field: "Signature-Input", reason }
}

pub(super) fn input(field: &str) -> Result<Input<'_>, MessageError> {
    if field.len() > MAX_FIELD_BYTES {
        return Err(outside("too long"));
    }
    let params_text = strip_label(field.trim()).ok_or(outside("another label than fairway"))?;
    let end = params_text.find(')').ok_or(outside("no component list"))? + 1;
    let (covered, rest) = params_text.split_at(end);
    if !covered.starts_with('(') {
        return Err(outside("no component list"));
    }
    let named = Parameters::read(rest)?;
    let created = time(required(named.created)?)?;
    let expires = time(required(named.expires)?)?;
    let nonce = string(required(named.nonce)?)?;
    let key_id = string(required(named.key_id)?)?;
    if !KeyId::is_valid(key_id) {
        return Err(outside("keyid"));
    }
    if string(required(named.alg)?)? != "ed25519" {
        return Err(outside("another algorithm than ed25519"));
    }
    if string(required(named.tag)?)? != TAG {
        return Err(outside("another tag than fairway-v1"));
    }
    super::sign::check_nonce(nonce)?;
    let lifetime = expires.duration_since(created);
    if lifetime.is_negative() || lifetime.unsigned_abs() > MAX_LIFETIME {
        return Err(outside("a life that is negative or over five minutes"));
    }
    Ok(Input { covered, params_text, created, expires, nonce, key_id })
}

/// The bytes of the `Signature` field.
pub(super) fn signature(field: &str) -> Result<Vec<u8>, MessageError> {
    let outside = |reason| MessageError::Profile { field: "Signature", reason };
    if field.len() > MAX_FIELD_BYTES {
        return Err(outside("too long"));
    }
    let encoded = strip_label(field.trim())
        .and_then(|value| value.strip_prefix(':'))
        .and_then(|value| value.strip_suffix(':'))
        .ok_or(outside("not fairway=:…:"))?;
    Base64::decode_vec(encoded).map_err(|_| outside("not base64"))
}

fn strip_label(field: &str) -> Option<&str> {
    field.strip_prefix(LABEL)?.strip_prefix('=')
}

/// The values of `;name=value;…` as sent. No value of the profile may hold a `;`, in quotes or not.
#[derive(Debug, Default)]
struct Parameters<'a> {
    created: Option<&'a str>,
    expires: Option<&'a str>,
    nonce: Option<&'a str>,
    key_id: Option<&'a str>,
    alg: Option<&'a str>,
    tag: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    fn read(text: &'a str) -> Result<Self, MessageError> {
        let list = text.strip_prefix(';').ok_or(outside("no parameters"))?;
        let mut read = Self::default();
        for parameter in list.split(';') {
            let (name, value) =
                parameter.split_once('=').ok_or(outside("a parameter without value"))?;
            let known = match name {
                "created" => &mut read.created,
                "expires" => &mut read.expires,
                "nonce" => &mut read.nonce,
                "keyid" => &mut read.key_id,
                "alg" => &mut read.alg,
                "tag" => &mut read.tag,
                _ => return Err(outside("an unknown parameter")),
            };
            if known.replace(value).is_some() {
                return Err(outside("a parameter given twice"));
            }
        }
        Ok(read)
    }
}

fn required(value: Option<&str>) -> Result<&str, MessageError> {
    value.ok_or(outside("a parameter is missing"))
}

fn string(value: &str) -> Result<&str, MessageError> {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.filter(|inner| !inner.contains(['"', '\\'])).ok_or(outside("not a plain string"))
}

fn time(value: &str) -> Result<Timestamp, MessageError> {
    // `parse` alone would also take a sign or leading zeros: second spellings of one number.
    let canonical = value.bytes().all(|b| b.is_ascii_digit()) && !value.starts_with('0');
    let seconds = value.parse().ok().filter(|_| canonical).ok_or(outside("not a time"))?;
    Timestamp::from_second(seconds).map_err(|_| MessageError::Time)
}
