//! A log that is not read, or that has no room, does not stop the tunnel.
use crate::common::{PATIENCE, Program, connect, echo, exchange, free_udp, start_client, target};
use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server whose standard error is a pipe of one page, and the end of the pipe that is not read yet.
fn server_with_a_pipe(udp: SocketAddr) -> (Child, File) {
    let mut ends = [0; 2];
    // SAFETY: pipe2 writes two descriptors into the array; each is owned by exactly one object below.
    let (read, write) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (File::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    // SAFETY: the descriptor is open, and the call only changes the pipe's size.
    assert!(unsafe { libc::fcntl(read.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) } >= 4096);
    let target = target(echo).to_string();
    let server = Command::new(env!("CARGO_BIN_EXE_karst-server"))
        .args(["-t", &target, "-l", &udp.to_string()])
        .stdout(Stdio::null())
        .stderr(write)
        .spawn()
        .unwrap();
    (server, read)
}

/// Opens streams one after the other on many threads; the server logs two lines for each.
fn short_streams(local: SocketAddr, count: usize) {
    let open = move || {
        for _ in 0..count / 50 {
            assert_eq!(exchange(connect(local), b"short".to_vec()), b"short");
        }
    };
    let threads: Vec<_> = (0..50).map(|_| thread::spawn(open)).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn terminate(child: &Child) {
    // SAFETY: the child has not been waited for, so its process id is still valid.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
}

// CLI-60
#[test]
fn a_pipe_that_is_not_read_stops_no_stream() {
    let udp = free_udp();
    let (mut server, mut log) = server_with_a_pipe(udp);
    let (_client, local) = start_client(udp, &["--quiet"]);
    let mut live = connect(local);
    let mut answer = [0; 4];
    live.write_all(b"ping").unwrap();
    live.read_exact(&mut answer).unwrap();
    short_streams(local, 3000);
    live.write_all(b"pong").unwrap();
    live.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"pong");
    // Once the log is read, it continues, and states how much of it is missing.
    let reading = thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    });
    thread::sleep(Duration::from_millis(300));
    assert_eq!(exchange(connect(local), b"after".to_vec()), b"after");
    thread::sleep(Duration::from_millis(300));
    terminate(&server);
    assert!(server.wait().unwrap().success());
    let text = reading.join().unwrap();
    let lost = text.lines().find_map(|line| line.split_once("log: lines dropped: "));
    let (_, lost) = lost.unwrap_or_else(|| panic!("no count in a log of {} bytes", text.len()));
    let lost: usize = lost.split(' ').next().unwrap().parse().unwrap();
    let kept = text.matches("stream opened").count() + text.matches("stream closed").count();
    // One stream is still open at the end, or its line is.
    assert!((6003..=6004).contains(&(kept + lost)), "{kept} lines kept and {lost} dropped");
}

// CLI-60, CLI-25
#[test]
fn a_program_with_a_blocked_log_ends_in_time() {
    let udp = free_udp();
    let (mut server, log) = server_with_a_pipe(udp);
    let (_client, local) = start_client(udp, &["--quiet"]);
    short_streams(local, 100);
    terminate(&server);
    let since = Instant::now();
    while server.try_wait().unwrap().is_none() {
        if since.elapsed() > PATIENCE {
            let _ = server.kill();
            panic!("still running");
        }
        thread::sleep(Duration::from_millis(10));
    }
    drop(log);
}

// CLI-60: the device that is always full.
#[test]
fn a_full_disk_stops_no_stream() {
    let udp = free_udp();
    let target = target(echo).to_string();
    let mut server = Program::server(&["-t", &target, "-l", &udp.to_string(), "--log", "/dev/full"]);
    let (_client, local) = start_client(udp, &["--quiet"]);
    short_streams(local, 100);
    server.signal(libc::SIGTERM);
    assert!(server.wait(PATIENCE).unwrap().success());
    assert_eq!(server.log(), "");
}
