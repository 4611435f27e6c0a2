use crate::term::in_json;
use engine::terms;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

terms! {
    /// A rule of the simulator, or of the engine's contract.
    pub enum Rule {
        Bytes "bytes" "A reader receives the bytes that its peer wrote, in order and without additions."
        Stream "stream" "A healthy stream can be opened, read, written and ended."
        Conservation "conservation" "Packets into a link equal packets delivered, dropped and in flight."
        Deadline "deadline" "After draining, the deadline is not in the past."
        Spin "spin" "Time advances: timers and events do not repeat without end at one instant."
        Closed "closed" "A session ends only when an end closes it or a fault explains it."
        Refused "refused" "An intact datagram is never refused as corrupted."
        Transmit "transmit" "A datagram goes to the peer and has one of the announced lengths."
        Memory "memory" "Queues of tunnels, links and sockets stay within the limits of the settings."
        Window "window" "Windows are neither negative nor larger than announced."
        Liveness "liveness" "All written data arrives and is acknowledged in a bounded time after the sources stop."
    }
}

in_json!(Rule);

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// Simulated time, microseconds.
    pub at_us: u64,
    /// Name of the rule.
    pub rule: Rule,
    /// The values that break it.
    pub detail: String,
}
