//! Body of the JSON reader's fuzz target, shared with the replay of its corpus.

#![allow(unreachable_pub, reason = "shared with the fuzz target")]

use bins::config::{Config, parse_json};
use bins::flags::Side;
use engine::options::Mode;

/// Any bytes as a configuration file of either side: refused with a reason, or read to values that options can have or that
/// are refused with a reason.
pub fn json_config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for side in [Side::Client, Side::Server] {
        let mut config = Config::new(side, Mode::Fast, None);
        let file = match parse_json(&text, side) {
            Ok(file) => file,
            Err(reason) => {
                assert!(!reason.to_string().is_empty());
                continue;
            }
        };
        for (flag, value) in &file.given {
            assert!(flag.is_on(side) && flag.json.is_some() && value.kind() == flag.kind, "{}", flag.name);
            match config.set(flag, value) {
                Ok(()) => assert_eq!(config.value(flag).as_ref(), Some(value), "{}", flag.name),
                Err(reason) => assert!(reason.starts_with("must be "), "{reason}"),
            }
        }
        assert_eq!((config.side, config.program.help, config.program.version), (side, false, false));
    }
}
