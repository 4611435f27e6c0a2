//! `probe`: finds the known faults of kcptun, none in karst, and judges a peer that answers nothing.

use engine::crypt::Cipher;
use engine::fec::Shape;
use interop::probe::{Report, Settings, probe_client, probe_server};
use lab::conformance::Verdict;
use lab::peers::Peer;
use lab::ports::{Protocol, free_tcp, free_udp, local};
use lab::process::Process;
use std::io::Write;

const KEY: &str = "it's a secrect";

fn settings() -> Settings {
    // Without compression, wrong bytes reach the application instead of ending the session.
    let fec = Some(Shape::new(10, 3).unwrap());
    Settings { key: KEY.into(), cipher: Cipher::Aes128, smux: 1, nocomp: true, fec }
}

const FLAGS: [&str; 7] = ["--key", KEY, "--crypt", "aes-128", "--mode", "fast3", "--nocomp"];

fn peer(name: &str) -> Option<Peer> {
    let found = Peer::find();
    for missing in found.missing.iter().filter(|missing| missing.name == name) {
        let _ = writeln!(std::io::stderr(), "SKIPPED probe of {name}: {}", missing.reason);
    }
    found.peers.into_iter().find(|peer| peer.name == name)
}

fn of_server(name: &str) -> Option<Report> {
    let (peer, address, target) = (peer(name)?, free_udp().unwrap(), free_tcp().unwrap());
    let addresses = ["-l", &address.to_string(), "-t", &target.to_string()].map(String::from);
    let flags = [addresses.to_vec(), FLAGS.map(String::from).to_vec()].concat();
    let mut server = Process::start(&peer.server, &flags, None).unwrap();
    server.listens(Protocol::Udp, address.port()).unwrap();
    let report = probe_server(address, Some(target), &settings(), "").unwrap();
    server.check().unwrap();
    Some(report)
}

fn of_client(name: &str) -> Option<Report> {
    let flags = FLAGS.join(" ");
    let command = format!("{} -r {{server}} -l {{listen}} --smuxver 1 {flags}", peer(name)?.client.display());
    let command = command.replace(KEY, "\"it's a secrect\"");
    Some(probe_client(&command, &settings(), ""))
}

/// CRYPT-18, FEC-23, SMUX-26, KCP-33: what is wrong with kcptun shows, and nothing else does.
#[test]
fn faults_of_kcptun_are_found() {
    let Some(report) = of_server("go") else { return };
    for id in ["CRYPT-18", "FEC-23", "SMUX-26", "KCP-33"] {
        assert!(report.verdict(id) == Some(Verdict::Fail), "{id}: {report}");
        let case = report.cases.iter().find(|case| case.ids.iter().any(|one| one == id)).unwrap();
        assert!(!case.datagrams.is_empty(), "{id} shows no datagrams");
    }
    assert_eq!((report.count(Verdict::Fail), report.count(Verdict::Error)), (4, 0), "{report}");
    assert!(report.count(Verdict::Pass) >= 18, "{report}");
    let junit = report.to_junit();
    assert!(junit.contains("failures=\"4\" errors=\"0\"") && junit.contains("client &gt; server"), "{junit}");
    let Some(report) = of_client("go") else { return };
    for id in ["CRYPT-18", "FEC-23", "SMUX-26"] {
        assert!(report.verdict(id) == Some(Verdict::Fail), "{id}: {report}");
    }
    assert_eq!((report.count(Verdict::Fail), report.count(Verdict::Error)), (3, 0), "{report}");
}

#[test]
fn karst_has_none_of_them() {
    for report in [of_server("karst"), of_client("karst")].into_iter().flatten() {
        assert!(report.is_success(), "{report}");
        for id in ["CRYPT-18", "FEC-23", "SMUX-26"] {
            assert_eq!(report.verdict(id), Some(Verdict::Pass), "{id}: {report}");
        }
    }
}

/// A check that cannot fail would pass here.
#[test]
fn a_silent_server_passes_nothing_that_needs_an_answer() {
    let silent = std::net::UdpSocket::bind(local(0)).unwrap();
    let address = silent.local_addr().unwrap();
    for title in ["answers a sealed datagram", "answers a window probe"] {
        let report = probe_server(address, None, &settings(), title).unwrap();
        assert_eq!((report.cases.len(), report.count(Verdict::Fail)), (1, 1), "{report}");
    }
    let report = probe_server(address, None, &settings(), "SMUX-26").unwrap();
    assert_eq!(report.count(Verdict::NotMeasured), 1, "{report}");
    assert!(report.to_junit().contains("<skipped message=\"not measured: needs --target"));
}
