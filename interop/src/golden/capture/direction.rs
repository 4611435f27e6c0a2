//! One direction of one connection, through all layers.

use super::crypt;
use super::figures::Figures;
use super::file::Side;
use super::mux::{self, Streams};
use super::pcap::Datagram;
use super::{Checked, differs, fec, kcp, snappy};
use engine::Generation;
use engine::mux::{Dialect, Role};
use serde_json::{Map, Value};

/// A direction: settings of the sender, recorded figures, datagrams in the file.
pub(super) struct Direction<'d> {
    pub(super) side: &'d Side,
    pub(super) generation: Generation,
    pub(super) conv: u32,
    pub(super) receiver: Role,
    pub(super) recorded: &'d Map<String, Value>,
    pub(super) datagrams: Vec<Datagram<'d>>,
}

/// Result of decoding a direction.
pub(super) struct Decoded {
    pub(super) streams: Streams,
    /// Datagrams, parity shards and figures that were compared.
    pub(super) compared: usize,
}

impl Direction<'_> {
    /// Decodes and compares layer by layer, so that the error names the lowest layer that differs.
    pub(super) fn check(&self, dialect: Dialect) -> Checked<Decoded> {
        let recorded = Figures::recorded(self.recorded)?;
        let mut found = Figures::default();
        self.count_tos(&mut found)?;
        let suite = crypt::suite(self.side)?;
        let payloads = crypt::open(&suite, &self.datagrams, &recorded, &mut found)?;
        let mut compared = payloads.len();
        let unwrapped = fec::unwrap(self.side, self.generation, payloads, &mut found)?;
        compared += unwrapped.compared;
        found.compare(&recorded, |name| {
            name.starts_with("fec_") || name.contains("datagram") || name == "ip_tos"
        })?;
        let stream = kcp::reassemble(self.conv, self.generation, &unwrapped, &mut found)?;
        found.compare(&recorded, |name| name.starts_with("kcp_"))?;
        let bytes = if self.side.nocomp { stream } else { snappy::decompress(&stream, &mut found)? };
        let below_mux = |name: &str| !name.starts_with("mux_");
        compared += found.compare(&recorded, below_mux)?;
        let streams = mux::unpack(dialect, self.side, self.receiver, &bytes, &mut found)?;
        compared += found.compare(&recorded, |name| !below_mux(name))?;
        Ok(Decoded { streams, compared })
    }

    fn count_tos(&self, found: &mut Figures) -> Checked<()> {
        let Some(first) = self.datagrams.first() else {
            return differs("no datagram in the file");
        };
        match self.datagrams.iter().find(|datagram| datagram.tos != first.tos) {
            Some(other) => {
                differs(format!("TOS {} in frame {}, {} before", other.tos, other.frame, first.tos))
            }
            None => {
                found.set_nonzero("ip_tos", u64::from(first.tos));
                Ok(())
            }
        }
    }
}
