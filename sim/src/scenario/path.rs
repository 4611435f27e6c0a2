use std::fmt;

/// A place in a JSON file: `links.down.rate_kbit`, `workloads[0].bulk`; `.` is the whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(String);

impl Path {
    pub(super) const fn root() -> Self {
        Self(String::new())
    }

    pub(super) fn key(&self, key: &str) -> Self {
        let Self(parent) = self;
        if parent.is_empty() { Self(key.into()) } else { Self(format!("{parent}.{key}")) }
    }

    pub(super) fn item(&self, index: usize) -> Self {
        let Self(parent) = self;
        Self(format!("{parent}[{index}]"))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path) = self;
        out.write_str(if path.is_empty() { "." } else { path })
    }
}

/// A place as the beginning of an error; empty for the whole file.
pub fn prefix(path: &str) -> String {
    if path == "." { String::new() } else { format!("{path}: ") }
}
