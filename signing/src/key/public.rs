//! Public keys and signature verification. One scheme per key: the key says which, never the
//! message.

use super::low_order::is_low_order;
use super::{KeyError, KeyId};
use crate::{Sha256Digest, cjson};
use base64ct::{Base64, Encoding as _};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::{self, der};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use ring::signature::{ECDSA_P256_SHA256_ASN1, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt;

/// `id-ecPublicKey`, RFC 5480.
const EC_PUBLIC_KEY: spki::ObjectIdentifier =
    spki::ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1`, RFC 5480.
const SECP256R1: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `rsaEncryption`, RFC 8017.
const RSA_ENCRYPTION: spki::ObjectIdentifier =
    spki::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-Ed25519`, RFC 8410.
const ED25519: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.3.101.112");
/// DER of an ed25519 SPKI up to the key, in base64. Twelve bytes, so the key's base64 follows.
const ED25519_SPKI_PREFIX: &str = "MCowBQYDK2VwAyEA";

/// Signature schemes this crate verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyScheme {
    /// Pure ed25519 (RFC 8032), verified strictly.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, DER signatures.
    EcdsaP256,
    /// RSASSA-PSS with SHA-256, 2048 to 8192 bits.
    RsaPss,
}

impl KeyScheme {
    /// The TUF `scheme`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::RsaPss => "rsassa-pss-sha256",
        }
    }
}

#[derive(Clone)]
enum Material {
    Ed25519(VerifyingKey),
    /// Uncompressed point.
    EcdsaP256(Vec<u8>),
    /// PKCS#1 `RSAPublicKey`.
    RsaPss(Vec<u8>),
}

/// A public key as TUF metadata carries it.
#[derive(Clone)]
pub struct PublicKey {
    keytype: Cow<'static, str>,
    /// `keyval.public` as read, SPKI PEM but for ed25519. Kept so that the key id of a key that was
    /// read and written again stays the same. `None` for the hex of the material, which is written
    /// when it is asked for: whoever verifies with the bytes of an ed25519 key never does.
    public: Option<String>,
    material: Material,
}

/// The wire form (TUF 1.0.34 §4.2).
#[derive(Serialize, Deserialize)]
struct TufKey {
    keytype: String,
    scheme: String,
    keyval: KeyVal,
}

#[derive(Serialize, Deserialize)]
struct KeyVal {
    public: String,
}

impl PublicKey {
    /// An ed25519 key from its 32 bytes. Low-order points are refused.
    pub fn ed25519(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let material = |reason| KeyError::Material { scheme: "ed25519", reason };
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| material("not a curve point"))?;
        if key.is_weak() {
            return Err(material("low-order point"));
        }
        Ok(Self::from_verifying_key(key))
    }

    pub(super) fn from_verifying_key(key: VerifyingKey) -> Self {
        Self { keytype: Cow::Borrowed("ed25519"), public: None, material: Material::Ed25519(key) }
    }

    /// Reads a TUF key object. Unknown members are ignored.
    pub fn from_tuf_json(value: &Value) -> Result<Self, KeyError> {
        let key = TufKey::deserialize(value)
            .map_err(|_| KeyError::Material { scheme: "TUF", reason: "not a TUF key object" })?;
        match (key.keytype.as_str(), key.scheme.as_str()) {
            ("ed25519", "ed25519") => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(&key.keyval.public, &mut bytes).map_err(|_| {
                    KeyError::Material { scheme: "ed25519", reason: "not 32 bytes in hex" }
                })?;
                Ok(Self { public: Some(key.keyval.public), ..Self::ed25519(&bytes)? })
            }
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256")
            | ("rsa", "rsassa-pss-sha256") => {
                let read = Self::from_spki_pem(&key.keyval.public)?;
                if read.scheme().as_str() != key.scheme {
                    return Err(KeyError::Material {
                        scheme: read.scheme().as_str(),
                        reason: "the PEM holds a key of another scheme",
                    });
                }
                let (keytype, public) = (Cow::Owned(key.keytype), Some(key.keyval.public));
                Ok(Self { keytype, public, ..read })
            }
            _ => Err(KeyError::Unsupported { keytype: key.keytype, scheme: key.scheme }),
        }
    }

    /// The TUF key object.
    pub fn to_tuf_json(&self) -> Value {
        json!({
            "keytype": self.keytype,
            "scheme": self.scheme().as_str(),
            "keyval": { "public": self.text() },
        })
    }

    /// `keyval.public`.
    fn text(&self) -> Cow<'_, str> {
        match &self.public {
            Some(public) => Cow::Borrowed(public),
            None => Cow::Owned(hex::encode(self.value().1)),
        }
    }

    /// Reads a `PUBLIC KEY` PEM (`SubjectPublicKeyInfo`) of any supported scheme. How its lines are
    /// broken plays no part in the key's id.
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyError> {
        let broken = |reason| KeyError::Material { scheme: "SPKI", reason };
        let (label, document) =
            der::Document::from_pem(pem).map_err(|_| broken("not a PEM document"))?;
        if label != "PUBLIC KEY" {
            return Err(broken("not a PUBLIC KEY document"));
        }
        let info = spki::SubjectPublicKeyInfoRef::try_from(document.as_bytes())
            .map_err(|_| broken("not a SubjectPublicKeyInfo"))?;
        let key = info.subject_public_key.as_bytes().ok_or_else(|| broken("odd bit string"))?;
        let public = document
            .to_pem("PUBLIC KEY", LineEnding::LF)
            .map_err(|_| broken("cannot be written as PEM"))?;
        match info.algorithm.oid {
            ED25519 => {
                Self::ed25519(key.try_into().map_err(|_| broken("ed25519 key is not 32 bytes"))?)
            }
            EC_PUBLIC_KEY => {
                if info.algorithm.parameters_oid() != Ok(SECP256R1) {
                    return Err(broken("elliptic curve is not P-256"));
                }
                // ring wants the uncompressed form, which is what everyone writes.
                if key.len() != 65 || key.first() != Some(&4) {
                    return Err(broken("P-256 point is not in uncompressed form"));
                }
                Ok(Self {
                    keytype: Cow::Borrowed("ecdsa"),
                    public: Some(public),
                    material: Material::EcdsaP256(key.to_vec()),
                })
            }
            RSA_ENCRYPTION => Ok(Self {
                keytype: Cow::Borrowed("rsa"),
                public: Some(public),
                material: Material::RsaPss(key.to_vec()),
            }),
            _ => Err(broken("unknown algorithm")),
        }
    }

    /// The key as a `PUBLIC KEY` PEM.
    pub fn to_spki_pem(&self) -> String {
        match &self.material {
            Material::Ed25519(key) => {
                let body = Base64::encode_string(key.as_bytes());
                format!(
                    "-----BEGIN PUBLIC KEY-----\n{ED25519_SPKI_PREFIX}{body}\n-----END PUBLIC KEY-----\n"
                )
            }
            Material::EcdsaP256(_) | Material::RsaPss(_) => self.text().into_owned(),
        }
    }

    /// The scheme signatures of this key use.
    pub fn scheme(&self) -> KeyScheme {
        match self.material {
            Material::Ed25519(_) => KeyScheme::Ed25519,
            Material::EcdsaP256(_) => KeyScheme::EcdsaP256,
            Material::RsaPss(_) => KeyScheme::RsaPss,
        }
    }

    /// The id we give this key: SHA-256 over its canonical TUF object.
    pub fn key_id(&self) -> KeyId {
        // Strings only, so there is always a canonical form; an empty one would hash too.
        let canonical = cjson::encode(&self.to_tuf_json()).unwrap_or_default();
        Sha256Digest::of(&canonical).into()
    }

    /// Scheme and key material: equal exactly when two keys accept the same signatures, whatever
    /// they are called. Thresholds count these.
    pub fn value(&self) -> (KeyScheme, &[u8]) {
        match &self.material {
            Material::Ed25519(key) => (KeyScheme::Ed25519, key.as_bytes()),
            Material::EcdsaP256(point) => (KeyScheme::EcdsaP256, point),
            Material::RsaPss(key) => (KeyScheme::RsaPss, key),
        }
    }

    /// The ed25519 key, if it is one.
    pub(super) fn as_ed25519(&self) -> Option<&VerifyingKey> {
        match &self.material {
            Material::Ed25519(key) => Some(key),
            Material::EcdsaP256(_) | Material::RsaPss(_) => None,
        }
    }

    /// Checks `signature` over `message`.
    ///
    /// ed25519 is checked strictly: low-order points and non-canonical encodings, under which
    /// one signature could fit several messages or keys, are refused. A key of low order was
    /// refused when it was read, and the library compares `R` with the canonical encoding of the
    /// one that it computes, so what is left to look at is an `R` of low order.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let good = match &self.material {
            Material::Ed25519(key) => Signature::from_slice(signature).is_ok_and(|signature| {
                !is_low_order(signature.r_bytes()) && key.verify(message, &signature).is_ok()
            }),
            Material::EcdsaP256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
                .verify(message, signature)
                .is_ok(),
            Material::RsaPss(key) => UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key)
                .verify(message, signature)
                .is_ok(),
        };
        if good { Ok(()) } else { Err(KeyError::Signature { key_id: self.key_id() }) }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.scheme().as_str(), self.key_id())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_tuf_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_tuf_json(&value).map_err(serde::de::Error::custom)
    }
}
