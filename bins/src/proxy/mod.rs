//! The built-in proxies of kcptunB (`--ser`; kcptunb.md section 6): a client takes SOCKS5 or HTTP from applications and
//! passes the destination on in one request, which a server answers once it has connected. This module has the formats and
//! rules; [`crate::driver`] has the traffic.

pub mod allow;
pub mod http;
pub mod request;
pub mod socks5;

/// What a program does with the streams that applications open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ser {
    /// All go to the server's target.
    Raw,
    /// The client is a SOCKS5 proxy.
    Socks5,
    /// The client is an HTTP proxy.
    Http,
    /// The server connects where a client's request says.
    Fast,
}

engine::named! {
    Ser {
        Raw = "raw",
        Socks5 = "socks5",
        Http = "http",
        Fast = "fast",
    }
}
