//! Forged TCP between real programs in network namespaces: karst and Debian's kcptun, a router, NAT, loss. Needs root, nft and
//! tshark; reports SKIPPED without the right to make namespaces. tshark judges every flow.

mod attacks;
mod checks;
mod double;
mod judge;
mod links;
mod moves;
pub(crate) mod net;
mod wire;

use crate::common::{PATIENCE, Program, echo, exchange, sample, skipped};
use judge::{Capture, PSH_ACK, RST, Seen};
use net::{Net, SERVER, SERVER6, Space};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use wire::Wire;

const GO_CLIENT: &str = "/usr/bin/kcptun-client";
const GO_SERVER: &str = "/usr/bin/kcptun-server";

/// The programs of this build, or of another build in the folder that the variable names.
fn built(name: &str, own: &'static str) -> &'static str {
    match std::env::var("KARST_FORGED_PROGRAMS") {
        Ok(folder) => format!("{folder}/{name}").leak(),
        Err(_) => own,
    }
}

fn karst_client() -> &'static str {
    built("karst-client", env!("CARGO_BIN_EXE_karst-client"))
}

fn karst_server() -> &'static str {
    built("karst-server", env!("CARGO_BIN_EXE_karst-server"))
}

/// Flags that Debian's kcptun and karst share.
const COMMON: [&str; 8] = ["--key", "forged", "--crypt", "aes-128", "--smuxver", "2", "--sndwnd", "256"];

/// A client and a server in a net, and an echoing target behind them.
struct Tunnel {
    server: Program,
    client: Program,
}

const ENTRY: &str = "127.0.0.1:12948";

impl Tunnel {
    fn start(net: &Net, client: &str, server: &str, host: &str, more: &[&str]) -> Self {
        Self::start_with(net, client, server, host, more, &["--tcp"])
    }

    fn start_with(
        net: &Net,
        client: &str,
        server: &str,
        host: &str,
        more: &[&str],
        of_client: &[&str],
    ) -> Self {
        serve_echo(&net.server);
        let listen = if host.contains(':') { format!("[{host}]:29900") } else { format!("{host}:29900") };
        let words = [&COMMON[..], more].concat();
        let server = net
            .server
            .start(server, &[&["-t", "127.0.0.1:7007", "-l", ":29900", "--tcp"], &words[..]].concat());
        server.wait_for("key derivation done");
        std::thread::sleep(Duration::from_millis(300));
        let client =
            net.client.start(client, &[&["-r", &listen, "-l", ENTRY], of_client, &words[..]].concat());
        client.wait_for("key derivation done");
        std::thread::sleep(Duration::from_millis(100));
        Self { server, client }
    }

    /// Sends `len` bytes there and back.
    fn echo(&self, net: &Net, seed: u64, len: usize) {
        let got = self.try_echo(net, seed, len);
        assert!(got == sample(seed, len), "{} of {len} bytes\n{}", got.len(), self.client.log());
    }

    /// The same; returns what came back. Neither end is closed before, as kcptun knows no half-close.
    fn try_echo(&self, net: &Net, seed: u64, len: usize) -> Vec<u8> {
        let mut stream = net.client.run(connect);
        let mut writer = stream.try_clone().unwrap();
        std::thread::spawn(move || writer.write_all(&sample(seed, len)));
        let (mut got, mut buffer) = (Vec::new(), vec![0; 65_536]);
        while got.len() < len
            && let Ok(count @ 1..) = stream.read(&mut buffer)
        {
            got.extend_from_slice(&buffer[..count]);
        }
        got
    }
}

fn connect() -> TcpStream {
    let start = Instant::now();
    let stream = loop {
        match TcpStream::connect(ENTRY) {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn serve_echo(space: &Space) {
    let listener = space.run(|| TcpListener::bind("127.0.0.1:7007").unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || echo(stream));
        }
    });
}

/// Whether Debian's kcptun is there.
fn has_go(test: &str) -> bool {
    let found = [GO_CLIENT, GO_SERVER].iter().all(|path| std::path::Path::new(path).is_file());
    if !found {
        skipped(test, "no kcptun");
    }
    found
}

/// Judges the segments of a flow of which karst is at the ends `karst` (addresses).
fn judge(seen: &[Seen], karst: &[&str]) {
    let own: Vec<&Seen> = seen.iter().filter(|segment| karst.contains(&segment.from.as_str())).collect();
    assert!(own.len() > 20, "{} segments", own.len());
    for segment in &own {
        assert_eq!((segment.checksum, segment.ip_checksum), (1, 1), "{segment:?}");
        assert!(segment.len == 0 || segment.flags == PSH_ACK, "{segment:?}");
    }
    for segment in seen {
        assert_eq!(segment.flags & RST, 0, "{segment:?}");
        assert!(segment.flags & 0x10 == 0 || segment.ack != 0, "{segment:?}");
    }
}

/// Nothing is in the firewall of either host.
fn nothing_left(net: &Net) {
    nothing_in(&net.client);
    nothing_in(&net.server);
}

/// Nothing is in the firewall of a host. That of a host of kcptun has its rules while it runs, if iptables is installed.
fn nothing_in(space: &Space) {
    let rules = space.shell("nft list ruleset");
    assert!(rules.trim().is_empty(), "{rules}");
}

// FTCP-1, FTCP-2, FTCP-13
#[test]
fn karst_to_karst_through_a_router() {
    let Some(net) = Net::routed("karst_to_karst_through_a_router") else { return };
    let capture = Capture::start(&net.router, "kcr", "karst");
    let mut tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &[]);
    tunnel.echo(&net, 1, 3_000_000);
    tunnel.client.signal(libc::SIGTERM);
    assert!(tunnel.client.wait(Duration::from_secs(10)).is_some());
    let seen = capture.stop();
    // As after any FIN of a program that ended, the kernel may reset what arrives later.
    let end = seen.iter().position(|segment| segment.flags == 0x11).unwrap_or(seen.len());
    judge(&seen[..end], &["10.91.1.2", SERVER]);
    // No loss, so that the numbers are those of a perfect connection.
    let remarks: Vec<&Seen> = seen
        .iter()
        .filter(|segment| {
            segment.remarks.contains("ACKed segment") || segment.remarks.contains("out-of-order")
        })
        .collect();
    assert!(
        remarks.is_empty(),
        "{} of {}: {:?}",
        remarks.len(),
        seen.len(),
        &remarks[..3.min(remarks.len())]
    );
    assert_eq!(seen.iter().filter(|segment| segment.flags == 0x02).count(), 1, "one SYN");
    assert_eq!(seen.iter().filter(|segment| segment.flags == 0x11).count(), 1, "one FIN");
    nothing_left(&net);
}

/// Debian's kcptun in either role, its own and karst's acknowledgements being what they are.
fn with_go(test: &str, client: &str, server: &str, karst: &str, translated: bool) {
    let Some(net) = Net::routed(test).filter(|_| has_go(test)) else { return };
    if translated {
        translate(&net);
    }
    let capture = Capture::start(&net.router, "kcr", test);
    let tunnel = Tunnel::start(&net, client, server, SERVER, &[]);
    tunnel.echo(&net, 2, 2_000_000);
    tunnel.echo(&net, 3, 1000);
    let seen = capture.stop();
    judge(&seen, &[karst]);
    if translated {
        none_invalid(&net);
    }
    nothing_in(if karst == SERVER { &net.server } else { &net.client });
}

// FTCP-1, FTCP-2, FTCP-6, FTCP-13
#[test]
fn karst_to_kcptun() {
    with_go("karst_to_kcptun", karst_client(), GO_SERVER, "10.91.1.2", false);
}

// FTCP-1, FTCP-3, FTCP-6, FTCP-13
#[test]
fn kcptun_to_karst() {
    with_go("kcptun_to_karst", GO_CLIENT, karst_server(), SERVER, false);
}

// FTCP-5, FTCP-6
#[test]
fn karst_to_kcptun_through_a_translator() {
    with_go("karst_to_kcptun_through_a_translator", karst_client(), GO_SERVER, "10.91.1.2", true);
}

// FTCP-5, FTCP-6
#[test]
fn kcptun_to_karst_through_a_translator() {
    with_go("kcptun_to_karst_through_a_translator", GO_CLIENT, karst_server(), SERVER, true);
}

/// Makes the router translate addresses, and drop what its connection tracking finds invalid.
fn translate(net: &Net) {
    net.router.shell(
        "nft add table ip karst
         nft 'add chain ip karst post { type nat hook postrouting priority 100; }'
         nft add rule ip karst post oifname ksr masquerade
         nft 'add chain ip karst forw { type filter hook forward priority 0; }'
         nft add rule ip karst forw ct state invalid counter drop
         sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=0 net.netfilter.nf_conntrack_tcp_loose=0",
    );
}

fn none_invalid(net: &Net) {
    let rules = net.router.shell("nft list chain ip karst forw");
    assert!(rules.contains("counter packets 0 bytes 0 drop"), "{rules}");
}

// FTCP-4, FTCP-5
#[test]
fn four_flows_of_small_datagrams_through_a_translator() {
    let test = "four_flows_of_small_datagrams_through_a_translator";
    let Some(net) = Net::routed(test) else { return };
    translate(&net);
    let capture = Capture::start(&net.router, "kcr", test);
    let flags = ["--tcp", "--conn", "4"];
    let tunnel = Tunnel::start_with(&net, karst_client(), karst_server(), SERVER, &["--mtu", "1200"], &flags);
    for seed in 0..6 {
        tunnel.echo(&net, seed, 300_000);
    }
    let seen = capture.stop();
    judge(&seen, &["10.91.1.2", SERVER]);
    let longest = seen.iter().map(|segment| segment.packet_len).max();
    assert_eq!(longest, Some(1240));
    let flows = seen.iter().filter(|segment| segment.flags == 0x02).count();
    assert_eq!(flows, 4);
    none_invalid(&net);
}

// FTCP-1, FTCP-2
#[test]
fn over_ipv6() {
    let Some(net) = Net::routed("over_ipv6") else { return };
    let capture = Capture::start(&net.router, "kcr", "over_ipv6");
    let tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER6, &["--dscp", "46"]);
    tunnel.echo(&net, 5, 1_000_000);
    let seen = capture.stop();
    judge(&seen, &["fd00:91:1::2", SERVER6]);
    assert!(seen.iter().all(|segment| !segment.from.contains('.')));
}

// FTCP-4, FTCP-5
#[test]
fn through_loss_and_reordering() {
    let Some(net) = Net::wired("through_loss_and_reordering") else { return };
    let wire = Wire::start(&net.router, "kcr", "ksr", 100, 50);
    let capture = Capture::start(&net.client, "kc", "loss");
    let tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &["--mode", "fast2"]);
    tunnel.echo(&net, 6, 1_000_000);
    let seen = capture.stop();
    judge(&seen, &["10.91.2.1", SERVER]);
    let count = |counter: &std::sync::atomic::AtomicUsize| counter.load(std::sync::atomic::Ordering::Relaxed);
    assert!(count(&wire.lost) > 50 && count(&wire.late) > 20);
}

// FTCP-4, FTCP-6
#[test]
fn through_loss_with_kcptun() {
    let Some(net) = Net::wired("through_loss_with_kcptun").filter(|_| has_go("through_loss_with_kcptun"))
    else {
        return;
    };
    let _wire = Wire::start(&net.router, "kcr", "ksr", 100, 50);
    let tunnel = Tunnel::start(&net, karst_client(), GO_SERVER, SERVER, &["--mode", "fast2"]);
    tunnel.echo(&net, 7, 500_000);
}

// FTCP-14
#[test]
fn without_the_capability_one_line_names_it() {
    let Some(net) = Net::routed("without_the_capability_one_line_names_it") else { return };
    for (program, words) in [
        (karst_client(), ["-r", "10.91.2.2:29900", "--tcp"]),
        (karst_server(), ["-l", "10.91.2.2:29900", "--tcp"]),
    ] {
        let words = [&["--reuid=65534", "--clear-groups", program][..], &words].concat();
        let mut unprivileged = net.server.start("setpriv", &words);
        let status = unprivileged.wait(PATIENCE).unwrap();
        let log = unprivileged.wait_for("CAP_NET_RAW");
        assert_eq!((status.code(), log.lines().count()), (Some(1), 1), "{log}");
        assert!(log.contains("--tcp: forged TCP needs CAP_NET_RAW"), "{log}");
    }
}

// FTCP-14
#[test]
fn the_capability_alone_suffices() {
    let test = "the_capability_alone_suffices";
    let Some(net) = Net::routed(test) else { return };
    serve_echo(&net.server);
    let raw = ["--reuid=65534", "--clear-groups", "--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw"];
    let server = [&raw[..], &[karst_server(), "-t", "127.0.0.1:7007", "-l", ":29900", "--tcp"]].concat();
    let server = net.server.start("setpriv", &server);
    server.wait_for("/tcp");
    let client = [&raw[..], &[karst_client(), "-r", "10.91.2.2:29900", "-l", ENTRY, "--tcp"]].concat();
    let client = net.client.start("setpriv", &client);
    client.wait_for("key derivation done");
    Tunnel { server, client }.echo(&net, 8, 300_000);
}

// FTCP-15
#[test]
fn a_server_takes_udp_and_forged_tcp_at_once() {
    let test = "a_server_takes_udp_and_forged_tcp_at_once";
    let Some(net) = Net::routed(test) else { return };
    let tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &[]);
    let words = ["-r", "10.91.2.2:29900", "-l", "127.0.0.1:12949"];
    let udp = net.client.start(karst_client(), &[&words[..], &COMMON].concat());
    udp.wait_for("key derivation done");
    let data = sample(9, 500_000);
    let stream = net.client.run(|| TcpStream::connect("127.0.0.1:12949").unwrap());
    assert!(exchange(stream, data.clone()) == data);
    tunnel.echo(&net, 10, 500_000);
}

// FTCP-9
#[test]
fn a_restarted_server_is_found_again() {
    let Some(net) = Net::routed("a_restarted_server_is_found_again") else { return };
    let mut tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &[]);
    tunnel.echo(&net, 11, 100_000);
    // Without a farewell.
    tunnel.server.signal(libc::SIGKILL);
    tunnel.server.wait(PATIENCE);
    nothing_left(&net);
    let words = ["-t", "127.0.0.1:7007", "-l", ":29900", "--tcp"];
    tunnel.server = net.server.start(karst_server(), &[&words[..], &COMMON].concat());
    tunnel.server.wait_for("/tcp");
    // A stream of the lost session may be cut.
    let start = Instant::now();
    while tunnel.try_echo(&net, 12, 100_000).len() < 100_000 {
        assert!(start.elapsed() < Duration::from_secs(15), "{}", tunnel.client.log());
    }
}

// CLI-8, FTCP-15
#[test]
fn an_interface_that_does_not_exist_is_named_with_those_that_do() {
    let Some(net) = Net::routed("an_interface_that_does_not_exist") else { return };
    let mut client =
        net.client.start(karst_client(), &["-r", "10.91.2.2:1", "-l", ENTRY, "--tcp", "-i", "eth7"]);
    assert_eq!(client.wait(PATIENCE).unwrap().code(), Some(1));
    let log = client.wait_for("--interface eth7");
    assert!(log.contains("kc (10.91.1.2 fd00:91:1::2"), "{log}");
    let tunnel =
        Tunnel::start_with(&net, karst_client(), karst_server(), SERVER, &[], &["--tcp", "-i", "kc"]);
    tunnel.echo(&net, 13, 10_000);
}

/// Flags of 2017 that Debian's kcptun and karst share.
const OF_2017: [&str; 6] = ["--key", "forged", "--crypt", "aes-128", "--smuxver", "1"];

fn with_double(test: &str, double_is_client: bool) {
    let Some(net) = Net::routed(test).filter(|_| has_go(test)) else { return };
    serve_echo(&net.server);
    let capture = Capture::start(&net.router, "kcr", test);
    let target = ["-t", "127.0.0.1:7007"];
    let (server, client, karst) = if double_is_client {
        let server =
            net.server.start(karst_server(), &[&target[..], &["-l", ":29900", "--tcp"], &OF_2017].concat());
        server.wait_for("/tcp");
        double::client(&net, "10.91.2.2:29900".parse().unwrap());
        (
            server,
            net.client.start(GO_CLIENT, &[&["-r", "127.0.0.1:29901", "-l", ENTRY][..], &OF_2017].concat()),
            SERVER,
        )
    } else {
        double::server(&net);
        let server =
            net.server.start(GO_SERVER, &[&target[..], &["-l", "127.0.0.1:29901"], &OF_2017].concat());
        let words = ["-r", "10.91.2.2:29900", "-l", ENTRY, "--tcp=kcptun-tcp"];
        (server, net.client.start(karst_client(), &[&words[..], &OF_2017].concat()), "10.91.1.2")
    };
    client.wait_for("key derivation done");
    let tunnel = Tunnel { server, client };
    tunnel.echo(&net, 14, 500_000);
    tunnel.echo(&net, 15, 1000);
    // FTCP-17
    let shows = if double_is_client { &tunnel.server } else { &tunnel.client };
    shows.wait_for("carrier=kcptun-tcp\n");
    let seen = capture.stop();
    judge(&seen, &[karst]);
    let syn_flags = if double_is_client { 0x12 } else { 0x02 };
    assert!(seen.iter().any(|segment| segment.flags == syn_flags && segment.packet_len == 40), "no options");
    // The double's windows are small, and there is no scale: the sender stays inside them.
    let edges = seen.iter().filter(|segment| segment.from != karst && segment.flags & 0x10 != 0);
    let (mut edge, mut beyond) = (0_u64, 0);
    let mut edges = edges.peekable();
    for segment in &seen {
        while let Some(next) = edges.peek()
            && std::ptr::eq(*next, segment)
        {
            edge = edge.max(next.ack + u64::from(next.window));
            edges.next();
        }
        beyond += u32::from(edge > 0 && segment.from == karst && segment.len > 0 && segment.seq > edge);
    }
    assert_eq!(beyond, 0);
}

// FTCP-3, FTCP-7
#[test]
fn a_client_of_the_fork_to_karst() {
    with_double("a_client_of_the_fork_to_karst", true);
}

// FTCP-5, FTCP-7
#[test]
fn karst_to_a_server_of_the_fork() {
    with_double("karst_to_a_server_of_the_fork", false);
}
