//! kcp-go's counters of the whole process, as kcptun writes them (CLI-7, CLI-31, CLI-33; kcp-go snmp.go, kcptun std/snmp.go).

use engine::Stats;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::local_time::LocalTime;

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

/// Adds a session's counters to `sum`.
pub fn add(sum: &mut Stats, session: &Stats) {
    // Every field is named, so that a new counter is not forgotten here.
    let Stats {
        bytes_sent,
        bytes_received,
        in_errs,
        in_csum_errors,
        kcp_in_errors,
        in_pkts,
        out_pkts,
        in_segs,
        out_segs,
        in_bytes,
        out_bytes,
        retrans_segs,
        fast_retrans_segs,
        early_retrans_segs,
        lost_segs,
        repeat_segs,
        fec_full_shards,
        fec_parity_shards,
        fec_errs,
        fec_recovered,
        fec_shard_set,
        fec_shard_min,
        ring_buffer_snd_queue,
        ring_buffer_rcv_queue,
        ring_buffer_snd_buffer,
        oob_packets,
        migrations,
        streams_cut,
        queue_delay_us,
        marks: _,
    } = *session;
    sum.bytes_sent += bytes_sent;
    sum.bytes_received += bytes_received;
    sum.in_errs += in_errs;
    sum.in_csum_errors += in_csum_errors;
    sum.kcp_in_errors += kcp_in_errors;
    sum.in_pkts += in_pkts;
    sum.out_pkts += out_pkts;
    sum.in_segs += in_segs;
    sum.out_segs += out_segs;
    sum.in_bytes += in_bytes;
    sum.out_bytes += out_bytes;
    sum.retrans_segs += retrans_segs;
    sum.fast_retrans_segs += fast_retrans_segs;
    sum.early_retrans_segs += early_retrans_segs;
    sum.lost_segs += lost_segs;
    sum.repeat_segs += repeat_segs;
    sum.fec_full_shards += fec_full_shards;
    sum.fec_parity_shards += fec_parity_shards;
    sum.fec_errs += fec_errs;
    sum.fec_recovered += fec_recovered;
    sum.fec_shard_set += fec_shard_set;
    sum.fec_shard_min = sum.fec_shard_min.max(fec_shard_min);
    sum.ring_buffer_snd_queue += ring_buffer_snd_queue;
    sum.ring_buffer_rcv_queue += ring_buffer_rcv_queue;
    sum.ring_buffer_snd_buffer += ring_buffer_snd_buffer;
    sum.oob_packets += oob_packets;
    sum.migrations += migrations;
    sum.streams_cut += streams_cut;
    sum.queue_delay_us = sum.queue_delay_us.max(queue_delay_us);
}

/// The counters of a session that ended: what it held is gone.
pub const fn without_gauges(stats: Stats) -> Stats {
    Stats {
        fec_shard_set: 0,
        fec_shard_min: 0,
        ring_buffer_snd_queue: 0,
        ring_buffer_rcv_queue: 0,
        ring_buffer_snd_buffer: 0,
        queue_delay_us: 0,
        ..stats
    }
}

impl Totals {
    /// Names and values in the order of kcp-go's struct.
    pub fn fields(&self) -> [(&'static str, u64); 30] {
        let stats = &self.stats;
        [
            ("BytesSent", stats.bytes_sent),
            ("BytesReceived", stats.bytes_received),
            ("MaxConn", self.max_conn),
            ("ActiveOpens", self.active_opens),
            ("PassiveOpens", self.passive_opens),
            ("CurrEstab", self.curr_estab),
            ("InErrs", stats.in_errs),
            ("InCsumErrors", stats.in_csum_errors),
            ("KCPInErrors", stats.kcp_in_errors),
            ("InPkts", stats.in_pkts),
            ("OutPkts", stats.out_pkts),
            ("InSegs", stats.in_segs),
            ("OutSegs", stats.out_segs),
            ("InBytes", stats.in_bytes),
            ("OutBytes", stats.out_bytes),
            ("RetransSegs", stats.retrans_segs),
            ("FastRetransSegs", stats.fast_retrans_segs),
            ("EarlyRetransSegs", stats.early_retrans_segs),
            ("LostSegs", stats.lost_segs),
            ("RepeatSegs", stats.repeat_segs),
            ("FECFullShardSet", stats.fec_full_shards),
            ("FECRecovered", stats.fec_recovered),
            ("FECErrs", stats.fec_errs),
            ("FECParityShards", stats.fec_parity_shards),
            ("FECShardSet", stats.fec_shard_set),
            ("FECShardMin", stats.fec_shard_min),
            ("RingBufferSndQueue", stats.ring_buffer_snd_queue),
            ("RingBufferRcvQueue", stats.ring_buffer_rcv_queue),
            ("RingBufferSndBuffer", stats.ring_buffer_snd_buffer),
            ("OOBPackets", stats.oob_packets),
        ]
    }

    /// The line of SIGUSR1: Go's `%+v` of a pointer to the struct.
    pub fn dump(&self) -> String {
        let fields: Vec<String> =
            self.fields().iter().map(|(name, value)| format!("{name}:{value}")).collect();
        format!("KCP SNMP:&{{{}}}", fields.join(" "))
    }

    /// One row of the log, with the moment in front.
    fn row(&self, unix_s: i64) -> String {
        let fields = self.fields();
        let mut row = unix_s.to_string();
        for column in COLUMNS {
            // One column has another name than its field.
            let name = if *column == "FECFullShards" { "FECFullShardSet" } else { column };
            let value = fields.iter().find(|(field, _)| *field == name).map_or(0, |(_, value)| *value);
            let _ = write!(row, ",{value}");
        }
        row.push('\n');
        row
    }
}

/// Columns of the log after the moment, in kcp-go's order, which is not that of the struct.
const COLUMNS: &[&str] = &[
    "BytesSent",
    "BytesReceived",
    "MaxConn",
    "ActiveOpens",
    "PassiveOpens",
    "CurrEstab",
    "InErrs",
    "InCsumErrors",
    "KCPInErrors",
    "InPkts",
    "OutPkts",
    "InSegs",
    "OutSegs",
    "InBytes",
    "OutBytes",
    "RetransSegs",
    "FastRetransSegs",
    "EarlyRetransSegs",
    "LostSegs",
    "RepeatSegs",
    "FECFullShards",
    "FECParityShards",
    "FECErrs",
    "FECRecovered",
    "FECShardSet",
    "FECShardMin",
    "RingBufferSndQueue",
    "RingBufferRcvQueue",
    "RingBufferSndBuffer",
    "OOBPackets",
];

/// Appends a row to the file whose name `path` gives, its last part being a layout of Go's time package.
///
/// # Errors
/// The file cannot be opened or written.
pub fn append(path: &str, now: &LocalTime, totals: &Totals) -> io::Result<()> {
    let (folder, layout) = path
        .rsplit_once('/')
        .map_or(("", path), |(folder, name)| (if folder.is_empty() { "/" } else { folder }, name));
    let path = Path::new(folder).join(now.format(layout));
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let mut text = String::new();
    if file.metadata()?.len() == 0 {
        let _ = writeln!(text, "Unix,{}", COLUMNS.join(","));
    }
    text.push_str(&totals.row(now.unix_s));
    // In one call, so that a reader never sees half a row.
    file.write_all(text.as_bytes())
}
