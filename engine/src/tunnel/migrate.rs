//! Following a peer whose address changes: NAT rebinding, a new network (KCP-24).

use super::{Identity, Incoming, Tunnel};
use crate::fec::{self, Kind};
use crate::mux::Role;
use crate::observe::Mark;
use crate::time::Instant;
use core::time::Duration;

/// Shortest time between two moves of a session: someone who holds back fresh datagrams and sends them on from elsewhere
/// cannot make it flap faster.
const MOVE_INTERVAL: Duration = Duration::from_millis(250);

impl Tunnel {
    /// Takes a datagram of this conversation from another address and moves the session there, if the datagram advances
    /// the conversation. The caller then updates its address table.
    ///
    /// # Errors
    /// Gives the datagram back when it is a replay, when moves are switched off, or when the session moved just before.
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
            // Its first data is not that of a new conversation: it comes again, and moves this session then.
            return Err(Incoming { may_start: incoming.may_start && !too_soon, ..incoming });
        }
        self.peer = incoming.from;
        self.health.moved_at = Some(now);
        self.reports.stats.migrations += 1;
        // What the layers make of it is in their counters.
        let _ = self.handle_payload(now, incoming.payload, identity);
        Ok(())
    }
}
