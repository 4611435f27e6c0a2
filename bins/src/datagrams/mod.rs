//! Batches of datagrams, and what carries them.

mod carrier;

pub use carrier::Carrier;

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::task::{Context, Poll};

/// What carries datagrams: UDP here, something else elsewhere.
pub trait Datagrams {
    /// The address bound.
    fn local_addr(&self) -> SocketAddr;

    /// Ready when [`Datagrams::try_recv`] is worth a try; wakes the task then.
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when [`Datagrams::try_send`] is worth a try; wakes the task then.
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Replaces the content of `batch` by what has arrived.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has arrived; anything else is the socket's error.
    fn try_recv(&self, batch: &mut RecvBatch) -> io::Result<()>;

    /// Sends one datagram, or a run of datagrams of `segment` bytes each. Returns the bytes that were taken, all of them or
    /// a whole number of datagrams; when fewer, the socket would block.
    ///
    /// # Errors
    /// `WouldBlock` when nothing was taken.
    fn try_send(&self, to: SocketAddr, bytes: &[u8], segment: Option<NonZeroU16>) -> io::Result<usize>;

    /// Whether a host reported, since the last call, that nothing listens on the port of a datagram sent before.
    fn take_refused(&self) -> bool {
        false
    }

    /// Whether [`Datagrams::opened`] has to be called.
    fn counts_opened(&self) -> bool {
        false
    }

    /// The datagram of this number in the last batch could be opened; whether it advanced the conversation, which no replay
    /// does.
    fn opened(&self, _number: usize, _advanced: bool) {}

    /// What carries the datagrams of a peer.
    fn carrier(&self, _peer: SocketAddr) -> Carrier {
        Carrier::Udp
    }

    /// What to check of this carrier when nothing comes back.
    fn advice(&self) -> &'static str {
        "that UDP gets through"
    }

    /// Datagrams the system refused; they are lost, as if on the way.
    fn send_errors(&self) -> u64;
}

/// Datagrams of one call, and the longest one.
pub(crate) const SLOTS: usize = 8;
pub(crate) const SLOT_BYTES: usize = 65_536;

/// Datagrams received by one call; reused from call to call.
#[derive(Debug)]
pub struct RecvBatch {
    bytes: Vec<u8>,
    received: Vec<Received>,
    full: bool,
}

#[derive(Clone, Copy, Debug)]
struct Received {
    from: SocketAddr,
    /// Position of the first byte.
    start: usize,
    len: usize,
    /// Size of the datagrams in the slot; the last one may be shorter.
    segment: usize,
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self { bytes: vec![0; SLOTS * SLOT_BYTES], received: Vec::with_capacity(SLOTS), full: false }
    }
}

impl RecvBatch {
    /// Replaces the content by what `receive` writes into slots, one datagram each, until it would block.
    ///
    /// # Errors
    /// `WouldBlock` when there was nothing; anything else is the socket's error.
    pub fn fill(
        &mut self,
        mut receive: impl FnMut(&mut [u8]) -> io::Result<(usize, SocketAddr)>,
    ) -> io::Result<()> {
        self.clear();
        for index in 0..SLOTS {
            let start = index * SLOT_BYTES;
            match receive(&mut self.bytes[start..start + SLOT_BYTES]) {
                Ok((len, from)) => self.push(from, start, len),
                Err(_) if !self.received.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        self.full = self.received.len() == SLOTS;
        Ok(())
    }

    /// Space for what arrives.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Removes all datagrams.
    pub(crate) fn clear(&mut self) {
        self.received.clear();
        self.full = false;
    }

    /// Adds a datagram that is in [`Self::bytes_mut`].
    pub(crate) fn push(&mut self, from: SocketAddr, start: usize, len: usize) {
        self.push_run(from, start, len, len);
    }

    /// Adds a run of datagrams of `segment` bytes each that is in [`Self::bytes_mut`].
    pub(crate) fn push_run(&mut self, from: SocketAddr, start: usize, len: usize, segment: usize) {
        self.received.push(Received { from, start, len, segment: segment.max(1) });
    }

    /// Notes whether more may be waiting.
    pub const fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Calls `each` with every datagram and its source, in the order of arrival.
    pub fn for_each(&mut self, mut each: impl FnMut(SocketAddr, &mut [u8])) {
        for received in &self.received {
            for datagram in self.bytes[received.start..][..received.len].chunks_mut(received.segment) {
                each(received.from, datagram);
            }
        }
    }

    /// Whether the call filled every slot, so that more may be waiting.
    pub const fn is_full(&self) -> bool {
        self.full
    }
}

/// What every UDP socket of a program is set to.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketOptions {
    /// SO_RCVBUF and SO_SNDBUF, bytes, as far as the system allows; not positive for its defaults.
    pub buffer_bytes: i64,
    /// Differentiated services code point, 0 to 63.
    pub dscp: u8,
    /// Receive the errors that hosts and routers report about datagrams sent before.
    pub reports: bool,
}

impl SocketOptions {
    /// A socket for `address`, not bound yet; an IPv6 wildcard will take both families.
    ///
    /// # Errors
    /// The system refuses a socket of that family.
    pub(crate) fn open(self, address: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.set_nonblocking(true)?;
        if let Ok(bytes @ 1..) = usize::try_from(self.buffer_bytes.min(i64::from(i32::MAX))) {
            // The system's own limit applies quietly; a refusal leaves its default.
            let _ = socket.set_recv_buffer_size(bytes);
            let _ = socket.set_send_buffer_size(bytes);
        }
        Ok(socket)
    }
}
