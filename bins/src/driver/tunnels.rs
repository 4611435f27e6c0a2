//! The engine's side of a socket: a server with all its sessions, or one session of the client.

use engine::{Client, Instant, Received, Server, SessionId, Stats, Tunnel};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

pub(super) enum Tunnels {
    /// Every session of one port.
    Server(Box<Server>),
    /// One session of a client, whose sessions have a socket each.
    Client(Rc<RefCell<Client>>, SessionId),
}

impl Tunnels {
    pub(super) const fn is_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    pub(super) fn with<R>(&mut self, id: SessionId, change: impl FnOnce(&mut Tunnel) -> R) -> Option<R> {
        match self {
            Self::Server(server) => server.tunnel_mut(id).map(change),
            Self::Client(client, _) => client.borrow_mut().tunnel_mut(id).map(change),
        }
    }

    pub(super) fn each(&self, mut look: impl FnMut(SessionId, &Tunnel)) {
        match self {
            Self::Server(server) => server.tunnels().for_each(|(id, tunnel)| look(id, tunnel)),
            Self::Client(client, id) => drop(client.borrow().tunnel(*id).map(|tunnel| look(*id, tunnel))),
        }
    }

    pub(super) fn remove(&mut self, now: Instant, id: SessionId) -> Option<Tunnel> {
        match self {
            Self::Server(server) => server.remove(now, id),
            Self::Client(client, _) => client.borrow_mut().remove(id),
        }
    }

    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &mut [u8],
    ) -> Received {
        match self {
            Self::Server(server) => server.handle_datagram(now, from, datagram),
            Self::Client(client, id) => {
                Received::Session(*id, client.borrow_mut().handle_datagram(now, *id, from, datagram))
            }
        }
    }

    /// The next session that a server closed itself.
    pub(super) fn poll_closed(&mut self) -> Option<SessionId> {
        match self {
            Self::Server(server) => server.poll_closed(),
            Self::Client(..) => None,
        }
    }

    /// Whether datagrams of this address have a session.
    pub(super) fn knows(&self, address: SocketAddr) -> bool {
        match self {
            Self::Server(server) => server.knows(address),
            Self::Client(..) => true,
        }
    }

    /// Counters of datagrams that reached no session.
    pub(super) fn stats(&self) -> Stats {
        match self {
            Self::Server(server) => server.stats(),
            Self::Client(..) => Stats::default(),
        }
    }

    pub(super) const fn set_accepting(&mut self, accepting: bool) {
        if let Self::Server(server) = self {
            server.set_accepting(accepting);
        }
    }
}
