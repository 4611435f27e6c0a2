//! libpcap (cargo feature `pcap`): Ethernet frames and bare IP packets of the interfaces that had an address when it was opened.
//!
//! Frames are taken before the firewall's input, and sent after its output, as with AF_PACKET. Of a frame, the sender's link
//! address is the peer's next hop, and the receiver's is this machine's.

use super::{Arrived, BATCH, Hop, Link, PACKET_BYTES_MAX, route};
use crate::platform::linux::watched::Watched;
use pcap::{Active, Capture, Direction, Error, Linktype};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::task::{Context, Poll};

/// LINKTYPE_RAW, under the numbers that systems have for it (pcap-linktype(7)).
const RAW: [Linktype; 2] = [Linktype(12), Linktype(101)];

/// Receiver, sender and network protocol of an Ethernet frame.
const ETHERNET_BYTES: usize = 14;

/// Room for the longest frame that counts.
const SNAP_BYTES: i32 = (ETHERNET_BYTES + PACKET_BYTES_MAX) as i32;

/// Captures and injects packets of one network protocol.
pub(super) struct PcapLink {
    devices: Vec<Device>,
    /// Network protocol of Ethernet frames.
    protocol: [u8; 2],
    /// The device that is read next, so that none starves the others.
    turn: Cell<usize>,
}

struct Device {
    index: i32,
    capture: RefCell<Capture<Active>>,
    /// A copy of its descriptor.
    watched: Watched,
    /// Frames begin with an Ethernet header.
    framed: bool,
    /// The interface's own link address, once a frame was received.
    own: Cell<[u8; 6]>,
}

impl PcapLink {
    /// Captures the segments to that TCP port, on that interface if it is not 0. `buffer_bytes` of each interface.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW; or no interface could be opened.
    pub(super) fn open(ipv6: bool, port: u16, interface: u32, buffer_bytes: i64) -> io::Result<Self> {
        let mut devices = Vec::new();
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "no interface has an address");
        for (name, _) in route::candidates() {
            let Ok(index) = route::interface_index(&name) else { continue };
            if interface != 0 && index != interface {
                continue;
            }
            match Device::open(&name, index, &filter(ipv6, port), buffer_bytes) {
                Ok(device) => devices.push(device),
                Err(error) => failed = error,
            }
        }
        if devices.is_empty() {
            return Err(failed);
        }
        let protocol = if ipv6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        Ok(Self { devices, protocol, turn: Cell::new(0) })
    }
}

impl Link for PcapLink {
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Every device has to register the task.
        let ready: Vec<_> = self.devices.iter().map(|device| device.watched.poll_recv_ready(cx)).collect();
        ready.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
    }

    fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // libpcap waits for room itself.
        Poll::Ready(Ok(()))
    }

    fn receive(&self, bytes: &mut [u8], arrived: &mut Vec<Arrived>) -> io::Result<()> {
        arrived.clear();
        for _ in &self.devices {
            let device = &self.devices[self.turn.get()];
            self.turn.set((self.turn.get() + 1) % self.devices.len());
            // A full batch of one device leaves the others for the next call.
            device.receive(self.protocol, bytes, arrived)?;
            if !arrived.is_empty() {
                return Ok(());
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn send(&self, hop: &Hop, packets: &[(&[u8], &[u8])]) -> io::Result<usize> {
        let device = self.devices.iter().find(|device| device.index == hop.interface);
        let device = device.ok_or(io::ErrorKind::NetworkUnreachable)?;
        let mut frame = Vec::with_capacity(SNAP_BYTES as usize);
        for (sent, (header, payload)) in packets.iter().enumerate() {
            frame.clear();
            if device.framed {
                frame.extend_from_slice(&hop.address[..6]);
                frame.extend_from_slice(&device.own.get());
                frame.extend_from_slice(&self.protocol);
            }
            frame.extend_from_slice(header);
            frame.extend_from_slice(payload);
            match device.capture.borrow_mut().sendpacket(frame.as_slice()) {
                Ok(()) => {}
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(io_error(error)),
            }
        }
        Ok(packets.len())
    }
}

impl Device {
    fn open(name: &str, index: u32, filter: &str, buffer_bytes: i64) -> io::Result<Self> {
        let mut capture =
            Capture::from_device(name).map_err(io_error)?.snaplen(SNAP_BYTES).immediate_mode(true);
        if let Ok(bytes @ 1..) = i32::try_from(buffer_bytes) {
            capture = capture.buffer_size(bytes);
        }
        let mut capture = capture.open().and_then(Capture::setnonblock).map_err(io_error)?;
        let link = capture.get_datalink();
        if link != Linktype::ETHERNET && !RAW.contains(&link) {
            let text = format!("{name}: links of the type {} are not supported", link.0);
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        capture.filter(filter, true).map_err(io_error)?;
        capture.direction(Direction::In).map_err(io_error)?;
        // SAFETY: the capture is open and owns the descriptor.
        let copy = unsafe { BorrowedFd::borrow_raw(capture.as_raw_fd()) }.try_clone_to_owned()?;
        Ok(Self {
            index: index.cast_signed(),
            capture: RefCell::new(capture),
            watched: Watched::new(copy)?,
            framed: link == Linktype::ETHERNET,
            own: Cell::default(),
        })
    }

    /// Adds what has arrived, at most a batch.
    fn receive(&self, protocol: [u8; 2], bytes: &mut [u8], arrived: &mut Vec<Arrived>) -> io::Result<()> {
        let mut capture = self.capture.borrow_mut();
        let received = self.watched.receive(|_| {
            for slot in bytes.chunks_exact_mut(PACKET_BYTES_MAX).take(BATCH) {
                let packet = match capture.next_packet() {
                    Ok(packet) => packet,
                    Err(Error::TimeoutExpired | Error::NoMorePackets) => return Ok(false),
                    Err(error) => return Err(io_error(error)),
                };
                let whole = packet.header.len == packet.header.caplen;
                let taken = self.take(protocol, packet.data, slot).filter(|_| whole);
                arrived.push(taken.unwrap_or(Arrived { len: 0, hop: Hop::default() }));
            }
            Ok(true)
        });
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            received => received,
        }
    }

    fn take(&self, protocol: [u8; 2], data: &[u8], slot: &mut [u8]) -> Option<Arrived> {
        let mut hop = Hop { interface: self.index, ..Hop::default() };
        let mut packet = data;
        if self.framed {
            let (header, rest) = data.split_first_chunk::<ETHERNET_BYTES>()?;
            let (own, sender) = (header.first_chunk::<6>()?, header[6..12].first_chunk::<6>()?);
            // To this machine, not to a group.
            if header[12..] != protocol || own[0] & 1 != 0 {
                return None;
            }
            self.own.set(*own);
            hop.address[..6].copy_from_slice(sender);
            hop.address_len = 6;
            packet = rest;
        }
        slot.get_mut(..packet.len())?.copy_from_slice(packet);
        Some(Arrived { len: packet.len(), hop })
    }
}

/// TCP to `port`, no fragment; of IPv6 without extension headers, which libpcap does not follow.
fn filter(ipv6: bool, port: u16) -> String {
    match ipv6 {
        true => format!("ip6 and ip6[6] == 6 and tcp dst port {port}"),
        false => format!("ip and ip[6:2] & 0x3fff == 0 and tcp dst port {port}"),
    }
}

fn io_error(error: Error) -> io::Error {
    let text = error.to_string();
    let kind = match text.contains("ermi") {
        true => io::ErrorKind::PermissionDenied,
        false => io::ErrorKind::Other,
    };
    io::Error::new(kind, text)
}
