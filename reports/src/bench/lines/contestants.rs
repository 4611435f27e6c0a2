//! Who is measured over lines.

use crate::bench::peer::Peer;
use crate::performance::DIRECT;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Somebody who carries the load.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    /// Client and server; none for kernel TCP.
    programs: Option<[PathBuf; 2]>,
    /// What client and server are told.
    pub(super) settings: [Value; 2],
    /// The payload goes up instead of down, over the line turned round.
    pub(super) upload: bool,
    only: Option<Only>,
}

/// Where somebody is not measured at all places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    /// On the lines of files.
    Files,
    /// Along curves.
    Curves,
}

/// Everybody for whom there are programs.
pub(super) fn contestants(peers: &[Peer]) -> Vec<Contestant> {
    let pair = |client: &str, server: &str| {
        let find = |name: &str| peers.iter().find(|peer| peer.name == name);
        Some([find(client)?.client.clone(), find(server)?.server.clone()])
    };
    let auto = || json!({ "mode": "auto" });
    let fixed = |mode: &str| json!({ "mode": mode, "sndwnd": 1024, "rcvwnd": 2048 });
    // What waits behind losses on a fast line counts against the receiver's window, and against its buffer for a stream.
    let roomy = || json!({ "mode": "fast2", "rcvwnd": 8192, "smuxbuf": 16_777_216, "streambuf": 8_388_608 });
    let alike = |name: &'static str, programs: &str, settings: Value| {
        tunnel(name, pair(programs, programs), [settings.clone(), settings])
    };
    let to_go = |name, programs, settings, upload| {
        tunnel(name, programs, settings).map(|contestant| Contestant {
            upload,
            only: Some(Only::Files),
            ..contestant
        })
    };
    let mode = |mode| {
        let alike = alike(mode, "karst", fixed(mode));
        alike.map(|contestant| Contestant { only: Some(Only::Curves), ..contestant })
    };
    let found = [
        alike("auto", "karst", auto()),
        Some(tcp("tcp-bbr")),
        Some(tcp("tcp-cubic")),
        alike("go-fast3", "go", fixed("fast3")),
        alike("go-fast2", "go", fixed("fast2")),
        mode("fast3"),
        mode("fast2"),
        mode("fast"),
        mode("normal"),
        to_go("auto-to-go-down", pair("go", "karst"), [roomy(), auto()], false),
        to_go("auto-to-go-up", pair("karst", "go"), [auto(), roomy()], true),
    ];
    found.into_iter().flatten().collect()
}

fn tunnel(name: &'static str, programs: Option<[PathBuf; 2]>, settings: [Value; 2]) -> Option<Contestant> {
    let programs = Some(programs?);
    Some(Contestant { name, programs, settings, upload: false, only: None })
}

fn tcp(name: &'static str) -> Contestant {
    Contestant { name, programs: None, settings: [json!({}), json!({})], upload: false, only: None }
}

/// Whether an error says that the system does not have the congestion control.
pub(super) fn is_missing(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("congestion control ")
}

impl Contestant {
    /// Whether it is measured on the lines of files, or along curves.
    pub(super) fn is_measured(&self, on_files: bool) -> bool {
        self.only.is_none_or(|only| (only == Only::Files) == on_files)
    }

    /// For `karst-interop netns`.
    pub(super) fn flags(&self) -> Vec<String> {
        let none = || "none".to_owned();
        let [tcp, peer] = [self.control().unwrap_or_else(none), self.peer().unwrap_or_else(none)];
        vec!["--tcp".to_owned(), tcp, "--peer".to_owned(), peer]
    }

    /// The congestion control of kernel TCP.
    pub(super) fn control(&self) -> Option<String> {
        let name = self.name.trim_start_matches(DIRECT);
        self.programs.is_none().then(|| name.to_owned())
    }

    /// The programs as `NAME=CLIENT,SERVER`.
    pub(super) fn peer(&self) -> Option<String> {
        let [client, server] = self.programs.as_ref()?;
        Some(format!("{}={},{}", self.name, client.display(), server.display()))
    }

    /// The programs as they are told apart, without addresses and what all have in common.
    pub(super) fn commands(&self) -> Vec<String> {
        let Some(programs) = &self.programs else { return Vec::new() };
        let nothing = Map::new();
        let said = programs.iter().zip(&self.settings).map(|(program, settings)| {
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let settings = settings.as_object().unwrap_or(&nothing).iter();
            let flags =
                settings.map(|(key, value)| format!(" --{key} {}", value.to_string().trim_matches('"')));
            name + &flags.collect::<String>()
        });
        said.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> Peer {
        let [client, server] = ["client", "server"].map(|role| PathBuf::from(format!("bin/{name}-{role}")));
        Peer { name: name.into(), client, server, extra: Vec::new() }
    }

    #[test]
    fn who_has_no_programs_is_left_out() {
        let names = |peers: &[Peer]| {
            contestants(peers).iter().map(|contestant| contestant.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&[]), "tcp-bbr tcp-cubic");
        assert_eq!(names(&[peer("karst")]), "auto tcp-bbr tcp-cubic fast3 fast2 fast normal");
        assert_eq!(contestants(&[peer("karst"), peer("go")]).len(), 11);
    }

    #[test]
    fn kcptun_is_never_told_of_a_mode_it_does_not_know() {
        for contestant in contestants(&[peer("karst"), peer("go")]) {
            let commands = contestant.commands();
            let wrong = |command: &&String| command.starts_with("go-") && command.contains("auto");
            assert_eq!(commands.iter().find(wrong), None);
            assert_eq!(commands.len(), if contestant.name.starts_with("tcp-") { 0 } else { 2 });
        }
        let all = contestants(&[peer("karst"), peer("go")]);
        let up = all.iter().find(|contestant| contestant.upload).unwrap();
        assert_eq!(
            up.commands(),
            [
                "karst-client --mode auto",
                "go-server --mode fast2 --rcvwnd 8192 --smuxbuf 16777216 --streambuf 8388608"
            ]
        );
        assert_eq!(up.flags(), ["--tcp", "none", "--peer", "auto-to-go-up=bin/karst-client,bin/go-server"]);
        assert_eq!(all[1].flags(), ["--tcp", "bbr", "--peer", "none"]);
    }
}
