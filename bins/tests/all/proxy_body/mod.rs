//! Bodies of the proxies' fuzz targets, shared with the replay of their corpora. Their work is linear in the input, so that the
//! limit of steps sees a parser whose work is not.

#![allow(unreachable_pub, reason = "shared with the fuzz target")]

use bins::proxy::allow::AllowList;
use bins::proxy::http::{self, Kind};
use bins::proxy::request::{self, Destination, Parsed, encode, parse};
use bins::proxy::socks5::{self, Step};
use std::net::SocketAddr;

/// Positions at which an input is cut: a few, which its first byte varies.
fn cuts(data: &[u8]) -> impl Iterator<Item = usize> {
    let first = usize::from(data.first().copied().unwrap_or(0));
    let len = data.len();
    [0, 1, 2, 3, first % (len + 1), len / 2, len.saturating_sub(1), len]
        .into_iter()
        .filter(move |at| *at <= len)
}

/// What an application sends to a SOCKS5 proxy, and a client to its server: whatever comes in pieces is read as at once, and
/// what was read can be written and read again.
pub fn socks_request(data: &[u8]) {
    steps(data, |bytes| socks5::greeting(bytes, data.len() & 1 == 1));
    steps(data, |bytes| socks5::password(bytes, Some("user:pass")));
    if let Step::Done(destination, _) = steps(data, socks5::connect) {
        is_written_and_read(&destination);
    }
    let whole = parse(data);
    for at in cuts(data).filter(|_| !request::is_text(data)) {
        match parse(&data[..at]) {
            Parsed::Incomplete => {}
            decided => assert_eq!(decided, whole, "cut at {at}"),
        }
    }
    if let Parsed::Complete(destination, len) = whole {
        assert!(len <= data.len());
        is_written_and_read(&destination);
    }
    allowed(data);
}

/// Every answer but that more is needed is the same with more bytes.
fn steps<T: PartialEq + std::fmt::Debug>(data: &[u8], step: impl Fn(&[u8]) -> Step<T>) -> Step<T> {
    let whole = step(data);
    for at in cuts(data) {
        match step(&data[..at]) {
            Step::Incomplete => {}
            decided => assert_eq!(decided, whole, "cut at {at}"),
        }
    }
    if let Step::Done(_, len) = &whole {
        assert!(*len <= data.len());
    }
    whole
}

fn is_written_and_read(destination: &Destination) {
    let bytes = encode(destination);
    assert!(bytes.len() <= request::REQUEST_BYTES_MAX);
    assert_eq!(parse(&bytes), Parsed::Complete(destination.clone(), bytes.len()));
    if let Destination::Name(name, port) = destination {
        assert_eq!(request::destination(&format!("{name}:{port}")).as_ref(), Some(destination));
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

/// Any text as an allow list: without a range of its own, no list leads to a private address.
fn allowed(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(256)]);
    let Ok(list) = AllowList::parse(&text) else { return };
    let inside: SocketAddr = ([127, 0, 0, 1], 80).into();
    let named = text.contains("127") || text.to_lowercase().contains("7f");
    for destination in [Destination::Address(inside), Destination::Name("localhost".into(), 80)] {
        assert!(named || !list.permits(&destination, inside, true), "{text}");
    }
}

/// What an application sends to an HTTP proxy: a head is read when it is complete, as at once, and what a server gets of it is
/// one request with one host; a body that comes in pieces ends where it ends at once.
pub fn http_head(data: &[u8]) {
    let whole = http::parse(data);
    for at in cuts(data) {
        match http::parse(&data[..at]) {
            Ok(None) => {}
            Ok(Some(head)) => assert_eq!(Ok(Some(head)), whole, "cut at {at}"),
            Err(status) => assert!(status.starts_with('4') && whole.is_err(), "cut at {at}: {status}"),
        }
    }
    let Ok(Some(head)) = whole else { return };
    assert!(head.len <= data.len());
    assert_eq!(http::parse(&data[..head.len]), Ok(Some(head.clone())), "bytes behind the head matter");
    is_written_and_read(&head.destination);
    let Kind::Request(bytes, body) = head.kind else { return };
    is_one_request(&bytes);
    let rest = &data[head.len..];
    let mut at_once = body;
    let whole = at_once.take(rest);
    for at in cuts(rest) {
        let mut cut = body;
        let (first, complete) = match cut.take(&rest[..at]) {
            Ok(taken) => taken,
            Err(status) => {
                assert_eq!(whole, Err(status));
                continue;
            }
        };
        let second = if complete { Ok((0, true)) } else { cut.take(&rest[first..]) };
        assert_eq!(second.map(|(n, complete)| (first + n, complete)), whole, "cut at {at}");
    }
}

fn is_one_request(bytes: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    assert!(request.path.unwrap().starts_with('/'));
    let count =
        |name: &str| request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count();
    assert_eq!(count("host"), 1);
    for left_out in ["proxy-connection", "proxy-authorization", "upgrade", "http2-settings"] {
        assert_eq!(count(left_out), 0, "{left_out}");
    }
    let framings = count("content-length") + count("transfer-encoding");
    assert!(framings <= 1, "{framings} lengths");
}
