use crate::Side;
use crate::plan::{FaultKind, FaultPlan, HostPlan, Scenario, Stall, Timeline};
use engine::{CloseReason, Instant};
use std::time::Duration;

/// Decides whether the faults of a run explain the end of a session. A session that ends for another reason breaks
/// [`crate::check::Rule::Closed`].
///
/// | session ends with | explained when |
/// |---|---|
/// | `Local` | always: the driver closed it |
/// | `Replaced` | the client no longer has a tunnel of that conversation; or it was restarted shortly before, so a datagram of the previous process may arrive late (KCP-22 cannot distinguish it from a newer one) |
/// | `Unknown`, at the server | the path was cut or the server was restarted before, it does not follow clients and the address changed, or the client does not have that session |
/// | `PeerRestarted`, at the client | the server lost the session, or does not follow clients and the address changed |
/// | `Unvalidated`, at the server | the client lost the session or was restarted, or the path was cut before |
/// | `PeerTimeout` | as both above; or the path was cut, or the host stalled, for long enough |
/// | another reason | never |
///
/// A cut of `c` is long enough when `2 c + 2 keepalive >= peer timeout`: retransmissions back off, so the sender may stay
/// silent for the same time after the cut, and an idle session sends only every keepalive interval. A clock step ends no
/// session (KCP-25).
#[derive(Debug)]
pub struct Excuses {
    cuts: Vec<(Instant, Instant)>,
    /// Times at which the client was restarted.
    client_starts: Vec<Instant>,
    keepalive: Duration,
    peer_timeout: Duration,
    follows: bool,
}

/// Maximum time of a datagram in transit.
const LATE_DATAGRAM_MAX: Duration = Duration::from_secs(5);

/// The end of a session, with facts that only the simulator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Side at which the session ended.
    pub side: Side,
    /// Reason of the end.
    pub reason: CloseReason,
    /// The other side has no session of that conversation at that address.
    pub peer_gone: bool,
    /// The client's public address changed during the session.
    pub moved: bool,
}

impl Excuses {
    /// The excuses of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let mux = [&scenario.client, &scenario.server].map(|side| &side.config.mux);
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        let mut cuts: Vec<_> = scenario.faults.iter().filter_map(cut).collect();
        let client_restarts =
            scenario.faults.iter().filter(|fault| matches!(fault.kind, FaultKind::ClientRestart { .. }));
        let end = Instant::from_micros(u64::MAX);
        cuts.extend([scenario.up.dead(), scenario.down.dead()].iter().flat_map(|dead| blackouts(dead, end)));
        cuts.extend([&scenario.hosts.client, &scenario.hosts.server].into_iter().flat_map(stalls));
        Self {
            cuts,
            client_starts: client_restarts.map(FaultPlan::heals_at).collect(),
            keepalive: ms(mux[0].keepalive_ms.max(mux[1].keepalive_ms)),
            peer_timeout: ms(mux[0].peer_timeout_ms.min(mux[1].peer_timeout_ms)),
            follows: scenario.server.config.migrate,
        }
    }

    /// Whether the end of a session at `now` is explained.
    pub fn explain(&self, now: Instant, loss: Loss) -> bool {
        let unreachable = loss.peer_gone || (loss.moved && !self.follows);
        match loss.reason {
            CloseReason::Local => true,
            CloseReason::Replaced => loss.side == Side::Server && (loss.peer_gone || self.client_is_new(now)),
            CloseReason::Unknown => {
                let cut = self.cuts.iter().any(|&(begin, _)| begin <= now);
                loss.side == Side::Server && (cut || unreachable)
            }
            CloseReason::PeerRestarted => loss.side == Side::Client && unreachable,
            CloseReason::PeerTimeout => unreachable || self.was_silenced(now),
            CloseReason::Unvalidated => {
                loss.side == Side::Server && (unreachable || self.cuts.iter().any(|&(begin, _)| begin <= now))
            }
            _ => false,
        }
    }

    fn client_is_new(&self, now: Instant) -> bool {
        self.client_starts.iter().any(|&start| start <= now && now.since(start) <= LATE_DATAGRAM_MAX)
    }

    fn was_silenced(&self, now: Instant) -> bool {
        let recent = |end: Instant| end >= now || now.since(end) <= 2 * self.peer_timeout;
        self.cuts.iter().any(|&(begin, end)| {
            begin <= now && recent(end) && self.is_long_enough(end.min(now).since(begin))
        })
    }

    fn is_long_enough(&self, silence: Duration) -> bool {
        2 * silence + 2 * self.keepalive >= self.peer_timeout
    }
}

/// The interval in which a fault drops all packets.
fn cut(fault: &FaultPlan) -> Option<(Instant, Instant)> {
    let cuts = matches!(
        fault.kind,
        FaultKind::Blackout(_) | FaultKind::ServerRestart | FaultKind::ClientRestart { .. }
    );
    cuts.then(|| (fault.begins_at(), fault.heals_at()))
}

/// The blackouts of a link's schedule.
fn blackouts(blackout: &Timeline<bool>, end: Instant) -> Vec<(Instant, Instant)> {
    let mut times: Vec<Instant> = blackout.times().map(Instant::from_micros).collect();
    times.push(end);
    times.windows(2).filter(|pair| blackout.at(pair[0])).map(|pair| (pair[0], pair[1])).collect()
}

fn stalls(host: &HostPlan) -> Vec<(Instant, Instant)> {
    let once = |stall: &Stall| match *stall {
        Stall::Once { at_us, for_us } => {
            Some((Instant::from_micros(at_us), Instant::from_micros(at_us + for_us)))
        }
        Stall::Every { .. } => None,
    };
    host.stalls.iter().filter_map(once).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excuses(cut: (u64, u64), follows: bool) -> Excuses {
        let at = |s: u64| Instant::from_millis(1_000 * s);
        Excuses {
            cuts: vec![(at(cut.0), at(cut.1))],
            client_starts: vec![at(cut.1)],
            keepalive: Duration::from_secs(10),
            peer_timeout: Duration::from_secs(30),
            follows,
        }
    }

    fn loss(side: Side, reason: CloseReason) -> Loss {
        Loss { side, reason, peer_gone: false, moved: false }
    }

    #[test]
    fn a_timeout_needs_a_recent_cut_that_was_long_enough() {
        let at = |s: u64| Instant::from_millis(1_000 * s);
        let timeout = loss(Side::Server, CloseReason::PeerTimeout);
        let (short, long) = (excuses((100, 104), true), excuses((100, 120), true));
        assert!(!short.explain(at(130), timeout));
        assert!(long.explain(at(130), timeout) && long.explain(at(180), timeout));
        assert!(!long.explain(at(99), timeout) && !long.explain(at(102), timeout));
        assert!(!long.explain(at(181), timeout));
    }

    #[test]
    fn reasons_foreign_to_healthy_sessions_need_a_lost_peer() {
        let at = Instant::from_millis(1);
        let following = excuses((0, 0), true);
        let restarted = loss(Side::Client, CloseReason::PeerRestarted);
        assert!(!following.explain(at, restarted));
        assert!(!following.explain(at, Loss { moved: true, ..restarted }));
        assert!(excuses((0, 0), false).explain(at, Loss { moved: true, ..restarted }));
        assert!(following.explain(at, Loss { peer_gone: true, ..restarted }));
        let replaced = loss(Side::Server, CloseReason::Replaced);
        let later = at + LATE_DATAGRAM_MAX;
        assert!(!following.explain(later, replaced) && following.explain(at, replaced));
        assert!(!following.explain(at, loss(Side::Client, CloseReason::Replaced)));
        let unknown = loss(Side::Server, CloseReason::Unknown);
        assert!(following.explain(at, unknown) && !excuses((1, 2), true).explain(at, unknown));
        let replaced = Loss { moved: true, ..replaced };
        let at = later;
        assert!(following.explain(at, Loss { peer_gone: true, ..replaced }));
        for reason in [CloseReason::Protocol, CloseReason::Corrupt] {
            assert!(
                !following.explain(at, Loss { peer_gone: true, moved: true, ..loss(Side::Client, reason) })
            );
        }
        assert!(following.explain(at, loss(Side::Client, CloseReason::Local)));
    }
}
