//! One run of one contestant: the load, and the figures that it records.

use super::emulated::EmulatedPath;
use super::scale;
use super::traffic::{Bulk, Dial, Target, Work, connect, dial, latencies, request};
use crate::netns::{End, Network, RIGHT};
use crate::pair::{Pair, Setup};
use crate::ports::local;
use crate::results::Trial;
use crate::sys;
use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Port of the target of kernel TCP.
const DIRECT_PORT: u16 = 5201;

/// Warm-up of a bulk stream, not counted: over the loopback device, and over an emulated path.
const WARM: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Gap between requests through an idle tunnel, and through one under load.
const GAPS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(10)];

/// Interval of memory samples.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// Sessions of the idle measurement.
const IDLE_SESSIONS: usize = 100;

/// Interval of keepalives: idle programs are observed for at least one interval.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Number of starts per trial; their median is its figure.
const STARTS: usize = 5;

/// Quantiles of the latency curves.
const SHARES: [f64; 17] =
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0];

/// The load of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// One bulk stream to the target.
    Throughput,
    /// Requests alone, then beside an echoed bulk stream.
    Latency,
    /// A hundred idle sessions.
    Idle,
    /// Time until the programs listen.
    Start,
    /// Many sessions and streams.
    Scale,
    /// Over an emulated path: requests alone, then beside a bulk stream to the target.
    Path,
}

/// Duration and size of the load.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Duration of one measurement.
    pub time: Duration,
    /// Sessions of the row `scale`.
    pub sessions: usize,
}

/// Runs a measurement; returns the trial and the command lines of the programs.
pub(super) fn run(
    measure: Measure,
    setup: Setup<'_>,
    amount: Amount,
) -> anyhow::Result<(Trial, Vec<String>)> {
    if measure == Measure::Start {
        return start(setup);
    }
    if measure == Measure::Scale {
        return scale::run(setup, amount);
    }
    let target = Target::start()?;
    let sessions = ["--conn".to_owned(), IDLE_SESSIONS.to_string()];
    let setup = if measure == Measure::Idle { Setup { client_flags: &sessions, ..setup } } else { setup };
    let mut pair = Pair::start(setup, target.address)?;
    let found = match measure {
        Measure::Latency => latency(&pair, amount.time),
        Measure::Idle => idle(&pair, amount.time),
        Measure::Path => over_path(&dial(pair.entry), amount.time, Some(&pair)),
        _ => throughput(&pair, amount.time),
    };
    // The exit of a program explains the error that followed.
    pair.check()?;
    Ok((found?, pair.commands()))
}

/// Measures kernel TCP without a tunnel over the path: both ends run in separate namespaces.
pub(super) fn direct(
    path: &EmulatedPath,
    control: &str,
    seed: u64,
    amount: Amount,
) -> anyhow::Result<(Trial, Vec<String>)> {
    let network = Network::start(&path.conditions(seed)?, None)?;
    let to = SocketAddr::from((RIGHT, DIRECT_PORT));
    let _target = Target::serve(network.listen(End::Right, to, None)?)?;
    let dial = || {
        let connected = network.connect(End::Left, to, Some(control));
        connected.with_context(|| format!("congestion control {control}"))
    };
    let trial = over_path(&dial, amount.time, None)?;
    Ok((trial, vec![format!("kernel TCP with {control} between two network namespaces")]))
}

fn throughput(pair: &Pair, time: Duration) -> anyhow::Result<Trial> {
    let mut trial = Trial::default();
    let bulk = Bulk::start(&dial(pair.entry), Work::Count)?;
    let memory = carry(&bulk, Some(pair), WARM[0], time, &mut trial)?;
    trial.record_curve("memory_mib", memory);
    Ok(trial)
}

fn latency(pair: &Pair, time: Duration) -> anyhow::Result<Trial> {
    let mut trial = Trial::default();
    record_latencies(&mut trial, "idle", &latencies(&dial(pair.entry), GAPS[0], time)?);
    let bulk = Bulk::start(&dial(pair.entry), Work::Echo)?;
    sys::pause(WARM[0])?;
    let before = bulk.arrived();
    // Requests under load are slower, so measure twice as long.
    record_latencies(&mut trial, "load", &latencies(&dial(pair.entry), GAPS[1], time * 2)?);
    ensure!(bulk.arrived() > before, "the bulk stream beside the requests made no progress");
    Ok(trial)
}

/// Requests alone, then a bulk stream and requests beside it.
fn over_path(dial: Dial<'_>, time: Duration, pair: Option<&Pair>) -> anyhow::Result<Trial> {
    let mut trial = Trial::default();
    record_latencies(&mut trial, "idle", &latencies(dial, GAPS[1], time / 2)?);
    let bulk = Bulk::start(dial, Work::Count)?;
    let beside = std::thread::scope(|scope| -> anyhow::Result<Histogram<u64>> {
        let beside = scope.spawn(|| {
            sys::pause(WARM[1])?;
            latencies(dial, GAPS[1], time)
        });
        let memory = carry(&bulk, pair, WARM[1], time, &mut trial)?;
        if pair.is_some() {
            trial.record_curve("memory_mib", memory);
        }
        // The last request still waits for its answer.
        drop(bulk);
        beside.join().map_err(|_| anyhow::anyhow!("the requests' thread panicked"))?
    })?;
    record_latencies(&mut trial, "load", &beside);
    Ok(trial)
}

/// Runs a bulk stream; records throughput, processor time, peak memory, and memory over time.
fn carry(
    bulk: &Bulk,
    pair: Option<&Pair>,
    warm: Duration,
    time: Duration,
    trial: &mut Trial,
) -> anyhow::Result<Vec<[f64; 2]>> {
    let mut memory = Vec::new();
    let begun = Instant::now();
    let mut watch = |until: Duration| -> anyhow::Result<()> {
        while begun.elapsed() < until {
            if let Some(pair) = pair {
                memory.push([begun.elapsed().as_secs_f64(), pair.memory_mib(false)?]);
            }
            sys::pause(SAMPLE_EVERY.min(until.saturating_sub(begun.elapsed())))?;
        }
        Ok(())
    };
    let cpu = || pair.map_or(Ok(0.0), Pair::cpu_s);
    watch(warm)?;
    let (from, at, cpu_before) = (bulk.arrived(), Instant::now(), cpu()?);
    watch(warm + time)?;
    let (bytes, took, cpu_used) = (bulk.arrived() - from, at.elapsed().as_secs_f64(), cpu()? - cpu_before);
    ensure!(bytes > 0, "no byte of the bulk stream arrived in {time:?}");
    trial.record("throughput_mbit", bytes as f64 * 8.0 / 1e6 / took);
    if let Some(pair) = pair {
        trial.record("cpu_s_per_gb", cpu_used / (bytes as f64 / 1e9));
        trial.record("memory_peak_mib", pair.memory_mib(true)?);
    }
    Ok(memory)
}

fn record_latencies(trial: &mut Trial, when: &str, latencies: &Histogram<u64>) {
    let ms = |share: f64| latencies.value_at_quantile(share) as f64 / 1e3;
    trial.record(&format!("{when}_p50_ms"), ms(0.5));
    trial.record(&format!("{when}_p99_ms"), ms(0.99));
    trial.record(&format!("{when}_requests"), latencies.len() as f64);
    trial.record_curve(&format!("{when}_latency_ms"), SHARES.map(|share| [share, ms(share)]));
}

fn idle(pair: &Pair, time: Duration) -> anyhow::Result<Trial> {
    let mut streams = Vec::new();
    for number in 0..IDLE_SESSIONS {
        let mut stream = connect(&dial(pair.entry), Work::Echo)?;
        request(&mut stream).with_context(|| format!("session {number}"))?;
        streams.push(stream);
    }
    sys::pause(time / 2)?;
    let time = (time * 2).max(KEEPALIVE);
    let before = pair.fine_cpu_s()?;
    sys::pause(time)?;
    let mut trial = Trial::default();
    trial.record("idle_cpu_pct", (pair.fine_cpu_s()? - before) / time.as_secs_f64() * 100.0);
    trial.record("memory_peak_mib", pair.memory_mib(true)?);
    for stream in &mut streams {
        request(stream).context("a session was lost while it was idle")?;
    }
    Ok(trial)
}

fn start(setup: Setup<'_>) -> anyhow::Result<(Trial, Vec<String>)> {
    let (mut times, mut commands) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..STARTS {
        let pair = Pair::start(Setup { timed: true, ..setup }, local(9))?;
        for (times, started) in times.iter_mut().zip(pair.started) {
            times.push(started.as_secs_f64() * 1e3);
        }
        commands = pair.commands();
    }
    let mut trial = Trial::default();
    for (name, times) in ["client_start_ms", "server_start_ms"].into_iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        trial.record(name, sim::stats::quantile(times, 0.5).unwrap_or(0.0));
    }
    Ok((trial, commands))
}

/// Runs `trial` with the number of a core for the programs, and keeps this program on the other cores.
pub(super) fn pinned<T>(trial: impl FnOnce(usize) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let cores = sys::own_cores()?;
    let Some((last, others)) = cores.split_last().filter(|(_, others)| !others.is_empty()) else {
        bail!("a pinned run needs two cores, one for the programs and one for the load");
    };
    sys::stay_on(others)?;
    let found = trial(*last);
    sys::stay_on(&cores)?;
    found
}
