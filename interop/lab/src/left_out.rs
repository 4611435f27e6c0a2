//! The parts of a scenario that are not applied in real time, by their JSON paths.

use engine::Generation;
use sim::Scenario;
use sim::plan::{ClockPlan, FaultKind, HostPlan};
use std::fmt;

/// What of a scenario is applied in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The network; the user supplies the traffic.
    Network,
    /// The network, the workloads, and tunnel programs.
    Programs,
    /// The network, the workloads, and kernel TCP.
    KernelTcp,
}

/// A part of a scenario that is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// JSON path such as `hosts.client.timer_slack_ms`.
    pub path: String,
    /// Why real time cannot apply it.
    pub reason: &'static str,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: not applied in real time: {}", self.path, self.reason)
    }
}

const OWN_PROGRAMS: &str = "the scenario does not start the programs at the ends";
const OWN_CLOCK: &str = "programs use the clock of the machine";

/// All parts of `scenario` that are not applied within `scope`.
pub fn left_out(scenario: &Scenario, scope: Scope) -> Vec<LeftOut> {
    let mut found = List(Vec::new());
    for (index, fault) in scenario.faults.iter().enumerate() {
        if let Some(reason) = of_fault(fault.kind, scope) {
            found.add(format!("faults[{index}].{}", fault.kind.name()), reason);
        }
    }
    for (at, host) in [("hosts.client", &scenario.hosts.client), ("hosts.server", &scenario.hosts.server)] {
        found.add_host(at, host, scope);
    }
    let (sections, reason): (&[&str], _) = match scope {
        Scope::Network => (&["client", "server", "workloads"], OWN_PROGRAMS),
        Scope::KernelTcp => (&["client", "server"], "kernel TCP has no such options"),
        Scope::Programs => (&[], ""),
    };
    sections.iter().for_each(|section| found.add((*section).to_owned(), reason));
    for (at, side) in [("client", &scenario.client), ("server", &scenario.server)] {
        if scope == Scope::Programs && side.config.generation != Generation::default() {
            found.add(format!("{at}.generation"), "the build of a program determines its generation");
        }
    }
    if scope == Scope::Programs && scenario.baseline.is_some() {
        found.add("baseline".to_owned(), "the baseline is simulated; netns measures kernel TCP instead");
    }
    if !scenario.expect.is_empty() {
        found.add("expect".to_owned(), "figures are reported without a verdict");
    }
    found.0
}

fn of_fault(kind: FaultKind, scope: Scope) -> Option<&'static str> {
    match (kind, scope) {
        (FaultKind::ClockStep { .. }, _) => Some(OWN_CLOCK),
        (FaultKind::StreamReset { .. }, _) => Some("a program resets its streams only when it stops"),
        (FaultKind::ServerRestart | FaultKind::ClientRestart { .. }, Scope::Network) => Some(OWN_PROGRAMS),
        (FaultKind::ServerRestart | FaultKind::ClientRestart { .. }, Scope::KernelTcp) => {
            Some("kernel TCP does not restart")
        }
        _ => None,
    }
}

struct List(Vec<LeftOut>);

impl List {
    fn add(&mut self, path: String, reason: &'static str) {
        self.0.push(LeftOut { path, reason });
    }

    fn add_host(&mut self, at: &str, host: &HostPlan, scope: Scope) {
        let default = HostPlan::default();
        let mut add = |is_set: bool, key: &str, reason| {
            if is_set {
                self.add(format!("{at}.{key}"), reason);
            }
        };
        let socket = "the options of the program and the system set its socket buffers";
        add(host.receive_buffer_bytes != default.receive_buffer_bytes, "receive_buffer_bytes", socket);
        add(scope != Scope::Programs && !host.stalls.is_empty(), "stalls", OWN_PROGRAMS);
        add(
            host.timer_slack_us != default.timer_slack_us,
            "timer_slack_ms",
            "timers are those of the system",
        );
        let processor = "the processors are those of this machine";
        add(host.cpu_us_per_datagram != default.cpu_us_per_datagram, "cpu_us_per_datagram", processor);
        add(host.clock != ClockPlan::default(), "clock_offset_ms", OWN_CLOCK);
    }
}
