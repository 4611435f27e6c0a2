//! Replays KCP traces (`kcp-trace-1`): every operation, return value, datagram and state number (KCP-21).

use super::Mismatch;
use engine::Generation;
use engine::arq::{Arq, Flush, Header, InputError, RecvError, SendError, Source, Tuning};
use engine::time::Instant;
use serde_json::Value;

/// Replays a decompressed trace with two [`Arq`]s on its virtual clock; returns the number of compared events.
///
/// # Errors
/// The first event that differs, or a malformed line.
pub fn replay(text: &str) -> Result<usize, Mismatch> {
    let mut lines = text.lines().enumerate();
    let (_, first) = lines.next().ok_or_else(|| fail(1, "empty trace"))?;
    let header = parse(1, first)?;
    let mut replay = Replay::new(&header).map_err(|difference| fail(1, difference))?;
    let mut events = 0;
    for (index, line) in lines {
        let event = parse(index + 1, line)?;
        replay.event(&event).map_err(|difference| fail(index + 1, difference))?;
        events += 1;
    }
    Ok(events)
}

fn fail(line: usize, difference: impl Into<String>) -> Mismatch {
    Mismatch { line, difference: difference.into() }
}

fn parse(line: usize, text: &str) -> Result<Value, Mismatch> {
    serde_json::from_str(text).map_err(|error| fail(line, format!("not JSON: {error}")))
}

struct Replay {
    ends: Vec<End>,
    state_fields: Vec<String>,
    datagrams: Vec<Vec<u8>>,
}

struct End {
    name: String,
    arq: Arq,
    payload_seed: u64,
    tuning: Tuning,
}

/// Return value of an operation.
#[derive(Default, PartialEq, Debug)]
struct Answer {
    ret: Option<i64>,
    crc: Option<u32>,
}

impl Replay {
    fn new(header: &Value) -> Result<Self, String> {
        let fields = header["state_fields"].as_array().ok_or("header has no state_fields")?;
        let state_fields = fields.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let endpoints = header["endpoints"].as_object().ok_or("header has no endpoints")?;
        let ends = endpoints.iter().map(|(name, settings)| End::new(name, settings)).collect();
        Ok(Self { ends, state_fields, datagrams: Vec::new() })
    }

    fn event(&mut self, event: &Value) -> Result<(), String> {
        let name = event["ep"].as_str().ok_or("event without ep")?;
        let now = Instant::from_millis(number(event, "t")? as u64);
        let index = self.ends.iter().position(|end| end.name == name).ok_or("unknown endpoint")?;
        let incoming = self.incoming(event)?;
        let end = &mut self.ends[index];
        let (mut answer, flushed) = end.apply(event, now, incoming.as_deref())?;
        let mut out = Vec::new();
        let mut buffer = [0; 2048];
        while let Some(len) = end.arq.poll_transmit(now, &mut buffer) {
            out.push(buffer[..len].to_vec());
        }
        if flushed {
            answer.ret = Some(i64::from(end.arq.flush_next_ms()));
        }
        end.arq.assert_invariants();
        let wanted = Answer {
            ret: event["ret"].as_i64().filter(|_| answer.ret.is_some()),
            crc: event["crc"].as_u64().map(|crc| crc as u32),
        };
        if answer != wanted {
            return Err(format!("{} returned {answer:?}, recorded {wanted:?}", event["op"]));
        }
        compare_datagrams(event, &out)?;
        self.compare_state(event, index, now)?;
        self.datagrams.append(&mut out);
        Ok(())
    }

    fn incoming(&self, event: &Value) -> Result<Option<Vec<u8>>, String> {
        if let Some(hex) = event["hex"].as_str() {
            return unhex(hex).map(Some);
        }
        let Some(id) = event["in"].as_u64() else { return Ok(None) };
        self.datagrams.get(id as usize).cloned().map(Some).ok_or(format!("datagram {id} was not emitted yet"))
    }

    fn compare_state(&self, event: &Value, index: usize, now: Instant) -> Result<(), String> {
        let wanted = event["st"].as_array().ok_or("event without st")?;
        for (name, wanted) in self.state_fields.iter().zip(wanted) {
            let found = self.ends[index].number(name, now)?;
            if wanted.as_i64() != Some(found) {
                return Err(format!("after {}: {name} is {found}, recorded {wanted}", event["op"]));
            }
        }
        Ok(())
    }
}

impl End {
    fn new(name: &str, settings: &Value) -> Self {
        let mut arq = Arq::new(settings["conv"].as_u64().unwrap_or(0) as u32, Generation::Go2026);
        if let Some(init) = settings["init"].as_object() {
            let serial = |name: &str| init.get(name).and_then(Value::as_u64).unwrap_or(0) as u32;
            arq.set_serials(serial("snd_una"), serial("snd_nxt"), serial("rcv_nxt"));
        }
        let tuning = Tuning { nodelay: false, interval_ms: 100, resend: 0, nc: false };
        let payload_seed = settings["payload_seed"].as_u64().unwrap_or(0);
        Self { name: name.to_owned(), arq, payload_seed, tuning }
    }

    /// Executes one operation; the flag marks the interval of a completed flush as its return value.
    fn apply(
        &mut self,
        event: &Value,
        now: Instant,
        incoming: Option<&[u8]>,
    ) -> Result<(Answer, bool), String> {
        let ret = |value: i64| Ok((Answer { ret: Some(value), crc: None }, false));
        match event["op"].as_str().ok_or("event without op")? {
            "stream" => {
                self.arq.set_stream(argument(event, 0)? != 0);
                Ok((Answer::default(), false))
            }
            "nodelay" => self.set_tuning(event).map(|()| (Answer { ret: Some(0), crc: None }, false)),
            "wndsize" => {
                let window = |value: i64| u32::try_from(value).unwrap_or(0);
                self.arq.set_windows(window(argument(event, 0)?), window(argument(event, 1)?));
                ret(0)
            }
            "setmtu" => {
                let mtu = usize::try_from(argument(event, 0)?).unwrap_or(0);
                ret(if self.arq.set_mtu(mtu) { 0 } else { -1 })
            }
            "send" => ret(self.send(number(event, "off")? as u64, number(event, "len")? as usize)),
            "flush" => {
                let kind = if event["kind"] == "ack" { Flush::AckOnly } else { Flush::Full };
                self.arq.flush(now, kind);
                Ok((Answer::default(), true))
            }
            "update" => {
                self.arq.update(now);
                Ok((Answer::default(), false))
            }
            "input" => {
                let source = if event["pkt"] == "fec" { Source::Recovered } else { Source::Regular };
                let datagram = incoming.ok_or("input without a datagram")?;
                ret(input_code(self.arq.input(now, datagram, source, event["nodelay"] == true)))
            }
            "recv" => Ok((self.recv(number(event, "cap")? as usize), false)),
            other => Err(format!("unknown operation {other}")),
        }
    }

    fn set_tuning(&mut self, event: &Value) -> Result<(), String> {
        // Go keeps a value when the argument is negative.
        let [nodelay, interval, resend, nc] = [0, 1, 2, 3].map(|i| argument(event, i));
        let tuning = &mut self.tuning;
        u32::try_from(nodelay?).map(|value| tuning.nodelay = value != 0).ok();
        u32::try_from(interval?).map(|value| tuning.interval_ms = value).ok();
        u32::try_from(resend?).map(|value| tuning.resend = value).ok();
        u32::try_from(nc?).map(|value| tuning.nc = value != 0).ok();
        self.arq.set_tuning(*tuning);
        Ok(())
    }

    fn send(&mut self, offset: u64, len: usize) -> i64 {
        let data: Vec<u8> = (offset..offset + len as u64).map(|o| pattern(o, self.payload_seed)).collect();
        match self.arq.send(&data) {
            Ok(()) => 0,
            Err(SendError::Empty) => -1,
            Err(_) => -2,
        }
    }

    fn recv(&mut self, cap: usize) -> Answer {
        let mut buffer = vec![0; cap];
        match self.arq.recv(&mut buffer) {
            Ok(len) => Answer { ret: Some(len as i64), crc: Some(crc32fast::hash(&buffer[..len])) },
            Err(RecvError::Blocked) => Answer { ret: Some(-1), crc: None },
            Err(_) => Answer { ret: Some(-2), crc: None },
        }
    }

    fn number(&self, field: &str, now: Instant) -> Result<i64, String> {
        let state = self.arq.state();
        let waitsnd = self.arq.waitsnd() as i64;
        Ok(match field {
            "snd_una" => state.snd_una.into(),
            "snd_nxt" => state.snd_nxt.into(),
            "rcv_nxt" => state.rcv_nxt.into(),
            "rx_srtt" => state.srtt_ms.into(),
            "rx_rttval" => state.rttvar_ms.into(),
            "rx_rto" => state.rto_ms.into(),
            "cwnd" => state.cwnd.into(),
            "ssthresh" => state.ssthresh.into(),
            "incr" => state.incr.into(),
            "rmt_wnd" => state.rmt_wnd.into(),
            "probe" => i64::from(state.ask_window) + 2 * i64::from(state.tell_window),
            "ts_probe" => state.ts_probe.into(),
            "probe_wait" => state.probe_wait_ms.into(),
            "state" => i64::from(if state.dead { u32::MAX } else { 0 }),
            "waitsnd" => waitsnd,
            "nsnd_que" => state.snd_queue as i64,
            "nsnd_buf" => state.snd_buf as i64,
            "nrcv_que" => state.rcv_queue as i64,
            "nrcv_buf" => state.rcv_buf as i64,
            "ackcount" => state.acks as i64,
            "peeksize" => self.arq.peek_size().map_or(-1, |size| size as i64),
            "ts_flush" => state.ts_flush.into(),
            "next_check" => self.arq.check(now).into(),
            other => return Err(format!("unknown state field {other}")),
        })
    }
}

fn input_code(result: Result<(), InputError>) -> i64 {
    match result {
        Ok(()) => 0,
        Err(InputError::Conv) => -1,
        Err(InputError::Truncated) => -2,
        Err(_) => -3,
    }
}

/// The payload pattern of section 3 of the golden format.
fn pattern(offset: u64, seed: u64) -> u8 {
    (7 * offset + 13 * (offset >> 8) + 29 * (offset >> 16) + seed) as u8
}

fn compare_datagrams(event: &Value, out: &[Vec<u8>]) -> Result<(), String> {
    let none = Vec::new();
    let wanted = event["out"].as_array().unwrap_or(&none);
    for (i, datagram) in out.iter().enumerate() {
        let Some(wanted) = wanted.get(i).and_then(Value::as_str) else {
            return Err(format!("{} emitted one more datagram: {}", event["op"], describe(datagram)));
        };
        let wanted = unhex(wanted)?;
        if *datagram != wanted {
            return Err(format!(
                "{} datagram {i} is {}, recorded {}",
                event["op"],
                describe(datagram),
                describe(&wanted)
            ));
        }
    }
    match wanted.get(out.len()).and_then(Value::as_str) {
        Some(missing) => Err(format!("{} did not emit {}", event["op"], describe(&unhex(missing)?))),
        None => Ok(()),
    }
}

/// The segments of a datagram as one line.
fn describe(mut datagram: &[u8]) -> String {
    let mut segments = Vec::new();
    while let Some((header, rest)) = Header::parse(datagram) {
        let name = header.command().map_or(format!("cmd {}", header.cmd), |command| format!("{command:?}"));
        segments.push(format!(
            "{name} conv {:08x} frg {} wnd {} ts {} sn {} una {} len {}",
            header.conv, header.frg, header.wnd, header.ts, header.sn, header.una, header.len
        ));
        datagram = rest.get(header.len as usize..).unwrap_or(&[]);
    }
    format!("[{}]", segments.join(" | "))
}

fn number(event: &Value, name: &str) -> Result<i64, String> {
    event[name].as_i64().ok_or_else(|| format!("event without {name}"))
}

fn argument(event: &Value, index: usize) -> Result<i64, String> {
    event["args"][index].as_i64().ok_or_else(|| format!("event without argument {index}"))
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err("odd number of hex digits".into());
    }
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(|_| "bad hex")?;
            u8::from_str_radix(pair, 16).map_err(|_| "bad hex".to_owned())
        })
        .collect()
}
