//! Facts about this machine, and where programs may run on it.

use crate::performance::Machine;
use anyhow::{Context, ensure};
use std::process::{Command, Stdio};

/// Features of the processor that ciphers, codes and checksums choose by.
const FEATURES: [&str; 10] =
    ["aes", "pclmulqdq", "avx2", "avx512f", "vaes", "vpclmulqdq", "gfni", "sha_ni", "neon", "asimd"];

/// What is known about this machine.
pub(crate) fn machine() -> Machine {
    let cpu = text("/proc/cpuinfo");
    let has: Vec<&str> = field(&cpu, &["flags", "Features"]).split_whitespace().collect();
    let memory = text("/proc/meminfo");
    let kib: u64 =
        field(&memory, &["MemTotal"]).split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let release = text("/etc/os-release");
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    let load = text("/proc/loadavg");
    Machine {
        cpu: field(&cpu, &["model name", "CPU part"]).to_owned(),
        cores: cores(),
        features: FEATURES.iter().filter(|feature| has.contains(feature)).map(ToString::to_string).collect(),
        memory_mib: kib / 1024,
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        system: system.trim_matches('"').to_owned(),
        virtual_machine: has.contains(&"hypervisor"),
        load_before: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line whose key is one of `keys`.
fn field<'t>(text: &'t str, keys: &[&str]) -> &'t str {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| keys.contains(&key.trim())).map_or("unknown", |(_, value)| value.trim())
}

/// The commit of the working directory, with `+` when files differ from it.
pub(crate) fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}+") })
}

/// The cores that this program may run on.
pub(crate) fn own_cores() -> anyhow::Result<Vec<usize>> {
    let status = text("/proc/self/status");
    let list = field(&status, &["Cpus_allowed_list"]);
    core_list(list).with_context(|| format!("allowed cores are {list:?} in /proc/self/status"))
}

/// Reads `0-2,5`.
fn core_list(list: &str) -> Option<Vec<usize>> {
    let mut cores: Vec<usize> = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?);
    }
    Some(cores)
}

/// Keeps this thread, if it is the first of the program, and those it will start, on those cores.
pub(crate) fn stay_on(cores: &[usize]) -> anyhow::Result<()> {
    let cores = cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    tool("taskset", &["-cp", &cores, &std::process::id().to_string()])
}

/// Lets this program and those it starts have that many files open, as far as the system lets it.
pub(crate) fn open_files(count: u64) -> anyhow::Result<()> {
    let limits = text("/proc/self/limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut limits =
        line.unwrap_or_default().split_whitespace().map(|limit| limit.parse().unwrap_or(u64::MAX));
    let (soft, hard) = (limits.next().unwrap_or(0), limits.next().unwrap_or(0));
    if soft >= count {
        return Ok(());
    }
    let limit = format!("--nofile={count}:{}", hard.max(count));
    tool("prlimit", &["--pid", &std::process::id().to_string(), &limit])
        .with_context(|| format!("{count} open files are needed, {hard} are allowed"))
}

fn tool(name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(name).args(arguments).output().with_context(|| format!("starting {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {}: {}", arguments.join(" "), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_known() {
        let machine = machine();
        assert!(machine.cores > 0 && machine.memory_mib > 0 && machine.kernel.contains('.'));
        assert!(!own_cores().unwrap().is_empty());
        assert_eq!((core_list("0-2,5"), core_list("unknown")), (Some(vec![0, 1, 2, 5]), None));
    }

    #[test]
    fn what_is_not_allowed_is_said() {
        let said = format!("{:#}", open_files(1 << 50).unwrap_err());
        assert!(said.contains("open files are needed"), "{said}");
        assert!(format!("{:#}", stay_on(&[9999]).unwrap_err()).contains("taskset"));
    }
}
