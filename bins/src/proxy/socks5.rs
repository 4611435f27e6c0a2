//! The application's side of SOCKS5 (RFC 1928), with and without user and password (RFC 1929).

use super::request::{self, Destination, Parsed, code};

/// What an application's bytes ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// More bytes are needed.
    Incomplete,
    /// The connection has to be closed after these bytes.
    Refuse(Vec<u8>),
    /// The value, and how many bytes it took.
    Done(T, usize),
}

/// How an application identifies itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    None,
    /// By user and password.
    Password,
}

impl Method {
    /// The answer to a greeting.
    pub const fn answer(self) -> [u8; 2] {
        match self {
            Self::None => [5, 0],
            Self::Password => [5, 2],
        }
    }
}

/// Reads a greeting: the methods that the application offers. Without a password to check, any of both will do.
pub fn greeting(bytes: &[u8], password_needed: bool) -> Step<Method> {
    match bytes {
        [] | [5] => Step::Incomplete,
        [5, count, methods @ ..] if methods.len() < usize::from(*count) => Step::Incomplete,
        [5, count, methods @ ..] => {
            let offered = &methods[..usize::from(*count)];
            let method = if offered.contains(&0) && !password_needed {
                Method::None
            } else if offered.contains(&2) {
                Method::Password
            } else {
                return Step::Refuse(vec![5, 0xff]);
            };
            Step::Done(method, 2 + offered.len())
        }
        _ => Step::Refuse(Vec::new()),
    }
}

/// Reads user and password, and compares them with `USER:PASSWORD`, if there is one.
pub fn password(bytes: &[u8], wanted: Option<&str>) -> Step<()> {
    let field = |at: usize| {
        let len = usize::from(*bytes.get(at)?);
        bytes.get(at + 1..at + 1 + len)
    };
    if bytes.first().is_some_and(|version| *version != 1) {
        return Step::Refuse(vec![1, 1]);
    }
    let Some(user) = field(1) else { return Step::Incomplete };
    let Some(password) = field(2 + user.len()) else { return Step::Incomplete };
    let given = [user, b":", password].concat();
    if wanted.is_some_and(|wanted| !is_same(wanted.as_bytes(), &given)) {
        return Step::Refuse(vec![1, 1]);
    }
    Step::Done((), 3 + user.len() + password.len())
}

/// Compares secrets in a time that depends on their length only.
pub fn is_same(wanted: &[u8], given: &[u8]) -> bool {
    let differing = wanted.iter().zip(given).fold(0, |found, (a, b)| found | (a ^ b));
    wanted.len() == given.len() && std::hint::black_box(differing) == 0
}

/// Reads a request to connect.
pub fn connect(bytes: &[u8]) -> Step<Destination> {
    match bytes {
        [5, 1, 0, ..] => match request::parse_address(bytes, 3) {
            Parsed::Incomplete => Step::Incomplete,
            Parsed::Invalid(code) => Step::Refuse(request::answer(code).to_vec()),
            Parsed::Complete(destination, len) => Step::Done(destination, len),
        },
        [5, _, 0, ..] => Step::Refuse(request::answer(code::COMMAND).to_vec()),
        [] | [5] | [5, _] => Step::Incomplete,
        _ => Step::Refuse(request::answer(code::GENERAL).to_vec()),
    }
}
