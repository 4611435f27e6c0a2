//! Datagrams as segments of forged TCP (engine's [`engine::forged`]), beside UDP.
//!
//! A [`Link`] captures and injects IP packets: AF_PACKET, or libpcap with the cargo feature `pcap`. [`client::Client`] is one flow to a server,
//! [`server::Server`] all flows of a port. A listening TCP socket with IP_MINTTL 255 holds the port, so that the kernel neither
//! answers the segments nor gives the port to another program (kcptun-tcp.md section 11): no firewall is touched, and nothing
//! is left when the process ends, however it ends.

mod choice;
mod client;
mod holder;
#[cfg(not(feature = "pcap"))]
mod packet_socket;
#[cfg(feature = "pcap")]
mod pcap_link;
mod route;
mod server;

pub use choice::choose_interface;
pub use client::Client;
pub use server::Server;

#[cfg(not(feature = "pcap"))]
use packet_socket::PacketSocket as SystemLink;
#[cfg(feature = "pcap")]
use pcap_link::PcapLink as SystemLink;

use crate::datagrams::RecvBatch;
use engine::forged::{Control, HEADERS_MAX, HOP_LIMIT, Header, Numbers, WINDOW, WriteError};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// Bytes of the longest packet that is received; longer ones are no datagram of any peer.
const PACKET_BYTES_MAX: usize = 2048;

/// Packets of one system call.
const BATCH: usize = 64;

/// The next hop of a packet: interface and link address, as the packets of the peer show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    interface: i32,
    address: [u8; 8],
    address_len: u8,
}

/// A packet that [`Link::receive`] wrote into a slot.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    len: usize,
    hop: Hop,
}

/// Captures and injects the IP packets of one TCP port.
trait Link: Send {
    /// Ready when [`Link::receive`] is worth a try; wakes the task then.
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when [`Link::send`] is worth a try; wakes the task then.
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Receives at most [`BATCH`] packets into `bytes`, one every [`PACKET_BYTES_MAX`], and replaces `arrived` by them.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has arrived.
    fn receive(&self, bytes: &mut [u8], arrived: &mut Vec<Arrived>) -> io::Result<()>;

    /// Sends packets, headers and payload apart, and returns how many were taken.
    ///
    /// # Errors
    /// `WouldBlock` when none was taken; anything else concerns the first one.
    fn send(&self, hop: &Hop, packets: &[(&[u8], &[u8])]) -> io::Result<usize>;
}

/// What every program needs for forged TCP.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Index of the only interface to use; 0 for all.
    pub interface: u32,
    /// SO_RCVBUF and SO_SNDBUF, bytes, as far as the system allows; not positive for its defaults.
    pub buffer_bytes: i64,
    /// Differentiated services code point, 0 to 63.
    pub dscp: u8,
}

impl Settings {
    /// As the options have them; checks that this process may capture and forge packets.
    ///
    /// # Errors
    /// No such interface, or CAP_NET_RAW is missing; the text begins with the option.
    pub fn checked(interface: &str, buffer_bytes: i64, dscp: u8) -> io::Result<Self> {
        let blame =
            |option: &str, error: io::Error| io::Error::new(error.kind(), format!("{option}: {error}"));
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let probe = route::RawSocket::open(local, 0).map_err(without_privilege);
        probe.map_err(|error| blame("--tcp", error))?;
        let index = match interface {
            "" => 0,
            name => {
                route::interface_index(name).map_err(|error| blame(&format!("--interface {name}"), error))?
            }
        };
        Ok(Self { interface: index, buffer_bytes, dscp })
    }
}

/// What both ends put into a packet.
#[derive(Clone, Copy, Debug)]
struct Ends {
    local: SocketAddr,
    peer: SocketAddr,
    dscp: u8,
    flow_label: u32,
}

impl Ends {
    fn header(self, numbers: Numbers, flags: engine::forged::Flags, options: &[u8]) -> Header<'_> {
        let Numbers { seq, ack, id } = numbers;
        Header {
            from: self.local,
            to: self.peer,
            traffic_class: self.dscp << 2,
            hop_limit: HOP_LIMIT,
            id,
            flow_label: self.flow_label,
            seq,
            ack,
            flags,
            window: WINDOW,
            options,
        }
    }

    /// A segment without a datagram.
    fn control(self, control: &Control, out: &mut [u8; HEADERS_MAX]) -> Result<usize, WriteError> {
        let Control { seq, ack, id, flags, .. } = *control;
        // Like a kernel's: the code point is for data.
        let plain = Self { dscp: 0, ..self };
        plain.header(Numbers { seq, ack, id }, flags, control.options()).write(&[], out)
    }
}

/// Header space for one batch; reused from call to call.
#[derive(Debug)]
struct Headers(Vec<([u8; HEADERS_MAX], usize)>);

impl Default for Headers {
    fn default() -> Self {
        Self(Vec::with_capacity(BATCH))
    }
}

impl Headers {
    /// Sends `bytes` as datagrams of `size` bytes each, numbered by `next`. Returns the bytes taken.
    ///
    /// # Errors
    /// As [`Link::send`], for the first datagram.
    fn send(
        &mut self,
        link: &dyn Link,
        hop: &Hop,
        ends: Ends,
        (bytes, size): (&[u8], usize),
        mut next: impl FnMut(usize) -> Numbers,
    ) -> io::Result<usize> {
        self.0.clear();
        let datagrams = || bytes.chunks(size.max(1)).take(BATCH);
        for datagram in datagrams() {
            let mut out = [0; HEADERS_MAX];
            let header = ends.header(next(datagram.len()), engine::forged::DATA, &[]);
            let len = header.write(datagram, &mut out).map_err(io::Error::other)?;
            self.0.push((out, len));
        }
        let headers = self.0.iter().map(|(header, len)| &header[..*len]);
        let packets: Vec<(&[u8], &[u8])> = headers.zip(datagrams()).collect();
        let taken = link.send(hop, &packets)?;
        Ok(datagrams().take(taken).map(<[u8]>::len).sum())
    }
}

/// Says what to do about a missing capability.
pub(crate) fn without_privilege(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => io::Error::new(
            error.kind(),
            "forged TCP needs CAP_NET_RAW: run as root, or once: setcap cap_net_raw+ep PROGRAM",
        ),
        _ => error,
    }
}

/// Whether an error concerns one packet only, which is lost then, as if on the way.
fn loses_packet(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::WouldBlock
}

/// Where the datagram of each received packet is, for [`RecvBatch`].
fn payload_range(slot: usize, packet: &[u8], payload: &[u8]) -> (usize, usize) {
    let offset = payload.as_ptr() as usize - packet.as_ptr() as usize;
    (slot * PACKET_BYTES_MAX + offset, payload.len())
}

/// The part of a batch that a link writes to.
fn slots(batch: &mut RecvBatch) -> &mut [u8] {
    let bytes = batch.bytes_mut();
    &mut bytes[..BATCH * PACKET_BYTES_MAX]
}
