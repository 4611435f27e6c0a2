//! An outcome as text for a terminal.

use crate::outcome::{
    BulkOutcome, EchoOutcome, ExpectationOutcome, HostOutcome, LinkOutcome, Outcome, SideOutcome, WorkOutcome,
};
use std::fmt::{self, Display, Formatter};

/// Shows an [`Outcome`] on a screen.
#[derive(Debug)]
pub struct Report<'o>(pub &'o Outcome);

impl Display for Report<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self(outcome) = self;
        writeln!(out, "{}  seed {}", outcome.scenario, outcome.seed)?;
        writeln!(out, "  {}", outcome.description)?;
        for workload in &outcome.workloads {
            match workload {
                WorkOutcome::Bulk(bulk) => bulk_line(out, bulk)?,
                WorkOutcome::Echo(echo) => echo_line(out, echo)?,
                other => activity_lines(out, other)?,
            }
        }
        link_lines(out, "up", &outcome.links.up, outcome.useful_bytes.up)?;
        link_lines(out, "down", &outcome.links.down, outcome.useful_bytes.down)?;
        side_lines(out, "client", &outcome.client)?;
        host_line(out, &outcome.hosts.client)?;
        side_lines(out, "server", &outcome.server)?;
        host_line(out, &outcome.hosts.server)?;
        time_line(out, outcome)?;
        writeln!(out, "  trace hash  {:016x}", outcome.trace_hash)?;
        for violation in &outcome.violations {
            let at = Ms(violation.at_us);
            writeln!(out, "  FAILED      {} at {at}: {}", violation.rule, violation.detail)?;
        }
        outcome.expectations.iter().try_for_each(|expectation| expectation_line(out, expectation))?;
        writeln!(out, "  checks      {}", if outcome.ok { "ok" } else { "FAILED" })
    }
}

fn bulk_line(out: &mut Formatter<'_>, bulk: &BulkOutcome) -> fmt::Result {
    let elapsed_us = bulk.end_us.saturating_sub(bulk.start_us);
    writeln!(
        out,
        "  bulk {:<6} {}: {:.2} Mbit/s goodput, {:.2} MB in {:.2} s{}",
        bulk.direction,
        bulk.name,
        bulk.goodput_kbit as f64 / 1e3,
        bulk.bytes_read as f64 / 1e6,
        elapsed_us as f64 / 1e6,
        if bulk.complete { "" } else { ", INCOMPLETE" },
    )
}

fn echo_line(out: &mut Formatter<'_>, echo: &EchoOutcome) -> fmt::Result {
    let latency = &echo.latency_us;
    let (p50, p90, p99, max) = (Ms(latency.p50), Ms(latency.p90), Ms(latency.p99), Ms(latency.max));
    writeln!(
        out,
        "  echo        {}: {} of {} back, p50 {p50}  p90 {p90}  p99 {p99}  max {max}",
        echo.name, echo.received, echo.sent
    )
}

fn activity_lines(out: &mut Formatter<'_>, outcome: &WorkOutcome) -> fmt::Result {
    let Some((kind, of)) = outcome.activity() else { return Ok(()) };
    let latency = &of.latency_us;
    let (p50, p90, p99, max) = (Ms(latency.p50), Ms(latency.p90), Ms(latency.p99), Ms(latency.max));
    writeln!(
        out,
        "  {kind:<11} {}: {} of {} done, p50 {p50}  p90 {p90}  p99 {p99}  max {max}",
        of.name, of.done, of.begun
    )?;
    let (lost, opened, reset) = (of.lost, of.streams_opened, of.streams_reset);
    writeln!(
        out,
        "              {opened} streams, {reset} reset, {lost} lost; {:.1} kB up, {:.1} kB down",
        of.bytes_up as f64 / 1e3,
        of.bytes_down as f64 / 1e3
    )?;
    if let Some(one_way) = &of.one_way_us {
        let (up, down) = (&one_way.up, &one_way.down);
        writeln!(
            out,
            "              one way up p50 {}  p99 {}, down p50 {}  p99 {}",
            Ms(up.p50),
            Ms(up.p99),
            Ms(down.p50),
            Ms(down.p99)
        )?;
    }
    let Some(stall) = &of.stall else { return Ok(()) };
    writeln!(
        out,
        "              during the stall the other read {:.1} kB, longest pause {}",
        stall.healthy_bytes as f64 / 1e3,
        Ms(stall.healthy_gap_us)
    )
}

fn link_lines(out: &mut Formatter<'_>, name: &str, link: &LinkOutcome, useful: u64) -> fmt::Result {
    let per_useful = if useful == 0 { 0.0 } else { link.sent_bytes as f64 / useful as f64 };
    writeln!(
        out,
        "  link {name:<6} {} packets, {:.2} MB on the wire, {per_useful:.3} per useful byte",
        link.sent_packets,
        link.sent_bytes as f64 / 1e6,
    )?;
    writeln!(
        out,
        "              dropped: loss {}, queue {}{}; reordered {}, duplicated {}; queue peak {:.1} kB",
        link.dropped_loss,
        link.dropped_queue,
        Rare(&[
            ("mtu", link.dropped_mtu),
            ("blackout", link.dropped_blackout),
            ("listed", link.dropped_list),
            ("policer", link.dropped_policer),
            ("CoDel", link.dropped_codel),
        ]),
        link.reordered_packets,
        link.duplicated_packets,
        link.queue_peak_bytes as f64 / 1e3,
    )?;
    if link.corrupted_packets + link.penalties > 0 {
        let rare = Rare(&[("damaged", link.corrupted_packets), ("penalties", link.penalties)]);
        writeln!(out, "              {}", rare.to_string().trim_start_matches(", "))?;
    }
    Ok(())
}

/// Counters that are shown only when they counted something, each after a comma.
struct Rare<'c>(&'c [(&'static str, u64)]);

impl Display for Rare<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self(counters) = self;
        let seen = counters.iter().filter(|(_, count)| *count > 0);
        seen.into_iter().try_for_each(|(name, count)| write!(out, ", {name} {count}"))
    }
}

/// A machine, if its limits were felt.
fn host_line(out: &mut Formatter<'_>, host: &HostOutcome) -> fmt::Result {
    if host.socket_peak_bytes + host.cpu_busy_us == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "              machine: {} datagrams dropped in the socket, at most {:.1} kB in it; {:.2} s of processor",
        host.dropped_socket,
        host.socket_peak_bytes as f64 / 1e3,
        host.cpu_busy_us as f64 / 1e6,
    )
}

fn side_lines(out: &mut Formatter<'_>, name: &str, side: &SideOutcome) -> fmt::Result {
    writeln!(
        out,
        "  {name:<11} {} segments sent, {} again: timeout {}, fast {}, early {}; {} received twice",
        side.out_segs,
        side.retrans_segs,
        side.lost_segs,
        side.fast_retrans_segs,
        side.early_retrans_segs,
        side.repeat_segs,
    )?;
    writeln!(
        out,
        "              fec: {} recovered, {} rebuilds failed; {} datagrams refused",
        side.fec_recovered, side.fec_errs, side.refused_datagrams,
    )
}

fn time_line(out: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let simulated = outcome.sim_us as f64 / 1e6;
    write!(out, "  time        {simulated:.3} s simulated, {} events", outcome.events)?;
    if outcome.wall_us == 0 {
        return writeln!(out);
    }
    let wall = outcome.wall_us as f64 / 1e6;
    writeln!(out, ", {wall:.3} s real, {:.1}x", simulated / wall)
}

fn expectation_line(out: &mut Formatter<'_>, expectation: &ExpectationOutcome) -> fmt::Result {
    let figure = |value: u64| match expectation.unit {
        "kbit/s" => format!("{:.3} Mbit/s", value as f64 / 1e3),
        "us" => Ms(value).to_string(),
        _ => format!("{:.3}", value as f64 / 1e3),
    };
    let limits = [("at least", expectation.at_least), ("at most", expectation.at_most)];
    let limits = limits.into_iter().filter_map(|(word, limit)| Some(format!("{word} {}", figure(limit?))));
    writeln!(
        out,
        "  {}      {}: {}, expected {}",
        if expectation.ok { "met   " } else { "FAILED" },
        expectation.what,
        expectation.measured.map_or_else(|| "not measured".into(), figure),
        limits.collect::<Vec<_>>().join(" and "),
    )
}

/// Microseconds shown as milliseconds.
struct Ms(u64);

impl Display for Ms {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{:.1} ms", self.0 as f64 / 1e3)
    }
}
