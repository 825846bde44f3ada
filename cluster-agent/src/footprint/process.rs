//! This process in the kernel's words: memory and threads.

/// What the kernel says. Fields are `None` where it says nothing we can read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
    /// Resident memory, bytes.
    pub resident_bytes: Option<u64>,
    /// Its highest value so far, bytes.
    pub resident_peak_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

impl Process {
    /// This process, at this moment.
    pub fn own() -> Self {
        std::fs::read_to_string("/proc/self/status").map_or_else(|_| Self::default(), |t| parse(&t))
    }
}

fn parse(status: &str) -> Process {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let kibibytes = |name: &str| field(name)?.checked_mul(1024);
    Process {
        resident_bytes: kibibytes("VmRSS:"),
        resident_peak_bytes: kibibytes("VmHWM:"),
        threads: field("Threads:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kibibytes_are_bytes_and_what_is_missing_is_nothing() {
        let found = parse("Name:\tcluster-agent\nVmHWM:\t   14000 kB\nVmRSS:\t   13000 kB\n");
        let expected = Process {
            resident_bytes: Some(13_312_000),
            resident_peak_bytes: Some(14_336_000),
            threads: None,
        };
        assert_eq!(found, expected);
        assert_eq!(parse("VmRSS: many kB"), Process::default());
    }
}
