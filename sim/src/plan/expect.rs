/// A limit on a measured figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The figure.
    pub measure: Measure,
    /// The limit.
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
    /// Bytes on the wire that the server sent to addresses of the adversary.
    DivertedBytes,
}

/// A percentile of a latency distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    P999,
    /// Maximum.
    Max,
}

/// A limit, in the unit of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Lower limit.
    AtLeast(u64),
    /// Upper limit.
    AtMost(u64),
}

impl Limit {
    /// Whether `figure` is within the limit.
    pub const fn allows(self, figure: u64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}
