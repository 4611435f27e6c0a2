//! Round trip, loss of both directions, and mtu of the path, by the engine's [`PathProbe`].

use super::report::{Fault, Report};
use super::socket::{Socket, Via};
use engine::path_probe::{PathProbe, Reply};
use engine::tunnel::MTU_MAX;
use engine::{Entropy, TunnelConfig};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Loss of one direction above which the path is at fault.
pub(super) const LOSS_PERCENT_MAX: f64 = 5.0;

/// Segments sent to count losses, and the interval between them.
const SEGMENTS: u32 = 100;
const INTERVAL: Duration = Duration::from_millis(20);

/// How long lost segments are searched for.
const SEARCH_LIMIT: Duration = Duration::from_secs(8);

/// Datagrams of one size, and the shortest time their answers may take.
const COPIES: u32 = 6;
const COPIES_LIMIT: Duration = Duration::from_millis(400);

/// A size that nearly every path delivers, bytes of a datagram: the search for the mtu begins there.
const BYTES_MIN: usize = 508;

/// Distance of the mtu found from the true one, bytes.
const BYTES_PRECISION: usize = 8;

/// The first segment that may have padding (KCP-31), behind all others.
const PADDED_SN_MIN: u32 = SEGMENTS + 64;

/// Measures the path to a server that answers, and reports it.
pub(super) fn measure(
    config: &TunnelConfig,
    via: &Via,
    to: SocketAddr,
    entropy: Entropy,
    report: &mut Report,
) {
    match Path::open(config, via, to, entropy) {
        Ok(mut path) => {
            path.report_losses(report);
            path.report_mtu(config.mtu, report);
        }
        Err(error) => report.note("path", &format!("cannot be measured: {error}")),
    }
}

struct Path {
    probe: PathProbe,
    socket: Socket,
    /// When each datagram was sent, by its tag.
    sent: Vec<Instant>,
    round_trips: Vec<Duration>,
    /// By number: whether its first copy was acknowledged, and whether it arrived at all.
    answered: Vec<bool>,
    una: u32,
    /// The server's window, once it is known.
    window: u16,
    acked: Vec<(u32, u32)>,
}

impl Path {
    fn open(config: &TunnelConfig, via: &Via, to: SocketAddr, mut entropy: Entropy) -> io::Result<Self> {
        let socket = via.connect(to, &mut entropy)?;
        Ok(Self {
            probe: PathProbe::new(config, entropy),
            socket,
            sent: Vec::new(),
            round_trips: Vec::new(),
            answered: vec![false; SEGMENTS as usize + 2],
            una: 0,
            window: u16::MAX,
            acked: Vec::new(),
        })
    }

    /// The slowest answer so far, and what the server may delay an acknowledgement.
    fn patience(&self) -> Duration {
        let slowest = self.round_trips.iter().max().copied().unwrap_or(Duration::from_millis(300));
        (slowest * 2).max(COPIES_LIMIT)
    }

    fn next_tag(&mut self) -> u32 {
        self.sent.push(Instant::now());
        self.sent.len() as u32 - 1
    }

    fn send(&mut self, sn: u32) {
        let tag = self.next_tag();
        let datagram = self.probe.segment(sn, tag);
        // What the system does not send is lost, as on the path.
        let _ = self.socket.send(&datagram);
    }

    /// Reads answers for `limit`, or until `done`.
    fn read(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let until = Instant::now() + limit;
        let mut buffer = [0; 2048];
        while !done(self) {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            if let Ok(Some(datagram)) = self.socket.receive(left, &mut buffer)
                && let Some(reply) = self.probe.read(datagram)
            {
                self.socket.opened();
                self.note(&reply);
                if let Some(datagram) = self.probe.acknowledge(&reply) {
                    let _ = self.socket.send(&datagram);
                }
            }
        }
    }

    fn note(&mut self, reply: &Reply) {
        // Datagrams may overtake each other.
        self.una = self.una.max(reply.una);
        self.window = reply.window;
        for &(sn, tag) in &reply.acks {
            let Some(sent) = self.sent.get(tag as usize) else { continue };
            self.round_trips.push(sent.elapsed());
            self.acked.push((sn, tag));
            // The first copy of a segment has its number as its tag, apart from what was withheld.
            if let Some(answered) = self.answered.get_mut(sn as usize) {
                *answered |= sn == tag;
            }
        }
    }

    /// Starts the server's session; whether it answers.
    fn start(&mut self) -> bool {
        for _ in 0..10 {
            self.send(0);
            self.read(self.patience(), |path| path.una > 0);
            if self.una > 0 {
                return true;
            }
        }
        false
    }

    fn report_losses(&mut self, report: &mut Report) {
        if !self.start() {
            return report.note("path", "the server does not answer a measuring session");
        }
        self.round_trips.clear();
        // Tags follow the numbers from here on, and segment 1 is withheld.
        self.sent.truncate(1);
        self.sent.resize(2, Instant::now());
        let mut last = 1;
        // The window of a new session may grow with its first answers.
        while last <= SEGMENTS && last + 2 < self.una + u32::from(self.window) {
            last += 1;
            self.send(last);
            self.read(INTERVAL, |_| false);
        }
        self.read(self.patience(), |path| path.answered[2..=last as usize].iter().all(|answered| *answered));
        let lost = self.find_lost(last);
        self.report_round_trip(report);
        let sent = lost.known;
        let to_server = percent(lost.to_server, sent);
        let to_client = percent(lost.to_client, sent - lost.to_server);
        let text = format!(
            "to the server {to_server:.1} %, from the server {to_client:.1} % of {sent} datagrams, sent at {} per second",
            1000 / INTERVAL.as_millis()
        );
        if to_server.max(to_client) <= LOSS_PERCENT_MAX {
            return report.ok("loss", &text);
        }
        let next = "use --mode auto on both sides: it holds its rate on lossy paths. Loss that grows with the load comes from a \
                    slow link or a policer: compare at another time of day, and by another network";
        report.fault(Fault::Loss, &text, next);
    }

    /// Fills the gap: una then stops at each segment that did not arrive.
    fn find_lost(&mut self, last: u32) -> Lost {
        let until = Instant::now() + SEARCH_LIMIT;
        let mut lost = Vec::new();
        let mut fill = 1;
        while fill <= last && Instant::now() < until {
            self.send(fill);
            self.read(self.patience(), |path| path.una > fill);
            if self.una > fill {
                fill = self.una;
                lost.extend((fill <= last).then_some(fill));
            }
        }
        let known = fill.clamp(2, last + 1);
        let arrived = |sn: &u32| !lost.contains(sn);
        let unanswered = (2..known).filter(|sn| !self.answered[*sn as usize]);
        Lost {
            known: known - 2,
            to_server: (2..known).filter(|sn| lost.contains(sn)).count() as u32,
            to_client: unanswered.filter(arrived).count() as u32,
        }
    }

    fn report_round_trip(&mut self, report: &Report) {
        self.round_trips.sort_unstable();
        let ms = |duration: Option<&Duration>| duration.map_or(0.0, |duration| duration.as_secs_f64() * 1e3);
        let trips = &self.round_trips;
        report.ok(
            "round trip",
            &format!(
                "shortest {:.1}, median {:.1}, longest {:.1} ms, with the server's delay of acknowledgements",
                ms(trips.first()),
                ms(trips.get(trips.len() / 2)),
                ms(trips.last())
            ),
        );
    }

    /// Finds the largest datagram that reaches the server, up to what kcptun can use.
    fn report_mtu(&mut self, mtu: usize, report: &mut Report) {
        if self.una == 0 {
            return;
        }
        let whole = self.socket.forbid_fragments(true).is_ok();
        let mut sn = self.una.max(PADDED_SN_MIN);
        let mut arrives = |path: &mut Self, bytes: usize| {
            sn += 1;
            path.delivers(sn, bytes)
        };
        let largest = if arrives(self, MTU_MAX) {
            MTU_MAX
        } else {
            let (mut good, mut bad) = (BYTES_MIN, MTU_MAX);
            // The size in question first: it is right nearly always.
            if arrives(self, mtu) {
                good = mtu;
            } else {
                bad = mtu;
            }
            while bad > good + BYTES_PRECISION {
                let middle = good.midpoint(bad);
                if arrives(self, middle) {
                    good = middle;
                } else {
                    bad = middle;
                }
            }
            good
        };
        let takes = format!("the path to the server takes up to {largest} bytes");
        if largest >= mtu {
            let more = if largest == MTU_MAX { "or more" } else { "" };
            return report.ok("mtu", format!("datagrams of {mtu} bytes arrive; {takes} {more}").trim_end());
        }
        let fragmented = whole && self.socket.forbid_fragments(false).is_ok() && arrives(self, mtu);
        let next = format!("set --mtu {largest} on both sides");
        if fragmented {
            return report
                .note("mtu", &format!("datagrams of {mtu} bytes arrive in fragments only; {takes}: {next}"));
        }
        report.fault(Fault::Mtu, &format!("datagrams of {mtu} bytes do not arrive; {takes}"), &next);
    }

    /// Whether one of several datagrams of that size arrives. Segment `sn` waits behind a gap there.
    fn delivers(&mut self, sn: u32, bytes: usize) -> bool {
        self.acked.clear();
        let first = self.sent.len() as u32;
        for _ in 0..COPIES {
            let tag = self.next_tag();
            let datagram = self.probe.padded(sn, tag, bytes);
            let _ = self.socket.send(&datagram);
        }
        let is_answered = |path: &Self| path.acked.iter().any(|(of, tag)| *of == sn && *tag >= first);
        self.read(self.patience(), is_answered);
        is_answered(self)
    }
}

/// Segments whose fate is known, and those of them that were lost.
struct Lost {
    known: u32,
    to_server: u32,
    to_client: u32,
}

fn percent(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(part) * 100.0 / f64::from(whole) }
}
