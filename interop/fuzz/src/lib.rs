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

/// Acts out an input, lets the fuzzer know how much of the limit it took, and prints each new maximum.
pub fn run(name: &str, data: &[u8]) {
    static WARM: Once = Once::new();
    static MAX: AtomicU64 = AtomicU64::new(0);
    // Tables that are computed once are not the input's work.
    WARM.call_once(|| (bodies::target(name).body)(&[]));
    steps::take_share();
    bodies::run(name, data);
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
