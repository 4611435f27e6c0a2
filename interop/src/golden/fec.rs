//! Replays recorded traces of the FEC encoder and decoder (kcp-go fec.go).
//!
//! The encoder gets the recorded payloads at the recorded times, the decoder the recorded packets in the
//! recorded order; every packet, every rebuilt shard and every number of their states is compared.

use super::Mismatch;
use engine::Generation;
use engine::fec::{Decoder, Encoder, HEADER_LEN, Shape, TuneExit, kind, seqid, write_out_of_band_header};
use serde::Deserialize;
use std::fmt::Write;

const FORMAT: &str = "fec-trace-1";
/// Maximum pause before parity, the value of kcptun.
const RTO_MS: u64 = 500;

/// Replays a decompressed trace (`*.jsonl`); returns the number of compared events.
///
/// # Errors
/// The first event that differs from the engine, or that is malformed.
pub fn replay(text: &str) -> Result<usize, Mismatch> {
    let mut lines = text.lines().zip(1..);
    let (header, line) = lines.next().ok_or(Mismatch { line: 1, difference: "empty trace".to_owned() })?;
    let mut player = Player::new(header).map_err(|difference| Mismatch { line, difference })?;
    let mut compared = 0;
    for (event, line) in lines {
        player.step(event).map_err(|difference| Mismatch { line, difference })?;
        compared += 1;
    }
    if compared == 0 {
        return Err(Mismatch { line, difference: "trace without events".to_owned() });
    }
    Ok(compared)
}

#[derive(Deserialize)]
struct Header {
    format: String,
    payload_seed: u64,
    encoder: EncoderHeader,
    decoder: DecoderHeader,
}

#[derive(Deserialize)]
struct EncoderHeader {
    data_shards: usize,
    parity_shards: usize,
    first_seqid: u32,
    paws: u32,
}

#[derive(Deserialize)]
struct DecoderHeader {
    data_shards: usize,
    parity_shards: usize,
    newest_shard_id: u32,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Event {
    Enc {
        t: u64,
        rto: u64,
        off: u64,
        len: usize,
        data: Packet,
        #[serde(default)]
        parity: Vec<Packet>,
        st: [u64; 3],
    },
    Oob {
        #[serde(rename = "t")]
        _t: u64,
        off: u64,
        len: usize,
        data: Packet,
        st: [u64; 3],
    },
    NewEnc {
        data_shards: usize,
        parity_shards: usize,
        first_seqid: u32,
    },
    Dec {
        #[serde(rename = "in")]
        input: usize,
        #[serde(default)]
        recovered: Vec<String>,
        st: [u64; 8],
    },
}

#[derive(Deserialize)]
struct Packet {
    id: usize,
    hex: String,
}

struct Player {
    payload_seed: u64,
    encoder: Encoder,
    decoder: Decoder,
    /// All packets of the trace by number.
    packets: Vec<Vec<u8>>,
}

impl Player {
    fn new(header: &str) -> Result<Self, String> {
        let header: Header = serde_json::from_str(header).map_err(|error| format!("header: {error}"))?;
        if header.format != FORMAT {
            return Err(format!("format: recorded {}, wanted {FORMAT}", header.format));
        }
        let sender = shape(header.encoder.data_shards, header.encoder.parity_shards)?;
        equal("paws", header.encoder.paws, sender.paws())?;
        let receiver = shape(header.decoder.data_shards, header.decoder.parity_shards)?;
        Ok(Self {
            payload_seed: header.payload_seed,
            encoder: Encoder::with_next_seqid(sender, header.encoder.first_seqid),
            // The traces are of kcp-go v5.6.63, whose tuning state persists.
            decoder: Decoder::new(Some(receiver), Generation::Go2026)
                .with_tune_exit(TuneExit::OtherShape)
                .with_newest_group(header.decoder.newest_shard_id),
            packets: Vec::new(),
        })
    }

    fn step(&mut self, event: &str) -> Result<(), String> {
        match serde_json::from_str(event).map_err(|error| format!("event: {error}"))? {
            Event::Enc { t, rto, off, len, data, parity, st } => {
                equal("rto", rto, RTO_MS)?;
                let mut packet = self.payload(off, len);
                self.encoder.encode(t, &mut packet);
                self.emitted("data packet", &data, &packet)?;
                self.parity(&parity)?;
                self.encoder_state(st)
            }
            Event::Oob { _t, off, len, data, st } => {
                let mut packet = self.payload(off, len);
                write_out_of_band_header(&mut packet);
                self.emitted("out-of-band packet", &data, &packet)?;
                self.encoder_state(st)
            }
            Event::NewEnc { data_shards, parity_shards, first_seqid } => {
                self.encoder = Encoder::with_next_seqid(shape(data_shards, parity_shards)?, first_seqid);
                Ok(())
            }
            Event::Dec { input, recovered, st } => self.decode(input, &recovered, st),
        }
    }

    fn payload(&self, offset: u64, len: usize) -> Vec<u8> {
        let byte = |o: u64| (7 * o + 13 * (o >> 8) + 29 * (o >> 16) + self.payload_seed) as u8;
        let mut packet = vec![0; HEADER_LEN];
        packet.extend((offset..).take(len).map(byte));
        packet
    }

    fn emitted(&mut self, name: &str, recorded: &Packet, packet: &[u8]) -> Result<(), String> {
        equal("packet number", recorded.id, self.packets.len())?;
        let bytes = from_hex(&recorded.hex)?;
        compare(name, &bytes, packet, describe_packet)?;
        self.packets.push(bytes);
        Ok(())
    }

    fn parity(&mut self, recorded: &[Packet]) -> Result<(), String> {
        for (number, recorded) in recorded.iter().enumerate() {
            let name = format!("parity packet {number}");
            let Some(len) = self.encoder.parity_pending() else {
                return Err(format!("{name}: recorded {} hex digits, engine none", recorded.hex.len()));
            };
            let mut packet = vec![0; len];
            equal("length of parity", self.encoder.poll_parity(&mut packet), Some(len))?;
            self.emitted(&name, recorded, &packet)?;
        }
        equal("length of another parity packet", None, self.encoder.parity_pending())
    }

    fn encoder_state(&self, recorded: [u64; 3]) -> Result<(), String> {
        let state = self.encoder.state();
        let engine = [u64::from(state.next_seqid), state.shards as u64, state.packet_bytes_max as u64];
        compare_state(&["next", "shard_count", "max_size"], &recorded, &engine)
    }

    fn decode(&mut self, input: usize, recorded: &[String], st: [u64; 8]) -> Result<(), String> {
        let packet = self.packets.get(input).ok_or(format!("packet {input} does not exist"))?;
        // kcp-go 2026 has no clock in its decoder.
        self.decoder.decode(0, packet);
        for (number, recorded) in recorded.iter().enumerate() {
            let name = format!("recovered shard {number}");
            let Some(shard) = self.decoder.poll_recovered_shard() else {
                return Err(format!("{name}: recorded {} hex digits, engine none", recorded.len()));
            };
            compare(&name, &from_hex(recorded)?, shard, describe_shard)?;
        }
        if let Some(shard) = self.decoder.poll_recovered_shard() {
            return Err(format!(
                "recovered shard {}: recorded none, engine {}",
                recorded.len(),
                describe_shard(shard)
            ));
        }
        self.decoder_state(st)
    }

    fn decoder_state(&self, recorded: [u64; 8]) -> Result<(), String> {
        let names = [
            "data_shards",
            "parity_shards",
            "should_tune",
            "newest_shard_id",
            "shard_sets",
            "shards_held",
            "paws",
            "autotune_samples",
        ];
        let state = self.decoder.state();
        let engine = [
            state.data as u64,
            state.parity as u64,
            u64::from(state.tuning),
            u64::from(state.newest_group),
            state.groups as u64,
            state.packets as u64,
            u64::from(state.paws),
            state.samples as u64,
        ];
        compare_state(&names, &recorded, &engine)
    }
}

fn shape(data: usize, parity: usize) -> Result<Shape, String> {
    Shape::new(data, parity).map_err(|error| format!("{data}+{parity}: {error}"))
}

fn equal<T: PartialEq + std::fmt::Debug>(name: &str, recorded: T, engine: T) -> Result<(), String> {
    if recorded == engine {
        return Ok(());
    }
    Err(format!("{name}: recorded {recorded:?}, engine {engine:?}"))
}

fn compare(name: &str, recorded: &[u8], engine: &[u8], describe: fn(&[u8]) -> String) -> Result<(), String> {
    if recorded == engine {
        return Ok(());
    }
    let at = recorded.iter().zip(engine).take_while(|(a, b)| a == b).count();
    let (recorded, engine) = (describe(recorded), describe(engine));
    Err(format!("{name} differs from byte {at} on: recorded {recorded}, engine {engine}"))
}

fn compare_state(names: &[&str], recorded: &[u64], engine: &[u64]) -> Result<(), String> {
    let mut differences = String::new();
    for ((name, recorded), engine) in names.iter().zip(recorded).zip(engine) {
        if recorded != engine {
            let _ = write!(differences, "; {name}: recorded {recorded}, engine {engine}");
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(format!("state{differences}")) }
}

fn describe_packet(packet: &[u8]) -> String {
    let kind = kind(packet).map_or("no FEC packet".to_owned(), |kind| format!("{kind:?}"));
    let (header, rest) = packet.split_at(packet.len().min(HEADER_LEN));
    format!("[seqid {} {kind} {} bytes {} {}]", seqid(packet), packet.len(), to_hex(header), to_hex(rest))
}

fn describe_shard(shard: &[u8]) -> String {
    let size = shard.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    format!("[size {size} of {} bytes {}]", shard.len(), to_hex(shard))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn from_hex(hex: &str) -> Result<Vec<u8>, String> {
    let bytes = hex.as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    });
    bytes.collect::<Option<_>>().ok_or(format!("not hex: {hex}"))
}
