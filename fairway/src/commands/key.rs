//! `fairway key new|show|from-export`: key files of one's own, and those of vendors behind an export.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use signing::{PublicKey, SecretKey, keyfile};

use crate::authoring::{MAX_PUBLIC_KEY_BYTES, PassphraseArgs, Passphrases, read_public};
use crate::error::{CliError, Result};
use crate::files::{read_bounded, replace};
use crate::origin::{Origin, OriginArgs};
use crate::out::Out;
use crate::words::fingerprint;

/// Arguments of `fairway key`.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key: FILE holds the encrypted private half, FILE with .pub the public one
    New {
        /// Name of the new file, ending in .pem; never overwritten
        file: PathBuf,
    },
    /// Show a key's id, its fingerprint for reading aloud, and its public half
    Show {
        /// A public (.pub) or private (.pem) key file
        file: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        output: KeyFormat,
    },
    /// Verify an export and show its vendors' keys, for a site that imports from it
    FromExport {
        /// The exported directory
        #[arg(value_name = "EXPORT", requires = "root")]
        from_export: PathBuf,
        #[command(flatten)]
        origin: OriginArgs,
        /// Write each key into this directory, unless it is there already
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum KeyFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

#[derive(Serialize)]
struct Shown {
    key_id: String,
    scheme: &'static str,
    fingerprint: String,
    public_key: String,
}

/// Runs `fairway key …`.
pub(crate) async fn run(
    args: &KeyArgs,
    mut passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    match &args.command {
        Command::New { file } => {
            if file.extension().is_none_or(|extension| extension != "pem") {
                return Err(CliError::failed("the name of a private key file must end in .pem")
                    .hint("the public half goes beside it, into a file ending in .pub"));
            }
            if file.exists() {
                return Err(CliError::failed(format!("{} exists already", file.display())));
            }
            let passphrase = passphrases.for_new_keys()?;
            let key = SecretKey::generate()
                .map_err(|error| CliError::because("failed to make a key", &error))?;
            write_pair(file, &key, &passphrase)?;
            text(key.public(), out)
        }
        Command::Show { file, output } => {
            let key = read(file, &mut passphrases)?;
            match output {
                KeyFormat::Text => text(&key, out),
                KeyFormat::Json => out.json(&Shown {
                    key_id: key.key_id().to_string(),
                    scheme: key.scheme().as_str(),
                    fingerprint: fingerprint(&key),
                    public_key: key.to_spki_pem(),
                }),
            }
        }
        Command::FromExport { from_export, origin, into } => {
            let origin = origin.verified(from_export, now).await?;
            if let Some(dir) = into {
                write_imported(dir, &origin)?;
            }
            origin.report(out)
        }
    }
}

/// Writes the vendors' public keys; a file that is there must be of the same key.
fn write_imported(dir: &Path, origin: &Origin) -> Result<()> {
    for (name, key) in origin.key_files() {
        let path = dir.join(name);
        if !path.exists() {
            replace(&path, key.to_spki_pem().as_bytes()).map_err(|error| {
                CliError::failed(format!("failed to write {}: {error}", path.display()))
            })?;
        } else if read_public(&path)? != key {
            return Err(CliError::failed(format!("{} holds another key", path.display())));
        }
    }
    Ok(())
}

/// Writes both halves of a new key; neither file may exist.
pub(crate) fn write_pair(private: &Path, key: &SecretKey, passphrase: &str) -> Result<()> {
    let public = private.with_extension("pub");
    let pem = keyfile::to_pem(key, passphrase.as_bytes())
        .map_err(|error| CliError::because("failed to encrypt the key", &error))?;
    keyfile::write_new(private, &pem)
        .map_err(|error| CliError::because("failed to keep the key", &error))?;
    std::fs::File::create_new(&public)
        .and_then(|mut file| {
            std::io::Write::write_all(&mut file, key.public().to_spki_pem().as_bytes())
        })
        .map_err(|error| CliError::failed(format!("failed to write {}: {error}", public.display())))
}

fn text(key: &PublicKey, out: &mut Out) -> Result<()> {
    out.line(&format!("key id       {}", key.key_id()))?;
    out.line(&format!("scheme       {}", key.scheme().as_str()))?;
    out.line(&format!("fingerprint  {}", fingerprint(key)))?;
    out.data(&key.to_spki_pem())
}

fn read(file: &Path, passphrases: &mut Passphrases) -> Result<PublicKey> {
    let failed =
        |why: String| CliError::failed(format!("failed to read {}: {why}", file.display()));
    let bytes = read_bounded(file, MAX_PUBLIC_KEY_BYTES).map_err(|e| failed(e.to_string()))?;
    if bytes.trim_ascii_start().starts_with(b"-----BEGIN PUBLIC KEY-----") {
        let text = String::from_utf8(bytes).map_err(|_| failed("it is not text".to_owned()))?;
        return PublicKey::from_spki_pem(&text).map_err(|error| failed(error.to_string()));
    }
    let pem = keyfile::read(file).map_err(|error| failed(error.to_string()))?;
    Ok(passphrases.open(file, &pem)?.public().clone())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::out::capture;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: KeyArgs,
    }

    async fn key(words: &[&str]) -> (Result<()>, String) {
        let args = Cli::try_parse_from(std::iter::once(&"key").chain(words)).unwrap().args;
        let (mut out, stdout, _) = capture::out();
        let now = "2026-05-01T12:00:00Z".parse().unwrap();
        let result = run(&args, Passphrases::given("pass"), now, &mut out).await;
        (result, stdout.text())
    }

    #[tokio::test]
    async fn both_halves_of_a_new_key_show_the_same_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let (private, public) = (dir.path().join("a.pem"), dir.path().join("a.pub"));
        let (private, public) = (private.to_str().unwrap(), public.to_str().unwrap());
        let (made, at_birth) = key(&["new", private]).await;
        made.unwrap();
        let (_, from_private) = key(&["show", private]).await;
        let (_, from_public) = key(&["show", public]).await;
        assert_eq!((&from_private, &from_public), (&at_birth, &at_birth));
        let fingerprint = at_birth.lines().nth(2).unwrap().strip_prefix("fingerprint  ").unwrap();
        assert_eq!(fingerprint.split(' ').count(), 16);
    }

    #[tokio::test]
    async fn an_existing_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.pem");
        std::fs::write(&file, "precious").unwrap();
        let (result, _) = key(&["new", file.to_str().unwrap()]).await;
        assert!(result.unwrap_err().to_string().ends_with("a.pem exists already"));
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    }
}
