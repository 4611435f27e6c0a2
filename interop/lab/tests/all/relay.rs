//! The impairment relay: datagrams sent and received.

use lab::path::Conditions;
use lab::relay::Relay;
use sim::plan::{FaultKind, FaultPlan, LinkPlan, LossPlan, NatPlan, QueuePlan, ReorderPlan, Timeline, Ways};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

struct Path {
    client: UdpSocket,
    server: UdpSocket,
    relay: Relay,
}

fn path(there: LinkPlan) -> Path {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = || {
        let socket = UdpSocket::bind(any).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    };
    let (client, server) = (socket(), socket());
    let relay = Relay::start(any, server.local_addr().unwrap(), [there, LinkPlan::default()], 7).unwrap();
    client.connect(relay.address()).unwrap();
    Path { client, server, relay }
}

impl Path {
    /// Sends `count` numbered datagrams with gaps; returns the numbers that arrive until a time without arrivals.
    fn arrivals(&self, count: u32) -> Vec<u32> {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..count {
                    self.client.send(&number.to_le_bytes()).unwrap();
                    std::thread::sleep(Duration::from_micros(100));
                }
            });
            let mut arrived = Vec::new();
            let mut buffer = [0; 4];
            while self.server.recv_from(&mut buffer).is_ok() {
                arrived.push(u32::from_le_bytes(buffer));
            }
            arrived
        })
    }
}

#[test]
fn no_impairment_by_default() {
    let path = path(LinkPlan::default());
    assert_eq!(path.arrivals(200), (0..200).collect::<Vec<_>>());
}

#[test]
fn answers_find_their_client() {
    let path = path(LinkPlan::default());
    path.client.send(b"ping").unwrap();
    let mut buffer = [0; 8];
    let (len, from) = path.server.recv_from(&mut buffer).unwrap();
    path.server.send_to(&buffer[..len], from).unwrap();
    assert_eq!(path.client.recv(&mut buffer).unwrap(), 4);
    assert_eq!(path.relay.report().links.map(|counters| counters.sent_packets), [1, 1]);
}

#[test]
fn loss_and_duplicates_have_their_share() {
    let path = path(LinkPlan {
        loss: LossPlan::Bernoulli { ppm: 300_000 }.into(),
        duplicate_ppm: 200_000.into(),
        ..LinkPlan::default()
    });
    let arrived = path.arrivals(1000);
    let [there, _] = path.relay.report().links;
    assert_eq!(arrived.len() as u64, there.delivered_packets);
    assert_eq!(there.sent_packets, 1000);
    assert!((240..360).contains(&there.dropped_loss), "{there:?}");
    assert!((90..190).contains(&there.duplicated_packets), "{there:?}");
}

#[test]
fn the_held_back_are_overtaken_and_the_others_keep_their_order() {
    let path = path(LinkPlan {
        reorder: Some(ReorderPlan { ppm: 100_000, extra_us: 20_000 }.into()),
        ..LinkPlan::default()
    });
    let arrived = path.arrivals(500);
    let overtaken = arrived.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert_eq!(arrived.len(), 500);
    assert!(overtaken > 10, "{overtaken}");
}

#[test]
fn listed_packets_are_dropped_or_delayed() {
    let (drop_packets, delay_packets) = (vec![2, 7], vec![(3, 150_000), (1, 100_000)]);
    let path = path(LinkPlan { drop_packets, delay_packets, ..LinkPlan::default() });
    assert_eq!(path.arrivals(8), [3, 4, 5, 7, 0, 2]);
    let [there, _] = path.relay.report().links;
    assert_eq!((there.dropped_list, there.reordered_packets), (2, 2));
}

#[test]
fn delay_delays() {
    let path = path(LinkPlan { delay_us: 80_000.into(), ..LinkPlan::default() });
    let start = Instant::now();
    assert_eq!(path.arrivals(1), [0]);
    assert!(start.elapsed() >= Duration::from_millis(80));
}

/// The queue of the simulator's link, against the clock: 100 datagrams of 1028 bytes at 8 Mbit/s take 0.1 s.
#[test]
fn a_rate_delays_and_a_full_queue_drops() {
    let queue = QueuePlan { bits_per_s: 8_000_000, bytes_max: 1_000_000, packets_max: 99, codel: None };
    let path = path(LinkPlan { queue: Some(queue.into()), ..LinkPlan::default() });
    let start = Instant::now();
    for number in 0..150 {
        path.client.send(&[0; 1000]).unwrap();
        // Only the link may drop them, and a busy machine must not delay as long as the link.
        if number % 10 == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    let mut arrived = 0;
    let mut last = start;
    while path.server.recv_from(&mut [0; 1000]).is_ok() {
        (arrived, last) = (arrived + 1, Instant::now());
    }
    assert!(last - start >= Duration::from_millis(100), "{:?}", last - start);
    assert!((100..150).contains(&arrived), "{arrived}");
    assert_eq!(path.relay.report().links[0].dropped_queue, 150 - arrived);
}

/// A value that changes over time does so on the relay's clock, which starts with the first datagram.
#[test]
fn schedules_are_followed() {
    let dead = Timeline::from(false).then(200_000, true).then(400_000, false);
    let path = path(LinkPlan { blackout: dead, ..LinkPlan::default() });
    std::thread::sleep(Duration::from_millis(250));
    let mut arrived = Vec::new();
    for number in 0..30_u32 {
        path.client.send(&number.to_le_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut buffer = [0; 4];
    while path.server.recv_from(&mut buffer).is_ok() {
        arrived.push(u32::from_le_bytes(buffer));
    }
    let report = path.relay.report();
    let lost = report.links[0].dropped_blackout;
    assert!((1..=10).contains(&lost) && lost + arrived.len() as u64 == 30, "{report}");
    assert!(arrived.starts_with(&[0, 1]) && arrived.ends_with(&[29]), "{arrived:?}");
}

/// All clients share the link: datagrams of one wait behind those of the other.
#[test]
fn clients_share_the_line() {
    let queue = QueuePlan { bits_per_s: 1_000_000, bytes_max: 1_000_000, packets_max: 1_000, codel: None };
    let path = path(LinkPlan { queue: Some(queue.into()), ..LinkPlan::default() });
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.connect(path.relay.address()).unwrap();
    (0..40).for_each(|_| assert_eq!(path.client.send(&[1; 1000]).unwrap(), 1000));
    std::thread::sleep(Duration::from_millis(5));
    let start = Instant::now();
    other.send(b"other").unwrap();
    let mut buffer = [0; 1000];
    let from = |received: std::io::Result<(usize, SocketAddr)>| received.unwrap();
    let (mut len, mut last) = from(path.server.recv_from(&mut buffer));
    let first = last;
    while len != 5 {
        (len, last) = from(path.server.recv_from(&mut buffer));
    }
    assert!(start.elapsed() > Duration::from_millis(100), "{:?}", start.elapsed());
    assert_ne!(first, last, "each client has its own address towards the server");
}

/// Real time adds little: most datagrams leave within milliseconds of the plan, also on a busy machine.
#[test]
fn the_added_delay_is_measured_and_small() {
    let path = path(LinkPlan { delay_us: 5_000.into(), ..LinkPlan::default() });
    assert_eq!(path.arrivals(500).len(), 500);
    let report = path.relay.report();
    assert_eq!((report.added_us.count, report.transit_us[0].min), (500, 5_000));
    assert!(report.added_us.p50 < 5_000 && report.added_us.max > 0, "{report}");
}

fn fault(at_ms: u64, for_ms: u64, kind: FaultKind) -> FaultPlan {
    FaultPlan { at_us: at_ms * 1000, for_us: for_ms * 1000, kind }
}

fn faulty(faults: Vec<FaultPlan>) -> Path {
    under(Conditions { faults, ..Conditions::default() })
}

fn under(conditions: Conditions) -> Path {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (client, server) = (UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
    server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let relay = Relay::start_captured(any, server.local_addr().unwrap(), &conditions, None).unwrap();
    client.connect(relay.address()).unwrap();
    Path { client, server, relay }
}

#[test]
fn faults_of_the_links_strike() {
    let storm = fault(0, 60_000, FaultKind::DuplicateStorm { ppm: 1_000_000, ways: Ways::Both });
    let damage = fault(0, 60_000, FaultKind::Corruption { ppm: 1_000_000, ways: Ways::Down });
    let dead = fault(200, 60_000, FaultKind::Blackout(Ways::Up));
    let path = faulty(vec![storm, damage, dead]);
    assert_eq!(path.arrivals(3), [0, 0, 1, 1, 2, 2]);
    std::thread::sleep(Duration::from_millis(200));
    assert!(path.arrivals(3).is_empty());
    let [up, down] = path.relay.report().links;
    assert_eq!((up.dropped_blackout, up.duplicated_packets, down.sent_packets), (3, 3, 0));
}

/// A client whose mapping changes sends from another port, and in another network from another address; datagrams in flight
/// to the old one is lost, and answers to the new one find it.
#[test]
fn a_client_moves_to_another_address() {
    let moves = vec![fault(100, 0, FaultKind::NatRebinding), fault(250, 0, FaultKind::AddressChange)];
    let path = faulty(moves);
    let mut buffer = [0; 8];
    let mut from = || {
        path.client.send(b"ping").unwrap();
        path.server.recv_from(&mut buffer).unwrap().1
    };
    let first = from();
    assert_eq!(from(), first);
    std::thread::sleep(Duration::from_millis(150));
    let second = from();
    assert!(second != first && second.ip() == first.ip(), "{first} {second}");
    path.server.send_to(b"lost", first).unwrap();
    path.server.send_to(b"pong", second).unwrap();
    path.client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(path.client.recv(&mut [0; 8]).unwrap(), 4);
    std::thread::sleep(Duration::from_millis(700));
    let third = from();
    assert!(third.ip() != second.ip() && third.ip().is_loopback(), "{second} {third}");
    assert_eq!(path.relay.report().nat_packets, 1);
}

/// An idle mapping expires.
#[test]
fn a_mapping_times_out() {
    let path = under(Conditions {
        nat: NatPlan { timeout_us: Some(200_000), inbound_refreshes: false },
        ..Conditions::default()
    });
    let mut buffer = [0; 8];
    let mut after = |ms| {
        std::thread::sleep(Duration::from_millis(ms));
        path.client.send(b"ping").unwrap();
        path.server.recv_from(&mut buffer).unwrap().1
    };
    let first = after(0);
    assert_eq!(after(50), first);
    let second = after(400);
    assert_ne!(second, first);
}
