//! Two namespaces joined by the links of a scenario. Needs root and /dev/net/tun; reports SKIPPED without them.

use lab::contest::{Contestant, TrialOutcome, over_network, together};
use lab::load::{Moment, is_complete, latency_us, streams_reset};
use lab::netns::{End, Network, RIGHT};
use lab::path::Conditions;
use lab::peers::Peer;
use sim::outcome::WorkOutcome;
use sim::plan::{LinkPlan, LossPlan};
use sim::{Direction, Scenario};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SCENARIO: &str = r#"{
  "name": "netns", "description": "A clean line of 8 Mbit/s.", "seed": 3, "duration_ms": 1500, "drain_ms": 5000,
  "links": {
    "up": { "rate_kbit": 8000, "queue_bytes": 100000, "delay_ms": 15, "mtu_bytes": 1400 },
    "down": { "rate_kbit": 8000, "queue_bytes": 100000, "delay_ms": 15, "mtu_bytes": 1400 }
  },
  "workloads": [
    { "bulk": { "name": "download", "direction": "down", "bytes": 500000 } },
    { "bulk": { "name": "upload", "direction": "up" } },
    { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } }
  ]
}"#;

/// Whether this machine can do it; why not is printed past the capture of the test harness.
fn is_possible(test: &str) -> bool {
    let why = match Network::start(&Conditions::default(), None) {
        Ok(_) => return true,
        Err(error) => error,
    };
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
    false
}

#[test]
fn packets_meet_the_links() {
    if !is_possible("packets_meet_the_links") {
        return;
    }
    let up = LinkPlan { delay_us: 30_000.into(), ..LinkPlan::default() };
    let down = LinkPlan { delay_us: 20_000.into(), ..LinkPlan::default() };
    let network = Network::start(&Conditions { links: [up, down], ..Conditions::default() }, None).unwrap();
    let address = SocketAddr::from((RIGHT, 7000));
    let listener = network.listen(End::Right, address, None).unwrap();
    let mut client = network.connect(End::Left, address, Some("reno")).unwrap();
    let (mut server, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), lab::netns::LEFT);
    let start = Instant::now();
    client.write_all(b"ping").unwrap();
    let mut buffer = [0; 4];
    server.read_exact(&mut buffer).unwrap();
    server.write_all(&buffer).unwrap();
    client.read_exact(&mut buffer).unwrap();
    let elapsed = start.elapsed();
    assert!((Duration::from_millis(50)..Duration::from_millis(500)).contains(&elapsed), "{elapsed:?}");
    let report = network.report();
    // A handshake, data and acknowledgements, none with headers counted twice: SYN and SYN-ACK have 60 bytes.
    assert!(report.links.iter().all(|link| link.sent_packets >= 2), "{report}");
    assert_eq!((report.transit_us[0].min, report.transit_us[1].min), (30_000, 20_000), "{report}");
    assert!(report.links[0].sent_bytes < 60 * report.links[0].sent_packets, "{report}");
}

#[test]
fn a_link_in_blackout_drops_all_packets() {
    if !is_possible("a_link_in_blackout_drops_all_packets") {
        return;
    }
    let dead = LinkPlan { loss: LossPlan::Bernoulli { ppm: 1_000_000 }.into(), ..LinkPlan::default() };
    let network =
        Network::start(&Conditions { links: [dead, LinkPlan::default()], ..Conditions::default() }, None)
            .unwrap();
    let address = SocketAddr::from((RIGHT, 7000));
    let _listener = network.listen(End::Right, address, None).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while network.report().links[0].dropped_loss == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let socket = network.socket(End::Left, None).unwrap();
        assert!(socket.connect_timeout(&address.into(), Duration::from_millis(500)).is_err());
    });
}

#[test]
fn kernel_tcp_does_the_scenarios_work() {
    if !is_possible("kernel_tcp_does_the_scenarios_work") {
        return;
    }
    let scenario = Scenario::parse("netns", SCENARIO).unwrap();
    let trial = over_network(&scenario, &Contestant::Tcp("cubic".to_owned()), 1).unwrap();
    for direction in [Direction::Up, Direction::Down] {
        let goodput = trial.goodput_kbit(direction).unwrap();
        assert!((1_000..8_000).contains(&goodput), "{direction:?}: {goodput}");
    }
    let WorkOutcome::Bulk(bulk) = &trial.work[0] else { panic!("{:?}", trial.work) };
    assert_eq!((bulk.bytes_read, bulk.complete), (500_000, true));
    let latency = latency_us(&trial.work).unwrap();
    assert!(latency.min >= 30_000 && latency.count > 20, "{latency:?}");
    let wire = trial.wire_per_useful_thousandths().unwrap();
    assert!((1_020..1_300).contains(&wire), "{wire}");
    notes_how_far_everything_was(&trial);
    assert_eq!(trial.path.overflow_packets, 0);
}

/// Progress samples every 20 ms or a little more grow to the final counts.
fn notes_how_far_everything_was(trial: &TrialOutcome) {
    let moments = &trial.progress.0;
    let (first, last) = (moments.first().unwrap(), moments.last().unwrap());
    assert!(first.at_us < 20_000 && moments.windows(2).all(|two| two[1].at_us >= two[0].at_us + 20_000));
    assert!(moments.len() as u64 > last.at_us / 60_000, "{} until {} us", moments.len(), last.at_us);
    let grows = |two: &[Moment]| {
        let read = two[0].read_bytes.iter().zip(&two[1].read_bytes);
        two[0].path.sent_bytes[1] <= two[1].path.sent_bytes[1] && { read }.all(|(was, is)| was <= is)
    };
    assert!(moments.windows(2).all(grows));
    assert!((400_000..=500_000).contains(&last.read_bytes[0]), "{last:?}");
    assert!((400_000..=trial.path.links[1].sent_bytes).contains(&last.path.sent_bytes[1]), "{last:?}");
    // Queues of 100,000 bytes fill.
    assert!(moments.iter().any(|moment| moment.path.waiting_bytes[1] > 20_000), "{moments:?}");
    let json = trial.progress.to_json();
    let lists =
        [&json["at_us"], &json["read_bytes"][2], &json["sent_bytes"]["up"], &json["waiting_bytes"]["down"]];
    assert!(lists.iter().all(|list| list.as_array().unwrap().len() == moments.len()), "{json}");
    assert_eq!(json["read_bytes"][0][moments.len() - 1], last.read_bytes[0]);
}

#[test]
fn a_congestion_control_that_does_not_exist_is_named() {
    if !is_possible("a_congestion_control_that_does_not_exist_is_named") {
        return;
    }
    let scenario = Scenario::parse("netns", SCENARIO).unwrap();
    let why = over_network(&scenario, &Contestant::Tcp("nonesuch".to_owned()), 1).unwrap_err();
    assert!(why.contains("nonesuch"), "{why}");
}

fn karst(test: &str) -> Option<Contestant> {
    let found = Peer::find();
    let Some(karst) = found.named("karst") else {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no karst programs");
        return None;
    };
    Some(Contestant::Tunnel(karst.clone()))
}

/// Programs in namespaces are killed and restarted.
#[test]
fn a_restart_strikes_programs_in_namespaces() {
    let test = "a_restart_strikes_programs_in_namespaces";
    let Some(karst) = is_possible(test).then(|| karst(test)).flatten() else { return };
    let text = r#"{
      "name": "restart", "description": "The server dies.", "seed": 3, "duration_ms": 2500, "drain_ms": 8000,
      "links": { "up": { "delay_ms": 10 }, "down": { "delay_ms": 10 } },
      "faults": [ { "server_restart": { "at_ms": 800, "down_ms": 200 } } ],
      "workloads": [ { "short_streams": { "name": "short", "interval_ms": 50, "response_bytes": 900 } },
                     { "typing": { "name": "typing", "interval_ms": 20 } } ]
    }"#;
    let trial = over_network(&Scenario::parse("restart", text).unwrap(), &karst, 1).unwrap();
    let WorkOutcome::Typing(typing) = &trial.work[1] else { panic!("{:?}", trial.work) };
    assert!(typing.streams_reset == 1 && typing.done + typing.lost == typing.begun, "{typing:?}");
    let WorkOutcome::ShortStreams(short) = &trial.work[0] else { panic!("{:?}", trial.work) };
    assert!(short.done >= 20, "{short:?}");
}

/// The client's address changes: a tunnel of karst continues, and packets to the old address are lost; kernel TCP is cut.
#[test]
fn addresses_change_between_namespaces() {
    let test = "addresses_change_between_namespaces";
    let Some(karst) = is_possible(test).then(|| karst(test)).flatten() else { return };
    let text = r#"{
      "name": "moves", "description": "A client that moves.", "seed": 3, "duration_ms": 2500, "drain_ms": 3000,
      "links": { "up": { "rate_kbit": 8000, "queue_bytes": 100000, "delay_ms": 20 },
                 "down": { "rate_kbit": 8000, "queue_bytes": 100000, "delay_ms": 20 } },
      "client": { "sndwnd": 32 }, "server": { "sndwnd": 32 },
      "faults": [ { "nat_rebinding": { "at_ms": 800 } }, { "address_change": { "at_ms": 1500 } } ],
      "workloads": [ { "bulk": { "name": "download", "direction": "down" } },
                     { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } } ]
    }"#;
    let scenario = Scenario::parse("moves", text).unwrap();
    let trial = over_network(&scenario, &karst, 1).unwrap();
    assert!(trial.work.iter().all(|one| is_complete(one) && streams_reset(one) == 0), "{:?}", trial.work);
    assert!(trial.path.nat_packets > 0, "{}", trial.path);
    let tcp = over_network(&scenario, &Contestant::Tcp("cubic".to_owned()), 1).unwrap();
    assert!(tcp.work.iter().map(streams_reset).sum::<u64>() > 0, "{:?}", tcp.work);
}

/// Two on one line share it: each carries a workload of its own.
#[test]
fn contestants_share_a_network() {
    let test = "contestants_share_a_network";
    let Some(karst) = is_possible(test).then(|| karst(test)).flatten() else { return };
    let text = r#"{
      "name": "shared", "description": "Two downloads.", "seed": 3, "duration_ms": 3000, "drain_ms": 500,
      "links": { "up": { "rate_kbit": 8000, "queue_bytes": 50000, "delay_ms": 10 },
                 "down": { "rate_kbit": 8000, "queue_bytes": 50000, "delay_ms": 10 } },
      "workloads": [ { "bulk": { "name": "first", "direction": "down" } },
                     { "bulk": { "name": "second", "direction": "down", "start_ms": 500 } } ]
    }"#;
    let scenario = Scenario::parse("shared", text).unwrap();
    let reno = Contestant::Tcp("reno".to_owned());
    for pair in [[reno.clone(), karst.clone()], [karst.clone(), karst]] {
        let trial = together(&scenario, &pair, 1).unwrap();
        let read: Vec<u64> = trial.progress.0.last().unwrap().read_bytes.clone();
        assert!(read.iter().all(|read| *read > 50_000) && read.iter().sum::<u64>() < 3_500_000, "{read:?}");
    }
    let none = Contestant::Tcp("nonesuch".to_owned());
    assert!(together(&scenario, &[reno, none], 1).is_err());
}
