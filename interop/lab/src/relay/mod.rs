//! A UDP relay that emulates the network of a scenario in real time: `clients -> relay -> server` and back.
//!
//! All clients share the two links; each has its own socket towards the server.

mod bench;
mod udp;

pub use bench::{Bench, BenchReport};

use crate::path::{Capture, Carries, Conditions, Emulator, Pump, Report};
use sim::plan::LinkPlan;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use udp::Sockets;

/// A running relay; stops when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    pump: Pump,
}

impl Relay {
    /// Listens on `listen` (port 0 lets the system choose) and forwards to `to`: over `plans[0]` towards the server, `plans[1]` back.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(listen: SocketAddr, to: SocketAddr, plans: [LinkPlan; 2], seed: u64) -> io::Result<Self> {
        Self::start_captured(listen, to, &Conditions { links: plans, seed, ..Conditions::default() }, None)
    }

    /// As [`Relay::start`] with all conditions of a network and an optional capture.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start_captured(
        listen: SocketAddr,
        to: SocketAddr,
        conditions: &Conditions,
        capture: Option<Capture>,
    ) -> io::Result<Self> {
        let (sockets, waiter) = Sockets::bind(listen, to, conditions.nat)?;
        let address = sockets.address();
        let line = Emulator::new(conditions, Carries::Datagrams, capture);
        Ok(Self { address, pump: Pump::start(line, sockets, waiter) })
    }

    /// Address to which clients send.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the scenario's clock, which otherwise starts with the first datagram.
    pub fn begin(&self) {
        self.pump.begin();
    }

    /// Counters and distributions so far.
    pub fn report(&self) -> Report {
        self.pump.report()
    }

    /// Processor time of the relay's thread, up to half a second ago.
    pub fn cpu(&self) -> Duration {
        self.pump.cpu()
    }
}
