//! The ARQ layer: an independent parser counts segments; it and the engine's ARQ reassemble the stream.

use super::fec::{Inner, Unwrapped};
use super::figures::Figures;
use super::{Checked, broken, compare, differs};
use engine::arq::{Arq, Command, Header, Source};
use engine::{Generation, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// The stream of one direction, reassembled by the engine.
pub(super) fn reassemble(
    conv: u32,
    generation: Generation,
    unwrapped: &Unwrapped,
    figures: &mut Figures,
) -> Checked<Vec<u8>> {
    let mut walk = Walk::new(conv);
    for inner in unwrapped.inner.iter().filter(|inner| !inner.recovered) {
        walk.segments(&inner.bytes)
            .map_err(|flaw| flaw.at(&format!("KCP datagram in frame {}", inner.frame)))?;
    }
    walk.count(figures);
    for bytes in &unwrapped.rebuilt {
        walk.segments(bytes).map_err(|flaw| flaw.at("rebuilt KCP datagram"))?;
    }
    figures.set("kcp_unique_sn", walk.data.len() as u64);
    let stream = walk.stream()?;
    figures.set("kcp_stream_bytes", stream.len() as u64);
    let received = receive(conv, generation, &unwrapped.inner)?;
    match compare::bytes(&stream, &received) {
        Some(difference) => differs(format!("stream of the engine's ARQ: {difference}")),
        None => Ok(received),
    }
}

/// The stream that the engine's ARQ delivers for the datagrams in the order of the file.
fn receive(conv: u32, generation: Generation, inner: &[Inner]) -> Checked<Vec<u8>> {
    const WINDOW_SEGMENTS: u32 = 32_768;
    let mut arq = Arq::new(conv, generation);
    arq.set_windows(0, WINDOW_SEGMENTS);
    let mut stream = Vec::new();
    let mut answer = vec![0; 65_536];
    for datagram in inner {
        let source = if datagram.recovered { Source::Recovered } else { Source::Regular };
        if let Err(error) = arq.input(Instant::ZERO, &datagram.bytes, source, false) {
            return differs(format!(
                "KCP datagram in frame {}: refused by the engine: {error}",
                datagram.frame
            ));
        }
        while let Some(data) = arq.take() {
            stream.extend_from_slice(&data);
            arq.recycle(data);
        }
        while arq.poll_transmit(Instant::ZERO, &mut answer).is_some() {}
    }
    Ok(stream)
}

/// Counts of one direction, and its data by sn.
struct Walk {
    conv: u32,
    push: u64,
    ack: u64,
    wask: u64,
    wins: u64,
    retransmitted: u64,
    nonzero_frg: u64,
    seen: BTreeSet<u32>,
    data: BTreeMap<u32, Vec<u8>>,
}

impl Walk {
    const fn new(conv: u32) -> Self {
        Self {
            conv,
            push: 0,
            ack: 0,
            wask: 0,
            wins: 0,
            retransmitted: 0,
            nonzero_frg: 0,
            seen: BTreeSet::new(),
            data: BTreeMap::new(),
        }
    }

    fn segments(&mut self, mut bytes: &[u8]) -> Checked<()> {
        while let Some((header, rest)) = Header::parse(bytes) {
            let Some((payload, rest)) = rest.split_at_checked(header.len as usize) else {
                return differs(format!(
                    "segment sn {} of {} bytes runs past the end",
                    header.sn, header.len
                ));
            };
            self.segment(&header, payload)?;
            bytes = rest;
        }
        if bytes.is_empty() {
            Ok(())
        } else {
            differs(format!("{} bytes behind the last segment", bytes.len()))
        }
    }

    fn segment(&mut self, header: &Header, payload: &[u8]) -> Checked<()> {
        if header.conv != self.conv {
            return differs(format!("conversation {}, recorded {}", header.conv, self.conv));
        }
        match header.command() {
            Some(Command::Ack) => self.ack += 1,
            Some(Command::Wask) => self.wask += 1,
            Some(Command::Wins) => self.wins += 1,
            Some(Command::Push) => return self.pushed(header, payload),
            None => return differs(format!("segment sn {} has command {}", header.sn, header.cmd)),
        }
        Ok(())
    }

    fn pushed(&mut self, header: &Header, payload: &[u8]) -> Checked<()> {
        self.push += 1;
        self.nonzero_frg += u64::from(header.frg != 0);
        self.retransmitted += u64::from(!self.seen.insert(header.sn));
        let first = self.data.entry(header.sn).or_insert_with(|| payload.to_vec());
        match compare::bytes(first, payload) {
            Some(difference) => {
                differs(format!("segment sn {} was sent before with other bytes: {difference}", header.sn))
            }
            None => Ok(()),
        }
    }

    /// Sets the figures of the recorded datagrams.
    fn count(&self, figures: &mut Figures) {
        figures.set("kcp_push", self.push);
        figures.set("kcp_ack", self.ack);
        figures.set("kcp_wask", self.wask);
        figures.set("kcp_wins", self.wins);
        figures.set("kcp_push_retransmitted", self.retransmitted);
        figures.set_nonzero("kcp_push_with_nonzero_frg", self.nonzero_frg);
    }

    fn stream(&self) -> Checked<Vec<u8>> {
        let mut stream = Vec::new();
        for (want, (sn, payload)) in (0..).zip(&self.data) {
            if *sn != want {
                return broken(format!("segment sn {want} is not in the file"));
            }
            stream.extend_from_slice(payload);
        }
        Ok(stream)
    }
}
