//! Search for cases in folders that may contain other files.

use super::{Case, Verdict, capture, fec, kcp, smux};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A decompressed trace larger than this is not read: the largest recorded one has a few MB.
const TEXT_BYTES_MAX: u64 = 1 << 28;

/// Contents of the searched folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Cases with verdicts, ordered by path within each folder.
    pub cases: Vec<Case>,
    /// Files that are not part of a case.
    pub ignored: Vec<PathBuf>,
}

/// Walks `roots` (folders or single files) and replays every case in them. Links to folders are not followed.
pub fn find(roots: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for root in roots {
        if root.is_file() { found.file(root) } else { found.folder(root) }
    }
    found
}

impl Found {
    fn folder(&mut self, folder: &Path) {
        let entries = std::fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(folder, &error),
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.folder(&entry.path()),
                Ok(_) if entry.path().is_file() => self.file(&entry.path()),
                Ok(_) => self.ignored.push(entry.path()),
                Err(error) => self.unreadable(&entry.path(), &error),
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let judged = if name.ends_with(".json") {
            read(path, false).and_then(|text| replay_object(path, &text))
        } else if name.ends_with(".jsonl.gz") || name.ends_with(".jsonl") {
            read(path, name.ends_with(".gz")).and_then(|text| replay_trace(&text))
        } else {
            Ok(None)
        };
        match judged {
            Ok(Some((format, verdict))) => self.cases.push(Case { path: path.to_owned(), format, verdict }),
            Ok(None) if is_capture_leg(path) => {}
            Ok(None) => self.ignored.push(path.to_owned()),
            Err(why) => self.broken(path, why),
        }
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        self.broken(path, error.to_string());
    }

    fn broken(&mut self, path: &Path, why: String) {
        self.cases.push(Case {
            path: path.to_owned(),
            format: "unreadable".to_owned(),
            verdict: Verdict::Broken { why },
        });
    }
}

/// Format and verdict; `None` for files of another kind. Err: the file is damaged.
type Replayed = Result<Option<(String, Verdict)>, String>;

fn read(path: &Path, gzip: bool) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let len = if gzip {
        MultiGzDecoder::new(file).take(TEXT_BYTES_MAX).read_to_string(&mut text)
    } else {
        file.take(TEXT_BYTES_MAX).read_to_string(&mut text)
    };
    match len {
        Ok(len) if len as u64 == TEXT_BYTES_MAX => Err(format!("holds {TEXT_BYTES_MAX} bytes or more")),
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}

/// A `*.json` is a capture if its `format` is known; other JSON is ignored.
fn replay_object(path: &Path, text: &str) -> Replayed {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match value.get("format").and_then(serde_json::Value::as_str) {
        Some(format) if capture::FORMATS.contains(&format) => {
            Ok(Some((format.to_owned(), capture::check(path, text))))
        }
        _ => Ok(None),
    }
}

/// A `*.jsonl` or `*.jsonl.gz`: recognised by its first line.
fn replay_trace(text: &str) -> Replayed {
    let header = text.lines().next().unwrap_or_default();
    let header: serde_json::Value =
        serde_json::from_str(header).map_err(|error| format!("header: {error}"))?;
    let Some(format) = header.get("format").and_then(serde_json::Value::as_str) else {
        return Ok(None);
    };
    let replayed = match format {
        "kcp-trace-1" => kcp::replay(text),
        "fec-trace-1" => fec::replay(text),
        "smux-trace-1" => smux::replay(text),
        _ => return Ok(None),
    };
    let verdict = match replayed {
        Ok(compared) => Verdict::Pass { compared, unchecked: None },
        Err(mismatch) => Verdict::Fail { why: mismatch.to_string() },
    };
    Ok(Some((format.to_owned(), verdict)))
}

/// `NAME.pcap`, `NAME.client.pcap` and `NAME.server.pcap` belong to the case `NAME.json`.
fn is_capture_leg(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(stem) = name.strip_suffix(".pcap") else {
        return name == "index.json";
    };
    let case = stem.strip_suffix(".client").or(stem.strip_suffix(".server")).unwrap_or(stem);
    path.with_file_name(format!("{case}.json")).is_file()
}
