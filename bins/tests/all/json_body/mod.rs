//! Body of the JSON reader's fuzz target, shared with the replay of its corpus.

#![allow(unreachable_pub, reason = "shared with the fuzz target")]

use bins::config::{Config, apply};
use bins::flags::Side;

/// Any bytes as a configuration file of either side: refused in words, or read, and read again to the same values.
pub fn json_config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for side in [Side::Client, Side::Server] {
        let mut config = Config::new(side);
        let applied = match apply(&text, &mut config) {
            Ok(applied) => applied,
            Err(reason) => {
                assert!(!reason.to_string().is_empty());
                continue;
            }
        };
        let mut again = config.clone();
        assert_eq!(apply(&text, &mut again).ok(), Some(applied), "the second reading is another");
        assert_eq!(again, config, "the second reading gives other values");
        assert_eq!((again.side, again.help, again.version), (side, false, false));
    }
}
