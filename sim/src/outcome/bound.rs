use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// Terms of the liveness bound, microseconds each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Bound {
    /// Outstanding bytes at the slowest rate.
    pub transfer_us: u64,
    /// Round trips of full windows.
    pub windows_us: u64,
    /// Retransmissions of the segment with the most losses.
    pub losses_us: u64,
    /// Closing handshakes of streams.
    pub closing_us: u64,
    /// Pauses of the workload itself.
    pub pauses_us: u64,
    /// Silence after outages.
    pub silence_us: u64,
}

impl Bound {
    /// The sum of all terms.
    pub fn total_us(&self) -> u64 {
        self.terms().into_iter().map(|(_, us)| us).fold(0, u64::saturating_add)
    }

    /// Every term, with its name.
    pub const fn terms(&self) -> [(&'static str, u64); 6] {
        [
            ("transfer", self.transfer_us),
            ("windows", self.windows_us),
            ("losses", self.losses_us),
            ("closing", self.closing_us),
            ("pauses", self.pauses_us),
            ("silence", self.silence_us),
        ]
    }
}

/// The non-zero terms, in seconds.
impl Display for Bound {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let tenths = |us: u64| (us.div_ceil(100_000) / 10, us.div_ceil(100_000) % 10);
        let (whole, part) = tenths(self.total_us());
        write!(out, "{whole}.{part} s")?;
        for (index, (name, us)) in self.terms().into_iter().filter(|(_, us)| *us > 0).enumerate() {
            let (whole, part) = tenths(us);
            write!(out, "{} {name} {whole}.{part}", if index == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}
