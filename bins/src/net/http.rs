//! Just enough HTTP for scrapers: one GET per connection, bounded in size, time and number (CLI-37).
//!
//! A connection beyond the bound ends one that is slow, so that slow ones do not delay others (CLI-61).

use super::hosts::{Hosts, source_of};
use super::wire::{Listener, Wire};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// Bytes a request may have up to its empty line.
const REQUEST_BYTES_MAX: usize = 8192;
const HEADERS_MAX: usize = 64;
const CONNECTIONS_MAX: usize = 16;
/// For the whole request to come, and for the whole answer to leave.
const TRANSFER_LIMIT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Code and reason.
    pub status: &'static str,
    /// MIME type.
    pub kind: &'static str,
    /// Content.
    pub body: Vec<u8>,
}

impl Page {
    /// One line of text.
    pub fn text(status: &'static str, line: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: format!("{line}\n").into_bytes() }
    }
}

/// Answers requests for `hosts` with what `page` makes of a path and query. Runs without end, on the thread's LocalSet.
pub async fn serve(listener: Listener, hosts: Hosts, page: impl AsyncFn(&str) -> Page + 'static) {
    let (page, hosts) = (Rc::new(page), Rc::new(hosts));
    let open = Rc::new(Open::default());
    loop {
        let Ok(wire) = listener.accept().await else {
            sleep(RETRY).await;
            continue;
        };
        let Some(held) = open.add(wire.peer().map(|peer| source_of(peer.ip()))) else { continue };
        let (page, hosts) = (Rc::clone(&page), Rc::clone(&hosts));
        tokio::task::spawn_local(async move {
            tokio::select! {
                biased;
                // A connection that is too slow, or was left, is not waited for.
                _ = exchange(&wire, &held.connection, &hosts, page.as_ref()) => {}
                () = held.connection.ended.notified() => {}
            }
        });
        // A request that has arrived already is answered before another connection can end this one.
        yield_now().await;
    }
}

/// The open connections in the order of their acceptance.
#[derive(Debug, Default)]
struct Open {
    connections: RefCell<BTreeMap<u64, Rc<Connection>>>,
    accepted: Cell<u64>,
}

#[derive(Debug)]
struct Connection {
    source: Option<IpAddr>,
    /// The page is being made, which is no fault of the client.
    waits_for_page: Cell<bool>,
    ended: Notify,
}

/// A connection that counts until it is dropped.
struct Held {
    open: Rc<Open>,
    number: u64,
    connection: Rc<Connection>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.connections.borrow_mut().remove(&self.number);
    }
}

impl Open {
    /// Counts a connection; `None` when there are too many of which none is slow.
    fn add(self: &Rc<Self>, source: Option<IpAddr>) -> Option<Held> {
        if self.connections.borrow().len() >= CONNECTIONS_MAX {
            let number = self.slow()?;
            self.connections.borrow_mut().remove(&number)?.ended.notify_one();
        }
        let number = self.accepted.replace(self.accepted.get() + 1);
        let connection = Connection { source, waits_for_page: Cell::new(false), ended: Notify::new() };
        let connection = Rc::new(connection);
        self.connections.borrow_mut().insert(number, Rc::clone(&connection));
        Some(Held { open: Rc::clone(self), number, connection })
    }

    /// The connection to end: the oldest of the source that has most.
    fn slow(&self) -> Option<u64> {
        let connections = self.connections.borrow();
        let count = |source| connections.values().filter(|other| other.source == source).count();
        let slow = connections.iter().filter(|(_, connection)| !connection.waits_for_page.get());
        // Of equal ones the last maximum is taken, so the oldest come last.
        slow.rev().max_by_key(|(_, connection)| count(connection.source)).map(|(number, _)| *number)
    }
}

async fn exchange(
    wire: &Wire,
    connection: &Connection,
    hosts: &Hosts,
    page: &impl AsyncFn(&str) -> Page,
) -> io::Result<()> {
    let page = match timeout(TRANSFER_LIMIT, read_request(wire, hosts)).await?? {
        None => return Ok(()),
        Some(Ok(target)) => {
            connection.waits_for_page.set(true);
            let page = page(&target).await;
            connection.waits_for_page.set(false);
            page
        }
        Some(Err(refusal)) => refusal,
    };
    timeout(TRANSFER_LIMIT, write_all(wire, &response(&page))).await??;
    wire.shutdown_write();
    Ok(())
}

/// Path and query, or why there are none; `None` when the client left.
async fn read_request(wire: &Wire, hosts: &Hosts) -> io::Result<Option<Result<String, Page>>> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        match wire.try_read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => head.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wire.readable().await?;
                continue;
            }
            Err(error) => return Err(error),
        }
        if let Some(request) = parse(&head, hosts) {
            return Ok(Some(request));
        }
    }
}

async fn write_all(wire: &Wire, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match wire.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wire.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Path and query of a request, or why it is refused; `None` while its head is incomplete.
fn parse(head: &[u8], hosts: &Hosts) -> Option<Result<String, Page>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let refuse = |status: &'static str| Some(Err(Page::text(status, status)));
    match request.parse(head) {
        Ok(httparse::Status::Partial) if head.len() < REQUEST_BYTES_MAX => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            refuse("431 Request Header Fields Too Large")
        }
        Err(_) => refuse("400 Bad Request"),
        Ok(_) if host_of(&request).is_err() => refuse("400 Bad Request"),
        Ok(_) if !host_of(&request).is_ok_and(|host| host.is_none_or(|host| hosts.allow(host))) => {
            let text = "not a name of this machine: request its address, or add the name with --metrics-host";
            Some(Err(Page::text("403 Forbidden", text)))
        }
        Ok(_) if request.method != Some("GET") => refuse("405 Method Not Allowed"),
        Ok(_) => Some(Ok(request.path.unwrap_or_default().to_owned())),
    }
}

/// The header `Host`, which clients of HTTP/1.0 leave out.
///
/// # Errors
/// There are several, or it is no text.
fn host_of<'a>(request: &httparse::Request<'_, 'a>) -> Result<Option<&'a str>, ()> {
    let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(None),
        (Some(host), None) => std::str::from_utf8(host.value).map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

fn response(page: &Page) -> Vec<u8> {
    let Page { status, kind, body } = page;
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &[u8]) -> Option<Result<String, String>> {
        parse(head, &Hosts::default()).map(|request| request.map_err(|page| page.status[..3].to_owned()))
    }

    // CLI-37
    #[test]
    fn only_small_whole_gets_are_answered_with_a_page() {
        let refused = |code: &str| Some(Err(code.to_owned()));
        assert_eq!(parsed(b"GET /x HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"), Some(Ok("/x".into())));
        assert_eq!(parsed(b"GET /x?debug=1 HTTP/1.0\r\n\r\n"), Some(Ok("/x?debug=1".into())));
        assert_eq!(parsed(b"POST /x HTTP/1.1\r\n\r\n"), refused("405"));
        assert_eq!(parsed(b"\x16\x03\x01\x02\x00"), refused("400"));
        assert_eq!(parsed(b"GET /x HTTP/1.1\r\nHost: a\r\n"), None);
        assert_eq!(parsed(&[&b"GET /"[..], &[b'x'; REQUEST_BYTES_MAX]].concat()), refused("431"));
        let many = "A: b\r\n".repeat(HEADERS_MAX + 1);
        assert_eq!(parsed(format!("GET /x HTTP/1.1\r\n{many}\r\n").as_bytes()), refused("431"));
    }
    // CLI-61
    #[test]
    fn the_oldest_connection_of_the_source_with_most_ends_first() {
        let open = Rc::new(Open::default());
        let source = |number: u8| Some(IpAddr::from([192, 0, 2, number]));
        let first = open.add(source(1)).unwrap();
        let many: Vec<Held> = (1..CONNECTIONS_MAX).map(|_| open.add(source(2)).unwrap()).collect();
        many[0].connection.waits_for_page.set(true);
        let new: Vec<Held> = (3..10).map(|number| open.add(source(number)).unwrap()).collect();
        let lives = |held: &Held| open.connections.borrow().contains_key(&held.number);
        assert!(lives(&first) && lives(&many[0]) && new.iter().all(lives));
        let left: Vec<bool> = many[1..].iter().map(lives).collect();
        assert_eq!(left, (1..CONNECTIONS_MAX - 1).map(|place| place > 7).collect::<Vec<_>>());
        drop((first, many, new));
        assert!(open.connections.borrow().is_empty());
    }
}
