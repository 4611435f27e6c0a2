//! Text for recorded datagrams, segments and frames.

use super::{Again, Command, Frame, FrameCommand, Segment, Sent};
use engine::Cause;

/// A datagram as one line in the style of packet analysers, for captures.
pub(crate) fn datagram(sent: &Sent) -> String {
    let mut out = format!("#{}", sent.n);
    if let Some(shard) = sent.shard {
        out.push_str(&format!(" {} seqid={}", if shard.parity { "parity" } else { "data" }, shard.seqid));
    }
    for segment in &sent.segments {
        let Segment { cmd, sn, ts, una, wnd, frg, len, .. } = segment;
        out.push_str(&format!("; {} sn={sn} frg={frg} ts={ts} una={una} wnd={wnd} len={len}", command(*cmd)));
        if let Some(again) = &segment.again {
            out.push_str(&format!(" ({})", why(again)));
        }
    }
    out
}

/// A datagram in the shortest form.
pub(crate) fn brief(sent: &Sent) -> String {
    let of = |cmd: Command| {
        let found = sent.segments.iter().filter(move |segment| segment.cmd == cmd);
        ranges(found.map(|segment| u64::from(segment.sn)))
    };
    let mut parts = Vec::new();
    for (cmd, name) in [(Command::Push, "push"), (Command::Ack, "ack")] {
        let sns = of(cmd);
        if !sns.is_empty() {
            parts.push(format!("{name} {sns}"));
        }
    }
    let has = |cmd| sent.segments.iter().any(|segment| segment.cmd == cmd);
    parts.extend(has(Command::Wask).then(|| "window probe".into()));
    parts.extend(has(Command::Wins).then(|| "window size".into()));
    parts.extend(sent.shard.filter(|shard| shard.parity).map(|shard| format!("parity {}", shard.seqid)));
    format!("#{}, {} bytes: {}", sent.n, grouped(sent.bytes.into()), parts.join("; "))
}

pub(crate) const fn command(cmd: Command) -> &'static str {
    match cmd {
        Command::Push => "push",
        Command::Ack => "ack",
        Command::Wask => "wask",
        Command::Wins => "wins",
        Command::Unknown => "unknown",
    }
}

/// Reason of a retransmission.
pub(crate) fn why(again: &Again) -> String {
    let Again { cause, xmit, passed_by, waited_ms } = again;
    let passed = || match passed_by.len() {
        1 => format!("the acknowledgement of {} passed it", passed_by[0]),
        _ => format!("the acknowledgements of {} passed it", ranges(sorted(passed_by))),
    };
    let reason = match cause {
        Cause::Fast => format!("fast: {}", passed()),
        Cause::Early => format!("early: {}, and nothing new could be sent", passed()),
        Cause::Timeout => format!("timeout: no acknowledgement within {waited_ms} ms"),
        Cause::Overdue => "overdue: one sent later was acknowledged".into(),
        Cause::TailProbe => "tail: no acknowledgement since".into(),
        Cause::Redundant => "redundant: copied into a later, small datagram".into(),
    };
    format!("{} transmission, {reason}", ordinal(*xmit))
}

fn sorted(numbers: &[u32]) -> Vec<u64> {
    let mut sorted: Vec<u64> = numbers.iter().map(|&number| number.into()).collect();
    sorted.sort_unstable();
    sorted
}

fn ordinal(number: u32) -> String {
    match number {
        1 => "first".into(),
        2 => "second".into(),
        3 => "third".into(),
        4 => "fourth".into(),
        _ => {
            let ending = match (number % 10, number % 100) {
                (_, 11..=13) => "th",
                (1, _) => "st",
                (2, _) => "nd",
                (3, _) => "rd",
                _ => "th",
            };
            format!("{number}{ending}")
        }
    }
}

/// Frames of streams; adjacent data of one stream is joined.
pub(crate) fn frames<'f>(frames: impl Iterator<Item = &'f Frame>) -> String {
    let mut joined: Vec<Frame> = Vec::new();
    for frame in frames {
        match joined.last_mut() {
            Some(last)
                if frame.cmd == FrameCommand::Psh
                    && (last.cmd, last.stream, last.at + u64::from(last.len))
                        == (frame.cmd, frame.stream, frame.at) =>
            {
                last.len += frame.len;
            }
            _ => joined.push(*frame),
        }
    }
    joined.iter().map(frame).collect::<Vec<_>>().join(", ")
}

fn frame(frame: &Frame) -> String {
    let stream = frame.stream;
    match frame.cmd {
        FrameCommand::Syn => format!("opening of stream {stream}"),
        FrameCommand::Fin => format!("end of stream {stream}"),
        FrameCommand::Psh => span(stream, frame.at, frame.len.into()),
        FrameCommand::Nop => "keepalive".into(),
        FrameCommand::Upd => format!("window of stream {stream}"),
    }
}

/// A range of bytes of a stream.
pub fn span(stream: u32, at: u64, len: u64) -> String {
    format!("stream {stream} bytes {}..{}", grouped(at), grouped(at + len))
}

/// A number in groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Numbers as ranges: `3, 5..8`.
pub fn ranges(numbers: impl IntoIterator<Item = u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let words = ranges.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}..{last}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Side;
    use crate::record::Shard;

    #[test]
    fn ordinals_are_english() {
        let words = [1, 2, 5, 11, 12, 13, 21, 22, 103, 111].map(ordinal);
        assert_eq!(
            words,
            ["first", "second", "5th", "11th", "12th", "13th", "21st", "22nd", "103rd", "111th"]
        );
    }

    #[test]
    fn reasons_and_datagrams_as_text() {
        let again = |cause, passed_by: &[u32], waited_ms, xmit| {
            why(&Again { cause, xmit, passed_by: passed_by.into(), waited_ms })
        };
        assert_eq!(
            again(Cause::Fast, &[9, 7, 8], 0, 2),
            "second transmission, fast: the acknowledgements of 7..9 passed it"
        );
        assert_eq!(
            again(Cause::Timeout, &[], 213, 5),
            "5th transmission, timeout: no acknowledgement within 213 ms"
        );
        assert!(
            again(Cause::Early, &[4], 0, 3).contains("third transmission, early: the acknowledgement of 4")
        );
        let segment =
            |cmd, sn, len| Segment { cmd, sn, ts: 10, una: 1, wnd: 512, frg: 0, len, rto_ms: 0, again: None };
        let segments = vec![segment(Command::Ack, 3, 0), segment(Command::Push, 5, 9)];
        let shard = Some(Shard { seqid: 11, parity: false });
        let sent = Sent { n: 12, side: Side::Client, session: 0, bytes: 1_350, shard, segments };
        let words = "#12 data seqid=11; ack sn=3 frg=0 ts=10 una=1 wnd=512 len=0; push sn=5 frg=0 ts=10 una=1 wnd=512 len=9";
        assert_eq!(datagram(&sent), words);
        assert_eq!(brief(&sent), "#12, 1,350 bytes: push 5; ack 3");
    }

    #[test]
    fn adjacent_data_is_one_span() {
        let data = |at, len| Frame { cmd: FrameCommand::Psh, stream: 3, at, len };
        let list = [data(0, 10), data(10, 5), data(20, 1)];
        assert_eq!(frames(list.iter()), "stream 3 bytes 0..15, stream 3 bytes 20..21");
    }

    #[test]
    fn numbers_are_grouped_and_runs_are_short() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(ranges([3, 5, 6, 7, 9, 10]), "3, 5..7, 9, 10");
    }
}
