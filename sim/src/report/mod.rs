//! An outcome as text for a terminal.

mod table;

pub use table::{table, wrapped};

use crate::outcome::Counters;
use crate::outcome::{
    BulkOutcome, ExpectationOutcome, FaultOutcome, Outcome, Percentiles, SideOutcome, Unit, WorkOutcome,
};
use std::fmt::{self, Display, Formatter};

const WIDTH: usize = 100;

/// Formats an [`Outcome`] for a terminal.
#[derive(Debug)]
pub struct Report<'o>(pub &'o Outcome);

impl Display for Report<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self(outcome) = self;
        writeln!(out, "{}  seed {}  over {}", outcome.scenario, outcome.seed, outcome.transport)?;
        wrapped(&outcome.description, WIDTH - 2).iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        workloads(out, &outcome.workloads)?;
        links(out, outcome)?;
        adversary(out, outcome)?;
        hosts(out, outcome)?;
        sessions(out, outcome)?;
        if outcome.counts_segments() {
            sides(out, [&outcome.client, &outcome.server])?;
        }
        faults(out, &outcome.faults)?;
        expectations(out, &outcome.expectations)?;
        time_line(out, outcome)?;
        writeln!(out, "  trace hash  {:016x}", outcome.trace_hash)?;
        for violation in &outcome.violations {
            let at = ms(violation.at_us);
            writeln!(out, "  FAILED      {} at {at} ms: {}", violation.rule, violation.detail)?;
        }
        writeln!(out, "  checks      {}", outcome.verdict())
    }
}

/// Writes an empty line and a table; nothing without rows.
fn section<const N: usize>(out: &mut Formatter<'_>, heads: [&str; N], rows: &[[String; N]]) -> fmt::Result {
    if rows.is_empty() { Ok(()) } else { write!(out, "\n{}", table(&heads, rows)) }
}

fn workloads(out: &mut Formatter<'_>, workloads: &[WorkOutcome]) -> fmt::Result {
    let bulks = workloads.iter().filter_map(|work| match work {
        WorkOutcome::Bulk(bulk) => Some(bulk_row(bulk)),
        _ => None,
    });
    section(out, ["goodput", "", "Mbit/s", "MB", "s", ""], &bulks.collect::<Vec<_>>())?;
    let latencies: Vec<_> = workloads.iter().flat_map(latency_rows).collect();
    section(out, ["latency, ms", "done", "p50", "p90", "p99", "p99.9", "max"], &latencies)?;
    let streams: Vec<_> = workloads.iter().filter_map(stream_row).collect();
    section(out, ["streams", "opened", "completed", "reset", "units lost", "kB up", "kB down"], &streams)?;
    for (name, stall) in workloads.iter().filter_map(|work| Some((work.name(), work.activity()?.1.stall?))) {
        writeln!(
            out,
            "  {name}: the other download read {:.2} MB during the stall, with a longest gap of {} ms",
            stall.healthy_bytes as f64 / 1e6,
            ms(stall.healthy_gap_us)
        )?;
    }
    Ok(())
}

fn bulk_row(bulk: &BulkOutcome) -> [String; 6] {
    let (bytes, elapsed_us) = bulk.measured();
    [
        format!("  {}", bulk.name),
        bulk.direction.name().into(),
        format!("{:.2}", bulk.goodput_kbit as f64 / 1e3),
        format!("{:.2}", bytes as f64 / 1e6),
        format!("{:.2}", elapsed_us as f64 / 1e6),
        if bulk.complete { String::new() } else { "INCOMPLETE".into() },
    ]
}

/// One row, or one per direction for messages timed one way.
fn latency_rows(work: &WorkOutcome) -> Vec<[String; 7]> {
    let row = |name: String, done: String, latency: &Percentiles| {
        let [p50, p90, p99, p999, max] =
            [latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map(ms);
        [format!("  {name}"), done, p50, p90, p99, p999, max]
    };
    match work {
        WorkOutcome::Bulk(_) => Vec::new(),
        WorkOutcome::Echo(echo) => {
            vec![row(echo.name.clone(), format!("{} of {}", echo.received, echo.sent), &echo.latency_us)]
        }
        other => {
            let Some((_, of)) = other.activity() else { return Vec::new() };
            let done = format!("{} of {}", of.done, of.begun);
            match &of.one_way_us {
                Some(one_way) => vec![
                    row(format!("{} up", of.name), done.clone(), &one_way.up),
                    row(format!("{} down", of.name), done, &one_way.down),
                ],
                None => vec![row(of.name.clone(), done, &of.latency_us)],
            }
        }
    }
}

fn stream_row(work: &WorkOutcome) -> Option<[String; 7]> {
    let (_, of) = work.activity()?;
    let kilo = |bytes: u64| format!("{:.1}", bytes as f64 / 1e3);
    let counts = [of.streams_opened, of.streams_completed, of.streams_reset, of.lost].map(|n| n.to_string());
    let [opened, completed, reset, lost] = counts;
    Some([format!("  {}", of.name), opened, completed, reset, lost, kilo(of.bytes_up), kilo(of.bytes_down)])
}

fn links(out: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let row = |name: &str, link: &Counters, useful: u64| {
        let per_useful = link.sent_bytes as f64 / useful as f64;
        [
            format!("  {name}"),
            link.sent_packets.to_string(),
            format!("{:.2}", link.sent_bytes as f64 / 1e6),
            if useful == 0 { "-".into() } else { format!("{per_useful:.3}") },
            format!("{:.1}", link.queue_peak_bytes as f64 / 1e3),
            drops(link),
        ]
    };
    let (links, useful) = (&outcome.links, &outcome.useful_bytes);
    let rows = [row("up", &links.up, useful.up), row("down", &links.down, useful.down)];
    let heads = ["link", "packets", "MB", "per useful byte", "queue peak kB", "drops and impairments"];
    section(out, heads, &rows)
}

/// Impairments by reason.
fn drops(link: &Counters) -> String {
    let shown = link.impairments().into_iter().map(|(reason, count)| format!("{count} {reason}"));
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { "nothing".into() } else { shown.join(", ") }
}

fn adversary(out: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let of = &outcome.adversary;
    if of.is_idle() {
        return Ok(());
    }
    let counts = [
        ("delayed", of.delayed_packets),
        ("replayed", of.replayed_packets),
        ("replayed of earlier sessions", of.replayed_earlier_packets),
        ("reflected", of.reflected_packets),
        ("tampered with", of.tampered_packets),
        ("garbage", of.garbage_packets),
        ("relayed", of.relayed_packets),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(what, count)| format!("{count} {what}")).collect();
    writeln!(
        out,
        "  adversary: {} datagrams observed, {}; the server got {:.1} kB from its addresses and sent {:.1} kB to them",
        of.observed_packets,
        counts.join(", "),
        of.foreign_bytes as f64 / 1e3,
        of.diverted_bytes as f64 / 1e3,
    )
}

fn hosts(out: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    for (name, host) in [("client", &outcome.hosts.client), ("server", &outcome.hosts.server)] {
        if host.socket_peak_bytes + host.cpu_busy_us > 0 {
            writeln!(
                out,
                "  {name} host: {} datagrams dropped by the full socket buffer, peak {:.1} kB; processor busy for {} ms",
                host.dropped_socket,
                host.socket_peak_bytes as f64 / 1e3,
                ms(host.cpu_busy_us),
            )?;
        }
    }
    Ok(())
}

/// Datagrams that neither a link nor a socket dropped.
fn sessions(out: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let of = &outcome.sessions;
    if of.dropped_nat + of.dropped_down == 0 {
        return Ok(());
    }
    let (nat, down) = (of.dropped_nat, of.dropped_down);
    writeln!(out, "  also dropped: {nat} datagrams to an old address, {down} to a stopped process")
}

fn sides(out: &mut Formatter<'_>, sides: [&SideOutcome; 2]) -> fmt::Result {
    let rows = ["  client", "  server"].into_iter().zip(sides).map(|(name, side)| {
        let counts = [
            side.stats.out_segs,
            side.stats.lost_segs,
            side.stats.fast_retrans_segs,
            side.stats.early_retrans_segs,
            side.stats.repeat_segs,
            side.stats.fec_recovered,
            side.stats.fec_errs,
            side.refused_datagrams,
        ];
        let [sent, timeout, fast, early, twice, recovered, failed, refused] = counts.map(|n| n.to_string());
        [name.into(), sent, timeout, fast, early, twice, recovered, failed, refused]
    });
    let heads = [
        "segments",
        "sent",
        "retransmitted: timeout",
        "fast",
        "early",
        "duplicates",
        "recovered",
        "not",
        "refused",
    ];
    section(out, heads, &rows.collect::<Vec<_>>())
}

fn faults(out: &mut Formatter<'_>, faults: &[FaultOutcome]) -> fmt::Result {
    let recovery = |us: Option<u64>| us.map_or_else(|| "-".into(), ms);
    let rows = faults.iter().map(|fault| {
        let (up, down) = (recovery(fault.recovery_us.up), recovery(fault.recovery_us.down));
        [format!("  {}", fault.kind), ms(fault.at_us), ms(fault.healed_us), up, down]
    });
    let heads = ["fault, ms", "at", "healed", "recovered up after", "down after"];
    section(out, heads, &rows.collect::<Vec<_>>())
}

fn expectations(out: &mut Formatter<'_>, expectations: &[ExpectationOutcome]) -> fmt::Result {
    let rows = expectations.iter().map(|expectation| {
        let figure = |value: u64| format!("{:.3}", value as f64 / 1e3);
        let (word, limit) = match (expectation.at_least, expectation.at_most) {
            (Some(least), _) => ("at least", least),
            (None, most) => ("at most", most.unwrap_or(0)),
        };
        let unit = match expectation.unit {
            Unit::KbitS => "Mbit/s",
            Unit::Us => "ms",
            Unit::Thousandths => "",
            Unit::Bytes => "kB",
        };
        [
            format!("  {}", expectation.quantity),
            expectation.measured.map_or_else(|| "not measured".into(), figure),
            format!("{word} {}", figure(limit)),
            unit.into(),
            if expectation.ok { "met" } else { "FAILED" }.into(),
        ]
    });
    section(out, ["expected", "measured", "wanted", "", ""], &rows.collect::<Vec<_>>())
}

fn time_line(out: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let simulated = outcome.sim_us as f64 / 1e6;
    let liveness = &outcome.liveness;
    if let Some(needed_us) = liveness.needed_us {
        let (needed, limit) = (needed_us as f64 / 1e6, liveness.limit_us as f64 / 1e6);
        writeln!(out, "\n  drained     in {needed:.3} s of at most {limit:.3} s")?;
    } else {
        writeln!(out)?;
    }
    write!(out, "  time        {simulated:.3} s simulated, {} events", outcome.events)?;
    if outcome.wall_us == 0 {
        return writeln!(out);
    }
    let wall = outcome.wall_us as f64 / 1e6;
    writeln!(out, ", {wall:.3} s real, {:.1}x", simulated / wall)
}

/// Microseconds as milliseconds.
fn ms(us: u64) -> String {
    format!("{:.1}", us as f64 / 1e3)
}
