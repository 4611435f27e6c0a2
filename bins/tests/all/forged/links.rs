//! Links other than Ethernet, several ports, and what is shown of a flow.

use super::net::{Net, SERVER, Space};
use super::{COMMON, ENTRY, Tunnel, connect, karst_client, karst_server, nothing_left, serve_echo};
use crate::common::PATIENCE;
use crate::monitoring::value;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;

/// Both programs, the server's in front of an echo.
fn launch(server: &Space, client: &Space, listen: &str, remote: &str, more: &[&str]) -> Tunnel {
    let words = [&["-t", "127.0.0.1:7007", "-l", listen, "--tcp"], more, &COMMON].concat();
    let server = server.start(karst_server(), &words);
    server.wait_for("/tcp");
    let words = [&["-r", remote, "-l", ENTRY, "--tcp"], more, &COMMON].concat();
    let client = client.start(karst_client(), &words);
    client.wait_for("key derivation done");
    Tunnel { server, client }
}

fn page(space: &Space, target: &'static str) -> String {
    space.run(move || {
        let mut stream = TcpStream::connect("127.0.0.1:9100").unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    })
}

// FTCP-1, FTCP-13, FTCP-15
#[test]
fn over_the_loopback_device() {
    let Some(net) = Net::routed("over_the_loopback_device") else { return };
    serve_echo(&net.client);
    for address in ["127.0.0.1:29900", "[::1]:29900"] {
        let tunnel = launch(&net.client, &net.client, ":29900", address, &[]);
        tunnel.echo(&net, 21, 400_000);
        drop(tunnel);
        nothing_left(&net);
    }
}

// FTCP-17
#[test]
fn what_carries_a_session_is_shown() {
    let Some(net) = Net::routed("what_carries_a_session_is_shown") else { return };
    let more = ["--metrics", "127.0.0.1:9100"];
    let tunnel = Tunnel::start_with(&net, karst_client(), karst_server(), SERVER, &more, &["--tcp"]);
    let mut held = net.client.run(connect);
    held.write_all(b"hello").unwrap();
    held.read_exact(&mut [0; 5]).unwrap();
    tunnel.client.wait_for("smux=2 carrier=tcp\n");
    tunnel.server.wait_for(" carrier=tcp\n");
    for space in [&net.client, &net.server] {
        let shown = page(space, "/metrics");
        for (carrier, sessions) in [("udp", 0.0), ("tcp", 1.0), ("kcptun-tcp", 0.0)] {
            let name = format!("karst_carrier_sessions{{carrier=\"{carrier}\"}}");
            assert_eq!(value(&shown, &name), sessions, "{shown}");
        }
        let status: Value = serde_json::from_str(&page(space, "/status")).unwrap();
        assert_eq!(status["sessions"][0]["carrier"], "tcp");
    }
}

// FTCP-15
#[test]
fn every_port_of_a_range_is_served() {
    let Some(net) = Net::routed("every_port_of_a_range_is_served") else { return };
    let flags = ["--conn", "16"];
    serve_echo(&net.server);
    let words = ["-t", "127.0.0.1:7007", "-l", ":29900-29903", "--tcp"];
    let server = net.server.start(karst_server(), &[&words[..], &COMMON].concat());
    server.wait_for(":29903/tcp");
    let words = ["-r", "10.91.2.2:29900-29903", "-l", ENTRY, "--tcp"];
    let client = net.client.start(karst_client(), &[&words[..], &flags, &COMMON].concat());
    client.wait_for("key derivation done");
    let tunnel = Tunnel { server, client };
    (0..16).for_each(|seed| tunnel.echo(&net, seed, 20_000));
    let log = tunnel.client.log();
    let ports: BTreeSet<&str> =
        log.lines().filter_map(|line| line.split_once("-> 10.91.2.2:")).map(|(_, port)| port).collect();
    assert!(ports.len() > 1, "{log}");
    assert!(ports.iter().all(|port| ("29900"..="29903").contains(port)), "{log}");
}

/// A TUN device; the packets that the system routes there are read from the file.
fn open_tun(space: &Space, setup: &str) -> File {
    let file = space.run(|| {
        let mut options = File::options();
        let file = options.read(true).write(true).open("/dev/net/tun")?;
        // SAFETY: all zeros is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(b"kt") {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq, which is a local.
        match unsafe { libc::ioctl(file.as_raw_fd(), 0x4004_54ca, &raw mut request) } {
            0 => Ok(file),
            _ => Err(std::io::Error::last_os_error()),
        }
    });
    let file = file.unwrap();
    space.shell(setup);
    file
}

/// A device without link addresses, as VPNs have them.
// FTCP-1, FTCP-2
#[test]
fn over_tun_devices() {
    let Some(net) = Net::routed("over_tun_devices") else { return };
    let setup = |own: u8, peer: u8| {
        format!("ip addr add 10.93.0.{own} peer 10.93.0.{peer} dev kt; ip link set kt up mtu 1400")
    };
    let (one, other) = (open_tun(&net.client, &setup(1, 2)), open_tun(&net.server, &setup(2, 1)));
    for (from, to) in [(&one, &other), (&other, &one)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            let mut packet = [0; 2048];
            while let Ok(len @ 1..) = from.read(&mut packet) {
                let _ = to.write(&packet[..len]);
            }
        });
    }
    serve_echo(&net.server);
    let tunnel = launch(&net.server, &net.client, ":29900", "10.93.0.2:29900", &["--mtu", "1300"]);
    tunnel.echo(&net, 22, 500_000);
    let status = net.client.shell("ip -s -o link show kt");
    assert!(status.contains("mtu 1400"), "{status}");
    nothing_left(&net);
}

/// Answers of a terminal that `script` makes.
// FTCP-18
#[test]
fn without_a_route_the_interface_is_asked_for() {
    let test = "without_a_route_the_interface_is_asked_for";
    let Some(net) = Net::routed(test) else { return };
    serve_echo(&net.server);
    let words = ["-t", "127.0.0.1:7007", "-l", ":29900", "--tcp"];
    let server = net.server.start(karst_server(), &[&words[..], &COMMON].concat());
    server.wait_for("/tcp");
    net.client.shell("ip route del default; ip -6 route del default");
    let command = [&[karst_client(), "-r", "10.91.2.2:29900", "-l", ENTRY, "--tcp"], &COMMON[..]].concat();
    // Without a terminal.
    let mut client = net.client.start(command[0], &command[1..]);
    let status = client.wait(PATIENCE).unwrap();
    let log = client.wait_for("no route to 10.91.2.2");
    assert_eq!((status.code(), log.lines().count()), (Some(1), 1), "{log}");
    assert!(
        log.contains("choose an interface with --interface: ") && log.contains("kc (10.91.1.2 "),
        "{log}"
    );
    // The router answers for the server.
    net.router.shell("sysctl -qw net.ipv4.conf.kcr.proxy_arp=1");
    let answer = |text: &str| {
        // Killing the shell kills both: the client would outlive its terminal.
        let ends = "exec setpriv --pdeathsig KILL";
        let script = format!("{ends} script -qec '{ends} {}' /dev/null", command.join(" "));
        let feed = format!("(sleep 1; printf '{text}\\n'; sleep 20) | {script} >&2");
        net.client.start("sh", &["-c", &feed])
    };
    answer("9").wait_for("no interface has the number \"9\"");
    let client = answer("2");
    let log = client.wait_for("key derivation done");
    assert!(log.contains("  1  lo  127.0.0.1") && log.contains("  2  kc  10.91.1.2"), "{log}");
    Tunnel { server, client }.echo(&net, 23, 100_000);
}
