//! The shape of a scenario file. Values are checked in `plan`.

use super::Refusal;
use crate::units::{Milli, Millis, Percent};
use serde::Deserialize;

/// Reads the file, refusing unknown keys, missing keys and wrong types.
pub(super) fn read(text: &str) -> Result<File, Refusal> {
    let mut json = serde_json::Deserializer::from_str(text);
    let file: File = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // A file that breaks off has no place.
        (if path == "?" { ".".into() } else { path }, error.inner().to_string())
    })?;
    json.end().map_err(|e| (".".into(), e.to_string()))?;
    Ok(file)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) seed: u64,
    pub(super) duration_ms: Millis,
    #[serde(default = "default_drain")]
    pub(super) drain_ms: Millis,
    pub(super) links: Links,
    #[serde(default)]
    pub(super) client: Options,
    #[serde(default)]
    pub(super) server: Options,
    pub(super) workloads: Vec<Workload>,
}

fn default_drain() -> Millis {
    Millis { us: 30_000_000 }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Links {
    pub(super) up: LinkKeys,
    pub(super) down: LinkKeys,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkKeys {
    pub(super) mtu_bytes: Option<u32>,
    pub(super) loss_pct: Option<Percent>,
    pub(super) loss_burst_packets: Option<Milli>,
    pub(super) rate_kbit: Option<u64>,
    pub(super) queue_bytes: Option<u64>,
    pub(super) queue_packets: Option<u64>,
    #[serde(default)]
    pub(super) delay_ms: Millis,
    #[serde(default)]
    pub(super) jitter_ms: Millis,
    pub(super) reorder_pct: Option<Percent>,
    pub(super) reorder_delay_ms: Option<Millis>,
    #[serde(default)]
    pub(super) duplicate_pct: Percent,
}

/// kcptun's JSON keys (CLI-1).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    pub(super) key: Option<String>,
    pub(super) crypt: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) nodelay: Option<i64>,
    pub(super) interval: Option<i64>,
    pub(super) resend: Option<i64>,
    pub(super) nc: Option<i64>,
    pub(super) mtu: Option<i64>,
    pub(super) sndwnd: Option<i64>,
    pub(super) rcvwnd: Option<i64>,
    pub(super) datashard: Option<i64>,
    pub(super) parityshard: Option<i64>,
    pub(super) nocomp: Option<bool>,
    pub(super) acknodelay: Option<bool>,
    pub(super) smuxver: Option<i64>,
    pub(super) smuxbuf: Option<i64>,
    pub(super) framesize: Option<i64>,
    pub(super) streambuf: Option<i64>,
    pub(super) keepalive: Option<i64>,
    pub(super) qpp: Option<bool>,
    #[serde(rename = "qpp-count")]
    pub(super) qpp_count: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Workload {
    Bulk(BulkKeys),
    Echo(EchoKeys),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkKeys {
    pub(super) name: String,
    pub(super) direction: DirectionKey,
    pub(super) bytes: Option<u64>,
    #[serde(default)]
    pub(super) content: ContentKey,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EchoKeys {
    pub(super) name: String,
    pub(super) message_bytes: u32,
    pub(super) interval_ms: Millis,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DirectionKey {
    Up,
    Down,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ContentKey {
    #[default]
    Random,
    Text,
}
