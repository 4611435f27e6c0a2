//! The two devices of a network.

use super::LEFT;
use super::address::{Field, Socket, readdress, receiver, sender};
use crate::path::{AddressChange, Interfaces, Translator};
use crate::sys::Waiter;
use engine::Instant;
use sim::Direction;
use sim::plan::NatPlan;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;

/// One file of a TUN device for each end: left (the client's), right (the server's).
#[derive(Debug)]
pub(super) struct Devices {
    files: [File; 2],
    /// The `net` folders of the ends, which have the drop counters.
    tables: [String; 2],
    clients: Option<Translator<Socket>>,
}

impl Devices {
    /// With a plan, packets from the left are translated.
    pub(super) fn new(files: [File; 2], tables: [String; 2], nat: Option<NatPlan>) -> (Self, Waiter) {
        let mut waiter = Waiter::default();
        files.iter().for_each(|file| waiter.add(file.as_raw_fd()));
        (Self { files, tables, clients: nat.map(Translator::new) }, waiter)
    }

    /// Replaces the source of a packet from the left by the public address of its socket.
    fn translate_out(&mut self, now: Instant, bytes: &mut [u8]) {
        let (Some(clients), Some((socket, from))) = (&mut self.clients, sender(bytes)) else { return };
        if from != LEFT {
            return;
        }
        let place = clients.outbound(now, socket);
        if let Some(SocketAddr::V4(public)) = clients.address(place) {
            readdress(bytes, Field::Source, public);
        }
    }

    /// Replaces the destination of a packet to the left by the address of its socket; false when no socket has it.
    fn translate_in(&mut self, now: Instant, bytes: &mut [u8]) -> bool {
        let (Some(clients), Some(public)) = (&mut self.clients, receiver(bytes)) else { return true };
        let Some(place) = clients.place(public.into()) else { return true };
        let Some((_, port)) = clients.inbound(now, place) else { return false };
        readdress(bytes, Field::Destination, SocketAddrV4::new(LEFT, port));
        true
    }
}

impl Interfaces for Devices {
    fn receive(
        &mut self,
        file: usize,
        _: &mut Waiter,
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<(Direction, u16, usize)> {
        let direction = if file == 0 { Direction::Up } else { Direction::Down };
        loop {
            match self.files[file].read(buffer) {
                Ok(len) => {
                    if direction == Direction::Up {
                        self.translate_out(now, &mut buffer[..len]);
                    }
                    return Some((direction, 0, len));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    fn send(&mut self, now: Instant, direction: Direction, _: u16, bytes: &mut [u8]) {
        if direction == Direction::Down && !self.translate_in(now, bytes) {
            return;
        }
        let to = match direction {
            Direction::Up => 1,
            Direction::Down => 0,
        };
        // The device may refuse a corrupted packet.
        let _ = self.files[to].write(bytes);
    }

    fn apply(&mut self, change: AddressChange) {
        if let Some(clients) = &mut self.clients {
            clients.apply(change);
        }
    }

    fn nat_packets(&self) -> u64 {
        self.clients.as_ref().map_or(0, Translator::dropped)
    }

    fn headers(&self, _: Direction, _: u16, _: usize) -> Vec<u8> {
        Vec::new()
    }

    fn files(&self) -> usize {
        2
    }

    fn overflow_packets(&self) -> u64 {
        let dropped = |tables: &String| {
            let table = std::fs::read_to_string(format!("{tables}/dev")).unwrap_or_default();
            table.lines().find_map(dropped_by_device).unwrap_or(0)
        };
        self.tables.iter().map(dropped).sum()
    }
}

/// Packets dropped by the full queue of the device: the twelfth number of its line in `/proc/net/dev`.
fn dropped_by_device(line: &str) -> Option<u64> {
    let numbers = line.trim_start().strip_prefix(super::DEVICE)?.strip_prefix(':')?;
    numbers.split_whitespace().nth(11)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_from_the_device_table() {
        let line = "  karst0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        assert_eq!((dropped_by_device(line), dropped_by_device("    lo: 1 2 3")), (Some(12), None));
    }
}
