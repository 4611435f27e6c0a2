//! Every kind of tunnel passes the scenario with impairments: multiplexer versions, compression, FEC, pads, ciphers, modes.

use crate::common::{rough, scenario};
use engine::crypt::Cipher;
use serde_json::{Value, json};
use sim::play;

/// Plays the rough scenario with the same options on both sides.
fn carries(options: &Value) {
    let mut file = rough();
    file["client"] = options.clone();
    file["server"] = options.clone();
    for seed in 1..=2 {
        let outcome = play(&scenario(&file), seed);
        assert!(outcome.ok, "{options} seed {seed}: {:?}", outcome.violations);
    }
}

#[test]
fn with_every_cipher() {
    for cipher in Cipher::ALL {
        carries(&json!({ "mode": "fast3", "crypt": cipher.name() }));
    }
}

#[test]
fn with_and_without_each_layer() {
    carries(&json!({ "mode": "fast3", "datashard": 0, "parityshard": 0 }));
    carries(&json!({ "mode": "fast3", "datashard": 3, "parityshard": 2 }));
    carries(&json!({ "mode": "fast3", "nocomp": true }));
    carries(
        &json!({ "mode": "fast3", "qpp": true, "qpp-count": 61, "key": "a key that is longer than the pads need" }),
    );
    carries(&json!({ "mode": "fast3", "acknodelay": true }));
}

#[test]
fn with_every_multiplexer_version_and_small_buffers() {
    carries(&json!({ "mode": "fast3", "smuxver": 1 }));
    carries(&json!({ "mode": "fast3", "smuxver": 2 }));
    let small = |version| json!({ "mode": "fast3", "smuxver": version, "smuxbuf": 16384, "streambuf": 8192, "framesize": 4096 });
    carries(&small(2));
}

#[test]
fn with_every_mode_and_small_windows() {
    for mode in ["normal", "fast", "fast2", "fast3"] {
        carries(&json!({ "mode": mode }));
    }
    carries(&json!({ "mode": "manual", "nodelay": 0, "interval": 40, "resend": 0, "nc": 0 }));
    carries(&json!({ "mode": "fast3", "sndwnd": 8, "rcvwnd": 8 }));
    carries(&json!({ "mode": "fast3", "mtu": 500 }));
}
