//! AF_PACKET: frames before the firewall's input and after its output, link headers left to the kernel.
//!
//! The socket is bound to a network protocol, so it sees packets once, at the interface that receives them, and none that this
//! machine sends. A filter in the kernel passes only unfragmented TCP to one port. Needs CAP_NET_RAW.

use super::{Arrived, BATCH, Hop, Link, PACKET_BYTES_MAX};
use crate::platform::linux::watched::Watched;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::task::{Context, Poll};

/// Captures and injects packets of one network protocol.
#[derive(Debug)]
pub(super) struct PacketSocket {
    socket: Watched,
    /// ETH_P_IP or ETH_P_IPV6.
    protocol: u16,
}

impl PacketSocket {
    /// Captures the segments to that TCP port, on that interface if it is not 0. `buffer_bytes` as far as the system allows.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW.
    pub(super) fn open(ipv6: bool, port: u16, interface: u32, buffer_bytes: i64) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // Protocol 0 receives nothing until the filter is there and the socket bound.
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call returned a new descriptor, which nothing else owns.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let protocol = if ipv6 { libc::ETH_P_IPV6 } else { libc::ETH_P_IP } as u16;
        attach(fd, &filter(ipv6, port))?;
        if let Ok(bytes @ 1..) = usize::try_from(buffer_bytes.min(i64::from(i32::MAX))) {
            let socket = socket2::SockRef::from(&socket);
            // The system's own limit applies quietly; a refusal leaves its default.
            let _ = socket.set_recv_buffer_size(bytes);
            let _ = socket.set_send_buffer_size(bytes);
        }
        let name = link_address(protocol, &Hop { interface: interface.cast_signed(), ..Hop::default() });
        let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the pointer and the length describe a live sockaddr_ll.
        if unsafe { libc::bind(fd, ptr::from_ref(&name).cast(), len) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { socket: Watched::new(socket)?, protocol })
    }
}

impl Link for PacketSocket {
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(cx)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(cx)
    }

    fn receive(&self, bytes: &mut [u8], arrived: &mut Vec<Arrived>) -> io::Result<()> {
        arrived.clear();
        self.socket.receive(|fd| receive_messages(fd, bytes, arrived).map(|()| arrived.len() == BATCH))
    }

    fn send(&self, hop: &Hop, packets: &[(&[u8], &[u8])]) -> io::Result<usize> {
        let name = link_address(self.protocol, hop);
        let sent = send_messages(self.socket.as_raw_fd(), &name, packets)?;
        self.socket.note_sent();
        Ok(sent)
    }
}

fn link_address(protocol: u16, hop: &Hop) -> libc::sockaddr_ll {
    // SAFETY: sockaddr_ll is plain data for which all zeros is a valid value.
    let mut name: libc::sockaddr_ll = unsafe { zeroed() };
    name.sll_family = libc::AF_PACKET as u16;
    name.sll_protocol = protocol.to_be();
    name.sll_ifindex = hop.interface;
    name.sll_halen = hop.address_len;
    name.sll_addr = hop.address;
    name
}

/// Classic BPF: TCP to `port`, no fragment, no IPv6 extension header. Offsets count from the network header.
fn filter(ipv6: bool, port: u16) -> Vec<libc::sock_filter> {
    use libc::{
        BPF_ABS, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_MSH, BPF_RET,
    };
    let op = |code: u32, k: u32, (jt, jf): (u8, u8)| libc::sock_filter { code: code as u16, jt, jf, k };
    let tcp = libc::IPPROTO_TCP.cast_unsigned();
    let (load_byte, load_half) = (BPF_LD | BPF_B | BPF_ABS, BPF_LD | BPF_H | BPF_ABS);
    let (equal, any, done) = (BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JSET | BPF_K, BPF_RET | BPF_K);
    let pass = [op(done, PACKET_BYTES_MAX as u32, (0, 0)), op(done, 0, (0, 0))];
    let head = match ipv6 {
        true => vec![
            op(load_byte, 6, (0, 0)),
            op(equal, tcp, (0, 3)),
            op(load_half, 42, (0, 0)),
            op(equal, u32::from(port), (0, 1)),
        ],
        false => vec![
            op(load_byte, 9, (0, 0)),
            op(equal, tcp, (0, 6)),
            op(load_half, 6, (0, 0)),
            op(any, 0x3fff, (4, 0)),
            op(BPF_LDX | BPF_B | BPF_MSH, 0, (0, 0)),
            op(BPF_LD | BPF_H | BPF_IND, 2, (0, 0)),
            op(equal, u32::from(port), (0, 1)),
        ],
    };
    head.into_iter().chain(pass).collect()
}

fn attach(fd: RawFd, filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program points to `filter`, which lives during the call; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            ptr::from_ref(&program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn receive_messages(fd: RawFd, bytes: &mut [u8], arrived: &mut Vec<Arrived>) -> io::Result<()> {
    // SAFETY: all three are plain data for which all zeros is a valid value.
    let mut names: [libc::sockaddr_ll; BATCH] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut parts: [libc::iovec; BATCH] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    for (index, slot) in bytes.chunks_exact_mut(PACKET_BYTES_MAX).take(BATCH).enumerate() {
        parts[index] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        let header = &mut messages[index].msg_hdr;
        header.msg_name = (&raw mut names[index]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        header.msg_iov = &raw mut parts[index];
        header.msg_iovlen = 1;
    }
    // SAFETY: the headers point to slots and names of the given lengths, all alive during the call.
    let count = unsafe {
        libc::recvmmsg(fd, messages.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT as _, ptr::null_mut())
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (message, name) in messages.iter().zip(&names).take(count) {
        let whole = message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0 && name.sll_pkttype == libc::PACKET_HOST;
        let len = if whole { (message.msg_len as usize).min(PACKET_BYTES_MAX) } else { 0 };
        let hop =
            Hop { interface: name.sll_ifindex, address: name.sll_addr, address_len: name.sll_halen.min(8) };
        arrived.push(Arrived { len, hop });
    }
    Ok(())
}

fn send_messages(fd: RawFd, name: &libc::sockaddr_ll, packets: &[(&[u8], &[u8])]) -> io::Result<usize> {
    // SAFETY: both are plain data for which all zeros is a valid value.
    let mut parts: [[libc::iovec; 2]; BATCH] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    let packets = &packets[..packets.len().min(BATCH)];
    for (index, (header, payload)) in packets.iter().enumerate() {
        parts[index] = [header, payload]
            .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
        let message = &mut messages[index].msg_hdr;
        message.msg_name = ptr::from_ref(name).cast_mut().cast();
        message.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        message.msg_iov = parts[index].as_mut_ptr();
        message.msg_iovlen = 2;
    }
    // SAFETY: the headers point to the name, headers and payloads, all alive during the call, which only reads them.
    let sent =
        unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), packets.len() as u32, libc::MSG_DONTWAIT as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
