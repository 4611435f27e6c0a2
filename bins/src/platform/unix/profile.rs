//! Samples the program, and encodes what was found.

use pprof::{ProfilerGuardBuilder, Report};
use std::collections::BTreeMap;
use std::time::Duration;

/// Samples per second of CPU time, as Go takes them.
const SAMPLES_PER_S: i32 = 100;

/// Code in which a sample must not look around: the unwinder itself, and what has no tables for it. The C library stays in,
/// as all system calls are made from there and a tunnel spends most of its time in them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const BLOCKLIST: &[&str] = &["libgcc", "pthread", "vdso"];

/// The encoded profile of that duration. On a thread of its own: naming the functions takes longer than traffic may wait.
///
/// # Errors
/// Another one is taken, or the system refuses.
pub async fn record(seconds: u64) -> Result<Vec<u8>, String> {
    let (done, profile) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("profile".into());
    let started = thread.spawn(move || {
        // The client may have left.
        let _ = done.send(sample(Duration::from_secs(seconds)));
    });
    match started {
        Ok(_) => profile.await.unwrap_or_else(|_| Err("the profiler ended".into())),
        Err(error) => Err(error.to_string()),
    }
}

/// The encoded profile; fails while another one is taken.
fn sample(duration: Duration) -> Result<Vec<u8>, String> {
    let builder = ProfilerGuardBuilder::default().frequency(SAMPLES_PER_S);
    // Other processors' samples are taken anywhere.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let builder = builder.blocklist(BLOCKLIST);
    let guard = builder.build().map_err(|error| error.to_string())?;
    std::thread::sleep(duration);
    let report = guard.report().build().map_err(|error| error.to_string())?;
    drop(guard);
    Ok(encode(&report, duration))
}

/// Profile of samples and nanoseconds of CPU time.
fn encode(report: &Report, duration: Duration) -> Vec<u8> {
    let mut profile = Message::default();
    let mut names = Names::default();
    let period_ns = 1_000_000_000 / SAMPLES_PER_S as u64;
    for (kind, unit) in [("samples", "count"), ("cpu", "nanoseconds")] {
        profile.message(1, &value_type(&mut names, kind, unit));
    }
    // One location per function.
    let mut functions: BTreeMap<String, (u64, String)> = BTreeMap::new();
    // Readers add samples up, so their order does not matter.
    let samples: Vec<_> = report.data.iter().collect();
    for (stack, count) in samples {
        let mut locations = Vec::new();
        for symbol in stack.frames.iter().flatten() {
            let next = functions.len() as u64 + 1;
            let file = symbol.filename.as_ref().map_or(String::new(), |path| path.display().to_string());
            locations.push(functions.entry(symbol.name()).or_insert((next, file)).0);
        }
        let count = u64::try_from(*count).unwrap_or(0);
        let mut sample = Message::default();
        sample.numbers(1, &locations);
        sample.numbers(2, &[count, count * period_ns]);
        profile.message(2, &sample);
    }
    for (name, (id, file)) in &functions {
        let mut line = Message::default();
        line.number(1, *id);
        let mut location = Message::default();
        location.number(1, *id);
        location.message(4, &line);
        profile.message(4, &location);
        let mut function = Message::default();
        function.number(1, *id);
        function.number(2, names.index(name));
        function.number(4, names.index(file));
        profile.message(5, &function);
    }
    let period = value_type(&mut names, "cpu", "nanoseconds");
    names.all.iter().for_each(|name| profile.bytes(6, name.as_bytes()));
    profile.number(10, u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    profile.message(11, &period);
    profile.number(12, period_ns);
    profile.0
}

fn value_type(names: &mut Names, kind: &str, unit: &str) -> Message {
    let mut message = Message::default();
    message.number(1, names.index(kind));
    message.number(2, names.index(unit));
    message
}

/// The table of strings; the first one is empty.
struct Names {
    all: Vec<String>,
    places: BTreeMap<String, u64>,
}

impl Default for Names {
    fn default() -> Self {
        Self { all: vec![String::new()], places: BTreeMap::from([(String::new(), 0)]) }
    }
}

impl Names {
    fn index(&mut self, name: &str) -> u64 {
        let all = &mut self.all;
        *self.places.entry(name.into()).or_insert_with(|| {
            all.push(name.into());
            all.len() as u64 - 1
        })
    }
}

/// A protocol buffer being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn message(&mut self, field: u64, value: &Self) {
        self.bytes(field, &value.0);
    }

    fn numbers(&mut self, field: u64, values: &[u64]) {
        let mut packed = Self::default();
        values.iter().for_each(|value| packed.varint(*value));
        self.message(field, &packed);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-42: the example of the format's own documentation, and lengths in front of what is nested.
    #[test]
    fn messages_are_protocol_buffers() {
        let mut message = Message::default();
        message.number(1, 150);
        assert_eq!(message.0, [0x08, 0x96, 0x01]);
        let mut outer = Message::default();
        outer.message(3, &message);
        outer.numbers(4, &[3, 270, 86942]);
        assert_eq!(outer.0, [0x1a, 3, 0x08, 0x96, 0x01, 0x22, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5]);
    }
}
