//! The bodies of `interop::fuzz`, and the count of the steps that they take.
#![allow(unsafe_code, reason = "the sanitizer's callback has a fixed name")]

#[path = "../../src/fuzz/mod.rs"]
pub mod bodies;

/// Called at every edge, by the flag of `ci/fuzz.sh`; functions with such a name are not instrumented themselves.
#[unsafe(no_mangle)]
pub extern "C" fn __sanitizer_cov_trace_pc() {
    bodies::steps::step();
}

/// A target: the body of that name, which must keep to its limit of steps.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::bodies::run($name, data));
    };
}
