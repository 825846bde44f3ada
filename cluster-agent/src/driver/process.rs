//! Reading `/proc`: who is a process, does it still run, and for how long has it.
//!
//! A process id alone names nothing, because ids are used again. Id, start time and boot id
//! together name one process for ever.

use std::fs;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::DriverError;

/// Ticks per second in `/proc/<pid>/stat`. Linux fixes `USER_HZ` at 100 on every architecture that
/// runs Kubernetes or Kafka.
const TICKS_PER_S: u64 = 100;

/// One process, for ever; the wrapper is started as the leader of its own process group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessIdentity {
    boot: String,
    pid: i32,
    start_ticks: u64,
}

/// What `/proc/<pid>/stat` says.
struct Stat {
    pid: i32,
    state: char,
    start_ticks: u64,
}

impl ProcessIdentity {
    /// Reads what the wrapper recorded: the boot id, then the line of `/proc/<pid>/stat`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let boot = lines.next().filter(|line| !line.is_empty())?.to_owned();
        let stat = parse_stat(lines.next()?)?;
        Some(Self { boot, pid: stat.pid, start_ticks: stat.start_ticks })
    }

    /// Whether any process of the group still runs.
    ///
    /// While a group has members its id is not given to a new process, so a process of that id with
    /// another start time proves that the group is gone.
    pub(crate) fn group_runs(&self) -> bool {
        if boot_id().as_deref() != Some(self.boot.as_str()) {
            return false;
        }
        match stat_of(self.pid) {
            Some(stat) if stat.start_ticks != self.start_ticks => false,
            Some(stat) if stat.state != 'Z' && stat.state != 'X' => true,
            Some(_) | None => group_has_running_member(self.pid),
        }
    }

    /// How long ago it started, by the monotonic clock; `None` if it ran before this boot.
    pub(crate) fn age(&self) -> Option<Duration> {
        if boot_id().as_deref() != Some(self.boot.as_str()) {
            return None;
        }
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let uptime_s: f64 = uptime.split(' ').next()?.parse().ok()?;
        let uptime = Duration::try_from_secs_f64(uptime_s).ok()?;
        let hundredths = u32::try_from(self.start_ticks % TICKS_PER_S).ok()?;
        let started = Duration::from_secs(self.start_ticks / TICKS_PER_S)
            + Duration::from_millis(10) * hundredths;
        Some(uptime.saturating_sub(started))
    }

    /// Asks this process alone to end (`SIGTERM`); does nothing if it has ended.
    pub(crate) fn terminate_alone(&self) -> Result<(), DriverError> {
        let same_boot = boot_id().as_deref() == Some(self.boot.as_str());
        let runs = stat_of(self.pid).is_some_and(|stat| stat.start_ticks == self.start_ticks);
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| same_boot && runs) else {
            return Ok(());
        };
        match rustix::process::kill_process(pid, Signal::TERM) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(DriverError::Kill { group: self.pid, source: errno.into() }),
        }
    }

    /// Asks the whole group to end (`SIGTERM`).
    pub(crate) fn terminate(&self) -> Result<(), DriverError> {
        signal_group(self.pid, Signal::TERM)
    }

    /// Ends the whole group (`SIGKILL`).
    pub(crate) fn kill(&self) -> Result<(), DriverError> {
        signal_group(self.pid, Signal::KILL)
    }
}

/// What the wrapper records of itself, for this process.
pub(crate) fn record_of_self() -> Option<String> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    Some(format!("{}\n{stat}", boot_id()?))
}

/// Ends the group (`SIGKILL`) of a child that leads one and has not been waited for.
pub(crate) fn kill_group_of(child: u32) -> Result<(), DriverError> {
    i32::try_from(child).map_or(Ok(()), |group| signal_group(group, Signal::KILL))
}

fn signal_group(group: i32, signal: Signal) -> Result<(), DriverError> {
    let Some(pid) = Pid::from_raw(group) else { return Ok(()) };
    match rustix::process::kill_process_group(pid, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(DriverError::Kill { group, source: errno.into() }),
    }
}

/// Zombies do not count: they run nothing, and whoever must collect them may be gone.
fn group_has_running_member(group: i32) -> bool {
    let Some(pid) = Pid::from_raw(group) else { return false };
    if rustix::process::test_kill_process_group(pid) == Err(Errno::SRCH) {
        return false;
    }
    let Ok(entries) = fs::read_dir("/proc") else { return true };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter_map(|line| {
            let (_, rest) = line.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            let state = fields.next()?.chars().next()?;
            let member_of: i32 = fields.nth(1)?.parse().ok()?;
            Some((state, member_of))
        })
        .any(|(state, member_of)| member_of == group && state != 'Z' && state != 'X')
}

fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

fn stat_of(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command name stands in parentheses and may hold anything, so fields count from the last `)`.
fn parse_stat(line: &str) -> Option<Stat> {
    let pid = line.split(' ').next()?.parse().ok()?;
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let state = fields.first()?.chars().next()?;
    // `starttime` is field 22 of proc(5); `rest` begins with field 3.
    let start_ticks = fields.get(19)?.parse().ok()?;
    Some(Stat { pid, state, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_full_of_parentheses_does_not_shift_the_fields() {
        let line = "42 (a) b (c) d) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.pid, stat.state, stat.start_ticks), (42, 'S', 777));
    }

    #[test]
    fn this_process_runs_and_a_process_of_another_boot_does_not() {
        let pid = std::process::id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let other = format!("00000000-0000-0000-0000-000000000000\n{stat}");
        let other = ProcessIdentity::parse(&other).unwrap();
        assert!(!other.group_runs());
        assert_eq!(other.age(), None);

        let mine = ProcessIdentity::parse(&format!("{}\n{stat}", boot_id().unwrap())).unwrap();
        assert!(mine.group_runs());
        assert!(mine.age().is_some());
        let recycled = ProcessIdentity { start_ticks: mine.start_ticks + 1, ..mine };
        assert!(!recycled.group_runs());
    }
}
