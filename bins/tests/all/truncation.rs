//! A stream that was cut short never looks complete: it ends with a reset, at the application and at the target (CLI-25,
//! CLI-57).
use crate::common::{
    PATIENCE, Pair, Program, connect, echo, free_udp, sample, skipped, start_client, start_server, target,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Time in which a stopped program ends, with a margin for a busy machine.
const STOP_MAX: Duration = Duration::from_secs(10);

const BLOCK: usize = 65_536;

/// How a connection ended for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    InOrder,
    Reset,
    /// It had not ended within the time.
    None,
}

/// Reads until the end, or for `limit` without a byte.
fn read_to_any_end(stream: &mut TcpStream, limit: Duration) -> (usize, End) {
    stream.set_read_timeout(Some(limit)).unwrap();
    let (mut buffer, mut total) = (vec![0; BLOCK], 0);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (total, End::InOrder),
            Ok(count) => total += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return (total, End::None);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (total, End::Reset),
            Err(error) => panic!("{error}"),
        }
    }
}

fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

fn write_without_end(mut stream: &TcpStream) {
    let block = sample(1, BLOCK);
    while stream.write_all(&block).is_ok() {}
}

/// A target that writes without end.
fn source() -> SocketAddr {
    target(|stream| write_without_end(&stream))
}

/// A target that reports how each of its connections ended.
fn judge() -> (SocketAddr, Receiver<(usize, End)>) {
    let (report, reports) = channel();
    let address = target(move |mut stream| {
        let _ = report.send(read_to_any_end(&mut stream, PATIENCE));
    });
    (address, reports)
}

fn terminate(program: &mut Program) {
    program.signal(libc::SIGTERM);
    assert_eq!(program.wait(STOP_MAX).and_then(|status| status.code()), Some(0), "{}", program.log());
}

/// An application in the middle of a download from [`source`].
fn download(pair: &Pair) -> TcpStream {
    let mut app = pair.connect();
    app.read_exact(&mut vec![0; 1 << 20]).unwrap();
    app
}

/// An application that uploads to a target which gets more than a mebibyte of it.
fn upload(pair: &Pair) {
    let app = pair.connect();
    thread::spawn(move || write_without_end(&app));
    thread::sleep(Duration::from_millis(500));
}

/// CLI-25
#[test]
fn a_download_that_a_stopped_program_cuts_is_reset() {
    for smuxver in ["1", "2"] {
        for at_server in [true, false] {
            let mut pair = Pair::start(source(), &["--smuxver", smuxver]);
            let mut app = download(&pair);
            let reading = thread::spawn(move || read_to_any_end(&mut app, PATIENCE));
            terminate(if at_server { &mut pair.server } else { &mut pair.client });
            assert_eq!(reading.join().unwrap().1, End::Reset, "smux {smuxver}, server {at_server}");
        }
    }
}

/// CLI-25
#[test]
fn an_upload_that_a_stopped_program_cuts_is_reset() {
    for smuxver in ["1", "2"] {
        for at_server in [true, false] {
            let (target, ends) = judge();
            let mut pair = Pair::start(target, &["--smuxver", smuxver]);
            upload(&pair);
            terminate(if at_server { &mut pair.server } else { &mut pair.client });
            let (got, end) = ends.recv_timeout(PATIENCE).unwrap();
            assert!(got > BLOCK && end == End::Reset, "smux {smuxver}, server {at_server}: {got} {end:?}");
        }
    }
}

/// CLI-25: whether data flows or not.
#[test]
fn an_idle_connection_of_a_stopped_program_is_reset() {
    for at_server in [true, false] {
        let (target, ends) = judge();
        let mut pair = Pair::start(target, &[]);
        let mut app = pair.connect();
        app.write_all(b"hello").unwrap();
        pair.server.wait_for("stream opened");
        thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        terminate(if at_server { &mut pair.server } else { &mut pair.client });
        assert!(begun.elapsed() < Duration::from_secs(3), "nothing had to be waited for");
        assert_eq!(read_to_any_end(&mut app, PATIENCE), (0, End::Reset));
        assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), (5, End::Reset));
    }
}

/// CLI-57: the system resets the connections of a process that is killed.
#[test]
fn the_connections_of_a_killed_program_are_reset() {
    let mut pair = Pair::start(source(), &[]);
    let mut app = download(&pair);
    let reading = thread::spawn(move || read_to_any_end(&mut app, PATIENCE));
    pair.client.signal(libc::SIGKILL);
    assert!(pair.client.wait(STOP_MAX).is_some());
    assert_eq!(reading.join().unwrap().1, End::Reset);

    let (target, ends) = judge();
    let mut pair = Pair::start(target, &[]);
    upload(&pair);
    pair.server.signal(libc::SIGKILL);
    assert!(pair.server.wait(STOP_MAX).is_some());
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap().1, End::Reset);
}

/// CLI-25: a second signal ends the program at once, and leaves no stream that looks complete.
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let mut pair = Pair::start(source(), &[]);
    // Received completely, but not read.
    let app = download(&pair);
    pair.client.signal(libc::SIGTERM);
    pair.client.signal(libc::SIGINT);
    assert!(pair.client.wait(Duration::from_secs(3)).is_some());
    let mut app = app;
    assert_eq!(read_to_any_end(&mut app, PATIENCE).1, End::Reset);
}

/// CLI-25: a stop does not cut what has ended already.
#[test]
fn what_was_received_completely_is_delivered_by_a_stopped_program() {
    for smuxver in ["1", "2"] {
        // More than the sockets between program and application hold, and less than with the tunnel's window.
        let len = 4 << 20;
        let data = sample(3, len);
        let serve = move |mut stream: TcpStream| {
            stream.write_all(&data).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read(&mut [0]);
        };
        let mut pair = Pair::start(target(serve), &["--smuxver", smuxver]);
        let mut app = pair.connect();
        app.write_all(b"x").unwrap();
        app.read_exact(&mut vec![0; 1 << 20]).unwrap();
        thread::sleep(Duration::from_secs(1));
        pair.client.signal(libc::SIGTERM);
        thread::sleep(Duration::from_secs(1));
        let (got, end) = read_to_any_end(&mut app, PATIENCE);
        // The source of the other direction had not ended, but this one had.
        assert_eq!((got, end), (len - (1 << 20), End::InOrder), "smux {smuxver}");
        assert!(pair.client.wait(STOP_MAX).is_some());
    }
}

/// CLI-25
#[test]
fn what_was_sent_completely_arrives_from_a_stopped_program() {
    for smuxver in ["1", "2"] {
        let (report, ends) = channel();
        let serve = move |mut stream: TcpStream| {
            let _ = report.send(read_to_any_end(&mut stream, PATIENCE));
            // The reply is never complete.
            thread::sleep(PATIENCE);
        };
        let mut pair = Pair::start(target(serve), &["--smuxver", smuxver]);
        let mut app = pair.connect();
        app.write_all(&sample(4, 100_000)).unwrap();
        app.shutdown(Shutdown::Write).unwrap();
        pair.client.wait_for("stream opened");
        thread::sleep(Duration::from_millis(100));
        terminate(&mut pair.client);
        assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), (100_000, End::InOrder), "smux {smuxver}");
        assert_eq!(read_to_any_end(&mut app, PATIENCE), (0, End::Reset), "smux {smuxver}");
    }
}

/// CLI-57
#[test]
fn a_reset_by_the_target_resets_the_application() {
    for smuxver in ["1", "2"] {
        for len in [0, 3_000_000] {
            let serve = move |mut stream: TcpStream| {
                stream.write_all(&sample(5, len)).unwrap();
                // A reset discards what the socket still holds.
                thread::sleep(Duration::from_secs(1));
                reset(stream);
            };
            let pair = Pair::start(target(serve), &["--smuxver", smuxver]);
            let mut app = pair.connect();
            app.write_all(b"x").unwrap();
            assert_eq!(read_to_any_end(&mut app, PATIENCE), (len, End::Reset), "smux {smuxver}");
        }
    }
}

/// CLI-57
#[test]
fn a_reset_by_the_application_resets_the_target() {
    for smuxver in ["1", "2"] {
        for len in [0, 3_000_000] {
            let (target, ends) = judge();
            let pair = Pair::start(target, &["--smuxver", smuxver]);
            let mut app = pair.connect();
            app.write_all(&sample(6, len)).unwrap();
            pair.client.wait_for("stream opened");
            thread::sleep(Duration::from_millis(if len == 0 { 0 } else { 1000 }));
            reset(app);
            assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), (len, End::Reset), "smux {smuxver}");
        }
    }
}

/// CLI-57: closing with bytes unread resets a connection, but not what was sent before.
#[test]
fn a_reply_that_does_not_wait_for_the_whole_request_arrives() {
    for smuxver in ["1", "2"] {
        let serve = |mut stream: TcpStream| {
            stream.read_exact(&mut [0; 1000]).unwrap();
            stream.write_all(&sample(7, 200_000)).unwrap();
            thread::sleep(Duration::from_millis(300));
        };
        let pair = Pair::start(target(serve), &["--smuxver", smuxver]);
        let mut app = pair.connect();
        app.write_all(&sample(7, 100_000)).unwrap();
        assert_eq!(read_to_any_end(&mut app, PATIENCE), (200_000, End::Reset), "smux {smuxver}");
    }
}

/// CLI-22, CLI-57
#[test]
fn a_refused_target_resets_the_application() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pair = Pair::start(refused, &[]);
    let mut app = pair.connect();
    assert_eq!(read_to_any_end(&mut app, PATIENCE), (0, End::Reset));
    pair.server.wait_for("connect: connection refused");
}

/// CLI-23: half-close stays an end in order, in both directions.
#[test]
fn streams_that_end_in_order_are_not_reset() {
    for smuxver in ["1", "2"] {
        let pair = Pair::start(target(echo), &["--smuxver", smuxver]);
        for len in [0, 1, 2_000_000] {
            let mut app = pair.connect();
            let mut writer = app.try_clone().unwrap();
            let writing = thread::spawn(move || {
                writer.write_all(&sample(8, len)).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            assert_eq!(read_to_any_end(&mut app, PATIENCE), (len, End::InOrder), "smux {smuxver}");
            writing.join().unwrap();
        }
    }
}

/// One of Debian's programs, if they are installed.
fn kcptun(side: &str, words: &[&str]) -> Option<Program> {
    let path = format!("/usr/bin/kcptun-{side}");
    if !std::path::Path::new(&path).exists() {
        skipped("streams that are cut beside kcptun", "kcptun is not installed");
        return None;
    }
    let program = Program::start(&path, words);
    program.wait_for("key derivation done");
    thread::sleep(Duration::from_millis(300));
    Some(program)
}

/// CLI-25: kcptun has no message for a reset, so its end of the tunnel gets no end of the stream.
#[test]
fn a_stopped_server_ends_no_stream_of_kcptuns_client() {
    for smuxver in ["1", "2"] {
        let udp = free_udp();
        let local = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = start_server(source(), udp, &["--smuxver", smuxver]);
        let words = ["-r", &udp.to_string(), "-l", &local.to_string(), "--smuxver", smuxver];
        let Some(_client) = kcptun("client", &words) else { return };
        let mut app = connect(local);
        app.read_exact(&mut vec![0; 1 << 20]).unwrap();
        let reading = thread::spawn(move || read_to_any_end(&mut app, Duration::from_secs(8)));
        terminate(&mut server);
        assert_eq!(reading.join().unwrap().1, End::None, "smux {smuxver}");
    }
}

/// CLI-25
#[test]
fn a_stopped_client_ends_no_stream_of_kcptuns_server() {
    for smuxver in ["1", "2"] {
        let udp = free_udp();
        let (report, ends) = channel();
        let target = target(move |mut stream| {
            let _ = report.send(read_to_any_end(&mut stream, Duration::from_secs(8)));
        });
        let words = ["-t", &target.to_string(), "-l", &udp.to_string(), "--smuxver", smuxver];
        let Some(server) = kcptun("server", &words) else { return };
        let (client, local) = start_client(udp, &["--smuxver", smuxver]);
        let mut pair = Pair { server, client, local, udp };
        upload(&pair);
        terminate(&mut pair.client);
        let (got, end) = ends.recv_timeout(PATIENCE).unwrap();
        assert!(got > BLOCK && end == End::None, "smux {smuxver}: {got} {end:?}");
    }
}

/// SMUX-33: a client that has not heard its server yet cannot know whether that is kcptun's.
#[test]
fn a_reset_before_the_first_answer_reaches_kcptuns_server_as_an_end() {
    for smuxver in ["1", "2"] {
        let udp = free_udp();
        let (target, ends) = judge();
        let words = ["-t", &target.to_string(), "-l", &udp.to_string(), "--smuxver", smuxver];
        let Some(_server) = kcptun("server", &words) else { return };
        let (client, local) = start_client(udp, &["--smuxver", smuxver]);
        let app = connect(local);
        client.wait_for("stream opened");
        reset(app);
        // The first frame of the server may be a keepalive, which comes after 10 s.
        assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), (0, End::InOrder), "smux {smuxver}");
    }
}
