//! One packet capture of a case: its connections and their streams.

use super::direction::{Decoded, Direction};
use super::file::{CaptureFile, Carried, Connection, Leg};
use super::mux;
use super::pcap::{self, Datagram};
use super::tcp;
use super::tunnel;
use super::{Checked, Contents, broken, compare, differs};
use engine::Generation;
use engine::mux::Role;
use engine::qpp::Pads;
use std::net::SocketAddr;
use std::path::Path;

const DIRECTIONS: [&str; 2] = ["c2s", "s2c"];

/// Checks a leg; returns the number of comparisons.
pub(super) fn check(file: &CaptureFile, leg: &Leg, contents: &Contents, folder: &Path) -> Checked<usize> {
    let bytes = std::fs::read(folder.join(&leg.file)).or_else(|error| broken(error.to_string()))?;
    let frames = pcap::frames(&bytes).or_else(|error| broken(error.to_string()))?;
    let Ok(server) = leg.server.parse::<SocketAddr>() else {
        return broken(format!("server address {:?}", leg.server));
    };
    let of_server = |datagram: &Datagram<'_>| datagram.to == server || datagram.from == server;
    let datagrams: Vec<_> = frames.iter().filter_map(Datagram::in_frame).filter(of_server).collect();
    check_totals(leg, &frames, &datagrams)?;
    let mut compared = tcp::check(file, leg, &frames)?;
    let mut connections = Vec::with_capacity(leg.connections.len());
    for (at, connection) in leg.connections.iter().enumerate() {
        let client = leg.clients.get(at).and_then(|client| client.parse::<SocketAddr>().ok());
        let Some(client) = client.filter(|client| client.port() == connection.client_port) else {
            return broken(format!("connections[{at}] has no address in clients[]"));
        };
        if connection.server_port != server.port() {
            return broken(format!("connections[{at}] has server port {}", connection.server_port));
        }
        let decoded = check_connection(file, connection, client, &datagrams)?;
        compared += decoded.iter().map(|decoded| decoded.compared).sum::<usize>();
        connections.push(decoded);
    }
    compared += check_streams(file, leg, contents, &connections)?;
    compared += check_server(file, leg, contents, &datagrams)?;
    Ok(compared)
}

/// Replays the recorded client against the engine as the server; returns the number of equal streams.
fn check_server(
    file: &CaptureFile,
    leg: &Leg,
    contents: &Contents,
    datagrams: &[Datagram<'_>],
) -> Checked<usize> {
    for (at, client) in leg.clients.iter().enumerate() {
        let of_client = |datagram: &&Datagram<'_>| datagram.from.to_string() == *client;
        let sent: Vec<_> = datagrams.iter().filter(of_client).collect();
        let streams =
            tunnel::receive(file.dialect()?, &file.settings.server, generation(&file.peer.server_id), &sent)?;
        for carried in leg.streams.iter().filter(|carried| carried.connection == at) {
            let found = streams.0.get(&carried.mux_stream_id);
            let place = format!("stream {} of the engine as server", carried.index);
            let content = contents.0.get(carried.index).map(|content| &content[0][..]).unwrap_or_default();
            equal(&place, content, found.map_or(&[][..], |found| &found.bytes))?;
            if found.is_some_and(|found| found.fin) != carried.fin_c2s {
                return differs(format!("{place}: FIN recorded {}", carried.fin_c2s));
            }
        }
    }
    Ok(leg.streams.len())
}

fn check_totals(leg: &Leg, frames: &[pcap::Frame<'_>], datagrams: &[Datagram<'_>]) -> Checked<()> {
    if datagrams.len() != leg.datagrams {
        return differs(format!("{} datagrams recorded, {} in the file", leg.datagrams, datagrams.len()));
    }
    if let Some(recorded) = leg.frames.filter(|recorded| *recorded != frames.len()) {
        return differs(format!("{recorded} frames recorded, {} in the file", frames.len()));
    }
    let duration_us = match (datagrams.first(), datagrams.last()) {
        (Some(first), Some(last)) => last.at_us.saturating_sub(first.at_us),
        _ => 0,
    };
    if duration_us / 1000 != leg.duration_ms {
        return differs(format!("duration: recorded {} ms, in the file {} us", leg.duration_ms, duration_us));
    }
    Ok(())
}

/// Checks both directions of a connection, c2s first.
fn check_connection(
    file: &CaptureFile,
    connection: &Connection,
    client: SocketAddr,
    datagrams: &[Datagram<'_>],
) -> Checked<[Decoded; 2]> {
    let c2s = Direction {
        side: &file.settings.client,
        generation: generation(&file.peer.client_id),
        conv: connection.conv,
        receiver: Role::Server,
        recorded: &connection.c2s,
        datagrams: datagrams.iter().filter(|datagram| datagram.from == client).cloned().collect(),
    };
    let s2c = Direction {
        side: &file.settings.server,
        generation: generation(&file.peer.server_id),
        receiver: Role::Client,
        recorded: &connection.s2c,
        datagrams: datagrams.iter().filter(|datagram| datagram.to == client).cloned().collect(),
        ..c2s
    };
    let dialect = file.dialect()?;
    let named = |name: &str| format!("client port {}, {name}", connection.client_port);
    Ok([
        c2s.check(dialect).map_err(|flaw| flaw.at(&named("c2s")))?,
        s2c.check(dialect).map_err(|flaw| flaw.at(&named("s2c")))?,
    ])
}

/// Generation of kcp-go by the prefix of a program.
fn generation(id: &str) -> Generation {
    if id == "up26" { Generation::Go2026 } else { Generation::Go2021 }
}

/// Compares the streams of the case with those of its connections; returns the number of equal bytes.
fn check_streams(
    file: &CaptureFile,
    leg: &Leg,
    contents: &Contents,
    connections: &[[Decoded; 2]],
) -> Checked<usize> {
    if leg.streams.len() != contents.0.len() {
        return broken(format!("{} streams for {} contents", leg.streams.len(), contents.0.len()));
    }
    let carried = connections.iter().flatten().map(|decoded| &decoded.streams);
    let found: usize = carried.map(|streams| streams.0.len()).sum();
    if found != 2 * leg.streams.len() {
        return differs(format!("{} stream directions recorded, {found} in the file", 2 * leg.streams.len()));
    }
    for carried in &leg.streams {
        let place = format!("stream {} (mux id {})", carried.index, carried.mux_stream_id);
        check_stream(file, carried, contents, connections).map_err(|flaw| flaw.at(&place))?;
    }
    Ok(2 * leg.streams.len())
}

fn check_stream(
    file: &CaptureFile,
    carried: &Carried,
    contents: &Contents,
    connections: &[[Decoded; 2]],
) -> Checked<()> {
    let (Some(connection), Some(content)) =
        (connections.get(carried.connection), contents.0.get(carried.index))
    else {
        return broken("refers to no connection or content of the case");
    };
    let fins = [carried.fin_c2s, carried.fin_s2c];
    let sides = [&file.settings.client, &file.settings.server];
    for at in 0..2 {
        let found = connection[at].streams.0.get(&carried.mux_stream_id);
        let Some(found) = found else {
            return differs(format!("{}: not in the file", DIRECTIONS[at]));
        };
        if found.fin != fins[at] {
            return differs(format!("{}: FIN recorded {}, engine {}", DIRECTIONS[at], fins[at], found.fin));
        }
        check_content(sides[at], &content[at], found).map_err(|flaw| flaw.at(DIRECTIONS[at]))?;
    }
    Ok(())
}

/// Compares carried with generated bytes. With QPP also enciphers again, as the state of a pad depends on earlier bytes.
fn check_content(side: &super::file::Side, content: &[u8], found: &mux::Carried) -> Checked<()> {
    if !side.qpp {
        return equal("content", content, &found.bytes);
    }
    let pads = Pads::new(side.key.as_bytes(), side.qpp_count).or_else(|error| broken(error.to_string()))?;
    let mut plain = found.bytes.clone();
    pads.generator().decrypt(&pads, &mut plain);
    equal("content decrypted by QPP", content, &plain)?;
    pads.generator().encrypt(&pads, &mut plain);
    equal("content encrypted by QPP", &found.bytes, &plain)
}

fn equal(name: &str, recorded: &[u8], found: &[u8]) -> Checked<()> {
    match compare::bytes(recorded, found) {
        Some(difference) => differs(format!("{name}: {difference}")),
        None => Ok(()),
    }
}
