//! The traffic of the built-in proxies ([`crate::proxy`]).

use super::pipe::{Limits, PipeError, pipe};
use super::stream::Stream;
use crate::net::address::Address;
use crate::net::network::Network;
use crate::net::wire::Wire;
use crate::proxy::Ser;
use crate::proxy::allow::AllowList;
use crate::proxy::http::{self, Body, HEAD_BYTES_MAX, Head, Kind};
use crate::proxy::request::{self, ANSWER_BYTES, Destination, Parsed, code};
use crate::proxy::socks5::{self, Method, Step};
use engine::mux::{ReadError, WriteError};
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long an application, or a client, may take for its request.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// How long a server may take to look up and connect (kcptunb.md section 6.2).
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long the answer of a server may take, beyond its own limit.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// How long the rest of a response may take once the application has ended its direction.
const RESPONSE_REST: Duration = Duration::from_secs(30);

/// Time for an application to get the answer of a connection that is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// Reads after such an answer.
const DRAINED_MAX: usize = 64;

/// How long the rest of a request without a length may take.
const TEXT_LIMIT: Duration = Duration::from_secs(1);

/// Opens streams for applications.
pub(super) trait Opener {
    /// Opens a stream; `None` when the session fails.
    async fn open(&self) -> Option<Stream>;
}

/// Settings of a client's proxy.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) ser: Ser,
    /// `USER:PASSWORD` that applications must give.
    pub(super) auth: Option<String>,
    pub(super) limits: Limits,
}

/// Serves one connection of an application to its end.
pub(super) async fn serve(proxy: &Proxy, opener: &impl Opener, wire: &Wire) -> Result<(), PipeError> {
    let mut reader = Reader { wire, buffer: Vec::new() };
    match proxy.ser {
        Ser::Socks5 => socks(proxy, opener, &mut reader).await,
        Ser::Http => web(proxy, opener, &mut reader).await,
        Ser::Raw | Ser::Fast => Ok(()),
    }
}

/// An application's connection, and what was read ahead.
struct Reader<'w> {
    wire: &'w Wire,
    buffer: Vec<u8>,
}

impl Reader<'_> {
    /// Waits for more bytes.
    ///
    /// # Errors
    /// The connection broke, or ended: `UnexpectedEof`.
    async fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        loop {
            match self.wire.try_read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.buffer.extend_from_slice(&piece[..n]);
                    // An application that never pauses must not keep the thread.
                    tokio::task::coop::consume_budget().await;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wire.readable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads until `step` has its value; `None` if the application was refused, which it was told.
    async fn step<T>(&mut self, mut step: impl FnMut(&[u8]) -> Step<T>) -> io::Result<Option<T>> {
        let found = async {
            loop {
                match step(&self.buffer) {
                    Step::Incomplete => self.more().await?,
                    Step::Refuse(answer) => {
                        farewell(self.wire, &answer).await;
                        return Ok(None);
                    }
                    Step::Done(value, len) => {
                        self.buffer.drain(..len);
                        return Ok(Some(value));
                    }
                }
            }
        };
        timeout(REQUEST_LIMIT, found).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

async fn socks(proxy: &Proxy, opener: &impl Opener, reader: &mut Reader<'_>) -> Result<(), PipeError> {
    let needed = proxy.auth.is_some();
    let Some(method) = reader.step(|bytes| socks5::greeting(bytes, needed)).await? else { return Ok(()) };
    write_wire(reader.wire, &method.answer()).await?;
    if method == Method::Password {
        let wanted = proxy.auth.as_deref();
        let Some(()) = reader.step(|bytes| socks5::password(bytes, wanted)).await? else { return Ok(()) };
        write_wire(reader.wire, &[1, 0]).await?;
    }
    let Some(destination) = reader.step(socks5::connect).await? else { return Ok(()) };
    match dial(opener, &destination).await {
        Ok(stream) => {
            write_wire(reader.wire, &request::answer(code::CONNECTED)).await?;
            tunnel(&stream, reader, proxy.limits).await
        }
        Err(code) => {
            farewell(reader.wire, &request::answer(code)).await;
            Ok(())
        }
    }
}

async fn tunnel(stream: &Stream, reader: &mut Reader<'_>, limits: Limits) -> Result<(), PipeError> {
    write_stream(stream, &std::mem::take(&mut reader.buffer)).await?;
    pipe(stream, reader.wire, limits).await
}

async fn web(proxy: &Proxy, opener: &impl Opener, reader: &mut Reader<'_>) -> Result<(), PipeError> {
    let mut head = match timeout(REQUEST_LIMIT, next_head(reader)).await {
        Ok(head) => head?,
        Err(_) => Next::Refuse("408 Request Timeout"),
    };
    loop {
        let request = match head {
            Next::Head(request) => request,
            Next::End => return Ok(()),
            Next::Refuse(status) => return refuse(reader, status).await,
        };
        if !is_known(proxy, &request) {
            return refuse(reader, "407 Proxy Authentication Required").await;
        }
        let stream = match dial(opener, &request.destination).await {
            Ok(stream) => stream,
            Err(code) => return refuse(reader, status_of(code)).await,
        };
        match request.kind {
            Kind::Tunnel => {
                write_wire(reader.wire, http::ESTABLISHED).await?;
                return tunnel(&stream, reader, proxy.limits).await;
            }
            Kind::Request(bytes, body) => {
                write_stream(&stream, &bytes).await?;
                head = requests(proxy, reader, &stream, &request.destination, body).await?;
            }
        }
    }
}

fn is_known(proxy: &Proxy, head: &Head) -> bool {
    let Some(wanted) = &proxy.auth else { return true };
    let given = head.credentials.as_deref().unwrap_or_default();
    socks5::is_same(base64(wanted.as_bytes()).as_bytes(), given.as_bytes())
}

const fn status_of(code: u8) -> &'static str {
    match code {
        code::REFUSED => "403 Forbidden: the server's --ser-allow does not permit this destination",
        code::TIMEOUT => "504 Gateway Timeout",
        _ => "502 Bad Gateway",
    }
}

/// What an application sends next.
enum Next {
    Head(Head),
    Refuse(&'static str),
    End,
}

/// Waits for the next head. What was read is looked at again at the end of a line, or once it has doubled, so that an
/// application that sends single bytes does not cost the square of their number.
async fn next_head(reader: &mut Reader<'_>) -> io::Result<Next> {
    let mut looked_at = 0;
    loop {
        let empty = reader.buffer.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        reader.buffer.drain(..empty);
        let line_ended = reader.buffer.get(looked_at..).is_some_and(|new| new.contains(&b'\n'));
        if !line_ended && reader.buffer.len() < HEAD_BYTES_MAX.min(2 * looked_at) {
            reader.more().await?;
            continue;
        }
        looked_at = reader.buffer.len();
        match http::parse(&reader.buffer) {
            Ok(Some(head)) => {
                reader.buffer.drain(..head.len);
                return Ok(Next::Head(head));
            }
            Ok(None) => match reader.more().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Next::End),
                Err(error) => return Err(error),
            },
            Err(status) => return Ok(Next::Refuse(status)),
        }
    }
}

/// Carries requests to one destination, and its responses, until the application wants another one, or either side ends.
async fn requests(
    proxy: &Proxy,
    reader: &mut Reader<'_>,
    stream: &Stream,
    destination: &Destination,
    body: Body,
) -> Result<Next, PipeError> {
    let wire = reader.wire;
    let responses = async {
        let ended = responses(stream, wire).await;
        ended.map(|()| Next::End)
    };
    let requests = async {
        let mut body = body;
        loop {
            if let Some(status) = request_body(reader, stream, &mut body).await? {
                return Ok(Next::Refuse(status));
            }
            match next_head(reader).await? {
                Next::Head(head)
                    if head.destination == *destination
                        && matches!(head.kind, Kind::Request(..))
                        && is_known(proxy, &head) =>
                {
                    let Kind::Request(bytes, next) = head.kind else { continue };
                    write_stream(stream, &bytes).await?;
                    body = next;
                }
                Next::End => {
                    // kcptun's end closes a stream at once when one direction ends, so this one ends behind the response.
                    let () = timeout(RESPONSE_REST, pending()).await.unwrap_or_default();
                    return Ok(Next::End);
                }
                next => return Ok(next),
            }
        }
    };
    tokio::select! {
        biased;
        ended = responses => ended,
        next = requests => next,
        () = stream.cut() => Err(PipeError::Cut),
        _ = stream.stopping() => Err(PipeError::Stopping),
    }
}

/// Carries the body of a request; the status of the answer if it is malformed.
async fn request_body(
    reader: &mut Reader<'_>,
    stream: &Stream,
    body: &mut Body,
) -> Result<Option<&'static str>, PipeError> {
    loop {
        let (n, complete) = match body.take(&reader.buffer) {
            Ok(taken) => taken,
            Err(status) => return Ok(Some(status)),
        };
        let piece: Vec<u8> = reader.buffer.drain(..n).collect();
        write_stream(stream, &piece).await?;
        if complete {
            return Ok(None);
        }
        reader.more().await?;
    }
}

/// Carries responses until the stream ends, and ends the connection.
async fn responses(stream: &Stream, wire: &Wire) -> Result<(), PipeError> {
    loop {
        let taken = stream.read_with(|bytes| if bytes.is_empty() { Ok(0) } else { wire.try_write(bytes) });
        match taken {
            Ok(Ok(0)) => {
                wire.shutdown_write();
                let _ = stream.finish();
                let _ = timeout(FAREWELL, wire.acknowledged()).await;
                return Ok(());
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => wire.writable().await?,
            Ok(Err(error)) => return Err(PipeError::Wire(error)),
            Err(ReadError::Blocked) => stream.readable().await,
            Err(error) => return Err(PipeError::Read(error)),
        }
    }
}

async fn refuse(reader: &Reader<'_>, status: &str) -> Result<(), PipeError> {
    farewell(reader.wire, &http::refusal(status)).await;
    Ok(())
}

/// Writes the last answer, and ends the connection in order.
async fn farewell(wire: &Wire, answer: &[u8]) {
    let sent = async {
        write_wire(wire, answer).await?;
        wire.shutdown_write();
        wire.acknowledged().await;
        let mut piece = [0; 4096];
        // Bytes that were not read would turn the end into a reset; an application that goes on sending gets that.
        for _ in 0..DRAINED_MAX {
            if !wire.try_read(&mut piece).is_ok_and(|n| n > 0) {
                break;
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(FAREWELL, sent).await;
}

/// Opens a stream and requests a destination for it.
///
/// # Errors
/// The code of the answer to the application.
async fn dial(opener: &impl Opener, destination: &Destination) -> Result<Stream, u8> {
    let stream = opener.open().await.ok_or(code::GENERAL)?;
    let answered = async {
        write_stream(&stream, &request::encode(destination)).await.ok()?;
        read_answer(&stream).await
    };
    let answer = timeout(ANSWER_LIMIT, answered).await.map_err(|_| code::TIMEOUT)?;
    match answer {
        Some([5, code::CONNECTED, ..]) => Ok(stream),
        Some([5, code, ..]) => Err(code),
        _ => Err(code::UNREACHABLE),
    }
}

async fn read_answer(stream: &Stream) -> Option<[u8; ANSWER_BYTES]> {
    let mut answer = Vec::new();
    while answer.len() < ANSWER_BYTES {
        let piece = read(stream, ANSWER_BYTES - answer.len()).await.ok()?;
        if piece.is_empty() {
            return None;
        }
        answer.extend_from_slice(&piece);
    }
    answer.try_into().ok()
}

/// Up to `max` bytes of a stream; none at its end.
pub(super) async fn read(stream: &Stream, max: usize) -> Result<Vec<u8>, ReadError> {
    loop {
        let mut piece = Vec::new();
        let taken = stream.read_with(|bytes| {
            piece.extend_from_slice(&bytes[..bytes.len().min(max)]);
            Ok::<_, Infallible>(piece.len())
        });
        match taken {
            Ok(_) => return Ok(piece),
            Err(ReadError::Blocked) => stream.readable().await,
            Err(error) => return Err(error),
        }
    }
}

async fn write_stream(stream: &Stream, mut bytes: &[u8]) -> Result<(), PipeError> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(taken) => bytes = &bytes[taken..],
            Err(WriteError::Blocked) => stream.writable().await,
            Err(error) => return Err(PipeError::Write(error)),
        }
    }
    Ok(())
}

pub(super) async fn write_wire(wire: &Wire, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match wire.try_write(bytes) {
            Ok(taken) => bytes = &bytes[taken..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wire.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a client's request and connects where it says; the answer is sent. The bytes behind the request were written to
/// the connection. `Err` has the reason for the log.
pub(super) async fn accept(
    network: &dyn Network,
    allow: &AllowList,
    stream: &Stream,
) -> Result<Wire, String> {
    let requested = timeout(REQUEST_LIMIT, read_request(stream)).await;
    let (destination, early) = match requested.map_err(|_| "no request in time")? {
        Ok(request) => request,
        Err(Some(code)) => {
            finish(stream, code).await;
            return Err(format!("invalid request, answered with code {code}"));
        }
        Err(None) => return Err("the stream ended before its request".into()),
    };
    match connect(network, allow, &destination, &early).await {
        Ok((wire, sent)) => {
            let answered = write_stream(stream, &request::answer(code::CONNECTED)).await;
            answered.map_err(|error| error.to_string())?;
            write_wire(&wire, &early[sent..]).await.map_err(|error| error.to_string())?;
            Ok(wire)
        }
        Err((code, why)) => {
            finish(stream, code).await;
            Err(format!("{destination}: {why}"))
        }
    }
}

async fn finish(stream: &Stream, code: u8) {
    let _ = write_stream(stream, &request::answer(code)).await;
    let _ = stream.finish();
}

/// The destination, and the bytes behind the request. `Err` has the answer, if there is one.
async fn read_request(stream: &Stream) -> Result<(Destination, Vec<u8>), Option<u8>> {
    let mut bytes = Vec::new();
    loop {
        let limit = if request::is_text(&bytes) { TEXT_LIMIT } else { REQUEST_LIMIT };
        let piece = timeout(limit, read(stream, usize::MAX)).await.map_err(|_| Some(code::FAILED))?;
        let piece = piece.map_err(|_| None)?;
        if piece.is_empty() {
            return Err(None);
        }
        bytes.extend_from_slice(&piece);
        if request::is_text(&bytes) && stream.is_inside_frame() {
            continue;
        }
        match request::parse(&bytes) {
            Parsed::Incomplete => {}
            Parsed::Invalid(code) => return Err(Some(code)),
            Parsed::Complete(destination, len) => return Ok((destination, bytes.split_off(len))),
        }
    }
}

/// Connects to a destination that is allowed.
async fn connect(
    network: &dyn Network,
    allow: &AllowList,
    destination: &Destination,
    early: &[u8],
) -> Result<(Wire, usize), (u8, String)> {
    let until = Instant::now() + CONNECT_LIMIT;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => (code::TIMEOUT, error.to_string()),
        _ => (code::FAILED, error.to_string()),
    };
    let addresses: Vec<SocketAddr> = match destination {
        Destination::Address(address) => vec![*address],
        Destination::Name(name, port) => {
            let found = tokio::time::timeout_at(until, network.resolve(name, *port)).await;
            found
                .map_err(|_| (code::TIMEOUT, "looking up its name takes too long".to_owned()))?
                .map_err(failed)?
        }
    };
    // What is connected to is what was checked: the name is not looked up again.
    let permits = |to: &SocketAddr| allow.permits(destination, *to, is_own(to.ip()));
    let permitted: Vec<_> = addresses.into_iter().filter(permits).collect();
    let mut result = Err((code::REFUSED, "not permitted by --ser-allow".to_owned()));
    for (at, address) in permitted.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let to = Address::Tcp(address.ip().to_string(), address.port());
        let share = left / (permitted.len() - at) as u32;
        result = Wire::connect_with(network, &to, share, early).await.map_err(failed);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Whether an address is one of this machine: a socket can be bound to it.
fn is_own(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let word =
            piece.iter().enumerate().fold(0_u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at)) as usize & 63] as char;
            text.push(if at <= piece.len() { digit } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    // CLI-113
    #[test]
    fn credentials_are_base64() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("user:pass", "dXNlcjpwYXNz")]
        {
            assert_eq!(super::base64(plain.as_bytes()), text);
        }
    }
}
