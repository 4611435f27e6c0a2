use super::BUFFER_BYTES;
use super::device::Queue;
use crate::Side;
use crate::host::Alarm;
use crate::ids::Stream;
use crate::outcome::SideOutcome;
use crate::plan::Baseline;
use engine::mux::{ReadError, WriteError};
use engine::{Instant, Stats};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, RecvError, Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address};
use std::collections::BTreeMap;
use std::time::Duration;

const CLIENT: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
const FIRST_PORT: u16 = 1_024;

/// One side's TCP.
pub(super) struct TcpHost {
    baseline: Baseline,
    side: Side,
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: BTreeMap<Stream, Connection>,
    queue: Queue,
    pub(super) alarm: Alarm,
    sent_packets: u64,
    received_packets: u64,
}

/// The end of a connection on this side.
#[derive(Debug)]
struct Connection {
    handle: SocketHandle,
    /// The application waits for something to read.
    wants_read: bool,
    /// The application waits for room to write.
    wants_write: bool,
    /// The application has read the end.
    end_seen: bool,
    /// The application finished writing. The socket is closed once it is connected, because closing earlier aborts the dial.
    finished: bool,
    /// The application finished reading.
    closed: bool,
}

impl TcpHost {
    pub(super) fn new(side: Side, baseline: Baseline, mtu: usize, random_seed: u64) -> Self {
        let mut queue = Queue::new(mtu);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = random_seed;
        let mut interface = Interface::new(config, &mut queue, time(Instant::ZERO));
        let own = if side == Side::Client { CLIENT } else { SERVER };
        // The list is empty and has room for two.
        interface.update_ip_addrs(|list| list.extend([IpCidr::new(IpAddress::Ipv4(own), 24)]));
        Self {
            baseline,
            side,
            interface,
            sockets: SocketSet::new(Vec::new()),
            connections: BTreeMap::new(),
            queue,
            alarm: Alarm::default(),
            sent_packets: 0,
            received_packets: 0,
        }
    }

    /// Lets this end of a connection dial or be dialled; why not, if it cannot.
    pub(super) fn open(&mut self, stream: Stream) -> Result<(), String> {
        let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_congestion_control(match self.baseline {
            Baseline::Cubic => CongestionControl::Cubic,
            Baseline::Reno => CongestionControl::Reno,
        });
        // Every connection has a port of its own on both sides, so that both know whose it is.
        let port = FIRST_PORT + (stream.0 % u64::from(u16::MAX - FIRST_PORT)) as u16;
        match self.side {
            Side::Client => socket
                .connect(self.interface.context(), (SERVER, port), port)
                .map_err(|error| error.to_string())?,
            Side::Server => socket.listen(port).map_err(|error| error.to_string())?,
        }
        let handle = self.sockets.add(socket);
        let waiting = Connection {
            handle,
            wants_read: true,
            wants_write: true,
            end_seen: false,
            finished: false,
            closed: false,
        };
        self.connections.insert(stream, waiting);
        Ok(())
    }

    /// A packet arrived.
    pub(super) fn take(&mut self, packet: Vec<u8>) {
        self.received_packets += 1;
        self.queue.arrived.push_back(packet);
    }

    /// A packet to be sent.
    pub(super) fn send(&mut self) -> Option<Vec<u8>> {
        let packet = self.queue.leaving.pop_front()?;
        self.sent_packets += 1;
        Some(packet)
    }

    /// Processes what arrived and sends what can be sent.
    pub(super) fn poll(&mut self, now: Instant) {
        self.interface.poll(time(now), &mut self.queue, &mut self.sockets);
        let mut closed = false;
        for connection in self.connections.values().filter(|connection| connection.finished) {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            if socket.may_send() && !is_dialling(socket) {
                socket.close();
                closed = true;
            }
            while connection.closed && socket.can_recv() && socket.recv(|bytes| (bytes.len(), ())).is_ok() {}
        }
        if closed {
            self.interface.poll(time(now), &mut self.queue, &mut self.sockets);
        }
        self.forget();
    }

    /// Removes connections that are closed on both sides.
    fn forget(&mut self) {
        let sockets = &mut self.sockets;
        self.connections.retain(|_, connection| {
            let state = sockets.get::<Socket<'_>>(connection.handle).state();
            let over = matches!(state, State::Closed | State::TimeWait);
            let forgotten = over && (connection.end_seen || connection.closed);
            if forgotten {
                sockets.remove(connection.handle);
            }
            !forgotten
        });
    }

    /// Streams whose application can continue reading or writing; each is returned once.
    pub(super) fn ready(&mut self) -> Vec<Stream> {
        let Self { connections, sockets, .. } = self;
        let mut ready = Vec::new();
        for (&stream, connection) in connections {
            let [readable, writable] = connection.can(sockets);
            connection.wants_read &= !readable;
            connection.wants_write &= !writable;
            ready.extend((readable || writable).then_some(stream));
        }
        ready
    }

    /// Whether [`Self::ready`] would return a stream.
    pub(super) fn has_ready(&self) -> bool {
        self.connections.values().any(|connection| connection.can(&self.sockets) != [false; 2])
    }

    pub(super) fn has(&self, stream: Stream) -> bool {
        self.connections.contains_key(&stream)
    }

    pub(super) fn write(&mut self, stream: Stream, data: &[u8]) -> Result<usize, WriteError> {
        let connection = self.connections.get_mut(&stream).ok_or(WriteError::Closed)?;
        let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
        let dialling = is_dialling(socket);
        if !dialling && !socket.may_send() {
            return Err(WriteError::Closed);
        }
        match if dialling { 0 } else { socket.send_slice(data).unwrap_or(0) } {
            0 => {
                connection.wants_write = true;
                Err(WriteError::Blocked)
            }
            written => Ok(written),
        }
    }

    pub(super) fn peek(&mut self, stream: Stream) -> Result<&[u8], ReadError> {
        let connection = self.connections.get_mut(&stream).ok_or(ReadError::Closed)?;
        let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
        let dialling = is_dialling(socket);
        match socket.peek(usize::MAX) {
            Ok([]) => {
                connection.wants_read = true;
                Err(ReadError::Blocked)
            }
            Err(RecvError::InvalidState) if dialling => {
                connection.wants_read = true;
                Err(ReadError::Blocked)
            }
            Ok(bytes) => Ok(bytes),
            Err(RecvError::Finished) => {
                connection.end_seen = true;
                Ok(&[])
            }
            Err(RecvError::InvalidState) => Err(ReadError::Closed),
        }
    }

    pub(super) fn consume(&mut self, stream: Stream, n: usize) {
        if let Some(connection) = self.connections.get(&stream) {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            // Fails only where peek failed, and then there was nothing to consume.
            let _ = socket.recv(|bytes| (n.min(bytes.len()), ()));
        }
    }

    pub(super) fn finish(&mut self, stream: Stream) -> Result<(), WriteError> {
        let connection = self.connections.get_mut(&stream).ok_or(WriteError::Closed)?;
        connection.finished = true;
        Ok(())
    }

    pub(super) fn close(&mut self, stream: Stream) {
        if let Some(connection) = self.connections.get_mut(&stream) {
            connection.finished = true;
            connection.closed = true;
        }
    }

    /// Whether nothing is left to send or to have acknowledged.
    pub(super) fn is_drained(&self) -> bool {
        self.connections.values().all(|connection| {
            let socket = self.sockets.get::<Socket<'_>>(connection.handle);
            let unsent = matches!(socket.state(), State::FinWait1 | State::Closing | State::LastAck);
            socket.send_queue() == 0 && !unsent && !(connection.finished && socket.may_send())
        })
    }

    /// What is known of this side; smoltcp does not count retransmissions.
    pub(super) fn outcome(&self) -> SideOutcome {
        let stats = Stats { out_pkts: self.sent_packets, in_pkts: self.received_packets, ..Stats::default() };
        SideOutcome { stats, ..SideOutcome::default() }
    }

    /// When it wants to be polled again, later than `now`.
    pub(super) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(time(now), &self.sockets)?;
        let soonest = now + Duration::from_micros(1);
        Some(Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)).max(soonest))
    }
}

impl Connection {
    /// Whether what the application waits for is there: something to read, room to write.
    fn can(&self, sockets: &SocketSet<'static>) -> [bool; 2] {
        let socket = sockets.get::<Socket<'_>>(self.handle);
        let begun = !is_dialling(socket);
        let readable = self.wants_read && begun && (socket.can_recv() || !socket.may_recv());
        let writable = self.wants_write && begun && (socket.can_send() || !socket.may_send());
        [readable, writable]
    }
}

fn is_dialling(socket: &Socket<'_>) -> bool {
    matches!(socket.state(), State::Listen | State::SynSent | State::SynReceived)
}

fn time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}
