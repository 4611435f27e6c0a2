//! What a report says about a run, in words and rounded figures, whatever it is written in.

use crate::results::{Activity, Bulk, Echo, Expectation, Link, Run, Side, Workload};

/// One run: a heading, a sentence, and a table.
pub(crate) struct Facts {
    pub(crate) heading: String,
    pub(crate) description: String,
    pub(crate) ok: bool,
    pub(crate) rows: Vec<(String, String)>,
}

pub(crate) fn facts(run: &Run) -> Facts {
    let mut rows = Vec::new();
    for workload in &run.workloads {
        rows.push(match workload {
            Workload::Bulk(bulk) => bulk_row(bulk),
            Workload::Echo(echo) => echo_row(echo),
            Workload::Activity(activity) => activity_row(activity),
        });
    }
    link_rows(&mut rows, "up", &run.links.up, run.useful_bytes.up);
    link_rows(&mut rows, "down", &run.links.down, run.useful_bytes.down);
    side_rows(&mut rows, "client", &run.client);
    side_rows(&mut rows, "server", &run.server);
    rows.push(("simulated time".into(), seconds(run.sim_us)));
    if run.wall_us > 0 {
        let speed = run.sim_us as f64 / run.wall_us as f64;
        rows.push(("real time".into(), format!("{} ({speed:.1} times faster)", seconds(run.wall_us))));
    }
    rows.push(("trace hash".into(), run.trace_hash.clone()));
    rows.extend(run.expectations.iter().map(expectation_row));
    rows.push(("checks".into(), verdict(run.passed()).into()));
    for violation in &run.violations {
        let at = millis(violation.at_us);
        rows.push((format!("broken rule: {}", violation.rule), format!("at {at}: {}", violation.detail)));
    }
    Facts {
        heading: format!("{}, seed {}{}", run.scenario, run.seed, over(run)),
        description: run.description.clone(),
        ok: run.passed(),
        rows,
    }
}

/// Column heads of the table over all runs.
pub(crate) const SUMMARY_HEADS: [&str; 8] = [
    "scenario",
    "seed",
    "down Mbit/s",
    "up Mbit/s",
    "echo p50",
    "echo p99",
    "wire / useful down, up",
    "checks",
];

/// One line of the table over all runs.
pub(crate) fn summary(run: &Run) -> [String; SUMMARY_HEADS.len()] {
    let goodput = |direction: &str| {
        let kbit: u64 =
            bulks(run).filter(|bulk| bulk.direction == direction).map(|bulk| bulk.goodput_kbit).sum();
        mbit(kbit)
    };
    let echo = run.workloads.iter().find_map(|workload| match workload {
        Workload::Echo(echo) => Some(&echo.latency_us),
        Workload::Bulk(_) | Workload::Activity(_) => None,
    });
    let down = per_useful(&run.links.down, run.useful_bytes.down);
    let up = per_useful(&run.links.up, run.useful_bytes.up);
    [
        format!("{}{}", run.scenario, over(run)),
        run.seed.to_string(),
        goodput("down"),
        goodput("up"),
        echo.map_or_else(|| "-".into(), |latency| millis(latency.p50)),
        echo.map_or_else(|| "-".into(), |latency| millis(latency.p99)),
        format!("{down}, {up}"),
        verdict(run.passed()).into(),
    ]
}

fn bulks(run: &Run) -> impl Iterator<Item = &Bulk> {
    run.workloads.iter().filter_map(|workload| match workload {
        Workload::Bulk(bulk) => Some(bulk),
        Workload::Echo(_) | Workload::Activity(_) => None,
    })
}

fn bulk_row(bulk: &Bulk) -> (String, String) {
    let elapsed = seconds(bulk.end_us.saturating_sub(bulk.start_us));
    let incomplete = if bulk.complete { "" } else { ", incomplete" };
    let value = format!(
        "{} Mbit/s: {} in {elapsed}{incomplete}",
        mbit(bulk.goodput_kbit),
        megabytes(bulk.bytes_read)
    );
    (format!("goodput {}, {}", bulk.direction, bulk.name), value)
}

fn echo_row(echo: &Echo) -> (String, String) {
    let latency = &echo.latency_us;
    let [p50, p90, p99, max] = [latency.p50, latency.p90, latency.p99, latency.max].map(millis);
    let value =
        format!("p50 {p50}, p90 {p90}, p99 {p99}, max {max} ({} of {} back)", echo.received, echo.sent);
    (format!("latency, {}", echo.name), value)
}

fn activity_row(activity: &Activity) -> (String, String) {
    let latency = &activity.latency_us;
    let [p50, p99, max] = [latency.p50, latency.p99, latency.max].map(millis);
    let reset = match activity.streams_reset {
        0 => String::new(),
        count => format!(", {count} streams reset"),
    };
    let (done, begun) = (activity.done, activity.begun);
    (
        format!("time, {}", activity.name),
        format!("p50 {p50}, p99 {p99}, max {max} ({done} of {begun} done{reset})"),
    )
}

fn link_rows(rows: &mut Vec<(String, String)>, name: &str, link: &Link, useful: u64) {
    let wire = format!(
        "{} in {} packets, {} per useful byte",
        megabytes(link.sent_bytes),
        link.sent_packets,
        per_useful(link, useful)
    );
    rows.push((format!("on the wire {name}"), wire));
    let drops = format!(
        "loss {}, queue {}, mtu {}; the queue held up to {:.1} kB",
        link.dropped_loss,
        link.dropped_queue,
        link.dropped_mtu,
        link.queue_peak_bytes as f64 / 1e3
    );
    rows.push((format!("dropped {name}"), drops));
}

fn side_rows(rows: &mut Vec<(String, String)>, name: &str, side: &Side) {
    let retransmissions = format!(
        "timeout {}, fast {}, early {} of {} segments",
        side.lost_segs, side.fast_retrans_segs, side.early_retrans_segs, side.out_segs
    );
    rows.push((format!("retransmissions by the {name}"), retransmissions));
    let recovered = format!("{} packets, {} rebuilds failed", side.fec_recovered, side.fec_errs);
    rows.push((format!("rebuilt by FEC at the {name}"), recovered));
}

/// What carried the streams, where it was not the tunnel.
fn over(run: &Run) -> String {
    if run.transport == "karst" { String::new() } else { format!(", over {}", run.transport) }
}

fn expectation_row(expectation: &Expectation) -> (String, String) {
    let figure = |value: u64| match expectation.unit.as_str() {
        "kbit/s" => format!("{} Mbit/s", mbit(value)),
        "us" => millis(value),
        _ => format!("{:.3}", value as f64 / 1e3),
    };
    let measured = expectation.measured.map_or_else(|| "not measured".into(), figure);
    let limits = [("at least", expectation.at_least), ("at most", expectation.at_most)];
    let limits = limits.into_iter().filter_map(|(word, limit)| Some(format!("{word} {}", figure(limit?))));
    let limits = limits.collect::<Vec<_>>().join(" and ");
    let verdict = if expectation.ok { "met" } else { "FAILED" };
    (format!("expected: {}", expectation.what), format!("{limits}, was {measured}: {verdict}"))
}

const fn verdict(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAILED" }
}

fn per_useful(link: &Link, useful: u64) -> String {
    if useful == 0 { "-".into() } else { format!("{:.3}", link.sent_bytes as f64 / useful as f64) }
}

fn mbit(kbit: u64) -> String {
    format!("{:.2}", kbit as f64 / 1e3)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

fn seconds(us: u64) -> String {
    format!("{:.2} s", us as f64 / 1e6)
}

fn millis(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1e3)
}
