//! Segments without a datagram.

use super::flow::{Numbers, WINDOW_SCALE};
use super::packet::Flags;

/// Options of a SYN or SYN|ACK: the maximum segment size that an Ethernet has, and the window scale.
pub(super) fn syn_options(ipv6: bool, scaled: bool) -> [u8; 8] {
    let [high, low] = if ipv6 { 1440_u16 } else { 1460 }.to_be_bytes();
    match scaled {
        true => [2, 4, high, low, 1, 3, 3, WINDOW_SCALE],
        false => [2, 4, high, low, 1, 1, 1, 0],
    }
}

/// A segment without a datagram that has to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// IPv4 identification.
    pub id: u16,
    /// Flags.
    pub flags: Flags,
    options: [u8; 8],
    options_len: u8,
}

impl Control {
    pub(super) const fn bare(numbers: Numbers, flags: Flags) -> Self {
        let Numbers { seq, ack, id } = numbers;
        Self { seq, ack, id, flags, options: [0; 8], options_len: 0 }
    }

    pub(super) const fn with(mut self, options: [u8; 8]) -> Self {
        (self.options, self.options_len) = (options, 8);
        self
    }

    /// Its options.
    pub fn options(&self) -> &[u8] {
        &self.options[..usize::from(self.options_len)]
    }
}
