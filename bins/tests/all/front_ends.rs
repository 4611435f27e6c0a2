//! What front ends of kcptun write and call, as the table of bins/README.md lists it (CLI-96).
use crate::common::{Program, connect, echo, exchange, free_udp, sample, target};
use bins::config::{Command, Config, load};
use bins::flags::Side;
use engine::crypt::Cipher;
use engine::options::Mode;
use std::path::{Path, PathBuf};
use std::process;

fn file(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("front-ends");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The configuration of a command line in an environment, and its warnings without those about keys and ciphers.
fn configured(side: Side, words: &[&str], environment: &[(&str, &str)]) -> (Config, Vec<String>) {
    let words: Vec<String> = words.iter().map(|word| (*word).into()).collect();
    let value = |name: &str| environment.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).into());
    match load(side, &words, value).unwrap() {
        Command::Run(config, _, mut warnings) => {
            warnings.retain(|warning| !warning.starts_with("WARNING: "));
            (*config, warnings)
        }
        Command::Print(text) => panic!("printed {text}"),
    }
}

fn of_file(side: Side, name: &str, text: &str) -> (Config, Vec<String>) {
    configured(side, &["-c", file(name, text).to_str().unwrap()], &[])
}

fn version(path: &str) -> String {
    String::from_utf8(process::Command::new(path).arg("-v").output().unwrap().stdout).unwrap()
}

// CLI-96, CLI-27: the page accepts a client whose version begins with kcptun, and shows the third word.
#[test]
fn luci_reads_the_version() {
    let text = version(env!("CARGO_BIN_EXE_karst-client"));
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!((words[0], words[2]), ("kcptun", bins::VERSION));
}

// CLI-96, CLI-72
#[test]
fn luci_writes_a_file_for_the_client() {
    let text = r#"{
        "remoteaddr": "[2001:db8::1]:29900",
        "localaddr": "0.0.0.0:12948",
        "key": "secret",
        "crypt": "aes",
        "mode": "manual",
        "conn": 1,
        "autoexpire": 0,
        "mtu": 9200,
        "sndwnd": 128,
        "rcvwnd": 512,
        "datashard": 10,
        "parityshard": 3,
        "dscp": 0,
        "nodelay": 0,
        "interval": 50,
        "resend": 0,
        "nc": 0,
        "sockbuf": 4194304,
        "keepalive": 10,
        "scavengettl": -1,
        "snmpperiod": 60,
        "nocomp": false,
        "acknodelay": true,
        "log": "/var/log/kcptun/client.log"
    }"#;
    let path = file("luci.json", text);
    let words = ["-c", path.to_str().unwrap()];
    let (config, warnings) = configured(Side::Client, &words, &[]);
    assert_eq!(warnings, [""; 0]);
    assert_eq!((config.settings.mode, config.settings.acknodelay), (Mode::Manual, true));
    assert_eq!((config.program.scavengettl, &*config.program.log), (-1, "/var/log/kcptun/client.log"));
    assert_eq!(config.program.remoteaddr, "[2001:db8::1]:29900");
    // Its list of modes ends with manual.
    let (config, _) = configured(Side::Client, &words, &[("KARST_MODE", "auto")]);
    assert_eq!(config.settings.mode, Mode::Auto);
}

// CLI-96, CLI-38, CLI-79
#[test]
fn shadowsocks_hosts_start_plugins() {
    let address = |side: &str| match side {
        "local" => [("SS_LOCAL_HOST", "127.0.0.1"), ("SS_LOCAL_PORT", "41003")],
        _ => [("SS_REMOTE_HOST", "203.0.113.7"), ("SS_REMOTE_PORT", "29900")],
    };
    let options = ("SS_PLUGIN_OPTIONS", "key=secret;mode=fast2;nocomp;__android_vpn");
    let environment = [&address("local")[..], &address("remote"), &[options]].concat();
    // shadowsocks-libev adds --fast-open, Android's app -V as well.
    for words in [&[][..], &["--fast-open"], &["--fast-open", "-V"]] {
        let (client, warnings) = configured(Side::Client, words, &environment);
        assert_eq!(warnings, [""; 0]);
        assert_eq!((&*client.settings.key, client.settings.mode), ("secret", Mode::Fast2));
        let addresses = (&*client.program.localaddr, &*client.program.remoteaddr);
        assert_eq!(addresses, ("127.0.0.1:41003", "203.0.113.7:29900"));
        let (server, _) = configured(Side::Server, words, &environment);
        assert_eq!(
            (&*server.program.listen, &*server.program.target),
            ("203.0.113.7:29900", "127.0.0.1:41003")
        );
    }
}

// CLI-96: its own client and listener are configured with kcptun's keys, and smux 1 by default.
#[test]
fn mihomo_has_the_same_options() {
    let text = r#"{
        "key": "it's a secrect", "crypt": "aes", "mode": "fast", "conn": 1, "autoexpire": 0, "scavengettl": 600,
        "mtu": 1350, "ratelimit": 0, "sndwnd": 128, "rcvwnd": 512, "datashard": 10, "parityshard": 3, "dscp": 0,
        "nocomp": false, "acknodelay": false, "nodelay": 0, "interval": 50, "resend": 0, "nc": 0, "sockbuf": 4194304,
        "smuxver": 1, "smuxbuf": 4194304, "framesize": 8192, "streambuf": 2097152, "keepalive": 10
    }"#;
    let (client, warnings) = of_file(Side::Client, "mihomo-client.json", text);
    assert_eq!(warnings, [""; 0]);
    let mut expected = Config::new(Side::Client, Mode::Fast, None);
    expected.settings.smuxver = 1;
    expected.program.file.clone_from(&client.program.file);
    assert_eq!(client, expected);
    let (server, warnings) = of_file(Side::Server, "mihomo-server.json", text);
    // What only a client has is named and ignored.
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_eq!((server.settings.smuxver, server.settings.rcvwnd), (1, 512));
}

// CLI-96: a JSON file with the keys of an interview, run by a supervisor.
#[test]
fn install_scripts_write_a_file_for_the_server() {
    let text = "{\n\t\"listen\": \":29900\",\n\t\"target\": \"127.0.0.1:12984\",\n\t\"key\": \"p w\",\n\t\"crypt\": \"salsa20\",\n\t\
        \"mode\": \"manual\",\n\t\"mtu\": 1350,\n\t\"sndwnd\": 512,\n\t\"rcvwnd\": 512,\n\t\"datashard\": 10,\n\t\
        \"parityshard\": 3,\n\t\"dscp\": 0,\n\t\"nodelay\": 1,\n\t\"resend\": 2,\n\t\"nc\": 1,\n\t\"interval\": 20,\n\t\
        \"sockbuf\": 4194304,\n\t\"keepalive\": 10,\n\t\"acknodelay\": false,\n\t\"nocomp\": true,\n\t\"quiet\": false,\n\t\
        \"tcp\": false,\n\t\"snmplog\": \"\",\n\t\"snmpperiod\": 60,\n\t\"pprof\": false,\n\t\"smuxbuf\": 4194304\n}\n";
    let (config, warnings) = of_file(Side::Server, "script.json", text);
    assert_eq!(warnings, [""; 0]);
    assert_eq!((config.settings.crypt, &*config.settings.key), (Cipher::Salsa20, "p w"));
    assert_eq!(config.settings.nodelay_parameters(), [1, 20, 2, 1]);
    assert!(config.settings.nocomp && !config.program.quiet);
    // The line for mobile clients, in one piece.
    let line = "-autoexpire 60 -key secret -crypt aes-128 -mode fast3 -mtu 1400 -datashard 5 -parityshard 5 -dscp 46 \
        -nodelay 1 -resend 2 -nc 1 -interval 20 -sockbuf 4194304 -keepalive 10 -acknodelay -nocomp";
    let (client, warnings) = configured(Side::Client, &line.split_whitespace().collect::<Vec<_>>(), &[]);
    assert_eq!(warnings, [""; 0]);
    assert_eq!((client.program.autoexpire, client.program.dscp, client.settings.datashard), (60, 46, 5));
    assert!(client.settings.nocomp && client.settings.acknodelay);
}

// CLI-96: words of a compose file; a panel waits for "listening on: " and stops the program by SIGINT.
#[test]
fn docker_images_run_a_command_line() {
    let to = target(echo).to_string();
    let udp = free_udp();
    let words = ["-l", &udp.to_string(), "-t", &to, "-mode", "fast", "--key", "secret", "--crypt", "aes-192"];
    let mut server = Program::server(&words);
    server.wait_for("listening on: ");
    let client = [
        "-r",
        &udp.to_string(),
        "-l",
        "127.0.0.1:0",
        "-mode",
        "fast",
        "--key",
        "secret",
        "--crypt",
        "aes-192",
    ];
    let client = Program::client(&client);
    let log = client.wait_for("key derivation done");
    let local = log.split_once("listening on: ").unwrap().1.lines().next().unwrap().parse().unwrap();
    let data = sample(11, 20_000);
    assert_eq!(exchange(connect(local), data.clone()), data);
    server.signal(libc::SIGINT);
    assert!(
        server.wait(std::time::Duration::from_secs(10)).is_some_and(|status| status.success()),
        "{}",
        server.log()
    );
}

// CLI-96: an entry script fills a file from variables, with options of both sides, and shows the version.
#[test]
fn docker_images_write_a_file_from_variables() {
    let text = r#"{
    "listen": "0.0.0.0:29900",
    "target": "127.0.0.1:8388",
    "key": "password",
    "crypt": "aes",
    "mode": "fast2",
    "conn": 1,
    "autoexpire": 0,
    "mtu": 1350,
    "sndwnd": 1024,
    "rcvwnd": 1024,
    "datashard": 10,
    "parityshard": 10,
    "dscp": 46,
    "nocomp": true,
    "log": "/dev/null"
}"#;
    let path = file("docker.json", text);
    // The variable of its key is the one that kcptun reads.
    let environment = [("KCPTUN_KEY", "of the environment"), ("KCPTUN_MODE", "normal")];
    let (config, warnings) = configured(Side::Server, &["-c", path.to_str().unwrap()], &environment);
    assert_eq!((&*config.settings.key, config.settings.mode), ("password", Mode::Fast2));
    let named =
        |key: &str| warnings.iter().any(|line| line.contains(&format!("unknown key \"{key}\" ignored")));
    assert!(warnings.len() == 2 && named("conn") && named("autoexpire"), "{warnings:?}");
    assert!(version(env!("CARGO_BIN_EXE_karst-server")).starts_with("kcptun "));
}

// CLI-96: the files that Debian installs as examples, and its unit, which runs the program with `-c FILE`.
#[test]
fn debian_has_example_files() {
    let both = r#""key": "PASSWORD", "crypt": "aes-128", "mode": "fast3", "mtu": 1400, "datashard": 10, "parityshard": 3,
        "dscp": 46, "nocomp": true, "acknodelay": false, "nodelay": 1, "interval": 40, "resend": 2, "nc": 1,
        "sockbuf": 16777217, "smuxver": 1, "smuxbuf": 16777217, "streambuf": 2097152, "keepalive": 10, "quiet": false,
        "tcp": false"#;
    let client = format!(
        r#"{{"localaddr": ":2000", "remoteaddr": "11.22.33.44:2000", "sndwnd": 128, "rcvwnd": 1024, "autoexpire": 1800, {both}}}"#
    );
    let (client, warnings) = of_file(Side::Client, "debian-client.json", &client);
    assert_eq!((warnings.len(), client.program.autoexpire, client.settings.smuxver), (0, 1800, 1));
    // The mode's preset counts, not the numbers beside it.
    assert_eq!(client.settings.nodelay_parameters(), [1, 10, 2, 1]);
    let server = format!(
        r#"{{"listen": ":2000", "target": "127.0.0.1:9999", "sndwnd": 2048, "rcvwnd": 2048, "pprof": false, {both}}}"#
    );
    let (server, warnings) = of_file(Side::Server, "debian-server.json", &server);
    assert_eq!((warnings.len(), server.settings.sndwnd, server.program.sockbuf), (0, 2048, 16_777_217));
}

// CLI-96: each row names a test above, and each test has a row.
#[test]
fn the_manual_lists_every_front_end() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = manual.split_once("### Front ends").unwrap();
    let table = rest.split("\n## ").next().unwrap();
    let mut rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let mut tests: Vec<String> = include_str!("front_ends.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("fn ")?.strip_suffix("() {").map(str::to_owned))
        .filter(|name| name != "the_manual_lists_every_front_end")
        .collect();
    rows.retain(|row| {
        let name = row.trim_end_matches(" |").rsplit(' ').next().unwrap().trim_matches('`');
        let place = tests.iter().position(|test| test == name).unwrap_or_else(|| panic!("no test {name}"));
        tests.remove(place);
        false
    });
    assert_eq!(tests, [""; 0], "tests without a row");
}
