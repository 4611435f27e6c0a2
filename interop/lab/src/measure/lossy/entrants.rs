//! The contestants on lossy paths.

use crate::contest::Contestant;
use crate::peers::{Found, Peer};
use serde_json::{Map, Value, json};
use sim::Direction;
use std::path::PathBuf;

/// A contestant, its settings, and the paths on which it is measured.
pub(super) struct Entrant {
    pub(super) name: &'static str,
    pub(super) contestant: Contestant,
    /// The sections `client` and `server` of the scenario.
    pub(super) settings: [Value; 2],
    /// Whether the payload goes up, over the reversed path.
    pub(super) upload: bool,
    only: Option<Only>,
}

/// The paths to which a contestant is restricted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    /// The paths of files.
    Files,
    /// The points of curves.
    Curves,
}

/// Every contestant whose programs were found.
pub(super) fn entrants(found: &Found) -> Vec<Entrant> {
    let pair = |client: &str, server: &str| {
        Some([found.named(client)?.client.clone(), found.named(server)?.server.clone()])
    };
    let auto = || json!({ "mode": "auto" });
    let fixed = |mode: &str| json!({ "mode": mode, "sndwnd": 1024, "rcvwnd": 2048 });
    // Data that waits behind a loss counts against the receive window and the stream buffer; the defaults are too small for a fast path.
    let roomy = || json!({ "mode": "fast2", "rcvwnd": 8192, "smuxbuf": 16_777_216, "streambuf": 8_388_608 });
    let alike = |name: &'static str, programs: &str, settings: Value| {
        tunnel(name, pair(programs, programs), [settings.clone(), settings])
    };
    let to_go = |name, programs, settings, upload| {
        tunnel(name, programs, settings).map(|entrant| Entrant { upload, only: Some(Only::Files), ..entrant })
    };
    let mode = |mode| {
        let alike = alike(mode, "karst", fixed(mode));
        alike.map(|entrant| Entrant { only: Some(Only::Curves), ..entrant })
    };
    let found = [
        alike("auto", "karst", auto()),
        Some(tcp("tcp-bbr", "bbr")),
        Some(tcp("tcp-cubic", "cubic")),
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

fn tunnel(name: &'static str, programs: Option<[PathBuf; 2]>, settings: [Value; 2]) -> Option<Entrant> {
    let [client, server] = programs?;
    let contestant = Contestant::Tunnel(Peer { name: name.to_owned(), client, server, extra: Vec::new() });
    Some(Entrant { name, contestant, settings, upload: false, only: None })
}

fn tcp(name: &'static str, control: &str) -> Entrant {
    let contestant = Contestant::Tcp(control.to_owned());
    Entrant { name, contestant, settings: [json!({}), json!({})], upload: false, only: None }
}

/// Whether the error states that the kernel lacks the congestion control.
pub(super) fn is_missing(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("congestion control ")
}

impl Entrant {
    /// Whether the contestant is measured on the paths of files (or along curves).
    pub(super) fn is_measured(&self, on_files: bool) -> bool {
        self.only.is_none_or(|only| (only == Only::Files) == on_files)
    }

    /// The direction of the payload.
    pub(super) const fn direction(&self) -> Direction {
        if self.upload { Direction::Up } else { Direction::Down }
    }

    /// Command lines without addresses and common flags.
    pub(super) fn commands(&self) -> Vec<String> {
        let Contestant::Tunnel(peer) = &self.contestant else { return Vec::new() };
        let nothing = Map::new();
        let commands =
            [&peer.client, &peer.server].into_iter().zip(&self.settings).map(|(program, settings)| {
                let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let settings = settings.as_object().unwrap_or(&nothing).iter();
                let flags =
                    settings.map(|(key, value)| format!(" --{key} {}", value.to_string().trim_matches('"')));
                name + &flags.collect::<String>()
            });
        commands.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Found {
        let peer = |name: &&str| {
            let [client, server] =
                ["client", "server"].map(|role| PathBuf::from(format!("bin/{name}-{role}")));
            Peer { name: (*name).to_owned(), client, server, extra: Vec::new() }
        };
        Found { peers: names.iter().map(peer).collect(), missing: Vec::new() }
    }

    #[test]
    fn contestants_without_programs_are_left_out() {
        let names =
            |found: &Found| entrants(found).iter().map(|entrant| entrant.name).collect::<Vec<_>>().join(" ");
        assert_eq!(names(&found(&[])), "tcp-bbr tcp-cubic");
        assert_eq!(names(&found(&["karst"])), "auto tcp-bbr tcp-cubic fast3 fast2 fast normal");
        assert_eq!(entrants(&found(&["karst", "go"])).len(), 11);
    }

    #[test]
    fn kcptun_gets_no_mode_that_it_lacks() {
        let all = entrants(&found(&["karst", "go"]));
        for entrant in &all {
            let commands = entrant.commands();
            let wrong = |command: &&String| command.starts_with("go-") && command.contains("auto");
            assert_eq!(commands.iter().find(wrong), None);
            assert_eq!(commands.len(), if entrant.name.starts_with("tcp-") { 0 } else { 2 });
            assert_eq!(entrant.contestant.name(), entrant.name);
        }
        let up = all.iter().find(|entrant| entrant.upload).unwrap();
        assert_eq!(
            up.commands(),
            [
                "karst-client --mode auto",
                "go-server --mode fast2 --rcvwnd 8192 --smuxbuf 16777216 --streambuf 8388608"
            ]
        );
    }
}
