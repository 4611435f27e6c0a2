//! A path that loses large datagrams and carries small ones is named in the log (KCP-40).
use crate::common::{connect, echo, free_udp, relay, sample, start_client, start_server, target};
use std::io::{Read, Write};
use std::thread::sleep;
use std::time::Duration;

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
