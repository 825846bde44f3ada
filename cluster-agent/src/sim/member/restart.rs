//! Restarting a member, as an operator's `mutate` command would.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::files::{Files, file_error};
use super::{MemberError, RestartArgs};
use crate::driver::process::ProcessIdentity;

/// Writes the version, tells the running process to end, and starts a new one in the way the old
/// one was started. Returns at once; the new process waits for the address to become free.
pub fn restart(args: &RestartArgs) -> Result<(), MemberError> {
    let files = Files::open(&args.dir, &format!("restart-{}", std::process::id()))?;
    let command = files.command(&args.unit)?;
    let record = files.process(&args.unit)?;
    files.set_version(&args.unit, &args.version)?;
    if let Some(process) = ProcessIdentity::parse(&record) {
        process
            .terminate_alone()
            .map_err(|source| MemberError::Terminate { unit: args.unit.clone(), source })?;
    }
    let path = files.log_file(&args.unit);
    let log = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|source| file_error("write", &path, source))?;
    Command::new(&command.program)
        .args(&command.arguments)
        .current_dir(&command.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(|source| file_error("start", &command.program, source))?;
    Ok(())
}
