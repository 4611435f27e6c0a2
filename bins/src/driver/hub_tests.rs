//! A hub over a socket that blocks on command.

use super::*;
use crate::datagrams::Datagrams;
use engine::crypt::Cipher;
use engine::options::Governor;
use engine::{Choice, ClientLimits, Entropy, Settings};
use std::cell::Cell;
use std::io;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Takes `room` datagrams, then blocks until it is given more.
#[derive(Default)]
struct Wire {
    room: Cell<usize>,
    sent: RefCell<Vec<Vec<u8>>>,
    waker: RefCell<Option<Waker>>,
}

impl Wire {
    fn give(&self, datagrams: usize) {
        self.room.set(self.room.get() + datagrams);
        self.waker.borrow().iter().for_each(Waker::wake_by_ref);
    }
}

struct Socket(Rc<Wire>);

impl Datagrams for Socket {
    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1))
    }

    fn poll_recv_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        if self.0.room.get() > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn try_recv(&self, _batch: &mut RecvBatch) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn try_send(&self, _to: SocketAddr, bytes: &[u8], segment: Option<NonZeroU16>) -> io::Result<usize> {
        let size = segment.map_or(bytes.len(), |segment| usize::from(segment.get()));
        let mut taken = 0;
        for datagram in bytes.chunks(size).take(self.0.room.get()) {
            self.0.room.set(self.0.room.get() - 1);
            self.0.sent.borrow_mut().push(datagram.to_vec());
            taken += datagram.len();
        }
        if taken > 0 { Ok(taken) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn send_errors(&self) -> u64 {
        0
    }
}

/// Serial numbers of the PUSH segments in bare datagrams, in the order sent.
fn serial_numbers(datagrams: &[Vec<u8>]) -> Vec<u32> {
    let mut numbers = Vec::new();
    for mut rest in datagrams.iter().map(Vec::as_slice) {
        while rest.len() >= 24 {
            let field = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            numbers.push(field(12));
            rest = &rest[24 + field(20) as usize..];
        }
    }
    numbers
}

// CLI-26
#[test]
fn a_blocked_socket_delays_datagrams_but_loses_none() {
    let wire = Rc::new(Wire::default());
    let mut settings = Settings { crypt: Cipher::Null, datashard: 0, nocomp: true, ..Settings::client() };
    // kcptun's sender, which writes at once what the window permits.
    (settings.keepalive, settings.governor) = (30, Governor::Off);
    let config = Arc::new(settings.tunnel_config().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async {
        let scratch = Scratch::new(32_768);
        let to = SocketAddr::from(([127, 0, 0, 1], 2));
        let limits = ClientLimits { slots: 1, lifetime: None, grace: Duration::ZERO };
        let client = Rc::new(RefCell::new(Client::new(config, limits)));
        let now = scratch.clock.now();
        let Choice::Dial(slot) = client.borrow_mut().choose(now) else { panic!("no session yet") };
        let session = client.borrow_mut().dial(now, slot, to, Entropy::from_seed([1; 32]));
        let hub = Hub::client(&scratch, Box::new(Socket(Rc::clone(&wire))), &client, session);
        let stream = hub.open_stream(session).unwrap();
        assert_eq!(stream.write(&[7; 40_000]).unwrap(), 40_000);
        let running = tokio::task::spawn_local(Rc::clone(&hub).run(|_, _| {}));
        for room in [0, 1, 2, 3, 5, 7, 11] {
            wire.give(room);
            let before = wire.sent.borrow().len();
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(wire.sent.borrow().len(), before + room, "all the room is used");
        }
        wire.give(100);
        tokio::time::sleep(Duration::from_millis(20)).await;
        running.abort();
    };
    tokio::task::LocalSet::new().block_on(&runtime, test);
    let numbers = serial_numbers(&wire.sent.borrow());
    let distinct: BTreeSet<u32> = numbers.iter().copied().collect();
    assert!(distinct.len() > 29, "{numbers:?}");
    assert!(distinct.iter().copied().eq(0..distinct.len() as u32), "a number is missing: {numbers:?}");
    assert!(numbers[..30].is_sorted(), "{numbers:?}");
}
