use super::Timeline;
use engine::Instant;

/// What a computer is like on which one side runs. The default is one without limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// Most bytes of datagrams that wait in the socket for the process; what does not fit is dropped.
    pub receive_buffer_bytes: Timeline<u64>,
    /// Times at which the process does not run.
    pub stalls: Vec<Stall>,
    /// Most by which a timer fires late, uniform from zero, microseconds.
    pub timer_slack_us: Timeline<u64>,
    /// Time the processor needs for each datagram received and each one sent, microseconds.
    pub cpu_us_per_datagram: Timeline<u64>,
    /// What the process's clock shows.
    pub clock: ClockPlan,
}

impl Default for HostPlan {
    fn default() -> Self {
        Self {
            receive_buffer_bytes: RECEIVE_BUFFER_BYTES.into(),
            stalls: Vec::new(),
            timer_slack_us: 0.into(),
            cpu_us_per_datagram: 0.into(),
            clock: ClockPlan::default(),
        }
    }
}

impl HostPlan {
    /// Whether the process always has time to send what it has.
    pub fn never_waits(&self) -> bool {
        self.stalls.is_empty() && self.cpu_us_per_datagram.values().all(|us| us == 0)
    }
}

/// kcptun's `sockbuf`.
const RECEIVE_BUFFER_BYTES: u64 = 4 * 1024 * 1024;

/// Times at which a process does not run, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// Once.
    Once {
        /// When it begins.
        at_us: u64,
        /// How long it lasts.
        for_us: u64,
    },
    /// Again and again, for the first time after one period.
    Every {
        /// From one beginning to the next.
        period_us: u64,
        /// How long each lasts, less than the period.
        for_us: u64,
    },
}

impl Stall {
    /// The end of the stall that `now` is in.
    pub fn end(self, now: Instant) -> Option<Instant> {
        let now_us = now.as_micros();
        let (at_us, for_us) = match self {
            Self::Once { at_us, for_us } => (at_us, for_us),
            Self::Every { period_us, .. } if now_us < period_us => return None,
            Self::Every { period_us, for_us } => (now_us - now_us % period_us, for_us),
        };
        let end_us = at_us + for_us;
        (at_us <= now_us && now_us < end_us).then(|| Instant::from_micros(end_us))
    }
}

/// The reading of the process's clock. KCP's own clock counts milliseconds in 32 bits and wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockPlan {
    /// The seed decides: one seed in three crosses the wrap, the others start at zero.
    #[default]
    Seeded,
    /// It starts at that microsecond.
    Offset {
        /// What it shows at the beginning.
        us: u64,
    },
    /// It is placed so that 2^32 ms are crossed early in the run.
    Wrap,
}

/// A network address translator before the client. It maps every socket of the client to a public address of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatPlan {
    /// A mapping over which nothing was sent for that long is forgotten, microseconds; `None` keeps it until a fault removes it.
    pub timeout_us: Option<u64>,
    /// What the server sends keeps a mapping, too.
    pub inbound_refreshes: bool,
}
