//! The impairment relay: what goes in, what comes out.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use interop::relay::{Impairment, Relay};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

struct Path {
    client: UdpSocket,
    server: UdpSocket,
    relay: Relay,
}

fn path(there: Impairment) -> Path {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = || {
        let socket = UdpSocket::bind(any).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    };
    let (client, server) = (socket(), socket());
    let relay = Relay::start(any, server.local_addr().unwrap(), [there, Impairment::default()], 7).unwrap();
    client.connect(relay.address()).unwrap();
    Path { client, server, relay }
}

impl Path {
    /// Sends `count` numbered datagrams, a little apart; the numbers that arrive until nothing comes any more.
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
fn nothing_happens_by_default() {
    let path = path(Impairment::default());
    assert_eq!(path.arrivals(200), (0..200).collect::<Vec<_>>());
}

#[test]
fn answers_find_their_client() {
    let path = path(Impairment::default());
    path.client.send(b"ping").unwrap();
    let mut buffer = [0; 8];
    let (len, from) = path.server.recv_from(&mut buffer).unwrap();
    path.server.send_to(&buffer[..len], from).unwrap();
    assert_eq!(path.client.recv(&mut buffer).unwrap(), 4);
    assert_eq!(path.relay.counts().map(|counts| counts.received), [1, 1]);
}

#[test]
fn loss_and_duplicates_have_their_share() {
    let path = path(Impairment { loss_ppm: 300_000, duplicate_ppm: 200_000, ..Impairment::default() });
    let arrived = path.arrivals(1000);
    let [there, _] = path.relay.counts();
    assert_eq!(arrived.len() as u64, there.received - there.lost + there.duplicated);
    assert_eq!(there.received, 1000);
    assert!((240..360).contains(&there.lost), "{there:?}");
    assert!((90..190).contains(&there.duplicated), "{there:?}");
}

#[test]
fn the_held_back_are_overtaken_and_the_others_keep_their_order() {
    let path = path(Impairment { reorder_ppm: 100_000, reorder_us: 20_000, ..Impairment::default() });
    let arrived = path.arrivals(500);
    let overtaken = arrived.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert_eq!(arrived.len(), 500);
    assert!(overtaken > 10, "{overtaken}");
}

#[test]
fn delay_delays() {
    let path = path(Impairment { delay_us: 80_000, ..Impairment::default() });
    let start = Instant::now();
    assert_eq!(path.arrivals(1), [0]);
    assert!(start.elapsed() >= Duration::from_millis(80));
}
