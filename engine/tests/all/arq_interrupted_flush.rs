//! A flush that is interrupted by input or reads continues with the state of that time (KCP-6).

use engine::arq::{Arq, Command, Flush, Header, Source, Tuning};
use engine::{Generation, Instant};

const NOW: Instant = Instant::from_millis(50);

fn joined(rcv_wnd: u32) -> [Arq; 2] {
    [(); 2].map(|()| {
        let mut arq = Arq::new(3, Generation::Go2026);
        arq.set_tuning(Tuning { nodelay: true, interval_ms: 10, resend: 0, nc: true });
        arq.set_windows(8, rcv_wnd);
        assert!(arq.set_mtu(50));
        arq
    })
}

fn next(arq: &mut Arq) -> Option<Vec<u8>> {
    let mut out = [0; 50];
    arq.poll_transmit(NOW, &mut out).map(|len| out[..len].to_vec())
}

fn headers(mut datagram: &[u8]) -> Vec<Header> {
    let mut headers = Vec::new();
    while let Some((header, rest)) = Header::parse(datagram) {
        headers.push(header);
        datagram = &rest[header.len as usize..];
    }
    headers
}

/// A segment that is acknowledged but not covered by una is never sent again: its sender would keep it until the session ends.
// KCP-6, KCP-18
#[test]
fn an_acknowledgement_written_late_carries_the_una_of_its_own_time() {
    let [mut a, mut b] = joined(8);
    a.send(b"one").unwrap();
    a.flush(NOW, Flush::Full);
    b.flush(NOW, Flush::Full); // Its socket is blocked: polled only after the input.
    b.input(NOW, &next(&mut a).unwrap(), Source::Regular, false).unwrap();
    let acks = next(&mut b).unwrap();
    assert_eq!(headers(&acks)[0].una, 1);
    a.input(NOW, &acks, Source::Regular, false).unwrap();
    assert_eq!(a.waitsnd(), 0, "the segment is never released");
}

/// The window opens before the announcement is written.
// KCP-6, KCP-15
#[test]
fn a_window_announcement_carries_the_window_of_its_own_time() {
    let [mut a, mut b] = joined(2);
    for message in [b"one", b"two"] {
        a.send(message).unwrap();
    }
    a.flush(NOW, Flush::Full);
    while let Some(datagram) = next(&mut a) {
        b.input(NOW, &datagram, Source::Regular, true).unwrap();
    }
    assert!(b.flushing());
    while let Some(payload) = b.take() {
        b.recycle(payload);
    }
    let written: Vec<Header> = std::iter::from_fn(|| next(&mut b)).flat_map(|d| headers(&d)).collect();
    let wins = written.iter().find(|header| header.command() == Some(Command::Wins)).unwrap();
    assert_eq!(wins.wnd, 2, "the peer would wait for a window that is open");
}
