//! `fairway key new|show|passwd|public|from-bundle`: key files of one's own, and those of vendors behind a bundle.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use signing::{PublicKey, SecretKey, keyfile};

use crate::authoring::private::{self, Private, PrivateError};
use crate::authoring::{
    MAX_PUBLIC_KEY_BYTES, PassphraseArgs, Passphrases, next_passphrase, read_public,
};
use crate::error::{CliError, Result};
use crate::files::{read_bounded, replace};
use crate::origin::{Origin, OriginArgs};
use crate::out::Out;
use crate::table::{Format, Table};
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
    /// Give a private key file another passphrase; the old file stays until the new one opens
    Passwd {
        /// The private key file
        file: PathBuf,
        /// Read the new passphrase from this file descriptor
        #[arg(
            long,
            help = "Read the new passphrase from this file descriptor; CI may set \
                    FAIRWAY_NEW_PASSPHRASE",
            value_name = "N"
        )]
        new_passphrase_fd: Option<u32>,
    },
    /// Write the public half (.pub) of a private key file, or of the key a signer program has
    Public {
        /// A private key file (.pem) or a signer file (.signer)
        file: PathBuf,
    },
    /// Show a key's id, its fingerprint for reading aloud, and its public half
    Show {
        /// A public (.pub) or private (.pem) key file, or a signer file (.signer)
        file: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        output: Format,
    },
    /// Verify a bundle and show its hub's vendors' keys, for a site that imports it
    FromBundle {
        /// The bundle: its directory or its .manifest.json
        #[arg(value_name = "BUNDLE", requires = "root")]
        from_bundle: PathBuf,
        #[command(flatten)]
        origin: OriginArgs,
        /// Write each key into this directory, unless it is there already
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
}

#[derive(Serialize)]
struct Shown {
    key_id: String,
    scheme: &'static str,
    fingerprint: String,
    public_key: String,
}

impl Shown {
    fn of(key: &PublicKey) -> Self {
        Self {
            key_id: key.key_id().to_string(),
            scheme: key.scheme().as_str(),
            fingerprint: fingerprint(key),
            public_key: key.to_spki_pem(),
        }
    }

    fn table(self) -> Table {
        let mut table = Table::new(&["key_id", "scheme", "fingerprint", "public_key"]);
        let Self { key_id, scheme, fingerprint, public_key } = self;
        table.row(vec![key_id, scheme.to_owned(), fingerprint, public_key]);
        table
    }
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
        Command::Passwd { file, new_passphrase_fd } => {
            passwd(file, *new_passphrase_fd, &mut passphrases, out)
        }
        Command::Public { file } => {
            let key = private::derive_public(file, &mut passphrases).map_err(|e| refuse(&e))?;
            let public = private::public_path(file);
            if !public.exists() {
                write_public(&public, &key)?;
            } else if read_public(&public)? != key {
                let what = format!("{} holds another key", public.display());
                return Err(CliError::failed(what).hint("nothing was written"));
            }
            text(&key, out)
        }
        Command::Show { file, output } => {
            let key = read(file, &mut passphrases)?;
            match output {
                Format::Table => text(&key, out),
                Format::Json => out.json(&Shown::of(&key)),
                Format::Csv => out.csv(&Shown::of(&key).table()),
            }
        }
        Command::FromBundle { from_bundle, origin, into } => {
            let origin = origin.verified(from_bundle, now).await?;
            if let Some(dir) = into {
                write_imported(dir, &origin)?;
            }
            origin.report(out)
        }
    }
}

/// Encrypts a key file again, after its key was found to be the one on record.
fn passwd(
    file: &Path,
    new_passphrase_fd: Option<u32>,
    passphrases: &mut Passphrases,
    out: &mut Out,
) -> Result<()> {
    if private::is_signer(file) {
        return Err(CliError::failed(format!(
            "{} names a program; the key and its passphrase are that program's",
            file.display()
        )));
    }
    let Private::Key(key) = private::open(file, None, passphrases).map_err(|e| refuse(&e))? else {
        return Err(CliError::failed(format!("{} is not a key file", file.display())));
    };
    let passphrase = next_passphrase(new_passphrase_fd)?;
    keyfile::reencrypt(file, &key, passphrase.as_bytes())
        .map_err(|error| CliError::because("failed to change the passphrase", &error))?;
    out.note(&format!(
        "{} opens with the new passphrase; copies made earlier open with the old one",
        file.display()
    ))
}

fn refuse(error: &PrivateError) -> CliError {
    CliError::because("failed to use the key", error)
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
    write_public(&public, key.public())
}

fn write_public(path: &Path, key: &PublicKey) -> Result<()> {
    std::fs::File::create_new(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, key.to_spki_pem().as_bytes()))
        .map_err(|error| CliError::failed(format!("failed to write {}: {error}", path.display())))
}

fn text(key: &PublicKey, out: &mut Out) -> Result<()> {
    out.line(&format!("key id       {}", key.key_id()))?;
    out.line(&format!("scheme       {}", key.scheme().as_str()))?;
    out.line(&format!("fingerprint  {}", fingerprint(key)))?;
    out.data(&key.to_spki_pem())
}

/// The key of a file of any kind; a private half must belong to the public one beside it.
fn read(file: &Path, passphrases: &mut Passphrases) -> Result<PublicKey> {
    if private::is_signer(file) {
        let key = private::derive_public(file, passphrases).map_err(|e| refuse(&e))?;
        let public = private::public_path(file);
        if public.exists() && read_public(&public)? != key {
            let (private, public) = (file.to_owned(), public);
            return Err(refuse(&PrivateError::OtherKey { private, public }));
        }
        return Ok(key);
    }
    let failed =
        |why: String| CliError::failed(format!("failed to read {}: {why}", file.display()));
    let bytes = read_bounded(file, MAX_PUBLIC_KEY_BYTES).map_err(|e| failed(e.to_string()))?;
    if bytes.trim_ascii_start().starts_with(b"-----BEGIN PUBLIC KEY-----") {
        let text = String::from_utf8(bytes).map_err(|_| failed("it is not text".to_owned()))?;
        return PublicKey::from_spki_pem(&text).map_err(|error| failed(error.to_string()));
    }
    let key = private::open(file, None, passphrases).map_err(|e| refuse(&e))?;
    Ok(key.public().clone())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::PermissionsExt as _;

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

    fn made(dir: &Path, seed: u8) -> PathBuf {
        let file = dir.join("a.pem");
        write_pair(&file, &SecretKey::from_seed([seed; 32]), "pass").unwrap();
        file
    }

    #[tokio::test]
    async fn a_passphrase_is_changed_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = made(dir.path(), 3);
        let next = dir.path().join("next");
        std::fs::write(&next, "another\n").unwrap();
        let next = std::fs::File::open(&next).unwrap();
        let fd = next.as_raw_fd().to_string();
        let words = ["passwd", file.to_str().unwrap(), "--new-passphrase-fd", &fd];
        key(&words).await.0.unwrap();
        let opened = keyfile::from_pem(&keyfile::read(&file).unwrap(), b"another").unwrap();
        assert_eq!(opened.public(), SecretKey::from_seed([3; 32]).public());
        let error = key(&words).await.0.unwrap_err().to_string();
        assert!(error.contains("the passphrase does not open this key"), "{error}");
    }

    #[tokio::test]
    async fn a_key_that_is_not_the_one_on_record_is_neither_shown_nor_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = made(dir.path(), 3);
        let other = SecretKey::from_seed([4; 32]).public().to_spki_pem();
        std::fs::write(dir.path().join("a.pub"), other).unwrap();
        let before = std::fs::read(&file).unwrap();
        for word in ["show", "passwd"] {
            let error = key(&[word, file.to_str().unwrap()]).await.0.unwrap_err().to_string();
            assert!(error.contains("a.pem is not the private half of "), "{error}");
        }
        let error = key(&["public", file.to_str().unwrap()]).await.0.unwrap_err().to_string();
        assert!(error.ends_with("a.pub holds another key"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }

    #[tokio::test]
    async fn the_public_half_of_a_signer_s_key_is_asked_of_its_program() {
        let dir = tempfile::tempdir().unwrap();
        let public = SecretKey::from_seed([3; 32]).public().to_spki_pem();
        let pem = public.replace('\n', "\\\\n");
        let text = format!(
            "command = ['/bin/sh', '-c', \"\"\"printf '%s' '{{\"public_key\":\"{pem}\"}}'\"\"\"]\n"
        );
        let signer = dir.path().join("a.signer");
        std::fs::write(&signer, text).unwrap();
        std::fs::set_permissions(&signer, std::fs::Permissions::from_mode(0o400)).unwrap();
        let (result, shown) = key(&["public", signer.to_str().unwrap()]).await;
        result.unwrap();
        assert!(shown.ends_with(&public), "{shown}");
        assert_eq!(std::fs::read_to_string(dir.path().join("a.pub")).unwrap(), public);
        key(&["show", signer.to_str().unwrap()]).await.0.unwrap();
        let other = SecretKey::from_seed([4; 32]).public().to_spki_pem();
        std::fs::write(dir.path().join("a.pub"), other).unwrap();
        let error = key(&["show", signer.to_str().unwrap()]).await.0.unwrap_err().to_string();
        assert!(error.contains("a.signer is not the private half of "), "{error}");
    }
}
