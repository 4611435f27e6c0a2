//! Scenario files: what is simulated, as data. The format is JSON; see [`Scenario::parse`] for its keys.

mod adversary;
mod draw;
mod expect;
mod faults;
mod file;
mod hosts;
mod json;
mod links;
mod path;
mod rules;
mod sides;
mod source;
mod work;

pub(crate) use file::schema as file_schema;
pub use path::prefix;
pub use source::ScenarioFile;

use crate::plan::Scenario;
use path::Path;

/// Why a scenario file was refused: one line of file, place in the file, and reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}{reason}", path::prefix(.path))]
pub struct ScenarioError {
    /// Name of the file as given.
    pub file: String,
    /// JSON path such as `links.down.rate_kbit`; `.` is the whole file.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

impl Scenario {
    /// Reads the text of a scenario file; `file` only names it in errors.
    ///
    /// Times are milliseconds with up to three decimals and shares are percent with up to four: `20`, `22.5`. They are read
    /// digit by digit, so `0.1` is exact; a string (`"22.5"`) is as good. Unknown keys are refused.
    ///
    /// Any number may be left to the seed as a range, `"10..80"` or `"0.5..2.5"` with both ends included, and any value
    /// as `{"choice": [...]}`; this function draws them for the file's own seed, [`ScenarioFile`] for any.
    ///
    /// | key | meaning |
    /// |---|---|
    /// | `name`, `description` | short name; one sentence |
    /// | `seed` | used unless another is given |
    /// | `duration_ms` | sources stop then, or when every workload with `bytes` is done |
    /// | `drain_ms` | time for the rest to arrive once the sources have stopped and nothing is cut any more; without it as long as [`Bound`](crate::outcome::Bound) computes from the rest of the file |
    /// | `links.up`, `links.down` | see below; an empty object is a perfect link |
    /// | `forged_tcp` (false) | the tunnel's datagrams are segments of forged TCP: 40 bytes of headers instead of 28, and no UDP for policers |
    /// | `hosts.client`, `hosts.server` | see below; machines without limits where absent |
    /// | `client`, `server` | kcptun's JSON keys: `key crypt mode nodelay interval resend nc mtu sndwnd rcvwnd datashard parityshard nocomp acknodelay smuxver smuxbuf framesize streambuf keepalive qpp qpp-count ratelimit`, karst's `no-probe no-migrate`, `no-announce` (both sides: streams are ended one way, but none is paused, credited or stopped), and `generation`: which kcp-go the end behaves like, `"2021"` or `"2026"` (default); kcptun's defaults where absent |
    /// | `faults` | array of `{"blackout": {...}}` and so on, see below |
    /// | `nat.timeout_ms`, `.inbound_refreshes` (false) | a mapping of the client's address translator that nothing was sent over for that long is forgotten; without it, mappings last |
    /// | `adversary` | array of `{"replay": {...}}` and so on, see below: a machine without the key that observes the datagrams of both links and sends its own |
    /// | `wrap_after.segments`, `.shards` (0) | that many numbers are left before those of KCP's segments, and of FEC's shards, wrap; both sides begin there, where kcptun begins at 0 |
    /// | `workloads` | array of `{"bulk": {...}}`, `{"echo": {...}}` and so on, see below |
    /// | `baseline` | the same work over direct TCP instead of the tunnel: `"cubic"`, `"bbr"` or `"reno"`, see [`crate::transport::tcp`] |
    /// | `expect` | what the run must measure, see below |
    ///
    /// Any value of a link may instead be a schedule over time, an array of `[at_ms, value]` pairs that starts at 0:
    /// `"delay_ms": [[0, 20], [5000, 80], [8000, 20]]`.
    ///
    /// | link key | meaning |
    /// |---|---|
    /// | `mtu_bytes` | largest IP packet |
    /// | `blackout` | `true` while nothing enters the link |
    /// | `drop_packets` | array of numbers of packets that are dropped, counted from 1 over all that are handed to the link; no schedule |
    /// | `delay_packets_us` | array of `[number, microseconds]`: packets that arrive that much later than they would, so that others may overtake them; no schedule |
    /// | `loss_pct`, `loss_burst_packets` | random loss; with the second, in runs of that mean length (Gilbert-Elliott) |
    /// | `loss_after_queue` | `true`: random loss comes after the transmitter, so that a lost packet costs bandwidth; otherwise before the queue (false); no schedule |
    /// | `police_kbit`, `police_burst_bytes` | token bucket that drops what exceeds it |
    /// | `police_penalty_kbit`, `police_penalty_ms` | rate after an overrun, and for how long |
    /// | `police_only` | `"udp"`: the policer lets everything else pass, as forged TCP and the baseline |
    /// | `rate_kbit` | kbit/s including IP and UDP headers; needs `queue_bytes` or `queue_packets`; 0 in a schedule is an outage that keeps the queue |
    /// | `queue_bytes`, `queue_packets` | room of the queue; what finds none is dropped |
    /// | `codel_target_ms`, `codel_interval_ms` | CoDel (RFC 8289) at the head of the queue; usually 5 and 100 |
    /// | `delay_ms`, `jitter_ms` | constant delay, and the most that is added; packets stay in order, so that a late one holds up those behind it |
    /// | `unordered` | `true`: packets arrive by their own delays and overtake each other, so that jitter keeps its distribution at any rate, and a falling delay (a handover) reorders (false); no schedule |
    /// | `wander_ms`, `wander_correlation_ms` | extra delay that drifts between zero and the first without changing the order, and the time after which it has forgotten itself |
    /// | `reorder_pct`, `reorder_delay_ms` | share of packets held back, and for how long |
    /// | `duplicate_pct` | share of packets that arrive twice |
    /// | `duplicate_before_queue` | `true`: copies take room in the queue and bandwidth (false); no schedule |
    /// | `corrupt_pct` | share of datagrams that arrive with one to four flipped bits; not with `crypt` null, which has no checksum |
    ///
    /// | host key | meaning |
    /// |---|---|
    /// | `receive_buffer_bytes` | room in the socket for datagrams the process has not taken (4194304); may be a schedule |
    /// | `stalls` | array of `{"at_ms": ..., "for_ms": ...}` and `{"every_ms": ..., "for_ms": ...}`: the process does not run |
    /// | `timer_slack_ms` | the most by which a timer fires late (0); may be a schedule |
    /// | `cpu_us_per_datagram` | processor time per datagram sent or received (0); may be a schedule |
    /// | `clock_offset_ms` | what the process's clock shows at the beginning, or `wrap`: 2^32 ms are crossed in the first quarter of the duration; without it one seed in three does |
    ///
    /// | workload key | meaning |
    /// |---|---|
    /// | `*.name` | unique; also names its dice |
    /// | `*.start_ms` | when it starts (0), before `duration_ms` |
    /// | `bulk.direction` | `up` or `down` |
    /// | `bulk.bytes` | bytes to move; without it until the sources stop |
    /// | `bulk.content` | `random` (default) or `text`, which compresses |
    /// | `echo.message_bytes`, `echo.interval_ms` | size and period of the messages sent back by the server |
    /// | `request_response.request_bytes` (200), `.response_bytes`, `.think_ms` (0), `.count` | requests on one stream, each that long after the last reply; without `count` until the sources stop |
    /// | `short_streams.interval_ms`, `.count`, `.request_bytes` (200), `.response_bytes`, `.proxy` (`none`) | a stream at an interval for one request and its reply, behind the dialogue with a proxy: `none`, `socks5` (`--ser socks5`) or `socks5_over_raw` |
    /// | `page.objects` (60), `.request_bytes` (400), `.object_bytes_min`, `.object_bytes_max`, `.pages` (1), `.think_ms` (0) | objects asked for at once, each on its own stream |
    /// | `game_ticks.interval_ms`, `.up_bytes`, `.down_bytes` | messages both ways on one stream, timed one way |
    /// | `typing.interval_ms`, `.key_bytes` (36), `.echo_bytes` (52) | keystrokes at irregular times, echoed |
    /// | `stalled_reader.stall_after_ms`, `.stall_for_ms` | two endless downloads, one of whose readers stops for a while |
    /// | `half_close.request_bytes`, `.response_bytes`, `.response_after_ms` (0), `.count` (1) | a request whose stream is ended at once, and a late reply |
    /// | `storm.interval_ms`, `.count`, `.bytes` (0), `.open_max` (0) | streams opened, written to and closed; the oldest when more than `open_max` are open |
    /// | `idle_then_burst.idle_ms`, `.burst_bytes`, `.count` | bursts from the server with long pauses between them |
    ///
    /// | expect key | meaning |
    /// |---|---|
    /// | `goodput_kbit.NAME.min`, `.max` | payload per time of that workload |
    /// | `latency_ms.NAME.p50`, `.p90`, `.p99`, `.p999`, `.max` | at most this latency of that workload |
    /// | `amplification.up`, `.down` | at most this many bytes on the wire per useful byte |
    /// | `recovery_ms` | at most this time from the healing of any fault until bytes arrive again that were sent later |
    /// | `diverted_bytes` | at most this many bytes on the wire from the server to addresses of the adversary |
    /// | `drained_ms` | at most this time from the stop of the sources until everything has arrived |
    ///
    /// | fault key | meaning |
    /// |---|---|
    /// | `*.at_ms` | when it begins, before `duration_ms` |
    /// | `server_restart.down_ms`, `client_restart.down_ms` | how long the process does not run; it comes back with nothing |
    /// | `client_restart.keep_address` (false) | its next tunnel has the public address of the last one |
    /// | `nat_rebinding`, `address_change` | the client's public port, or its address, changes |
    /// | `blackout.for_ms`, `.direction` (`both`) | nothing gets through |
    /// | `one_way.for_ms`, `.direction` | only this direction gets through |
    /// | `clock_step.side`, `.by_ms` | the clock of that side jumps ahead, as after a suspended process or machine; never back: tunnels live by a monotonic clock (`CLOCK_MONOTONIC`), and what the wall clock shows reaches neither them nor the wire |
    /// | `stream_reset.side` | that side resets all its streams, as a program that stops does; without half-close at both ends nothing happens |
    /// | `duplicate_storm.for_ms`, `.pct`, `.direction` (`both`) | that share of packets arrives twice |
    /// | `corruption.for_ms`, `.pct`, `.direction` (`both`) | that share of datagrams has flipped bits |
    ///
    /// The adversary observes a datagram as it is sent, before a link can lose or queue it, and reacts at once. What it
    /// injects has the link's delay and passes no other element. It never decrypts; it knows the session of a datagram
    /// and its number among those of its session and direction.
    ///
    /// | attack | injects |
    /// |---|---|
    /// | `delay` | nothing, and only holds the originals back |
    /// | `replay` | copies of the observed datagram |
    /// | `replay_earlier` | copies of the datagram that has its number in the latest earlier session (see `client_restart`), of which the first 4,096 of each direction are recorded |
    /// | `reflect` | copies that go back to the sender, from the address of its peer, without delay; not with `crypt` null |
    /// | `tamper` | copies with one to four flipped bits; not with `crypt` null |
    /// | `garbage` | random bytes, 1 to 8191; not with `crypt` null |
    /// | `relay` | copies of what the server sends to addresses of the adversary, to the client from the server's address, without delay |
    ///
    /// | attack key | meaning |
    /// |---|---|
    /// | `*.direction` (`both`) | `up`, `down` or `both`: the datagrams it observes |
    /// | `*.pct` (100) | share of them that it reacts to |
    /// | `*.from_ms` (0), `.until_ms` (`duration_ms`) | when it reacts |
    /// | `*.first_packets` | only to that many first datagrams of each session and direction |
    /// | `*.cycle_packets`, `.cycle_from` | only datagrams whose number, counted from 0, modulo the first is the second or more: with 13 and 10 the parity of groups of 10 and 3 |
    /// | `replay_earlier.ahead_packets` (0) | the injected datagram's number is that much larger than the observed one's, so that it arrives before its counterpart is sent |
    /// | `*.hold_ms` (0) | the original arrives that much later, so that later ones and copies overtake it |
    /// | `*.after_ms` (0) | the copy arrives that much later than the original would on an idle link |
    /// | `*.copies` (1), `.every_ms` (0) | how many, and the time between them |
    /// | `*.source` (`peer`) | address that they come from: that of the observed datagram, or (`own`) one of the adversary, or (`many`) another one of 65,535 for every datagram |
    ///
    /// # Errors
    /// The first thing that is not JSON, unknown, missing, or impossible.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let source = ScenarioFile::parse(file, text)?;
        source.draw(source.seed())
    }

    /// As [`Scenario::parse`], of JSON in which nothing is left to the seed; `file` only names it in errors.
    ///
    /// # Errors
    /// The first thing that is unknown, missing, or impossible.
    pub fn of_json(file: &str, tree: serde_json::Value) -> Result<Self, ScenarioError> {
        json::tree(&tree.to_string())
            .and_then(json::typed)
            .and_then(file::build)
            .map_err(|refusal| source::refused(file, refusal))
    }
}

/// Place in the file, and reason.
type Refusal = (String, String);
