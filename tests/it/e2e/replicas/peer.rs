//! A PostgreSQL of its own for a test, and a line to it that can be cut.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A server with an empty database; it ends with this.
#[derive(Debug)]
pub(super) struct Postgres {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    url: String,
}

impl Postgres {
    pub(super) fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/postgres.sh");
        let mut child = Command::new(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut this = Self { child, orders, answers, url: String::new() };
        this.url = this.line();
        assert!(this.url.starts_with("postgres://"), "{:?}", this.url);
        this
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    fn order(&mut self, order: &str) {
        let mut orders = self.orders.as_ref().expect("it runs");
        writeln!(orders, "{order}").expect("it listens");
        assert_eq!(self.line(), "done");
    }

    /// It ends at once, as after a power cut.
    pub(super) fn stop(&mut self) {
        self.order("stop");
    }

    /// It starts again on what it had written.
    pub(super) fn start_again(&mut self) {
        self.order("start");
    }

    /// The database.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    fn address(&self) -> SocketAddr {
        let host = self.url.rsplit('@').next().and_then(|rest| rest.split('/').next());
        host.expect("a host").parse().expect("an address")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Closes its standard input, which is the order to end.
        self.orders = None;
        drop(self.child.wait());
    }
}

/// A line to the database. Cut, it takes everything and passes nothing on: nobody hears that it is
/// cut.
#[derive(Debug)]
pub(super) struct Line {
    url: String,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Line {
    pub(super) async fn to(postgres: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (from, to) = (postgres.address(), listener.local_addr().expect("an address"));
        let url = postgres.url.replace(&from.to_string(), &to.to_string());
        let (cut, seen) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, from, seen.clone()));
            }
        });
        Self { url, cut, task }
    }

    /// The database at the end of the line.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub(super) fn mend(&self) {
        self.cut.send_replace(false);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(near: TcpStream, to: SocketAddr, cut: watch::Receiver<bool>) {
    let Ok(far) = TcpStream::connect(to).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let back = tokio::spawn(pump(far_in, near_out, cut.clone()));
    pump(near_in, far_out, cut).await;
    back.abort();
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut cut: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if cut.wait_for(|cut| !cut).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
