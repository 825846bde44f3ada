//! Independent TUF implementations: python-tuf and tuf-js read what our hub serves, our client
//! reads what python-tuf wrote, and securesystemslib's canonical JSON is held against ours.
//!
//! `tests/peers/install.sh` installs them below the home directory at pinned versions; without a
//! package registry these tests cannot run and are left out by name (`python_tuf`, `tuf_js`).

mod canonical;
mod hub;
mod python_wrote;
mod schemathesis;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use signing::source::HttpLimits;
use signing::{HttpSource, TargetPath};

/// A file of `tests/peers`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// What `tests/peers/install.sh` prints for `what`: an interpreter or a folder.
fn installed(what: &str) -> PathBuf {
    let output = Command::new(script("install.sh")).arg(what).output().expect("bash runs it");
    let (said, why) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what} is not installed: {why}");
    said.trim().into()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a Python script of ours to its end.
fn python(name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(installed("python"));
    // File names and output are UTF-8 whatever the locale of whoever runs the tests.
    command.env("PYTHONUTF8", "1").arg(script(name)).args(arguments);
    command.output().expect("python starts")
}

/// Python's own web server over a folder; ends when dropped.
#[derive(Debug)]
struct WebServer {
    child: Child,
    url: String,
}

impl WebServer {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
            .env("PYTHONUTF8", "1")
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python starts");
        let mut said = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut said).expect("it says where it listens");
        let url = said.split(['(', ')']).nth(1).expect("a URL in brackets");
        Self { url: url.trim_end_matches('/').to_owned(), child }
    }

    fn source(&self) -> HttpSource {
        http_source(&self.url)
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn http_source(base: &str) -> HttpSource {
    HttpSource::new(base, HttpLimits::default()).expect("a source")
}

fn target(path: &str) -> TargetPath {
    TargetPath::new(path).expect("a target path")
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (source, aim) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &aim);
        } else {
            std::fs::copy(&source, &aim).expect("a copy");
        }
    }
}

/// Changes one file in place.
fn alter(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let before = bytes.clone();
    change(&mut bytes);
    assert_ne!(bytes, before, "{} was not altered", path.display());
    std::fs::write(path, bytes).expect("it is written");
}

/// Puts metadata's expiry a hundred years off. The file stays well-formed and as long as it was,
/// so nothing but a hash or a signature can tell.
fn postpone(bytes: &mut [u8]) {
    let member = b"\"expires\"";
    let at = bytes.windows(member.len()).position(|window| window == member).expect("an expiry");
    let year = bytes[at..].windows(2).position(|window| window == b"20").expect("a year");
    bytes[at + year + 1] = b'1';
}

/// Flips a bit of the first byte.
fn flip(bytes: &mut [u8]) {
    bytes[0] ^= 1;
}
