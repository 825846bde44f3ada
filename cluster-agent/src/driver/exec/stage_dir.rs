//! The files of one stage of one step, and what they say about it.
//!
//! | file | written by | meaning |
//! |---|---|---|
//! | `intent.*` | driver, then wrapper | a wrapper that may still claim; gone once it has, or was withdrawn |
//! | `claim` | wrapper, before the command | who runs the stage; a second name of its intent, never replaced |
//! | `log` | the command | its output; cut when it grows too long, and to its end when it is over |
//! | `exit` | wrapper, after the command | the exit code |
//! | `timed_out` | driver | the stage ran out of time and was told to end |

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::super::process::ProcessIdentity;
use super::super::{DriverError, StepStatus};
use super::{EXIT_LOST, EXIT_TIMED_OUT, LOG_KEPT_BYTES, LOG_MAX_BYTES, LOG_TAIL_BYTES};

/// Longest control file read; they hold one or two short lines.
const CONTROL_FILE_MAX_BYTES: u64 = 4096;

/// How the names of intents begin.
const INTENT_PREFIX: &str = "intent.";

/// The directory of one stage.
#[derive(Debug, Clone)]
pub(super) struct StageDir {
    path: PathBuf,
}

impl StageDir {
    /// Names the directory; touches nothing.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory, readable by its owner alone (logs may hold secrets).
    pub(super) fn create(&self) -> Result<(), DriverError> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|source| file_error("create", &self.path, source))
    }

    /// A file of its own for one wrapper: it writes there who it is, and claims the stage by giving
    /// the file the name `claim`.
    pub(super) fn intend(&self) -> Result<(PathBuf, File), DriverError> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.path.join(format!("{INTENT_PREFIX}{}", uuid::Uuid::new_v4()));
        let file = File::options().create_new(true).write(true).mode(0o600).open(&path);
        file.map(|file| (path.clone(), file)).map_err(|source| file_error("create", &path, source))
    }

    /// Gives up every wrapper that has not claimed the stage. The kernel either finds an intent and
    /// makes the claim, or does not find it: once this returns and there is no claim, no wrapper
    /// started so far will ever run the command, however long it was stalled.
    pub(super) fn withdraw(&self) -> Result<(), DriverError> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(file_error("read", &self.path, source)),
        };
        for entry in entries {
            let entry = entry.map_err(|source| file_error("read", &self.path, source))?;
            if !entry.file_name().to_string_lossy().starts_with(INTENT_PREFIX) {
                continue;
            }
            let path = entry.path();
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(file_error("remove", &path, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether some wrapper has taken the stage.
    pub(super) fn is_claimed(&self) -> bool {
        self.path.join("claim").exists()
    }

    /// Whether the stage has not ended as far as its files tell; those of one that runs must stay.
    pub(super) fn may_run(&self) -> bool {
        match (self.read("claim"), self.exit_code()) {
            (Ok(None), _) | (_, Ok(Some(_))) => false,
            (Ok(Some(claim)), _) => {
                ProcessIdentity::parse(&claim).is_some_and(|process| process.group_runs())
            }
            (Err(_), _) => true,
        }
    }

    /// How the stage stands; tells a stage that exceeded `timeout` to end, and withdraws one that
    /// was not claimed.
    pub(super) fn status(
        &self,
        timeout: Duration,
        kill_grace: Duration,
    ) -> Result<StepStatus, DriverError> {
        let mut claim = self.read("claim")?;
        if claim.is_none() {
            // Whoever is told that nothing runs may drop the step, so nothing may run later.
            self.withdraw()?;
            claim = self.read("claim")?;
        }
        let Some(claim) = claim else { return Ok(StepStatus::Absent) };
        let claim_path = self.path.join("claim");
        let process = ProcessIdentity::parse(&claim).ok_or_else(|| DriverError::Damaged {
            path: claim_path.clone(),
            why: "it does not name a process",
        })?;
        let timed_out = self.path.join("timed_out").exists();
        // The order matters: the exit code is written before the wrapper ends.
        let runs = process.group_runs();
        if let Some(exit_code) = self.exit_code()? {
            let exit_code = if timed_out { EXIT_TIMED_OUT } else { exit_code };
            return Ok(StepStatus::Finished { exit_code, log_tail: self.log_tail()? });
        }
        if !runs {
            let exit_code = if timed_out { EXIT_TIMED_OUT } else { EXIT_LOST };
            return Ok(StepStatus::Finished { exit_code, log_tail: self.log_tail()? });
        }
        self.enforce(&process, timeout, kill_grace)?;
        self.bound_log()?;
        Ok(StepStatus::Running { since: self.claimed_at(&claim_path)?, detail: None })
    }

    /// Ends whatever runs of it at once: nobody waits for it any more.
    pub(super) fn end(&self) -> Result<(), DriverError> {
        self.withdraw()?;
        let claim = self.read("claim")?;
        let process = claim.as_deref().and_then(ProcessIdentity::parse);
        match process.filter(ProcessIdentity::group_runs) {
            Some(process) => process.kill(),
            None => Ok(()),
        }
    }

    fn enforce(
        &self,
        process: &ProcessIdentity,
        timeout: Duration,
        kill_grace: Duration,
    ) -> Result<(), DriverError> {
        let Some(age) = process.age().filter(|age| *age >= timeout) else { return Ok(()) };
        let marker = self.path.join("timed_out");
        if !marker.exists() {
            File::create(&marker).map_err(|source| file_error("write", &marker, source))?;
            return process.terminate();
        }
        if age >= timeout.saturating_add(kill_grace) { process.kill() } else { Ok(()) }
    }

    fn claimed_at(&self, path: &Path) -> Result<Timestamp, DriverError> {
        let modified = fs::metadata(path)
            .and_then(|meta| meta.modified())
            .map_err(|source| file_error("read", path, source))?;
        Timestamp::try_from(modified).map_err(|_| DriverError::Damaged {
            path: self.path.join("claim"),
            why: "its modification time is out of range",
        })
    }

    fn exit_code(&self) -> Result<Option<i32>, DriverError> {
        let Some(text) = self.read("exit")? else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| DriverError::Damaged {
            path: self.path.join("exit"),
            why: "it does not hold an exit code",
        })
    }

    fn read(&self, name: &str) -> Result<Option<String>, DriverError> {
        let path = self.path.join(name);
        let mut text = String::new();
        match File::open(&path)
            .and_then(|file| file.take(CONTROL_FILE_MAX_BYTES).read_to_string(&mut text))
        {
            Ok(_) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file_error("read", &path, source)),
        }
    }

    /// The end of the log, cut to whole lines where it was cut at all.
    fn log_tail(&self) -> Result<String, DriverError> {
        let path = self.path.join("log");
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(source) => return Err(file_error("read", &path, source)),
        };
        read_tail(&mut file).map_err(|source| file_error("read", &path, source))
    }

    /// Cuts a log that grew too long; its writer appends, so it goes on from the new end.
    fn bound_log(&self) -> Result<(), DriverError> {
        let path = self.path.join("log");
        let length = fs::metadata(&path).map(|meta| meta.len()).unwrap_or_default();
        if length <= LOG_MAX_BYTES {
            return Ok(());
        }
        let file = File::options().write(true).open(&path);
        file.and_then(|file| file.set_len(0)).map_err(|source| file_error("write", &path, source))
    }

    /// Leaves only the end of a log whose stage is over.
    pub(super) fn shorten_log(&self) -> Result<(), DriverError> {
        let path = self.path.join("log");
        let length = fs::metadata(&path).map(|meta| meta.len()).unwrap_or_default();
        if length <= LOG_KEPT_BYTES {
            return Ok(());
        }
        // In place: a process that its command left behind may still append.
        let shorten = || {
            let mut file = File::options().read(true).append(true).open(&path)?;
            let tail = read_end(&mut file, LOG_KEPT_BYTES)?;
            file.set_len(0)?;
            file.write_all(&tail)
        };
        shorten().map_err(|source| file_error("write", &path, source))
    }
}

/// The last whole lines within `bound` bytes.
fn read_end(file: &mut File, bound: u64) -> io::Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(bound);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(bound).read_to_end(&mut bytes)?;
    if start > 0 {
        let cut = bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
        bytes.drain(..cut);
    }
    Ok(bytes)
}

fn read_tail(file: &mut File) -> io::Result<String> {
    let bytes = read_end(file, u64::try_from(LOG_TAIL_BYTES).unwrap_or(u64::MAX))?;
    let mut tail = String::from_utf8_lossy(&bytes).into_owned();
    while tail.len() > LOG_TAIL_BYTES {
        // Replacement characters are longer than the bytes they stand for.
        tail.pop();
    }
    Ok(tail)
}

pub(super) fn file_error(action: &'static str, path: &Path, source: io::Error) -> DriverError {
    DriverError::File { action, path: path.to_owned(), source }
}
