//! FEC decoding: hostile packets stay within bounds, honest ones come back as they were.

use super::Script;
use engine::Generation;
use engine::fec::{Decoder, Encoder, HEADER_LEN, Kind, Shape};

/// What a decoder may hold: eight groups of 256 packets, and detection samples.
const GROUPS_MAX: usize = 8;
const PACKETS_MAX: usize = GROUPS_MAX * 256;
const SAMPLES_MAX: usize = 258;

/// First bytes: honest or hostile, generation, shapes; then packets.
pub fn fec_decode(data: &[u8]) {
    let mut script = Script::new(data);
    let choice = script.byte();
    let generation = if choice & 2 == 0 { Generation::Go2026 } else { Generation::Go2021 };
    if choice & 1 == 0 {
        hostile(&mut script, generation, choice & 4 != 0);
    } else {
        honest(&mut script, generation);
    }
}

/// Packets cut from the data, some with a header near the ones before so that groups fill up.
fn hostile(script: &mut Script<'_>, generation: Generation, detect: bool) {
    let shape = shape(script);
    let mut decoder = Decoder::new((!detect).then_some(shape), generation);
    let (mut now_ms, mut seqid) = (0, script.word());
    while !script.is_over() {
        now_ms += u64::from(script.byte()) * 16;
        let mut packet = Vec::new();
        match script.byte() {
            0 => {}
            1 => seqid = script.word(),
            step => {
                let kind = if step & 1 == 0 { Kind::Data } else { Kind::Parity };
                seqid = seqid.wrapping_add_signed(i32::from((step >> 1).cast_signed() >> 3) + 1);
                packet.extend_from_slice(&seqid.to_le_bytes());
                packet.extend_from_slice(&kind.code().to_le_bytes());
            }
        }
        packet.extend_from_slice(script.piece());
        decoder.decode(now_ms, &packet);
        let longest = if now_ms % 32 == 0 { drain_raw(&mut decoder) } else { drain(&mut decoder) };
        assert!(longest <= 1500, "a rebuilt shard of {longest} bytes");
        check(&decoder);
    }
}

/// Packets of an encoder of the same shape, lost, repeated and reordered: what is rebuilt was sent.
fn honest(script: &mut Script<'_>, generation: Generation) {
    let shape = shape(script);
    let first = script.pick(&[0, 1, u32::MAX / shape.total() as u32 - 2]) * shape.total() as u32;
    let mut encoder = Encoder::with_next_seqid(shape, first).with_generation(generation);
    let mut decoder = Decoder::new(Some(shape), generation);
    let (mut now_ms, mut number, mut held) = (0, 0u16, Vec::new());
    while !script.is_over() {
        let len = 2 + usize::from(script.byte()) * 5;
        let fate = script.byte();
        now_ms += u64::from(fate >> 6) * 200;
        let mut packet = vec![0; HEADER_LEN];
        packet.extend(payload(number, len));
        number = number.wrapping_add(1);
        encoder.encode(now_ms, &mut packet);
        arrive(&mut decoder, now_ms, packet, fate, &mut held);
        while let Some(len) = encoder.parity_pending() {
            let mut packet = vec![0; len];
            assert_eq!(encoder.poll_parity(&mut packet), Some(len));
            arrive(&mut decoder, now_ms, packet, script.byte(), &mut held);
        }
    }
}

/// Loses, repeats or holds a packet back.
fn arrive(decoder: &mut Decoder, now_ms: u64, packet: Vec<u8>, fate: u8, held: &mut Vec<Vec<u8>>) {
    let mut deliver = |packet: &[u8]| {
        decoder.decode(now_ms, packet);
        while let Some(rebuilt) = decoder.poll_recovered() {
            let name = [rebuilt[0], rebuilt[1]];
            assert!(payload(u16::from_le_bytes(name), rebuilt.len()).eq(rebuilt.iter().copied()));
        }
        assert_eq!(decoder.counters().errs, 0);
        check(decoder);
    };
    match fate & 7 {
        0 | 1 => {}
        2 => held.push(packet),
        3 => {
            deliver(&packet);
            deliver(&packet);
        }
        4 => {
            deliver(&packet);
            held.pop().iter().for_each(|packet| deliver(packet));
        }
        _ => deliver(&packet),
    }
}

/// A packet's number, then bytes that depend on it.
fn payload(number: u16, len: usize) -> impl Iterator<Item = u8> {
    let [low, high] = number.to_le_bytes();
    let rest = (0u8..=255).cycle().map(move |i| i.wrapping_mul(low | 1) ^ high);
    [low, high].into_iter().chain(rest).take(len)
}

fn shape(script: &mut Script<'_>) -> Shape {
    let (data, parity) = (script.byte(), script.byte());
    let (data, parity) = if data & 128 == 0 { (data % 16, parity % 8) } else { (data, parity) };
    Shape::new(data.into(), parity.into()).unwrap_or(Shape::ONE_TO_ONE)
}

fn drain(decoder: &mut Decoder) -> usize {
    let (mut longest, mut count) = (0, 0);
    while let Some(segments) = decoder.poll_recovered() {
        longest = longest.max(segments.len());
        count += 1;
    }
    assert!(count <= 255, "rebuilt {count} shards at once");
    longest
}

fn drain_raw(decoder: &mut Decoder) -> usize {
    let (mut longest, mut count) = (0, 0);
    while let Some(shard) = decoder.poll_recovered_shard() {
        longest = longest.max(shard.len());
        count += 1;
    }
    assert!(count <= 255, "rebuilt {count} shards at once");
    longest
}

fn check(decoder: &Decoder) {
    let state = decoder.state();
    assert!(state.groups <= GROUPS_MAX, "{} groups", state.groups);
    assert!(state.packets <= PACKETS_MAX, "{} packets", state.packets);
    assert!(state.samples <= SAMPLES_MAX, "{} samples", state.samples);
    assert_eq!((state.data, state.parity), (decoder.shape().data(), decoder.shape().parity()));
}
