//! The command line of tuf-conformance over our client.
//!
//! `tuf_client --metadata-dir D init ROOT`
//! `tuf_client --metadata-url U --metadata-dir D refresh`
//! `tuf_client --metadata-url U --metadata-dir D --target-name T … --target-base-url B
//! --target-dir TD download`
//!
//! The suite wants unversioned `<role>.json` files in `D` and parses all of them; what our client
//! keeps beyond those goes to a directory beside it.

#![expect(clippy::print_stderr, reason = "a command line reports on stderr")]

use jiff::Timestamp;
use signing::source::HttpLimits;
use signing::{Client, DirStore, HttpSource, Store, StoreError, TargetPath};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Default)]
struct Arguments {
    metadata_url: String,
    metadata_dir: PathBuf,
    target_names: Vec<String>,
    target_base_url: String,
    target_dir: PathBuf,
    command: Vec<String>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut parsed = Arguments::default();
    let mut rest = std::env::args().skip(1);
    while let Some(name) = rest.next() {
        if !name.starts_with("--") {
            parsed.command.push(name);
            continue;
        }
        let value = rest.next().ok_or("an option without a value")?;
        match name.as_str() {
            "--metadata-url" => parsed.metadata_url = value,
            "--metadata-dir" => parsed.metadata_dir = value.into(),
            "--target-name" => parsed.target_names.push(value),
            "--target-base-url" => parsed.target_base_url = value,
            "--target-dir" => parsed.target_dir = value.into(),
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(parsed)
}

/// Our documents beside the suite's directory, with copies in it of those the suite knows.
struct SuiteStore {
    ours: DirStore,
    suite: DirStore,
}

impl SuiteStore {
    fn open(directory: &Path) -> Result<Self, StoreError> {
        let ours = DirStore::open(beside(directory))?;
        Ok(Self { ours, suite: DirStore::open(directory)? })
    }

    /// The name the suite knows a document by.
    fn known_as(name: &str) -> Option<&str> {
        match name.strip_suffix(".json") {
            Some(_) => Some(name),
            None => name.starts_with("root.").then_some("root.json"),
        }
    }
}

impl Store for SuiteStore {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        // The suite alters its copies to test what a client makes of them.
        match Self::known_as(name) {
            Some(known) if known == name => self.suite.load(name),
            _ => self.ours.load(name),
        }
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        if let Some(known) = Self::known_as(name) {
            self.suite.save(known, bytes)?;
        }
        self.ours.save(name, bytes)
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        if let Some(known) = Self::known_as(name) {
            self.suite.remove(known)?;
        }
        self.ours.remove(name)
    }
}

fn beside(directory: &Path) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push("-fairway");
    name.into()
}

fn init(arguments: &Arguments, root: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = fs::read(root)?;
    let mut store = SuiteStore::open(&arguments.metadata_dir)?;
    store.ours.save("pinned", &bytes)?;
    store.suite.save("root.json", &bytes)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a process reads its clock once")]
fn now() -> Timestamp {
    Timestamp::now()
}

async fn update(arguments: &Arguments, download: bool) -> Result<(), Box<dyn Error>> {
    let now = now();
    let store = SuiteStore::open(&arguments.metadata_dir)?;
    let pinned = store.ours.load("pinned")?.ok_or("not initialised")?;
    let limits = HttpLimits::default();
    let base = if download { &arguments.target_base_url } else { &arguments.metadata_url };
    let source = HttpSource::with_urls(&arguments.metadata_url, base, limits)?;
    let mut client = Client::open(&pinned, source, store)?;
    client.refresh(now).await?;
    for name in arguments.target_names.iter().filter(|_| download) {
        let path = TargetPath::new(name.as_str())?;
        let target = client.target_file(&path, now).await?.ok_or("target not found")?;
        let local = arguments.target_dir.join(signing_file_name(name));
        let cached = fs::read(&local).is_ok_and(|bytes| target.check(&bytes).is_ok());
        if !cached {
            let bytes = client.fetch_file(&target).await?;
            fs::write(&local, bytes.as_slice())?;
        }
        // The suite orders downloads by their modification times, which tick every few
        // milliseconds; this client is faster.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The file name the suite expects: the whole target path, percent-encoded.
fn signing_file_name(target: &str) -> String {
    signing::RoleName::new(target).map_or_else(|_| "target".to_owned(), |name| name.quoted())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let command: Vec<_> = arguments.command.iter().map(String::as_str).collect();
    match command.as_slice() {
        ["init", root] => init(&arguments, Path::new(root)),
        ["refresh"] => update(&arguments, false).await,
        ["download"] => update(&arguments, true).await,
        _ => Err("expected init ROOT, refresh or download".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}: {error:?}");
            ExitCode::FAILURE
        }
    }
}
