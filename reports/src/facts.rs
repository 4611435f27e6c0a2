//! Rows of a report about a run: labels and rounded figures, independent of the output format. They cover every field of an
//! [`Outcome`].

use engine::Cause;
use serde_json::{Value, json};
use sim::outcome::{
    Activity, BulkOutcome, Counters, EchoOutcome, ExpectationOutcome, FaultOutcome, HostCounters,
    LivenessOutcome, Percentiles, SessionsOutcome, SideOutcome, Unit, WorkOutcome,
};
use sim::plan::Transport;
use sim::record::{EventKind, Recording};
use sim::{Direction, Outcome};
use std::collections::BTreeMap;
use std::mem::discriminant;

/// One run: a heading, a description and a table.
pub(crate) struct Facts {
    pub(crate) heading: String,
    pub(crate) description: String,
    pub(crate) ok: bool,
    pub(crate) rows: Vec<(String, String)>,
}

pub(crate) fn facts(run: &Outcome) -> Facts {
    let mut rows = Vec::new();
    run.workloads.iter().for_each(|work| work_rows(&mut rows, work));
    link_rows(&mut rows, "up", &run.links.up, run.useful_bytes.up);
    link_rows(&mut rows, "down", &run.links.down, run.useful_bytes.down);
    if run.counts_segments() {
        side_rows(&mut rows, "client", &run.client);
        side_rows(&mut rows, "server", &run.server);
    }
    // Direct TCP has no limited hosts and no sessions.
    if run.transport == Transport::Karst {
        host_row(&mut rows, "client", &run.hosts.client);
        host_row(&mut rows, "server", &run.hosts.server);
        rows.push(("sessions".into(), sessions(&run.sessions)));
    }
    if !run.adversary.is_idle() {
        rows.push(("adversary".into(), nonzero(&json!(run.adversary))));
    }
    rows.extend(run.faults.iter().map(fault_row));
    rows.push(("time".into(), time(run)));
    rows.push(("drained".into(), drained(run.stopped_us, &run.liveness)));
    if run.transport == Transport::Karst {
        rows.push(("coverage marks".into(), listed(run.marks.iter().map(|mark| mark.name().into()))));
    }
    rows.push(("trace hash".into(), format!("{:016x}", run.trace_hash)));
    rows.extend(run.expectations.iter().map(expectation_row));
    rows.push(("checks".into(), run.verdict().name().into()));
    for violation in &run.violations {
        let at = millis(violation.at_us);
        rows.push((
            format!("broken rule: {}", violation.rule.name()),
            format!("at {at}: {}", violation.detail),
        ));
    }
    Facts {
        heading: format!("{}, seed {}{}", run.scenario, run.seed, over(run)),
        description: run.description.clone(),
        ok: run.passed(),
        rows,
    }
}

/// Rows about the events of a recording.
pub(crate) fn recorded(recording: &Recording) -> Vec<(String, String)> {
    let mut causes: BTreeMap<(Direction, Cause), u64> = BTreeMap::new();
    // The first event of each kind serves as the key of its count.
    let mut kinds: Vec<(&EventKind, u64)> = Vec::new();
    for event in &recording.events {
        match kinds.iter_mut().find(|(kind, _)| discriminant(*kind) == discriminant(&event.kind)) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&event.kind, 1)),
        }
        if let EventKind::Sent(sent) = &event.kind {
            for again in sent.segments.iter().filter_map(|segment| segment.again.as_ref()) {
                *causes.entry((sent.side.sends(), again.cause)).or_default() += 1;
            }
        }
    }
    // Nothing records why TCP retransmits.
    let known = recording.header.transport == Transport::Karst;
    let mut rows: Vec<(String, String)> = [Direction::Up, Direction::Down]
        .into_iter()
        .filter(|_| known)
        .map(|direction| {
            let of_it = causes.iter().filter(|((of, _), _)| *of == direction);
            let listed = listed(of_it.map(|((_, cause), count)| format!("{cause} {count}")));
            (format!("causes of retransmission {}", direction.name()), listed)
        })
        .collect();
    let name = |kind: &EventKind| json!(kind)["e"].as_str().unwrap_or_default().to_owned();
    let events = kinds.into_iter().map(|(kind, count)| format!("{} {count}", name(kind)));
    rows.push(("recorded events".into(), listed(events)));
    rows
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

/// One row of the table over all runs.
pub(crate) fn summary(run: &Outcome) -> [String; SUMMARY_HEADS.len()] {
    let goodput = |direction: Direction| {
        let kbit = run.workloads.iter().filter_map(|work| match work {
            WorkOutcome::Bulk(bulk) if bulk.direction == direction => Some(bulk.goodput_kbit),
            _ => None,
        });
        mbit(kbit.sum())
    };
    let echo = run.workloads.iter().find_map(|work| match work {
        WorkOutcome::Echo(echo) => Some(&echo.latency_us),
        _ => None,
    });
    let down = per_useful(&run.links.down, run.useful_bytes.down);
    let up = per_useful(&run.links.up, run.useful_bytes.up);
    [
        format!("{}{}", run.scenario, over(run)),
        run.seed.to_string(),
        goodput(Direction::Down),
        goodput(Direction::Up),
        echo.map_or_else(|| "-".into(), |latency| millis(latency.p50)),
        echo.map_or_else(|| "-".into(), |latency| millis(latency.p99)),
        format!("{down}, {up}"),
        run.verdict().name().into(),
    ]
}

fn work_rows(rows: &mut Vec<(String, String)>, work: &WorkOutcome) {
    match work {
        WorkOutcome::Bulk(bulk) => rows.push(bulk_row(bulk)),
        WorkOutcome::Echo(echo) => rows.push(echo_row(echo)),
        _ => {
            if let Some((kind, activity)) = work.activity() {
                activity_rows(rows, kind, activity);
            }
        }
    }
}

fn bulk_row(bulk: &BulkOutcome) -> (String, String) {
    let BulkOutcome { name, direction, bytes_written, bytes_read, complete, start_us, .. } = bulk;
    let (measured_bytes, measured_us) = bulk.measured();
    let drained = bytes_read.saturating_sub(measured_bytes);
    let unread = bytes_written.saturating_sub(*bytes_read);
    let notes = [
        (*start_us > 0).then(|| format!(", from {} on", seconds(*start_us))),
        // The last byte of a transfer of known size ends the measured time.
        (bulk.measured_us > 0).then(|| format!(", the last byte at {}", seconds(bulk.end_us))),
        (drained > 0).then(|| format!(", {} after the sources stopped", megabytes(drained))),
        (unread > 0).then(|| {
            format!(", {} of {} written did not arrive", megabytes(unread), megabytes(*bytes_written))
        }),
        (!complete).then(|| ", incomplete".into()),
        resets(bulk.streams_reset),
    ];
    let value = format!(
        "{} Mbit/s: {} in {}{}",
        mbit(bulk.goodput_kbit),
        megabytes(measured_bytes),
        seconds(measured_us),
        notes.into_iter().flatten().collect::<String>()
    );
    (format!("goodput {}, {name}", direction.name()), value)
}

fn echo_row(echo: &EchoOutcome) -> (String, String) {
    let EchoOutcome { name, message_bytes, interval_us, sent, received, bytes_written, bytes_read, .. } =
        echo;
    let value = format!(
        "{}; {received} of {sent} messages of {message_bytes} bytes came back, one every {}; {} written, {} read{}",
        percentiles(&echo.latency_us),
        millis(*interval_us),
        kilobytes(*bytes_written),
        kilobytes(*bytes_read),
        resets(echo.streams_reset).unwrap_or_default(),
    );
    (format!("latency, {name}"), value)
}

fn activity_rows(rows: &mut Vec<(String, String)>, kind: &str, activity: &Activity) {
    let Activity { name, begun, done, lost, streams_opened, streams_completed, .. } = activity;
    let done = format!("{}; {done} of {begun} done, {lost} lost", percentiles(&activity.latency_us));
    rows.push((format!("{kind}, {name}"), done));
    let streams = format!(
        "{}; {streams_completed} of {streams_opened} completed{}; {} up, {} down",
        percentiles(&activity.stream_us),
        resets(activity.streams_reset).unwrap_or_default(),
        kilobytes(activity.bytes_up),
        kilobytes(activity.bytes_down),
    );
    rows.push((format!("streams, {name}"), streams));
    if let Some(one_way) = &activity.one_way_us {
        rows.push((format!("one way up, {name}"), percentiles(&one_way.up)));
        rows.push((format!("one way down, {name}"), percentiles(&one_way.down)));
    }
    if let Some(stall) = &activity.stall {
        let value = format!(
            "the other stream read {} during the stall, longest gap {}; the stalled one read {}",
            kilobytes(stall.healthy_bytes),
            millis(stall.healthy_gap_us),
            kilobytes(stall.stalled_bytes),
        );
        rows.push((format!("stalled reader, {name}"), value));
    }
}

fn resets(streams: u64) -> Option<String> {
    (streams > 0).then(|| format!(", {streams} reset"))
}

fn percentiles(latency: &Percentiles) -> String {
    let Percentiles { count, min, p50, p90, p99, p999, max, .. } = *latency;
    let [min, p50, p90, p99, p999, max] = [min, p50, p90, p99, p999, max].map(millis);
    format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, min {min}, max {max} ({count} samples)")
}

fn link_rows(rows: &mut Vec<(String, String)>, name: &str, link: &Counters, useful: u64) {
    let wire = format!(
        "{} in {} packets, {} per useful byte; {} in {} packets delivered, {} in flight at the end",
        megabytes(link.sent_bytes),
        link.sent_packets,
        per_useful(link, useful),
        megabytes(link.delivered_bytes),
        link.delivered_packets,
        link.in_flight_packets,
    );
    rows.push((format!("on the wire {name}"), wire));
    let impaired = listed(link.impairments().into_iter().map(|(reason, count)| format!("{count} {reason}")));
    let queue = kilobytes(link.queue_peak_bytes);
    rows.push((format!("dropped and impaired {name}"), format!("{impaired}; the queue held up to {queue}")));
}

fn side_rows(rows: &mut Vec<(String, String)>, name: &str, side: &SideOutcome) {
    let stats = &side.stats;
    let retransmissions = format!(
        "timeout {}, fast {}, early {} of {} segments",
        stats.lost_segs, stats.fast_retrans_segs, stats.early_retrans_segs, stats.out_segs
    );
    rows.push((format!("retransmissions by the {name}"), retransmissions));
    let recovered = format!("{} packets, {} rebuilds failed", stats.fec_recovered, stats.fec_errs);
    rows.push((format!("rebuilt by FEC at the {name}"), recovered));
    let counters = std::iter::once(("refused_datagrams", side.refused_datagrams)).chain(stats.counters());
    let counters = counters.filter(|(_, count)| *count > 0);
    rows.push((
        format!("counters of the {name}"),
        listed(counters.map(|(field, count)| format!("{field} {count}"))),
    ));
}

fn host_row(rows: &mut Vec<(String, String)>, name: &str, host: &HostCounters) {
    let HostCounters { dropped_socket, socket_peak_bytes, cpu_busy_us, clock_offset_us } = host;
    let host = format!(
        "{dropped_socket} datagrams dropped by the socket, which held up to {}; busy {}; clock offset {}",
        kilobytes(*socket_peak_bytes),
        millis(*cpu_busy_us),
        seconds(*clock_offset_us),
    );
    rows.push((format!("host of the {name}"), host));
}

fn sessions(sessions: &SessionsOutcome) -> String {
    let SessionsOutcome { dials, accepted, ended, moved, addresses, dropped_nat, dropped_down } = sessions;
    format!(
        "{dials} dialled, {accepted} accepted, {ended} ended, {moved} migrated; {addresses} client addresses; datagrams dropped: \
         {dropped_nat} to an old address, {dropped_down} to a stopped process"
    )
}

/// The counters of an object that are not zero, under their keys.
fn nonzero(counters: &Value) -> String {
    let counters = counters.as_object().into_iter().flatten().filter(|(_, count)| **count != 0);
    listed(counters.map(|(name, count)| format!("{count} {}", name.replace('_', " "))))
}

fn fault_row(fault: &FaultOutcome) -> (String, String) {
    let recovery = |us: Option<u64>| us.map_or_else(|| "never".into(), millis);
    let value = format!(
        "from {} to {}; recovered up {}, down {}",
        millis(fault.at_us),
        millis(fault.healed_us),
        recovery(fault.recovery_us.up),
        recovery(fault.recovery_us.down)
    );
    (format!("fault: {}", fault.kind.name()), value)
}

fn time(run: &Outcome) -> String {
    let simulated = format!("{} simulated, {} events", seconds(run.sim_us), run.events);
    if run.wall_us == 0 {
        return simulated;
    }
    let speed = run.sim_us as f64 / run.wall_us as f64;
    format!("{simulated}, {} real ({speed:.1} times faster)", seconds(run.wall_us))
}

fn drained(stopped_us: u64, liveness: &LivenessOutcome) -> String {
    let needed = liveness.needed_us.map_or_else(|| "never".into(), |us| format!("in {}", seconds(us)));
    let bound = liveness.bound.map_or_else(String::new, |bound| {
        let terms = bound.terms().map(|(term, us)| format!("{term} {}", seconds(us)));
        format!(" ({})", terms.join(" + "))
    });
    format!(
        "{needed} of at most {}{bound}, from {} on; sources stopped at {}",
        seconds(liveness.limit_us),
        seconds(liveness.from_us),
        seconds(stopped_us)
    )
}

/// The transport, unless it is the tunnel.
pub(crate) fn over(run: &Outcome) -> String {
    if run.transport == Transport::Karst { String::new() } else { format!(", over {}", run.transport.name()) }
}

fn expectation_row(expectation: &ExpectationOutcome) -> (String, String) {
    let figure = |value: u64| match expectation.unit {
        Unit::KbitS => format!("{} Mbit/s", mbit(value)),
        Unit::Us => millis(value),
        Unit::Bytes => format!("{value} bytes"),
        Unit::Thousandths => format!("{:.3}", value as f64 / 1e3),
    };
    let measured = expectation.measured.map_or_else(|| "not measured".into(), figure);
    let limits = [("at least", expectation.at_least), ("at most", expectation.at_most)];
    let limits = limits.into_iter().filter_map(|(word, limit)| Some(format!("{word} {}", figure(limit?))));
    let limits = limits.collect::<Vec<_>>().join(" and ");
    let verdict = if expectation.ok { "met" } else { "FAILED" };
    (format!("expected: {}", expectation.quantity), format!("{limits}, was {measured}: {verdict}"))
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

fn per_useful(link: &Counters, useful: u64) -> String {
    if useful == 0 { "-".into() } else { format!("{:.3}", link.sent_bytes as f64 / useful as f64) }
}

fn mbit(kbit: u64) -> String {
    format!("{:.2}", kbit as f64 / 1e3)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.1} kB", bytes as f64 / 1e3)
}

fn seconds(us: u64) -> String {
    format!("{:.2} s", us as f64 / 1e6)
}

fn millis(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1e3)
}
