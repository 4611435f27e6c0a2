//! `probe`: finds the known faults of kcptun, none in karst, and judges a peer that answers nothing.

use engine::crypt::Cipher;
use engine::fec::Shape;
use interop::probe::{Settings, Table, junit, probe_client, probe_server};
use lab::conformance::Verdict;
use lab::pair::Addresses;
use lab::peers::Peer;
use lab::ports::{Protocol, free_tcp, free_udp, local};
use lab::probe::Probe;
use lab::process::Process;
use sim::Side;
use std::io::Write;

const KEY: &str = "it's a secrect";

fn settings() -> Settings {
    // Without compression, wrong bytes reach the application instead of ending the session.
    let fec = Some(Shape::new(10, 3).unwrap());
    Settings { key: KEY.into(), cipher: Cipher::Aes128, smux: 1, nocomp: true, fec, shadowsocks: false }
}

const FLAGS: [&str; 7] = ["--key", KEY, "--crypt", "aes-128", "--mode", "fast3", "--nocomp"];

fn peer(name: &str) -> Option<Peer> {
    let found = Peer::find();
    for missing in found.missing.iter().filter(|missing| missing.name == name) {
        let _ = writeln!(std::io::stderr(), "SKIPPED probe of {name}: {}", missing.reason);
    }
    found.peers.into_iter().find(|peer| peer.name == name)
}

fn of_server(name: &str) -> Option<Probe> {
    let (peer, address, target) = (peer(name)?, free_udp().unwrap(), free_tcp().unwrap());
    let addresses = ["-l", &address.to_string(), "-t", &target.to_string()].map(String::from);
    let flags = [addresses.to_vec(), FLAGS.map(String::from).to_vec()].concat();
    let mut server = Process::start(&peer.server, &flags, None).unwrap();
    server.listens(Protocol::Udp, address.port()).unwrap();
    let report = probe_server(address, Some(target), &settings(), "").unwrap();
    server.check().unwrap();
    Some(report)
}

fn of_client(name: &str) -> Option<Probe> {
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
        assert!(report.verdict(id) == Some(Verdict::Fail), "{id}: {}", Table(&report));
        let case = report.cases.iter().find(|case| case.ids.iter().any(|one| one == id)).unwrap();
        assert!(!case.datagrams.is_empty(), "{id} shows no datagrams");
    }
    assert_eq!((report.count(Verdict::Fail), report.count(Verdict::Error)), (4, 0), "{}", Table(&report));
    assert!(report.count(Verdict::Pass) >= 18, "{}", Table(&report));
    let junit = junit(&report);
    assert!(junit.contains("failures=\"4\" errors=\"0\"") && junit.contains("client &gt; server"), "{junit}");
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Probe>(&text).unwrap(), report);
    let Some(report) = of_client("go") else { return };
    for id in ["CRYPT-18", "FEC-23", "SMUX-26"] {
        assert!(report.verdict(id) == Some(Verdict::Fail), "{id}: {}", Table(&report));
    }
    assert_eq!((report.count(Verdict::Fail), report.count(Verdict::Error)), (3, 0), "{}", Table(&report));
}

#[test]
fn karst_has_none_of_them() {
    for report in [of_server("karst"), of_client("karst")].into_iter().flatten() {
        assert!(report.is_success(), "{}", Table(&report));
        for id in ["CRYPT-18", "FEC-23", "SMUX-26"] {
            assert_eq!(report.verdict(id), Some(Verdict::Pass), "{id}: {}", Table(&report));
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
        assert_eq!((report.cases.len(), report.count(Verdict::Fail)), (1, 1), "{}", Table(&report));
    }
    let report = probe_server(address, None, &settings(), "SMUX-26").unwrap();
    assert_eq!(report.count(Verdict::NotMeasured), 1, "{}", Table(&report));
    assert!(junit(&report).contains("<skipped message=\"not measured: needs --target"));
}

/// Streams of mihomo's server begin with an address, and its client writes one.
#[test]
fn faults_of_mihomo_are_found() {
    let Ok(mihomo) = lab::mihomo::find() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED probe of mihomo: not in the PATH");
        return;
    };
    let (address, target) = (free_udp().unwrap(), free_tcp().unwrap());
    let addresses = Addresses { remote: address, server: address, client: address, target };
    let flags = [&FLAGS[..], &["--smuxver", "1"]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut started = addresses.start(&mihomo, Side::Server, &flags, None).unwrap();
    started.process.listens(Protocol::Udp, address.port()).unwrap();
    let settings = Settings { shadowsocks: true, ..settings() };
    for (check, verdict) in [("returns the bytes of a stream", Verdict::Pass), ("FEC-23", Verdict::Fail)] {
        // It connects where the head says.
        let target = free_tcp().unwrap();
        let report = probe_server(address, Some(target), &settings, check).unwrap();
        assert_eq!((report.cases.len(), report.count(verdict)), (1, 1), "{}", Table(&report));
    }
}
