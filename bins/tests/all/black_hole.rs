//! A path that loses large datagrams and carries small ones is named in the log (KCP-40).
use crate::common::{connect, echo, free_udp, sample, start_client, start_server, target};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Forwards datagrams both ways; `passes` decides by direction (true toward the server) and length.
fn relay(server: SocketAddr, passes: fn(bool, usize) -> bool) -> SocketAddr {
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = front.local_addr().unwrap();
    let mut paths: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
    spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = front.recv_from(&mut buffer) {
            let back = paths.entry(from).or_insert_with(|| {
                let back = UdpSocket::bind("127.0.0.1:0").unwrap();
                let (answers, front) = (back.try_clone().unwrap(), front.try_clone().unwrap());
                spawn(move || {
                    let mut buffer = [0; 2048];
                    while let Ok(count) = answers.recv(&mut buffer) {
                        if passes(false, count) {
                            let _ = front.send_to(&buffer[..count], from);
                        }
                    }
                });
                back
            });
            if passes(true, count) {
                let _ = back.send_to(&buffer[..count], server);
            }
        }
    });
    address
}

const NAMED: &str = "datagrams of 1350 bytes do not arrive, smaller ones do: try --mtu 1200 here";

// KCP-40
#[test]
fn the_client_names_a_path_that_loses_its_large_datagrams() {
    for mode in ["fast", "auto"] {
        let udp = free_udp();
        let _server = start_server(target(echo), udp, &["--nocomp"]);
        let path = relay(udp, |to_server, len| !to_server || len <= 1300);
        let (client, local) = start_client(path, &["--mode", mode, "--nocomp"]);
        let mut app = connect(local);
        let _ = app.write_all(&sample(1, 200_000));
        client.wait_for(NAMED);
        sleep(Duration::from_secs(3));
        assert_eq!(client.log().matches(NAMED).count(), 1, "{}", client.log());
    }
}

// KCP-40
#[test]
fn the_server_names_a_path_that_loses_its_large_datagrams() {
    let udp = free_udp();
    let target = target(|mut stream| {
        let _ = stream.read(&mut [0; 8]);
        let _ = stream.write_all(&sample(2, 1_000_000));
    });
    let server = start_server(target, udp, &["--nocomp"]);
    let path = relay(udp, |to_server, len| to_server || len <= 1300);
    let (_client, local) = start_client(path, &["--nocomp"]);
    let mut app = connect(local);
    app.write_all(b"send").unwrap();
    server.wait_for(NAMED);
}
