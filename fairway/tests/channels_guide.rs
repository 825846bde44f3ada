//! docs/channels.md, followed to the letter: every file is saved, every command is run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const GUIDE: &str = include_str!("../../docs/channels.md");

/// What a reader does next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Saves a file, under the name in the comment before it.
    Save { file: String, text: String },
    /// Runs commands.
    Run { line: usize, script: String },
    /// Looks for this in what the last commands printed.
    See { line: usize, text: String },
}

fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    let mut file = None;
    let mut lines = (1..).zip(GUIDE.lines());
    while let Some((line, text)) = lines.next() {
        if let Some(named) = text.strip_prefix("<!-- file: ") {
            file = named.strip_suffix(" -->").map(str::to_owned);
        }
        let Some(language) = text.strip_prefix("```") else { continue };
        let block: Vec<&str> =
            lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```").collect();
        let text = block.join("\n") + "\n";
        match (language, file.take()) {
            ("yaml" | "toml", Some(file)) => steps.push(Step::Save { file, text }),
            ("sh", None) => steps.push(Step::Run { line, script: text }),
            ("text", None) => steps.push(Step::See { line, text }),
            // For a system whose files are not here; the words are checked with all other manuals.
            ("console", None) => {}
            (other, file) => panic!("line {line}: {other} {file:?} is no step"),
        }
    }
    steps
}

/// A hub on a free port; killed when dropped.
struct Hub {
    process: Child,
    address: String,
}

impl Hub {
    fn start(dir: &Path) -> Self {
        let log = dir.join("hub.log");
        let file = fs::File::create(&log).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_fairway"))
            .args(["server", "serve", "--data-dir", "hub", "--listen", "127.0.0.1:0"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        // It looks again every 20 ms, a minute long.
        let address = (0..3_000).find_map(|_| {
            let address = fs::read_to_string(dir.join("hub/address")).ok();
            let whole = address.filter(|text| text.trim().parse::<std::net::SocketAddr>().is_ok());
            whole.or_else(|| {
                std::thread::sleep(Duration::from_millis(20));
                None
            })
        });
        let Some(address) = address else {
            panic!("the hub does not start: {}", fs::read_to_string(&log).unwrap());
        };
        let address = format!("http://{}", address.trim());
        Self { process, address }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn shell(dir: &Path, hub: &Hub, script: &str) -> Output {
    let bin = dir.join("bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    Command::new("sh")
        .args(["-eu", "-c", script])
        .current_dir(dir)
        .env("PATH", path)
        .env("FAIRWAY_SERVER", &hub.address)
        .env("FAIRWAY_TOKEN_FILE", "hub/admin.token")
        .env("FAIRWAY_PASSPHRASE", "correct horse battery staple")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Whether a line is the expected one; `…` stands for any text.
fn is_like(found: &str, expected: &str) -> bool {
    let mut rest = found;
    let mut pieces = expected.split('…');
    let begins = pieces
        .next()
        .is_some_and(|piece| rest.strip_prefix(piece).map(|after| rest = after).is_some());
    begins
        && pieces.all(|piece| match rest.find(piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
        && (rest.is_empty() || expected.ends_with('…'))
}

#[test]
fn dots_in_expected_output_stand_for_any_text_and_nothing_else_does() {
    assert!(is_like("a: 1.1.0 is stuck [code]", "a: 1.1.0 … [code]"));
    assert!(!is_like("a: 1.1.0 is stuck [code]", "a: 1.2.0 … [code]"));
    assert!(!is_like("a: 1.1.0 is stuck [code]", "a: 1.1.0 … [cod"));
    assert!(!is_like("no errors, 1 warning", "no errors"));
}

#[test]
fn every_file_and_command_of_the_guide_works_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_fairway"), dir.path().join("bin/fairway")).unwrap();
    let hub = Hub::start(dir.path());
    let (mut printed, mut ran, mut saved) = (String::new(), 0, 0);
    for step in steps() {
        match step {
            Step::Save { file, text } => {
                let path = dir.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
                saved += 1;
            }
            Step::Run { line, script } => {
                let output = shell(dir.path(), &hub, &script);
                printed =
                    [&output.stdout, &output.stderr].map(|s| String::from_utf8_lossy(s)).concat();
                assert!(output.status.success(), "docs/channels.md:{line}: {printed}");
                ran += 1;
            }
            Step::See { line, text } => {
                for expected in text.lines() {
                    assert!(
                        printed.lines().any(|found| is_like(found, expected)),
                        "docs/channels.md:{line}: {expected:?} is not in {printed:?}"
                    );
                }
            }
        }
    }
    assert!(ran >= 6 && saved >= 9, "{ran} blocks of commands, {saved} files");
    // What the page says of the result.
    let graph = shell(dir.path(), &hub, "fairway graph site --channel stable");
    let graph = channels::cincinnati::from_json(graph.stdout.trim_ascii_end()).unwrap();
    let offers = |from: &str| -> Vec<(String, Vec<String>)> {
        let from = from.parse().unwrap();
        let names = |offer: &channels::graph::Offer<'_>| {
            offer.risks.iter().map(|risk| risk.name.clone()).collect()
        };
        let offers = graph.targets_of(&from);
        offers.iter().map(|offer| (offer.to.to_string(), names(offer))).collect()
    };
    assert_eq!(offers("1.0.0"), [("1.1.0".to_owned(), vec![])], "nothing jumps over the barrier");
    let risky = ("1.2.0".to_owned(), vec!["DiskFills".to_owned()]);
    assert_eq!(offers("1.1.0"), [risky, ("1.2.1".to_owned(), vec![])], "1.2.1 has the fix");
}
