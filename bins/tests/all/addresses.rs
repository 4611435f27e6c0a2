//! Names with several addresses (CLI-53), in a mount namespace with its own host table.
use crate::common::{Program, connect, echo, exchange, free_udp, sample, start_client, start_server, target};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::thread;

/// A name with two addresses, of which only the second one listens.
const HOSTS: &str = "127.0.0.2 two.test\n127.0.0.3 two.test\n";
const SECOND: &str = "127.0.0.3";

fn host_table(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, HOSTS).unwrap();
    path
}

// CLI-53
#[test]
fn a_target_is_tried_at_all_its_addresses() {
    let listener = TcpListener::bind((SECOND, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(echo));
    assert!(TcpStream::connect(("127.0.0.2", port)).is_err(), "nothing may listen on the first address");
    let udp = free_udp();
    let (target, listen) = (format!("two.test:{port}"), udp.to_string());
    let words = ["-t", &target, "-l", &listen];
    let Some(server) = Program::with_hosts(env!("CARGO_BIN_EXE_karst-server"), &words, &host_table("target"))
    else {
        return;
    };
    server.wait_for("Listening on: ");
    let (_client, local) = start_client(udp, &[]);
    assert_eq!(exchange(connect(local), sample(1, 10_000)), sample(1, 10_000));
}

// CLI-53
#[test]
fn a_server_is_tried_at_all_its_addresses() {
    let udp = UdpSocket::bind((SECOND, 0)).unwrap().local_addr().unwrap();
    let _server = start_server(target(echo), udp, &[]);
    let remote = format!("two.test:{}", udp.port());
    let words = ["-r", &remote, "-l", "127.0.0.1:0"];
    let Some(client) = Program::with_hosts(env!("CARGO_BIN_EXE_karst-client"), &words, &host_table("server"))
    else {
        return;
    };
    let log = client.wait_for("key derivation done");
    let (_, rest) = log.split_once("listening on: ").unwrap();
    let local: SocketAddr = rest.lines().next().unwrap().parse().unwrap();
    // Nothing listens on 127.0.0.2, and the connection waits.
    assert_eq!(exchange(connect(local), sample(2, 100)), sample(2, 100));
    assert!(client.log().contains(" -> 127.0.0.2:"), "{}", client.log());
    assert_eq!(exchange(connect(local), sample(3, 10_000)), sample(3, 10_000));
}
