//! Other operating systems and processors: what names them, and programs of other builds (PLAT).
//!
//! `KARST_OTHER_PROGRAMS` is a folder with karst-client and karst-server, or those with `.exe`, and `KARST_OTHER_RUNNER` what starts
//! them, such as `qemu-arm`; `ci/platforms.sh` sets both. Other tests of this build are not affected.
use crate::common::{
    Program, connect, echo, exchange, free_udp, sample, skipped, start_client, start_server, target,
};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

const MEBIBYTE: usize = 1 << 20;

/// Programs of another build.
struct Other {
    runner: Option<String>,
    folder: String,
    suffix: &'static str,
}

impl Other {
    fn find() -> Option<Self> {
        let Ok(folder) = std::env::var("KARST_OTHER_PROGRAMS") else {
            skipped("programs of another build", "KARST_OTHER_PROGRAMS names no folder");
            return None;
        };
        let suffix = if Path::new(&format!("{folder}/karst-client.exe")).exists() { ".exe" } else { "" };
        Some(Self { runner: std::env::var("KARST_OTHER_RUNNER").ok(), folder, suffix })
    }

    /// The command line of a program.
    fn words<'w>(&'w self, program: &'w str, words: &[&'w str]) -> Vec<&'w str> {
        self.runner.iter().map(String::as_str).chain([program]).chain(words.iter().copied()).collect()
    }

    fn path(&self, program: &str) -> String {
        format!("{}/{program}{}", self.folder, self.suffix)
    }

    fn start(&self, program: &str, words: &[&str]) -> Program {
        let path = self.path(program);
        let all = self.words(&path, words);
        Program::start(all[0], &all[1..])
    }

    fn output(&self, program: &str, words: &[&str]) -> Output {
        let path = self.path(program);
        let all = self.words(&path, words);
        Command::new(all[0]).args(&all[1..]).output().unwrap()
    }

    fn server(&self, target: SocketAddr, udp: SocketAddr, more: &[&str]) -> Program {
        let (target, udp) = (target.to_string(), udp.to_string());
        let server = self.start("karst-server", &[&["-t", &target, "-l", &udp], more].concat());
        server.wait_for("Listening on: ");
        server
    }

    fn client(&self, udp: SocketAddr, more: &[&str]) -> (Program, SocketAddr) {
        let udp = udp.to_string();
        let words = [&["-r", &udp, "-l", "127.0.0.1:0"], more].concat();
        let client = self.start("karst-client", &words);
        let log = client.wait_for("key derivation done");
        let (_, rest) = log.split_once("listening on: ").unwrap();
        let local = rest.lines().next().unwrap().trim().parse().unwrap();
        (client, local)
    }
}

/// Two streams at a time, a mebibyte in both directions each.
fn streams_arrive_whole(local: SocketAddr, what: &str) {
    let streams: Vec<_> =
        (0..2).map(|seed| thread::spawn(move || exchange(connect(local), sample(seed, MEBIBYTE)))).collect();
    for (seed, stream) in (0..).zip(streams) {
        let got = stream.join().unwrap();
        assert!(got == sample(seed, MEBIBYTE), "{what}: stream {seed}: {} bytes", got.len());
    }
}

// PLAT-2
#[test]
fn another_build_carries_streams_in_both_roles() {
    let Some(other) = Other::find() else { return };
    for flags in [&[][..], &["--mode", "auto", "--crypt", "aes-128-gcm", "--ds=4", "--ps=2", "--dscp=46"]] {
        let udp = free_udp();
        let _server = start_server(target(echo), udp, flags);
        let (_client, local) = other.client(udp, flags);
        streams_arrive_whole(local, &format!("the other client, {flags:?}"));

        let udp = free_udp();
        let _server = other.server(target(echo), udp, flags);
        let (_client, local) = start_client(udp, flags);
        streams_arrive_whole(local, &format!("the other server, {flags:?}"));
    }
}

// PLAT-2
#[test]
fn another_build_prints_its_help() {
    let Some(other) = Other::find() else { return };
    for program in ["karst-client", "karst-server"] {
        let output = other.output(program, &["--help"]);
        let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        assert!(output.status.success() && text.contains("--datashard"), "{program}: {output:?}");
    }
}

// PLAT-4
#[test]
fn a_build_without_forged_tcp_refuses_it_by_name() {
    let Some(other) = Other::find() else { return };
    if std::env::var_os("KARST_OTHER_HAS_TCP").is_some() {
        return skipped("refusal of --tcp", "the other build has forged TCP");
    }
    for (program, address) in [("karst-client", "-r"), ("karst-server", "-l")] {
        let output = other.output(program, &[address, "127.0.0.1:29900", "--tcp"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("--tcp: forged TCP is not available"), "{program}: {text}");
        assert_eq!(output.status.code(), Some(1), "{program}");
    }
}

// PLAT-1
#[test]
fn only_the_platform_module_names_operating_systems() {
    let forbidden = [
        "cfg(unix",
        "cfg(windows",
        "target_os",
        "target_env",
        "target_arch",
        "target_pointer_width",
        "libc::",
        "rustix::",
        "sd_notify::",
        "std::os::",
        "signal::unix",
        "\"/proc",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut searched) = (vec![root.clone()], 0);
    while let Some(path) = files.pop() {
        if path == root.join("platform") {
            continue;
        }
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        searched += 1;
        let text = fs::read_to_string(&path).unwrap();
        for name in forbidden {
            assert!(!text.contains(name), "{} has {name}", path.display());
        }
    }
    assert!(searched > 40);
}

/// The two layers have the same names, so that a name that only Linux has is not used.
// PLAT-1
#[test]
fn each_concern_has_both_implementations() {
    let names = |folder: &str| -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/platform").join(folder);
        let mut names: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().with_extension("").strip_prefix(&folder).unwrap().into())
            .collect();
        names.sort();
        names
    };
    let without = |mut all: Vec<PathBuf>, own: &[&str]| {
        all.retain(|name| !own.iter().any(|own| name == Path::new(own)));
        all
    };
    assert_eq!(without(names("linux"), &["watched", "segmentation"]), names("portable"));
    assert_eq!(without(names("unix"), &["profile"]), names("other"));
}
