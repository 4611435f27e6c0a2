//! What every process exports to Prometheus: the standard metrics of client libraries, read from proc(5).

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};
use std::fs;

/// The resources of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Process {
    /// Processor time, user and system.
    cpu_s: f64,
    /// Start of the process, seconds since 1970.
    started_s: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    open_files: u64,
    /// `None` without a limit.
    files_max: Option<u64>,
}

impl Process {
    /// The values of the moment; 0 where the system does not report them.
    pub(crate) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let (cpu_ticks, start_ticks, virtual_bytes) = times_of(&text("/proc/self/stat")).unwrap_or_default();
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second().max(1) as f64;
        Self {
            cpu_s: seconds(cpu_ticks),
            started_s: booted_s(&text("/proc/stat")) as f64 + seconds(start_ticks),
            resident_bytes: memory_bytes(),
            virtual_bytes,
            open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
            files_max: getrlimit(Resource::Nofile).current,
        }
    }

    /// Name, help, value.
    pub(crate) fn metrics(&self) -> [(&'static str, &'static str, f64); 6] {
        let files_max = self.files_max.map_or(f64::INFINITY, |max| max as f64);
        [
            ("process_resident_memory_bytes", "Resident memory.", self.resident_bytes as f64),
            ("process_cpu_seconds_total", "Processor time, user and system.", self.cpu_s),
            ("process_start_time_seconds", "Start of the process, seconds since 1970.", self.started_s),
            ("process_virtual_memory_bytes", "Virtual memory.", self.virtual_bytes as f64),
            ("process_open_fds", "Open file descriptors.", self.open_files as f64),
            ("process_max_fds", "Limit of open file descriptors.", files_max),
        ]
    }
}

/// Resident memory of this process, 0 where the system does not tell.
pub(crate) fn memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

/// A number below /proc/sys, where the system has it.
pub(crate) fn kernel_setting(key: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/{key}")).ok()?.trim().parse().ok()
}

/// Processor time and start in clock ticks, and virtual memory in bytes, of a /proc/PID/stat. The name of the program, in
/// parentheses, may contain anything.
fn times_of(stat: &str) -> Option<(u64, u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The first field here is the third of the manual, `state`.
    let number = |place: usize| fields.get(place - 3)?.parse::<u64>().ok();
    Some((number(14)? + number(15)?, number(22)?, number(23)?))
}

/// When the machine was booted, of /proc/stat, seconds since 1970.
fn booted_s(stat: &str) -> u64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-94
    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 11 12 13 14 150 60 1 2 20 0 3 0 4242 99000 700 18446744073709551615";
        assert_eq!(times_of(stat), Some((210, 4242, 99_000)));
        assert_eq!(times_of("7 (a) S 1"), None);
        assert_eq!(booted_s("cpu 1 2\nbtime 1700000000\nprocesses 5\n"), 1_700_000_000);
    }
}
