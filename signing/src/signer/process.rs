//! Runs a signer program once: bounded in time and output, without a shell, with almost no
//! environment.
//!
//! It stays in our process group, so that it can ask for a PIN on the terminal and ends with us.

use super::{Program, SignerError};
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Largest answer read, in bytes. An RSA-8192 signature or key takes 2 kB.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;
/// How much of standard error is kept for the error message, in bytes.
const MAX_STDERR_BYTES: u64 = 2 * 1024;
/// How often the program is looked at: a signature takes milliseconds to minutes.
const POLL: Duration = Duration::from_millis(10);

/// Variables that a program is given without asking: to find its own helpers and its settings.
const ENVIRONMENT: [&str; 2] = ["PATH", "HOME"];

/// What came out of it.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// What the readers saw until both streams ended.
struct Streams {
    stdout: io::Result<Vec<u8>>,
    stderr: String,
}

/// Starts the program, hands it `input`, and waits for its end and the end of its output.
pub(super) fn run(program: &Program, input: Vec<u8>) -> Result<Output, SignerError> {
    let failed = |source| SignerError::Run { program: program.path.clone(), source };
    let inherited =
        ENVIRONMENT.iter().copied().chain(program.environment.iter().map(String::as_str));
    let environment = inherited.filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(&program.path)
        .args(&program.arguments)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let streams = talk(&mut child, input);
    let ended = wait(program, &mut child, &streams);
    if ended.is_err() {
        // Both fail only for a child that is gone already.
        let _gone = child.kill();
        let _gone = child.wait();
    }
    ended
}

/// Feeds and reads the program on threads of their own, which end with its streams. A grandchild
/// that keeps one open keeps a thread, not the caller.
fn talk(child: &mut Child, input: Vec<u8>) -> Receiver<Streams> {
    let (sender, receiver) = mpsc::channel();
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::spawn(move || {
        // A program that does not read its input may still answer.
        let _unread = stdin.map(|mut stdin| stdin.write_all(&input));
    });
    let errors = thread::spawn(move || {
        stderr.map(|stderr| beginning(stderr, MAX_STDERR_BYTES)).unwrap_or_default()
    });
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map(|stdout| stdout.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut bytes));
        let over = u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_ANSWER_BYTES);
        let stdout = read.transpose().map(|_| bytes);
        // Whoever writes without end is not waited for.
        let stderr = if over { String::new() } else { errors.join().unwrap_or_default() };
        // Nobody listens any more once the time is over.
        let _late = sender.send(Streams { stdout, stderr });
    });
    receiver
}

/// The first bytes of a stream as text; the rest is read and dropped, so that the writer can go on.
fn beginning(mut stream: impl Read, bytes: u64) -> String {
    let mut text = Vec::new();
    // What was read until an error is what there is.
    let _cut = stream.by_ref().take(bytes).read_to_end(&mut text);
    let _cut = io::copy(&mut stream, &mut io::sink());
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn wait(
    program: &Program,
    child: &mut Child,
    streams: &Receiver<Streams>,
) -> Result<Output, SignerError> {
    let failed = |source| SignerError::Run { program: program.path.clone(), source };
    let mut seen: Option<(Vec<u8>, String)> = None;
    let mut waited = Duration::ZERO;
    while waited < program.time {
        if seen.is_some() {
            if let Some(status) = child.try_wait().map_err(failed)? {
                let (stdout, stderr) = seen.unwrap_or_default();
                return Ok(Output { status, stdout, stderr });
            }
            thread::sleep(POLL);
        } else {
            match streams.recv_timeout(POLL) {
                Ok(Streams { stdout, stderr }) => {
                    let stdout = stdout.map_err(failed)?;
                    if u64::try_from(stdout.len()).is_ok_and(|len| len > MAX_ANSWER_BYTES) {
                        let (program, limit) = (program.path.clone(), MAX_ANSWER_BYTES);
                        return Err(SignerError::TooMuch { program, limit });
                    }
                    seen = Some((stdout, stderr));
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failed(io::Error::other("the reader of its output ended")));
                }
            }
        }
        waited += POLL;
    }
    Err(SignerError::TimedOut { program: program.path.clone(), limit_s: program.time.as_secs() })
}
