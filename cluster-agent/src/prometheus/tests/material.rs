//! Credentials on disk.

use std::path::PathBuf;

use crate::prometheus::{MaterialPaths, QueryError};

fn token(dir: &tempfile::TempDir, content: &[u8]) -> MaterialPaths {
    let path = dir.path().join("token");
    std::fs::write(&path, content).unwrap();
    MaterialPaths { token: Some(path), ..MaterialPaths::default() }
}

#[tokio::test]
async fn a_token_is_read_anew_each_time_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let paths = token(&dir, b"first\n");
    let header = paths.bearer().await.unwrap().unwrap();
    assert_eq!(header.to_str().unwrap(), "Bearer first");
    assert!(!format!("{header:?}").contains("first"));
    token(&dir, b"second");
    assert_eq!(paths.bearer().await.unwrap().unwrap().to_str().unwrap(), "Bearer second");
    assert!(MaterialPaths::default().bearer().await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_refused_without_showing_it() {
    let dir = tempfile::tempdir().unwrap();
    for (content, why) in [
        (&b" \n"[..], "it is empty"),
        (b"se\ncret", "it cannot stand in a header"),
        (b"\xff\xfe", "it is not text"),
    ] {
        let error = token(&dir, content).bearer().await.unwrap_err();
        assert!(matches!(&error, QueryError::CredentialsUnusable { why: w, .. } if *w == why));
        assert!(!error.to_string().contains("cret"));
    }
    let gone = MaterialPaths { token: Some(PathBuf::from("/nowhere/token")), ..Default::default() };
    let error = gone.bearer().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read the token /nowhere/token");
}

#[tokio::test]
async fn a_file_that_is_no_credential_by_its_size_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let error = token(&dir, &vec![b'a'; 1024 * 1024 + 1]).bearer().await.unwrap_err();
    assert!(error.to_string().ends_with("it is larger than 1 MiB"), "{error}");
}

#[tokio::test]
async fn a_private_key_does_not_reach_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert"), dir.path().join("key"));
    std::fs::write(&cert, "certificate").unwrap();
    std::fs::write(&key, "secret").unwrap();
    let paths =
        MaterialPaths { cert: Some(cert), key: Some(key.clone()), ..MaterialPaths::default() };
    let material = paths.tls().await.unwrap();
    assert_eq!(format!("{material:?}"), "TlsMaterial { ca: false, identity: true }");
    std::fs::write(&key, "another").unwrap();
    assert_ne!(paths.tls().await.unwrap(), material);
}
