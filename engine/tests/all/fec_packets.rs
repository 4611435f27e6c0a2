//! FEC packets for tests of the decoder.

use engine::Generation;
use engine::fec::{Decoder, Encoder, HEADER_LEN, Shape};

pub(crate) fn shape(data: usize, parity: usize) -> Shape {
    Shape::new(data, parity).unwrap()
}

/// The packets of these datagrams, a parity run behind each full group; packet i carries seqid `first + i`.
pub(crate) fn packets(
    shape: Shape,
    first: u32,
    datagrams: impl IntoIterator<Item = Vec<u8>>,
) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::with_next_seqid(shape, first).with_generation(Generation::Go2021);
    let mut packets = Vec::new();
    for datagram in datagrams {
        let mut packet = vec![0; HEADER_LEN];
        packet.extend(datagram);
        encoder.encode(0, &mut packet);
        packets.push(packet);
        while let Some(len) = encoder.parity_pending() {
            packets.push(vec![0; len]);
            encoder.poll_parity(packets.last_mut().unwrap()).unwrap();
        }
    }
    packets
}

/// The datagrams that are rebuilt once this packet arrived.
pub(crate) fn feed(decoder: &mut Decoder, packet: &[u8]) -> Vec<Vec<u8>> {
    decoder.decode(0, packet);
    let mut recovered = Vec::new();
    while let Some(datagram) = decoder.poll_recovered() {
        recovered.push(datagram.to_vec());
    }
    recovered
}
