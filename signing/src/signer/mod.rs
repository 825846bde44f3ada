//! Signers outside this process: a key in a KMS, a token or a smart card, behind a local program.
//!
//! The program is started once per question, reads one JSON document from standard input and
//! answers with one on standard output. It is trusted with nothing:
//! a signature counts only after it verified under the public key on record. Which program is
//! asked is local configuration of whoever calls this; no document ever names one.
//!
//! ```text
//! {"version":1,"operation":"public"}                       -> {"public_key":"-----BEGIN PUBLIC…"}
//! {"version":1,"operation":"sign","key_id":"…","scheme":"ecdsa-sha2-nistp256",
//!  "message":"<base64>"}                                   -> {"signature":"<base64>"}
//! anything, when it cannot or will not                     -> {"error":"…"}
//! ```
//! `message` is what is signed, not its digest: raw for `ed25519`, hashed with SHA-256 by the signer
//! for `ecdsa-sha2-nistp256` (answered as DER or as 64 bytes r‖s) and for `rsassa-pss-sha256` (salt as
//! long as the digest).

mod der;
mod process;
mod protocol;
#[cfg(test)]
mod tests;

use crate::key::{KeyId, KeyScheme, PublicKey, SignError, Signer};
use protocol::{Answer, Question};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program may take for one answer: a person has to find the token, type a PIN and touch
/// it.
const DEFAULT_TIME: Duration = Duration::from_mins(2);

/// Why an external signer gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// A command that is empty or whose program is looked up somewhere.
    #[error("a signer command begins with the absolute path of a program, not with {found:?}")]
    Command {
        /// What it begins with.
        found: String,
    },
    /// The program cannot be started or watched.
    #[error("cannot run the signer {program}")]
    Run {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// No answer in time; the program was ended.
    #[error("the signer {program} gave no answer within {limit_s} s")]
    TimedOut {
        /// The program.
        program: PathBuf,
        /// The time it had, in seconds.
        limit_s: u64,
    },
    /// More output than any answer has.
    #[error("the signer {program} wrote more than {limit} bytes")]
    TooMuch {
        /// The program.
        program: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// The program ended badly.
    #[error("the signer {program} failed ({status}): {stderr}")]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: String,
        /// The beginning of what it wrote to standard error.
        stderr: String,
    },
    /// The program said no.
    #[error("the signer {program} refused: {message}")]
    Refused {
        /// The program.
        program: PathBuf,
        /// Its words.
        message: String,
    },
    /// An answer that is not one.
    #[error("the signer {program} answered with something else than {expected}: {reason}")]
    Garbage {
        /// The program.
        program: PathBuf,
        /// What was asked for.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A signature of another key, of something else, or none at all.
    #[error("the signer {program} did not sign with key {key_id}")]
    WrongSignature {
        /// The program.
        program: PathBuf,
        /// The key on record.
        key_id: KeyId,
    },
}

/// A local program that signs.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    environment: Vec<String>,
    time: Duration,
}

impl Program {
    /// A command: the absolute path of a program and its arguments. There is no shell and no search
    /// path; it runs in `/` with nothing but `PATH` and `HOME` in its environment.
    pub fn new(command: &[String]) -> Result<Self, SignerError> {
        let found = command.first().cloned().unwrap_or_default();
        if !Path::new(&found).is_absolute() {
            return Err(SignerError::Command { found });
        }
        let arguments = command.iter().skip(1).cloned().collect();
        Ok(Self { path: found.into(), arguments, environment: Vec::new(), time: DEFAULT_TIME })
    }

    /// Further variables of our own environment that it is given.
    #[must_use]
    pub fn with_environment(self, names: Vec<String>) -> Self {
        Self { environment: names, ..self }
    }

    /// Another time limit for one answer; two minutes otherwise.
    #[must_use]
    pub fn with_time(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// Asks for the public half of the key.
    pub fn public(&self) -> Result<PublicKey, SignerError> {
        let expected = "its public key";
        let pem = self.ask(&Question::public(), expected, |answer| answer.public_key)?;
        PublicKey::from_spki_pem(&pem).map_err(|error| self.garbage(expected, error.to_string()))
    }

    /// Runs the program once.
    fn ask(
        &self,
        question: &Question,
        expected: &'static str,
        pick: impl Fn(Answer) -> Option<String>,
    ) -> Result<String, SignerError> {
        let output = process::run(self, question.to_json())?;
        let answer = Answer::parse(&output.stdout);
        // A program that can still say why is believed over its exit code.
        if let Ok(Answer { error: Some(message), .. }) = answer {
            return Err(SignerError::Refused { program: self.path.clone(), message });
        }
        if !output.status.success() {
            let (program, status) = (self.path.clone(), output.status.to_string());
            return Err(SignerError::Failed { program, status, stderr: output.stderr });
        }
        let answer = answer.map_err(|reason| self.garbage(expected, reason))?;
        pick(answer).ok_or_else(|| self.garbage(expected, "it is missing".to_owned()))
    }

    fn garbage(&self, expected: &'static str, reason: String) -> SignerError {
        SignerError::Garbage { program: self.path.clone(), expected, reason }
    }
}

/// One key whose private half only a local program can use.
#[derive(Debug, Clone)]
pub struct ExecSigner {
    program: Program,
    public: PublicKey,
}

impl ExecSigner {
    /// The signer of `public`, the key on record. Nothing is run yet.
    pub fn new(program: Program, public: PublicKey) -> Self {
        Self { program, public }
    }

    /// Signs `message`: one run of the program. The signature is verified under the key on record,
    /// and comes back as TUF wants it (DER for ECDSA).
    pub fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let expected = "a signature";
        let question = Question::sign(&self.public, message);
        let text = self.program.ask(&question, expected, |answer| answer.signature)?;
        let bytes = protocol::decode(&text).map_err(|why| self.program.garbage(expected, why))?;
        let raw = match self.public.scheme() {
            KeyScheme::EcdsaP256 => der::from_raw(&bytes),
            KeyScheme::Ed25519 | KeyScheme::RsaPss => None,
        };
        [Some(bytes), raw]
            .into_iter()
            .flatten()
            .find(|signature| self.public.verify(message, signature).is_ok())
            .ok_or_else(|| SignerError::WrongSignature {
                program: self.program.path.clone(),
                key_id: self.public.key_id(),
            })
    }
}

impl Signer for ExecSigner {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.try_sign(message).map_err(|error| {
            let source = std::error::Error::source(&error);
            let reason = source.map_or_else(|| error.to_string(), |why| format!("{error}: {why}"));
            SignError { reason }
        })
    }
}
