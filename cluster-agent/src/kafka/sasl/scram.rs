//! SCRAM as a client (RFC 5802; SHA-256 by RFC 7677, SHA-512 alike). Pure: the nonce is given.
//!
//! Channel binding is not used: Kafka has none. The server's signature is checked, so a server
//! that does not know the password is refused too.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// Fewest iterations accepted; RFC 7677 asks for this many at least.
const ITERATIONS_MIN: u32 = 4_096;

/// Most iterations computed: four times what Kafka lets anyone set. Beyond is a server that wants
/// the agent busy.
const ITERATIONS_MAX: u32 = 65_536;

/// Most bytes of a server's message: nonce, salt and signature take a few hundred.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::kafka) enum ScramError {
    /// Not of the form RFC 5802 gives.
    #[error("the server's message is malformed")]
    Malformed,
    /// The nonce does not begin with the client's.
    #[error("the server answers another exchange")]
    Nonce,
    /// Iterations outside the bounds.
    #[error("{found} iterations are not between {ITERATIONS_MIN} and {ITERATIONS_MAX}")]
    Iterations {
        /// What the server asks for.
        found: u32,
    },
    /// The server says no.
    #[error("the server says {why}")]
    Denied {
        /// Its word, printable characters only.
        why: String,
    },
    /// The signature is not one of the password.
    #[error("the server does not know the password: its signature is wrong")]
    ServerSignature,
}

/// The digest of a mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum Digest {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl Digest {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    fn plain(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// An exchange that has begun.
pub(in crate::kafka) struct Scram {
    digest: Digest,
    password: String,
    nonce: String,
    first_bare: String,
}

/// The client's last message, and what the server's must be.
#[derive(Debug)]
pub(in crate::kafka) struct Final {
    /// To be sent.
    pub message: String,
    server_key: hmac::Key,
    auth_message: String,
}

impl Scram {
    /// Begins with a nonce of printable characters other than commas.
    pub(in crate::kafka) fn begin(
        digest: Digest,
        user: &str,
        password: &str,
        nonce: String,
    ) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={user},r={nonce}");
        Self { digest, password: password.to_owned(), nonce, first_bare }
    }

    /// The first message.
    pub(in crate::kafka) fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// Answers the server's first message.
    pub(in crate::kafka) fn answer(&self, server_first: &[u8]) -> Result<Final, ScramError> {
        let server_first = text(server_first)?;
        let mut parts = server_first.split(',');
        let nonce = attribute(parts.next(), "r=")?;
        let salt = attribute(parts.next(), "s=")?;
        let found: u32 =
            attribute(parts.next(), "i=")?.parse().map_err(|_| ScramError::Malformed)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&found) {
            return Err(ScramError::Iterations { found });
        }
        let salt = STANDARD.decode(salt).map_err(|_| ScramError::Malformed)?;
        let iterations = NonZeroU32::new(found).ok_or(ScramError::Iterations { found })?;
        let mut salted = vec![0; self.digest.plain().output_len()];
        pbkdf2::derive(
            self.digest.pbkdf2(),
            iterations,
            &salt,
            self.password.as_bytes(),
            &mut salted,
        );
        let salted = hmac::Key::new(self.digest.hmac(), &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored = digest::digest(self.digest.plain(), client_key.as_ref());
        let bare = format!("c=biws,r={nonce}");
        let auth_message = format!("{},{server_first},{bare}", self.first_bare);
        let stored = hmac::Key::new(self.digest.hmac(), stored.as_ref());
        let signature = hmac::sign(&stored, auth_message.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server_key = hmac::sign(&salted, b"Server Key");
        Ok(Final {
            message: format!("{bare},p={}", STANDARD.encode(proof)),
            server_key: hmac::Key::new(self.digest.hmac(), server_key.as_ref()),
            auth_message,
        })
    }
}

impl Final {
    /// Checks the server's last message.
    pub(in crate::kafka) fn finish(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let server_final = text(server_final)?;
        if let Some(why) = server_final.strip_prefix("e=") {
            let why: String = why.chars().filter(char::is_ascii_graphic).take(64).collect();
            return Err(ScramError::Denied { why });
        }
        let signature = attribute(server_final.split(',').next(), "v=")?;
        let signature = STANDARD.decode(signature).map_err(|_| ScramError::Malformed)?;
        hmac::verify(&self.server_key, self.auth_message.as_bytes(), &signature)
            .map_err(|_| ScramError::ServerSignature)
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed)
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, ScramError> {
    part.and_then(|part| part.strip_prefix(name)).ok_or(ScramError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The exchange of RFC 7677, section 3.
    fn rfc_7677() -> Scram {
        Scram::begin(Digest::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned())
    }

    const RFC_7677_FIRST: &[u8] = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_exchange_of_rfc_7677_comes_out() {
        let scram = rfc_7677();
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = scram.answer(RFC_7677_FIRST).unwrap();
        assert_eq!(
            last.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        last.finish(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
    }

    #[test]
    fn a_server_without_the_password_is_refused() {
        let last = rfc_7677().answer(RFC_7677_FIRST).unwrap();
        let wrong = b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(last.finish(wrong), Err(ScramError::ServerSignature));
        let denied = ScramError::Denied { why: "invalid-proof".into() };
        assert_eq!(last.finish(b"e=invalid-proof"), Err(denied));
    }

    #[test]
    fn the_longer_digest_comes_out_as_another_implementation_computes_it() {
        // Computed with Python's hashlib and hmac.
        let scram = Scram::begin(Digest::Sha512, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".into());
        let last = scram.answer(RFC_7677_FIRST).unwrap();
        let proof = last.message.rsplit_once(",p=").unwrap().1;
        assert_eq!(proof, SHA512_PROOF);
        last.finish(SHA512_SIGNATURE).unwrap();
    }

    const SHA512_PROOF: &str =
        "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
    const SHA512_SIGNATURE: &[u8] = b"v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";

    #[test]
    fn a_server_that_answers_another_exchange_is_refused() {
        let other = b"r=AAAArNGfwEbeRWgbNEkqO%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(rfc_7677().answer(other).unwrap_err(), ScramError::Nonce);
        let only_ours = b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(rfc_7677().answer(only_ours).unwrap_err(), ScramError::Nonce);
    }

    #[test]
    fn too_few_and_too_many_iterations_are_refused() {
        for found in [1_u32, 4_095, 65_537, u32::MAX] {
            let first = format!("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i={found}");
            let error = rfc_7677().answer(first.as_bytes()).unwrap_err();
            assert_eq!(error, ScramError::Iterations { found });
        }
    }

    #[test]
    fn names_with_separators_are_escaped() {
        let scram = Scram::begin(Digest::Sha256, "a=b,c", "x", "n".into());
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=n");
    }

    proptest! {
        #[test]
        fn no_server_message_panics(message in proptest::collection::vec(any::<u8>(), 0..80)) {
            drop(rfc_7677().answer(&message));
        }
    }
}
