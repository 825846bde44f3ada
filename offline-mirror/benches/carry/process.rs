//! Runs a program to its end and says what it cost, as the kernel counted.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

/// How often the kernel is asked. A finished child keeps its times until it is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Ticks per second in `/proc`, on every Linux there is.
const TICKS: f64 = 100.0;

/// What a run cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Processor time of all threads, user and system.
    pub(crate) cpu_s: f64,
    /// What of it the kernel spent, on files and sockets.
    pub(crate) system_s: f64,
    /// From start to end.
    pub(crate) wall_s: f64,
    /// Most memory that was resident.
    pub(crate) peak_kb: u64,
    /// Most bytes by which the file system below the run's folder was fuller than before.
    pub(crate) disk_bytes: u64,
}

impl Cost {
    /// Several runs as one.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            cpu_s: self.cpu_s + other.cpu_s,
            system_s: self.system_s + other.system_s,
            wall_s: self.wall_s + other.wall_s,
            peak_kb: self.peak_kb.max(other.peak_kb),
            disk_bytes: self.disk_bytes.max(other.disk_bytes),
        }
    }
}

/// Runs `command`, whose standard error goes to `log`; fails when the program does.
pub(crate) fn run(command: &mut Command, dir: &Path, log: &Path) -> anyhow::Result<Cost> {
    let stderr = std::fs::File::create(log)?;
    let free = free_bytes(dir)?;
    let begun = tokio::time::Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let mut cost = Cost::default();
    while !look(&child, &mut cost)? {
        cost.disk_bytes = cost.disk_bytes.max(free.saturating_sub(free_bytes(dir)?));
        std::thread::sleep(LOOK);
    }
    cost.wall_s = begun.elapsed().as_secs_f64();
    let status = child.wait()?;
    let said = std::fs::read_to_string(log).unwrap_or_default();
    anyhow::ensure!(status.success(), "{command:?} ended with {status}: {said}");
    Ok(cost)
}

/// Takes down what the kernel says; whether the child has ended.
fn look(child: &Child, cost: &mut Cost) -> anyhow::Result<bool> {
    let pid = child.id();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(") ").context("/proc/PID/stat has another form")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    let (user, system) = (ticks(11), ticks(12));
    cost.cpu_s = (user.unwrap_or_default() + system.unwrap_or_default()) / TICKS;
    cost.system_s = system.unwrap_or_default() / TICKS;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next()?.parse().ok());
    cost.peak_kb = cost.peak_kb.max(peak.unwrap_or_default());
    Ok(fields.first() == Some(&"Z"))
}

fn free_bytes(dir: &Path) -> anyhow::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bfree.saturating_mul(found.f_frsize))
}
