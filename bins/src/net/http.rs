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
/// From accepting a connection to the last byte of the answer.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// MIME type.
    pub kind: &'static str,
    /// Content.
    pub body: String,
}

/// Answers with what `page` makes of a path, or 404. Runs for ever, on the thread's LocalSet.
pub async fn serve(listener: Listener, page: impl Fn(&str) -> Option<Page> + 'static) {
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
            let _ = timeout(EXCHANGE_LIMIT, exchange(&wire, page.as_ref())).await;
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

async fn exchange(wire: &Wire, page: &impl Fn(&str) -> Option<Page>) -> io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    let reply = loop {
        match wire.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => head.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wire.readable().await?;
                continue;
            }
            Err(error) => return Err(error),
        }
        if let Some(reply) = answer(&head, page) {
            break reply;
        }
    };
    write_all(wire, reply.as_bytes()).await?;
    wire.shutdown_write();
    Ok(())
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

/// The whole answer to a request; `None` while its head is incomplete.
fn answer(head: &[u8], page: &impl Fn(&str) -> Option<Page>) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) if head.len() < REQUEST_BYTES_MAX => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some(response("431 Request Header Fields Too Large", &plain("too large")));
        }
        Err(_) => return Some(response("400 Bad Request", &plain("bad request"))),
    }
    if request.method != Some("GET") {
        return Some(response("405 Method Not Allowed", &plain("only GET")));
    }
    let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
    Some(match page(path) {
        Some(page) => response("200 OK", &page),
        None => response("404 Not Found", &plain("not found")),
    })
}

fn plain(text: &str) -> Page {
    Page { kind: "text/plain; charset=utf-8", body: format!("{text}\n") }
}

fn response(status: &str, page: &Page) -> String {
    let Page { kind, body } = page;
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &[u8]) -> Option<String> {
        let page = |path: &str| (path == "/x").then(|| plain("it"));
        answer(head, &page).map(|text| text.split(' ').nth(1).unwrap().to_owned())
    }

    // CLI-37
    #[test]
    fn only_small_whole_gets_of_known_paths_are_answered_with_a_page() {
        let is = |code: &str| Some(code.to_owned());
        assert_eq!(status(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"), is("200"));
        assert_eq!(status(b"GET /x?debug=1 HTTP/1.0\r\n\r\n"), is("200"));
        assert_eq!(status(b"GET /y HTTP/1.1\r\n\r\n"), is("404"));
        assert_eq!(status(b"POST /x HTTP/1.1\r\n\r\n"), is("405"));
        assert_eq!(status(b"\x16\x03\x01\x02\x00"), is("400"));
        assert_eq!(status(b"GET /x HTTP/1.1\r\nHost: a\r\n"), None);
        assert_eq!(status(&[&b"GET /"[..], &[b'x'; REQUEST_BYTES_MAX]].concat()), is("431"));
        let many = "A: b\r\n".repeat(HEADERS_MAX + 1);
        assert_eq!(status(format!("GET /x HTTP/1.1\r\n{many}\r\n").as_bytes()), is("431"));
    }
}
