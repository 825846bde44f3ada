//! A chromium that does what a test says: `tests/peers/browser.mjs`, one JSON object per line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What a person looks at the pages with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Screen {
    width: u32,
    height: u32,
    scheme: &'static str,
    script: bool,
}

impl Screen {
    /// A desk.
    pub(super) const WIDE: Self = Self { width: 1280, height: 900, scheme: "light", script: true };
    /// The narrowest phone that is promised.
    pub(super) const PHONE: Self = Self { width: 360, height: 740, scheme: "light", script: true };

    /// All that a page must be fit for, by name.
    pub(super) const EVERY: [(&str, Self); 4] = [
        ("wide", Self::WIDE),
        ("wide-dark", Self::WIDE.dark()),
        ("phone", Self::PHONE),
        ("phone-dark", Self::PHONE.dark()),
    ];

    /// The same at night.
    pub(super) const fn dark(self) -> Self {
        Self { scheme: "dark", ..self }
    }

    /// The same with JavaScript switched off.
    pub(super) fn without_script(self) -> Self {
        Self { script: false, ..self }
    }

    pub(super) fn has_script(self) -> bool {
        self.script
    }
}

impl std::fmt::Display for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let script = if self.script { "" } else { ", no script" };
        write!(f, "[{} {}{script}]", self.width, self.scheme)
    }
}

/// Where a browser is after it went somewhere.
#[derive(Debug, Deserialize)]
pub(super) struct Arrived {
    pub(super) status: u16,
    pub(super) url: String,
}

/// What a page weighs.
#[derive(Debug, Deserialize)]
pub(super) struct Weight {
    /// Everything that was transferred for it, with headers.
    pub(super) bytes: u64,
    /// The document alone.
    pub(super) document: u64,
    /// From the end of the request for the document to the first byte of the answer.
    pub(super) server_ms: f64,
}

/// A browser with one page; ends with this.
#[derive(Debug)]
pub(super) struct Browser {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// A file of `tests/peers`.
pub(super) fn peers(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

impl Browser {
    /// Starts it; nothing is open yet.
    pub(super) fn start() -> Self {
        let installed = Command::new(peers("install.sh")).arg("browser").output().expect("bash");
        let why = String::from_utf8_lossy(&installed.stderr);
        assert!(installed.status.success(), "no browser is installed: {why}");
        let folder = String::from_utf8(installed.stdout).expect("a utf-8 path");
        let mut child = Command::new("node")
            .arg(peers("browser.mjs"))
            .arg(folder.trim())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, orders, answers }
    }

    fn try_ask(&mut self, order: &Value) -> Result<Value, String> {
        let mut orders = self.orders.as_ref().expect("it runs");
        writeln!(orders, "{order}").map_err(|error| format!("the driver ended: {error}"))?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| error.to_string())?;
        let answer: Value =
            serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
            None => Ok(answer["ok"].clone()),
        }
    }

    fn ask<T: DeserializeOwned>(&mut self, order: &Value) -> T {
        match self.try_ask(order) {
            Ok(answer) => serde_json::from_value(answer).expect("the answer of this verb"),
            Err(error) => {
                let at = self.try_ask(&json!({"do": "url"})).unwrap_or_default();
                let complaints = self.try_ask(&json!({"do": "complaints"})).unwrap_or_default();
                panic!("{order} at {at}: {error}\n{complaints:#}");
            }
        }
    }

    /// A fresh profile.
    pub(super) fn open(&mut self, screen: Screen) {
        let Screen { width, height, scheme, script } = screen;
        self.ask::<()>(&json!({
            "do": "open", "width": width, "height": height, "scheme": scheme, "script": script,
        }));
    }

    /// Goes to an address.
    pub(super) fn goto(&mut self, url: &str) -> Arrived {
        self.ask(&json!({"do": "goto", "url": url}))
    }

    /// Clicks on what leads to another document, and waits for that.
    pub(super) fn follow(&mut self, at: &str) -> Arrived {
        self.ask(&json!({"do": "submit", "at": at}))
    }

    /// The same with the keyboard.
    pub(super) fn enter(&mut self, at: &str) -> Arrived {
        self.ask(&json!({"do": "enter", "at": at}))
    }

    /// Clicks on something that stays on the page.
    pub(super) fn click(&mut self, at: &str) {
        self.ask::<()>(&json!({"do": "click", "at": at}));
    }

    /// Clicks on a link to a file; its text.
    pub(super) fn download(&mut self, at: &str) -> String {
        self.ask(&json!({"do": "download", "at": at}))
    }

    pub(super) fn fill(&mut self, at: &str, value: &str) {
        self.ask::<()>(&json!({"do": "fill", "at": at, "value": value}));
    }

    /// The text of what stands there, as it is shown.
    pub(super) fn text(&mut self, at: &str) -> String {
        self.ask(&json!({"do": "text", "at": at}))
    }

    /// An attribute of everything that is there; nothing for those without it.
    pub(super) fn attributes(&mut self, at: &str, name: &str) -> Vec<Option<String>> {
        self.ask(&json!({"do": "attributes", "at": at, "name": name}))
    }

    /// Addresses of all links there.
    pub(super) fn links(&mut self, at: &str) -> Vec<String> {
        self.attributes(at, "href").into_iter().flatten().collect()
    }

    pub(super) fn count(&mut self, at: &str) -> usize {
        self.ask(&json!({"do": "count", "at": at}))
    }

    /// Waits until something there holds the text.
    pub(super) fn wait(&mut self, at: &str, holds: &str) {
        self.ask::<()>(&json!({"do": "wait", "at": at, "holds": holds}));
    }

    /// Where the keyboard goes and nobody sees it, in so many steps.
    pub(super) fn tabs(&mut self, most: u32) -> Vec<String> {
        self.ask(&json!({"do": "tabs", "most": most}))
    }

    /// Opens everything that is folded away.
    pub(super) fn unfold(&mut self) {
        self.ask::<()>(&json!({"do": "unfold"}));
    }

    /// Serious and critical findings of axe.
    pub(super) fn axe(&mut self) -> Vec<String> {
        self.ask(&json!({"do": "axe"}))
    }

    /// What makes the page scroll sideways.
    pub(super) fn wide(&mut self) -> Vec<String> {
        self.ask(&json!({"do": "wide"}))
    }

    /// Errors of scripts, violations of the policy, and files that did not come, since last asked.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        self.ask(&json!({"do": "complaints"}))
    }

    /// Keeps a picture of the whole page.
    pub(super) fn picture(&mut self, file: &Path) {
        self.ask::<()>(&json!({"do": "screenshot", "file": file, "whole": true}));
    }

    pub(super) fn weight(&mut self) -> Weight {
        self.ask(&json!({"do": "weight"}))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closes its standard input, which is the order to end.
        self.orders = None;
        drop(self.child.wait());
    }
}
