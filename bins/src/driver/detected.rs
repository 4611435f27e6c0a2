//! Log lines about a server whose smux version or compression differs (CLI-100).

use crate::config::Given;
use engine::Verdict;
use engine::client::{self, StreamFormat};
use std::net::SocketAddr;

/// Which values the user gave.
pub(super) fn given(given: &Given) -> client::Given {
    client::Given { smux_version: given.has("smuxver"), compress: given.has("nocomp") }
}

/// The line about a verdict, unless the server has what this side has.
pub(super) fn line(server: SocketAddr, own: StreamFormat, verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::Accepted(found) if found == own => None,
        Verdict::Accepted(found) => {
            let (theirs, ours) = difference(found, own);
            Some(format!(
                "detected: {server} has {theirs}, the default here is {ours}: continuing with {theirs}"
            ))
        }
        Verdict::Conflict(found) => {
            let (theirs, ours) = difference(found, own);
            Some(format!("mismatch: {server} has {theirs}, but this side has {ours}: make them equal"))
        }
        // The end of the session named it.
        Verdict::Pads => None,
        _ => Some(format!(
            "{server} ends every session at its first frame, with --smuxver 1 and 2, with and without --nocomp: is it a kcptun server? Those of 2016 need --compat 2016"
        )),
    }
}

/// The options of a format.
pub(super) fn options(format: StreamFormat) -> String {
    format!("--smuxver {}{}", format.smux_version, if format.compress { "" } else { " --nocomp" })
}

/// The options that differ, as the server has them and as this side has them.
fn difference(found: StreamFormat, own: StreamFormat) -> (String, String) {
    let compression = |compress| if compress { "no --nocomp".to_owned() } else { "--nocomp".to_owned() };
    let version = |format: StreamFormat| format!("--smuxver {}", format.smux_version);
    let differs = [found.smux_version != own.smux_version, found.compress != own.compress];
    let options = |format: StreamFormat| {
        let options = [version(format), compression(format.compress)];
        let differing = options.into_iter().zip(differs).filter(|(_, differs)| *differs);
        differing.map(|(option, _)| option).collect::<Vec<_>>().join(" and ")
    };
    (options(found), options(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-100
    #[test]
    fn only_what_differs_is_named() {
        let server = SocketAddr::from(([192, 0, 2, 1], 29_900));
        let own = StreamFormat { smux_version: 2, compress: true };
        let found = |smux_version, compress| StreamFormat { smux_version, compress };
        let text = |verdict| line(server, own, verdict);
        assert_eq!(text(Verdict::Accepted(own)), None);
        assert_eq!(
            text(Verdict::Accepted(found(1, false))).unwrap(),
            "detected: 192.0.2.1:29900 has --smuxver 1 and --nocomp, the default here is --smuxver 2 and no --nocomp: \
             continuing with --smuxver 1 and --nocomp"
        );
        assert_eq!(
            text(Verdict::Conflict(found(1, true))).unwrap(),
            "mismatch: 192.0.2.1:29900 has --smuxver 1, but this side has --smuxver 2: make them equal"
        );
        assert!(text(Verdict::Rejected).unwrap().contains("is it a kcptun server?"));
    }
}
