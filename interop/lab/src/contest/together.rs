//! Several contestants that share one network.

use super::supervisor::Supervisor;
use super::trial::{Contestant, Failure, InNamespaces, TARGET_PORT, TrialOutcome, finish, shallow};
use crate::load::{Carrier, Load};
use crate::netns::{End, Network, RIGHT};
use crate::path::{Conditions, PathState};
use sim::Scenario;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Runs all `contestants` over two namespaces joined by the scenario's links. Workload n is
/// carried by contestant n modulo their number.
///
/// # Errors
/// The network, a program, or the load failed.
pub fn together(scenario: &Scenario, contestants: &[Contestant], seed: u64) -> Result<TrialOutcome, Failure> {
    let load = Load::new(scenario, seed);
    let network = Network::start(&Conditions::of(scenario, seed), None).map_err(|error| error.to_string())?;
    // Tunnels connect over the loopback device, kernel TCP does not.
    let target = network.listen(End::Right, SocketAddr::from((Ipv4Addr::UNSPECIFIED, TARGET_PORT)), None);
    let target = target.map_err(|error| format!("target: {error}"))?;
    let numbered = (0..).zip(contestants);
    let tunnels: Vec<Option<InNamespaces<'_>>> =
        numbered.map(|(number, contestant)| in_namespaces(&network, scenario, number, contestant)).collect();
    let mut members = Vec::new();
    for (contestant, tunnel) in contestants.iter().zip(&tunnels) {
        members.push(match (contestant, tunnel) {
            (Contestant::Tcp(control), _) => Member::Tcp(control),
            (_, Some(tunnel)) => Member::Tunnel(Box::new(Supervisor::start(tunnel, scenario)?)),
            (_, None) => return Err("a tunnel without programs".to_owned()),
        });
    }
    network.begin();
    let mut all = SharedNetwork { network: &network, members };
    let done = load.follow(&mut all, &target).map_err(|why| format!("{why}{}", all.output()))?;
    finish(done, || network.report())
}

fn in_namespaces<'a>(
    network: &'a Network,
    scenario: &Scenario,
    number: u16,
    contestant: &'a Contestant,
) -> Option<InNamespaces<'a>> {
    match contestant {
        Contestant::Tcp(_) => None,
        Contestant::Tunnel(peer) => Some(InNamespaces::new(network, scenario, number, peer)),
    }
}

/// The members and their network.
struct SharedNetwork<'a> {
    network: &'a Network,
    members: Vec<Member<'a>>,
}

enum Member<'a> {
    /// Kernel TCP with this congestion control.
    Tcp(&'a str),
    Tunnel(Box<Supervisor<'a>>),
}

impl SharedNetwork<'_> {
    fn member(&self, work: usize) -> &Member<'_> {
        &self.members[work % self.members.len()]
    }

    /// The last output of all programs.
    fn output(&self) -> String {
        let said = self.members.iter().filter_map(|member| match member {
            Member::Tcp(_) => None,
            Member::Tunnel(pair) => Some(format!("\n{}", pair.output())),
        });
        said.collect()
    }
}

impl Carrier for SharedNetwork<'_> {
    fn connect(&self) -> io::Result<TcpStream> {
        self.connect_for(0)
    }

    fn connect_for(&self, work: usize) -> io::Result<TcpStream> {
        match self.member(work) {
            Member::Tcp(control) => {
                let to = SocketAddr::from((RIGHT, TARGET_PORT));
                self.network.begin_connect(End::Left, to, Some(control))
            }
            Member::Tunnel(pair) => pair.connect(),
        }
    }

    fn arrived(&self, work: usize, socket: &TcpStream) -> io::Result<()> {
        match self.member(work) {
            Member::Tcp(control) => socket2::SockRef::from(socket).set_tcp_congestion(control.as_bytes()),
            Member::Tunnel(_) => shallow(socket).map(|_| ()),
        }
    }

    fn path_state(&self) -> PathState {
        self.network.path_state()
    }

    fn supervise(&mut self, now: Duration) -> Result<[bool; 2], String> {
        let mut running = [true; 2];
        for member in &mut self.members {
            if let Member::Tunnel(pair) = member {
                let ends = pair.supervise(now)?;
                running = [running[0] && ends[0], running[1] && ends[1]];
            }
        }
        Ok(running)
    }
}
