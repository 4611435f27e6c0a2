//! The one table of options (CLI-1; kcptun client/main.go, server/main.go; the JSON keys are those of config.go).

use super::Field::{Bool, Int, Later, Str};
use super::{Flag, Group, KARST, Kind};

const BASE: Flag = Flag {
    name: "",
    group: Group::Program,
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

/// Every option of kcptun 2021 and 2026 in the order of its help, and those of karst.
pub static TABLE: &[Flag] = &[
    Flag {
        name: "localaddr",
        group: Group::Addresses,
        aliases: &["l"],
        json: Some("localaddr"),
        field: Str(|c| &mut c.listen),
        client: Some(":12948"),
        help: "local listen address",
        ..BASE
    },
    Flag {
        name: "remoteaddr",
        group: Group::Addresses,
        aliases: &["r"],
        json: Some("remoteaddr"),
        field: Str(|c| &mut c.remote),
        client: Some("vps:29900"),
        help: "kcp server address, eg: \"IP:29900\" for a single port, \"IP:minport-maxport\" for port range",
        ..BASE
    },
    Flag {
        name: "listen",
        group: Group::Addresses,
        aliases: &["l"],
        json: Some("listen"),
        field: Str(|c| &mut c.listen),
        server: Some(":29900"),
        help: "kcp server listen address, eg: \"IP:29900\" for a single port, \"IP:minport-maxport\" for port range",
        ..BASE
    },
    Flag {
        name: "target",
        group: Group::Addresses,
        aliases: &["t"],
        json: Some("target"),
        field: Str(|c| &mut c.target),
        server: Some("127.0.0.1:12948"),
        help: "target server address, or path/to/unix_socket",
        ..BASE
    },
    Flag {
        name: "key",
        group: Group::Security,
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
        group: Group::Security,
        json: Some("crypt"),
        field: Str(|c| &mut c.crypt),
        client: Some("aes"),
        server: Some("aes"),
        help: "aes, aes-128, aes-128-gcm, aes-192, salsa20, blowfish, twofish, cast5, 3des, tea, xtea, xor, sm4, none, null",
        ..BASE
    },
    Flag {
        name: "mode",
        group: Group::Transport,
        json: Some("mode"),
        field: Str(|c| &mut c.mode),
        client: Some("fast"),
        server: Some("fast"),
        help: "profiles: auto, fast3, fast2, fast, normal, manual",
        ..BASE
    },
    Flag {
        name: "QPP",
        group: Group::Security,
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
        group: Group::Security,
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
        group: Group::Addresses,
        json: Some("conn"),
        field: Int(|c| &mut c.conn),
        client: Some("1"),
        help: "set num of UDP connections to server",
        ..BASE
    },
    Flag {
        name: "autoexpire",
        group: Group::Streams,
        json: Some("autoexpire"),
        field: Int(|c| &mut c.autoexpire),
        client: Some("0"),
        help: "set auto expiration time(in seconds) for a single UDP connection, 0 to disable",
        ..BASE
    },
    Flag {
        name: "scavengettl",
        group: Group::Streams,
        json: Some("scavengettl"),
        field: Int(|c| &mut c.scavengettl),
        client: Some("600"),
        help: "set how long an expired connection can live (in seconds)",
        ..BASE
    },
    Flag {
        name: "mtu",
        group: Group::Transport,
        json: Some("mtu"),
        field: Int(|c| &mut c.settings.mtu),
        client: Some("1350"),
        server: Some("1350"),
        help: "set maximum transmission unit for UDP packets",
        ..BASE
    },
    Flag {
        name: "ratelimit",
        group: Group::Transport,
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
        group: Group::Transport,
        json: Some("sndwnd"),
        field: Int(|c| &mut c.settings.sndwnd),
        client: Some("128"),
        server: Some("1024"),
        help: "set send window size(num of packets)",
        ..BASE
    },
    Flag {
        name: "rcvwnd",
        group: Group::Transport,
        json: Some("rcvwnd"),
        field: Int(|c| &mut c.settings.rcvwnd),
        client: Some("512"),
        server: Some("1024"),
        help: "set receive window size(num of packets)",
        ..BASE
    },
    Flag {
        name: "datashard",
        group: Group::Transport,
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
        group: Group::Transport,
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
        group: Group::Transport,
        json: Some("dscp"),
        field: Int(|c| &mut c.dscp),
        client: Some("0"),
        server: Some("0"),
        help: "set DSCP(6bit)",
        ..BASE
    },
    Flag {
        name: "nocomp",
        group: Group::Streams,
        json: Some("nocomp"),
        field: Bool(|c| &mut c.settings.nocomp),
        client: Some("false"),
        server: Some("false"),
        help: "disable compression",
        ..BASE
    },
    Flag {
        name: "acknodelay",
        group: Group::Transport,
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
        group: Group::Transport,
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
        group: Group::Transport,
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
        group: Group::Transport,
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
        group: Group::Transport,
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
        group: Group::Transport,
        json: Some("sockbuf"),
        field: Int(|c| &mut c.sockbuf),
        client: Some("4194304"),
        server: Some("4194304"),
        help: "per-socket buffer in bytes",
        ..BASE
    },
    Flag {
        name: "memlimit",
        group: Group::Program,
        json: Some("memlimit"),
        field: Int(|c| &mut c.memlimit),
        client: Some("0"),
        server: Some("0"),
        since: KARST,
        help: "MiB of memory to stay below: first sessions wait, then the fullest one ends; 0 for no limit",
        ..BASE
    },
    Flag {
        name: "no-probe",
        group: Group::Transport,
        json: Some("no-probe"),
        field: Bool(|c| &mut c.no_probe),
        client: Some("false"),
        server: Some("false"),
        since: KARST,
        help: "keep a silent session until its keepalive timeout, as kcptun does, instead of asking the peer whether it is there",
        ..BASE
    },
    Flag {
        name: "no-migrate",
        group: Group::Transport,
        json: Some("no-migrate"),
        field: Bool(|c| &mut c.no_migrate),
        server: Some("false"),
        since: KARST,
        help: "start a new session when the address of a client changes, as kcptun does, instead of following it",
        ..BASE
    },
    Flag {
        name: "smuxver",
        group: Group::Streams,
        json: Some("smuxver"),
        field: Int(|c| &mut c.settings.smuxver),
        client: Some("2"),
        server: Some("2"),
        help: "specify smux version, available 1,2",
        ..BASE
    },
    Flag {
        name: "smuxbuf",
        group: Group::Streams,
        json: Some("smuxbuf"),
        field: Int(|c| &mut c.settings.smuxbuf),
        client: Some("4194304"),
        server: Some("4194304"),
        help: "the overall de-mux buffer in bytes",
        ..BASE
    },
    Flag {
        name: "framesize",
        group: Group::Streams,
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
        group: Group::Streams,
        json: Some("streambuf"),
        field: Int(|c| &mut c.settings.streambuf),
        client: Some("2097152"),
        server: Some("2097152"),
        help: "per stream receive buffer in bytes, smux v2+",
        ..BASE
    },
    Flag {
        name: "keepalive",
        group: Group::Streams,
        json: Some("keepalive"),
        field: Int(|c| &mut c.settings.keepalive),
        client: Some("10"),
        server: Some("10"),
        help: "seconds between heartbeats",
        ..BASE
    },
    Flag {
        name: "closewait",
        group: Group::Streams,
        json: Some("closewait"),
        field: Int(|c| &mut c.closewait),
        client: Some("10"),
        server: Some("30"),
        since: 2026,
        help: "the seconds a connection that ended one way may rest, toward a peer that knows no half-close",
        ..BASE
    },
    Flag {
        name: "snmplog",
        group: Group::Diagnostics,
        json: Some("snmplog"),
        field: Str(|c| &mut c.snmplog),
        client: Some(""),
        server: Some(""),
        help: "collect snmp to file, aware of timeformat in golang, like: ./snmp-20060102.log",
        ..BASE
    },
    Flag {
        name: "snmpperiod",
        group: Group::Diagnostics,
        json: Some("snmpperiod"),
        field: Int(|c| &mut c.snmpperiod),
        client: Some("60"),
        server: Some("60"),
        help: "snmp collect period, in seconds",
        ..BASE
    },
    Flag {
        name: "log",
        group: Group::Diagnostics,
        json: Some("log"),
        field: Str(|c| &mut c.log),
        client: Some(""),
        server: Some(""),
        help: "specify a log file to output, default goes to stderr",
        ..BASE
    },
    Flag {
        name: "log-format",
        group: Group::Diagnostics,
        json: Some("log-format"),
        field: Str(|c| &mut c.log_format),
        client: Some("text"),
        server: Some("text"),
        since: KARST,
        help: "text, or json for one object per line",
        ..BASE
    },
    Flag {
        name: "quiet",
        group: Group::Diagnostics,
        json: Some("quiet"),
        field: Bool(|c| &mut c.quiet),
        client: Some("false"),
        server: Some("false"),
        help: "to suppress the 'stream open/close' messages",
        ..BASE
    },
    Flag {
        name: "tcp",
        group: Group::Transport,
        json: Some("tcp"),
        field: Later(Kind::Bool),
        client: Some("false"),
        server: Some("false"),
        help: "to emulate a TCP connection(linux)",
        ..BASE
    },
    Flag {
        name: "pprof",
        group: Group::Diagnostics,
        json: Some("pprof"),
        field: Bool(|c| &mut c.pprof),
        client: Some("false"),
        server: Some("false"),
        help: "serve CPU profiles (/debug/pprof/profile) on 127.0.0.1:6060",
        ..BASE
    },
    Flag {
        name: "pprof-addr",
        group: Group::Diagnostics,
        json: Some("pprof-addr"),
        field: Str(|c| &mut c.pprof_addr),
        client: Some(""),
        server: Some(""),
        since: KARST,
        help: "serve CPU profiles there instead, with or without pprof",
        ..BASE
    },
    Flag {
        name: "metrics",
        group: Group::Diagnostics,
        json: Some("metrics"),
        field: Str(|c| &mut c.metrics),
        client: Some(""),
        server: Some(""),
        since: KARST,
        help: "address for Prometheus (/metrics) and JSON (/status) over HTTP, empty for none",
        ..BASE
    },
    Flag {
        name: "c",
        group: Group::Program,
        field: Str(|c| &mut c.file),
        client: Some(""),
        server: Some(""),
        help: "config from json file, which will override the command from shell",
        ..BASE
    },
    Flag {
        name: "help",
        group: Group::Program,
        aliases: &["h"],
        field: Bool(|c| &mut c.help),
        client: Some("false"),
        server: Some("false"),
        help: "show help",
        ..BASE
    },
    Flag {
        name: "help-all",
        group: Group::Program,
        field: Bool(|c| &mut c.help_all),
        client: Some("false"),
        server: Some("false"),
        since: KARST,
        help: "show help with the options for experts",
        ..BASE
    },
    Flag {
        name: "version",
        group: Group::Program,
        aliases: &["v"],
        field: Bool(|c| &mut c.version),
        client: Some("false"),
        server: Some("false"),
        help: "print the version",
        ..BASE
    },
    Flag {
        name: "man",
        group: Group::Program,
        field: Bool(|c| &mut c.man),
        client: Some("false"),
        server: Some("false"),
        since: KARST,
        help: "print the manual page (roff)",
        ..BASE
    },
    Flag {
        name: "completions",
        group: Group::Program,
        field: Str(|c| &mut c.completions),
        client: Some(""),
        server: Some(""),
        since: KARST,
        help: "print the completions of a shell: bash, zsh, fish",
        ..BASE
    },
    Flag {
        name: "no-diagnose",
        group: Group::Diagnostics,
        json: Some("no-diagnose"),
        field: Bool(|c| &mut c.no_diagnose),
        server: Some("false"),
        since: KARST,
        help: "do not look for the flag that differs when datagrams of a client do not open",
        ..BASE
    },
];
