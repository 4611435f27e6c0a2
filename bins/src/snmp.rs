//! kcp-go's counters of the whole process, as kcptun writes them (CLI-7, CLI-31, CLI-33; kcp-go snmp.go, kcptun std/snmp.go).

use engine::Stats;
use engine::observe::Counter;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::local_time::LocalTime;
use crate::platform::text::path_of;

/// Counters of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sums over all sessions, ended ones too; the gauges over live ones.
    pub stats: Stats,
    /// Most sessions at a time.
    pub max_conn: u64,
    /// Sessions alive.
    pub curr_estab: u64,
    /// Sessions dialled.
    pub active_opens: u64,
    /// Sessions accepted.
    pub passive_opens: u64,
}

/// A counter of the process.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// kcp-go's name.
    pub name: &'static str,
    /// Name of the Prometheus metric.
    pub metric: &'static str,
    /// One sentence.
    pub meaning: &'static str,
    /// Its value.
    pub value: u64,
}

impl Totals {
    /// The counters that kcp-go has, in the order of its structure.
    pub fn fields(&self) -> Vec<Field> {
        let of_sessions = |counter: &Counter| {
            let Counter { kcp_go, metric, meaning, of, .. } = *counter;
            Some(Field { name: kcp_go?, metric, meaning, value: of(&self.stats) })
        };
        let mut fields: Vec<Field> = Stats::COUNTERS.iter().filter_map(of_sessions).collect();
        let own = |name, metric, meaning, value| Field { name, metric, meaning, value };
        let of_process = [
            own("MaxConn", "karst_sessions_max", "Most sessions at a time.", self.max_conn),
            own("ActiveOpens", "karst_sessions_dialled_total", "Sessions dialled.", self.active_opens),
            own("PassiveOpens", "karst_sessions_accepted_total", "Sessions accepted.", self.passive_opens),
            own("CurrEstab", "karst_sessions", "Sessions alive.", self.curr_estab),
        ];
        let after_bytes = fields.iter().position(|field| field.name == "InErrs").unwrap_or_default();
        fields.splice(after_bytes..after_bytes, of_process);
        fields
    }

    /// The line of SIGUSR1: Go's `%+v` of a pointer to the struct.
    pub fn dump(&self) -> String {
        let fields: Vec<String> =
            self.fields().iter().map(|Field { name, value, .. }| format!("{name}:{value}")).collect();
        format!("KCP SNMP:&{{{}}}", fields.join(" "))
    }

    /// The fields in the order of the log, under the names of its columns; neither is that of the structure.
    fn columns(&self) -> Vec<Field> {
        let mut fields = self.fields();
        let place = |wanted: &str| fields.iter().position(|field| field.name == wanted).unwrap_or_default();
        let (full, recovered, parity) =
            (place("FECFullShardSet"), place("FECRecovered"), place("FECParityShards"));
        fields[full].name = "FECFullShards";
        fields.swap(recovered, parity);
        fields
    }
}

/// Appends a row to the file whose name `path` gives, its last part being a layout of Go's time package.
///
/// # Errors
/// The file cannot be opened or written.
pub fn append(path: &str, now: &LocalTime, totals: &Totals) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(file_name(path, now))?;
    let columns = totals.columns();
    let row = |first: String, cell: fn(&Field) -> String| {
        let cells = std::iter::once(first).chain(columns.iter().map(cell));
        format!("{}\n", cells.collect::<Vec<_>>().join(","))
    };
    let is_new = file.metadata()?.len() == 0;
    let head = if is_new { row("Unix".into(), |field| field.name.into()) } else { String::new() };
    let text = head + &row(now.unix_s.to_string(), |field| field.value.to_string());
    // In one call, so that a reader never sees half a row.
    file.write_all(text.as_bytes())
}

/// Whether the file can be written at this time of day; leaves no file behind that was not there.
///
/// # Errors
/// The file cannot be opened for writing.
pub fn check_writable(path: &str, now: &LocalTime) -> io::Result<()> {
    let path = file_name(path, now);
    match OpenOptions::new().append(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().append(true).create_new(true).open(&path)?;
            std::fs::remove_file(&path)
        }
        opened => opened.map(drop),
    }
}

fn file_name(path: &str, now: &LocalTime) -> PathBuf {
    let (folder, layout) = path
        .rsplit_once(std::path::is_separator)
        .map_or(("", path), |(folder, name)| (if folder.is_empty() { "/" } else { folder }, name));
    path_of(folder).join(path_of(&now.format(layout)))
}
