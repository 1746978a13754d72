//! The process as the kernel sees it, read from `/proc/self`: what the official client libraries
//! of Prometheus export. What cannot be read is absent.

use std::fs;

/// Clock ticks a second in `/proc` (`USER_HZ`): 100 on every architecture Rust's standard library
/// for Linux supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// One reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// User and system time, seconds.
    pub cpu_s: Option<f64>,
    /// Resident memory.
    pub resident_bytes: Option<u64>,
    /// Virtual memory.
    pub virtual_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open descriptors.
    pub open_fds: Option<u64>,
    /// Descriptors allowed; `None` also when there is no limit.
    pub max_fds: Option<u64>,
}

impl Process {
    /// Reads `/proc/self`.
    pub fn read() -> Self {
        let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        // The descriptor that lists the folder is in the list.
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(|list| (list.count() as u64).saturating_sub(1));
        Self { open_fds, ..Self::parse(&text("stat"), &text("status"), &text("limits")) }
    }

    fn parse(stat: &str, status: &str, limits: &str) -> Self {
        let max_fds = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Self {
            cpu_s: cpu_s(stat),
            resident_bytes: kib(status, "VmRSS"),
            virtual_bytes: kib(status, "VmSize"),
            threads: field(status, "Threads"),
            open_fds: None,
            max_fds: max_fds.and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
        }
    }
}

/// Memory now, resident or in swap.
pub fn used_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kib(&status, "VmRSS")?.checked_add(kib(&status, "VmSwap").unwrap_or(0))
}

/// A line of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// One in KiB, in bytes.
fn kib(status: &str, name: &str) -> Option<u64> {
    field(status, name)?.checked_mul(1024)
}

/// User and system time out of `/proc/self/stat`, fields 14 and 15; the name, in parentheses, may
/// contain anything.
fn cpu_s(stat: &str) -> Option<f64> {
    let (_name, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(user.saturating_add(system) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_name_is_no_field() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 3 4 20 0 9 0 100 5 6";
        let status = "Name:\ta b\nVmSize:\t    2000 kB\nVmRSS:\t    1000 kB\nThreads:\t9\n";
        let limits = "Limit  Soft  Hard  Units\nMax open files            1024                 4096  files\n";
        let process = Process::parse(stat, status, limits);
        let expected = Process {
            cpu_s: Some(3.0),
            resident_bytes: Some(1_024_000),
            virtual_bytes: Some(2_048_000),
            threads: Some(9),
            open_fds: None,
            max_fds: Some(1024),
        };
        assert_eq!(process, expected);
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        assert_eq!(Process::parse("", "", ""), Process::default());
        let unlimited = Process::parse("7 (a) S", "VmRSS:\tmany kB", "Max open files  unlimited  unlimited");
        assert_eq!(unlimited, Process::default());
    }
}
