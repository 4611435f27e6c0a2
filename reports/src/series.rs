//! Time series of a recording: the numbers that a page draws, thinned to a size that fits in it.

use engine::Cause;
use serde_json::{Value, json};
use sim::Direction;
use sim::outcome::WorkOutcome;
use sim::plan::{FaultName, Transport};
use sim::record::{Command, Element, EventKind, LinkState, Recording, Sent, Span, State};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of the IPv4 and UDP headers of a packet on the wire; recorded TCP packets include theirs.
const HEADERS_BYTES: u64 = 28;

/// Maximum number of bins of a rate.
const BINS_MAX: u64 = 2_000;

/// Maximum number of points of a curve; of more, the lowest, the highest and the last of each group of neighbours are kept.
const POINTS_MAX: usize = 4_000;

/// Maximum number of marks of one kind in the sequence plot.
const MARKS_MAX: usize = 30_000;

/// Points of a percentile curve.
const QUANTILES: usize = 120;

/// The series of one direction.
#[derive(Default)]
struct Way {
    useful: Vec<u64>,
    wire: Vec<u64>,
    queue: Points,
    rtt: Points,
    srtt: Points,
    rto: Points,
    flight: Points,
    cwnd: Points,
    window: Points,
    backlog: Points,
    again: BTreeMap<Cause, Vec<u64>>,
    lost: BTreeMap<Element, Vec<u64>>,
    rebuilt: Vec<u64>,
    marks: Marks,
    latency: BTreeMap<String, Vec<u64>>,
}

/// The sequence plot.
#[derive(Default)]
struct Marks {
    sent: Points,
    again: BTreeMap<Cause, Points>,
    lost: Points,
    rebuilt: Points,
    acked: Points,
    /// Offset of each session, added to its sequence numbers so that sessions do not overlap.
    offsets: BTreeMap<u32, u64>,
    top: u64,
}

/// Values at times, microseconds.
#[derive(Default)]
struct Points(Vec<(u64, u64)>);

struct Builder {
    bin_us: u64,
    headers_bytes: u64,
    /// A capture does not show when datagrams leave the link.
    is_capture: bool,
    ways: [Way; 2],
    /// Bytes of datagrams that have not left the link.
    offered: BTreeMap<u64, u64>,
    /// Data segments of datagrams in transit.
    carried: BTreeMap<u64, (u32, Vec<u32>)>,
    works: BTreeMap<(u32, u32), String>,
    /// Ends of writes not yet read completely: offset and time, by session, stream and direction.
    written: BTreeMap<(u32, u32, Direction), std::collections::VecDeque<(u64, u64)>>,
    faults: Vec<(u64, Option<u64>, FaultName)>,
}

/// The data of a run for the script of the page, as JSON.
pub(crate) fn series(recording: &Recording) -> Value {
    let is_tcp = recording.header.transport != Transport::Karst;
    let end_us = recording.end_us();
    let mut builder = Builder {
        bin_us: bin_us(end_us),
        headers_bytes: if is_tcp { 0 } else { HEADERS_BYTES },
        is_capture: recording.header.capture,
        ways: Default::default(),
        offered: BTreeMap::new(),
        carried: BTreeMap::new(),
        works: BTreeMap::new(),
        written: BTreeMap::new(),
        faults: Vec::new(),
    };
    for event in &recording.events {
        builder.add(event.t, &event.kind);
    }
    let Builder { bin_us, ways: [up, down], faults, .. } = builder;
    let mut faults: Vec<Value> = faults
        .iter()
        .map(|(from, until, kind)| json!([from, until.unwrap_or(end_us), kind.name()]))
        .collect();
    let links = &recording.header.links;
    let [up, down] = [(up, Direction::Up), (down, Direction::Down)].map(|(way, direction)| {
        let states: Vec<&LinkState> = links.iter().filter(|state| state.dir == direction).collect();
        faults.extend(blackouts(&states, end_us));
        let mut way = way.json(recording);
        way["capacity"] = capacity(&states, end_us).curve();
        way
    });
    let causes: Vec<Value> = Cause::ALL.iter().map(|&cause| style(cause)).collect();
    json!({
        "end": end_us, "causes": causes, "bin": bin_us, "faults": faults, "changes": changes(links), "up": up, "down": down,
    })
}

/// Blackouts of a link's schedule, as faults.
fn blackouts(states: &[&LinkState], end_us: u64) -> Vec<Value> {
    let until = |at: usize| states[at..].iter().find(|state| !state.dead).map_or(end_us, |state| state.t);
    let begins = |at: &usize| states[*at].dead && (*at == 0 || !states[*at - 1].dead);
    let starts = (0..states.len()).filter(begins);
    starts.map(|at| json!([states[at].t, until(at), format!("blackout {}", states[at].dir.name())])).collect()
}

/// The rate of a link over time, bits per second; nothing where it has no limit.
fn capacity(states: &[&LinkState], end_us: u64) -> Points {
    if states.iter().all(|state| state.bits_per_s == 0) {
        return Points::default();
    }
    let rate = |state: &LinkState| if state.dead { 0 } else { state.bits_per_s };
    let last = states.last().map(|state| (end_us.max(state.t), rate(state)));
    Points(states.iter().map(|state| (state.t, rate(state))).chain(last).collect())
}

/// What the schedules of the links change: time, and the values in words.
fn changes(links: &[LinkState]) -> Vec<Value> {
    let later = links.iter().filter(|state| state.t > 0 && !state.sets.is_empty());
    later.map(|state| json!([state.t, format!("{}: {}", state.dir.name(), state.sets)])).collect()
}

/// How retransmissions of a cause are drawn: the key of their times in each direction, their label, their colour.
fn style(cause: Cause) -> Value {
    let (label, hue) = match cause {
        Cause::Fast => ("retransmitted: fast", "--orange"),
        Cause::Early => ("early", "--blue"),
        Cause::Timeout => ("timeout", "--violet"),
        Cause::Overdue => ("overdue", "--brown"),
        Cause::TailProbe => ("tail probe", "--red"),
        Cause::Redundant => ("redundant copy", "--grey"),
    };
    json!({ "key": cause.name(), "label": label, "hue": hue })
}

/// The distributions of latency in the outcome, by workload.
fn measured(recording: &Recording) -> BTreeMap<String, Value> {
    let work = recording.outcome().map(|outcome| outcome.workloads.as_slice()).unwrap_or_default();
    let curve = |work: &WorkOutcome| {
        let latency = work.latency()?;
        let (q, v): (Vec<f64>, Vec<u64>) = latency.points().unzip();
        let name = work.name().to_owned();
        (!q.is_empty()).then(|| {
            (name.clone(), json!({ "work": name, "whole": true, "count": latency.count, "q": q, "v": v }))
        })
    };
    work.iter().filter_map(curve).collect()
}

/// A round bin size of at least 10 ms, with at most [`BINS_MAX`] bins.
fn bin_us(end_us: u64) -> u64 {
    let steps = [1, 2, 5].into_iter().cycle().zip((4..).flat_map(|power| [10_u64.pow(power); 3]));
    let mut sizes = steps.map(|(step, power)| step * power);
    sizes.find(|size| end_us / size < BINS_MAX).unwrap_or(u64::MAX)
}

impl Builder {
    fn add(&mut self, t: u64, kind: &EventKind) {
        match kind {
            EventKind::Sent(sent) => self.sent(t, sent),
            EventKind::Dropped { n, dir, by } => self.dropped(t, *n, *dir, *by),
            EventKind::Queued { dir, queue, .. } => self.way(*dir).queue.add(t, *queue),
            EventKind::Left { n, dir, queue, .. } => {
                self.way(*dir).queue.add(t, *queue);
                let bytes = self.offered.remove(n).unwrap_or(0);
                self.on_wire(t, *dir, bytes);
            }
            EventKind::Rebuilt { side, seqids, .. } => {
                self.way(side.receives()).rebuilt.extend(seqids.iter().map(|_| t));
            }
            EventKind::Got { side, session, rebuilt, .. } => {
                let marks = &mut self.way(side.receives()).marks;
                for &sn in rebuilt {
                    let place = marks.place(*session, sn);
                    marks.rebuilt.add(t, place);
                }
            }
            EventKind::Acked { side, session, sns, una, .. } => {
                let marks = &mut self.way(side.sends()).marks;
                for &sn in sns.iter().chain(una) {
                    let place = marks.place(*session, sn);
                    marks.acked.add(t, place);
                }
            }
            EventKind::Rtt { side, ms, .. } => self.way(side.sends()).rtt.add(t, u64::from(*ms)),
            EventKind::State(state) => self.way(state.side.sends()).state(t, state),
            EventKind::Opened { session, stream, work: Some(work), .. } => {
                self.works.insert((*session, *stream), work.clone());
            }
            EventKind::Wrote(span) => {
                let key = (span.session, span.stream, span.side.sends());
                self.written
                    .entry(key)
                    .or_default()
                    .push_back((span.at.saturating_add(u64::from(span.len)), t));
            }
            EventKind::Read(span) => self.read(t, span),
            EventKind::Fault { kind, healed: false } => self.faults.push((t, None, *kind)),
            EventKind::Fault { kind, healed: true } => {
                let open = self.faults.iter_mut().find(|(_, until, of)| until.is_none() && of == kind);
                open.into_iter().for_each(|fault| fault.1 = Some(t));
            }
            // Not drawn; the table has their counts.
            EventKind::Session { .. }
            | EventKind::Carries { .. }
            | EventKind::Copied { .. }
            | EventKind::Injected { .. }
            | EventKind::Waits { .. }
            | EventKind::Received { .. }
            | EventKind::Refused { .. }
            | EventKind::InOrder { .. }
            | EventKind::Path(_)
            | EventKind::Opened { .. }
            | EventKind::Finished(_)
            | EventKind::Ended(_)
            | EventKind::Closed(_)
            | EventKind::Reset(_)
            | EventKind::Violation { .. }
            | EventKind::Outcome { .. }
            | EventKind::Other => {}
        }
    }

    const fn way(&mut self, direction: Direction) -> &mut Way {
        &mut self.ways[direction as usize]
    }

    fn sent(&mut self, t: u64, sent: &Sent) {
        let bytes = u64::from(sent.bytes) + self.headers_bytes;
        if self.is_capture {
            self.on_wire(t, sent.side.sends(), bytes);
        } else {
            self.offered.insert(sent.n, bytes);
        }
        let way = self.way(sent.side.sends());
        let pushes = || sent.segments.iter().filter(|segment| segment.cmd == Command::Push);
        for segment in pushes() {
            let place = way.marks.place(sent.session, segment.sn);
            match &segment.again {
                None => way.marks.sent.add(t, place),
                Some(again) => {
                    way.marks.again.entry(again.cause).or_default().add(t, place);
                    way.again.entry(again.cause).or_default().push(t);
                }
            }
        }
        self.carried.insert(sent.n, (sent.session, pushes().map(|segment| segment.sn).collect()));
    }

    /// Bytes that left the transmitter of a link.
    fn on_wire(&mut self, t: u64, direction: Direction, bytes: u64) {
        let bin = (t / self.bin_us) as usize;
        add_to_bin(&mut self.way(direction).wire, bin, bytes);
    }

    fn dropped(&mut self, t: u64, n: u64, direction: Direction, by: Element) {
        let (session, sns) = self.carried.remove(&n).unwrap_or_default();
        self.offered.remove(&n);
        let way = self.way(direction);
        way.lost.entry(by).or_default().push(t);
        for sn in sns {
            let place = way.marks.place(session, sn);
            way.marks.lost.add(t, place);
        }
    }

    fn read(&mut self, t: u64, span: &Span) {
        let (bin, direction) = ((t / self.bin_us) as usize, span.side.receives());
        let work = self.works.get(&(span.session, span.stream)).cloned().unwrap_or_default();
        let writes = self.written.entry((span.session, span.stream, direction)).or_default();
        let end = span.at.saturating_add(u64::from(span.len));
        // Keep the write that contains the last byte: later reads may need it.
        while writes.front().is_some_and(|(until, _)| *until < end) {
            writes.pop_front();
        }
        let written_at = writes.front().map(|(_, at)| *at);
        let way = &mut self.ways[direction as usize];
        add_to_bin(&mut way.useful, bin, span.len.into());
        way.latency.entry(work).or_default().extend(written_at.map(|at| t.saturating_sub(at)));
    }
}

impl Way {
    fn state(&mut self, t: u64, state: &State) {
        self.srtt.add(t, state.srtt_ms.into());
        // A capture does not show it.
        if state.rto_ms > 0 {
            self.rto.add(t, state.rto_ms.into());
        }
        self.flight.add(t, state.snd_nxt.wrapping_sub(state.snd_una).into());
        self.cwnd.add(t, state.cwnd.into());
        self.window.add(t, state.rmt_wnd.into());
        self.backlog.add(t, state.snd_queue as u64);
    }

    fn json(self, recording: &Recording) -> Value {
        // What the table has a distribution of is drawn as that; of the rest, the time from writing a byte to reading it.
        let measured = measured(recording);
        let others = self.latency.into_iter().filter(|(work, _)| !measured.contains_key(work));
        let others = others.map(|(work, times)| curve(&work, times)).collect::<Vec<_>>();
        let latency = [measured.into_values().collect(), others].concat();
        let lost: BTreeMap<&str, Value> =
            self.lost.iter().map(|(by, times)| (by.name(), deltas(times))).collect();
        let again: BTreeMap<&str, Value> =
            self.again.iter().map(|(cause, times)| (cause.name(), deltas(times))).collect();
        json!({
            "useful": self.useful,
            "wire": self.wire,
            "queue": self.queue.curve(),
            "rtt": self.rtt.curve(),
            "srtt": self.srtt.curve(),
            "rto": self.rto.curve(),
            "flight": self.flight.curve(),
            "cwnd": self.cwnd.curve(),
            "window": self.window.curve(),
            "backlog": self.backlog.curve(),
            "again": again,
            "lost": lost,
            "rebuilt": deltas(&self.rebuilt),
            "marks": self.marks.json(),
            "latency": latency,
        })
    }
}

impl Marks {
    /// Position of a sequence number: sessions follow each other.
    fn place(&mut self, session: u32, sn: u32) -> u64 {
        let offset = *self.offsets.entry(session).or_insert(self.top);
        let place = offset + u64::from(sn);
        self.top = self.top.max(place + 1);
        place
    }

    fn json(self) -> Value {
        let again: BTreeMap<&str, Value> =
            self.again.into_iter().map(|(cause, points)| (cause.name(), points.marks())).collect();
        let offsets: Vec<Value> =
            self.offsets.iter().map(|(session, offset)| json!([session, offset])).collect();
        json!({
            "sent": self.sent.marks(),
            "again": again,
            "lost": self.lost.marks(),
            "rebuilt": self.rebuilt.marks(),
            "acked": self.acked.marks(),
            "sessions": offsets,
        })
    }
}

impl Points {
    fn add(&mut self, t: u64, value: u64) {
        self.0.push((t, value));
    }

    /// A curve, thinned to the lowest, the highest and the last point of each group of neighbours: the last is the value that
    /// holds until the next group.
    fn curve(self) -> Value {
        let all = self.0.len();
        let group = if all <= POINTS_MAX { 1 } else { (3 * all).div_ceil(POINTS_MAX - 3) };
        let kept = |points: &[(u64, u64)]| {
            let place = |best: Option<(usize, &(u64, u64))>| best.map_or(0, |(at, _)| at);
            let by_value = |(_, (_, value)): &(usize, &(u64, u64))| *value;
            let lowest = place(points.iter().enumerate().min_by_key(by_value));
            let highest = place(points.iter().enumerate().max_by_key(by_value));
            let places = BTreeSet::from([lowest, highest, points.len() - 1]);
            places.into_iter().map(|place| points[place]).collect::<Vec<_>>()
        };
        let points: Vec<_> = self.0.chunks(group).flat_map(kept).collect();
        json!({ "t": deltas(&times(&points)), "v": values(&points) })
    }

    /// Marks, thinned to every n-th, and their total.
    fn marks(self) -> Value {
        let step = self.0.len().div_ceil(MARKS_MAX).max(1);
        let points: Vec<_> = self.0.iter().copied().step_by(step).collect();
        json!({ "t": deltas(&times(&points)), "v": deltas(&values(&points)), "of": self.0.len() })
    }
}

fn times(points: &[(u64, u64)]) -> Vec<u64> {
    points.iter().map(|(t, _)| *t).collect()
}

fn values(points: &[(u64, u64)]) -> Vec<u64> {
    points.iter().map(|(_, value)| *value).collect()
}

/// Differences of consecutive numbers, which are shorter.
fn deltas(numbers: &[u64]) -> Value {
    let mut before = 0;
    let delta = |&number: &u64| number.wrapping_sub(std::mem::replace(&mut before, number)).cast_signed();
    numbers.iter().map(delta).collect::<Vec<i64>>().into()
}

fn add_to_bin(bins: &mut Vec<u64>, bin: usize, bytes: u64) {
    if bins.len() <= bin {
        bins.resize(bin + 1, 0);
    }
    bins[bin] += bytes;
}

/// A percentile curve: times in microseconds at shares that approach one logarithmically.
fn curve(work: &str, mut times: Vec<u64>) -> Value {
    times.sort_unstable();
    let count = times.len();
    let nines = (count.max(2) as f64).log10();
    let rank = |step: usize| 1.0 - 10_f64.powf(-nines * step as f64 / QUANTILES as f64);
    let at = |share: f64| sim::stats::quantile_rounded(&times, share);
    // The curve ends with the slowest.
    let value = |step: usize| at(if step == QUANTILES { 1.0 } else { rank(step) });
    let points: Vec<(f64, u64)> =
        (0..=QUANTILES).filter_map(|step| Some((rank(step), value(step)?))).collect();
    let shares: Vec<f64> = points.iter().map(|(share, _)| (share * 1e6).round() / 1e6).collect();
    let values: Vec<u64> = points.iter().map(|(_, value)| *value).collect();
    json!({ "work": work, "count": count, "q": shares, "v": values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::record::{Event, Header};

    #[test]
    fn bins_are_round_and_few() {
        assert_eq!(bin_us(1_000_000), 10_000);
        assert_eq!(bin_us(20_000_000), 20_000);
        assert_eq!(bin_us(40_000_000), 50_000);
        assert_eq!(bin_us(3_600_000_000), 2_000_000);
    }

    #[test]
    fn curves_keep_peaks_and_marks_keep_their_total() {
        let points = || Points((0..10_000).map(|t| (t, u64::from(t == 7_777) * 50)).collect());
        let curve = points().curve();
        assert_eq!(curve["v"].as_array().unwrap().iter().filter(|v| **v == 50).count(), 1);
        assert!(curve["t"].as_array().unwrap().len() <= POINTS_MAX);
        assert_eq!(points().marks()["of"], 10_000);
        assert_eq!(deltas(&[5, 7, 6]), json!([5, 2, -1]));
    }

    #[test]
    fn a_queue_that_is_mostly_empty_is_drawn_empty() {
        // A packet arrives at an empty queue and leaves it at once, 20,000 times.
        let points = Points((0..40_000).map(|t| (t * 10, u64::from(t % 2 == 0) * 1_500)).collect());
        let curve = points.curve();
        let values = curve["v"].as_array().unwrap();
        assert!(values.len() <= POINTS_MAX && values.last().unwrap() == 0);
        let empty = values.iter().filter(|value| **value == 0).count();
        assert!(empty * 3 >= values.len(), "{empty} of {}", values.len());
        assert!(values.iter().any(|value| *value == 1_500));
    }

    #[test]
    fn the_wire_has_what_left_the_link() {
        use sim::Side;
        let sent = |t, n| Event {
            t,
            kind: EventKind::Sent(Sent {
                n,
                side: Side::Client,
                session: 0,
                bytes: 972,
                shard: None,
                segments: Vec::new(),
            }),
        };
        let left = |t, n| Event {
            t,
            kind: EventKind::Left {
                n,
                dir: Direction::Up,
                due: t,
                queue: 0,
                held_back: false,
                damaged: false,
            },
        };
        let dropped =
            Event { t: 0, kind: EventKind::Dropped { n: 2, dir: Direction::Up, by: Element::Queue } };
        let events = vec![sent(0, 1), sent(0, 2), dropped, left(25_000, 1)];
        let mut recording = Recording { header: Header::default(), events };
        let wire = |recording: &Recording| series(recording)["up"]["wire"].clone();
        assert_eq!(wire(&recording), json!([0, 0, 1_000]));
        recording.header.capture = true;
        assert_eq!(wire(&recording)[0], 2_000);
    }

    #[test]
    fn a_percentile_curve_ends_with_the_slowest() {
        let curve = curve("w", (1..=1_000).rev().collect());
        let (q, v) = (curve["q"].as_array().unwrap(), curve["v"].as_array().unwrap());
        assert_eq!((v[0].as_u64(), v[QUANTILES].as_u64()), (Some(1), Some(1_000)));
        let median = q.iter().position(|q| q.as_f64().unwrap() >= 0.5).unwrap();
        assert!(v[median].as_u64().unwrap().abs_diff(500) < 30);
    }

    #[test]
    fn faults_last_until_they_heal_or_the_run_ends() {
        let fault = |t, kind, healed| Event { t, kind: EventKind::Fault { kind, healed } };
        let end = Event { t: 20, kind: EventKind::Waits { n: 1, side: sim::Side::Client } };
        let (blackout, restart) = (FaultName::Blackout, FaultName::ServerRestart);
        let events = vec![fault(5, blackout, false), fault(7, restart, false), fault(9, blackout, true), end];
        let recording = Recording { header: Header::default(), events };
        assert_eq!(series(&recording)["faults"], json!([[5, 9, "blackout"], [7, 20, "server_restart"]]));
    }

    #[test]
    fn sessions_do_not_overlap() {
        let mut marks = Marks::default();
        assert_eq!(
            [marks.place(0, 0), marks.place(0, 9), marks.place(1, 0), marks.place(0, 3)],
            [0, 9, 10, 3]
        );
    }
}
