//! Simulation against reality: the page marks figures outside the tolerance; real runs fill it.

use lab::contest::{Contestant, over_relay};
use lab::load::{is_complete, streams_reset};
use lab::peers::Peer;
use lab::reality::{Comparison, Page, QUANTITIES, Quantity, Run};
use sim::outcome::{BulkOutcome, WorkOutcome};
use sim::plan::{FaultKind, FaultPlan};
use sim::{Direction, Scenario};
use std::io::Write;
use std::path::Path;

const SCENARIO: &str = r#"{
  "name": "small", "description": "A clean line for a moment.", "seed": 3, "duration_ms": 2000, "drain_ms": 5000,
  "links": {
    "up": { "rate_kbit": 10000, "queue_bytes": 100000, "delay_ms": 15 },
    "down": { "rate_kbit": 10000, "queue_bytes": 100000, "delay_ms": 15 }
  },
  "client": { "mode": "fast2", "smuxver": 1, "sndwnd": 32 },
  "server": { "mode": "fast2", "smuxver": 1, "sndwnd": 32 },
  "workloads": [
    { "bulk": { "name": "download", "direction": "down" } },
    { "bulk": { "name": "upload", "direction": "up", "content": "text" } },
    { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } }
  ]
}"#;

fn karst() -> Option<Contestant> {
    Peer::find().named("karst").cloned().map(Contestant::Tunnel)
}

#[test]
fn real_programs_do_the_simulators_work() {
    let Some(karst) = karst() else {
        let _ =
            writeln!(std::io::stderr(), "SKIPPED real_programs_do_the_simulators_work: no karst programs");
        return;
    };
    let scenario = Scenario::parse("small", SCENARIO).unwrap();
    let mut comparison = Comparison::simulate(&scenario, 3).unwrap();
    comparison.add_real(&scenario, &karst, 1);
    let trial = comparison.rows[0].trials[0].1.as_ref().unwrap();
    assert!(trial.work.iter().all(is_complete), "{:?}", trial.work);
    let real = Run::from(trial);
    for quantity in QUANTITIES {
        let simulated = comparison.simulated(quantity);
        let real = quantity.of(&real).unwrap();
        // Other processes may use the processors; the committed page is measured on an idle machine.
        let (low, high) = (simulated[0] * 4 / 10, simulated[2] * 3);
        assert!((low..high).contains(&real), "{}: {real}, simulated {simulated:?}", quantity.name());
    }
    let page = Page { comparisons: vec![comparison], ..Page::default() }.to_string();
    assert!(page.contains("| small | goodput down, Mbit/s |") && page.contains("of 2 goodputs"), "{page}");
}

const RESTARTS: &str = r#"{
  "name": "restarts", "description": "Both programs die.", "seed": 3, "duration_ms": 4000, "drain_ms": 10000,
  "links": { "up": { "delay_ms": 10 }, "down": { "delay_ms": 10 } },
  "client": { "mode": "fast2" }, "server": { "mode": "fast2" },
  "faults": [
    { "server_restart": { "at_ms": 800, "down_ms": 200 } }, { "client_restart": { "at_ms": 2500, "down_ms": 200 } }
  ],
  "hosts": { "server": { "stalls": [ { "at_ms": 1800, "for_ms": 300 } ] } },
  "workloads": [
    { "request_response": { "name": "requests", "response_bytes": 2000, "think_ms": 20 } },
    { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } }
  ]
}"#;

/// The programs are killed and restarted; a stall suspends the server.
#[test]
fn restarts_and_stalls_strike_real_programs() {
    let Some(karst) = karst() else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED restarts_and_stalls_strike_real_programs: no karst programs"
        );
        return;
    };
    let scenario = Scenario::parse("restarts", RESTARTS).unwrap();
    let trial = over_relay(&scenario, &karst, 1).unwrap();
    let requests = &trial.work[0];
    assert!(is_complete(requests) && streams_reset(requests) == 2, "{requests:?}");
    let latency = requests.latency().unwrap();
    assert!(latency.max >= 200_000 && latency.p50 < 200_000, "{latency:?}");
    let WorkOutcome::Echo(echo) = &trial.work[1] else { panic!("{:?}", trial.work) };
    assert!(echo.streams_reset == 2 && echo.received < echo.sent, "{echo:?}");
}

/// A karst server follows its client to other addresses without cutting a connection.
#[test]
fn addresses_change_under_real_programs() {
    let Some(karst) = karst() else {
        let _ =
            writeln!(std::io::stderr(), "SKIPPED addresses_change_under_real_programs: no karst programs");
        return;
    };
    let mut scenario = Scenario::parse("small", SCENARIO).unwrap();
    let at = |at_us, kind| FaultPlan { at_us, for_us: 0, kind };
    scenario.faults = vec![at(500_000, FaultKind::NatRebinding), at(1_200_000, FaultKind::AddressChange)];
    let trial = over_relay(&scenario, &karst, 1).unwrap();
    assert!(trial.work.iter().all(|one| is_complete(one) && streams_reset(one) == 0), "{:?}", trial.work);
    assert!(trial.path.nat_packets > 0, "{}", trial.path);
}

#[test]
fn kernel_tcp_is_refused_by_a_relay() {
    let scenario = Scenario::parse("small", SCENARIO).unwrap();
    assert!(over_relay(&scenario, &Contestant::Tcp("cubic".to_owned()), 1).unwrap_err().contains("TCP"));
}

fn run(goodput_kbit: u64) -> Run {
    let bulk = WorkOutcome::Bulk(BulkOutcome {
        name: "download".to_owned(),
        direction: Direction::Down,
        bytes_written: 1000,
        bytes_read: 1000,
        complete: true,
        start_us: 0,
        end_us: 1,
        measured_bytes: 1000,
        measured_us: 1,
        goodput_kbit,
        streams_reset: 0,
    });
    Run { work: vec![bulk], sent_packets: [0, 2], sent_bytes: [0, 1500] }
}

#[test]
fn quantities_are_those_of_the_run() {
    assert_eq!(Quantity::Goodput(Direction::Down).of(&run(5_000)), Some(5_000));
    assert_eq!(Quantity::Goodput(Direction::Up).of(&run(5_000)), None);
    assert_eq!((Quantity::Packet.of(&run(1)), Quantity::WirePerByte.of(&run(1))), (Some(750), Some(1_500)));
    assert_eq!(Quantity::P99.of(&run(1)), None);
}

/// Every committed scenario runs with real programs, and passes in the simulator.
#[test]
fn the_committed_scenarios_are_playable() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/reality");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = paths.filter(|path| path.is_file()).collect();
    assert!(files.len() >= 6);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let scenario = Scenario::parse(&file.display().to_string(), &text).unwrap();
        let comparison = Comparison::simulate(&scenario, 1).unwrap();
        assert!(comparison.simulated[0].work.len() >= 2, "{}", file.display());
        for link in [&scenario.up, &scenario.down] {
            let rate = link.queue.as_ref().unwrap().values().map(|queue| queue.bits_per_s).max().unwrap();
            assert!(rate <= 20_000_000, "{}", file.display());
        }
    }
}
