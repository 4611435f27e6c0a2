//! The environment that shadowsocks gives its plugins (SIP003).
use bins::config::{Command, Config, ConfigError, load};
use bins::flags::Side;
use engine::options::Mode;

const ADDRESSES: [(&str, &str); 4] = [
    ("SS_REMOTE_HOST", "192.0.2.1"),
    ("SS_REMOTE_PORT", "8388"),
    ("SS_LOCAL_HOST", "127.0.0.1"),
    ("SS_LOCAL_PORT", "1080"),
];

fn start(side: Side, environment: &[(&str, &str)], words: &[&str]) -> Result<Config, ConfigError> {
    let words: Vec<String> = words.iter().map(|word| (*word).into()).collect();
    let value =
        |name: &str| environment.iter().rev().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    match load(side, &words, value)? {
        Command::Run(config, ..) => Ok(*config),
        Command::Print(text) => panic!("printed {text}"),
    }
}

fn plugin(side: Side, more: &[(&str, &str)], words: &[&str]) -> Result<Config, ConfigError> {
    start(side, &[&ADDRESSES[..], more].concat(), words)
}

// CLI-38
#[test]
fn addresses_are_read_from_the_environment() {
    let client = plugin(Side::Client, &[], &[]).unwrap();
    assert_eq!(
        (&*client.program.localaddr, &*client.program.remoteaddr),
        ("127.0.0.1:1080", "192.0.2.1:8388")
    );
    let server = plugin(Side::Server, &[], &[]).unwrap();
    assert_eq!((&*server.program.listen, &*server.program.target), ("192.0.2.1:8388", "127.0.0.1:1080"));
    let server =
        plugin(Side::Server, &[("SS_REMOTE_HOST", "::|0.0.0.0"), ("SS_LOCAL_HOST", "::1")], &[]).unwrap();
    assert_eq!((&*server.program.listen, &*server.program.target), (":8388", "[::1]:1080"));
    let client = plugin(Side::Client, &[], &["-r", "other:1"]).unwrap();
    assert_eq!(client.program.remoteaddr, "other:1");
}

// CLI-38
#[test]
fn options_are_read_from_the_environment_and_flags_override_them() {
    let options = [("SS_PLUGIN_OPTIONS", r"mode=fast2;nocomp;key=a\;b\=c;ds=5;mtu=1200;__android_vpn")];
    let config = plugin(Side::Client, &options, &["--mtu", "1300"]).unwrap();
    assert_eq!((config.settings.mode, &*config.settings.key), (Mode::Fast2, "a;b=c"));
    assert_eq!((config.settings.nocomp, config.settings.datashard, config.settings.mtu), (true, 5, 1300));
    // Without the addresses, the program is not a plugin.
    assert_eq!(start(Side::Client, &options, &[]).unwrap(), Config::new(Side::Client, Mode::Fast, None));
}

// CLI-38, CLI-8
#[test]
fn a_bad_environment_is_rejected_in_one_line() {
    let refusal = |environment: &[(&str, &str)]| {
        let error = start(Side::Client, environment, &[]).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        error.to_string()
    };
    let with = |options| refusal(&[&ADDRESSES[..], &[("SS_PLUGIN_OPTIONS", options)]].concat());
    assert_eq!(refusal(&ADDRESSES[..3]), "SS_LOCAL_PORT is not set, but other variables of a plugin are");
    assert_eq!(with("mtu"), "SS_PLUGIN_OPTIONS: flag needs an argument: -mtu");
    assert_eq!(with("mtu=x"), "SS_PLUGIN_OPTIONS: invalid value \"x\" for flag -mtu: parse error");
    assert!(with("crypt=rot13").starts_with("SS_PLUGIN_OPTIONS: crypt: must be aes, "));
}

// CLI-79
#[test]
fn what_hosts_and_panels_write_does_not_stop_the_program() {
    let environment = |options: &'static str| {
        move |name: &str| match name {
            "SS_PLUGIN_OPTIONS" => Some(options.to_owned()),
            name => ADDRESSES.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()),
        }
    };
    let run = |options, words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).into()).collect();
        match load(Side::Client, &words, environment(options)) {
            Ok(Command::Run(config, _, warnings)) => (config, warnings),
            other => panic!("{other:?}"),
        }
    };
    let (config, warnings) = run("key=k; mode=fast3; mtu=1200", &["--fast-open", "-V"]);
    assert_eq!((config.settings.mode, config.settings.mtu), (Mode::Fast3, 1200));
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("blanks around \"mode\""));
    let (config, warnings) = run("key=k;target=h:1;crpyt=aes;mtu=1200", &[]);
    assert_eq!(config.settings.mtu, 1200);
    assert_eq!(
        warnings,
        [
            "SS_PLUGIN_OPTIONS: unknown option \"target\" ignored",
            "SS_PLUGIN_OPTIONS: unknown option \"crpyt\" ignored"
        ]
    );
    assert!(start(Side::Client, &[], &["--fast-open"]).is_err(), "only a host writes it");
}
