//! One run of one side: what is done, and what is noted about it.

use super::line::Line;
use super::load::{Bulk, Entry, Target, Work, ask, connect, latencies};
use super::machine;
use super::pair::{Pair, Setup, local};
use super::scale;
use crate::performance::Trial;
use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// Time until a bulk stream is at its speed, which is not counted: without a line, and over one.
const WARM: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Between the requests of an idle tunnel, and of one under load.
const GAPS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(10)];

/// How often memory is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// Sessions that do nothing.
const IDLE_SESSIONS: usize = 100;

/// How often sessions say that they live: idle programs are watched through a whole turn of that.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Starts of which the median is one trial.
const STARTS: usize = 5;

/// Shares of the latency curves.
const SHARES: [f64; 17] =
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0];

/// What a trial does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// One bulk stream to the target.
    Throughput,
    /// Requests alone, then beside a bulk stream that is echoed.
    Latency,
    /// A hundred sessions that do nothing.
    Idle,
    /// How long until the programs listen.
    Start,
    /// Many sessions and streams.
    Scale,
    /// Over a line: requests alone, then beside a bulk stream to the target.
    Line,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) time: Duration,
    /// Of the case with many sessions.
    pub(crate) sessions: usize,
}

/// Runs it; the trial, and the programs' command lines.
pub(crate) fn run(
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
    let target = Target::start(local(0))?;
    let sessions = ["--conn".to_owned(), IDLE_SESSIONS.to_string()];
    let setup = if measure == Measure::Idle { Setup { client_flags: &sessions, ..setup } } else { setup };
    let mut pair = Pair::start(setup, target.address)?;
    let found = match measure {
        Measure::Latency => latency(&pair, amount.time),
        Measure::Idle => idle(&pair, amount.time),
        Measure::Line => over_line(pair.entry.into(), amount.time, Some(&pair)),
        _ => throughput(&pair, amount.time),
    };
    // What ended by itself explains more than the error it led to.
    pair.check()?;
    Ok((found?, pair.commands()))
}

/// The same over a line without a tunnel.
pub(crate) fn direct(
    line: &Line,
    control: &str,
    seed: u64,
    amount: Amount,
) -> anyhow::Result<(Trial, Vec<String>)> {
    let (trial, command) = line.direct(control, seed, amount.time)?;
    Ok((trial, vec![command]))
}

fn throughput(pair: &Pair, time: Duration) -> anyhow::Result<Trial> {
    let mut trial = Trial::default();
    let bulk = Bulk::start(pair.entry.into(), Work::Count)?;
    let memory = carry(&bulk, Some(pair), WARM[0], time, &mut trial)?;
    trial.draw("memory_mib", memory);
    Ok(trial)
}

fn latency(pair: &Pair, time: Duration) -> anyhow::Result<Trial> {
    let mut trial = Trial::default();
    note_latencies(&mut trial, "idle", &latencies(pair.entry.into(), GAPS[0], time)?);
    let bulk = Bulk::start(pair.entry.into(), Work::Echo)?;
    std::thread::sleep(WARM[0]);
    let before = bulk.arrived();
    // Requests are slower here, so fewer fit.
    note_latencies(&mut trial, "load", &latencies(pair.entry.into(), GAPS[1], time * 2)?);
    ensure!(bulk.arrived() > before, "the bulk stream beside the requests stood still");
    Ok(trial)
}

/// Requests alone, then a bulk stream and requests beside it.
pub(crate) fn over_line(entry: Entry<'_>, time: Duration, pair: Option<&Pair>) -> anyhow::Result<Trial> {
    let mut trial = Trial::default();
    note_latencies(&mut trial, "idle", &latencies(entry, GAPS[1], time / 2)?);
    let bulk = Bulk::start(entry, Work::Count)?;
    let beside = std::thread::scope(|scope| -> anyhow::Result<Histogram<u64>> {
        let beside = scope.spawn(|| {
            std::thread::sleep(WARM[1]);
            latencies(entry, GAPS[1], time)
        });
        let memory = carry(&bulk, pair, WARM[1], time, &mut trial)?;
        if pair.is_some() {
            trial.draw("memory_mib", memory);
        }
        // The last request waits for nothing but its answer.
        drop(bulk);
        beside.join().map_err(|_| anyhow::anyhow!("the requests' thread panicked"))?
    })?;
    note_latencies(&mut trial, "load", &beside);
    Ok(trial)
}

/// Lets a bulk stream run; notes what it moved and what that cost. Memory over time.
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
            std::thread::sleep(SAMPLE_EVERY.min(until.saturating_sub(begun.elapsed())));
        }
        Ok(())
    };
    let cpu = || pair.map_or(Ok(0.0), Pair::cpu_s);
    watch(warm)?;
    let (from, at, cpu_before) = (bulk.arrived(), Instant::now(), cpu()?);
    watch(warm + time)?;
    let (bytes, took, cpu_used) = (bulk.arrived() - from, at.elapsed().as_secs_f64(), cpu()? - cpu_before);
    ensure!(bytes > 0, "no byte of the bulk stream arrived in {time:?}");
    trial.note("throughput_mbit", bytes as f64 * 8.0 / 1e6 / took);
    if let Some(pair) = pair {
        trial.note("cpu_s_per_gb", cpu_used / (bytes as f64 / 1e9));
        trial.note("memory_peak_mib", pair.memory_mib(true)?);
    }
    Ok(memory)
}

fn note_latencies(trial: &mut Trial, when: &str, latencies: &Histogram<u64>) {
    let ms = |share: f64| latencies.value_at_quantile(share) as f64 / 1e3;
    trial.note(&format!("{when}_p50_ms"), ms(0.5));
    trial.note(&format!("{when}_p99_ms"), ms(0.99));
    trial.note(&format!("{when}_requests"), latencies.len() as f64);
    trial.draw(&format!("{when}_latency_ms"), SHARES.map(|share| [share, ms(share)]));
}

fn idle(pair: &Pair, time: Duration) -> anyhow::Result<Trial> {
    let mut streams = Vec::new();
    for number in 0..IDLE_SESSIONS {
        let mut stream = connect(pair.entry.into(), Work::Echo)?;
        ask(&mut stream).with_context(|| format!("session {number}"))?;
        streams.push(stream);
    }
    std::thread::sleep(time / 2);
    let time = (time * 2).max(KEEPALIVE);
    let before = pair.fine_cpu_s()?;
    std::thread::sleep(time);
    let mut trial = Trial::default();
    trial.note("idle_cpu_pct", (pair.fine_cpu_s()? - before) / time.as_secs_f64() * 100.0);
    trial.note("memory_peak_mib", pair.memory_mib(true)?);
    for stream in &mut streams {
        ask(stream).context("a session was lost while it was idle")?;
    }
    Ok(trial)
}

fn start(setup: Setup<'_>) -> anyhow::Result<(Trial, Vec<String>)> {
    let (mut times, mut commands) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..STARTS {
        let pair = Pair::start(Setup { bare: true, ..setup }, local(9))?;
        for (times, started) in times.iter_mut().zip(pair.started) {
            times.push(started.as_secs_f64() * 1e3);
        }
        commands = pair.commands();
    }
    let mut trial = Trial::default();
    for (name, times) in ["client_start_ms", "server_start_ms"].into_iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        trial.note(name, times[STARTS / 2]);
    }
    Ok((trial, commands))
}

/// Runs `trial` with the programs on one core and this program on the others.
pub(crate) fn pinned<T>(trial: impl FnOnce(&str) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let cores = machine::own_cores()?;
    let Some((last, others)) = cores.split_last().filter(|(_, others)| !others.is_empty()) else {
        bail!("one core for the programs and one for the load are needed");
    };
    machine::stay_on(others)?;
    let found = trial(&last.to_string());
    machine::stay_on(&cores)?;
    found
}
