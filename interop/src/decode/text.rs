//! The readable form.

use super::facts::{Flow, Half, Seen, SeenFrame, SeenSegment, Session, Stream, Totals};
use engine::Cause;
use sim::Direction;
use sim::record::Command;
use sim::record::words::{grouped, ranges};

/// Lines of one datagram: addresses, then one line for each layer.
pub(super) fn datagram(seen: &Seen) -> String {
    let arrow = if seen.dir == Direction::Up { "client > server" } else { "server > client" };
    let mut out = format!(
        "#{}  {}  {arrow}  {} > {}  {} bytes\n",
        seen.n,
        seconds(seen.t),
        seen.from,
        seen.to,
        grouped(seen.bytes as u64)
    );
    let mut line = |text: &str| out.extend(["    ", text, "\n"]);
    match (seen.cipher, seen.duplicate_of) {
        (_, Some(first)) => line(&format!("the same bytes as #{first}")),
        (None, None) => line("does not open: another key or cipher, damaged, or not of kcptun"),
        (Some(cipher), None) => line(&opened(cipher, seen)),
    }
    for segment in &seen.segments {
        if segment.segment.cmd != Command::Ack {
            line(&self::segment(segment));
        }
    }
    if let Some(acks) = acks(seen) {
        line(&acks);
    }
    for one in &seen.rebuilt {
        let (sns, new) = (list(&one.sns), list(&one.new));
        line(&match (sns.is_empty(), new.is_empty()) {
            (true, _) => "parity rebuilds a data packet without data segments".to_owned(),
            (_, true) => format!("parity rebuilds segments {sns}, which had arrived"),
            _ if sns == new => format!("parity rebuilds segments {sns}: REPAIRED"),
            _ => format!("parity rebuilds segments {sns}: {new} REPAIRED"),
        });
    }
    if let Some(in_order) = seen.in_order {
        let waited = match in_order.waited_us {
            0 => String::new(),
            us => format!(", after later segments waited {}", millis(us)),
        };
        let range = ranges(u64::from(in_order.first)..=u64::from(in_order.last));
        line(&format!("in order: segments {range}{waited}"));
    }
    for frame in joined(&seen.frames) {
        line(&self::frame(&frame));
    }
    seen.notes.iter().for_each(|note| line(note));
    out
}

fn opened(cipher: &str, seen: &Seen) -> String {
    let Some(fec) = seen.fec else { return cipher.to_owned() };
    let kind = if fec.shard.parity { "parity" } else { "data" };
    match fec.place {
        Some((group, at)) => format!("{cipher}; FEC {kind} {}: shard {at} of group {group}", fec.shard.seqid),
        None => format!("{cipher}; FEC {kind} {}, of unknown shape", fec.shard.seqid),
    }
}

fn segment(seen: &SeenSegment) -> String {
    let segment = &seen.segment;
    let window = format!("una {}, window {}", segment.una, segment.wnd);
    match segment.cmd {
        Command::Push => {
            let mut out = format!("push {}: {} bytes, ts {}, {window}", segment.sn, segment.len, segment.ts);
            if segment.frg > 0 {
                out.push_str(&format!(", {} fragments follow", segment.frg));
            }
            if let (Some(again), Some(first)) = (&segment.again, seen.first_in) {
                let why = match again.cause {
                    Cause::Timeout => {
                        format!("nothing acknowledged it or passed it for {} ms", again.waited_ms)
                    }
                    _ => format!("acknowledgements of {} passed it", list(&again.passed_by)),
                };
                out.push_str(&format!(", RETRANSMITTED ({}., first in #{first}): {why}", again.xmit));
                if seen.unnecessary {
                    out.push_str("; unnecessary, it was acknowledged");
                }
            }
            out
        }
        Command::Wask => format!("window probe, {window}"),
        Command::Wins => format!("window announcement, {window}"),
        Command::Unknown | Command::Ack => format!("unknown command, sn {}, {window}", segment.sn),
    }
}

/// All acknowledgements of a datagram in one line.
fn acks(seen: &Seen) -> Option<String> {
    let acks = || seen.segments.iter().filter(|one| one.segment.cmd == Command::Ack);
    let last = acks().next_back()?;
    let sns: Vec<u32> = acks().map(|one| one.segment.sn).collect();
    let mut out = format!("ack {}, una {}, window {}", list(&sns), last.segment.una, last.segment.wnd);
    if let Some(us) = acks().filter_map(|one| one.after_us).min() {
        out.push_str(&format!(", {} after the segment", millis(us)));
    }
    Some(out)
}

/// Adjacent data of a stream as one.
fn joined(frames: &[SeenFrame]) -> Vec<SeenFrame> {
    let mut joined: Vec<SeenFrame> = Vec::new();
    for frame in frames {
        if let (Some(last), Some(at)) = (joined.last_mut(), frame.at)
            && last.stream == frame.stream
            && last.at.is_some_and(|from| from + last.len == at)
        {
            last.len += frame.len;
            continue;
        }
        joined.push(frame.clone());
    }
    joined
}

fn frame(frame: &SeenFrame) -> String {
    let stream = frame.stream;
    match (frame.cmd.as_str(), frame.at, frame.len) {
        (_, Some(at), len) => format!("stream {stream}: bytes {}..{}", grouped(at), grouped(at + len)),
        ("SYN", ..) => format!("stream {stream}: opened"),
        ("FIN", ..) => format!("stream {stream}: end"),
        ("NOP", _, 0) if stream == 0 => "keepalive".to_owned(),
        ("NOP", _, 0) if stream == 0x6b61_7273 => "keepalive that announces half-close (karst)".to_owned(),
        ("NOP", _, 65_534) => format!("stream {stream}: the end that follows is a reset (karst)"),
        ("NOP", _, 65_535) => format!("stream {stream}: closed by its reader (karst)"),
        ("NOP", _, 0) => format!("keepalive {stream}"),
        ("NOP", _, kib) => format!("stream {stream}: {kib} KiB read (karst), or keepalive"),
        ("UPD", ..) => {
            let (consumed, window) = frame.window.unwrap_or_default();
            format!(
                "stream {stream}: {} bytes consumed, window {}",
                grouped(consumed.into()),
                grouped(window.into())
            )
        }
        ("ACK", ..) => format!("answer to keepalive {stream}"),
        ("FUL", ..) => format!("stream {stream}: paused by its receiver"),
        ("EMP", ..) => format!("stream {stream}: resumed by its receiver"),
        (name, _, len) => format!("stream {stream}: {name} {}", grouped(len)),
    }
}

/// The line of two addresses, and one for each direction.
pub(super) fn flow(flow: &Flow) -> String {
    let transport = if flow.tcp { "forged TCP" } else { "UDP" };
    let Some(cipher) = flow.cipher else {
        let datagrams = flow.up.datagrams + flow.down.datagrams;
        return format!(
            "FLOW {} > {} ({transport}): {} datagrams, none of which opens with this key\n",
            flow.client,
            flow.server,
            grouped(datagrams)
        );
    };
    let fec = |sizes: Option<(usize, usize)>| {
        sizes.map_or_else(|| "no FEC".to_owned(), |(data, parity)| format!("FEC {data}:{parity}"))
    };
    let convs: Vec<String> = flow.convs.iter().map(u32::to_string).collect();
    format!(
        "FLOW {} > {} ({transport}): cipher {cipher}, client {}, server {}, conversation {}\n{}{}",
        flow.client,
        flow.server,
        fec(flow.client_fec),
        fec(flow.server_fec),
        convs.join(", "),
        totals("client > server", &flow.up),
        totals("server > client", &flow.down)
    )
}

fn totals(direction: &str, totals: &Totals) -> String {
    let mut parts = vec![format!("{} datagrams, {} bytes", grouped(totals.datagrams), grouped(totals.bytes))];
    let mut part = |count: u64, text: String| parts.extend((count > 0).then_some(text));
    part(totals.unopened, format!("{} do not open", grouped(totals.unopened)));
    part(totals.duplicates, format!("{} repeat others", grouped(totals.duplicates)));
    let again = match totals.retransmitted {
        0 => String::new(),
        n => format!(
            " of which {} retransmitted ({} fast, {} by timeout; {} unnecessary)",
            grouped(n),
            grouped(totals.fast),
            grouped(totals.timeout),
            grouped(totals.unnecessary)
        ),
    };
    part(totals.pushes, format!("{} data segments{again}", grouped(totals.pushes)));
    part(totals.acks, format!("{} acknowledgements", grouped(totals.acks)));
    part(totals.fec_parity, format!("{} parity packets", grouped(totals.fec_parity)));
    part(totals.fec_missing, format!("{} data packets missing here", grouped(totals.fec_missing)));
    part(totals.rebuilt, format!("{} repaired by parity", grouped(totals.rebuilt)));
    format!("  {direction}: {}\n", parts.join(", "))
}

/// The line of a session.
pub(super) fn session(session: &Session) -> String {
    let compressed = match session.compressed {
        [Some(true), Some(true)] => "compressed".to_owned(),
        [Some(false), Some(false)] => "not compressed".to_owned(),
        [up, down] => {
            let word = |one| match one {
                Some(true) => "compressed",
                Some(false) => "not compressed",
                None => "unknown",
            };
            format!("compression: client {}, server {}", word(up), word(down))
        }
    };
    let mux = session.mux.as_deref().unwrap_or("multiplexer unknown");
    let mut out =
        format!("SESSION {} (conversation {}): {mux}, {compressed}\n", session.session, session.conv);
    for ((direction, frames), lost) in
        ["client > server", "server > client"].iter().zip(&session.frames).zip(&session.lost)
    {
        let counts: Vec<String> = frames.iter().map(|(name, n)| format!("{name} {}", grouped(*n))).collect();
        if !counts.is_empty() {
            out.push_str(&format!("  {direction}: frames {}\n", counts.join(", ")));
        }
        if let Some(why) = lost {
            out.push_str(&format!("  {direction}: frames are missing: {why}\n"));
        }
    }
    out
}

/// The timeline of a stream.
pub(super) fn stream(stream: &Stream) -> String {
    let mut out = format!(
        "STREAM {} of session {}: opened {}\n",
        stream.stream,
        stream.session,
        seconds(stream.opened)
    );
    for (direction, half) in [("client > server", &stream.up), ("server > client", &stream.down)] {
        out.push_str(&format!("  {direction}: {}\n", self::half(half)));
    }
    out
}

fn half(half: &Half) -> String {
    let mut out = match (half.first, half.last) {
        (Some(first), Some(last)) => {
            format!("{} bytes from {} to {}", grouped(half.bytes), seconds(first), seconds(last))
        }
        _ => "no data".to_owned(),
    };
    if half.waits > 0 {
        out.push_str(&format!(
            ", {} times behind a missing segment for {} (longest {})",
            half.waits,
            millis(half.waited_us),
            millis(half.waited_us_max)
        ));
    }
    let end = if half.reset { "reset" } else { "end" };
    match half.end {
        Some(at) => out.push_str(&format!(", {end} {}", seconds(at))),
        None if half.reset => out.push_str(", reset"),
        None => out.push_str(", no end"),
    }
    out
}

fn list(numbers: &[u32]) -> String {
    let mut sorted: Vec<u64> = numbers.iter().map(|number| u64::from(*number)).collect();
    sorted.sort_unstable();
    sorted.dedup();
    ranges(sorted)
}

fn seconds(us: u64) -> String {
    format!("{}.{:06} s", us / 1_000_000, us % 1_000_000)
}

fn millis(us: u64) -> String {
    format!("{}.{} ms", us / 1_000, us % 1_000 / 100)
}
