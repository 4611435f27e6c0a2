//! Texts of the command line, the environment and paths: any bytes (CLI-70).

use engine::options::{bytes_of, text_of};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The text that stands for what the system gave.
pub fn of_system(text: &OsStr) -> String {
    text_of(text.as_bytes())
}

/// The path that the text of an option stands for.
pub fn path_of(text: &str) -> PathBuf {
    OsString::from_vec(bytes_of(text)).into()
}
