//! `karst-client check` and `karst-server check` with --tcp.

use super::net::{Net, Space};
use super::{karst_client, karst_server, serve_echo};
use bins::check::Fault;
use std::net::TcpListener;

/// Exit status of a check, and what it prints.
fn check(space: &Space, program: &'static str, words: &[&str]) -> (i32, String) {
    let words = [&["check"], words].concat().join(" ");
    let text = space.shell(&format!("s=0; {program} {words} 2>&1 || s=$?; echo status $s"));
    let (text, status) = text.rsplit_once("status ").unwrap();
    (status.trim().parse().unwrap(), text.to_owned())
}

// CLI-90, CLI-91, FTCP-1
#[test]
fn checks_use_forged_tcp() {
    let Some(net) = Net::routed("checks_use_forged_tcp") else { return };
    serve_echo(&net.server);
    let own = ["--key", "checked"];
    let to = ["-r", "10.91.2.2:29900", "--tcp"];
    let (status, text) = check(&net.client, karst_client(), &[&to[..], &own].concat());
    assert_eq!(status, i32::from(Fault::Port.code()), "{text}");
    assert!(text.contains("TCP port 29900 of 10.91.2.2 is closed"), "{text}");
    assert!(text.contains("start the server with --tcp"), "{text}");

    let words = ["-t", "127.0.0.1:7007", "-l", ":29900", "--tcp"];
    let (status, text) = check(&net.server, karst_server(), &[&words[..], &own].concat());
    assert_eq!(status, 0, "{text}");
    let server = net.server.start(karst_server(), &[&words[..], &own].concat());
    server.wait_for("/tcp");
    // UDP is shut, so that only forged TCP can get through.
    net.router.shell("nft add table ip karst; nft 'add chain ip karst forw { type filter hook forward priority 0; }'; nft add rule ip karst forw meta l4proto udp drop");
    let (status, text) = check(&net.client, karst_client(), &[&to[..], &own].concat());
    assert_eq!(status, 0, "{text}");
    // The link takes 1,500 bytes, of which 40 are headers; the search stops 8 bytes below the limit.
    for part in ["karst; --smuxver", "accepts connections", "0.0 % of 100 datagrams", "takes up to 145"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let (status, text) = check(&net.client, karst_client(), &[&to[..], &["--key", "another"]].concat());
    assert_eq!(status, i32::from(Fault::Key.code()), "{text}");
    let (status, text) =
        check(&net.client, karst_client(), &[&to[..], &own, &["--crypt", "salsa20"]].concat());
    assert_eq!(status, i32::from(Fault::Cipher.code()), "{text}");
}

// CLI-91, FTCP-13
#[test]
fn a_tcp_port_in_use_is_named() {
    let Some(net) = Net::routed("a_tcp_port_in_use_is_named") else { return };
    serve_echo(&net.server);
    let _taken = net.server.run(|| TcpListener::bind("0.0.0.0:29900").unwrap());
    let words = ["-t", "127.0.0.1:7007", "-l", ":29900", "--tcp"];
    let (status, text) = check(&net.server, karst_server(), &words);
    assert_eq!(status, i32::from(Fault::Listen.code()), "{text}");
    assert!(text.contains("/tcp is in use by another program"), "{text}");
}
