//! The parts of a scenario that are not applied in real time, by their JSON paths.

use engine::Generation;
use sim::Scenario;
use sim::plan::{ClockPlan, FaultKind, HostPlan};
use std::fmt;

/// The actors of a scenario in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Only the network: the traffic is the user's.
    Network,
    /// The network, the load, and programs started for it.
    Programs,
    /// The network, the load, and the kernel's TCP.
    KernelTcp,
}

/// A part that is not applied.
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
const OWN_CLOCK: &str = "a program's clock is the machine's";

/// All parts of `scenario` that are not applied on that stage.
pub fn left_out(scenario: &Scenario, stage: Stage) -> Vec<LeftOut> {
    let mut found = List(Vec::new());
    for (index, fault) in scenario.faults.iter().enumerate() {
        if let Some(reason) = of_fault(fault.kind, stage) {
            found.add(format!("faults[{index}].{}", fault.kind.name()), reason);
        }
    }
    for (at, host) in [("hosts.client", &scenario.hosts.client), ("hosts.server", &scenario.hosts.server)] {
        found.add_host(at, host, stage);
    }
    let (sections, reason): (&[&str], _) = match stage {
        Stage::Network => (&["client", "server", "workloads"], OWN_PROGRAMS),
        Stage::KernelTcp => (&["client", "server"], "the kernel's TCP has no such options"),
        Stage::Programs => (&[], ""),
    };
    sections.iter().for_each(|section| found.add((*section).to_owned(), reason));
    for (at, side) in [("client", &scenario.client), ("server", &scenario.server)] {
        if stage == Stage::Programs && side.config.generation != Generation::default() {
            found.add(format!("{at}.generation"), "a program behaves as it was built");
        }
    }
    if scenario.baseline.is_some() {
        found
            .add("baseline".to_owned(), "the baseline is simulated; netns measures the kernel's TCP instead");
    }
    if !scenario.expect.is_empty() {
        found.add("expect".to_owned(), "figures are shown without a verdict");
    }
    found.0
}

fn of_fault(kind: FaultKind, stage: Stage) -> Option<&'static str> {
    match (kind, stage) {
        (FaultKind::ClockStep { .. }, _) => Some(OWN_CLOCK),
        (FaultKind::ServerRestart | FaultKind::ClientRestart { .. }, Stage::Network) => Some(OWN_PROGRAMS),
        (FaultKind::ServerRestart | FaultKind::ClientRestart { .. }, Stage::KernelTcp) => {
            Some("the kernel's TCP does not restart")
        }
        _ => None,
    }
}

struct List(Vec<LeftOut>);

impl List {
    fn add(&mut self, path: String, reason: &'static str) {
        self.0.push(LeftOut { path, reason });
    }

    fn add_host(&mut self, at: &str, host: &HostPlan, stage: Stage) {
        let default = HostPlan::default();
        let mut add = |is_set: bool, key: &str, reason| {
            if is_set {
                self.add(format!("{at}.{key}"), reason);
            }
        };
        let socket = "a program's socket has the room that its own options and the system give it";
        add(host.receive_buffer_bytes != default.receive_buffer_bytes, "receive_buffer_bytes", socket);
        add(stage != Stage::Programs && !host.stalls.is_empty(), "stalls", OWN_PROGRAMS);
        add(host.timer_slack_us != default.timer_slack_us, "timer_slack_ms", "timers are the system's");
        let processor = "the processors are those of this machine";
        add(host.cpu_us_per_datagram != default.cpu_us_per_datagram, "cpu_us_per_datagram", processor);
        add(host.clock != ClockPlan::default(), "clock_offset_ms", OWN_CLOCK);
    }
}
