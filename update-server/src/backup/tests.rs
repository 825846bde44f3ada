//! Backups of real data directories, and what a restore refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::publish::fixture::{Fixture, hours, open, t0};
use crate::store::{Event, Store, StoreSettings, WriterThread};

/// A data directory with keys, a published repository and a database that a writer has open.
struct Hub {
    dir: tempfile::TempDir,
    store: Store,
    writer: Option<WriterThread>,
}

impl Hub {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        open(&data, t0()).0.publish(Fixture::new().publication(), t0()).unwrap();
        fs::create_dir_all(data.join("keys")).unwrap();
        fs::write(data.join("keys/snapshot.pem"), "secret one").unwrap();
        fs::write(data.join("keys/timestamp.pem"), "secret two").unwrap();
        fs::write(data.join("admin.token"), "fw_secret").unwrap();
        let settings = StoreSettings {
            report_interval_s: 300,
            grant_ttl_s: 900,
            queue_capacity: 100,
            history_days: 30,
        };
        let catalog = Arc::new(crate::catalog::Catalog::new(None));
        let (store, writer) =
            Store::open(data.as_path(), settings, catalog, Box::new(|_, _| {}), t0()).unwrap();
        Self { dir, store, writer: Some(writer) }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a row of audit log through the running writer.
    async fn write(&self) {
        let event = Event {
            at: t0(),
            actor: "ann".to_owned(),
            action: "hold",
            object: "fleet".to_owned(),
            detail: serde_json::json!({}),
        };
        self.store.record(event).await.unwrap();
    }

    fn take(&self, name: &str, what: What) -> Result<Manifest, BackupError> {
        take(&self.data(), &self.at(name), what, hours(1))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.store.stop();
        if let Some(writer) = self.writer.take() {
            writer.join();
        }
    }
}

#[tokio::test]
async fn a_backup_of_a_running_hub_holds_what_was_acknowledged_and_restores_to_it() {
    let hub = Hub::new();
    hub.write().await;
    let manifest = hub.take("copy", What::WithKeys).unwrap();
    hub.write().await;
    assert_eq!(manifest.database.audit_rows, 1);
    let restored = hub.at("restored");
    assert_eq!(restore(&hub.at("copy"), &restored).unwrap(), manifest);
    let content = crate::store::check_database(&restored.join("hub.sqlite3")).unwrap();
    assert_eq!(content, manifest.database);
    for file in ["tuf/metadata/timestamp.json", "tuf/metadata/1.root.json", "keys/snapshot.pem"] {
        let read = |dir: PathBuf| fs::read(dir.join(file)).unwrap();
        assert_eq!(read(restored.clone()), read(hub.data()), "{file}");
        let mode = fs::metadata(restored.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(fs::metadata(&restored).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!restored.join("admin.token").exists(), "the database knows its hash");
    assert!(!restored.join(RESTORING).exists());
    let (_, catalog) = open(&restored, hours(2));
    assert!(catalog.status(hours(2)).root_version.is_some(), "a hub starts on it");
}

#[tokio::test]
async fn keys_are_named_and_left_out_unless_asked_for() {
    let hub = Hub::new();
    let manifest = hub.take("copy", What::WithoutKeys).unwrap();
    assert_eq!(manifest.keys, ["keys/snapshot.pem", "keys/timestamp.pem"]);
    assert!(manifest.files.iter().all(|file| !file.path.starts_with("keys/")));
    assert!(!hub.at("copy").join("keys").exists());
}

#[tokio::test]
async fn nothing_is_written_over_anything() {
    let hub = Hub::new();
    hub.take("copy", What::WithKeys).unwrap();
    let again = hub.take("copy", What::WithKeys).unwrap_err();
    assert!(matches!(again, BackupError::NotEmpty { .. }), "{again}");
    let taken = restore(&hub.at("copy"), &hub.data()).unwrap_err();
    assert!(matches!(taken, BackupError::NotEmpty { .. }), "{taken}");
    let none = take(&hub.at("nowhere"), &hub.at("other"), What::WithKeys, t0()).unwrap_err();
    assert!(matches!(none, BackupError::NoHub { .. }), "{none}");
    assert!(!hub.at("other").exists());
}

#[tokio::test]
async fn a_changed_backup_is_refused_before_anything_is_written() {
    let hub = Hub::new();
    for file in ["tuf/metadata/timestamp.json", "hub.sqlite3", "keys/timestamp.pem"] {
        hub.take("copy", What::WithKeys).unwrap();
        let path = hub.at("copy").join(file);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = restore(&hub.at("copy"), &hub.at("restored")).unwrap_err();
        assert!(matches!(&error, BackupError::Damaged { path } if path == file), "{error}");
        fs::remove_file(&path).unwrap();
        let error = restore(&hub.at("copy"), &hub.at("restored")).unwrap_err();
        assert!(matches!(error, BackupError::Disk { action: "read", .. }), "{error}");
        assert!(!hub.at("restored").exists(), "nothing was written");
        fs::remove_dir_all(hub.at("copy")).unwrap();
    }
}

#[tokio::test]
async fn a_list_that_leads_outside_or_is_of_a_newer_hub_is_refused() {
    let hub = Hub::new();
    hub.take("copy", What::WithKeys).unwrap();
    let list = hub.at("copy").join(MANIFEST_FILE);
    let good = fs::read_to_string(&list).unwrap();
    for (from, to, why) in [
        ("tuf/metadata/1.root.json", "tuf/../../evil", "odd path"),
        ("tuf/metadata/1.root.json", "/etc/passwd", "odd path"),
        ("tuf/metadata/1.root.json", "lock", "odd path"),
        ("\"format\": 1", "\"format\": 2", "newer hub"),
        ("\"format\": 1", "\"form\": 1", "unknown field"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&list, good.replace(from, to)).unwrap();
        let error = restore(&hub.at("copy"), &hub.at("restored")).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(!hub.at("restored").exists());
}

#[tokio::test]
async fn a_publication_on_its_way_is_waited_for() {
    let hub = Hub::new();
    let staged = hub.data().join("tuf/staged");
    fs::create_dir(&staged).unwrap();
    fs::write(staged.join("0"), "half").unwrap();
    let manifest = hub.take("early", What::WithoutKeys).unwrap();
    assert!(manifest.files.iter().all(|file| !file.path.contains("staged")));
    fs::write(staged.join("commit.json"), "{}").unwrap();
    let error = hub.take("copy", What::WithoutKeys).unwrap_err();
    assert!(matches!(error, BackupError::Unsettled { .. }), "{error}");
    assert!(!hub.at("copy").exists() && !hub.at("copy.partial").exists());
}

#[tokio::test]
async fn no_hub_starts_beside_half_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(RESTORING)).unwrap();
    let text = format!("data_dir = {:?}\nlisten = '127.0.0.1:0'\n", dir.path());
    let settings = crate::config::Fragments::parse(&text).unwrap().try_into().unwrap();
    let error = crate::server::Running::start(settings).await.unwrap_err();
    assert!(matches!(error, crate::server::RunError::HalfRestored { .. }), "{error}");
}
