//! The smux layer: an independent parser counts frames; it and the engine extract the streams.

use super::figures::Figures;
use super::file::Side;
use super::{Checked, compare, differs};
use engine::Event;
use engine::Instant;
use engine::mux::{Mux, Role, Settings, Smux};
use std::collections::BTreeMap;

/// Streams in one direction of a connection, by id.
#[derive(Debug, Default)]
pub(super) struct Streams(pub(super) BTreeMap<u32, Carried>);

/// One direction of one stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) bytes: Vec<u8>,
    pub(super) fin: bool,
}

/// Extracts the streams of a smux byte stream; `receiver` is the role of its reader.
pub(super) fn unpack(side: &Side, receiver: Role, bytes: &[u8], figures: &mut Figures) -> Checked<Streams> {
    let (streams, without_updates) = walk(side.smuxver, bytes, figures)?;
    let engine = receive(side.smuxver, receiver, &streams, &without_updates)?;
    for (id, carried) in &streams.0 {
        let found = engine.0.get(id).map_or(&[][..], |found| &found.bytes);
        if let Some(difference) = compare::bytes(&carried.bytes, found) {
            return differs(format!("stream id {id} as the engine's smux reads it: {difference}"));
        }
    }
    Ok(engine)
}

/// Streams, and the bytes without UPD frames: they report data of the other direction, which this receiver never sent.
fn walk(version: u8, mut rest: &[u8], figures: &mut Figures) -> Checked<(Streams, Vec<u8>)> {
    let mut streams = Streams::default();
    let mut kept = Vec::with_capacity(rest.len());
    let (mut at, mut payload_max) = (0, 0);
    while let Some(([frame_version, command, len_low, len_high, id @ ..], after)) =
        rest.split_first_chunk::<8>()
    {
        let (id, len) = (u32::from_le_bytes(*id), usize::from(u16::from_le_bytes([*len_low, *len_high])));
        let Some((payload, after)) = after.split_at_checked(len) else {
            return differs(format!(
                "smux frame at byte {at} ({len} bytes for stream {id}) runs past the end"
            ));
        };
        let name = *NAMES.get(usize::from(*command)).unwrap_or(&"");
        if *frame_version != version || name.is_empty() || (*command == UPD && len != 8) {
            return differs(format!(
                "smux frame at byte {at}: version {frame_version}, command {command}, length {len}"
            ));
        }
        figures.add(&format!("mux_frames.{name}"));
        match *command {
            PSH => streams.0.entry(id).or_default().bytes.extend_from_slice(payload),
            FIN => streams.0.entry(id).or_default().fin = true,
            _ => {}
        }
        payload_max = payload_max.max(if *command == PSH { len } else { 0 });
        let frame = &rest[..8 + len];
        if *command != UPD {
            kept.extend_from_slice(frame);
        }
        at += frame.len();
        rest = after;
    }
    figures.set("mux_max_psh_payload", payload_max as u64);
    if rest.is_empty() {
        Ok((streams, kept))
    } else {
        differs(format!("{} bytes behind the last smux frame", rest.len()))
    }
}

const NAMES: [&str; 5] = ["SYN", "FIN", "PSH", "NOP", "UPD"];
const FIN: u8 = 1;
const PSH: u8 = 2;
const UPD: u8 = 4;

/// The streams that the engine's smux delivers.
fn receive(version: u8, role: Role, expected: &Streams, mut bytes: &[u8]) -> Checked<Streams> {
    let mut smux =
        Smux::new(Settings { version, half_close: true, ..Settings::default() }, role, Instant::ZERO);
    let mut streams = Streams::default();
    if role == Role::Client {
        let last = expected.0.keys().max().copied().unwrap_or(0);
        while smux.open().is_ok_and(|id| id.0 < last) {}
    }
    while !bytes.is_empty() {
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        let used = match smux.input(piece) {
            Ok(used) => used,
            Err(error) => return differs(format!("engine's smux: {error}")),
        };
        let progress = used > 0 || drain(&mut smux, &mut streams);
        drain(&mut smux, &mut streams);
        if !progress {
            return differs(format!("engine's smux stops with {} bytes left", bytes.len()));
        }
        bytes = &bytes[used..];
    }
    Ok(streams)
}

/// Size of input pieces: no divisor of a frame size, so that frames are split at many positions.
const PIECE_BYTES: usize = 1367;

/// Reads all available data; returns whether there was any.
fn drain(smux: &mut Smux, streams: &mut Streams) -> bool {
    let mut out = Vec::new();
    let mut any = false;
    while smux.poll_frame(&mut out) {
        out.clear();
    }
    while let Some(event) = smux.poll_event() {
        match event {
            Event::Readable(id) => {
                let carried = streams.0.entry(id.0).or_default();
                while let Ok(piece) = smux.peek(id).map(|piece| piece.to_vec()) {
                    if piece.is_empty() {
                        break;
                    }
                    carried.bytes.extend_from_slice(&piece);
                    smux.consume(id, piece.len());
                    any = true;
                }
            }
            Event::Finished(id) => streams.0.entry(id.0).or_default().fin = true,
            _ => {}
        }
    }
    any
}
