//! Forged TCP: only Linux has the sockets that capture and inject packets. [`Settings::checked`] refuses it by name.

use crate::datagrams::{Datagrams, RecvBatch};
use engine::Entropy;
use engine::forged::Variant;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::task::{Context, Poll};

/// What every program needs for forged TCP.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Index of the only interface to use; 0 for all.
    pub interface: u32,
    never: Infallible,
}

impl Settings {
    /// There are none here.
    ///
    /// # Errors
    /// Always; the text begins with the option.
    pub fn checked(_interface: &str, _buffer_bytes: i64, _dscp: u8) -> io::Result<Self> {
        let text = format!("--tcp: forged TCP is not available on {}, use UDP", std::env::consts::OS);
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
}

/// One flow of forged TCP to a server.
#[derive(Debug)]
pub struct Client(Infallible);

impl Client {
    /// Cannot be called: there are no settings.
    ///
    /// # Errors
    /// None.
    pub fn connect(
        _server: SocketAddr,
        _variant: Variant,
        settings: &Settings,
        _entropy: Entropy,
    ) -> io::Result<Self> {
        match settings.never {}
    }
}

/// All flows of forged TCP of a port.
#[derive(Debug)]
pub struct Server(Infallible);

impl Server {
    /// Cannot be called: there are no settings.
    ///
    /// # Errors
    /// None.
    pub fn bind(_address: SocketAddr, settings: &Settings, _entropy: Entropy) -> io::Result<Self> {
        match settings.never {}
    }
}

macro_rules! no_datagrams {
    ($name:ty) => {
        impl Datagrams for $name {
            fn local_addr(&self) -> SocketAddr {
                match self.0 {}
            }

            fn poll_recv_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.0 {}
            }

            fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.0 {}
            }

            fn try_recv(&self, _batch: &mut RecvBatch) -> io::Result<()> {
                match self.0 {}
            }

            fn try_send(
                &self,
                _to: SocketAddr,
                _bytes: &[u8],
                _segment: Option<NonZeroU16>,
            ) -> io::Result<usize> {
                match self.0 {}
            }

            fn send_errors(&self) -> u64 {
                match self.0 {}
            }
        }
    };
}

no_datagrams!(Client);
no_datagrams!(Server);

/// Interface of a client to whose server no route leads: the system's choice.
///
/// # Errors
/// None.
pub const fn choose_interface(_peers: &[SocketAddr]) -> io::Result<u32> {
    Ok(0)
}

/// The error itself.
pub const fn without_privilege(error: io::Error) -> io::Error {
    error
}
