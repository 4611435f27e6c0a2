//! The application's side of an HTTP proxy: CONNECT, and requests in absolute form (RFC 9110, RFC 9112).

use super::request::{Destination, destination};

/// Bytes of the longest head.
pub const HEAD_BYTES_MAX: usize = 32_768;

const FIELDS_MAX: usize = 128;

/// Fields that a server must not see: those between an application and its proxy, and offers of another protocol, which is
/// negotiated through CONNECT (RFC 6455 section 4.1). The host is that of the URI (RFC 9112 section 3.2.2).
const LEFT_OUT: [&str; 6] =
    ["proxy-connection", "proxy-authorization", "proxy-authenticate", "upgrade", "http2-settings", "host"];

/// A request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where it goes.
    pub destination: Destination,
    /// Bytes of the head.
    pub len: usize,
    /// What follows.
    pub kind: Kind,
    /// `USER:PASSWORD` in base64, if the request has such credentials.
    pub credentials: Option<String>,
}

/// What follows a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tunnel.
    Tunnel,
    /// The head for the server, and the body of the request.
    Request(Vec<u8>, Body),
}

/// The body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Bytes left.
    Length(u64),
    /// In chunks.
    Chunked(Chunks),
}

/// Reads a head.
///
/// # Errors
/// The status line of the answer: `400 Bad Request` and others.
pub fn parse(bytes: &[u8]) -> Result<Option<Head>, &'static str> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() >= HEAD_BYTES_MAX => return Err(TOO_LARGE),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
        Err(_) => return Err(BAD),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(BAD);
    };
    let credentials = field(request.headers, "proxy-authorization")
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .map(|(_, credentials)| credentials.trim().to_owned());
    if method == "CONNECT" {
        let destination = destination(target).ok_or(BAD)?;
        return Ok(Some(Head { destination, len, kind: Kind::Tunnel, credentials }));
    }
    let (authority, path) = split(target).ok_or(NO_PROXY_REQUEST)?;
    let with_port = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => authority.to_owned(),
        _ => format!("{authority}:80"),
    };
    let destination = destination(&with_port).ok_or(BAD)?;
    let body = body(request.headers, minor)?;
    let head =
        rewritten(&format!("{method} {path} HTTP/1.{minor}\r\nHost: {authority}\r\n"), request.headers);
    Ok(Some(Head { destination, len, kind: Kind::Request(head, body), credentials }))
}

fn rewritten(first_lines: &str, fields: &[httparse::Header<'_>]) -> Vec<u8> {
    let mut head = first_lines.as_bytes().to_vec();
    for field in
        fields.iter().filter(|field| !LEFT_OUT.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
    {
        let is_options = field.name.eq_ignore_ascii_case("connection");
        let value = if is_options { without_upgrade(field.value) } else { field.value.to_vec() };
        if is_options && value.is_empty() {
            continue;
        }
        head.extend_from_slice(field.name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(&value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The options of a connection without those of an upgrade.
fn without_upgrade(value: &[u8]) -> Vec<u8> {
    let is_upgrade =
        |option: &[u8]| LEFT_OUT[3..5].iter().any(|name| option.eq_ignore_ascii_case(name.as_bytes()));
    let options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    options.filter(|option| !is_upgrade(option)).collect::<Vec<_>>().join(&b", "[..])
}

/// The head was malformed.
pub const BAD: &str = "400 Bad Request";
const NO_PROXY_REQUEST: &str = "400 Bad Request: this is a proxy, which takes absolute URIs";
const TOO_LARGE: &str = "431 Request Header Fields Too Large";

/// Authority and path of `http://user@authority/path`. Some parsers take a backslash for a slash (WHATWG URL), so that they and this
/// one would disagree about the host.
fn split(target: &str) -> Option<(&str, String)> {
    let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"))?;
    let rest = &target[scheme.len()..];
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('\\') {
        return None;
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some((host, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }))
}

fn field<'f>(fields: &[httparse::Header<'f>], name: &str) -> Option<&'f str> {
    let found = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()
}

fn body(fields: &[httparse::Header<'_>], minor: u8) -> Result<Body, &'static str> {
    let all = |name| fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    let mut lengths = all("content-length");
    let mut codings = all("transfer-encoding");
    // Two lengths, or a length and chunks, are how requests are smuggled (RFC 9112 section 6.3).
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Body::Length(0)),
        (Some(coding), None) if minor > 0 && codings.next().is_none() => {
            let is_chunked = coding.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
            is_chunked.then(|| Body::Chunked(Chunks::default())).ok_or(BAD)
        }
        (None, Some(length)) if lengths.next().is_none() => {
            let digits = std::str::from_utf8(length.value).ok();
            let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).map(Body::Length).ok_or(BAD)
        }
        _ => Err(BAD),
    }
}

impl Body {
    /// How many of `bytes` belong to the body, and whether it is complete behind them.
    ///
    /// # Errors
    /// A chunk is malformed.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), &'static str> {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= n as u64;
                Ok((n, *left == 0))
            }
            Self::Chunked(chunks) => chunks.take(bytes),
        }
    }
}

/// Follows chunks to their end (RFC 9112 section 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    at: At,
    left: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Digits of a size were read, at least one.
    #[default]
    Size,
    SizeDigits,
    /// Behind the size, up to the end of the line.
    Extension,
    Data,
    /// The line end behind data.
    DataEnd,
    /// At the beginning of a trailer line, and inside of one.
    Trailer,
    TrailerLine,
}

impl Chunks {
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), &'static str> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.at == At::Data {
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
                (self.left, at) = (self.left - n as u64, at + n);
                if self.left == 0 {
                    self.at = At::DataEnd;
                }
                continue;
            }
            at += 1;
            if self.line(byte)? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// A byte outside of data; whether the body is complete.
    fn line(&mut self, byte: u8) -> Result<bool, &'static str> {
        self.at = match (self.at, byte) {
            (At::Size | At::SizeDigits, digit) if digit.is_ascii_hexdigit() => {
                let digit = (digit as char).to_digit(16).unwrap_or(0);
                self.left = self.left.checked_mul(16).ok_or(BAD)? + u64::from(digit);
                At::SizeDigits
            }
            (At::SizeDigits | At::Extension, b'\n') if self.left == 0 => At::Trailer,
            (At::SizeDigits | At::Extension, b'\n') => At::Data,
            (At::SizeDigits | At::Extension, _) => At::Extension,
            (At::DataEnd, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::Size,
            (At::Trailer, b'\n') => return Ok(true),
            (At::Trailer, b'\r') => At::Trailer,
            (At::TrailerLine, b'\n') => At::Trailer,
            (At::Trailer | At::TrailerLine, _) => At::TrailerLine,
            _ => return Err(BAD),
        };
        Ok(false)
    }
}

/// An answer that ends the connection.
pub fn refusal(status: &str) -> Vec<u8> {
    let status_line = status.split(':').next().unwrap_or(status);
    let challenge =
        if status.starts_with("407") { "Proxy-Authenticate: Basic realm=\"karst\"\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status_line}\r\n{challenge}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{status}\n",
        status.len() + 1
    )
    .into_bytes()
}

/// The answer to a CONNECT that succeeded.
pub const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
