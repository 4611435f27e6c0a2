//! The options of the engine (kcptun client/main.go, server/main.go; the JSON keys are those of config.go).

use super::Group::{Security, Streams, Transport};
use super::Value::{Bool, Int};
use super::{Compat, Governor, KARST, KCPTUNB, Mode, Side, Value, flag};
use crate::crypt::Cipher;
use crate::mux::DialectChoice;

crate::declare_options! {
    /// Options of one side, under kcptun's names and with Go's integer type, so that odd values keep kcptun's meaning.
    pub struct Settings {
        /// Shared secret.
        key: String = flag("key", Security, Value::text("it's a secrect"), "pre-shared secret between client and server")
            .env("KCPTUN_KEY");
        /// Packet cipher.
        crypt: Cipher = flag("crypt", Security, Value::text("aes"),
            "cipher; null accepts reflections");
        /// Quantum permutation pad on every stream.
        qpp: bool = flag("QPP", Security, Bool(false), "enable Quantum Permutation Pads(QPP)").json(Some("qpp")).since(2026);
        /// Number of pads.
        qpp_count: i64 = flag("QPPCount", Security, Int(61),
            "the prime number of pads to use for QPP: The more pads you use, the more secure the encryption")
            .json(Some("qpp-count")).since(2026);
        /// Preset of the four numbers below; [`Mode::Manual`] keeps them.
        mode: Mode = flag("mode", Transport, Value::text("fast"), "profiles");
        /// Congestion control of every mode; off for kcp-go's own sender.
        governor: Governor = flag("governor", Transport, Value::text("on"),
            "pace every mode and keep no more in flight than the path holds; off for the sender of kcptun").since(KARST);
        /// Largest UDP payload, bytes.
        mtu: i64 = flag("mtu", Transport, Int(1350), "set maximum transmission unit for UDP packets");
        /// Bytes per second sent at most; 0 and less for no limit.
        ratelimit: i64 = flag("ratelimit", Transport, Int(0),
            "set maximum outgoing speed (in bytes per second) for a single KCP connection, 0 to disable").signed().since(2026);
        /// Send window, packets; values below 1 mean 32.
        sndwnd: i64 = flag("sndwnd", Transport, Int(128), "set send window size(num of packets)").server(1024).auto(24_576);
        /// Receive window, packets; values below 1 mean 32.
        rcvwnd: i64 = flag("rcvwnd", Transport, Int(512), "set receive window size(num of packets)")
            .server(1024).auto(24_576);
        /// Data shards per FEC group; FEC is on when both counts are positive.
        datashard: i64 = flag("datashard", Transport, Int(10), "set reed-solomon erasure coding - datashard").alias(&["ds"]);
        /// Parity shards per FEC group.
        parityshard: i64 = flag("parityshard", Transport, Int(3), "set reed-solomon erasure coding - parityshard")
            .alias(&["ps"]);
        /// Acknowledge every datagram at once.
        acknodelay: bool = flag("acknodelay", Transport, Bool(false), "flush ack immediately when a packet is received")
            .expert();
        /// 1: minimum RTO 30 ms and slower backoff.
        nodelay: i64 = flag("nodelay", Transport, Int(0), "manual mode: 1 for the short minimum RTO").signed().expert();
        /// Flush interval, ms, clamped to 10..=5000.
        interval: i64 = flag("interval", Transport, Int(50), "manual mode: flush interval in ms").signed().expert();
        /// Duplicate acknowledgements that trigger a retransmission; 0 off.
        resend: i64 = flag("resend", Transport, Int(0),
            "manual mode: duplicate acks that trigger a retransmission, 0 to disable").signed().expert();
        /// 1: no congestion window.
        nc: i64 = flag("nc", Transport, Int(0), "manual mode: 1 for no congestion window").signed().expert();
        /// Keep a silent session instead of probing the peer.
        no_probe: bool = flag("no-probe", Transport, Bool(false),
            "keep a silent session until its keepalive timeout, as kcptun does, instead of probing the peer").since(KARST);
        /// Start a new session when a client's address changes.
        no_migrate: bool = flag("no-migrate", Transport, Bool(false),
            "start a new session when the address of a client changes, as kcptun does, instead of migrating the session")
            .only(Side::Server).since(KARST);
        /// Generation whose defaults apply.
        compat: Option<Compat> = flag("compat", Streams, Value::text(""), "use the defaults of a generation of peers")
            .since(KARST);
        /// Multiplexer.
        mux: DialectChoice = flag("mux", Streams, Value::text("auto"),
            "multiplexer; with auto a client speaks smux, and a server what each client speaks, compressed or not").since(KARST);
        /// No compression.
        nocomp: bool = flag("nocomp", Streams, Bool(false), "disable compression");
        /// smux version, 1 or 2.
        smuxver: i64 = flag("smuxver", Streams, Int(2), "specify smux version, available 1,2");
        /// Session receive buffer, bytes.
        smuxbuf: i64 = flag("smuxbuf", Streams, Int(4_194_304), "the overall de-mux buffer in bytes").auto(33_554_432);
        /// Largest smux payload, bytes.
        framesize: i64 = flag("framesize", Streams, Int(8192), "smux max frame size").since(2026)
            .alias(&["maxframe"]).json_alias("maxframe");
        /// Stream receive buffer, bytes.
        streambuf: i64 = flag("streambuf", Streams, Int(2_097_152), "per stream receive buffer in bytes, smux v2+")
            .auto(33_554_432);
        /// Seconds between keepalive frames.
        keepalive: i64 = flag("keepalive", Streams, Int(10), "seconds between heartbeats");
        /// Milliseconds between keepalive frames; 0 for `keepalive`.
        keepalivems: i64 = flag("keepalivems", Streams, Int(0), "milliseconds between heartbeats, 0 for --keepalive")
            .since(KCPTUNB);
        /// Milliseconds without a frame of the peer after which the session ends.
        keepalive_timeout: i64 = flag("keepalive-timeout", Streams, Int(30_000),
            "milliseconds without a frame of the peer after which its session ends").since(KCPTUNB);
        /// kcptunB: pause single streams, and answer keepalives.
        streambuf_en: bool = flag("streambuf-en", Streams, Bool(true),
            "smuxb: pause single streams and answer heartbeats; equal at both ends").since(KCPTUNB);
        /// kcptunB: milliseconds for which a stream may exceed its reader's estimated rate.
        streamboost: i64 = flag("streamboost", Streams, Int(0),
            "smuxb: milliseconds for which a stream may exceed the rate of its reader").json(Some("boosttimeout")).since(KCPTUNB);
    }
}
