//! CPU profiles, in builds with the feature.
use crate::common::{Program, connect, echo, exchange, free_udp, sample, start_client, start_server, target};
use crate::monitoring::{address_after, get, get_bytes};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

// CLI-42: while a transfer keeps the program busy, its profile has samples.
#[test]
fn profiles_are_served_at_the_configured_address() {
    let udp = free_udp();
    let server = start_server(target(echo), udp, &["--crypt", "aes"]);
    let words =
        ["-r", &udp.to_string(), "-l", "127.0.0.1:0", "--crypt", "aes", "--pprof-addr", "127.0.0.1:0"];
    let client = Program::client(&words);
    let log = client.wait_for("key derivation done");
    let (local, profiles) = (address_after(&log, "listening on: "), address_after(&log, "profiles on: "));
    // The first profile of a process starts late, since it resolves function names first.
    let enough = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&enough);
    let carrying = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let data = sample(4, 1_000_000);
            assert_eq!(exchange(connect(local), data.clone()), data);
        }
    });
    let (status, profile) = get_bytes(profiles, "GET /debug/pprof/profile?seconds=1 HTTP/1.1\r\n\r\n");
    assert_eq!(status, "HTTP/1.1 200 OK");
    enough.store(true, Ordering::Relaxed);
    let text = String::from_utf8_lossy(&profile);
    // The first field is the type of the samples; the names are in the table of strings.
    assert_eq!(profile[..2], [0x0a, 4]);
    for name in ["nanoseconds", "samples", "bins::driver::"] {
        assert!(profile.windows(name.len()).any(|window| window == name.as_bytes()), "{name} in {text}");
    }
    carrying.join().unwrap();
    for target in ["/debug/pprof/profile?seconds=0", "/debug/pprof/profile?seconds=x"] {
        assert_eq!(get(profiles, &format!("GET {target} HTTP/1.1\r\n\r\n")).0, "HTTP/1.1 400 Bad Request");
    }
    assert_eq!(get(profiles, "GET /debug/pprof/heap HTTP/1.1\r\n\r\n").0, "HTTP/1.1 404 Not Found");
    drop(server);
}
