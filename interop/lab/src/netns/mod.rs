//! Two network namespaces joined by an emulated path: all IP traffic between them passes the links of a scenario.
//!
//! Left is the client's side, right the server's. The namespaces have no names and do not outlive the process: the kernel
//! removes them with their devices, and kills the programs started in them, when it ends for any reason.

mod address;
mod commands;
mod namespace;
mod sys;
mod tun;

pub use commands::{Command, run_commands};

use crate::path::{Capture, Carries, Conditions, Emulator, PathState, Pump, Report};
use crate::ports::{self, Protocol};
use crate::process::Process;
use engine::Instant;
use namespace::Namespace;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;
use tun::Devices;

/// Address of the left end.
pub const LEFT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Address of the right end.
pub const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Network of the translator's public addresses.
const PUBLIC: &str = "10.0.0.0/16";

const DEVICE: &str = "karst0";

/// Queue of a device; more than a burst of any sender.
const DEVICE_QUEUE_PACKETS: u32 = 5_000;

const MTU_BYTES: u32 = 1_500;

const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Errors of setting up a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// Not root.
    #[error("network namespaces need root")]
    NotRoot,
    /// A TUN device cannot be opened.
    #[error("/dev/net/tun: {0}")]
    NoTun(io::Error),
    /// A namespace cannot be created although the process is root.
    #[error("creating a network namespace: {0}")]
    NoNamespace(io::Error),
    /// The device cannot be configured.
    #[error("setting up {DEVICE}: {0}")]
    NoDevice(io::Error),
}

/// One end of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The end of the client.
    Left,
    /// The end of the server.
    Right,
}

/// Moves the calling thread, and the threads and programs that it starts afterwards, to a network namespace that has a
/// loopback device only. The kernel removes it with them, and with it the firewall rules that a program leaves.
///
/// # Errors
/// Missing permission, or a kernel without namespaces.
pub fn enter_loopback() -> Result<(), NetworkError> {
    if !sys::is_root() {
        return Err(NetworkError::NotRoot);
    }
    sys::leave_network().map_err(NetworkError::NoNamespace)?;
    ip("link set lo up").map_err(NetworkError::NoDevice)
}

/// A running network. Dropping it removes the namespaces and kills their programs.
#[derive(Debug)]
pub struct Network {
    pump: Pump,
    left: Namespace,
    right: Namespace,
}

impl Network {
    /// Creates the namespaces; the first link leads from left to right, the second one back.
    ///
    /// # Errors
    /// Missing permission, or a kernel without TUN or namespaces.
    pub fn start(conditions: &Conditions, capture: Option<Capture>) -> Result<Self, NetworkError> {
        if !sys::is_root() {
            return Err(NetworkError::NotRoot);
        }
        let left = Namespace::new().map_err(NetworkError::NoNamespace)?;
        let right = Namespace::new().map_err(NetworkError::NoNamespace)?;
        // A later, smaller MTU is not announced, as on a real path.
        let mtu = |at: usize| {
            conditions.links[at].mtu_bytes.as_ref().map_or(MTU_BYTES, |mtu| mtu.at(Instant::ZERO))
        };
        let files = [device(&left, LEFT, RIGHT, mtu(0))?, device(&right, RIGHT, LEFT, mtu(1))?];
        let tables = [&left, &right].map(|end| end.tables().to_owned());
        let nat = conditions.translates().then_some(conditions.nat);
        if nat.is_some() {
            let route = format!("route add {PUBLIC} dev {DEVICE}");
            right.run(move || ip(&route)).map_err(NetworkError::NoDevice)?;
        }
        let (devices, waiter) = Devices::new(files, tables, nat);
        let line = Emulator::new(conditions, Carries::IpPackets, capture);
        Ok(Self { pump: Pump::start(line, devices, waiter), left, right })
    }

    /// Starts the scenario's clock, which otherwise starts with the first packet.
    pub fn begin(&self) {
        self.pump.begin();
    }

    /// Bytes sent and waiting.
    pub fn path_state(&self) -> PathState {
        self.pump.state()
    }

    /// Counters and distributions so far.
    pub fn report(&self) -> Report {
        self.pump.report()
    }

    /// Listens at that end; with a congestion control, its connections use it.
    ///
    /// # Errors
    /// An error of the system: address in use, unknown congestion control.
    pub fn listen(&self, end: End, address: SocketAddr, control: Option<&str>) -> io::Result<TcpListener> {
        let socket = self.socket(end, control)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(128)?;
        Ok(socket.into())
    }

    /// Connects from that end.
    ///
    /// # Errors
    /// An error of the system.
    pub fn connect(&self, end: End, to: SocketAddr, control: Option<&str>) -> io::Result<TcpStream> {
        let socket = self.socket(end, control)?;
        socket.connect_timeout(&to.into(), CONNECT_LIMIT)?;
        Ok(socket.into())
    }

    /// As [`Network::connect`], without waiting for the handshake; the socket does not block.
    ///
    /// # Errors
    /// An error of the system.
    pub fn begin_connect(&self, end: End, to: SocketAddr, control: Option<&str>) -> io::Result<TcpStream> {
        let socket = self.socket(end, control)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(socket.into()),
        }
    }

    /// A TCP socket in the namespace of `end`, with that congestion control.
    ///
    /// # Errors
    /// An error of the system: unknown congestion control.
    pub fn socket(&self, end: End, control: Option<&str>) -> io::Result<socket2::Socket> {
        let control = control.map(|name| name.as_bytes().to_vec());
        self.end(end).run(move || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            control.map_or(Ok(()), |name| socket.set_tcp_congestion(&name))?;
            Ok(socket)
        })
    }

    /// Starts a program at that end, its output kept for errors.
    pub fn start_program(&self, end: End, path: &Path, flags: Vec<String>) -> io::Result<Process> {
        let path = path.to_owned();
        self.end(end).run(move || Process::start(&path, &flags, None))
    }

    /// Whether a program listens on that port at that end.
    pub fn is_bound(&self, end: End, protocol: Protocol, port: u16) -> bool {
        ports::is_bound(self.end(end).tables(), protocol, port)
    }

    const fn end(&self, end: End) -> &Namespace {
        match end {
            End::Left => &self.left,
            End::Right => &self.right,
        }
    }
}

/// Creates a TUN device in `namespace`, addressed and up. IPv6 is off, because its background traffic would be counted.
fn device(
    namespace: &Namespace,
    own: Ipv4Addr,
    peer: Ipv4Addr,
    mtu: u32,
) -> Result<std::fs::File, NetworkError> {
    let file = namespace.run(|| sys::open_tun(DEVICE)).map_err(NetworkError::NoTun)?;
    let commands = [
        "link set lo up".to_owned(),
        format!("addr add {own} peer {peer} dev {DEVICE}"),
        format!("link set {DEVICE} mtu {mtu} txqueuelen {DEVICE_QUEUE_PACKETS} up"),
    ];
    let set_up = namespace.run(move || {
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        commands.iter().try_for_each(|command| ip(command))
    });
    set_up.map(|()| file).map_err(NetworkError::NoDevice)
}

fn ip(arguments: &str) -> io::Result<()> {
    let output = std::process::Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("ip (Debian: iproute2): {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
