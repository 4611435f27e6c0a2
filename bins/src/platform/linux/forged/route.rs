//! Which address and interface lead to a peer, and the addresses of this machine.

use socket2::{Domain, Protocol, Socket, Type};
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr;

/// The address from which the system would send to `peer`, on that interface if it is not 0.
///
/// # Errors
/// No route.
pub(super) fn source(peer: SocketAddr, interface: u32) -> io::Result<IpAddr> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    bind_interface(&socket, interface)?;
    // Sends nothing: only the route is looked up.
    socket.connect(&peer.into())?;
    let local = socket.local_addr()?.as_socket();
    Ok(local.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip()))
}

/// Lets a socket use only one interface, if `interface` is not 0.
pub(super) fn bind_interface(socket: &Socket, interface: u32) -> io::Result<()> {
    if interface == 0 {
        return Ok(());
    }
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that the call requires.
    if unsafe { libc::if_indextoname(interface, name.as_mut_ptr().cast()) }.is_null() {
        return Err(io::Error::last_os_error());
    }
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    socket.bind_device(Some(&name[..len]))
}

/// Index of the interface of that name.
///
/// # Errors
/// There is none; the text lists those that have an address.
pub(super) fn interface_index(name: &str) -> io::Result<u32> {
    let text = CString::new(name).unwrap_or_default();
    // SAFETY: the pointer is to a string that lives during the call.
    match unsafe { libc::if_nametoindex(text.as_ptr()) } {
        0 => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("no interface of that name; there are: {}", listed(&candidates())),
        )),
        index => Ok(index),
    }
}

/// An interface, and its addresses for a reader.
pub(super) type Candidate = (String, Vec<String>);

/// The interfaces that have an address.
pub(super) fn candidates() -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for (name, address) in interface_addresses() {
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, addresses)) => addresses.push(address.to_string()),
            None => found.push((name, vec![address.to_string()])),
        }
    }
    found
}

/// One after the other.
pub(super) fn listed(candidates: &[Candidate]) -> String {
    let text = |(name, addresses): &Candidate| format!("{name} ({})", addresses.join(" "));
    candidates.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The addresses of this machine.
pub(super) fn local_addresses() -> Vec<IpAddr> {
    interface_addresses().into_iter().map(|(_, address)| address).collect()
}

fn interface_addresses() -> Vec<(String, IpAddr)> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: on success the call stores a list, which is freed below.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: the list and what it points to live until freeifaddrs.
        let entry = unsafe { &*next };
        // SAFETY: names are terminated strings of the list.
        let name = unsafe { std::ffi::CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
        // SAFETY: an address is null or one of the list.
        found.extend(unsafe { address_of(entry.ifa_addr) }.map(|address| (name, address)));
        next = entry.ifa_next;
    }
    // SAFETY: the list came from getifaddrs, and nothing points to it any more.
    unsafe { libc::freeifaddrs(list) };
    found
}

/// # Safety
/// `address` is null, or points to a socket address of the size that its family has.
unsafe fn address_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    match i32::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a sockaddr_in.
            let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in>()) };
            Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is a sockaddr_in6.
            let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in6>()) };
            Some(IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

/// Sends whole IP packets where the system routes them: before a peer was heard, its link address is not known.
#[derive(Debug)]
pub(super) struct RawSocket {
    socket: Socket,
    peer: SocketAddr,
}

impl RawSocket {
    /// For packets to `peer`.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing.
    pub(super) fn open(peer: SocketAddr, interface: u32) -> io::Result<Self> {
        // The number implies that the header is included, for both families (raw(7)).
        let socket =
            Socket::new(Domain::for_address(peer), Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        socket.set_nonblocking(true)?;
        bind_interface(&socket, interface)?;
        // In IPv6, a port of a raw socket's address has to be 0.
        let mut peer = peer;
        peer.set_port(0);
        Ok(Self { socket, peer })
    }

    /// Sends one packet; what the system refuses is lost, as if on the way.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.send_to(packet, &self.peer.into()).map(|_| ())
    }
}
