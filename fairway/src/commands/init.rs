//! `fairway init DIR`: a channel repository and keys, ready to publish.

use std::path::{Path, PathBuf};

use channels::names::{ProductName, VendorName};
use channels::wire::{HubKeys, HubStatus};
use jiff::Timestamp;
use signing::{PublicKey, SecretKey, Sha256Digest};

use super::key::{fingerprint, write_pair};
use crate::authoring::scaffold::Scaffold;
use crate::authoring::{PassphraseArgs, Passphrases};
use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::publisher::{MemoryKeyring, RoleKeys, RootKeys, Terms, first_root};

/// Arguments of `fairway init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The directory to make
    dir: PathBuf,
    /// The vendor that publishes
    #[arg(long)]
    vendor: VendorName,
    /// Its first product
    #[arg(long)]
    product: ProductName,
    /// Root keys to make
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=20))]
    root_keys: u32,
    /// Root keys that must sign a new root
    #[arg(long, value_name = "M", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=20))]
    root_threshold: u32,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// A key with the stem of its files.
struct NamedKey {
    name: String,
    key: SecretKey,
}

/// Runs `fairway init`.
pub(crate) async fn run(
    args: &InitArgs,
    mut passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    if args.root_threshold > args.root_keys {
        return Err(CliError::failed(format!(
            "{} root keys cannot give {} signatures",
            args.root_keys, args.root_threshold
        )));
    }
    check_empty(&args.dir)?;
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let status: HubStatus = hub.get("api/v1/hub", &[]).await?;
    if let Some(version) = status.root_version {
        return Err(CliError::no(format!(
            "the hub at {} already has a root (version {version})",
            hub.base()
        ))
        .hint("publish from the directory it was made with, or use a hub with an empty data dir"));
    }
    let hub_keys: HubKeys = hub.get("api/v1/hub/keys", &[]).await?;
    let passphrase = passphrases.for_new_keys()?;
    let (keys, root) = ceremony(args, &hub_keys, now)?;
    let server = hub.base().as_str().trim_end_matches('/').to_owned();
    let scaffold = Scaffold {
        server,
        vendor: args.vendor.clone(),
        product: args.product.clone(),
        root_keys: args.root_keys,
        root_threshold: args.root_threshold,
        now,
    };
    write(&args.dir, &scaffold, &keys, &root, &passphrase)?;
    report(args, &hub, &hub_keys, &root, out)
}

fn report(args: &InitArgs, hub: &Hub, keys: &HubKeys, root: &[u8], out: &mut Out) -> Result<()> {
    let dir = args.dir.display();
    out.line(&format!("root 1       {}", Sha256Digest::of(root)))?;
    for (name, pem) in [("timestamp", &keys.timestamp), ("snapshot", &keys.snapshot)] {
        let key = hub_key(pem)?;
        out.line(&format!("{name:<12} {}", fingerprint(&key)))?;
    }
    let local = hub.base().host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    });
    if hub.base().scheme() == "http" && !local {
        out.warn(
            "the hub's keys came over plain HTTP; compare their fingerprints above with the \
             server's own before you hand out root.json",
        )?;
    }
    out.note(&format!(
        "{dir} is ready: agents pin {dir}/root.json; private keys are in {dir}/keys"
    ))?;
    out.note(&format!(
        "next: edit {dir}/{}/releases/1.0.0.yaml, then: fairway publish {dir}",
        args.product
    ))
}

fn hub_key(pem: &str) -> Result<PublicKey> {
    PublicKey::from_spki_pem(pem)
        .map_err(|error| CliError::because("the hub's keys are not usable", &error))
}

/// Nothing but git's own directory may be there.
fn check_empty(dir: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("failed to look into {}: {error}", dir.display()))
    };
    if !dir.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name != ".git" {
            return Err(CliError::no(format!("{} is not empty", dir.display()))
                .hint("name a directory that does not exist yet"));
        }
    }
    Ok(())
}

/// Makes every key and signs root 1.
fn ceremony(args: &InitArgs, hub: &HubKeys, now: Timestamp) -> Result<(Vec<NamedKey>, Vec<u8>)> {
    let mut keys = Vec::new();
    let mut keyring = MemoryKeyring::default();
    let mut make = |name: String| -> Result<PublicKey> {
        let key = SecretKey::generate()
            .map_err(|error| CliError::because("failed to make a key", &error))?;
        let public = keyring.add(key.clone());
        keys.push(NamedKey { name, key });
        Ok(public)
    };
    let mut root = RoleKeys { keys: Vec::new(), threshold: args.root_threshold };
    for number in 1..=args.root_keys {
        root.keys.push(make(format!("root-{number}"))?);
    }
    let targets = RoleKeys::single(make("targets".to_owned())?);
    for suffix in ["", ".releases", ".channels"] {
        make(format!("{}{suffix}", args.vendor))?;
    }
    let root_keys = RootKeys::with_hub(root, targets, hub)
        .map_err(|error| CliError::because("the hub's keys are not usable", &error))?;
    let root = first_root(&root_keys, &mut keyring, &Terms::default(), now)
        .map_err(|error| CliError::because("failed to sign root 1", &error))?;
    Ok((keys, root))
}

/// Writes everything into a hidden directory first, then moves it into place: a failure in the
/// middle leaves nothing that looks ready.
fn write(
    dir: &Path,
    scaffold: &Scaffold,
    keys: &[NamedKey],
    root: &[u8],
    passphrase: &str,
) -> Result<()> {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("failed to fill {}: {error}", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let staging =
        tempfile::Builder::new().prefix(".fairway-init-").tempdir_in(dir).map_err(failed)?;
    let stage = staging.path();
    for (path, text) in scaffold.files() {
        let path = stage.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(path, text).map_err(failed)?;
    }
    for below in ["keys", "metadata"] {
        std::fs::create_dir_all(stage.join(below)).map_err(failed)?;
    }
    std::fs::write(stage.join("root.json"), root).map_err(failed)?;
    std::fs::write(stage.join("metadata/1.root.json"), root).map_err(failed)?;
    for NamedKey { name, key } in keys {
        // Not `with_extension`, which would cut `acme.releases` to `acme`.
        write_pair(&stage.join("keys").join(format!("{name}.pem")), key, passphrase)?;
    }
    for entry in std::fs::read_dir(stage).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        std::fs::rename(entry.path(), dir.join(entry.file_name())).map_err(failed)?;
    }
    staging.close().map_err(failed)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::authoring::Authoring;
    use crate::hub::testing::{Answer, FakeHub};
    use crate::out::capture;
    use crate::publisher::{Content, Keyring as _, plan};

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: InitArgs,
    }

    fn now() -> Timestamp {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    fn status(root_version: Option<u64>) -> Answer {
        Answer::json(&HubStatus {
            version: "0.1.0".into(),
            at: now(),
            root_version,
            expires: None,
            products: vec![],
            default_product: None,
        })
    }

    async fn hub(root_version: Option<u64>) -> FakeHub {
        let pem = |seed| SecretKey::from_seed([seed; 32]).public().to_spki_pem();
        let keys = HubKeys { snapshot: pem(8), timestamp: pem(9) };
        FakeHub::start(vec![
            ("GET /api/v1/hub", status(root_version)),
            ("GET /api/v1/hub/keys", Answer::json(&keys)),
        ])
        .await
    }

    async fn init(hub: &FakeHub, dir: &Path, more: &[&str]) -> (Result<()>, String, String) {
        let words = ["init", dir.to_str().unwrap(), "--server", &hub.url];
        let names = ["--vendor", "acme", "--product", "app"];
        let words = words.iter().chain(&names).chain(more);
        let args = Cli::try_parse_from(words).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        let result = run(&args, Passphrases::given("pass"), now(), &mut out).await;
        (result, stdout.text(), stderr.text())
    }

    #[tokio::test]
    async fn a_new_directory_is_ready_to_publish() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("hub");
        let hub = hub(None).await;
        let (result, stdout, stderr) =
            init(&hub, &dir, &["--root-keys", "3", "--root-threshold", "2"]).await;
        result.unwrap();
        assert!(stdout.starts_with("root 1       sha256:"), "{stdout}");
        assert!(stderr.contains("fairway publish"), "{stderr}");

        let authoring = Authoring::open(&dir).unwrap();
        let previous = authoring.metadata().load().unwrap();
        let pinned = std::fs::read(dir.join("root.json")).unwrap();
        assert_eq!(previous.files().next().unwrap().1.as_ref(), pinned);
        let planned =
            plan(&Content::default(), authoring.layout(), &previous, &authoring.terms(), now());
        assert_eq!(planned.unwrap().len(), 4);
        let mut keyring = authoring.keyring(Passphrases::given("pass"));
        let targets = crate::publisher::targets_role();
        assert_eq!(keyring.open(&targets, &authoring.layout().targets).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn private_keys_are_encrypted_and_left_out_of_git() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("hub");
        init(&hub(None).await, &dir, &[]).await.0.unwrap();
        let mut private = 0;
        for entry in std::fs::read_dir(dir.join("keys")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().unwrap() == "pem" {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
                assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
                private += 1;
            }
        }
        assert_eq!(private, 5);
        let ignored = std::fs::read_to_string(dir.join(".gitignore")).unwrap();
        assert!(ignored.lines().any(|line| line == "keys/*.pem"));
    }

    #[tokio::test]
    async fn a_hub_that_has_a_root_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("hub");
        let error = init(&hub(Some(4)).await, &dir, &[]).await.0.unwrap_err();
        assert!(error.to_string().ends_with("already has a root (version 4)"), "{error}");
        assert_eq!(error.exit().code(), 1);
        assert!(!dir.exists());
    }

    #[tokio::test]
    async fn a_directory_with_something_in_it_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("thesis.txt"), "").unwrap();
        let error = init(&hub(None).await, temp.path(), &[]).await.0.unwrap_err();
        assert!(error.to_string().ends_with("is not empty"), "{error}");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_root_nobody_could_sign_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (result, ..) =
            init(&hub(None).await, &temp.path().join("x"), &["--root-threshold", "2"]).await;
        assert_eq!(result.unwrap_err().to_string(), "1 root keys cannot give 2 signatures");
    }
}
