//! Fixed work of each part of the packet path, for valgrind to count: `ci/instructions.sh`.
//!
//! `--features` prints the processor features that select an implementation, `--list` the parts. The name of a part runs
//! its work in `measured`, and prints the number and kind of its units.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a program whose errors may panic; the command line names the part"
)]

mod tunnels;

use engine::arq::{Arq, Flush, Source, Tuning};
use engine::crypt::{Cipher, MasterKey, Suite};
use engine::fec::{Decoder, Encoder, Shape};
use engine::mux::{Mux, Role, Settings, Smux};
use engine::{Entropy, Generation, Instant, snappy};
use std::hint::black_box;
use std::io::Write;
use tunnels::{Tunnels, noise};

const DATAGRAM_BYTES: usize = 1350;
const RUN_DATAGRAMS: usize = 16;
const FRAME_BYTES: usize = 8192;
const SEGMENTS: usize = 256;
const ROUNDS: usize = 20;

/// One round of a part; repeatable.
type Work = Box<dyn FnMut()>;

/// A part: its name, its unit, the units of one round, and the function that sets it up.
struct Part(&'static str, &'static str, usize, fn() -> Work);

const PARTS: [Part; 10] = [
    Part("seal-aes", "datagram of 1350 bytes", RUN_DATAGRAMS, seal),
    Part("open-aes", "datagram of 1350 bytes", RUN_DATAGRAMS, open),
    Part("fec-encode", "data packet of 10+3", 10, fec_encode),
    Part("fec-store", "packet of 10+3, none lost", 13, || fec_decode(0)),
    Part("fec-rebuild", "packet of 10+3, three lost", 10, || fec_decode(3)),
    Part("snappy-encode", "8192 bytes of text", 1, snappy_encode),
    Part("snappy-decode", "8192 bytes of text", 1, snappy_decode),
    Part("smux-frame", "frame of 8192 bytes", 1, smux_frame),
    Part("arq-segment", "segment there and acknowledged", SEGMENTS, arq_segments),
    Part("tunnel", "8192 bytes through both ends", 16, tunnel),
];

fn main() {
    let mut out = std::io::stdout();
    match std::env::args().nth(1).as_deref() {
        Some("--list") => PARTS.iter().for_each(|part| writeln!(out, "{}", part.0).unwrap()),
        Some("--features") => writeln!(out, "{}", features()).unwrap(),
        Some(name) if PARTS.iter().any(|part| part.0 == name) => {
            let Part(_, unit, units, ready) = PARTS.iter().find(|part| part.0 == name).unwrap();
            let mut work = ready();
            // Warm-up: buffers reach their size, and features are detected.
            work();
            measured(&mut work);
            writeln!(out, "{}\t{unit}", units * ROUNDS).unwrap();
        }
        // `cargo bench` and `cargo test` start every bench with their own flags.
        _ => writeln!(out, "see ci/instructions.sh").unwrap(),
    }
}

/// The function in which valgrind counts.
#[inline(never)]
fn measured(work: &mut Work) {
    (0..ROUNDS).for_each(|_| work());
}

#[cfg(target_arch = "x86_64")]
fn features() -> String {
    let has = [
        ("aes", is_x86_feature_detected!("aes")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("ssse3", is_x86_feature_detected!("ssse3")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("gfni", is_x86_feature_detected!("gfni")),
        ("vaes", is_x86_feature_detected!("vaes")),
        ("vpclmulqdq", is_x86_feature_detected!("vpclmulqdq")),
        ("sha", is_x86_feature_detected!("sha")),
    ];
    let names = has.iter().filter(|(_, has)| *has).map(|(name, _)| *name);
    std::iter::once("x86_64").chain(names).collect::<Vec<_>>().join(" ")
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> String {
    std::env::consts::ARCH.to_owned()
}

fn suite() -> Suite {
    Suite::new(Cipher::Aes, &MasterKey::derive(b"it's a secrect"))
}

fn seal() -> Work {
    let (suite, mut nonces) = (suite(), Entropy::from_seed([7; 32]).nonces());
    let mut run = noise(RUN_DATAGRAMS * DATAGRAM_BYTES);
    Box::new(move || suite.seal_run(&mut nonces, black_box(&mut run), DATAGRAM_BYTES))
}

fn open() -> Work {
    let (suite, mut nonces) = (suite(), Entropy::from_seed([7; 32]).nonces());
    let mut sealed = noise(RUN_DATAGRAMS * DATAGRAM_BYTES);
    suite.seal_run(&mut nonces, &mut sealed, DATAGRAM_BYTES);
    let (mut run, others) = (sealed.clone(), Entropy::from_seed([8; 32]).nonces());
    Box::new(move || {
        run.copy_from_slice(&sealed);
        for datagram in run.chunks_mut(DATAGRAM_BYTES) {
            assert!(!suite.is_own(&others, datagram));
            suite.open(black_box(datagram)).unwrap();
        }
    })
}

fn shape() -> Shape {
    Shape::new(10, 3).unwrap()
}

fn fec_encode() -> Work {
    let mut packets = vec![noise(DATAGRAM_BYTES); shape().data()];
    let (mut encoder, mut out) = (Encoder::new(shape()), [0; 1500]);
    Box::new(move || {
        for packet in &mut packets {
            encoder.encode(0, packet);
        }
        while encoder.poll_parity(&mut out).is_some() {}
    })
}

/// Groups of which the first `lost` packets do not arrive.
fn fec_decode(lost: usize) -> Work {
    let mut encoder = Encoder::new(shape());
    let mut group = Vec::new();
    for _ in 0..shape().data() {
        let mut packet = noise(DATAGRAM_BYTES);
        encoder.encode(0, &mut packet);
        group.push(packet);
    }
    while let Some(len) = encoder.parity_pending() {
        let mut packet = vec![0; len];
        encoder.poll_parity(&mut packet);
        group.push(packet);
    }
    let mut decoder = Decoder::new(Some(shape()), Generation::Go2026);
    let mut number = 0_u32;
    Box::new(move || {
        for (at, packet) in group.iter_mut().enumerate().skip(lost) {
            packet[..4].copy_from_slice(&(number * shape().total() as u32 + at as u32).to_le_bytes());
            decoder.decode(0, packet);
        }
        number += 1;
        while black_box(decoder.poll_recovered()).is_some() {}
    })
}

fn text(len: usize) -> Vec<u8> {
    let words: Vec<&str> =
        "the of and to in is that for it as was with be by on not he his but at".split(' ').collect();
    let mut entropy = Entropy::from_seed([1; 32]);
    let mut text = Vec::new();
    while text.len() < len {
        text.extend_from_slice(words[entropy.next_u32() as usize % words.len()].as_bytes());
        text.push(b' ');
    }
    text.truncate(len);
    text
}

fn snappy_encode() -> Work {
    let (frame, mut encoder, mut out) = (text(FRAME_BYTES), snappy::Encoder::new(), Vec::new());
    Box::new(move || {
        out.clear();
        encoder.encode(black_box(&frame), &mut out);
    })
}

fn snappy_decode() -> Work {
    let (mut encoder, mut head, mut frame) = (snappy::Encoder::new(), Vec::new(), Vec::new());
    // The stream identifier precedes the first chunk.
    encoder.encode(&text(FRAME_BYTES), &mut head);
    encoder.encode(&text(FRAME_BYTES), &mut frame);
    let mut decoder = snappy::Decoder::new();
    decoder.push(&head).unwrap();
    decoder.consume(FRAME_BYTES);
    Box::new(move || {
        // In messages of one segment, as the ARQ delivers them.
        for message in black_box(&frame).chunks(1326) {
            decoder.push(message).unwrap();
        }
        assert_eq!(decoder.decoded().len(), FRAME_BYTES);
        decoder.consume(FRAME_BYTES);
    })
}

fn smux_frame() -> Work {
    let [mut client, mut server] =
        [Role::Client, Role::Server].map(|role| Smux::new(Settings::default(), role, Instant::ZERO));
    let (id, data, mut wire) = (client.open().unwrap(), noise(FRAME_BYTES), Vec::new());
    Box::new(move || {
        assert_eq!(client.write(id, &data), Ok(FRAME_BYTES));
        carry(&mut client, &mut server, &mut wire);
        let len = black_box(server.peek(id).unwrap()).len();
        server.consume(id, len);
        carry(&mut server, &mut client, &mut wire);
    })
}

fn carry(from: &mut Smux, to: &mut Smux, wire: &mut Vec<u8>) {
    while from.poll_frame(wire) {
        assert_eq!(to.input(wire), Ok(wire.len()));
        wire.clear();
    }
    while from.poll_event().is_some() {}
    while to.poll_event().is_some() {}
}

fn arq_segments() -> Work {
    let [mut sender, mut receiver] = [(); 2].map(|()| {
        let mut arq = Arq::new(7, Generation::Go2026);
        arq.set_stream(true);
        arq.set_tuning(Tuning { nodelay: true, interval_ms: 10, resend: 2, nc: true });
        arq.set_windows(1024, 1024);
        arq.set_mtu(DATAGRAM_BYTES - 28);
        arq
    });
    let (payload, mut datagram, mut now_ms) = (noise(sender.mss()), [0; 1500], 1000);
    Box::new(move || {
        for _ in 0..SEGMENTS {
            sender.send(&payload).unwrap();
        }
        while sender.waitsnd() > 0 {
            let now = Instant::from_millis(now_ms);
            pass(&mut sender, &mut receiver, now, &mut datagram);
            pass(&mut receiver, &mut sender, now, &mut datagram);
            while let Some(segment) = receiver.take() {
                receiver.recycle(segment);
            }
            now_ms += 10;
        }
    })
}

fn pass(from: &mut Arq, to: &mut Arq, now: Instant, datagram: &mut [u8]) {
    from.flush(now, Flush::Full);
    while let Some(len) = from.poll_transmit(now, datagram) {
        to.input(now, &datagram[..len], Source::Regular, false).unwrap();
    }
}

fn tunnel() -> Work {
    let (mut tunnels, block) = (Tunnels::new(), noise(16 * FRAME_BYTES));
    Box::new(move || tunnels.upload(&block))
}
