//! The agent against a real Prometheus that scrapes a page of ours: what risks, alerts and gates
//! make of real answers, and a roll that they hold.

mod answers;
mod baselines;
mod dashboards;
mod hub;
mod roll;
mod rules;
mod tls;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::process::signal;

/// A metrics page that a test writes.
#[derive(Debug)]
struct MetricsPage {
    address: SocketAddr,
    text: Arc<Mutex<String>>,
}

impl MetricsPage {
    /// Serves `text` until the test process ends.
    fn serve(text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let text = Arc::new(Mutex::new(text.to_owned()));
        let shown = Arc::clone(&text);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // Requests of a scraper fit one read; a broken one shows as `up == 0`.
                drop(stream.read(&mut [0; 4096]));
                let body = shown.lock().expect("no writer panics").clone();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        Self { address, text }
    }

    fn show(&self, text: &str) {
        text.clone_into(&mut self.text.lock().expect("no reader panics"));
    }
}

/// A Prometheus that is stopped when the test ends.
#[derive(Debug)]
struct Server {
    child: Child,
    address: String,
    id: u32,
}

impl Server {
    /// `tests/peers/prometheus.sh`, scraping `page`, with these alerting rules.
    fn start(dir: &Path, page: &MetricsPage, rules: &str) -> Self {
        Self::scraping(dir, &[page.address.to_string()], rules)
    }

    /// The same over several pages.
    fn scraping(dir: &Path, pages: &[String], rules: &str) -> Self {
        std::fs::create_dir_all(dir).expect("a folder");
        std::fs::write(dir.join("rules.yml"), rules).expect("alerting rules");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/prometheus.sh");
        let mut child = Command::new("bash")
            .arg(script)
            .arg(dir)
            .args(pages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash runs it");
        let mut said = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut said).expect("it says where it listens");
        let (address, id) = said.trim().split_once(' ').expect("an address and a process id");
        Self { address: address.to_owned(), id: id.parse().expect("a process id"), child }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it so that it answers nothing, and breaks no connection either.
    fn freeze(&self) {
        signal(self.id, "STOP");
    }

    fn thaw(&self) {
        signal(self.id, "CONT");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // End of input tells the script to stop its server; then nothing is left to kill.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Alerts of these tests: one that always fires, and one that the page decides about.
const RULES: &str = "\
groups:
  - name: test
    rules:
      - alert: Watchdog
        expr: vector(1)
      - alert: PageAlert
        expr: page_alert == 1
        labels: { severity: critical }
";
