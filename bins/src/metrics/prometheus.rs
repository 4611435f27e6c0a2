//! Prometheus text, format 0.0.4 (CLI-36, CLI-93, CLI-94).

use super::{Snapshot, fec_wasted};
use crate::datagrams::Carrier;
use crate::platform::process::Process;
use engine::observe::Histogram;
use std::fmt::Write;

/// The page; no label but `le` and `carrier` has more than one value, so that a scrape stays small however many peers there are.
pub(super) fn text(snapshot: &Snapshot, process: &Process) -> String {
    let mut text = String::with_capacity(16_384);
    let label = format!(
        "program=\"{}\",version=\"{}\",arch=\"{}\"",
        snapshot.program,
        snapshot.version,
        std::env::consts::ARCH
    );
    let _ = write!(
        text,
        "# HELP karst_build_info The program; always 1.\n# TYPE karst_build_info gauge\nkarst_build_info{{{label}}} 1\n"
    );
    text.push_str("# HELP karst_carrier_sessions Live sessions by what carries their datagrams.\n");
    text.push_str("# TYPE karst_carrier_sessions gauge\n");
    for (carrier, count) in Carrier::ALL.iter().zip(snapshot.carriers) {
        let _ = writeln!(text, "karst_carrier_sessions{{carrier=\"{carrier}\"}} {count}");
    }
    for field in snapshot.counters.fields() {
        metric(&mut text, field.metric, field.meaning, field.value as f64);
    }
    for (name, help, value) in own_metrics(snapshot).into_iter().chain(process.metrics()) {
        metric(&mut text, name, help, value);
    }
    let stats = &snapshot.counters.stats;
    let round_trip = "Round trips of segments, with the peer's delay of acknowledgements.";
    histogram(&mut text, "karst_round_trip_seconds", round_trip, &stats.round_trips);
    let queue_delay = "Time that written bytes wait for the send window.";
    histogram(&mut text, "karst_queue_delay_seconds", queue_delay, &stats.queue_delays);
    text
}

/// What kcp-go does not count: name, help, value.
fn own_metrics(snapshot: &Snapshot) -> [(&'static str, &'static str, f64); 15] {
    let (ratios, worst, stats) = (&snapshot.ratios, &snapshot.worst, &snapshot.counters.stats);
    [
        ("karst_streams", "Streams alive.", snapshot.streams as f64),
        ("karst_streams_cut_total", "Streams given up for the others.", stats.streams_cut as f64),
        ("karst_migrations_total", "Peers followed to another address.", stats.migrations as f64),
        (
            "karst_reflected_packets_total",
            "Datagrams of this process that came back.",
            stats.reflected as f64,
        ),
        ("karst_rtt_max_seconds", "Longest smoothed round trip.", f64::from(worst.rtt_max_ms) / 1e3),
        ("karst_rto_max_seconds", "Longest retransmission timeout.", f64::from(worst.rto_max_ms) / 1e3),
        (
            "karst_queue_delay_max_seconds",
            "Longest smoothed wait of written bytes for the send window.",
            worst.queue_delay_max_ms / 1e3,
        ),
        (
            "karst_queued_bytes",
            "Bytes to be framed, sent, acknowledged or read.",
            snapshot.queued_bytes as f64,
        ),
        (
            "karst_retransmission_ratio",
            "Retransmitted segments per segment sent.",
            ratios.retransmission_ratio,
        ),
        ("karst_amplification_ratio", "Bytes sent on the wire per byte to send.", ratios.amplification),
        ("karst_fec_wasted_total", "Parity packets that rebuilt nothing.", fec_wasted(stats) as f64),
        ("karst_fec_wasted_ratio", "Those among all packets received.", ratios.fec_wasted_ratio),
        ("karst_heap_bytes", "Memory in use by the program's own data.", snapshot.heap_bytes as f64),
        (
            "karst_memory_short",
            "1 while memory is short and nothing new is started.",
            f64::from(snapshot.short),
        ),
        ("karst_uptime_seconds", "Time since the program started.", snapshot.uptime_s as f64),
    ]
}

fn metric(text: &mut String, name: &str, help: &str, value: f64) {
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    let value = if value.is_infinite() { "+Inf".into() } else { value.to_string() };
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

fn histogram(text: &mut String, name: &str, help: &str, histogram: &Histogram) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} histogram\n");
    for (bound_us, count) in histogram.cumulative() {
        let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {count}", bound_us as f64 / 1e6);
    }
    let count = histogram.count();
    let sum_s = histogram.sum_us() as f64 / 1e6;
    let _ = write!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum_s}\n{name}_count {count}\n");
}
