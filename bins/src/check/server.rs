//! The server's check: its ports, its target and its machine (CLI-91).

use super::report::{Fault, Report};
use super::session::Session;
use super::socket::Via;
use super::{Job, system};
use crate::config::ConfigError;
use crate::net::address::{Address, PortRange, bind_candidates};
use crate::net::network::System;
use crate::net::wire::Wire;
use engine::{Entropy, SettingsError, TunnelConfig};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long a server that runs here may take to answer, and the target to accept.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Checks what a server needs, and reports.
///
/// # Errors
/// An option cannot work.
pub(super) fn check(mut job: Job<'_>, report: &mut Report) -> Result<(), ConfigError> {
    let blame = |flag, reason: String| job.given.blame(&SettingsError { flag, reason });
    let program = &job.config.program;
    let range = PortRange::parse(&program.listen).map_err(|error| blame("listen", error.to_string()))?;
    let target =
        Address::parse_destination(&program.target).map_err(|error| blame("target", error.to_string()))?;
    let config = job.config.settings.tunnel_config().map_err(|error| job.given.blame(&error))?;
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
        report.fault(
            Fault::Limit,
            "the system has no descriptors left",
            "raise the limit, LimitNOFILE= under systemd",
        );
        return Ok(());
    };
    check_ports(&mut job, &runtime, &range, &Arc::new(config), report);
    check_target(&runtime, &job.config.network(), &target, report);
    system::check(job.config, report);
    Ok(())
}

fn check_ports(
    job: &mut Job<'_>,
    runtime: &Runtime,
    range: &PortRange,
    config: &Arc<TunnelConfig>,
    report: &mut Report,
) {
    let first = Address::Tcp(range.host.clone(), range.min);
    let mut free = 0;
    for port in range.min..=range.max {
        let address = Address::Tcp(range.host.clone(), port);
        match runtime
            .block_on(bind_candidates(&range.host, port))
            .and_then(|found| bind(&found).map(|()| found))
        {
            Ok(found) => match job.via {
                Via::Forged(..) if !report_tcp(&found, &address, report) => return,
                _ => free += 1,
            },
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                let entropy = job.entropy.fork();
                if !report_user(local(range, port), &address, config, entropy, report) {
                    return;
                }
            }
            Err(error) => {
                let next = match error.kind() {
                    ErrorKind::PermissionDenied => "ports below 1024 need root or CAP_NET_BIND_SERVICE",
                    ErrorKind::AddrNotAvailable => {
                        "the address is none of this machine's: leave it out to use all, as in :29900"
                    }
                    _ => "correct --listen",
                };
                report.fault(Fault::Listen, &format!("cannot listen on {address}/udp: {error}"), next);
                return;
            }
        }
    }
    match free {
        0 => {}
        1 if range.count() == 1 => report.ok("listen", &format!("{first}/udp is free")),
        _ => report.ok("listen", &format!("{free} of {} UDP ports from {first} are free", range.count())),
    }
}

/// Whether forged TCP can hold the TCP port; reports the program that has it.
fn report_tcp(candidates: &[SocketAddr], address: &Address, report: &mut Report) -> bool {
    let taken = |candidate: &SocketAddr| {
        TcpListener::bind(candidate).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    let Some(candidate) = candidates.iter().find(|candidate| taken(candidate)) else { return true };
    report.fault(
        Fault::Listen,
        &format!("{address}/tcp is in use by another program, and --tcp needs the port"),
        &format!("find it with `ss -tlpn sport = :{}`, or choose another port", candidate.port()),
    );
    false
}

/// Reports which program has a port; whether it is a server with the same key and cipher.
fn report_user(
    here: SocketAddr,
    address: &Address,
    config: &Arc<TunnelConfig>,
    entropy: Entropy,
    report: &mut Report,
) -> bool {
    let heard = |mut session: Session| session.run(ANSWER_LIMIT, |session| session.tunnel.was_heard());
    let served = Session::dial(config, &Via::Udp, here, entropy).and_then(heard).unwrap_or(false);
    if served {
        report.ok("listen", &format!("a server with this --key and --crypt already runs on {address}/udp"));
    } else {
        report.fault(
            Fault::Listen,
            &format!(
                "{address}/udp is in use by another program, or by a server with another --key or --crypt"
            ),
            &format!("find it with `ss -ulpn sport = :{}`, or choose another port", here.port()),
        );
    }
    served
}

/// Binds the first candidate that the system has, and lets it go.
fn bind(candidates: &[SocketAddr]) -> io::Result<()> {
    let mut first = Ok(());
    for candidate in candidates {
        match UdpSocket::bind(candidate) {
            Ok(_) => return Ok(()),
            Err(error) if first.is_ok() => first = Err(error),
            Err(_) => {}
        }
    }
    first
}

/// Where a server on `port` is reached from here.
fn local(range: &PortRange, port: u16) -> SocketAddr {
    let ip: IpAddr = match range.host.parse() {
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Ok(ip) => ip,
        Err(_) => Ipv4Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, port)
}

fn check_target(runtime: &Runtime, network: &System, target: &Address, report: &mut Report) {
    let name = match target {
        Address::Unix(path) => format!("unix:{path}"),
        Address::Tcp(..) => target.to_string(),
    };
    match runtime.block_on(Wire::connect(network, target, CONNECT_LIMIT)) {
        Ok(wire) => {
            wire.shutdown_write();
            report.ok("target", &format!("{name} accepts connections"));
        }
        Err(error) => {
            let next = match error.kind() {
                ErrorKind::ConnectionRefused => {
                    "start the service, or correct --target: nothing listens there"
                }
                ErrorKind::NotFound => "start the service that creates the socket, or correct --target",
                ErrorKind::PermissionDenied => "permit the server's user to write to the socket",
                ErrorKind::TimedOut => {
                    "the host is down, or a firewall drops: correct --target, or let the server through"
                }
                _ => "correct --target, or the DNS",
            };
            report.fault(Fault::Target, &format!("{name} does not accept connections: {error}"), next);
        }
    }
}
