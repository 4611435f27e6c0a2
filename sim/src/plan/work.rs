//! Workloads. Each is defined once, as the plan that runs and as the keys of scenario files.

use crate::Direction;
use crate::units::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// One workload, on streams of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(from = "Workload")]
#[schemars(with = "Workload")]
pub struct WorkPlan {
    /// Unique name.
    pub name: String,
    /// Start time, microseconds.
    pub start_us: u64,
    /// The work.
    pub kind: WorkKind,
}

/// Defines the plan of each kind of workload, and its keys in scenario files: the plan's fields, `name` and `start_ms`. The
/// attributes of a field are those of its key.
macro_rules! workloads {
    ($($(#[doc = $meaning:literal])+ $Kind:ident $kind:literal $Plan:ident $Keys:ident {
        $($(#[doc = $doc:literal])+ $(#[serde($($serde:tt)+)])? $(#[schemars($($schema:tt)+)])? $field:ident: $type:ty,)+
    })+) => {
        /// The work of a workload.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum WorkKind {
            $($(#[doc = $meaning])+ $Kind($Plan),)+
        }

        impl WorkKind {
            /// The name in scenario files.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$Kind(_) => $kind,)+ }
            }
        }

        $($(#[doc = $meaning])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $Plan {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $Keys {
            /// Unique name; it also names the dice of the workload.
            name: String,
            $($(#[doc = $doc])+ $(#[serde($($serde)+)])? $(#[schemars($($schema)+)])? $field: $type,)+
            /// When it starts, before `duration_ms`.
            #[serde(default)]
            start_ms: Millis,
        })+

        #[derive(Deserialize, JsonSchema)]
        enum Workload {
            $($(#[doc = $meaning])+ #[serde(rename = $kind)] $Kind($Keys),)+
        }

        impl From<Workload> for WorkPlan {
            fn from(workload: Workload) -> Self {
                match workload {
                    $(Workload::$Kind($Keys { name, $($field,)+ start_ms }) => {
                        Self { name, start_us: start_ms.us, kind: WorkKind::$Kind($Plan { $($field,)+ }) }
                    })+
                }
            }
        }
    };
}

workloads! {
    /// A transfer in one direction.
    Bulk "bulk" BulkPlan BulkKeys {
        /// Direction of the bytes.
        direction: Direction,
        /// Number of bytes; without it as many as fit until the sources stop.
        bytes: Option<u64>,
        /// Kind of payload.
        #[serde(default)]
        content: Content,
        /// Offset at which the receiver expects another byte: tests prove with it that the comparison can fail. Scenario
        /// files cannot set it.
        #[serde(skip)]
        tampered_at: Option<u64>,
    }

    /// Small messages at an interval, each sent back by the server.
    Echo "echo" EchoPlan EchoKeys {
        /// Bytes per message.
        message_bytes: u32,
        /// Time between two messages.
        #[serde(rename = "interval_ms", deserialize_with = "us")]
        #[schemars(with = "Millis")]
        interval_us: u64,
    }

    /// Requests one after the other on one stream, each after the reply to the previous one.
    RequestResponse "request_response" RequestResponsePlan RequestResponseKeys {
        /// Bytes of a request.
        #[serde(default = "request_default")]
        request_bytes: u64,
        /// Bytes of its reply.
        response_bytes: u64,
        /// Time between a reply and the next request.
        #[serde(rename = "think_ms", deserialize_with = "us", default)]
        #[schemars(with = "Millis")]
        think_us: u64,
        /// Number of requests; without it until the sources stop.
        count: Option<u64>,
    }

    /// Streams opened at an interval, each for one request and its reply.
    ShortStreams "short_streams" ShortStreamsPlan ShortStreamsKeys {
        /// Time between two openings.
        #[serde(rename = "interval_ms", deserialize_with = "us")]
        #[schemars(with = "Millis")]
        interval_us: u64,
        /// Number of streams; without it until the sources stop.
        count: Option<u64>,
        /// Bytes of a request.
        #[serde(default = "request_default")]
        request_bytes: u64,
        /// Bytes of its reply.
        response_bytes: u64,
        /// Dialogue of each stream with a proxy in front of the target, before its request.
        #[serde(default)]
        proxy: Proxy,
    }

    /// Web pages: many objects requested at once, each on its own stream.
    Page "page" PagePlan PageKeys {
        /// Objects of a page.
        #[serde(default = "objects_default")]
        objects: u64,
        /// Bytes of each request.
        #[serde(default = "page_request_default")]
        request_bytes: u64,
        /// Bytes of the smallest object.
        object_bytes_min: u64,
        /// Bytes of the largest object; sizes are uniformly distributed.
        object_bytes_max: u64,
        /// Number of pages, one after the other.
        #[serde(default = "one")]
        pages: u64,
        /// Time between the end of a page and the next.
        #[serde(rename = "think_ms", deserialize_with = "us", default)]
        #[schemars(with = "Millis")]
        think_us: u64,
    }

    /// A game: both sides send small messages at a tick rate.
    GameTicks "game_ticks" GameTicksPlan GameTicksKeys {
        /// Time between two ticks.
        #[serde(rename = "interval_ms", deserialize_with = "us")]
        #[schemars(with = "Millis")]
        interval_us: u64,
        /// Bytes of a message to the server.
        up_bytes: u64,
        /// Bytes of a message to the client.
        down_bytes: u64,
    }

    /// A user typing into a remote shell: irregular keystrokes, each echoed.
    Typing "typing" TypingPlan TypingKeys {
        /// Typical time between two keystrokes: drawn between 1/8 and 15/8 of it, one in sixteen eight times
        /// longer.
        #[serde(rename = "interval_ms", deserialize_with = "us")]
        #[schemars(with = "Millis")]
        interval_us: u64,
        /// Bytes of a keystroke on the stream.
        #[serde(default = "key_default")]
        key_bytes: u64,
        /// Bytes of its echo.
        #[serde(default = "key_echo_default")]
        echo_bytes: u64,
    }

    /// Two endless downloads; the reader of one of them stalls for a while.
    StalledReader "stalled_reader" StalledReaderPlan StalledReaderKeys {
        /// Time from the start to the stall.
        #[serde(rename = "stall_after_ms", deserialize_with = "us")]
        #[schemars(with = "Millis")]
        stall_after_us: u64,
        /// Length of the stall. `None` never ends, which no run survives: tests prove with it that the
        /// liveness check can fail. Scenario files cannot leave it out.
        #[serde(rename = "stall_for_ms", deserialize_with = "some_us")]
        #[schemars(with = "Millis")]
        stall_for_us: Option<u64>,
    }

    /// A client that sends a request and ends its direction at once; the server replies much later.
    HalfClose "half_close" HalfClosePlan HalfCloseKeys {
        /// Bytes of the request.
        request_bytes: u64,
        /// Bytes of the reply.
        response_bytes: u64,
        /// Time from the end of the request to the reply.
        #[serde(rename = "response_after_ms", deserialize_with = "us", default)]
        #[schemars(with = "Millis")]
        response_after_us: u64,
        /// Number of requests, one after the other, each on its own stream.
        #[serde(default = "one")]
        count: u64,
    }

    /// Streams that are opened and closed at a high rate, as port scans and broken clients do.
    Storm "storm" StormPlan StormKeys {
        /// Time between two openings.
        #[serde(rename = "interval_ms", deserialize_with = "us")]
        #[schemars(with = "Millis")]
        interval_us: u64,
        /// Number of streams.
        count: u64,
        /// Bytes written to each before it is closed.
        #[serde(default)]
        bytes: u64,
        /// Streams open at a time; opening one more closes the oldest.
        #[serde(default)]
        open_max: u64,
    }

    /// A stream that is idle for a long time between bursts.
    IdleThenBurst "idle_then_burst" IdleThenBurstPlan IdleThenBurstKeys {
        /// Time from one burst to the request for the next.
        #[serde(rename = "idle_ms", deserialize_with = "us")]
        #[schemars(with = "Millis")]
        idle_us: u64,
        /// Bytes of a burst.
        burst_bytes: u64,
        /// Number of bursts.
        count: u64,
    }
}

/// What a stream carries before its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proxy {
    /// Nothing.
    #[default]
    None,
    /// The request of `--ser socks5` and its answer; the client has answered the greeting (kcptunb.md section 6.2).
    Socks5,
    /// Greeting and request of an application of SOCKS5 (RFC 1928), whose proxy is behind a tunnel that knows nothing of it.
    Socks5OverRaw,
}

impl Proxy {
    /// Bytes of each message up, and of its answer, for an IPv4 destination.
    pub const fn messages(self) -> &'static [(u64, u64)] {
        match self {
            Self::None => &[],
            Self::Socks5 => &[(10, 10)],
            Self::Socks5OverRaw => &[(3, 2), (10, 10)],
        }
    }
}

/// Kind of payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Random bytes, which do not compress, like most of today's traffic.
    #[default]
    Random,
    /// Words, which compress to about half.
    Text,
}

fn us<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Millis::deserialize(from).map(|time| time.us)
}

fn some_us<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    us(from).map(Some)
}

const fn request_default() -> u64 {
    200
}

const fn page_request_default() -> u64 {
    400
}

const fn objects_default() -> u64 {
    60
}

const fn one() -> u64 {
    1
}

/// A keystroke and its echo as ssh encrypts them.
const fn key_default() -> u64 {
    36
}

const fn key_echo_default() -> u64 {
    52
}
