//! Both programs with every multiplexer and generation.

use crate::common::{
    Pair, connect, echo, exchange, free_udp, relay, sample, start_client, start_server, target,
};
use bins::config::{Command, load};
use bins::flags::Side;
use engine::mux::DialectChoice;
use std::io::Write;
use std::thread;

/// Bytes of each stream.
const LEN: usize = 1 << 20;

fn carries(local: std::net::SocketAddr, seed: u64) {
    let data = sample(seed, LEN);
    assert!(exchange(connect(local), data.clone()) == data, "stream {seed}");
}

/// MUX-2, CLI-111: one port serves every dialect and generation at once.
#[test]
fn one_server_serves_clients_of_all_generations() {
    let udp = free_udp();
    let server = start_server(target(echo), udp, &[]);
    let generations: [&[&str]; 12] = [
        &["--compat", "2016"],
        &["--compat", "2017"],
        &["--compat", "2021"],
        &["--compat", "2023"],
        &["--compat", "2024"],
        &["--compat", "2025"],
        &["--compat", "2026"],
        &["--compat", "kcptunb"],
        &["--compat", "mihomo"],
        &["--mux", "smuxb", "--streambuf-en=0", "--nocomp"],
        &["--mux", "yamux", "--nocomp"],
        &["--smuxver", "1", "--nocomp"],
    ];
    thread::scope(|scope| {
        for (seed, words) in generations.into_iter().enumerate() {
            scope.spawn(move || {
                let (_client, local) = start_client(udp, &[words, &["--closewait", "1"]].concat());
                thread::scope(|scope| {
                    (0..2).for_each(|at| drop(scope.spawn(move || carries(local, 10 * seed as u64 + at))));
                });
            });
        }
    });
    let log = server.log();
    for spoken in ["smux version: 1", "smux version: 2", "mux: smuxb", "mux: yamux"] {
        assert!(log.contains(&format!("{spoken} on connection: ")), "{log}");
    }
    assert!(!log.contains("invalid") && !log.contains("corrupt"), "{log}");
}

/// The same over a path that loses every ninth datagram.
#[test]
fn both_other_dialects_survive_loss() {
    for mux in ["smuxb", "yamux"] {
        let udp = free_udp();
        let _server = start_server(target(echo), udp, &["--mux", mux]);
        let counts = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let path = relay(udp, move |_, _| {
            !(counts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1).is_multiple_of(9)
        });
        let (client, local) = start_client(path, &["--mux", mux, "--closewait", "1"]);
        carries(local, 5);
        client.wait_for(&format!(" mux={mux} carrier=udp\n"));
    }
}

/// MUX-1: a server that was told one dialect names that of the client.
#[test]
fn a_client_with_another_multiplexer_is_named() {
    for (ours, theirs, says) in [
        ("yamux", "smux", "the other side has --mux smux"),
        ("smux", "yamux", "the other side has --mux yamux"),
        ("smux", "smuxb", "the other side has --mux smuxb"),
    ] {
        let udp = free_udp();
        let server = start_server(target(echo), udp, &["--mux", ours]);
        let (_client, local) = start_client(udp, &["--mux", theirs]);
        let _stream = connect(local);
        server.wait_for(says);
    }
}

/// MUX-1: a client whose server ends its sessions names the multiplexer.
#[test]
fn a_server_with_another_multiplexer_is_named() {
    let udp = free_udp();
    let _server = start_server(target(echo), udp, &["--mux", "smux"]);
    let (client, local) = start_client(udp, &["--mux", "yamux"]);
    let mut stream = connect(local);
    stream.write_all(b"anything").unwrap();
    client.wait_for("or it does not have --mux yamux");
    let udp = free_udp();
    let _server = start_server(target(echo), udp, &["--mux", "yamux"]);
    let (client, local) = start_client(udp, &[]);
    let _stream = connect(local);
    client.wait_for("Those of 2016 need --compat 2016");
}

/// CLI-111: start-up states what a generation chose.
#[test]
fn start_up_states_the_generation_and_what_it_chose() {
    let pair = Pair::start(target(echo), &["--compat", "kcptunb", "--streambuf", "131072"]);
    let chosen = "smuxver=1 framesize=32767 streambuf=131072 keepalivems=10000 keepalive-timeout=75000 pipebuf=262144 tfo=true";
    pair.client.wait_for(&format!("compat: kcptunb mux=smuxb {chosen}\n"));
    pair.client.wait_for("mux: smuxb\n");
    pair.server.wait_for(&format!("compat: kcptunb {chosen}\n"));
}

fn settings(side: Side, words: &str) -> engine::Settings {
    let words: Vec<String> = words.split(' ').map(String::from).collect();
    match load(side, &words, |_| None).unwrap() {
        Command::Run(config, ..) => config.settings.clone(),
        other => panic!("{other:?}"),
    }
}

/// CLI-111: explicit options overrule those of the generation, and every name of a generation is an option.
#[test]
fn a_generation_sets_defaults_only() {
    let settings_2016 = settings(Side::Client, "--compat 2016 --rcvwnd 77");
    assert_eq!((settings_2016.mux, settings_2016.rcvwnd), (DialectChoice::Yamux, 77));
    assert_eq!(settings_2016.nodelay_parameters(), [0, 20, 2, 1]);
    assert_eq!(settings(Side::Client, "--compat 2016 --mux smux").mux, DialectChoice::Smux);
    assert_eq!(settings(Side::Server, "--compat 2016").mux, DialectChoice::Auto);
    assert_eq!(settings(Side::Server, "--compat 2026"), {
        let mut plain = settings(Side::Server, "--mux auto");
        plain.compat = Some(engine::options::Compat::Y2026);
        plain
    });
    for compat in engine::options::Compat::ALL {
        for side in [Side::Client, Side::Server] {
            for (name, value) in compat.defaults(side) {
                let flag = bins::flags::find(side, name).unwrap_or_else(|| panic!("{name}"));
                assert_eq!(flag.kind, value.kind(), "{name}");
            }
            let words = format!("--compat {}", compat.name());
            assert!(settings(side, &words).tunnel_config().is_ok(), "{words}");
        }
    }
}

/// CLI-112: kcptunB's options under its flags and JSON keys.
#[test]
fn kcptunb_options_have_its_keys() {
    let text = r#"{"maxframe": 1000, "boosttimeout": 5, "streambuf-en": false, "keepalivems": 250,
        "keepalive-timeout": 9000, "pipebuf": 4096, "streambuf": 5000, "streamboost": 1}"#;
    let file = bins::config::parse_json(text, Side::Client).unwrap();
    assert_eq!(file.unknown, ["streamboost"]);
    let mut config = bins::config::Config::new(Side::Client, engine::options::Mode::Fast, None);
    for (flag, value) in &file.given {
        config.set(flag, value).unwrap();
    }
    assert_eq!(config.pipe_bytes(), 4096);
    let mux = config.settings.tunnel_config().unwrap().mux;
    assert_eq!((mux.frame_bytes_max, mux.boost_ms, mux.stream_buffers), (1000, 5, false));
    assert_eq!((mux.keepalive_ms, mux.peer_timeout_ms, mux.stream_bytes_max), (250, 9000, 5000));
    assert!(!settings(Side::Server, "--streambuf-en=0").streambuf_en);
    assert_eq!(settings(Side::Server, "--maxframe 77").framesize, 77);
    let text = r#"{"dns": ["1.1.1.1:53", "[::1]:54"], "tfo": true}"#;
    let file = bins::config::parse_json(text, Side::Server).unwrap();
    let mut config = bins::config::Config::new(Side::Server, engine::options::Mode::Fast, None);
    for (flag, value) in &file.given {
        config.set(flag, value).unwrap();
    }
    assert_eq!((config.program.dns.as_str(), config.program.tfo), ("1.1.1.1:53,[::1]:54", true));
    assert!(bins::config::parse_json(r#"{"dns": [1]}"#, Side::Server).is_err());
    let refused = settings(Side::Client, "--keepalivems 40000").tunnel_config().unwrap_err();
    assert_eq!(refused.flag, "keepalivems");
}
