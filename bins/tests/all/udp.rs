//! The socket layer: runs of datagrams keep their boundaries, on both families, with and without system support (CLI-26).
use crate::common::skipped;
use bins::datagrams::{Datagrams, RecvBatch, SocketOptions};
use bins::platform::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use tokio::runtime::Builder;

const OPTIONS: SocketOptions = SocketOptions { buffer_bytes: 4 << 20, dscp: 0, reports: false };

fn run(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn bind(address: &str) -> UdpSocket {
    UdpSocket::bind(address.parse().unwrap(), OPTIONS).unwrap()
}

async fn receive(socket: &UdpSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut batch = RecvBatch::default();
    let mut got = Vec::new();
    while got.len() < count {
        poll_fn(|cx| socket.poll_recv_ready(cx)).await.unwrap();
        if socket.try_recv(&mut batch).is_ok() {
            batch.for_each(|from, datagram| got.push((from, datagram.to_vec())));
        }
    }
    got
}

/// Datagrams of `segment` bytes and one shorter one, each filled with its own number.
fn numbered(count: u8, segment: usize, last: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let len = |index| if index + 1 == count { last } else { segment };
    let datagrams: Vec<Vec<u8>> = (0..count).map(|index| vec![index; len(index)]).collect();
    (datagrams.concat(), datagrams)
}

async fn sends_whole(from: &UdpSocket, to: SocketAddr, receiver: &UdpSocket) {
    for (count, segment, last) in [(48, 1350, 1350), (48, 1350, 76), (2, 500, 1), (64, 600, 600)] {
        let (bytes, expected) = numbered(count, segment, last);
        poll_fn(|cx| from.poll_send_ready(cx)).await.unwrap();
        let sent = from.try_send(to, &bytes, NonZeroU16::new(segment as u16)).unwrap();
        assert_eq!(sent, bytes.len());
        let got = receive(receiver, usize::from(count)).await;
        assert!(got.iter().map(|(_, datagram)| datagram).eq(&expected), "{count} of {segment}");
        assert!(got.iter().all(|(source, _)| source.port() == from.local_addr().port()));
    }
}

#[test]
fn runs_keep_their_boundaries() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        sends_whole(&a, b.local_addr(), &b).await;
        assert_eq!(a.send_errors(), 0);
    });
}

#[test]
fn a_socket_of_both_families_names_ipv4_peers_as_ipv4() {
    run(async {
        let both = bind("[::]:0");
        let four = bind("127.0.0.1:0");
        let to = SocketAddr::from(([127, 0, 0, 1], both.local_addr().port()));
        sends_whole(&four, to, &both).await;
        sends_whole(&both, four.local_addr(), &four).await;
        poll_fn(|cx| four.poll_send_ready(cx)).await.unwrap();
        four.try_send(to, b"x", None).unwrap();
        assert_eq!(receive(&both, 1).await, [(four.local_addr(), b"x".to_vec())]);
    });
}

/// A rejected run is sent again datagram by datagram, and no more runs go to that destination; others keep theirs.
// CLI-26
#[test]
fn rejected_segmentation_falls_back_to_single_datagrams_for_one_destination() {
    run(async {
        let (a, b, c) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        let (bytes, expected) = numbered(70, 100, 50);
        assert!(a.uses_segmentation(b.local_addr()));
        poll_fn(|cx| a.poll_send_ready(cx)).await.unwrap();
        // More segments per call than any kernel version accepts: the highest limit is 128.
        let (many, all) = numbered(200, 100, 50);
        assert_eq!(a.try_send(b.local_addr(), &many, NonZeroU16::new(100)).unwrap(), many.len());
        assert!(!a.uses_segmentation(b.local_addr()));
        assert!(a.uses_segmentation(c.local_addr()));
        let got = receive(&b, 200).await;
        assert!(got.iter().map(|(_, datagram)| datagram).eq(&all));
        assert_eq!(a.try_send(b.local_addr(), &bytes, NonZeroU16::new(100)).unwrap(), bytes.len());
        let got = receive(&b, 70).await;
        assert!(got.iter().map(|(_, datagram)| datagram).eq(&expected));
        sends_whole(&a, c.local_addr(), &c).await;
        assert_eq!(a.send_errors(), 0);
        // Nothing can be sent to port 0, which has no effect on other destinations.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_eq!(a.try_send(nowhere, &bytes, NonZeroU16::new(100)).unwrap(), bytes.len());
        assert_eq!(a.send_errors(), 70);
        assert!(a.uses_segmentation(c.local_addr()));
    });
}

#[test]
fn send_errors_that_lose_a_datagram_are_counted() {
    run(async {
        let a = bind("127.0.0.1:0");
        poll_fn(|cx| a.poll_send_ready(cx)).await.unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        assert_eq!(a.try_send(to, &vec![0; 65_530], None).unwrap(), 65_530, "too large to send, so lost");
        assert_eq!(a.send_errors(), 1);
    });
}

#[test]
fn an_empty_datagram_is_ignored() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        poll_fn(|cx| a.poll_send_ready(cx)).await.unwrap();
        a.try_send(b.local_addr(), b"", None).unwrap();
        a.try_send(b.local_addr(), b"after", None).unwrap();
        assert_eq!(receive(&b, 1).await, [(a.local_addr(), b"after".to_vec())]);
    });
}

/// Sends a datagram whose source port is 0, which only a raw socket can. `false` without the right to one.
fn send_from_port_zero(to: SocketAddr, payload: &[u8]) -> bool {
    let socket = match Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)) {
        Ok(socket) => socket,
        Err(error) => {
            skipped("a source port of 0", &format!("no right to a raw socket ({error})"));
            return false;
        }
    };
    let length = (8 + payload.len()) as u16;
    // Without a checksum, which UDP over IPv4 allows.
    let header = [[0; 2], to.port().to_be_bytes(), length.to_be_bytes(), [0; 2]].concat();
    socket.send_to(&[&header, payload].concat(), &to.into()).unwrap();
    true
}

// CLI-26: nothing can be sent to port 0.
#[test]
fn datagrams_from_port_zero_are_ignored() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        if !send_from_port_zero(b.local_addr(), b"unanswerable") {
            return;
        }
        poll_fn(|cx| a.poll_send_ready(cx)).await.unwrap();
        a.try_send(b.local_addr(), b"after", None).unwrap();
        assert_eq!(receive(&b, 1).await, [(a.local_addr(), b"after".to_vec())]);
    });
}
