//! `check` names what is wrong between two ends, and measures the path (CLI-90 to CLI-92).
use crate::common::{Program, echo, free_udp, relay, skipped, start_server, target};
use bins::check::Fault;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Exit status and text of a check.
struct Checked {
    status: Option<i32>,
    text: String,
}

impl Checked {
    fn of(output: Output) -> Self {
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        Self { status: output.status.code(), text }
    }

    fn client(words: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_karst-client");
        Self::of(Command::new(program).env_remove("KCPTUN_KEY").arg("check").args(words).output().unwrap())
    }

    fn server(words: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_karst-server");
        Self::of(Command::new(program).env_remove("KCPTUN_KEY").arg("check").args(words).output().unwrap())
    }

    fn to(server: SocketAddr, words: &[&str]) -> Self {
        Self::client(&[&["-r", &server.to_string()], words].concat())
    }

    #[track_caller]
    fn names(&self, fault: Fault, texts: &[&str]) {
        assert_eq!(self.status, Some(i32::from(fault.code())), "{}", self.text);
        assert_eq!(self.text.matches("FAULT").count(), 1, "{}", self.text);
        for text in texts {
            assert!(self.text.contains(text), "no {text:?} in:\n{}", self.text);
        }
    }

    #[track_caller]
    fn works(&self, texts: &[&str]) {
        assert_eq!(self.status, Some(0), "{}", self.text);
        for text in texts.iter().chain(&["The tunnel works."]) {
            assert!(self.text.contains(text), "no {text:?} in:\n{}", self.text);
        }
    }
}

const KEY: [&str; 2] = ["--key", "a key of this test"];

/// A karst server in front of an echo.
fn server(more: &[&str]) -> (Program, SocketAddr) {
    let udp = free_udp();
    (start_server(target(echo), udp, &[&KEY[..], more].concat()), udp)
}

fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

// CLI-90
#[test]
fn a_tunnel_that_works_is_measured() {
    for words in [&["--mode", "auto"][..], &["--smuxver", "1", "--nocomp"], &["--crypt", "aes-128-gcm"]] {
        let (_server, udp) = server(words);
        let checked = Checked::to(udp, &[&KEY[..], words].concat());
        checked.works(&["ok    answer", "karst; --smuxver", "accepts connections", "shortest ", " ms, with"]);
        checked.works(&["to the server 0.0 %, from the server 0.0 % of 100 datagrams"]);
        checked.works(&[
            "datagrams of 1350 bytes arrive; the path to the server takes up to 1500 bytes or more",
        ]);
    }
}

// CLI-90
#[test]
fn a_wrong_key_is_named() {
    let (_server, udp) = server(&[]);
    let checked = Checked::to(udp, &["--key", "another key"]);
    checked.names(Fault::Key, &["answers no cipher with this key: --key differs"]);
    let udp = free_udp();
    let _server = start_server(target(echo), udp, &["--key", "spaced\n"]);
    Checked::to(udp, &["--key", "spaced"]).names(Fault::Key, &["followed by a line feed"]);
    let udp = free_udp();
    let _server = start_server(target(echo), udp, &[]);
    Checked::to(udp, &KEY).names(Fault::Key, &["started without --key"]);
}

// CLI-90
#[test]
fn another_cipher_is_named() {
    let (_server, udp) = server(&["--crypt", "twofish"]);
    let texts = ["uses --crypt twofish, this side --crypt aes", "start this side with --crypt twofish"];
    Checked::to(udp, &KEY).names(Fault::Cipher, &texts);
}

// CLI-90
#[test]
fn compression_of_one_side_is_named() {
    let (_server, udp) = server(&["--mux", "smux", "--nocomp"]);
    let checked = Checked::to(udp, &[&KEY[..], &["--nocomp=false"]].concat());
    checked.names(Fault::Compression, &["has --nocomp, this side compresses"]);
    let (_server, udp) = server(&["--mux", "smux"]);
    let checked = Checked::to(udp, &[&KEY[..], &["--nocomp"]].concat());
    checked.names(Fault::Compression, &["compresses, this side has --nocomp"]);
}

// CLI-90
#[test]
fn another_version_of_smux_is_named() {
    for (theirs, ours) in [("1", "2"), ("2", "1")] {
        let (_server, udp) = server(&["--mux", "smux", "--smuxver", theirs]);
        let checked = Checked::to(udp, &[&KEY[..], &["--smuxver", ours]].concat());
        let text = format!("uses --smuxver {theirs}, this side --smuxver {ours}");
        checked.names(Fault::Mux, &[&text, &format!("start this side with --smuxver {theirs}")]);
    }
}

// CLI-90, QPP-11
#[test]
fn other_pads_are_named() {
    for (theirs, ours, text) in [
        (&["--QPP"][..], &[][..], "the other side has --QPP and this one has not"),
        (&[], &["--QPP"], "this side has --QPP and the other one has not"),
        (&["--QPP", "--QPPCount", "59"], &["--QPP"], "different --QPPCount"),
    ] {
        let (_server, udp) = server(theirs);
        Checked::to(udp, &[&KEY[..], ours].concat())
            .names(Fault::Pads, &[text, "make --QPP and --QPPCount equal"]);
    }
    let (_server, udp) = server(&["--QPP"]);
    Checked::to(udp, &[&KEY[..], &["--QPP"]].concat()).works(&["karst; --smuxver"]);
}

// CLI-90
#[test]
fn a_closed_port_is_named() {
    let udp = free_udp();
    let text = format!("UDP port {} of 127.0.0.1 is closed", udp.port());
    Checked::to(udp, &KEY).names(Fault::Port, &[&text]);
    let (_server, udp) = server(&[]);
    let range = format!("127.0.0.1:{}-{}", udp.port(), udp.port() + 1);
    if UdpSocket::bind(("127.0.0.1", udp.port() + 1)).is_ok() {
        let text = format!("127.0.0.1:{} does not answer although", udp.port() + 1);
        Checked::client(&[&["-r", &range], &KEY[..]].concat()).names(Fault::Port, &[&text]);
    }
}

// CLI-90
#[test]
fn a_name_without_an_address_is_named() {
    let checked = Checked::client(&["-r", "no-such-host.invalid:29900"]);
    checked.names(Fault::Name, &["\"no-such-host.invalid\" does not resolve", "getent ahosts"]);
}

// CLI-90: every datagram ends in a device whose other end has no address.
#[test]
fn a_path_that_drops_everything_is_named() {
    let script = "ip link add v0 type veth peer name v1 && ip addr add 192.0.2.1/24 dev v0 && \
        ip link set v0 up && ip link set v1 up && ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev v0 && exec \"$@\"";
    let run = |program: &str, words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script, "sh", program]).args(words);
        command.stderr(Stdio::null()).output()
    };
    if !run("true", &[]).is_ok_and(|output| output.status.success()) {
        return skipped("a path that drops everything", "no right to a network namespace (root has it)");
    }
    let words = ["check", "-r", "192.0.2.2:29900"];
    let checked = Checked::of(run(env!("CARGO_BIN_EXE_karst-client"), &words).unwrap());
    checked.names(Fault::Silence, &["nothing comes back from 192.0.2.2:29900", "UDP port 29900"]);
}

// CLI-90
#[test]
fn a_target_that_refuses_is_named() {
    let udp = free_udp();
    let _server = start_server(closed_port(), udp, &KEY);
    Checked::to(udp, &KEY).names(Fault::Target, &["the server cannot connect to its target"]);
}

// CLI-90
#[test]
fn an_mtu_beyond_that_of_the_path_is_named() {
    let (_server, udp) = server(&[]);
    let path = relay(udp, |to_server, len| !to_server || len <= 1280);
    let checked = Checked::to(path, &KEY);
    checked.names(Fault::Mtu, &["datagrams of 1350 bytes do not arrive", "--mtu "]);
    let (_, advised) = checked.text.split_once("set --mtu ").unwrap();
    let advised: usize = advised.split(' ').next().unwrap().parse().unwrap();
    assert!((1272..=1280).contains(&advised), "{}", checked.text);
    Checked::to(path, &[&KEY[..], &["--mtu", "1272"]].concat()).works(&["datagrams of 1272 bytes arrive"]);
}

// CLI-90: the loss of each direction is measured.
#[test]
fn loss_is_measured_in_each_direction() {
    for (lossy, modes) in [(true, "fast"), (false, "auto")] {
        let words = [&KEY[..], &["--mode", modes]].concat();
        let (_server, udp) = server(&["--mode", modes]);
        let count = Arc::new(AtomicUsize::new(0));
        let path = relay(udp, move |to_server, _| {
            to_server != lossy || !count.fetch_add(1, Ordering::Relaxed).is_multiple_of(5)
        });
        let checked = Checked::to(path, &words);
        checked.names(Fault::Loss, &["use --mode auto on both sides"]);
        let percent = |name: &str| -> f64 {
            let (_, rest) = checked.text.split_once(name).unwrap();
            rest.split(' ').next().unwrap().parse().unwrap()
        };
        let (up, down) = (percent("to the server "), percent("from the server "));
        let (lost, kept) = if lossy { (up, down) } else { (down, up) };
        assert!((15.0..=25.0).contains(&lost) && kept == 0.0, "{}", checked.text);
    }
}

// CLI-90: kcptun's server answers the same questions, as far as it answers.
#[test]
fn a_server_of_kcptun_is_checked() {
    let udp = free_udp();
    let Some(_go) = go_server(target(echo), udp, &KEY) else { return };
    let old = ["--key", KEY[1], "--smuxver", "1"];
    Checked::to(udp, &old).works(&[
        "kcptun; --smuxver 1",
        "ok    target       accepts connections",
        "0.0 % of 100",
    ]);
    let checked = Checked::to(udp, &[&KEY[..], &["--smuxver", "2"]].concat());
    checked.names(Fault::Mux, &["uses --smuxver 1, this side --smuxver 2"]);
    // What was not given, a client finds out itself.
    Checked::to(udp, &KEY).works(&[
        "note  mux",
        "uses --smuxver 1, which this side finds out",
        "0.0 % of 100",
    ]);
    let checked = Checked::to(udp, &[&old[..], &["--nocomp"]].concat());
    checked.names(Fault::Compression, &["compresses, this side has --nocomp"]);
    let checked = Checked::to(udp, &[&old[..], &["--crypt", "salsa20"]].concat());
    checked.names(Fault::Cipher, &["uses --crypt aes, this side --crypt salsa20"]);
    Checked::to(udp, &["--key", "another"]).names(Fault::Key, &["--key differs"]);
    let refused = free_udp();
    let Some(_go) = go_server(closed_port(), refused, &KEY) else { return };
    Checked::to(refused, &old).names(Fault::Target, &["its target refuses connections"]);
}

fn go_server(target: SocketAddr, udp: SocketAddr, more: &[&str]) -> Option<Program> {
    if Command::new("kcptun-server").arg("-v").output().is_err() {
        skipped("checks of kcptun", "kcptun-server is not installed");
        return None;
    }
    let (target, udp) = (target.to_string(), udp.to_string());
    let server = Program::start("kcptun-server", &[&["-t", &target, "-l", &udp], more].concat());
    server.wait_for("key derivation done");
    Some(server)
}

// CLI-91
#[test]
fn a_server_checks_its_ports_and_target() {
    let (running, udp) = server(&[]);
    let (port, target_port) = (udp.to_string(), target(echo).to_string());
    let check = |listen: &str, target: &str| Checked::server(&["-l", listen, "-t", target, KEY[0], KEY[1]]);
    let free = free_udp().to_string();
    let checked = check(&free, &target_port);
    assert_eq!(checked.status, Some(0), "{}", checked.text);
    let texts = [&format!("{free}/udp is free"), "accepts connections", "descriptors", "A server can run"];
    assert!(texts.iter().all(|text| checked.text.contains(*text)), "{}", checked.text);
    let checked = check(&port, &target_port);
    assert!(
        checked.status == Some(0)
            && checked.text.contains("a server with this --key and --crypt already runs")
    );
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let checked = check(&taken.local_addr().unwrap().to_string(), &target_port);
    checked.names(Fault::Listen, &["in use by another program"]);
    check(&free, &closed_port().to_string())
        .names(Fault::Target, &["does not accept connections", "nothing listens"]);
    check(&free, "/no/such/socket").names(Fault::Target, &["unix:/no/such/socket"]);
    drop(running);
}

// CLI-92
#[test]
fn options_that_cannot_work_end_a_check_like_a_run() {
    let checked = Checked::client(&["--crypt", "rot13"]);
    assert!(
        checked.status == Some(2) && checked.text.starts_with("karst-client: --crypt"),
        "{}",
        checked.text
    );
    let checked = Checked::server(&["-c", "/no/such/file"]);
    assert_eq!(checked.status, Some(1), "{}", checked.text);
}

// CLI-92
#[test]
fn every_fault_has_its_status_in_the_manual_page() {
    let page = Command::new(env!("CARGO_BIN_EXE_karst-client")).arg("--man").output().unwrap().stdout;
    let page = String::from_utf8(page).unwrap().replace("\\(aq", "'").replace('\\', "");
    let mut codes: Vec<u8> = Fault::ALL.iter().map(|fault| fault.code()).collect();
    for fault in Fault::ALL {
        assert!(page.contains(&format!("fB{}fR\n{}", fault.code(), fault.meaning())), "{fault:?}:\n{page}");
    }
    codes.dedup();
    assert_eq!(codes, (3..16).collect::<Vec<u8>>());
}
