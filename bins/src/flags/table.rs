//! The one table of options (CLI-1; kcptun client/main.go, server/main.go; the JSON keys are those of config.go).

use super::Field::{Bool, Int, Later, Str};
use super::{Flag, Kind};

const BASE: Flag = Flag {
    name: "",
    aliases: &[],
    json: None,
    env: None,
    field: Later(Kind::Str),
    client: None,
    server: None,
    hidden: false,
    since: 2021,
    help: "",
};

/// Every option of kcptun 2021 and 2026, in the order of its help.
pub static TABLE: &[Flag] = &[
    Flag {
        name: "localaddr",
        aliases: &["l"],
        json: Some("localaddr"),
        field: Str(|c| &mut c.listen),
        client: Some(":12948"),
        help: "local listen address",
        ..BASE
    },
    Flag {
        name: "remoteaddr",
        aliases: &["r"],
        json: Some("remoteaddr"),
        field: Str(|c| &mut c.remote),
        client: Some("vps:29900"),
        help: "kcp server address, eg: \"IP:29900\" for a single port, \"IP:minport-maxport\" for port range",
        ..BASE
    },
    Flag {
        name: "listen",
        aliases: &["l"],
        json: Some("listen"),
        field: Str(|c| &mut c.listen),
        server: Some(":29900"),
        help: "kcp server listen address, eg: \"IP:29900\" for a single port, \"IP:minport-maxport\" for port range",
        ..BASE
    },
    Flag {
        name: "target",
        aliases: &["t"],
        json: Some("target"),
        field: Str(|c| &mut c.target),
        server: Some("127.0.0.1:12948"),
        help: "target server address, or path/to/unix_socket",
        ..BASE
    },
    Flag {
        name: "key",
        json: Some("key"),
        env: Some("KCPTUN_KEY"),
        field: Str(|c| &mut c.settings.key),
        client: Some("it's a secrect"),
        server: Some("it's a secrect"),
        help: "pre-shared secret between client and server",
        ..BASE
    },
    Flag {
        name: "crypt",
        json: Some("crypt"),
        field: Str(|c| &mut c.crypt),
        client: Some("aes"),
        server: Some("aes"),
        help: "aes, aes-128, aes-128-gcm, aes-192, salsa20, blowfish, twofish, cast5, 3des, tea, xtea, xor, sm4, none, null",
        ..BASE
    },
    Flag {
        name: "mode",
        json: Some("mode"),
        field: Str(|c| &mut c.mode),
        client: Some("fast"),
        server: Some("fast"),
        help: "profiles: fast3, fast2, fast, normal, manual",
        ..BASE
    },
    Flag {
        name: "QPP",
        json: Some("qpp"),
        field: Bool(|c| &mut c.settings.qpp),
        client: Some("false"),
        server: Some("false"),
        since: 2026,
        help: "enable Quantum Permutation Pads(QPP)",
        ..BASE
    },
    Flag {
        name: "QPPCount",
        json: Some("qpp-count"),
        field: Int(|c| &mut c.settings.qpp_count),
        client: Some("61"),
        server: Some("61"),
        since: 2026,
        help: "the prime number of pads to use for QPP: The more pads you use, the more secure the encryption",
        ..BASE
    },
    Flag {
        name: "conn",
        json: Some("conn"),
        field: Int(|c| &mut c.conn),
        client: Some("1"),
        help: "set num of UDP connections to server",
        ..BASE
    },
    Flag {
        name: "autoexpire",
        json: Some("autoexpire"),
        field: Later(Kind::Int),
        client: Some("0"),
        help: "set auto expiration time(in seconds) for a single UDP connection, 0 to disable",
        ..BASE
    },
    Flag {
        name: "scavengettl",
        json: Some("scavengettl"),
        field: Later(Kind::Int),
        client: Some("600"),
        help: "set how long an expired connection can live (in seconds)",
        ..BASE
    },
    Flag {
        name: "mtu",
        json: Some("mtu"),
        field: Int(|c| &mut c.settings.mtu),
        client: Some("1350"),
        server: Some("1350"),
        help: "set maximum transmission unit for UDP packets",
        ..BASE
    },
    Flag {
        name: "ratelimit",
        json: Some("ratelimit"),
        field: Int(|c| &mut c.settings.ratelimit),
        client: Some("0"),
        server: Some("0"),
        since: 2026,
        help: "set maximum outgoing speed (in bytes per second) for a single KCP connection, 0 to disable",
        ..BASE
    },
    Flag {
        name: "sndwnd",
        json: Some("sndwnd"),
        field: Int(|c| &mut c.settings.sndwnd),
        client: Some("128"),
        server: Some("1024"),
        help: "set send window size(num of packets)",
        ..BASE
    },
    Flag {
        name: "rcvwnd",
        json: Some("rcvwnd"),
        field: Int(|c| &mut c.settings.rcvwnd),
        client: Some("512"),
        server: Some("1024"),
        help: "set receive window size(num of packets)",
        ..BASE
    },
    Flag {
        name: "datashard",
        aliases: &["ds"],
        json: Some("datashard"),
        field: Int(|c| &mut c.settings.datashard),
        client: Some("10"),
        server: Some("10"),
        help: "set reed-solomon erasure coding - datashard",
        ..BASE
    },
    Flag {
        name: "parityshard",
        aliases: &["ps"],
        json: Some("parityshard"),
        field: Int(|c| &mut c.settings.parityshard),
        client: Some("3"),
        server: Some("3"),
        help: "set reed-solomon erasure coding - parityshard",
        ..BASE
    },
    Flag {
        name: "dscp",
        json: Some("dscp"),
        field: Later(Kind::Int),
        client: Some("0"),
        server: Some("0"),
        help: "set DSCP(6bit)",
        ..BASE
    },
    Flag {
        name: "nocomp",
        json: Some("nocomp"),
        field: Bool(|c| &mut c.settings.nocomp),
        client: Some("false"),
        server: Some("false"),
        help: "disable compression",
        ..BASE
    },
    Flag {
        name: "acknodelay",
        json: Some("acknodelay"),
        field: Bool(|c| &mut c.settings.acknodelay),
        client: Some("false"),
        server: Some("false"),
        hidden: true,
        help: "flush ack immediately when a packet is received",
        ..BASE
    },
    Flag {
        name: "nodelay",
        json: Some("nodelay"),
        field: Int(|c| &mut c.settings.nodelay),
        client: Some("0"),
        server: Some("0"),
        hidden: true,
        help: "manual mode: 1 for the short minimum RTO",
        ..BASE
    },
    Flag {
        name: "interval",
        json: Some("interval"),
        field: Int(|c| &mut c.settings.interval),
        client: Some("50"),
        server: Some("50"),
        hidden: true,
        help: "manual mode: flush interval in ms",
        ..BASE
    },
    Flag {
        name: "resend",
        json: Some("resend"),
        field: Int(|c| &mut c.settings.resend),
        client: Some("0"),
        server: Some("0"),
        hidden: true,
        help: "manual mode: duplicate acks that trigger a retransmission, 0 to disable",
        ..BASE
    },
    Flag {
        name: "nc",
        json: Some("nc"),
        field: Int(|c| &mut c.settings.nc),
        client: Some("0"),
        server: Some("0"),
        hidden: true,
        help: "manual mode: 1 for no congestion window",
        ..BASE
    },
    Flag {
        name: "sockbuf",
        json: Some("sockbuf"),
        field: Int(|c| &mut c.sockbuf),
        client: Some("4194304"),
        server: Some("4194304"),
        help: "per-socket buffer in bytes",
        ..BASE
    },
    Flag {
        name: "smuxver",
        json: Some("smuxver"),
        field: Int(|c| &mut c.settings.smuxver),
        client: Some("2"),
        server: Some("2"),
        help: "specify smux version, available 1,2",
        ..BASE
    },
    Flag {
        name: "smuxbuf",
        json: Some("smuxbuf"),
        field: Int(|c| &mut c.settings.smuxbuf),
        client: Some("4194304"),
        server: Some("4194304"),
        help: "the overall de-mux buffer in bytes",
        ..BASE
    },
    Flag {
        name: "framesize",
        json: Some("framesize"),
        field: Int(|c| &mut c.settings.framesize),
        client: Some("8192"),
        server: Some("8192"),
        since: 2026,
        help: "smux max frame size",
        ..BASE
    },
    Flag {
        name: "streambuf",
        json: Some("streambuf"),
        field: Int(|c| &mut c.settings.streambuf),
        client: Some("2097152"),
        server: Some("2097152"),
        help: "per stream receive buffer in bytes, smux v2+",
        ..BASE
    },
    Flag {
        name: "keepalive",
        json: Some("keepalive"),
        field: Int(|c| &mut c.settings.keepalive),
        client: Some("10"),
        server: Some("10"),
        help: "seconds between heartbeats",
        ..BASE
    },
    Flag {
        name: "closewait",
        json: Some("closewait"),
        field: Later(Kind::Int),
        client: Some("0"),
        server: Some("30"),
        since: 2026,
        help: "the seconds to wait before tearing down a connection",
        ..BASE
    },
    Flag {
        name: "snmplog",
        json: Some("snmplog"),
        field: Later(Kind::Str),
        client: Some(""),
        server: Some(""),
        help: "collect snmp to file, aware of timeformat in golang, like: ./snmp-20060102.log",
        ..BASE
    },
    Flag {
        name: "snmpperiod",
        json: Some("snmpperiod"),
        field: Later(Kind::Int),
        client: Some("60"),
        server: Some("60"),
        help: "snmp collect period, in seconds",
        ..BASE
    },
    Flag {
        name: "log",
        json: Some("log"),
        field: Later(Kind::Str),
        client: Some(""),
        server: Some(""),
        help: "specify a log file to output, default goes to stderr",
        ..BASE
    },
    Flag {
        name: "quiet",
        json: Some("quiet"),
        field: Bool(|c| &mut c.quiet),
        client: Some("false"),
        server: Some("false"),
        help: "to suppress the 'stream open/close' messages",
        ..BASE
    },
    Flag {
        name: "tcp",
        json: Some("tcp"),
        field: Later(Kind::Bool),
        client: Some("false"),
        server: Some("false"),
        help: "to emulate a TCP connection(linux)",
        ..BASE
    },
    Flag {
        name: "pprof",
        json: Some("pprof"),
        field: Later(Kind::Bool),
        client: Some("false"),
        server: Some("false"),
        help: "start profiling server on :6060",
        ..BASE
    },
    Flag {
        name: "c",
        field: Str(|c| &mut c.file),
        client: Some(""),
        server: Some(""),
        help: "config from json file, which will override the command from shell",
        ..BASE
    },
    Flag {
        name: "help",
        aliases: &["h"],
        field: Bool(|c| &mut c.help),
        client: Some("false"),
        server: Some("false"),
        help: "show help",
        ..BASE
    },
    Flag {
        name: "version",
        aliases: &["v"],
        field: Bool(|c| &mut c.version),
        client: Some("false"),
        server: Some("false"),
        help: "print the version",
        ..BASE
    },
];
