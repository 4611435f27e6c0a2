//! The bodies of `interop::fuzz`, and the count of the steps that they take.
#![allow(unsafe_code, reason = "the fuzzer's counters have a section of their own, the sanitizer's callback a fixed name")]

use bodies::steps;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

#[path = "../../src/fuzz/mod.rs"]
pub mod bodies;

const LEVELS_MAX: usize = 256;

/// Features of the fuzzer beside the edges: it keeps an input that reaches a new level of work.
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static LEVELS: [AtomicU8; LEVELS_MAX] = [const { AtomicU8::new(0) }; LEVELS_MAX];

/// Acts out an input of the target of that name.
pub fn run(name: &str, data: &[u8]) {
    measured(data, bodies::target(name).body, |data| bodies::run(name, data));
}

/// Acts out an input of the programs' crate, whose parsers are linear: few steps for each byte.
///
/// # Panics
/// As `body`, and when it takes too many steps.
pub fn linear(body: fn(&[u8]), data: &[u8]) {
    let limit = steps::Limit { reserve: 200_000, per_call: 0, per_byte: 2_000 };
    measured(data, body, |data| steps::Meter::new(limit).call(data.len(), || body(data)));
}

/// Acts out an input, lets the fuzzer know how much of the limit it took, and prints each new maximum.
fn measured(data: &[u8], body: fn(&[u8]), act: impl FnOnce(&[u8])) {
    static WARM: Once = Once::new();
    static MAX: AtomicU64 = AtomicU64::new(0);
    // Tables that are computed once are not the input's work.
    WARM.call_once(|| body(&[]));
    steps::take_share();
    act(data);
    let share = steps::take_share();
    LEVELS[share as usize * LEVELS_MAX / (steps::SHARE_WHOLE as usize + 1)].store(1, Relaxed);
    let percent = share * 100 / steps::SHARE_WHOLE;
    if percent > MAX.fetch_max(percent, Relaxed) {
        eprintln!("work: {percent} % of the limit, by {} bytes", data.len());
    }
}

/// A target: the body of that name, which must keep to its limit of steps, or any other.
///
/// The callback of the sanitizer is called at every edge; functions with such a name are not instrumented themselves. The
/// linker takes the first definition, so this one is in the program's own object, ahead of libFuzzer's library.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::target!(|data| $crate::run($name, data));
    };
    (|$data:ident| $body:expr) => {
        libfuzzer_sys::fuzz_target!(|$data: &[u8]| $body);

        #[unsafe(no_mangle)]
        pub extern "C" fn __sanitizer_cov_trace_pc() {
            $crate::bodies::steps::step();
        }
    };
}
