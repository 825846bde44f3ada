//! A whole hub on a real socket: first start, restart, one process per directory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::config::Fragments;

fn settings(dir: &Path) -> Settings {
    let text = format!("data_dir = {dir:?}\nlisten = '127.0.0.1:0'\nworkers = 1\n");
    Fragments::parse(&text).unwrap().try_into().unwrap()
}

/// Status line of a plain request.
async fn get(address: SocketAddr, path: &str, token: &str) -> String {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\n\r\n"
    );
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    answer.await.unwrap().lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_start_makes_a_token_only_its_owner_reads_and_it_outlives_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let running = Running::start(settings(&path)).await.unwrap();
    let file = path.join("admin.token");
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let told = std::fs::read_to_string(path.join("address")).unwrap();
    assert_eq!(told.trim().parse(), Ok(running.address));
    assert_eq!(get(running.address, "/api/v1/tokens", &token).await, "HTTP/1.1 200 OK");
    running.stop().await.unwrap();
    assert!(!path.join("address").exists(), "nobody listens there any more");
    // The token's file may be taken away; the hash is in the store.
    std::fs::remove_file(&file).unwrap();
    let running = Running::start(settings(&path)).await.unwrap();
    assert_eq!(get(running.address, "/api/v1/tokens", &token).await, "HTTP/1.1 200 OK");
    assert!(!file.exists(), "no second admin");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_file_left_by_a_crash_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let token = format!("fw_{}", "A".repeat(43));
    data_dir::write_private(&dir.path().join("admin.token"), &token).unwrap();
    let running = Running::start(settings(dir.path())).await.unwrap();
    assert_eq!(get(running.address, "/api/v1/tokens", &token).await, "HTTP/1.1 200 OK");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_data_directory_serves_one_hub_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = Running::start(settings(dir.path())).await.unwrap();
    let second = Running::start(settings(dir.path())).await.unwrap_err();
    assert!(matches!(second, RunError::Locked { .. }), "{second}");
    first.stop().await.unwrap();
    Running::start(settings(dir.path())).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let error = Running::start(Settings { listen, ..settings(dir.path()) }).await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to listen on {listen}"));
}

#[tokio::test]
async fn run_ends_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    run(settings(dir.path()), async {}).await.unwrap();
    assert!(!dir.path().join("address").exists());
}
