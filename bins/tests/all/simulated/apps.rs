//! Small applications and targets for the simulated network.

use super::world::{LOCAL, TARGET, TCP_BUFFER_BYTES};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use turmoil_net::shim::tokio::net::{TcpListener, TcpStream};

/// Serves connections with `serve`, without end.
pub(super) async fn target<F>(serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let listener = TcpListener::bind(TARGET).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::task::spawn_local(serve(stream));
    }
}

/// Echoes all bytes.
pub(super) async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; TCP_BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.shutdown().await,
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

/// Reads to the end, then echoes all bytes.
pub(super) async fn echo_at_end(mut stream: TcpStream) -> io::Result<()> {
    let got = read_all(&mut stream).await?;
    stream.write_all(&got).await?;
    stream.shutdown().await?;
    // The shim discards what a dropped socket has not sent, unlike a kernel.
    sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// As [`echo`], at `step` per buffer.
pub(super) async fn slow_echo(mut stream: TcpStream, step: Duration) -> io::Result<()> {
    let mut buffer = vec![0; TCP_BUFFER_BYTES];
    loop {
        sleep(step).await;
        match stream.read(&mut buffer).await? {
            0 => return stream.shutdown().await,
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

/// Echoes, at one buffer per 100 ms if the first byte is `s`, else at once.
pub(super) async fn slow_or_quick_echo(stream: TcpStream) -> io::Result<()> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first == *b"s" { slow_echo(stream, Duration::from_millis(100)).await } else { echo(stream).await }
}

/// Does not read until `gate` is open, then echoes.
pub(super) async fn gated_echo(stream: TcpStream, gate: Rc<Cell<bool>>) -> io::Result<()> {
    while !gate.get() {
        sleep(Duration::from_millis(10)).await;
    }
    echo(stream).await
}

/// A connection to the client.
pub(super) async fn connect() -> TcpStream {
    TcpStream::connect(LOCAL).await.unwrap()
}

/// Writes `data` through the tunnel, half-closes, and reads to the end, or to an error.
pub(super) async fn exchange(data: Vec<u8>) -> Vec<u8> {
    let (mut reader, mut writer) = connect().await.into_split();
    tokio::task::spawn_local(async move {
        let _ = writer.write_all(&data).await;
        let _ = writer.shutdown().await;
    });
    let mut got = Vec::new();
    let mut buffer = vec![0; TCP_BUFFER_BYTES];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        got.extend_from_slice(&buffer[..count]);
    }
    got
}

/// Writes `data`, counting accepted bytes, then reads as many bytes as it wrote.
pub(super) async fn counted_exchange(data: Vec<u8>, taken: Rc<Cell<usize>>) -> Vec<u8> {
    let (mut reader, mut writer) = connect().await.into_split();
    let len = data.len();
    tokio::task::spawn_local(async move {
        for piece in data.chunks(1000) {
            writer.write_all(piece).await.unwrap();
            taken.set(taken.get() + piece.len());
        }
    });
    let mut got = Vec::new();
    let mut buffer = vec![0; TCP_BUFFER_BYTES];
    while got.len() < len {
        let count = reader.read(&mut buffer).await.unwrap();
        assert!(count > 0, "ended after {} bytes", got.len());
        got.extend_from_slice(&buffer[..count]);
    }
    got
}

/// Writes `data` and ends; returns the bytes received before the end, and the kind of end.
pub(super) async fn talk(data: &'static [u8]) -> (Vec<u8>, io::Result<()>) {
    let mut stream = connect().await;
    if let Err(error) = stream.write_all(data).await {
        return (Vec::new(), Err(error));
    }
    let mut got = Vec::new();
    let mut buffer = vec![0; TCP_BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return (got, Ok(())),
            Ok(count) => got.extend_from_slice(&buffer[..count]),
            Err(error) => return (got, Err(error)),
        }
    }
}

/// Sends a line every `step` and waits for its echo; returns the number of echoes until the stream ended or `end` was set.
pub(super) async fn ping(step: Duration, pings: Rc<Cell<u32>>, end: Rc<Cell<bool>>) -> io::Result<()> {
    let mut stream = connect().await;
    while !end.get() {
        let line = pings.get().to_be_bytes();
        stream.write_all(&line).await?;
        let mut back = [0; 4];
        stream.read_exact(&mut back).await?;
        assert_eq!(back, line);
        pings.set(pings.get() + 1);
        sleep(step).await;
    }
    stream.shutdown().await
}

async fn read_all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut got = Vec::new();
    let mut buffer = vec![0; TCP_BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(got),
            count => got.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Bytes that compress in parts and differ by seed.
pub(super) fn sample(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise = |at: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if (at / 4096).is_multiple_of(2) { (state >> 56) as u8 } else { (at % 61) as u8 }
    };
    (0..len).map(noise).collect()
}

/// Counts the bytes that it reads.
pub(super) async fn count(mut stream: TcpStream, got: Rc<Cell<usize>>) -> io::Result<()> {
    let mut buffer = vec![0; TCP_BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => got.set(got.get() + count),
        }
    }
}

/// Writes `data` until the client has all of it, and keeps the connection.
pub(super) async fn write_and_keep(data: Vec<u8>) -> TcpStream {
    let mut stream = connect().await;
    stream.write_all(&data).await.unwrap();
    sleep(Duration::from_millis(5)).await;
    stream
}

/// As [`exchange`], and whether the stream ended in order.
pub(super) async fn judged_exchange(data: Vec<u8>) -> (Vec<u8>, bool) {
    let Ok(stream) = TcpStream::connect(LOCAL).await else { return (Vec::new(), false) };
    let (mut reader, mut writer) = stream.into_split();
    tokio::task::spawn_local(async move {
        let _ = writer.write_all(&data).await;
        let _ = writer.shutdown().await;
    });
    let mut got = Vec::new();
    let mut buffer = vec![0; TCP_BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return (got, true),
            Ok(count) => got.extend_from_slice(&buffer[..count]),
            Err(_) => return (got, false),
        }
    }
}
