//! Root and targets under P-256 keys that only a local program can use, from the signer file to a
//! client that accepts what was signed. The program is the documented example.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use signing::key::KeyScheme;
use signing::{
    Client, Delegation, MemStore, PublicKey, RoleName, SecretKey, Signer, StagedRepository,
    TargetEntry, TargetPath, TopRole, Versions, build_targets,
};

use super::keys::FileKeyring;
use super::passphrase::Passphrases;
use super::private::derive_public;
use crate::publisher::{Keyring as _, RoleKeys, RootKeys, Terms, first_root};

/// Makes `<name>.signer` and `<name>.pub` around a new P-256 key.
fn external(dir: &Path, name: &str) -> (PublicKey, PathBuf) {
    let key = dir.join(format!("{name}.key"));
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/signers/openssl-p256.sh");
    let signer = dir.join(format!("{name}.signer"));
    std::fs::write(&signer, format!("command = [{program:?}, {key:?}]\n")).unwrap();
    std::fs::set_permissions(&signer, std::fs::Permissions::from_mode(0o400)).unwrap();
    let public = derive_public(&signer, &mut Passphrases::given("unused")).unwrap();
    let file = dir.join(format!("{name}.pub"));
    std::fs::write(&file, public.to_spki_pem()).unwrap();
    (public, file)
}

#[tokio::test]
#[ignore = "needs openssl"]
async fn a_client_accepts_what_an_external_program_signed() {
    let dir = tempfile::tempdir().unwrap();
    let now = "2026-05-01T12:00:00Z".parse().unwrap();
    let (root, root_file) = external(dir.path(), "root-1");
    let (targets, targets_file) = external(dir.path(), "targets");
    assert_eq!((root.scheme(), targets.scheme()), (KeyScheme::EcdsaP256, KeyScheme::EcdsaP256));
    let files = BTreeMap::from([(root.key_id(), root_file), (targets.key_id(), targets_file)]);
    let mut keyring = FileKeyring::new(files, Passphrases::given("unused"));
    let [snapshot, timestamp, vendor] = [1, 2, 3].map(|seed| SecretKey::from_seed([seed; 32]));
    let keys = RootKeys {
        root: RoleKeys::single(root),
        targets: RoleKeys::single(targets),
        snapshot: snapshot.public().clone(),
        timestamp: timestamp.public().clone(),
    };
    let pinned = first_root(&keys, &mut keyring, &Terms::default(), now).unwrap();

    let (acme, path) = (RoleName::new("acme").unwrap(), TargetPath::new("acme/a/b").unwrap());
    let delegation = Delegation {
        role: acme.clone(),
        keys: vec![vendor.public().clone()],
        threshold: 1,
        paths: vec!["acme/*/*".to_owned()],
        terminating: true,
    };
    let expires = "2027-05-01T12:00:00Z".parse().unwrap();
    let role = RoleName::from(TopRole::Targets);
    let signers = keyring.open(&role, &keys.targets).unwrap();
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let top = build_targets(1, expires, &BTreeMap::new(), &[delegation], &signers).unwrap();
    let listed = BTreeMap::from([(path.clone(), TargetEntry::of(b"content"))]);
    let own = build_targets(1, expires, &listed, &[], &[&vendor]).unwrap();

    let mut staged = StagedRepository::new();
    staged.put_metadata(&TopRole::Root.into(), pinned.clone()).unwrap();
    staged.put_metadata(&role, top).unwrap();
    staged.put_metadata(&acme, own).unwrap();
    staged.put_target(&path, b"content".to_vec());
    let staged = staged.with_online_roles(&snapshot, &timestamp, now, Versions::default()).unwrap();
    let mut client = Client::open(&pinned, staged.as_source(), MemStore::new()).unwrap();
    client.refresh(now).await.unwrap();
    let target = client.target(&path, now).await.unwrap().unwrap();
    assert_eq!(*client.fetch_target(&target).await.unwrap(), b"content");
}
