//! A provider's public keys (RFC 7517), and signatures by them (RFC 7515, RFC 7518 §3).
//!
//! Four algorithms and no others: `none` and those with a shared secret have no place in an ID
//! token that comes over the network.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// Keys of one provider that are looked at; real ones have a few.
const KEYS_MAX: usize = 64;

/// How an ID token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// ECDSA over P-256, SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Kind and curve of the keys that sign so.
    fn of_keys(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Rs256 | Self::Ps256 => ("RSA", None),
            Self::Es256 => ("EC", Some("P-256")),
            Self::EdDsa => ("OKP", Some("Ed25519")),
        }
    }
}

/// The document at `jwks_uri`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct KeySet {
    #[serde(default)]
    keys: Vec<Jwk>,
}

/// One public key. Fields that other kinds of keys have are ignored.
#[derive(Debug, Clone, Default, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

/// What a signature is by the keys at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// By one of them.
    Good,
    /// By the key that it names, and wrong.
    Wrong,
    /// The key that it names is not here: the provider may have a new one.
    UnknownKey,
}

impl KeySet {
    /// Checks a signature. Without `kid` exactly one key must be able to sign so.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Verdict {
        let mut fitting = self
            .keys
            .iter()
            .take(KEYS_MAX)
            .filter(|key| key.signs(algorithm))
            .filter(|key| kid.is_none() || key.kid.as_deref() == kid);
        let (Some(key), None) = (fitting.next(), fitting.next()) else {
            return Verdict::UnknownKey;
        };
        if key.verifies(algorithm, message, signature) == Some(true) {
            Verdict::Good
        } else {
            Verdict::Wrong
        }
    }
}

impl Jwk {
    fn signs(&self, algorithm: Algorithm) -> bool {
        let (kind, curve) = algorithm.of_keys();
        self.kty == kind
            && (curve.is_none() || self.crv.as_deref() == curve)
            && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str())
    }

    /// `None` for a key that cannot be read.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Option<bool> {
        let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let verified = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let (n, e) = (part(&self.n)?, part(&self.e)?);
                let how = if algorithm == Algorithm::Rs256 {
                    &RSA_PKCS1_2048_8192_SHA256
                } else {
                    &RSA_PSS_2048_8192_SHA256
                };
                RsaPublicKeyComponents { n, e }.verify(how, message, signature)
            }
            Algorithm::Es256 => {
                let (x, y) = (part(&self.x)?, part(&self.y)?);
                let point = [&[4_u8][..], &x, &y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Algorithm::EdDsa => {
                UnparsedPublicKey::new(&ED25519, part(&self.x)?).verify(message, signature)
            }
        };
        Some(verified.is_ok())
    }
}
