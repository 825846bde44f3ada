//! Metadata of every kind, and the names that occur in it.

use super::as_json;
use jiff::Timestamp;
use signing::metadata::{Body, Document, Root, Snapshot, Targets, TimestampMetadata};
use signing::trusted::Roots;
use signing::{FileName, RoleName, TargetPath, TopRole, glob};

/// Any bytes, read as each of the four kinds, and as a name.
pub(crate) fn check(bytes: &[u8]) {
    if let Some(root) = parsed::<Root>(TopRole::Root, bytes) {
        for role in TopRole::ALL {
            let keys = root.body.keys(role);
            let signers = root.signers(keys).len();
            assert!(signers <= keys.keys.len(), "more signers than keys");
            let enough = u64::try_from(signers).expect("few") >= keys.threshold;
            assert_eq!(root.verify(keys).is_ok(), enough && keys.threshold > 0);
        }
        if let Ok(roots) = Roots::pinned(bytes) {
            assert!(roots.next(bytes).is_err(), "a root followed itself");
            let _ = roots.floors(Some(bytes), Some(bytes));
        }
    }
    if let Some(targets) = parsed::<Targets>(TopRole::Targets, bytes) {
        let wanted = TargetPath::new("acme/app/1.0.0.release.json").expect("a path");
        for edge in &targets.body.delegations {
            assert!(edge.name.as_top().is_none() && edge.keys.threshold > 0);
            assert!(!targets.signers(&edge.keys).is_empty() || targets.verify(&edge.keys).is_err());
            let _ = edge.covers(&wanted);
        }
        let _ = targets.body.find(&wanted);
    }
    if let Some(snapshot) = parsed::<Snapshot>(TopRole::Snapshot, bytes) {
        assert!(snapshot.body.pin(&TopRole::Targets.into()).is_some());
        for pin in snapshot.body.meta.values() {
            let _ = pin.check(&FileName::timestamp(), bytes);
        }
    }
    if let Some(timestamp) = parsed::<TimestampMetadata>(TopRole::Timestamp, bytes) {
        let _ = timestamp.body.snapshot().check(&FileName::timestamp(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        names(text);
    }
}

/// Parses `bytes`; what was signed must read back as the same.
fn parsed<T: Body>(role: TopRole, bytes: &[u8]) -> Option<Document<T>> {
    let role = RoleName::from(role);
    let document = Document::<T>::parse(&role, bytes).ok()?;
    assert!(document.body.version() > 0, "version 0");
    let _ = document.check_expiry(Timestamp::UNIX_EPOCH);

    let signed = as_json(document.canonical());
    let envelope = [br#"{"signatures":[],"signed":"#.as_slice(), &signed, b"}"].concat();
    let again = Document::<T>::parse(&role, &envelope).expect("what was signed does not read back");
    assert_eq!(again.canonical(), document.canonical(), "not a fixed point");
    assert_eq!(again.body.version(), document.body.version());
    assert_eq!(again.body.expires(), document.body.expires());
    Some(document)
}

/// One file has one name, and no name leads out of the repository.
fn names(text: &str) {
    if let Ok(file) = FileName::from_relative_path(text) {
        assert_eq!(file.relative_path(), text, "two names for one file");
        assert!(!text.split('/').any(|part| matches!(part, "" | "." | "..")), "{text}");
    }
    if let Ok(role) = RoleName::new(text) {
        let file = FileName::Metadata { role, version: Some(1) };
        assert_eq!(FileName::from_relative_path(&file.relative_path()).as_ref(), Ok(&file));
        assert_eq!(file.relative_path().split('/').count(), 2, "a role name climbs");
    }
    if let Some((pattern, path)) = text.split_once('\n') {
        let _ = glob::matches(pattern, path);
    }
}
