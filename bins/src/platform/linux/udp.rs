//! Datagrams in batches: recvmmsg with UDP_GRO, sendmsg with UDP_SEGMENT (CLI-26).
//!
//! Only fewer, larger packets make the kernel cheaper, so runs of equal datagrams go out in one call. Path MTU discovery
//! is left at the system's default, as Go leaves it.

use super::segmentation::Refusals;
use super::watched::Watched;
use crate::datagrams::{Datagrams, RecvBatch, SLOT_BYTES, SLOTS, SocketOptions};
use crate::platform::system;
use socket2::{SockAddr, SockRef, Socket};
use std::cell::{Cell, RefCell};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::task::{Context, Poll};
use std::time::Instant;

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Watched,
    local: SocketAddr,
    refusals: RefCell<Refusals>,
    send_errors: Cell<u64>,
    /// Errors are reported.
    reports: bool,
    refused: Cell<bool>,
}

impl UdpSocket {
    /// Binds `address`; an IPv6 wildcard takes both families.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(address: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        let socket = options.open(address)?;
        enable_gro(socket.as_raw_fd());
        if options.reports {
            enable_reports(&socket, address.is_ipv6());
        }
        socket.bind(&address.into())?;
        let socket = std::net::UdpSocket::from(socket);
        let local = socket.local_addr()?;
        Ok(Self {
            socket: Watched::new(socket)?,
            local,
            refusals: RefCell::default(),
            send_errors: Cell::new(0),
            reports: options.reports,
            refused: Cell::new(false),
        })
    }

    /// Sets the differentiated services code point, which is the upper six bits of IPv4's type of service and of IPv6's traffic class
    /// alike (CLI-34).
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_dscp(&self, dscp: u8) -> io::Result<()> {
        system::host::set_type_of_service(&SockRef::from(&self.socket), self.local.is_ipv6(), dscp << 2)
    }

    /// Whether runs of datagrams to this address go out in one call.
    pub fn uses_segmentation(&self, to: SocketAddr) -> bool {
        !self.refusals.borrow_mut().apply_to(to, Instant::now)
    }

    /// One call; `Ok` also for errors that lose the datagram, which are counted.
    fn send(&self, to: &SockAddr, bytes: &[u8], segment: Option<NonZeroU16>) -> io::Result<()> {
        let fd = self.socket.as_raw_fd();
        let mut tried = false;
        loop {
            match send_message(fd, to, bytes, segment) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // It may be about an earlier datagram, and this one was not sent then.
                Err(error) if self.reports && !std::mem::replace(&mut tried, true) => {
                    self.note_report(&error)
                }
                Err(error) if segment.is_some() && refuses_segmentation(&error) => return Err(error),
                Err(_) => {
                    self.send_errors.set(self.send_errors.get() + 1);
                    return Ok(());
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Notes an error that may be about a datagram sent before, and empties the queue of such errors, which takes room from
    /// what is received.
    fn note_report(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            self.refused.set(true);
        }
        drain_reports(self.socket.as_raw_fd());
    }

    fn send_run(&self, to: SocketAddr, bytes: &[u8], segment: NonZeroU16) -> io::Result<usize> {
        let name = self.name_of(to);
        if self.uses_segmentation(to) {
            match self.send(&name, bytes, Some(segment)) {
                Ok(()) => return Ok(bytes.len()),
                Err(error) if refuses_segmentation(&error) => {
                    self.refusals.borrow_mut().add(to, Instant::now());
                }
                Err(error) => return Err(error),
            }
        }
        let mut sent = 0;
        for datagram in bytes.chunks(usize::from(segment.get())) {
            match self.send(&name, datagram, None) {
                Ok(()) => sent += datagram.len(),
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// An IPv6 socket speaks to IPv4 peers under their mapped addresses.
    fn name_of(&self, to: SocketAddr) -> SockAddr {
        match (self.local, to) {
            (SocketAddr::V6(_), SocketAddr::V4(to)) => {
                SocketAddr::new(IpAddr::V6(to.ip().to_ipv6_mapped()), to.port()).into()
            }
            _ => to.into(),
        }
    }
}

impl Datagrams for UdpSocket {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(cx)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(cx)
    }

    fn try_recv(&self, batch: &mut RecvBatch) -> io::Result<()> {
        batch.clear();
        let received = self.socket.receive(|fd| receive_messages(fd, batch).map(|()| batch.is_full()));
        if let (true, Err(error)) = (self.reports, &received)
            && error.kind() != io::ErrorKind::WouldBlock
        {
            self.note_report(error);
        }
        received
    }

    fn try_send(&self, to: SocketAddr, bytes: &[u8], segment: Option<NonZeroU16>) -> io::Result<usize> {
        let taken = match segment {
            Some(segment) if bytes.len() > usize::from(segment.get()) => self.send_run(to, bytes, segment)?,
            _ => self.send(&self.name_of(to), bytes, None).map(|()| bytes.len())?,
        };
        self.socket.note_sent();
        Ok(taken)
    }

    fn take_refused(&self) -> bool {
        self.refused.take()
    }

    fn send_errors(&self) -> u64 {
        self.send_errors.get()
    }
}

/// Drivers without scatter-gather, old kernels and paths with a smaller MTU refuse segmented sends.
fn refuses_segmentation(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE))
}

fn enable_gro(fd: RawFd) {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and the length describe a live c_int. A kernel without UDP_GRO refuses, which changes nothing.
    unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_UDP,
            libc::UDP_GRO,
            ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

/// Makes the system keep ICMP errors for the socket, which is not connected so that it survives a change of this host's address.
fn enable_reports(socket: &Socket, is_ipv6: bool) {
    let on: libc::c_int = 1;
    let mut options = vec![(libc::SOL_IP, libc::IP_RECVERR)];
    options.extend(is_ipv6.then_some((libc::SOL_IPV6, libc::IPV6_RECVERR)));
    for (level, name) in options {
        // SAFETY: the pointer and the length describe a live c_int. A refusal only means that nothing is reported.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                name,
                ptr::from_ref(&on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
}

/// Drops the errors that wait.
fn drain_reports(fd: RawFd) {
    // SAFETY: msghdr is plain data for which all zeros is a valid value: room for nothing.
    let mut message: libc::msghdr = unsafe { zeroed() };
    // SAFETY: the message has no buffers, so that the kernel truncates what it would write.
    while unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) } >= 0 {}
}

/// Room for one control message, aligned as its header must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

fn send_message(fd: RawFd, to: &SockAddr, bytes: &[u8], segment: Option<NonZeroU16>) -> io::Result<()> {
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: msghdr is plain data for which all zeros is a valid value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = to.as_ptr().cast_mut().cast();
    message.msg_namelen = to.len();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if let Some(segment) = segment {
        put_segment(&mut message, &mut control, segment.get());
    }
    // SAFETY: every pointer in `message` is to a local or an argument that outlives the call; sendmsg only reads them.
    match unsafe { libc::sendmsg(fd, &raw const message, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn put_segment(message: &mut libc::msghdr, control: &mut Control, segment: u16) {
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute. The control buffer is aligned and larger than CMSG_SPACE(2), so the
    // first header and its two bytes of data lie inside it.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(size_of::<u16>() as u32) as _;
        let header = libc::CMSG_FIRSTHDR(message);
        (*header).cmsg_level = libc::SOL_UDP;
        (*header).cmsg_type = libc::UDP_SEGMENT;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
        ptr::write_unaligned(libc::CMSG_DATA(header).cast(), segment);
    }
}

fn receive_messages(fd: RawFd, batch: &mut RecvBatch) -> io::Result<()> {
    // SAFETY: all three are plain data for which all zeros is a valid value.
    let mut names: [libc::sockaddr_storage; SLOTS] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut parts: [libc::iovec; SLOTS] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; SLOTS] = unsafe { zeroed() };
    let mut controls = [Control([0; 64]); SLOTS];
    for (index, slot) in batch.bytes_mut().chunks_exact_mut(SLOT_BYTES).enumerate() {
        parts[index] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        let header = &mut messages[index].msg_hdr;
        header.msg_name = (&raw mut names[index]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        header.msg_iov = &raw mut parts[index];
        header.msg_iovlen = 1;
        header.msg_control = controls[index].0.as_mut_ptr().cast();
        header.msg_controllen = size_of::<Control>() as _;
    }
    // SAFETY: the headers point to slots, names and control buffers of the given lengths, all alive during the call.
    let count = unsafe {
        libc::recvmmsg(fd, messages.as_mut_ptr(), SLOTS as u32, libc::MSG_DONTWAIT as _, ptr::null_mut())
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (index, (message, name)) in messages.iter().zip(&names).take(count).enumerate() {
        let len = (message.msg_len as usize).min(SLOT_BYTES);
        let segment = segment_of(&message.msg_hdr).unwrap_or(len);
        // Port 0, and a source that is no internet address, cannot be answered; an empty slot keeps the count of slots.
        let (from, len) = match address_of(name) {
            Some(from) if from.port() != 0 => (from, len),
            _ => (SocketAddr::from(([0; 4], 0)), 0),
        };
        batch.push_run(from, index * SLOT_BYTES, len, segment);
    }
    batch.set_full(count == SLOTS);
    Ok(())
}

/// Size of the datagrams the kernel joined, if it did.
fn segment_of(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel filled msg_control and msg_controllen; the CMSG functions stay inside that range.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while !control.is_null() {
            if (*control).cmsg_level == libc::SOL_UDP && (*control).cmsg_type == libc::UDP_GRO {
                let size: libc::c_int = ptr::read_unaligned(libc::CMSG_DATA(control).cast());
                return usize::try_from(size).ok();
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    None
}

/// The source of a datagram; mapped IPv4 addresses as IPv4, so that a peer has one address only.
fn address_of(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the kernel wrote a sockaddr_in; the storage is larger and aligned for it.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(name.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the kernel wrote a sockaddr_in6; the storage is larger and aligned for it.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            Some(match ip.to_ipv4_mapped() {
                Some(ip) => SocketAddr::new(IpAddr::V4(ip), port),
                None => std::net::SocketAddrV6::new(ip, port, 0, name.sin6_scope_id).into(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-34
    #[tokio::test]
    async fn the_code_point_is_in_the_upper_six_bits_for_both_families() {
        let socket = UdpSocket::bind(([127, 0, 0, 1], 0).into(), SocketOptions::default()).unwrap();
        socket.set_dscp(46).unwrap();
        assert_eq!(SockRef::from(&socket.socket).tos_v4().unwrap(), 184);
        // A machine without IPv6 has nothing to show.
        if let Ok(socket) = UdpSocket::bind(([0u16; 8], 0).into(), SocketOptions::default()) {
            socket.set_dscp(46).unwrap();
            let socket = SockRef::from(&socket.socket);
            assert_eq!((socket.tclass_v6().unwrap(), socket.tos_v4().unwrap()), (184, 184));
        }
    }

    // CLI-26
    #[tokio::test]
    async fn room_to_send_is_watched_only_while_somebody_waits_for_it() {
        let bind = || UdpSocket::bind(([127, 0, 0, 1], 0).into(), SocketOptions::default()).unwrap();
        let (from, to) = (bind(), bind());
        std::future::poll_fn(|cx| from.poll_send_ready(cx)).await.unwrap();
        assert!(!from.socket.watches_room());
        let _ = from.poll_send_ready(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(from.socket.watches_room());
        assert_eq!(from.try_send(to.local_addr(), b"0123456789", NonZeroU16::new(4)).unwrap(), 10);
        assert!(!from.socket.watches_room());
    }

    /// The rest of a burst is received although the socket was told about once.
    // CLI-26
    #[tokio::test]
    async fn a_burst_larger_than_a_batch_is_received_whole() {
        let bind = || UdpSocket::bind(([127, 0, 0, 1], 0).into(), SocketOptions::default()).unwrap();
        let (from, to) = (bind(), bind());
        let mut batch = RecvBatch::default();
        for burst in [1, SLOTS, SLOTS + 1, 3 * SLOTS] {
            for number in 0..burst {
                // Of different sizes, so that the kernel does not join them.
                from.try_send(to.local_addr(), &vec![7; 10 + number % 2], None).unwrap();
            }
            let mut received = 0;
            while received < burst {
                std::future::poll_fn(|cx| to.poll_recv_ready(cx)).await.unwrap();
                if to.try_recv(&mut batch).is_ok() {
                    batch.for_each(|_, _| received += 1);
                }
            }
            assert_eq!(
                (received, to.try_recv(&mut batch).unwrap_err().kind()),
                (burst, io::ErrorKind::WouldBlock)
            );
        }
    }
}
