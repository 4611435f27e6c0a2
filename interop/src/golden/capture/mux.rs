//! The multiplexer: an independent parser counts frames; it and the engine extract the streams.

use super::figures::Figures;
use super::file::Side;
use super::{Checked, compare, differs};
use engine::Event;
use engine::Instant;
use engine::mux::{Dialect, Mux, Role, Settings};
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

/// Extracts the streams of a multiplexed byte stream; `receiver` is the role of its reader.
pub(super) fn unpack(
    dialect: Dialect,
    side: &Side,
    receiver: Role,
    bytes: &[u8],
    figures: &mut Figures,
) -> Checked<Streams> {
    let (streams, without_updates) = walk(dialect, side.smuxver, bytes, figures)?;
    let engine = receive(dialect, side.smuxver, receiver, &streams, &without_updates)?;
    for (id, carried) in &streams.0 {
        let found = engine.0.get(id).map_or(&[][..], |found| &found.bytes);
        if let Some(difference) = compare::bytes(&carried.bytes, found) {
            return differs(format!(
                "stream id {id} as the engine's {} reads it: {difference}",
                dialect.name()
            ));
        }
    }
    Ok(engine)
}

/// One frame, as the independent parser reads it.
pub(crate) struct Frame {
    pub(crate) header_bytes: usize,
    /// As recorded figures name it.
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) payload_bytes: usize,
    pub(crate) carries_data: bool,
    pub(crate) fin: bool,
    /// Reports data of the other direction, which this receiver never sent.
    pub(crate) is_report: bool,
}

impl Frame {
    /// The first frame of `bytes`; `None` when its header is cut or not of the dialect.
    pub(crate) fn parse(dialect: Dialect, version: u8, bytes: &[u8]) -> Option<Self> {
        if dialect == Dialect::Yamux { Self::yamux(bytes) } else { Self::smux(dialect, version, bytes) }
    }

    fn smux(dialect: Dialect, version: u8, bytes: &[u8]) -> Option<Self> {
        let [frame_version, command, len_low, len_high, id @ ..] = *bytes.first_chunk::<8>()?;
        let names: &[&str] = match (dialect, version) {
            (Dialect::Smuxb, _) => &["SYN", "FIN", "PSH", "NOP", "ACK", "FUL", "EMP"],
            (_, 1) => &["SYN", "FIN", "PSH", "NOP"],
            _ => &["SYN", "FIN", "PSH", "NOP", "UPD"],
        };
        let name = *names.get(usize::from(command))?;
        let payload_bytes = usize::from(u16::from_le_bytes([len_low, len_high]));
        let right = frame_version == version && (name != "UPD" || payload_bytes == 8);
        right.then(|| Self {
            header_bytes: 8,
            name: name.to_owned(),
            id: u32::from_le_bytes(id),
            payload_bytes,
            carries_data: name == "PSH",
            fin: name == "FIN",
            is_report: name == "UPD",
        })
    }

    fn yamux(bytes: &[u8]) -> Option<Self> {
        let [version, kind, flags_high, flags, i0, i1, i2, i3, l0, l1, l2, l3] =
            *bytes.first_chunk::<12>()?;
        let mut name = (*["DATA", "WINDOW_UPDATE", "PING", "GO_AWAY"].get(usize::from(kind))?).to_owned();
        for (bit, flag) in ["+SYN", "+ACK", "+FIN", "+RST"].into_iter().enumerate() {
            name += if flags >> bit & 1 == 1 { flag } else { "" };
        }
        let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        (version == 0 && flags_high == 0 && flags < 16).then(|| Self {
            header_bytes: 12,
            name,
            id: u32::from_be_bytes([i0, i1, i2, i3]),
            payload_bytes: if kind == 0 { len } else { 0 },
            carries_data: kind == 0,
            fin: kind < 2 && flags & 4 != 0,
            is_report: false,
        })
    }
}

/// Streams, and the bytes without reports.
fn walk(
    dialect: Dialect,
    version: u8,
    mut rest: &[u8],
    figures: &mut Figures,
) -> Checked<(Streams, Vec<u8>)> {
    let mut streams = Streams::default();
    let mut kept = Vec::with_capacity(rest.len());
    let (mut at, mut payload_max) = (0, 0);
    while !rest.is_empty() {
        let Some(frame) = Frame::parse(dialect, version, rest) else {
            let excerpt = super::hex(&rest[..rest.len().min(12)]);
            return differs(format!("no {} frame at byte {at}: {excerpt}", dialect.name()));
        };
        let Some(payload) = rest.get(frame.header_bytes..frame.header_bytes + frame.payload_bytes) else {
            return differs(format!(
                "{} frame at byte {at} ({} bytes for stream {}) runs past the end",
                dialect.name(),
                frame.payload_bytes,
                frame.id
            ));
        };
        figures.add(&format!("mux_frames.{}", frame.name));
        if frame.carries_data {
            streams.0.entry(frame.id).or_default().bytes.extend_from_slice(payload);
            payload_max = payload_max.max(payload.len());
        }
        if frame.fin {
            streams.0.entry(frame.id).or_default().fin = true;
        }
        let (whole, after) = rest.split_at(frame.header_bytes + frame.payload_bytes);
        if !frame.is_report {
            kept.extend_from_slice(whole);
        }
        at += whole.len();
        rest = after;
    }
    let figure = if dialect == Dialect::Yamux { "mux_max_data_payload" } else { "mux_max_psh_payload" };
    figures.set(figure, payload_max as u64);
    Ok((streams, kept))
}

/// The streams that the engine delivers.
fn receive(
    dialect: Dialect,
    version: u8,
    role: Role,
    expected: &Streams,
    mut bytes: &[u8],
) -> Checked<Streams> {
    let settings = Settings {
        dialect,
        version,
        half_close: true,
        // kcptun's of 2016, more than any other one's.
        receive_bytes_max: 1 << 24,
        stream_bytes_max: 1 << 24,
        ..Settings::default()
    };
    let mut mux = engine::mux::start_session(settings, role, Instant::ZERO);
    let mut streams = Streams::default();
    if role == Role::Client {
        let last = expected.0.keys().max().copied().unwrap_or(0);
        while mux.open().is_ok_and(|id| id.0 < last) {}
    }
    while !bytes.is_empty() {
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        let used = match mux.input(piece) {
            Ok(used) => used,
            Err(error) => return differs(format!("engine's {}: {error}", dialect.name())),
        };
        let progress = used > 0 || drain(&mut *mux, &mut streams);
        drain(&mut *mux, &mut streams);
        if !progress {
            return differs(format!("engine's {} stops with {} bytes left", dialect.name(), bytes.len()));
        }
        bytes = &bytes[used..];
    }
    Ok(streams)
}

/// Size of input pieces: no divisor of a frame size, so that frames are split at many positions.
const PIECE_BYTES: usize = 1367;

/// Reads all available data; returns whether there was any.
fn drain(mux: &mut dyn Mux, streams: &mut Streams) -> bool {
    let mut out = Vec::new();
    let mut any = false;
    while mux.poll_frame(&mut out) {
        out.clear();
    }
    while let Some(event) = mux.poll_event() {
        match event {
            Event::Readable(id) => {
                let carried = streams.0.entry(id.0).or_default();
                while let Ok(piece) = mux.peek(id).map(|piece| piece.to_vec()) {
                    if piece.is_empty() {
                        break;
                    }
                    carried.bytes.extend_from_slice(&piece);
                    mux.consume(id, piece.len());
                    any = true;
                }
            }
            Event::Finished(id) => streams.0.entry(id.0).or_default().fin = true,
            _ => {}
        }
    }
    any
}
