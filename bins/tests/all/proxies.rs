//! The built-in proxies with curl, a browser and hand-written applications.

use crate::common::{
    Program, connect, exchange, free_udp, sample, skipped, start_client, start_server, target,
};
use bins::config::{Command, load};
use bins::flags::Side;
use bins::proxy::allow::AllowList;
use bins::proxy::http::{self, Body, Kind};
use bins::proxy::request::{self, Destination, Parsed, encode, parse};
use bins::proxy::socks5::{self, Method, Step};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

fn to(text: &str) -> Destination {
    request::destination(text).unwrap()
}

/// CLI-114
#[test]
fn only_allowed_destinations_are_permitted() {
    let permits = |allow: &str, destination: &str, address: &str| {
        AllowList::parse(allow).unwrap().permits(&to(destination), address.parse().unwrap(), false)
    };
    let direct = |allow: &str, address: &str| permits(allow, address, address);
    assert!(!direct("", "93.184.216.34:80"));
    assert!(direct("0.0.0.0/0", "93.184.216.34:80"));
    assert!(
        direct("93.184.216.0/24:80", "93.184.216.34:80") && !direct("93.184.216.0/24:80", "93.184.216.34:81")
    );
    assert!(
        direct("[2606::/16]:443", "[2606:4700::1]:443") && !direct("[2606::/16]:443", "[2606:4700::1]:80")
    );
    for private in [
        "10.1.2.3:80",
        "127.0.0.1:80",
        "169.254.169.254:80",
        "192.168.1.1:80",
        "172.31.0.1:80",
        "100.64.0.1:80",
        "0.0.0.0:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
        "[::1]:80",
        "[::]:80",
        "[fe80::1]:80",
        "[fd00::1]:80",
        "[::ffff:127.0.0.1]:80",
        "[64:ff9b::7f00:1]:80",
        "[64:ff9b:1::7f00:1]:80",
        "[::127.0.0.1]:80",
        "[::ffff:0:127.0.0.1]:80",
        "[2002:7f00:1::]:80",
        "[2001:0:5ef5:79fd::1]:80",
        "[fec0::1]:80",
        "[ff02::1]:80",
    ] {
        assert!(!direct("0.0.0.0/0,::/0", private), "{private}");
    }
    assert!(direct("127.0.0.0/8", "127.0.0.1:80") && direct("127.0.0.0/8", "[::ffff:127.0.0.1]:80"));
    assert!(direct("10.0.0.0/8", "10.9.9.9:80") && !direct("8.0.0.0/6", "10.9.9.9:80"), "wider than private");
    assert!(permits("example.com:443", "EXAMPLE.com:443", "93.184.216.34:443"));
    assert!(permits("example.com", "example.com.:443", "93.184.216.34:443"));
    assert!(!permits("example.com", "www.example.com:443", "93.184.216.34:443"));
    assert!(!permits("example.com", "example.com:80", "192.168.0.7:80"), "a name that leads inside");
    assert!(permits("192.168.0.7", "example.com:80", "192.168.0.7:80"));
    assert!(direct("::ffff:10.0.0.0/104", "10.1.2.3:80") && !direct("::ffff:10.0.0.0/104", "11.1.2.3:80"));
    let own = |allow: &str, address: &str| {
        AllowList::parse(allow).unwrap().permits(&to(address), address.parse().unwrap(), true)
    };
    assert!(!own("0.0.0.0/0,::/0", "93.184.216.34:80") && !own("0.0.0.0/0,::/0", "[2606:4700::1]:80"));
    assert!(own("0.0.0.0/0,93.184.216.34:80", "93.184.216.34:80") && own("127.0.0.0/8", "127.0.0.1:80"));
    for broken in [
        "::ffff:10.0.0.0/33",
        "10.0.0.0/33",
        "1.2.3",
        "a b",
        "example.com:http",
        "host:99999",
        "[::1",
        "::/129",
    ] {
        assert!(AllowList::parse(broken).is_err(), "{broken}");
    }
}

/// CLI-115: every prefix of a request is incomplete, and malformed ones have the answers of kcptunB.
#[test]
fn requests_are_read_with_their_bounds() {
    for text in ["1.2.3.4:80", "[2001:db8::1]:443", "example.com:8080"] {
        let destination = to(text);
        let mut bytes = encode(&destination);
        for len in 0..bytes.len() {
            assert_eq!(parse(&bytes[..len]), Parsed::Incomplete, "{text} {len}");
        }
        let len = bytes.len();
        bytes.extend_from_slice(b"early data");
        assert_eq!(parse(&bytes), Parsed::Complete(destination, len));
    }
    assert_eq!(parse(b"\0\0\0\x05localhost:http"), Parsed::Complete(to("localhost:80"), 18));
    assert_eq!(parse(b"\0\0\0\x05[::1]:80"), Parsed::Complete(to("[::1]:80"), 12));
    let long = format!("\0\0\0\x05{}:80", "n".repeat(255));
    assert_eq!(parse(long.as_bytes()), Parsed::Complete(to(&format!("{}:80", "n".repeat(255))), long.len()));
    for text in ["localhost:https", "[2001:db8::1]:443", "1.2.3.4:80"] {
        let bytes = format!("\0\0\0\x05{text}");
        // What the digits of a port are, or a service, only the end of the frame says.
        for len in 0..bytes.rfind(':').unwrap() + 2 {
            assert_eq!(parse(&bytes.as_bytes()[..len]), Parsed::Incomplete, "{text} {len}");
        }
        assert_eq!(parse(format!("{bytes}\r\nGET /").as_bytes()), Parsed::Complete(to(text), bytes.len()));
    }
    let endless = [&b"\0\0\0\x05"[..], &[b'n'; 400]].concat();
    for bad in [
        &b"\0\0\0\x05:80"[..],
        b"\0\0\0\x05a b:80",
        b"\0\0\0\x05h:+8",
        b"\0\0\0\x05h:65536",
        b"\0\0\0\x05h:655350000000000000000000",
        b"\0\0\0\x05[::1]x80",
        b"\0\0\0\x05h\n:80",
        &endless,
    ] {
        assert_eq!(parse(bad), Parsed::Invalid(5), "{bad:?}");
    }
    // A name that crashes kcptunB's server: no length is left for it.
    for short in [&b"\x05\x01\0\x03"[..], b"\x05\x01\0\x03\0", b"\x05\x01\0\x03\0\0"] {
        assert_eq!(parse(short), Parsed::Incomplete);
    }
    assert_eq!(parse(b"\x05\x01\0\x03\0\0\x50"), Parsed::Invalid(5), "an empty name");
    assert_eq!(parse(b"\x05\x01\0\x09abc"), Parsed::Invalid(8));
}

/// CLI-116
#[test]
fn socks5_is_read_byte_by_byte() {
    let greeting = |bytes: &[u8], needed| socks5::greeting(bytes, needed);
    assert_eq!(greeting(&[5, 2, 0], false), Step::Incomplete);
    assert_eq!(greeting(&[5, 2, 0, 2, 5], false), Step::Done(Method::None, 4));
    assert_eq!(greeting(&[5, 2, 0, 2], true), Step::Done(Method::Password, 4));
    assert_eq!(greeting(&[5, 1, 2], false), Step::Done(Method::Password, 3));
    assert_eq!(greeting(&[5, 1, 0], true), Step::Refuse(vec![5, 0xff]));
    assert_eq!(greeting(&[4, 1], false), Step::Refuse(Vec::new()));
    let given = b"\x01\x04user\x04pass";
    for len in 0..given.len() {
        assert_eq!(socks5::password(&given[..len], Some("user:pass")), Step::Incomplete);
    }
    assert_eq!(socks5::password(given, Some("user:pass")), Step::Done((), 11));
    assert_eq!(socks5::password(given, Some("user:other")), Step::Refuse(vec![1, 1]));
    assert_eq!(socks5::password(given, None), Step::Done((), 11));
    let request = encode(&to("example.com:80"));
    assert_eq!(socks5::connect(&request), Step::Done(to("example.com:80"), request.len()));
    assert_eq!(socks5::connect(&request[..9]), Step::Incomplete);
    let refused = |bytes: &[u8]| match socks5::connect(bytes) {
        Step::Refuse(answer) => answer[1],
        other => panic!("{other:?}"),
    };
    assert_eq!(
        [refused(&[5, 2, 0, 1]), refused(&[5, 3, 0]), refused(&[5, 1, 0, 7]), refused(&[4, 1, 0])],
        [7, 7, 8, 1]
    );
}

/// CLI-117
#[test]
fn http_heads_are_rewritten_and_bounded() {
    let head = |text: &str| http::parse(text.as_bytes());
    let found = head("CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\nearly").unwrap().unwrap();
    assert_eq!((found.destination, found.kind, found.len), (to("[::1]:443"), Kind::Tunnel, 39));
    let text = "GET HTTP://user@Example.com?q=1 HTTP/1.1\r\nHost: Example.com\r\nProxy-Connection: keep-alive\r\n\
                Proxy-Authorization: Basic dTpw\r\nX: y\r\n\r\n";
    let found = head(text).unwrap().unwrap();
    assert_eq!(found.destination, to("Example.com:80"));
    assert_eq!(found.credentials.as_deref(), Some("dTpw"));
    let rewritten = b"GET /?q=1 HTTP/1.1\r\nHost: Example.com\r\nX: y\r\n\r\n".to_vec();
    assert_eq!(found.kind, Kind::Request(rewritten, Body::Length(0)));
    for len in 1..text.len() {
        assert_eq!(head(&text[..len]), Ok(None));
    }
    // The host is that of the URI, and nothing changes the protocol.
    let text = "GET http://a:8/ HTTP/1.1\r\nHost: b\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
                HTTP2-Settings: x\r\nHost: c\r\n\r\n";
    let rewritten = b"GET / HTTP/1.1\r\nHost: a:8\r\nConnection: close\r\n\r\n".to_vec();
    assert_eq!(head(text).unwrap().unwrap().kind, Kind::Request(rewritten, Body::Length(0)));
    for bad in [
        "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        "GET http://[::1/ HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "CONNECT example.com HTTP/1.1\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "\x01\r\n\r\n",
    ] {
        assert!(head(bad).is_err_and(|status| status.starts_with("400")), "{bad:?}");
    }
    assert!(head(&format!("GET http://a/ HTTP/1.1\r\nX: {}", "x".repeat(33_000))).is_err());
    let chunked = "5;x=1\r\nhello\r\n00A\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nnext";
    let body = head("POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap().unwrap().kind;
    let Kind::Request(_, body) = body else { panic!("{body:?}") };
    for cut in 1..chunked.len() {
        let mut body = body;
        let (first, complete) = body.take(&chunked.as_bytes()[..cut]).unwrap();
        let rest = &chunked.as_bytes()[first..];
        let total = if complete { first } else { first + body.take(rest).unwrap().0 };
        assert_eq!(&chunked[total..], "next", "cut at {cut}");
    }
    let mut broken = body;
    assert!(broken.take(b"5\r\nhelloX").is_err());
    let mut huge = body;
    assert!(huge.take(b"fffffffffffffffff\r\n").is_err());
}

/// An HTTP server that answers each request with its request line, and keeps connections.
fn web_server(listener: TcpListener) -> u16 {
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve_web(stream));
        }
    });
    port
}

fn serve_web(mut stream: TcpStream) {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    loop {
        while let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen[..end]).into_owned();
            seen.drain(..end + 4);
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
            while seen.len() < length.unwrap_or(0) {
                let n = stream.read(&mut piece).unwrap_or(0);
                seen.extend_from_slice(&piece[..n]);
            }
            let sent = String::from_utf8_lossy(&seen[..length.unwrap_or(0)]).into_owned();
            seen.drain(..length.unwrap_or(0));
            let text = format!("<html><body>{} {sent}</body></html>", head.lines().next().unwrap_or(""));
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(n @ 1..) => seen.extend_from_slice(&piece[..n]),
            _ => return,
        }
    }
}

const ALLOW: &[&str] = &["--ser", "fast", "--ser-allow", "127.0.0.0/8,::1"];

/// A server's proxy, and clients for SOCKS5 and HTTP.
struct Proxies {
    _server: Program,
    _clients: [Program; 2],
    socks: SocketAddr,
    http: SocketAddr,
}

fn proxies(mux: &str) -> Proxies {
    let udp = free_udp();
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let _server = start_server(nowhere, udp, ALLOW);
    let (one, socks) = start_client(udp, &["--mux", mux, "--ser", "socks5"]);
    let (two, http) = start_client(udp, &["--mux", mux, "--ser", "http"]);
    Proxies { _server, _clients: [one, two], socks, http }
}

/// Status of curl's exit, and its output.
fn curl(words: &[&str]) -> (i32, String) {
    let always = ["-sS", "--max-time", "20", "--noproxy", ""];
    let output = std::process::Command::new("curl").args(always).args(words).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// CLI-116, CLI-117
#[test]
fn curl_reaches_addresses_and_names_through_both_proxies() {
    for mux in ["smuxb", "auto"] {
        let proxies = proxies(mux);
        let four = web_server(TcpListener::bind("127.0.0.1:0").unwrap());
        let six = TcpListener::bind("[::1]:0").map(web_server);
        let mut urls = vec![format!("http://127.0.0.1:{four}/a"), format!("http://localhost:{four}/a")];
        match six {
            Ok(port) => urls.push(format!("http://[::1]:{port}/a")),
            Err(error) => skipped("IPv6", &error.to_string()),
        }
        let (socks, http) = (proxies.socks.to_string(), format!("http://{}", proxies.http));
        for url in &urls {
            for words in [
                &["--socks5", &socks][..],
                &["--socks5-hostname", &socks],
                &["--socks5", &socks, "--proxy-user", "any:body"],
                &["--proxy", &http],
                &["--proxytunnel", "--proxy", &http],
            ] {
                let (status, text) = curl(&[words, &[url]].concat());
                assert!(status == 0 && text.contains("GET /a HTTP/1.1"), "{words:?} {url}: {status} {text}");
            }
        }
        // One connection to the proxy for several requests, with bodies, and to two hosts.
        let words = ["--proxy", &http, "-d", "posted", &urls[0], &urls[0], &urls[1]];
        let (status, text) = curl(&words);
        assert_eq!((status, text.matches("POST /a HTTP/1.1 posted").count()), (0, 3), "{text}");
        let words = [
            "--proxy",
            &http,
            "-H",
            "Transfer-Encoding: chunked",
            "-H",
            "Expect:",
            "-d",
            "x",
            "-o",
            "/dev/null",
            &urls[0],
        ];
        assert_eq!(curl(&words[..]).0, 0);
    }
}

/// CLI-114, CLI-115, CLI-117: clear answers where a connection fails.
#[test]
fn failures_are_answered() {
    let proxies = proxies("smuxb");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (socks, http) = (proxies.socks.to_string(), format!("http://{}", proxies.http));
    let cases = [
        (format!("http://{closed}/"), "502", "(5)"),
        ("http://name.invalid/".to_owned(), "502", "(5)"),
        ("http://192.168.77.1/".to_owned(), "403", "(2)"),
    ];
    for (url, status, code) in &cases {
        let words = ["--proxy", &http, "-o", "/dev/null", "-w", "%{http_code}", url];
        let (_, text) = curl(&words);
        assert!(text.contains(status), "{url}: {text}");
        let (exit, text) = curl(&["--socks5-hostname", &socks, url]);
        assert!(exit == 97 && text.contains(code), "{url}: {exit} {text}");
    }
    // Half a request, and none: the proxy goes on.
    for bytes in [&b"\x05"[..], b"\x05\x01\0\x05\x01\0\x03\x20loc", b"GET http://127", b"\0\x01garbage"] {
        for proxy in [proxies.socks, proxies.http] {
            let mut app = connect(proxy);
            app.write_all(bytes).unwrap();
            drop(app);
        }
    }
    let port = web_server(TcpListener::bind("127.0.0.1:0").unwrap());
    assert_eq!(curl(&["--proxy", &http, &format!("http://127.0.0.1:{port}/")]).0, 0);
}

/// CLI-116: greeting, password and request in one segment, with data behind.
#[test]
fn pipelined_bytes_are_kept() {
    let udp = free_udp();
    let _server = start_server("127.0.0.1:9".parse().unwrap(), udp, ALLOW);
    let (_client, socks) = start_client(udp, &["--ser", "socks5", "--ser-auth", "user:pass"]);
    let echo = target(crate::common::echo);
    let mut app = connect(socks);
    let request = encode(&Destination::Address(echo));
    app.write_all(&[b"\x05\x02\x00\x02", &b"\x01\x04user\x04pass"[..], &request, b"early"].concat()).unwrap();
    let mut answers = [0; 2 + 2 + 10 + 5];
    app.read_exact(&mut answers).unwrap();
    assert_eq!(&answers, b"\x05\x02\x01\x00\x05\x00\x00\x01\0\0\0\0\0\0early");
    let mut app = connect(socks);
    app.write_all(b"\x05\x01\x02\x01\x04user\x03bad").unwrap();
    let mut answers = Vec::new();
    app.read_to_end(&mut answers).unwrap();
    assert_eq!(answers, b"\x05\x02\x01\x01");
}

/// CLI-116
#[test]
fn two_hundred_requests_at_once() {
    let proxies = proxies("smuxb");
    let echo = target(crate::common::echo);
    thread::scope(|scope| {
        for seed in 0..200 {
            let socks = proxies.socks;
            scope.spawn(move || {
                let mut app = connect(socks);
                app.write_all(b"\x05\x01\0").unwrap();
                app.write_all(&encode(&Destination::Address(echo))).unwrap();
                let mut answers = [0; 12];
                app.read_exact(&mut answers).unwrap();
                assert_eq!(answers[3], 0, "{answers:?}");
                let data = sample(seed, 20_000);
                app.write_all(&data).unwrap();
                let mut got = vec![0; data.len()];
                app.read_exact(&mut got).unwrap();
                assert!(got == data);
            });
        }
    });
}

/// CLI-115, MUX-2: an application that writes kcptunB's request itself through a raw client.
#[test]
fn a_raw_client_reaches_the_servers_proxy() {
    let udp = free_udp();
    let _server = start_server("127.0.0.1:9".parse().unwrap(), udp, ALLOW);
    let (_client, local) = start_client(udp, &["--closewait", "1"]);
    let echo = target(crate::common::echo);
    let text = [&b"\0\0\0\x05"[..], echo.to_string().as_bytes()].concat();
    let mut app = connect(local);
    app.write_all(&text).unwrap();
    let mut answer = [0; 10];
    app.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let data = sample(3, 100_000);
    assert!(exchange(app, data.clone()) == data);
}

/// CLI-115: a request of kcptunB's HTTP client that comes in pieces, with data behind it, or not to its end.
#[test]
fn a_text_request_in_pieces_is_read() {
    let udp = free_udp();
    let _server = start_server("127.0.0.1:9".parse().unwrap(), udp, ALLOW);
    let (_client, local) = start_client(udp, &["--closewait", "1"]);
    let echo = target(crate::common::echo).to_string();
    let (host, port) = echo.split_once(':').unwrap();
    let pieces = |pieces: &[&[u8]]| {
        let mut app = connect(local);
        app.set_nodelay(true).unwrap();
        for piece in pieces {
            app.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(60));
        }
        app
    };
    let mut app = pieces(&[b"\0\0", b"\0\x05", host.as_bytes(), b":", port.as_bytes()]);
    let mut answer = [0; 10];
    app.read_exact(&mut answer).unwrap();
    assert_eq!(answer, request::answer(0));
    let mut app = pieces(&[format!("\0\0\0\x05{echo}\r\nearly").as_bytes()]);
    let mut answers = [0; 17];
    app.read_exact(&mut answers).unwrap();
    assert_eq!((&answers[..10], &answers[10..]), (&request::answer(0)[..], &b"\r\nearly"[..]));
    let mut app = pieces(&[b"\0\0\0\x05localhost"]);
    app.read_exact(&mut answer).unwrap();
    assert_eq!(answer, request::answer(5));
}

/// CLI-114: numbers that the system takes for addresses, and names of this machine, lead nowhere through a server for public
/// addresses.
#[test]
fn other_spellings_of_private_addresses_are_refused() {
    let udp = free_udp();
    let allow = ["--ser", "fast", "--ser-allow", "0.0.0.0/0,::/0,localhost"];
    let _server = start_server("127.0.0.1:9".parse().unwrap(), udp, &allow);
    let (_client, socks) = start_client(udp, &["--ser", "socks5"]);
    let (_other, http) = start_client(udp, &["--ser", "http"]);
    let port = web_server(TcpListener::bind("0.0.0.0:0").unwrap());
    for name in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST.",
        "::ffff:127.0.0.1",
        "::",
        "::1",
    ] {
        let mut app = connect(socks);
        let name_request = [&b"\x05\x01\0\x05\x01\0\x03"[..], &[name.len() as u8], name.as_bytes()].concat();
        app.write_all(&[&name_request[..], &port.to_be_bytes()].concat()).unwrap();
        let mut answers = Vec::new();
        app.read_to_end(&mut answers).unwrap();
        assert!(answers.len() == 12 && [2, 5].contains(&answers[3]), "{name}: {answers:?}");
        let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        let mut app = connect(http);
        write!(app, "GET http://{host}:{port}/ HTTP/1.1\r\nHost: example.com\r\n\r\n").unwrap();
        let mut answer = String::new();
        app.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 502"), "{name}: {answer}");
    }
}

/// CLI-117: applications that send single bytes, nothing but line ends, or more than an answer allows, do not keep others.
#[test]
fn hostile_heads_do_not_keep_others() {
    let proxies = proxies("smuxb");
    let port = web_server(TcpListener::bind("127.0.0.1:0").unwrap());
    let attack = |bytes: &'static [u8]| {
        let http = proxies.http;
        thread::spawn(move || {
            let mut app = connect(http);
            let until = std::time::Instant::now() + Duration::from_secs(2);
            while std::time::Instant::now() < until && app.write_all(bytes).is_ok() {}
        })
    };
    let line_ends = attack(&[b'\n'; 65_536]);
    let refused = attack(b"BAD\n");
    let http = format!("http://{}", proxies.http);
    for _ in 0..5 {
        let words = ["--max-time", "5", "--proxy", &http, &format!("http://127.0.0.1:{port}/")];
        assert_eq!(curl(&words).0, 0);
    }
    let mut slow = connect(proxies.http);
    slow.set_nodelay(true).unwrap();
    let head =
        format!("GET http://127.0.0.1:{port}/slow HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(8_000));
    for byte in head.bytes() {
        slow.write_all(&[byte]).unwrap();
    }
    let mut answer = [0; 15];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    line_ends.join().unwrap();
    refused.join().unwrap();
}

/// CLI-113: each request of a connection needs the password.
#[test]
fn every_request_needs_the_password() {
    let udp = free_udp();
    let _server = start_server("127.0.0.1:9".parse().unwrap(), udp, ALLOW);
    let (_client, http) = start_client(udp, &["--ser", "http", "--ser-auth", "user:pass"]);
    let port = web_server(TcpListener::bind("127.0.0.1:0").unwrap());
    let with = "Proxy-Authorization: basic dXNlcjpwYXNz\r\n";
    let mut app = connect(http);
    for fields in [with, with, "", with] {
        let _ = write!(app, "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        thread::sleep(Duration::from_millis(100));
    }
    let mut text = String::new();
    let _ = app.read_to_string(&mut text);
    let count = |status: &str| text.matches(&format!("HTTP/1.1 {status}\r\n")).count();
    assert_eq!((count("200 OK"), count("407 Proxy Authentication Required")), (2, 1), "{text}");
}

/// CLI-116, CLI-117
#[test]
fn a_browser_loads_a_page_through_both_proxies() {
    if std::process::Command::new("chromium").arg("--version").output().is_err() {
        return skipped("a browser through the proxies", "no chromium");
    }
    let proxies = proxies("smuxb");
    let port = web_server(TcpListener::bind("127.0.0.1:0").unwrap());
    for proxy in [format!("socks5://{}", proxies.socks), format!("http://{}", proxies.http)] {
        let profile = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("chromium").join(&proxy[..4]);
        let output = std::process::Command::new("timeout")
            .args(["60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--proxy-server={proxy}"))
            .arg("--proxy-bypass-list=<-loopback>")
            .arg(format!("http://127.0.0.1:{port}/page"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("GET /page HTTP/1.1"), "{proxy}: {text}");
    }
}

/// CLI-113, CLI-114
#[test]
fn proxies_of_the_other_side_and_open_ones_are_refused() {
    for (side, words, says) in [
        ("client", &["--ser", "fast"][..], "--ser: must be raw, socks5 or http on a client"),
        ("server", &["--ser", "http"], "--ser: must be raw or fast on a server"),
        ("server", &["--ser", "fast"], "--ser: fast needs --ser-allow"),
        ("server", &["--ser-allow", "10.0.0.0/99"], "--ser-allow: \"10.0.0.0/99\" is no CIDR or NAME[:PORT]"),
        ("client", &["--ser-auth", "user"], "--ser-auth: must be USER:PASSWORD"),
        ("client", &["--ser", "sock5"], "--ser: must be raw, socks5, http or fast, not \"sock5\""),
    ] {
        let path = if side == "client" {
            env!("CARGO_BIN_EXE_karst-client")
        } else {
            env!("CARGO_BIN_EXE_karst-server")
        };
        let output = std::process::Command::new(path).args(words).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(says), "{words:?}: {text}");
    }
}

/// CLI-113
#[test]
fn a_proxy_for_other_machines_is_warned_about() {
    let warned = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let Ok(Command::Run(_, _, warnings)) = load(Side::Client, &words, |_| None) else {
            panic!("{words:?}")
        };
        warnings.iter().any(|line| line.contains("can use the proxy"))
    };
    assert!(warned(&["--ser", "socks5"]) && warned(&["--ser", "http", "-l", "0.0.0.0:1080"]));
    for words in [
        &["--ser", "socks5", "-l", "127.0.0.1:1080"][..],
        &["--ser", "http", "-l", "[::1]:1080"],
        &["--ser", "http", "-l", "unix:/run/proxy"],
        &["--ser", "socks5", "--ser-auth", "a:b"],
        &[],
    ] {
        assert!(!warned(words), "{words:?}");
    }
}

/// CLI-116
#[test]
fn an_idle_half_greeting_does_not_block_others() {
    let proxies = proxies("auto");
    let mut half = connect(proxies.socks);
    half.write_all(b"\x05").unwrap();
    let port = web_server(TcpListener::bind("127.0.0.1:0").unwrap());
    thread::sleep(Duration::from_millis(50));
    let socks = proxies.socks.to_string();
    assert_eq!(curl(&["--socks5", &socks, &format!("http://127.0.0.1:{port}/")]).0, 0);
}
