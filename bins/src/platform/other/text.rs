//! Texts of the command line, the environment and paths: Unicode (CLI-70).

use std::ffi::OsStr;
use std::path::PathBuf;

/// The text that the system gave. What is no Unicode is replaced.
pub fn of_system(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// The path of an option.
pub fn path_of(text: &str) -> PathBuf {
    text.into()
}
