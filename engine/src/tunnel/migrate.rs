//! Following a peer whose address changes: NAT rebinding, a new network (KCP-24).

use super::{Identity, Incoming, Tunnel};
use crate::fec::{self, Kind};
use crate::mux::Role;
use crate::observe::Mark;
use crate::time::Instant;
use core::time::Duration;

/// Shortest time between two moves of a session: an attacker that delays fresh datagrams and sends them from another
/// address cannot make it flap faster.
const MOVE_INTERVAL: Duration = Duration::from_millis(250);

impl Tunnel {
    /// Takes a datagram of this conversation from another address and moves the session there, if the datagram advances
    /// the conversation. The caller then updates its address table.
    ///
    /// # Errors
    /// Returns the datagram if it is a replay, if moves are disabled, or if the session moved just before.
    pub(crate) fn migrate<'d>(&mut self, now: Instant, incoming: Incoming<'d>) -> Result<(), Incoming<'d>> {
        let moved_just_now = self.health.moved_at.is_some_and(|at| now.since(at) < MOVE_INTERVAL);
        let may = self.config.migrate && self.role == Role::Server && !self.is_closed() && !moved_just_now;
        let Ok(identity) = Identity::of(incoming.payload) else { return Err(incoming) };
        let segments = match identity.kind {
            Some(Kind::Data) => &incoming.payload[fec::HEADER_LEN..],
            Some(_) => return Err(incoming),
            None => incoming.payload,
        };
        let advances = self.arq.advanced_by(segments);
        if !may || !advances {
            let too_soon = advances && moved_just_now;
            self.reports.stats.marks.hit_if(Mark::MigrationTooSoon, too_soon);
            self.reports.stats.marks.hit_if(Mark::MigrationReplay, may && !advances);
            // Its data does not start another conversation: once retransmitted, it moves this session.
            return Err(Incoming { may_start: incoming.may_start && !too_soon, ..incoming });
        }
        self.peer = incoming.from;
        self.health.moved_at = Some(now);
        self.reports.stats.migrations += 1;
        // The layers count what they drop.
        let _ = self.handle_payload(now, incoming.payload, identity);
        Ok(())
    }
}
