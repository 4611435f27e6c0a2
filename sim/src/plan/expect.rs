/// A limit and what it is put on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// What is measured.
    pub measure: Measure,
    /// What it must be.
    pub limit: Limit,
}

/// A figure of a finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Payload per time of that workload, kbit/s.
    GoodputKbit(String),
    /// A latency of that workload, microseconds.
    LatencyUs(String, Quantile),
    /// Bytes on the wire per useful byte, client to server, thousandths.
    AmplificationUp,
    /// Bytes on the wire per useful byte, server to client, thousandths.
    AmplificationDown,
    /// The longest time from the healing of a fault until bytes arrived again, microseconds.
    RecoveryUs,
    /// From the stop of the sources until everything had arrived, microseconds.
    DrainUs,
}

/// Which of the latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    /// Half are at most this.
    P50,
    /// 90 % are.
    P90,
    /// 99 % are.
    P99,
    /// 99.9 % are.
    P999,
    /// All are.
    Max,
}

/// What a figure must be, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// This or more.
    AtLeast(u64),
    /// This or less.
    AtMost(u64),
}

impl Limit {
    /// Whether `figure` keeps within the limit.
    pub const fn allows(self, figure: u64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}
