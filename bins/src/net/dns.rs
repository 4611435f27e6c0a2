//! Lookups at the resolvers of `--dns`, for when that of the system does not answer (CLI-120).

use super::address::resolve;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long the system's resolver may take.
const SYSTEM_LIMIT: Duration = Duration::from_secs(2);

/// How long one of the resolvers may take.
const RESOLVER_LIMIT: Duration = Duration::from_secs(1);

const PORT: u16 = 53;

/// Parts of a message, and values in it (RFC 1035 sections 3.2.4, 3.1 and 4.1.1).
const HEAD_BYTES: usize = 12;
const NAME_BYTES_MAX: usize = 255;
const IN: u8 = 1;
const NO_SUCH_NAME: u8 = 3;

/// Largest answer over UDP without an extension (RFC 1035 section 4.2.1).
const DATAGRAM_BYTES_MAX: usize = 512;

/// Resolvers that are asked in turn; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolvers(Vec<SocketAddr>);

impl Resolvers {
    /// Reads `IP[:PORT],...`, with brackets around IPv6.
    ///
    /// # Errors
    /// The entry that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entry = |entry: &str| {
            let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
            let with_port = entry.parse().ok();
            with_port.or_else(|| bare.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, PORT)))
        };
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let found = entries.map(|text| entry(text).ok_or_else(|| format!("{text:?} is no IP[:PORT]")));
        found.collect::<Result<_, _>>().map(Self)
    }

    /// As [`resolve`]; the resolvers are asked when the system's fails otherwise than by the statement that there is no such
    /// name, or takes longer than two seconds.
    ///
    /// # Errors
    /// There is no such name, or no resolver answered.
    pub async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if self.0.is_empty() {
            return resolve(host, port).await;
        }
        match timeout(SYSTEM_LIMIT, resolve(host, port)).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) if is_no_name(&error) => return Err(error),
            Ok(Err(_)) | Err(_) => {}
        }
        let mut failed = None;
        for resolver in &self.0 {
            match timeout(RESOLVER_LIMIT, ask(*resolver, host)).await {
                Ok(Ok(found)) if found.is_empty() => {
                    let reason = format!("lookup {host} on {resolver}: no such host");
                    return Err(io::Error::new(io::ErrorKind::NotFound, reason));
                }
                Ok(Ok(found)) => return Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()),
                Ok(Err(error)) => failed = Some(format!("lookup {host} on {resolver}: {error}")),
                Err(_) => failed = Some(format!("lookup {host} on {resolver}: i/o timeout")),
            }
        }
        Err(io::Error::other(failed.unwrap_or_default()))
    }
}

/// Whether the system's resolver stated that a name does not exist or has no address: the texts of glibc and of musl, since
/// the numbers are not passed on.
fn is_no_name(error: &io::Error) -> bool {
    const TEXTS: [&str; 4] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
    ];
    let text = error.to_string();
    TEXTS.iter().any(|known| text.contains(known))
}

/// A type of record (RFC 1035 section 3.2.2, RFC 3596).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    A = 1,
    Aaaa = 28,
}

/// The addresses of a name, IPv4 first; none if it does not exist.
async fn ask(resolver: SocketAddr, host: &str) -> io::Result<Vec<IpAddr>> {
    let (four, six) = tokio::join!(query(resolver, host, Kind::A), query(resolver, host, Kind::Aaaa));
    match (four, six) {
        (Err(error), Err(_)) => Err(error),
        (four, six) => Ok([four.unwrap_or_default(), six.unwrap_or_default()].concat()),
    }
}

async fn query(resolver: SocketAddr, host: &str, kind: Kind) -> io::Result<Vec<IpAddr>> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let request = request(id, host, kind).ok_or(io::ErrorKind::InvalidInput)?;
    let any: SocketAddr = match resolver {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Only datagrams of the resolver arrive at a connected socket.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(&request).await?;
    let mut answer = [0; DATAGRAM_BYTES_MAX];
    loop {
        let len = socket.recv(&mut answer).await?;
        match addresses(&answer[..len], &request, kind) {
            None => {}
            Some(Answer::Truncated) => break,
            Some(Answer::Complete(found)) => return found,
        }
    }
    let mut stream = TcpStream::connect(resolver).await?;
    match addresses(&exchange(&mut stream, &request).await?, &request, kind) {
        Some(Answer::Complete(found)) => found,
        Some(Answer::Truncated) | None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Sends a request and reads its answer over TCP, where a length stands before each (RFC 1035 section 4.2.2).
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let len = u16::try_from(request.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), request].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// A question with the wish for recursion (RFC 1035 section 4.1); `None` if the name is none.
fn request(id: [u8; 2], host: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut bytes = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in host.trim_end_matches('.').split('.') {
        let len = u8::try_from(label.len()).ok().filter(|len| (1..=63).contains(len))?;
        bytes.push(len);
        bytes.extend_from_slice(label.as_bytes());
    }
    let name_bytes = bytes.len() + 1 - HEAD_BYTES;
    bytes.extend([0, 0, kind as u8, 0, IN]);
    (name_bytes <= NAME_BYTES_MAX).then_some(bytes)
}

#[derive(Debug)]
enum Answer {
    /// It has to be requested over TCP.
    Truncated,
    Complete(io::Result<Vec<IpAddr>>),
}

/// The addresses in an answer; the resolver has followed aliases. `None` if it is none to this request.
fn addresses(bytes: &[u8], request: &[u8], kind: Kind) -> Option<Answer> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let (question, mut records) = rest.split_at_checked(request.len() - HEAD_BYTES)?;
    let is_answer = head[..2] == request[..2] && head[2] & 0x80 != 0 && head[4..6] == request[4..6];
    if !is_answer || !question.eq_ignore_ascii_case(&request[HEAD_BYTES..]) {
        return None;
    }
    if head[2] & 2 != 0 {
        return Some(Answer::Truncated);
    }
    match head[3] & 15 {
        0 => {}
        NO_SUCH_NAME => return Some(Answer::Complete(Ok(Vec::new()))),
        code => {
            return Some(Answer::Complete(Err(io::Error::other(format!(
                "the resolver failed with code {code}"
            )))));
        }
    }
    let mut found = Vec::new();
    for _ in 0..u16::from_be_bytes([head[6], head[7]]) {
        let fixed;
        (fixed, records) = behind_name(records)?.split_at_checked(10)?;
        let data;
        (data, records) = records.split_at_checked(usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))?;
        if fixed[..4] == [0, kind as u8, 0, IN] {
            found.push(match kind {
                Kind::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
                Kind::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
            });
        }
    }
    Some(Answer::Complete(Ok(found)))
}

/// What follows a name, which may end with a reference.
fn behind_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        match bytes.first()? {
            0 => return bytes.get(1..),
            len @ 1..=63 => bytes = bytes.get(1 + usize::from(*len)..)?,
            0xc0.. => return bytes.get(2..),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-120
    #[test]
    fn resolvers_have_addresses_and_ports() {
        let parsed = |text: &str| Resolvers::parse(text).map(|found| format!("{:?}", found.0));
        let several = parsed("9.9.9.9:5353, 1.1.1.1,[::1]:54,::1,[::2],");
        assert_eq!(several.as_deref(), Ok("[9.9.9.9:5353, 1.1.1.1:53, [::1]:54, [::1]:53, [::2]:53]"));
        assert_eq!(parsed(""), Ok("[]".into()));
        for bad in ["resolver:53", "1.2.3.4:", "1.2.3.4:99999", "[::1"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    // CLI-120
    #[test]
    fn answers_of_other_questions_do_not_count() {
        let question = request([0, 7], "name.example.", Kind::A).unwrap();
        let mut answer = question.clone();
        (answer[2], answer[7]) = (0x81, 2);
        // An alias, whose name is a label and a reference; then the name by reference, type, class, seconds, length, address.
        answer.extend([1, b'x', 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
        let found = |bytes: &[u8], id, host: &str, kind| match addresses(
            bytes,
            &request(id, host, kind).unwrap(),
            kind,
        ) {
            Some(Answer::Complete(found)) => format!("{:?}", found.map_err(|error| error.to_string())),
            Some(Answer::Truncated) => "truncated".into(),
            None => "foreign".into(),
        };
        assert_eq!(found(&answer, [0, 7], "NAME.example", Kind::A), "Ok([192.0.2.1])");
        assert_eq!(found(&answer, [0, 8], "name.example", Kind::A), "foreign");
        assert_eq!(found(&answer, [0, 7], "other.example", Kind::A), "foreign");
        assert_eq!(found(&answer, [0, 7], "name.example", Kind::Aaaa), "foreign");
        assert_eq!(found(&question, [0, 7], "name.example", Kind::A), "foreign", "the question itself");
        for len in 0..answer.len() {
            assert_eq!(found(&answer[..len], [0, 7], "name.example", Kind::A), "foreign", "{len} bytes");
        }
        let coded = |flags, code| {
            let mut bytes = question.clone();
            (bytes[2], bytes[3]) = (flags, code);
            found(&bytes, [0, 7], "name.example", Kind::A)
        };
        let failed = "Err(\"the resolver failed with code 2\")";
        assert_eq!([coded(0x81, 3), coded(0x81, 2), coded(0x83, 0)], ["Ok([])", failed, "truncated"]);
    }

    // CLI-120
    #[test]
    fn only_names_are_asked_for() {
        let long = format!("{0}.{0}.{0}.{0}", "n".repeat(63));
        let label = "n".repeat(64);
        for host in ["", "a..b", &long, &label] {
            assert_eq!(request([0, 0], host, Kind::A), None, "{host}");
        }
        assert!(request([0, 0], &long[..253], Kind::A).is_some());
    }

    // CLI-120
    #[test]
    fn names_that_do_not_exist_are_told_from_failures() {
        let looked_up =
            |reason: &str| io::Error::other(format!("failed to lookup address information: {reason}"));
        assert!(is_no_name(&looked_up("Name or service not known")));
        assert!(!is_no_name(&looked_up("Temporary failure in name resolution")));
    }
}
