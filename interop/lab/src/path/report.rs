//! Counters and distributions of a path, as text and as JSON.

use serde_json::{Value, json};
use sim::Direction;
use sim::outcome::Counters;
use sim::outcome::Percentiles;
use std::fmt;

/// State of a path; index 0 is up (towards the server), 1 down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathState {
    /// Bytes of IP packets handed to the links so far.
    pub sent_bytes: [u64; 2],
    /// Bytes in their queues.
    pub waiting_bytes: [u64; 2],
}

/// Counters and distributions of a path; index 0 is up (towards the server), 1 down.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Counters of the links; bytes are those of IP packets.
    pub links: [Counters; 2],
    /// Time from arrival to departure as the links planned it: queueing, delay, jitter. Microseconds.
    pub transit_us: [Percentiles; 2],
    /// Lateness of departures relative to the plan, microseconds.
    pub added_us: Percentiles,
    /// Packets that the system dropped before they were read; the emulation is valid only if this is 0.
    pub overflow_packets: u64,
    /// Packets dropped because the NAT mapping of their destination had expired.
    pub nat_packets: u64,
    /// Why the capture ended early.
    pub capture_error: Option<String>,
}

impl Report {
    /// The lateness as text.
    pub fn added(&self) -> impl fmt::Display {
        Spread(&self.added_us)
    }

    /// The machine-readable form.
    pub fn to_json(&self) -> Value {
        json!({
            "links": { "up": self.links[0].at_end(), "down": self.links[1].at_end() },
            "transit_us": { "up": self.transit_us[0], "down": self.transit_us[1] },
            "added_us": self.added_us,
            "overflow_packets": self.overflow_packets,
            "nat_packets": self.nat_packets,
            "capture_error": self.capture_error,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, direction) in [Direction::Up, Direction::Down].into_iter().enumerate() {
            let counters = &self.links[at];
            let Counters { dropped_mtu, dropped_loss, dropped_queue, .. } = *counters;
            let rest = counters.dropped() - dropped_mtu - dropped_loss - dropped_queue;
            let rest = if rest > 0 { format!(" + {rest} otherwise") } else { String::new() };
            writeln!(
                f,
                "{:4}  {} packets, {} bytes in; {} out; dropped {dropped_loss} loss + {dropped_queue} queue + {dropped_mtu} mtu{rest}; \
                 {} doubled, {} held back; queue peak {} bytes",
                direction.name(),
                counters.sent_packets,
                counters.sent_bytes,
                counters.delivered_packets,
                counters.duplicated_packets,
                counters.reordered_packets,
                counters.queue_peak_bytes,
            )?;
            writeln!(f, "      transit  {}", Spread(&self.transit_us[at]))?;
        }
        writeln!(f, "added by real time: {}", Spread(&self.added_us))?;
        if self.nat_packets > 0 {
            writeln!(f, "{} packets were sent to expired NAT mappings", self.nat_packets)?;
        }
        if self.overflow_packets > 0 {
            writeln!(
                f,
                "OVERFLOW: the system dropped {} packets before they were read",
                self.overflow_packets
            )?;
        }
        if let Some(error) = &self.capture_error {
            writeln!(f, "the capture is incomplete: {error}")?;
        }
        Ok(())
    }
}

/// Milliseconds with three decimals.
struct Spread<'a>(&'a Percentiles);

impl fmt::Display for Spread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Percentiles { min, p50, p99, p999, max, .. } = *self.0;
        let ms = |us: u64| us as f64 / 1e3;
        write!(
            f,
            "min {:.3}  p50 {:.3}  p99 {:.3}  p99.9 {:.3}  max {:.3} ms",
            ms(min),
            ms(p50),
            ms(p99),
            ms(p999),
            ms(max)
        )
    }
}
