//! Just enough HTTP for scrapers: one GET per connection, bounded in size, time and number (CLI-37).

use super::wire::{Listener, Wire};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Bytes a request may have up to its empty line.
const REQUEST_BYTES_MAX: usize = 8192;
const HEADERS_MAX: usize = 64;
const CONNECTIONS_MAX: u32 = 16;
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

/// Answers with what `page` makes of a path and query. Runs for ever, on the thread's LocalSet.
pub async fn serve(listener: Listener, page: impl AsyncFn(&str) -> Page + 'static) {
    let page = Rc::new(page);
    let open = Rc::new(Cell::new(0));
    loop {
        let Ok(wire) = listener.accept().await else {
            sleep(RETRY).await;
            continue;
        };
        if open.get() >= CONNECTIONS_MAX {
            continue;
        }
        let held = Held::new(&open);
        let page = Rc::clone(&page);
        tokio::task::spawn_local(async move {
            // Whoever asked too slowly or left is not waited for.
            let _ = exchange(&wire, page.as_ref()).await;
            drop(held);
        });
    }
}

/// One of the connections that count.
struct Held(Rc<Cell<u32>>);

impl Held {
    fn new(open: &Rc<Cell<u32>>) -> Self {
        open.set(open.get() + 1);
        Self(Rc::clone(open))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

async fn exchange(wire: &Wire, page: &impl AsyncFn(&str) -> Page) -> io::Result<()> {
    let page = match timeout(TRANSFER_LIMIT, read_request(wire)).await?? {
        None => return Ok(()),
        Some(Ok(target)) => page(&target).await,
        Some(Err(refusal)) => refusal,
    };
    timeout(TRANSFER_LIMIT, write_all(wire, &response(&page))).await??;
    wire.shutdown_write();
    Ok(())
}

/// Path and query, or why there are none; `None` when the client left.
async fn read_request(wire: &Wire) -> io::Result<Option<Result<String, Page>>> {
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
        if let Some(request) = parse(&head) {
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
fn parse(head: &[u8]) -> Option<Result<String, Page>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let refuse = |status: &'static str| Some(Err(Page::text(status, status)));
    match request.parse(head) {
        Ok(httparse::Status::Partial) if head.len() < REQUEST_BYTES_MAX => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            refuse("431 Request Header Fields Too Large")
        }
        Err(_) => refuse("400 Bad Request"),
        Ok(_) if request.method != Some("GET") => refuse("405 Method Not Allowed"),
        Ok(_) => Some(Ok(request.path.unwrap_or_default().to_owned())),
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
        parse(head).map(|request| request.map_err(|page| page.status[..3].to_owned()))
    }

    // CLI-37
    #[test]
    fn only_small_whole_gets_are_answered_with_a_page() {
        let refused = |code: &str| Some(Err(code.to_owned()));
        assert_eq!(parsed(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"), Some(Ok("/x".into())));
        assert_eq!(parsed(b"GET /x?debug=1 HTTP/1.0\r\n\r\n"), Some(Ok("/x?debug=1".into())));
        assert_eq!(parsed(b"POST /x HTTP/1.1\r\n\r\n"), refused("405"));
        assert_eq!(parsed(b"\x16\x03\x01\x02\x00"), refused("400"));
        assert_eq!(parsed(b"GET /x HTTP/1.1\r\nHost: a\r\n"), None);
        assert_eq!(parsed(&[&b"GET /"[..], &[b'x'; REQUEST_BYTES_MAX]].concat()), refused("431"));
        let many = "A: b\r\n".repeat(HEADERS_MAX + 1);
        assert_eq!(parsed(format!("GET /x HTTP/1.1\r\n{many}\r\n").as_bytes()), refused("431"));
    }
}
