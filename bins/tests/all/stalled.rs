//! A stalled reader does not stall other streams, and once a reader is gone, the peer stops sending to it.
use crate::common::{PATIENCE, Pair, echo, sample, target};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Sends without end to a connection that writes `!`, and reports when that fails; echoes to all others.
fn source(ended: Sender<()>) -> SocketAddr {
    target(move |mut stream| {
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        if first != *b"!" {
            stream.write_all(&first).unwrap();
            return echo(stream);
        }
        let block = sample(9, 65_536);
        while stream.write_all(&block).is_ok() {}
        let _ = ended.send(());
    })
}

fn start_endless(pair: &Pair) -> TcpStream {
    let mut stream = pair.connect();
    stream.write_all(b"!").unwrap();
    stream.read_exact(&mut [0; 100_000]).unwrap();
    stream
}

/// SMUX-27
#[test]
fn other_streams_continue_beside_stalled_readers() {
    for smuxver in ["1", "2"] {
        let pair = Pair::start(source(channel().0), &["--smuxver", smuxver]);
        let mut lively = pair.connect();
        lively.write_all(&[7; 10]).unwrap();
        lively.read_exact(&mut [0; 10]).unwrap();
        let stopped = [start_endless(&pair), start_endless(&pair)];
        // Long enough for the buffers of the local connections to fill as well.
        thread::sleep(Duration::from_secs(2));
        for _ in 0..50 {
            let begun = Instant::now();
            lively.write_all(&[7; 1000]).unwrap();
            lively.read_exact(&mut [0; 1000]).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(5), "smux {smuxver}: {:?}", begun.elapsed());
        }
        for mut reader in stopped {
            reader.read_exact(&mut vec![0; 8 << 20]).unwrap();
        }
        assert_eq!(pair.client.log().matches("on connection:").count(), 1, "one session is enough");
    }
}

/// SMUX-29: the target is notified within seconds, although its direction was still open.
#[test]
fn the_peer_stops_sending_to_an_application_that_exited() {
    for smuxver in ["1", "2"] {
        let (ended, ends) = channel();
        let pair = Pair::start(source(ended), &["--smuxver", smuxver]);
        let stream = start_endless(&pair);
        stream.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(300));
        assert!(ends.try_recv().is_err(), "half-closed is not closed");
        drop(stream);
        assert!(ends.recv_timeout(PATIENCE).is_ok(), "smux {smuxver}: the target still sends");
        pair.server.wait_for("stream closed");
    }
}
