//! stub
/// f
pub const FORMATS: [&str; 2] = ["kcptun-golden-capture-1", "kcptun-golden-capture-tcp-1"];
/// c
pub fn check(_: &std::path::Path, _: &str) -> super::Verdict {
    super::Verdict::Unsupported { why: "stub".into() }
}
