//! Facts about this machine and the working directory.

use crate::results::Machine;
use std::process::{Command, Stdio};

/// Processor features on which the implementations of ciphers, codes and checksums depend.
const FEATURES: [&str; 10] =
    ["aes", "pclmulqdq", "avx2", "avx512f", "vaes", "vpclmulqdq", "gfni", "sha_ni", "neon", "asimd"];

/// Reads the facts about this machine from /proc and /etc.
pub fn machine() -> Machine {
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

fn cores() -> usize {
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
pub fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}+") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_facts_are_read() {
        let machine = machine();
        assert!(machine.cores > 0 && machine.memory_mib > 0 && machine.kernel.contains('.'));
    }
}
