//! Counts the steps of the code under test for [`interop::fuzz::steps`].
#![allow(unsafe_code, reason = "the sanitizer's callback has a fixed name")]

use interop::fuzz::steps::step;

/// Called at every edge, by the flag of `ci/fuzz.sh`; functions with such a name are not instrumented themselves.
#[unsafe(no_mangle)]
pub extern "C" fn __sanitizer_cov_trace_pc() {
    step();
}

/// A target: the body by its name, which must keep to its limit of steps.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            use $crate::__sanitizer_cov_trace_pc as _;
            interop::fuzz::run($name, data);
        });
    };
}
