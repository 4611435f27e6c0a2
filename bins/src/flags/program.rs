//! The options of the programs that the engine does not know (kcptun client/main.go, server/main.go).

use super::{Shell, Tcp};
use crate::log::{Format, Level};
use crate::proxy::Ser;
use engine::client::SLOTS_AUTO;
use engine::options::Group::{self, Addresses, Diagnostics, Streams, Transport};
use engine::options::Value::{Bool, Int};
use engine::options::{Flag, KARST, KCPTUNB, Side, Value, flag};

const NOTHING: Value = Value::text("");

/// An option that only makes sense on a command line.
const fn command(name: &'static str, default: Value, meaning: &'static str) -> Flag {
    flag(name, Group::Program, default, meaning).json(None)
}

engine::declare_options! {
    /// Options of a program itself: addresses, sessions, sockets and logs.
    pub struct Program {
        /// Client: TCP address or Unix socket of local connections.
        localaddr: String = flag("localaddr", Addresses, Value::text(":12948"), "local listen address")
            .alias(&["l"]).only(Side::Client);
        /// Client: the server's UDP address, possibly with a port range.
        remoteaddr: String = flag("remoteaddr", Addresses, Value::text("vps:29900"),
            "kcp server address, eg: \"IP:29900\" for a single port, \"IP:minport-maxport\" for port range")
            .alias(&["r"]).only(Side::Client);
        /// Server: UDP address, possibly with a port range.
        listen: String = flag("listen", Addresses, Value::text(":29900"),
            "kcp server listen address, eg: \"IP:29900\" for a single port, \"IP:minport-maxport\" for port range")
            .alias(&["l"]).only(Side::Server);
        /// Server: TCP address or Unix socket that streams are connected to.
        target: String = flag("target", Addresses, Value::text("127.0.0.1:12948"),
            "target server address, or path/to/unix_socket").alias(&["t"]).only(Side::Server);
        /// What the streams carry: everything to the target, or requests of a proxy.
        ser: Ser = flag("ser", Addresses, Value::text("raw"),
            "proxy; a client may be raw, socks5 or http, its server raw, or fast for the other two").since(KCPTUNB);
        /// Server: destinations of its proxy.
        ser_allow: String = flag("ser-allow", Addresses, NOTHING,
            "destinations of --ser fast: CIDR|NAME[:PORT],...; private addresses only by ranges of their own")
            .only(Side::Server).since(KARST);
        /// Client: user and password of its proxy.
        ser_auth: String = flag("ser-auth", Addresses, NOTHING,
            "USER:PASSWORD that applications must give to the proxy, empty for none").only(Side::Client).since(KARST);
        /// Server: resolvers besides that of the system.
        dns: String = flag("dns", Addresses, NOTHING,
            "resolvers IP[:PORT],... for names of targets, for when that of the system does not answer")
            .only(Side::Server).since(KCPTUNB).list();
        /// TCP fast open.
        tfo: bool = flag("tfo", Addresses, Bool(false),
            "TCP fast open: a client accepts data with connections, a server sends it with those to its targets").since(KCPTUNB);
        /// Client: number of sessions.
        conn: i64 = flag("conn", Addresses, Int(1), "set num of UDP connections to server")
            .only(Side::Client).auto(SLOTS_AUTO as i64).signed();
        /// Client: seconds after which a slot gets a new session; 0 and less for never.
        autoexpire: i64 = flag("autoexpire", Streams, Int(0),
            "set auto expiration time(in seconds) for a single UDP connection, 0 to disable").only(Side::Client).signed();
        /// Client: seconds an expired session keeps its idle streams.
        scavengettl: i64 = flag("scavengettl", Streams, Int(600),
            "set how long an expired connection can live (in seconds)").only(Side::Client).signed();
        /// Differentiated services code point of every datagram, 0 to 63.
        dscp: i64 = flag("dscp", Transport, Int(0), "set DSCP(6bit)").signed();
        /// `SO_RCVBUF` and `SO_SNDBUF` of every UDP socket, bytes.
        sockbuf: i64 = flag("sockbuf", Transport, Int(4_194_304), "per-socket buffer in bytes");
        /// Forged TCP instead of UDP on the client, beside it on the server.
        tcp: Tcp = flag("tcp", Transport, Bool(false),
            "to emulate a TCP connection(linux); --tcp=kcptun-tcp begins like the fork of 2017");
        /// Interface of forged TCP, empty for those of the routes.
        interface: String = flag("interface", Transport, NOTHING,
            "network interface of forged TCP, default goes to that of the route").alias(&["i"]).since(KARST);
        /// Seconds a half-closed connection may be idle when the peer lacks half-close.
        closewait: i64 = flag("closewait", Streams, Int(10),
            "idle timeout in seconds of half-closed connections when the peer lacks half-close").server(30).since(2026).signed();
        /// Bytes read from a connection at once.
        pipebuf: i64 = flag("pipebuf", Streams, Int(32_768), "bytes read from a connection at once").since(KCPTUNB);
        /// File for the counters, its name in Go's time layout; empty for none.
        snmplog: String = flag("snmplog", Diagnostics, NOTHING,
            "collect snmp to file, aware of timeformat in golang, like: ./snmp-20060102.log").file();
        /// Seconds between two rows of counters.
        snmpperiod: i64 = flag("snmpperiod", Diagnostics, Int(60), "snmp collect period, in seconds");
        /// Log file, empty for standard error.
        log: String = flag("log", Diagnostics, NOTHING, "specify a log file to output, default goes to stderr").file();
        /// Format of the log lines.
        log_format: Format = flag("log-format", Diagnostics, Value::text("text"),
            "format of log lines, json for one object per line").since(KARST);
        /// Least severe log lines.
        log_level: Level = flag("log-level", Diagnostics, Value::text("debug"),
            "least severe log lines to write; debug has those about streams").since(KARST);
        /// No log lines about streams.
        quiet: bool = flag("quiet", Diagnostics, Bool(false), "to suppress the 'stream open/close' messages");
        /// Serve profiles on [`PPROF_ADDRESS`](crate::config::PPROF_ADDRESS).
        pprof: bool = flag("pprof", Diagnostics, Bool(false),
            "serve CPU profiles (/debug/pprof/profile) on 127.0.0.1:6060, in builds with the feature profile");
        /// Address that profiles are served on instead, empty for none.
        pprof_addr: String = flag("pprof-addr", Diagnostics, NOTHING,
            "address to serve CPU profiles on instead, with or without pprof").since(KARST);
        /// Address that metrics are served on, empty for none.
        metrics: String = flag("metrics", Diagnostics, NOTHING,
            "address to serve Prometheus (/metrics) and JSON (/status) on over HTTP, empty for none").since(KARST);
        /// Host names of requests to the pages of `metrics` and `pprof`, besides this machine's own.
        metrics_host: String = flag("metrics-host", Diagnostics, NOTHING,
            "further host names, separated by commas, that HTTP requests to metrics and pprof may carry").since(KARST);
        /// Server: do not search for the differing flag when datagrams do not decrypt.
        no_diagnose: bool = flag("no-diagnose", Diagnostics, Bool(false),
            "do not search for the differing flag when datagrams of a client do not decrypt")
            .only(Side::Server).since(KARST);
        /// Server: sessions of one port.
        sessionlimit: i64 = flag("sessionlimit", Addresses, Int(4096),
            "sessions per port: one more ends the oldest whose client has acknowledged nothing, or is refused")
            .only(Side::Server).since(KARST);
        /// Server: connections to the target for clients that may not exist.
        earlylimit: i64 = flag("earlylimit", Addresses, Int(128),
            "connections to the target for clients that have acknowledged nothing yet; more wait for their client")
            .only(Side::Server).since(KARST);
        /// MiB of memory to stay below; 0 for no limit.
        memlimit: i64 = flag("memlimit", Group::Program, Int(0),
            "memory limit in MiB, at least 8: new sessions wait, then the session with the most data ends; 0 for no limit").since(KARST).signed();
        /// JSON file, empty for none.
        file: String = command("c", NOTHING, "config from json file, which will override the command from shell").file();
        /// Ignore words that are no options, and all after them, as kcptun does.
        go_args: bool = command("go-args", Bool(false),
            "ignore the first word that is not an option and all words after it, as kcptun does").since(KARST).expert();
        /// Print the help and exit.
        help: bool = command("help", Bool(false), "show help").alias(&["h"]);
        /// Print the help with the options for experts and exit.
        help_all: bool = command("help-all", Bool(false), "show help with the options for experts").since(KARST);
        /// Print the version and exit.
        version: bool = command("version", Bool(false), "print the version").alias(&["v"]);
        /// Print the manual page and exit.
        man: bool = command("man", Bool(false), "print the manual page (roff)").since(KARST);
        /// Print the completions of this shell and exit.
        completions: Option<Shell> = command("completions", NOTHING, "print the completions of a shell").since(KARST);
    }
}
