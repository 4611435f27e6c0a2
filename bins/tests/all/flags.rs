//! The command line: the table, Go's syntax, and the one-line errors.
use bins::config::{Command, Config, ConfigError, load};
use bins::flags::{self, GoError, Side, help, parse, parse_bool, parse_int};
use engine::Settings;
use engine::options::Mode;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(Into::into).collect()
}

fn run_with(side: Side, line: &str, key: Option<&str>) -> Result<Config, ConfigError> {
    let environment = |name: &str| (name == "KCPTUN_KEY").then(|| key.map(Into::into)).flatten();
    match load(side, &words(line), environment)? {
        Command::Run(config, ..) => Ok(*config),
        Command::Print(text) => panic!("printed {text}"),
    }
}

fn client(line: &str) -> Result<Config, ConfigError> {
    run_with(Side::Client, line, None)
}

fn refusal(side: Side, line: &str) -> String {
    let error = run_with(side, line, None).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(!error.to_string().contains('\n'));
    error.to_string()
}

// CLI-1: the defaults in the table are those the programs run with.
#[test]
fn defaults_of_the_table_are_the_engines() {
    for (side, settings) in [(Side::Client, Settings::client()), (Side::Server, Settings::server())] {
        let config = Config::new(side, Mode::Fast, None);
        assert_eq!(config.settings, settings);
        for flag in flags::of(side) {
            assert_eq!(config.value(flag), flag.default_for(side), "{}", flag.name);
        }
    }
}

// CLI-1
#[test]
fn every_spelling_belongs_to_one_option_per_side() {
    for side in [Side::Client, Side::Server] {
        let mut seen = Vec::new();
        for flag in flags::of(side) {
            for spelling in std::iter::once(&flag.name).chain(flag.aliases) {
                assert!(!seen.contains(spelling), "{spelling}");
                seen.push(spelling);
            }
        }
    }
}

// CLI-2
#[test]
fn one_dash_is_two_dashes_and_equals_is_the_next_word() {
    for line in ["-mtu 1200", "--mtu 1200", "-mtu=1200", "--mtu=1200"] {
        assert_eq!(client(line).unwrap().settings.mtu, 1200, "{line}");
    }
    let config = client("-l=127.0.0.1:1 --r h:2 -ds 7 --ps=2").unwrap();
    assert_eq!(
        (config.program.localaddr.as_str(), config.program.remoteaddr.as_str()),
        ("127.0.0.1:1", "h:2")
    );
    assert_eq!((config.settings.datashard, config.settings.parityshard), (7, 2));
    assert_eq!(client("--key a=b=c").unwrap().settings.key, "a=b=c");
    assert_eq!(client("--key=a=b").unwrap().settings.key, "a=b");
    assert_eq!(client("--key --nocomp").unwrap().settings.key, "--nocomp", "a value may look like a flag");
}

// CLI-3
#[test]
fn booleans_take_a_value_only_after_an_equals_sign() {
    assert!(client("--nocomp").unwrap().settings.nocomp);
    for (text, value) in
        [("1", true), ("t", true), ("T", true), ("TRUE", true), ("true", true), ("True", true)]
    {
        assert_eq!(parse_bool(text), Ok(value));
        assert_eq!(client(&format!("--nocomp={text}")).unwrap().settings.nocomp, value);
    }
    for text in ["0", "f", "F", "FALSE", "false", "False"] {
        assert!(!client(&format!("--nocomp --nocomp={text}")).unwrap().settings.nocomp, "{text}");
    }
    for text in ["yes", "tRUE", "", "on"] {
        assert_eq!(parse_bool(text), Err(GoError::Syntax));
    }
    // CLI-4: `false` is not a flag, so parsing stops there.
    let text = refusal(Side::Client, "--nocomp false --mtu 900");
    assert_eq!(
        text,
        "unexpected word \"false\": --nocomp takes its value after an equals sign, write --nocomp=false"
    );
    let config = client("--go-args --nocomp false --mtu 900").unwrap();
    assert!(config.settings.nocomp);
    assert_eq!(config.settings.mtu, 1350);
}

// CLI-4
#[test]
fn parsing_stops_at_the_first_word_that_is_not_a_flag() {
    for line in ["word --mtu 900 --bogus", "- --mtu 900", "-- --mtu 900 --bogus"] {
        assert_eq!(client(&format!("--go-args {line}")).unwrap().settings.mtu, 1350, "{line}");
        let word = line.trim_start_matches("-- ").split(' ').next().unwrap();
        assert!(refusal(Side::Client, line).starts_with(&format!("unexpected word {word:?}: ")), "{line}");
    }
    for dash in ['\u{2013}', '\u{2014}', '\u{2212}', '\u{2010}'] {
        let text = refusal(Side::Client, &format!("--mtu 900 {dash}-key secret"));
        assert!(text.ends_with(": it begins with a typographic dash, write --key"), "{text}");
    }
    assert!(client("--").is_ok());
    let text = refusal(Side::Client, "-- --mtu 900");
    assert_eq!(text, "unexpected word \"--mtu\": options end at the word --, remove it");
    let text = refusal(Side::Client, "--tcp kcptun-tcp");
    assert!(text.ends_with(": --tcp takes its value after an equals sign, write --tcp=kcptun-tcp"), "{text}");
    for line in ["help", "h", "--mtu 1 help --bogus", "-h", "--help", "-- h"] {
        assert!(matches!(load(Side::Client, &words(line), |_| None), Ok(Command::Print(_))), "{line}");
    }
}

// CLI-5
#[test]
fn integers_have_gos_base_0_syntax() {
    let good = [
        ("1350", 1350),
        ("0x546", 1350),
        ("0X54_6", 1350),
        ("010", 8),
        ("0o17", 15),
        ("0b101", 5),
        ("1_000", 1000),
        ("0_7", 7),
        ("0x_1f", 31),
        ("-12", -12),
        ("+3", 3),
        ("0", 0),
        ("-0", 0),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ];
    for (text, value) in good {
        assert_eq!(parse_int(text), Ok(value), "{text}");
    }
    for text in
        ["", "-", "+", "abc", "1.5", "1e3", "09", "0x", "0b2", "_1", "1_", "1__0", "--1", "1 ", "0x1_", "é"]
    {
        assert_eq!(parse_int(text), Err(GoError::Syntax), "{text}");
    }
    for text in
        ["9223372036854775808", "-9223372036854775809", "99999999999999999999999999999999999999999999"]
    {
        assert_eq!(parse_int(text), Err(GoError::Range), "{text}");
    }
}

// CLI-6
#[test]
fn the_last_repeated_flag_wins_and_two_spellings_are_rejected() {
    assert_eq!(client("--mtu 1 --mtu 2 -mtu 3").unwrap().settings.mtu, 3);
    assert_eq!(client("-l :1 -l :2").unwrap().program.localaddr, ":2");
    for line in ["-l :1 --localaddr :2", "--localaddr :2 -l :1"] {
        assert_eq!(refusal(Side::Client, line), "Cannot use two forms of the same flag: l localaddr");
    }
    assert_eq!(refusal(Side::Server, "--listen :1 -l :1"), "Cannot use two forms of the same flag: l listen");
}

// CLI-8
#[test]
fn errors_name_the_flag_and_the_value() {
    let cases = [
        ("--bogus", "flag provided but not defined: -bogus; see --help"),
        ("-bogus=3", "flag provided but not defined: -bogus; see --help"),
        ("--crpyt aes", "flag provided but not defined: -crpyt, did you mean --crypt?; see --help"),
        (
            "--datashards 3",
            "flag provided but not defined: -datashards, did you mean --datashard?; see --help",
        ),
        ("--qpp", "flag provided but not defined: -qpp, did you mean --QPP?; see --help"),
        ("--mtu", "flag needs an argument: -mtu"),
        ("--mtu abc", "invalid value \"abc\" for flag -mtu: parse error"),
        ("-ds=1e9", "invalid value \"1e9\" for flag -ds: parse error"),
        (
            "--mtu 99999999999999999999",
            "invalid value \"99999999999999999999\" for flag -mtu: value out of range",
        ),
        ("--nocomp=maybe", "invalid value \"maybe\" for flag -nocomp: parse error"),
        ("---mtu 1", "bad flag syntax: ---mtu"),
        ("-=1", "bad flag syntax: -=1"),
        ("--conn 0", "--conn: conn must be greater than 0 and at most 65535"),
        ("--conn 65536", "--conn: conn must be greater than 0 and at most 65535"),
        ("--target h:1", "flag provided but not defined: -target; see --help"),
    ];
    for (line, text) in cases {
        assert_eq!(refusal(Side::Client, line), text);
    }
    assert!(refusal(Side::Server, "--conn 2").starts_with("flag provided but not defined: -conn"));
}

// CLI-9
#[test]
fn a_flag_overrides_the_environment() {
    let with = |line: &str, key| run_with(Side::Server, line, key).unwrap().settings.key;
    assert_eq!(with("", None), "it's a secrect");
    assert_eq!(with("", Some("from environment")), "from environment");
    assert_eq!(with("", Some("")), "", "even when empty");
    assert_eq!(with("--key flag", Some("from environment")), "flag");
}

// CLI-14
#[test]
fn any_unknown_mode_is_manual() {
    for (text, mode) in
        [("normal", Mode::Normal), ("fast3", Mode::Fast3), ("manual", Mode::Manual), ("x", Mode::Manual)]
    {
        let config = client(&format!("--mode {text} --nodelay 1 --interval 20")).unwrap();
        assert_eq!(config.settings.mode, mode);
        assert_eq!((config.settings.nodelay, config.settings.interval), (1, 20));
    }
}

// CLI-15
#[test]
fn an_unknown_cipher_is_rejected_with_the_valid_names() {
    let text = refusal(Side::Client, "--crypt rot13");
    assert!(
        text.starts_with("--crypt: must be aes, ") && text.ends_with(", none or null, not \"rot13\""),
        "{text}"
    );
    for cipher in engine::crypt::Cipher::ALL {
        assert!(text.contains(cipher.name()), "{text}");
        assert_eq!(client(&format!("--crypt {}", cipher.name())).unwrap().settings.crypt, *cipher);
    }
    // CLI-80
    for (given, meant) in
        [("AES", "aes"), ("aes-256", "aes"), ("aes256", "aes"), ("aes-128-gmc", "aes-128-gcm")]
    {
        let text = refusal(Side::Client, &format!("--crypt {given}"));
        assert!(text.ends_with(&format!(", not \"{given}\"; use {meant}")), "{text}");
    }
}

// CLI-27
#[test]
fn help_lists_the_options_and_version_names_the_program() {
    for side in [Side::Client, Side::Server] {
        let text = help(side, false);
        for flag in flags::of(side) {
            let dashes = if flag.name.len() == 1 { "-" } else { "--" };
            let listed = text.lines().any(|line| {
                line.trim_start().split([' ', ',']).next() == Some(&format!("{dashes}{}", flag.name))
            });
            assert_eq!(listed, !flag.expert, "{}", flag.name);
        }
        assert!(text.contains("[$KCPTUN_KEY]"));
        let Ok(Command::Print(text)) = load(side, &words("-v"), |_| None) else { panic!() };
        assert_eq!(text, format!("kcptun (karst) {} {}\n", bins::VERSION, side.program()));
    }
}

// CLI-8: the parser panics on no text.
#[test]
fn odd_words_are_rejected_or_ignored() {
    for word in
        ["", "-", "--", "---", "=", "-=", "--=", "-\u{e9}", "--mtu=", "-l", "--c=", "-1", "\u{0}", "-- "]
    {
        let _ = parse(Side::Client, &[word.into(), word.into()]);
    }
}

// CLI-35
#[test]
fn migration_and_probing_can_be_disabled() {
    let settings = |side, line| run_with(side, line, None).unwrap().settings;
    assert!(!settings(Side::Server, "").no_migrate && !settings(Side::Server, "").no_probe);
    assert!(settings(Side::Server, "--no-migrate").no_migrate);
    assert!(settings(Side::Server, "--no-probe").no_probe && settings(Side::Client, "--no-probe").no_probe);
}

// CLI-34, CLI-30
#[test]
fn code_points_and_formats_are_checked() {
    assert_eq!(refusal(Side::Client, "--dscp 64"), "--dscp: must be from 0 to 63, not 64");
    assert_eq!(refusal(Side::Server, "--dscp=-1"), "--dscp: must be from 0 to 63, not -1");
    assert_eq!(client("--dscp 63").unwrap().socket_options().dscp, 63);
    assert_eq!(refusal(Side::Client, "--log-format xml"), "--log-format: must be text or json, not \"xml\"");
}

// CLI-42
#[test]
fn profiles_are_served_on_loopback_by_default() {
    assert_eq!(client("").unwrap().pprof_address(), None);
    assert_eq!(client("--pprof").unwrap().pprof_address(), Some("127.0.0.1:6060"));
    assert_eq!(client("--pprof-addr :1").unwrap().pprof_address(), Some(":1"));
}

// CLI-44
#[test]
fn weak_pads_cause_warnings() {
    let warnings = |line: &str| match load(Side::Client, &words(line), |_| None) {
        Ok(Command::Run(_, _, warnings)) => warnings.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(warnings("--key k --QPPCount 4"), 0);
    assert_eq!(warnings("--key k --QPP --QPPCount 4"), 3);
    assert_eq!(warnings("--key k --QPP"), 1);
    assert_eq!(warnings(&format!("--QPP --key {}", "k".repeat(211))), 0);
}

// QPP-1
#[test]
fn a_count_of_pads_beyond_kcptuns_range_is_stated_as_used() {
    let line = format!("--QPP --QPPCount 65597 --key {}", "k".repeat(211));
    assert_eq!(warnings(&line), ["QPPCount 65597 is taken modulo 65536, using 61"]);
    assert_eq!(client(&line).unwrap().settings.pads_in_use(), 61);
}

// CLI-118
#[test]
fn an_option_whose_owner_is_off_causes_a_warning() {
    for (line, warning) in [
        ("--interface lo", "interface has no effect without --tcp"),
        ("--metrics-host a", "metrics-host has no effect without --metrics"),
        ("--ser-auth a:b", "ser-auth has no effect without --ser socks5 or --ser http"),
    ] {
        assert_eq!(warnings(&format!("--key k {line}")), [warning]);
    }
    for line in [
        "--tcp --interface lo",
        "--metrics :1 --metrics-host a",
        "--ser http --ser-auth a:b",
        "--snmpperiod 5",
    ] {
        assert_eq!(warnings(&format!("--key k {line}")), [""; 0], "{line}");
    }
}

// CLI-55
#[test]
fn mode_auto_has_defaults_for_options_that_are_not_set() {
    let auto = client("--mode auto --rcvwnd 512").unwrap();
    let expected = Settings { rcvwnd: 512, ..Settings::new(Side::Client, Mode::Auto) };
    assert_eq!((auto.settings.mode, auto.settings.sndwnd), (Mode::Auto, expected.sndwnd));
    assert_eq!(
        (auto.settings.rcvwnd, auto.settings.streambuf, auto.program.conn),
        (512, expected.streambuf, 4)
    );
    let named = client("--mode auto --conn 1 --sndwnd 128").unwrap();
    assert_eq!((named.program.conn, named.settings.sndwnd), (1, 128));
    assert_eq!(client("--mode fast").unwrap().settings, Settings::client());
}

fn warnings(line: &str) -> Vec<String> {
    match load(Side::Client, &words(line), |_| None) {
        Ok(Command::Run(_, _, warnings)) => warnings,
        other => panic!("{other:?}"),
    }
}

// CLI-73
#[test]
fn keys_and_ciphers_that_protect_little_are_named() {
    assert_eq!(warnings("--key k"), [""; 0]);
    assert!(warnings("")[0].contains("public default"));
    assert!(
        warnings("--key k --crypt salsa20").is_empty() && warnings("--key k --crypt aes-128-gcm").is_empty()
    );
    for cipher in ["null", "none", "xor", "tea", "xtea", "3des", "blowfish", "cast5"] {
        let warnings = warnings(&format!("--key k --crypt {cipher}"));
        assert_eq!(warnings.len(), 1, "{cipher}");
        assert!(warnings[0].starts_with(&format!("WARNING: crypt {cipher} ")), "{warnings:?}");
    }
}

// CLI-14, CLI-80
#[test]
fn an_unknown_mode_is_named_with_the_nearest_one() {
    for (mode, end) in [
        ("Fast2", ", did you mean fast2?"),
        ("fats3", ", did you mean fast3?"),
        ("turbo", "; known are auto, fast3, fast2, fast, normal, manual"),
    ] {
        let warnings = warnings(&format!("--key k --mode {mode}"));
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with(&format!("mode {mode:?} is unknown")) && warnings[0].ends_with(end),
            "{warnings:?}"
        );
    }
    assert!(warnings("--key k --mode fats --mode fast").is_empty(), "only the mode in use counts");
}

// CLI-72, CLI-9
#[test]
fn the_mode_of_the_environment_overrides_all_others() {
    let with = |line: &str, mode: &str| {
        let environment = |name: &str| (name == "KARST_MODE").then(|| mode.to_owned());
        match load(Side::Client, &words(line), environment) {
            Ok(Command::Run(config, ..)) => config.settings.mode,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with("--mode fast", "auto"), Mode::Auto);
    assert_eq!(with("", "fast3"), Mode::Fast3);
    assert_eq!(with("--mode fast2", ""), Mode::Fast2);
}

// CLI-74
#[test]
fn negative_numbers_are_rejected_by_name() {
    let names = [
        "mtu",
        "sndwnd",
        "rcvwnd",
        "datashard",
        "parityshard",
        "smuxbuf",
        "streambuf",
        "framesize",
        "keepalive",
    ];
    for name in names.into_iter().chain(["sockbuf", "snmpperiod", "smuxver", "QPPCount"]) {
        assert_eq!(
            refusal(Side::Server, &format!("--{name}=-3")),
            format!("--{name}: must not be negative, but is -3")
        );
    }
    for name in ["nodelay", "interval", "resend", "nc", "autoexpire", "scavengettl", "ratelimit", "closewait"]
    {
        assert!(client(&format!("--{name}=-1")).is_ok(), "{name}");
    }
}

// CLI-81
#[test]
fn conflicts_between_options_name_both_and_a_value_that_fits() {
    let refusal = |line: &str| {
        let error = client(line).unwrap().settings.tunnel_config().unwrap_err();
        format!("{}: {}", error.flag, error.reason)
    };
    for (line, start) in [
        ("--keepalive 40", "keepalive: 40 is above the peer's timeout of 30 s, use 1 to 30"),
        ("--keepalive 0", "keepalive: 0 must be positive, for example 10"),
        ("--smuxbuf 1000", "streambuf: 2097152 is above smuxbuf 1000: use streambuf 1000 or smuxbuf 2097152"),
        ("--smuxbuf 0", "smuxbuf: 0 must be positive, and at least streambuf 2097152"),
        ("--framesize 70000", "framesize: 70000 must be from 1 to 65535"),
    ] {
        assert!(refusal(line).starts_with(start), "{}", refusal(line));
    }
}

// CLI-70
#[test]
fn a_key_of_other_encodings_keeps_its_bytes() {
    use engine::options::{bytes_of, text_of};
    // The same word in GBK, Latin-1 and UTF-8.
    for key in [&b"\xc3\xdc\xc2\xeb"[..], b"cl\xe9", "cl\u{e9}".as_bytes()] {
        let words = ["--key".to_owned(), text_of(key)];
        let Ok(Command::Run(config, ..)) = load(Side::Client, &words, |_| None) else { panic!() };
        assert_eq!(bytes_of(&config.settings.key), key);
        let environment = |name: &str| (name == "KCPTUN_KEY").then(|| text_of(key));
        let Ok(Command::Run(config, ..)) = load(Side::Client, &[], environment) else { panic!() };
        assert_eq!(bytes_of(&config.settings.key), key);
    }
}
