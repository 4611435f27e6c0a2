//! The first connection to a server whose smux version or compression is not the client's (CLI-100), with Debian's kcptun.
use crate::common::{Program, connect, echo, free_udp, start_client, start_server, target};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn kcptun_server(udp: SocketAddr, more: &[&str]) -> Program {
    let (target, udp) = (target(echo).to_string(), udp.to_string());
    let server = Program::start("kcptun-server", &[&["-t", &target, "-l", &udp], more].concat());
    server.wait_for("key derivation done");
    server
}

/// Whether a connection echoes.
fn works(local: SocketAddr) -> bool {
    let mut app = connect(local);
    let mut reply = [0; 5];
    app.write_all(b"hello").is_ok() && app.read_exact(&mut reply).is_ok() && reply == *b"hello"
}

/// The lines about the server since the client started, without those about streams.
fn lines(client: &Program) -> Vec<String> {
    let log = client.log();
    let (_, lines) = log.split_once("key derivation done\n").unwrap();
    let about_server = |line: &&str| !line.contains(" stream ") && !line.contains(" on connection: ");
    lines.lines().filter(about_server).map(|line| line[20..].to_owned()).collect()
}

// CLI-100
#[test]
fn a_client_without_options_works_with_the_defaults_of_debians_server() {
    let udp = free_udp();
    let _server = kcptun_server(udp, &[]);
    let (client, local) = start_client(udp, &[]);
    let begun = Instant::now();
    assert!((0..3).all(|_| works(local)));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let line = format!(
        "detected: {udp} has --smuxver 1, the default here is --smuxver 2: continuing with --smuxver 1"
    );
    assert_eq!(lines(&client), [line]);
}

// CLI-100
#[test]
fn a_client_without_options_works_with_a_server_that_does_not_compress() {
    let udp = free_udp();
    let _server = kcptun_server(udp, &["--nocomp", "--smuxver", "2"]);
    let (client, local) = start_client(udp, &[]);
    assert!(works(local));
    assert_eq!(lines(&client).len(), 1, "{}", client.log());
    assert!(
        lines(&client)[0]
            .ends_with("has --nocomp, the default here is no --nocomp: continuing with --nocomp")
    );
}

// CLI-100
#[test]
fn a_given_option_that_differs_is_named_at_once() {
    let given = [
        (&["--smuxver", "2"][..], "has --smuxver 1, but this side has --smuxver 2: make them equal"),
        (&["--nocomp", "--smuxver", "1"][..], "has no --nocomp, but this side has --nocomp: make them equal"),
    ];
    for (options, expected) in given {
        let udp = free_udp();
        let _server = kcptun_server(udp, &[]);
        let (client, local) = start_client(udp, options);
        let begun = Instant::now();
        assert!(!works(local));
        client.wait_for(&format!("mismatch: {udp} {expected}"));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let unrelated = ["key", "restarted", "no answer"];
        assert!(!lines(&client).iter().any(|line| unrelated.iter().any(|word| line.contains(word))));
    }
}

// QPP-11, CLI-100: nothing reaches the target, and both logs name the difference once.
#[test]
fn pads_that_differ_are_named_by_both_ends() {
    for (ours, theirs, at_client, at_server) in [
        (&["--QPP"][..], &[][..], "this side has --QPP", "the other side has --QPP"),
        (&[], &["--QPP"], "the other side has --QPP", "this side has --QPP"),
        (&["--QPP"], &["--QPP", "--QPPCount", "59"], "both sides have --QPP", "both sides have --QPP"),
    ] {
        let udp = free_udp();
        let server = start_server(target(echo), udp, theirs);
        let (client, local) = start_client(udp, ours);
        let begun = Instant::now();
        assert!(!works(local) && !works(local));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let named = |log: &str, text: &str| log.lines().filter(|line| line.contains(text)).count();
        let (client, server) = (client.wait_for(at_client), server.wait_for(at_server));
        assert_eq!((named(&client, at_client), named(&server, at_server)), (1, 1), "{client}{server}");
        assert!(client.contains(&format!("mismatch: {udp}: QPP differs")), "{client}");
        assert!(!server.contains("stream opened"), "{server}");
    }
}

// QPP-11: kcptun's servers state nothing about their pads.
#[test]
fn a_server_whose_pads_are_unknown_is_named() {
    let udp = free_udp();
    let _server = kcptun_server(udp, &[]);
    let (client, local) = start_client(udp, &["--QPP"]);
    let mut app = connect(local);
    app.write_all(b"hello").unwrap();
    client.wait_for(&format!("{udp} does not state its --QPP"));
}
