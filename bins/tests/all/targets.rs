//! How a server reaches its targets: TCP fast open, and resolvers of its own.

use crate::common::{Program, connect, echo, exchange, free_udp, sample, skipped, start_client, target};
use crate::forged::net::Space;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

const UDP: &str = "127.0.0.1:29900";
const ENTRY: &str = "127.0.0.1:12948";

/// A namespace of its own, with TCP fast open for clients and servers, and both programs in it.
struct Fast {
    space: Space,
    _client: Program,
    server: Program,
}

impl Fast {
    fn start(test: &str, client: &[&str], server: &[&str]) -> Option<Self> {
        let Some(space) = Space::new() else {
            skipped(test, "no right to make network namespaces (root has it)");
            return None;
        };
        space.shell("ip link set lo up; sysctl -qw net.ipv4.tcp_fastopen=3");
        let server = space.start(
            env!("CARGO_BIN_EXE_karst-server"),
            &[&["-l", UDP, "-t", "127.0.0.1:7000"], server].concat(),
        );
        server.wait_for("Listening on: ");
        let client =
            space.start(env!("CARGO_BIN_EXE_karst-client"), &[&["-r", UDP, "-l", ENTRY], client].concat());
        client.wait_for("key derivation done");
        Some(Self { space, _client: client, server })
    }

    /// A target that takes connections with data, and serves each.
    fn target(&self, serve: fn(TcpStream)) {
        self.space.run(move || {
            let listener = TcpListener::bind("127.0.0.1:7000").unwrap();
            set(&listener, libc::TCP_FASTOPEN, 16);
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    thread::spawn(move || serve(stream));
                }
            });
        });
    }

    /// Connections that the kernel opened with data, and those it accepted with data.
    fn opened(&self) -> [u64; 2] {
        let text = self.space.shell("cat /proc/self/net/netstat");
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        ["TCPFastOpenActive", "TCPFastOpenPassive"].map(|wanted| {
            let at = names.split(' ').position(|name| name == wanted).unwrap();
            values.split(' ').nth(at).unwrap().parse().unwrap()
        })
    }
}

fn set(socket: &impl AsRawFd, option: i32, value: i32) {
    // SAFETY: the descriptor is open, and the call reads one int.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, option, (&raw const value).cast(), 4)
    };
    assert_eq!(result, 0);
}

/// Exchanges some bytes, in the thread's namespace.
fn works(stream: TcpStream) {
    let data = sample(1, 50_000);
    assert!(exchange(stream, data.clone()) == data);
}

/// CLI-119: the first connection of a server to its target gets a cookie, and the others bring the first bytes with them.
#[test]
fn connections_to_targets_are_opened_with_data() {
    let Some(fast) = Fast::start("TCP fast open to targets", &[], &["--tfo"]) else { return };
    fast.target(echo);
    for _ in 0..3 {
        fast.space.run(|| works(connect(ENTRY.parse().unwrap())));
    }
    assert_eq!(fast.opened(), [2, 2]);
    // A refusal after the first bytes were sent is named as any other.
    fast.space.shell("true");
    let server = fast.space.start(
        env!("CARGO_BIN_EXE_karst-server"),
        &["-l", "127.0.0.1:29901", "-t", "127.0.0.1:7001", "--tfo"],
    );
    server.wait_for("Listening on: ");
    let client = fast
        .space
        .start(env!("CARGO_BIN_EXE_karst-client"), &["-r", "127.0.0.1:29901", "-l", "127.0.0.1:12949"]);
    client.wait_for("key derivation done");
    let ended = fast.space.run(|| {
        let mut app = connect("127.0.0.1:12949".parse().unwrap());
        app.write_all(b"anybody there?").unwrap();
        app.read(&mut [0; 1]).is_err()
    });
    assert!(ended, "the application saw an orderly end");
    server.wait_for("dial tcp 127.0.0.1:7001: connect: connection refused");
}

/// CLI-119: a target that speaks first is reached, although a connection with a cookie would wait for data.
#[test]
fn targets_that_speak_first_are_reached() {
    let Some(fast) = Fast::start("TCP fast open to a target that speaks first", &[], &["--tfo"]) else {
        return;
    };
    fast.target(|mut stream| {
        stream.write_all(b"220 hello").unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    for _ in 0..3 {
        fast.space.run(|| {
            let mut app = connect(ENTRY.parse().unwrap());
            let mut greeting = [0; 9];
            app.read_exact(&mut greeting).unwrap();
            assert_eq!(&greeting, b"220 hello");
        });
    }
    assert_eq!(fast.opened(), [0, 0]);
    assert!(!fast.server.log().contains("dial"), "{}", fast.server.log());
}

/// CLI-119: a client accepts data with connections; without the option it does not.
#[test]
fn applications_open_connections_with_data() {
    for (words, opened) in [(&["--tfo"][..], 2), (&[], 0)] {
        let Some(fast) = Fast::start("TCP fast open of applications", words, &[]) else { return };
        fast.target(echo);
        for _ in 0..3 {
            fast.space.run(|| {
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                set(&socket, libc::TCP_FASTOPEN_CONNECT, 1);
                let to: SocketAddr = ENTRY.parse().unwrap();
                socket.connect(&to.into()).unwrap();
                works(socket.into());
            });
        }
        assert_eq!(fast.opened(), [opened, opened]);
    }
}

/// A resolver that knows two names: of the second, only over TCP. How often it was asked is the length of its log.
fn resolver() -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(at).unwrap();
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((len, from)) = udp.recv_from(&mut question) {
            udp.send_to(&answer(&question[..len], true), from).unwrap();
        }
    });
    thread::spawn(move || {
        for mut stream in tcp.incoming().map_while(Result::ok) {
            let mut len = [0; 2];
            stream.read_exact(&mut len).unwrap();
            let mut question = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut question).unwrap();
            let answer = answer(&question, false);
            stream.write_all(&[&(answer.len() as u16).to_be_bytes(), &answer[..]].concat()).unwrap();
        }
    });
    at
}

/// 127.0.0.1 for both names, no IPv6 address, and no other name.
fn answer(question: &[u8], over_udp: bool) -> Vec<u8> {
    let asked = String::from_utf8_lossy(question).to_lowercase();
    let is_v4 = question[question.len() - 3] == 1;
    let mut answer = question.to_vec();
    answer[2] = 0x81;
    match () {
        () if asked.contains("large") && over_udp => answer[2] = 0x83,
        () if !asked.contains("target") => answer[3] = 3,
        () if is_v4 => {
            answer[7] = 1;
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]);
        }
        () => {}
    }
    answer
}

/// CLI-120: names of targets are looked up at the resolvers when the system has none that answers.
#[test]
fn names_are_looked_up_at_own_resolvers() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let echo = target(echo);
    for (file, text) in [("empty", ""), ("dead", "nameserver 127.0.0.99\noptions timeout:1 attempts:1\n")] {
        let file = folder.join(format!("resolv-{file}.conf"));
        std::fs::write(&file, text).unwrap();
        // A resolver that is gone comes first.
        let dns = format!("127.0.0.1:1,{}", resolver());
        for (host, says) in [
            ("target.test", ""),
            ("large-target.test", ""),
            ("localhost", ""),
            ("no-such-name.test", "no such host"),
        ] {
            let (udp, to) = (free_udp(), format!("{host}:{}", echo.port()));
            let words = ["-l", &udp.to_string(), "-t", &to, "--dns", &dns];
            let path = env!("CARGO_BIN_EXE_karst-server");
            let Some(server) = Program::with_file(path, &words, &file, "/etc/resolv.conf") else { return };
            server.wait_for("Listening on: ");
            let (_client, local) = start_client(udp, &[]);
            let mut app = connect(local);
            match says {
                "" => works(app),
                _ => {
                    app.write_all(b"x").unwrap();
                    assert!(app.read(&mut [0; 1]).is_err());
                    server.wait_for(says);
                }
            }
        }
    }
}

/// CLI-120: what the system's resolver knows, and that it knows no such name, is not asked elsewhere.
#[test]
fn the_systems_resolver_comes_first() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let dns = silent.local_addr().unwrap().to_string();
    let udp = free_udp();
    let to = format!("localhost:{}", target(echo).port());
    let server = Program::server(&["-l", &udp.to_string(), "-t", &to, "--dns", &dns]);
    server.wait_for("Listening on: ");
    let (_client, local) = start_client(udp, &[]);
    works(connect(local));
    assert!(silent.recv(&mut [0; 512]).is_err());
}
