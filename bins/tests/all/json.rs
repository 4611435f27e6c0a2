//! The JSON file: Go's rules, and errors that name file, key and type.
use bins::config::{Command, Config, load, parse_json};
use bins::flags::Side;
use engine::options::Mode;
use std::path::PathBuf;

fn read(text: &str) -> Result<Config, String> {
    let mut config = Config::new(Side::Client, Mode::Fast, None);
    let file = parse_json(text, Side::Client).map_err(|error| error.to_string())?;
    for (flag, value) in &file.given {
        config.set(flag, value)?;
    }
    Ok(config)
}

fn mtu(text: &str) -> i64 {
    read(text).unwrap().settings.mtu
}

fn file(name: &str, text: &[u8]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("json");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

// CLI-10
#[test]
fn keys_match_in_any_case_and_the_last_one_counts() {
    assert_eq!(mtu(r#"{"mtu": 900}"#), 900);
    assert_eq!(mtu(r#"{"MTU": 900}"#), 900);
    assert_eq!(mtu(r#"{"mtu": 1, "Mtu": 2, "mTU": 3}"#), 3);
    let config = read(r#"{"LocalAddr": ":1", "QPP": true, "QPP-Count": 7, "key": "\u00e9\n"}"#).unwrap();
    assert_eq!((config.program.localaddr.as_str(), config.settings.key.as_str()), (":1", "é\n"));
    assert_eq!((config.settings.qpp, config.settings.qpp_count), (true, 7));
}

// CLI-10
#[test]
fn null_keeps_the_default() {
    assert_eq!(mtu(r#"{"mtu": null}"#), 1350);
    assert_eq!(mtu(r#"{"mtu": 900, "mtu": null}"#), 900);
    assert_eq!(mtu("null"), 1350);
}

// CLI-10
#[test]
fn only_the_first_value_is_read() {
    assert_eq!(mtu("\n\t {\"mtu\": 900} trailing { nonsense"), 900);
    assert_eq!(mtu(r#"{"mtu": 900}{"mtu": 901}"#), 900);
}

// CLI-11
#[test]
fn integers_are_integer_literals() {
    assert_eq!(mtu(r#"{"mtu": -5}"#), -5);
    assert_eq!(mtu(r#"{"mtu": -0}"#), 0);
    assert_eq!(mtu(r#"{"mtu": 9223372036854775807}"#), i64::MAX);
    for literal in ["1300.5", "1e3", "1.0", "9223372036854775808"] {
        assert_eq!(
            read(&format!("{{\"mtu\": {literal}}}")).unwrap_err(),
            format!("key \"mtu\": expected an integer, found {literal}")
        );
    }
}

// CLI-12
#[test]
fn type_errors_name_the_key_and_both_types() {
    let cases = [
        (r#"{"MTU": "1300"}"#, "key \"MTU\": expected an integer, found a string"),
        (r#"{"mtu": [1]}"#, "key \"mtu\": expected an integer, found an array"),
        (r#"{"key": 5}"#, "key \"key\": expected a string, found 5"),
        (r#"{"key": {}}"#, "key \"key\": expected a string, found an object"),
        (r#"{"nocomp": "true"}"#, "key \"nocomp\": expected true or false, found a string"),
        (r#"{"nocomp": 1}"#, "key \"nocomp\": expected true or false, found 1"),
        (r#"{"crypt": true}"#, "key \"crypt\": expected a string, found true"),
        ("[1]", "expected a JSON object, found an array"),
        ("\"text\"", "expected a JSON object, found a string"),
        ("12", "expected a JSON object, found a number"),
        ("", "the file is empty, expected a JSON object"),
        ("  \n", "the file is empty, expected a JSON object"),
    ];
    for (text, reason) in cases {
        assert_eq!(read(text).unwrap_err(), reason, "{text}");
    }
}

// CLI-12
#[test]
fn malformed_text_is_located() {
    for text in [
        "{",
        "{\"mtu\": 1",
        "{\"mtu\" 1}",
        "{mtu: 1}",
        "{\"mtu\": 01}",
        "// c\n{}",
        "\u{feff}{}",
        "{'mtu': 1}",
    ] {
        let reason = read(text).unwrap_err();
        assert!(reason.starts_with("not valid JSON: ") && reason.contains(" line "), "{text}: {reason}");
    }
}

// CLI-13
#[test]
fn unknown_keys_are_named_and_ignored() {
    let text = r#"{"target": "h:1", "mtu": 900, "colour": {"a": [1]}}"#;
    let read = parse_json(text, Side::Client).unwrap();
    assert_eq!(read.unknown, ["target", "colour"]);
    assert_eq!(read.given.iter().map(|(flag, _)| flag.name).collect::<Vec<_>>(), ["mtu"]);
    let path = file("unknown.json", br#"{"colour": 1, "keyy": "secret", "listen": ":1"}"#);
    let line = [String::from("-c"), path.display().to_string()];
    let Ok(Command::Run(_, _, warnings)) = load(Side::Client, &line, |_| None) else { panic!() };
    // CLI-80; the last one is an option of the server.
    for (warning, text) in warnings.iter().zip([
        "\"colour\" ignored",
        "\"keyy\" ignored, did you mean key?",
        "\"listen\" ignored",
    ]) {
        assert_eq!(*warning, format!("{}: unknown key {text}", path.display()));
    }
}

// CLI-12
#[test]
fn typographic_quotation_marks_are_named() {
    for (text, column) in [("{\u{201c}mtu\u{201d}: 1}", 2), ("{\"key\": \u{201e}a\"}", 9), ("{'mtu': 1}", 2)]
    {
        let expected = format!("not valid JSON: the quotation mark at line 1 column {column} must be \"");
        assert_eq!(read(text).unwrap_err(), expected);
    }
    assert!(read("{\"key\": \"\u{201c}\"}").is_ok());
}

// CLI-11
#[test]
fn a_switch_that_knows_words_takes_no_number() {
    assert_eq!(read(r#"{"tcp": 1}"#).unwrap_err(), "key \"tcp\": expected true or false, found 1");
}

// CLI-9: the file overrides flags, for the keys that it contains.
#[test]
fn the_file_overrides_the_flags() {
    let path = file("override.json", br#"{"mtu": 900}"#).display().to_string();
    let line = ["--mtu", "1200", "-c", &path, "--ds", "5"].map(String::from);
    let Ok(Command::Run(config, ..)) = load(Side::Client, &line, |_| None) else { panic!() };
    assert_eq!((config.settings.mtu, config.settings.datashard), (900, 5));
}

// CLI-12, CLI-15: an error is one line that starts with the file, and exits with 1.
#[test]
fn errors_of_a_file_start_with_its_name() {
    let cases: [(&str, &[u8], &str); 4] = [
        ("type.json", br#"{"mtu": "x"}"#, "key \"mtu\": expected an integer, found a string"),
        ("cut.json", br#"{"mtu": "#, "not valid JSON: EOF while parsing a value at line 1 column 8"),
        ("crypt.json", br#"{"crypt": "rot13"}"#, "key \"crypt\": must be aes, "),
        ("conn.json", br#"{"conn": 0}"#, "key \"conn\": conn must be greater than 0 and at most 65535"),
    ];
    for (name, text, reason) in cases {
        let path = file(name, text).display().to_string();
        let error = load(Side::Client, &["-c".into(), path.clone()], |_| None).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{path}: {reason}")), "{error}");
        assert!(!error.to_string().contains('\n'));
        assert_eq!(error.exit_code(), 1);
    }
    let error = load(Side::Client, &["-c=/nonexistent/k.json".into()], |_| None).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/k.json: No such file or directory (os error 2)");
}

fn key_of(name: &str, text: &[u8]) -> String {
    let words = ["-c".to_owned(), file(name, text).to_str().unwrap().to_owned()];
    match load(Side::Client, &words, |_| None) {
        Ok(Command::Run(config, ..)) => config.settings.key,
        other => panic!("{other:?}"),
    }
}

// CLI-71: the values are what Go's encoding/json makes of the same bytes.
#[test]
fn strings_are_read_as_go_reads_them() {
    let key = |bytes: &[u8]| key_of("go.json", &[b"{\"key\":\"", bytes, b"\"}"].concat());
    assert_eq!(key(b"cl\xe9"), "cl\u{fffd}");
    assert_eq!(key(b"\xe4\xbd x"), "\u{fffd}\u{fffd} x", "one for each byte");
    assert_eq!(key(br"\ud800"), "\u{fffd}");
    assert_eq!(key(br#"a\udc00\n\ud83d\ude00\""#), "a\u{fffd}\n\u{1f600}\"");
    assert_eq!(key(br"\u00e9\/"), "\u{e9}/");
}

// CLI-71
#[test]
fn byte_order_marks_are_read() {
    let text = "{\"key\":\"cl\u{e9}\"}";
    assert_eq!(key_of("bom8.json", format!("\u{feff}{text}").as_bytes()), "cl\u{e9}");
    let units = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
    };
    assert_eq!(key_of("bom16le.json", &units(u16::to_le_bytes)), "cl\u{e9}");
    assert_eq!(key_of("bom16be.json", &units(u16::to_be_bytes)), "cl\u{e9}");
    let path = file("utf16.json", &units(u16::to_le_bytes)[2..]);
    let words = ["-c".to_owned(), path.to_str().unwrap().to_owned()];
    let error = load(Side::Client, &words, |_| None).unwrap_err().to_string();
    assert_eq!(error, format!("{}: UTF-16 that cannot be read, save the file as UTF-8", path.display()));
}

// CLI-71
#[test]
fn bytes_that_are_replaced_are_reported_and_large_files_refused() {
    let warnings = |name: &str, text: &[u8]| {
        let words = ["-c".to_owned(), file(name, text).to_str().unwrap().to_owned()];
        match load(Side::Client, &words, |_| None) {
            Ok(Command::Run(_, _, warnings)) => warnings,
            other => panic!("{other:?}"),
        }
    };
    let reported = warnings("gbk.json", b"{\"key\":\"\xc3\xdc\xc2\xeb\"}");
    assert!(reported[0].contains("save the file as UTF-8"), "{reported:?}");
    assert!(warnings("utf8.json", "{\"key\":\"cl\u{e9}\"}".as_bytes()).is_empty());
    let words = ["-c".to_owned(), "/dev/zero".to_owned()];
    let error = load(Side::Client, &words, |_| None).unwrap_err().to_string();
    assert_eq!(error, "/dev/zero: larger than 1 MiB");
}
