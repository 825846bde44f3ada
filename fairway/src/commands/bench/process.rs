//! What a process has used, as Linux tells in `/proc`.

use crate::error::{CliError, Result};

/// Clock ticks in a second, as every Linux port shows them to programs.
const TICKS_PER_S: f64 = 100.0;

/// A look at a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// Processor time since its start, in user mode and in the kernel.
    pub(super) cpu_s: f64,
    /// Resident memory in bytes.
    pub(super) resident: u64,
    /// The most it ever was.
    pub(super) peak: u64,
}

impl Usage {
    /// Looks at a process.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path)
                .map_err(|e| CliError::because(format!("failed to read {path}"), &e))
        };
        Self::parse(&read("stat")?, &read("status")?)
            .ok_or_else(|| CliError::failed(format!("process {pid} cannot be looked at")))
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The name in parentheses may hold anything; what follows the last one is numbers.
        let (_, numbers) = stat.rsplit_once(')')?;
        let mut ticks = numbers.split_whitespace().skip(11).take(2);
        let user: f64 = ticks.next()?.parse().ok()?;
        let system: f64 = ticks.next()?.parse().ok()?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        Some(Self {
            cpu_s: (user + system) / TICKS_PER_S,
            resident: kib("VmRSS:")? * 1024,
            peak: kib("VmHWM:")? * 1024,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_read_whatever_the_process_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 5 6 7";
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert_eq!((usage.resident, usage.peak), (1024 * 1024, 2048 * 1024));
        assert!((usage.cpu_s - 2.0).abs() < 1e-9);
        assert_eq!(Usage::parse("7 (a) S", status), None);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident > 0 && usage.peak >= usage.resident, "{usage:?}");
    }
}
