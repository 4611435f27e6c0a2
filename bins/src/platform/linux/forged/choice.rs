//! The interface of a client to whose server no route leads.

use super::route::{self, Candidate};
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::SocketAddr;

/// Index of the interface for one of `peers`: 0 for all, as long as a route leads to one of them; else a number that the user
/// gives on a terminal (FTCP-18).
///
/// # Errors
/// No route and no terminal, and the text lists the interfaces; or no such number.
pub fn choose_interface(peers: &[SocketAddr]) -> io::Result<u32> {
    let routes: Vec<io::Result<_>> = peers.iter().map(|peer| route::source(*peer, 0)).collect();
    let (Some(peer), Some(Err(error))) = (peers.first(), routes.first()) else { return Ok(0) };
    if routes.iter().any(Result::is_ok) {
        return Ok(0);
    }
    let candidates = route::candidates();
    let why = format!("no route to {}: {error}", peer.ip());
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let text = format!("{why}; choose an interface with --interface: {}", route::listed(&candidates));
        return Err(io::Error::new(error.kind(), text));
    }
    let name = ask(&why, &candidates, &mut io::stdin().lock(), &mut io::stderr().lock())?;
    route::interface_index(name)
}

/// Lists the candidates by number, and reads one.
fn ask<'c>(
    why: &str,
    candidates: &'c [Candidate],
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<&'c str> {
    writeln!(output, "{why}")?;
    for (number, (name, addresses)) in candidates.iter().enumerate() {
        writeln!(output, "{:3}  {name}  {}", number + 1, addresses.join(" "))?;
    }
    write!(output, "interface (1 to {}): ", candidates.len())?;
    output.flush()?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    let number = line.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let chosen = number.and_then(|number| candidates.get(number));
    chosen.map(|(name, _)| name.as_str()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("no interface has the number {:?}", line.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // FTCP-18
    #[test]
    fn only_a_number_of_the_list_is_taken() {
        let candidates = [("eth0".to_owned(), vec!["10.0.0.1".to_owned()]), ("wlan0".to_owned(), vec![])];
        let answer = |text: &str| {
            let mut shown = Vec::new();
            let chosen = ask("no route", &candidates, &mut text.as_bytes(), &mut shown);
            assert!(String::from_utf8(shown).unwrap().contains("  1  eth0  10.0.0.1\n  2  wlan0"));
            chosen.map(str::to_owned).map_err(|error| error.to_string())
        };
        assert_eq!((answer("1\n"), answer(" 2")), (Ok("eth0".into()), Ok("wlan0".into())));
        for refused in ["", "0\n", "3\n", "eth0\n", "-1\n"] {
            assert!(answer(refused).is_err_and(|error| error.contains("no interface has the number")));
        }
    }
}
