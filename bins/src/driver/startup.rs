//! From the command line to a running program (CLI-8, CLI-16).

use super::census::Census;
use super::client::{Client, mux_words};
use super::memory;
use super::monitor::{self, Pages};
use super::server::Server;
use super::stop::Stop;
use crate::check;
use crate::config::{Command, Config, ConfigError, Given, is_plugin, load};
use crate::datagrams::Datagrams;
use crate::flags::{self, Program, Side};
use crate::local_time::LocalTime;
use crate::log::{self, log_event, log_line};
use crate::net::address::{Address, PortRange, bind_candidates, resolve};
use crate::net::hosts::Hosts;
use crate::net::network::Network;
use crate::net::wire::{Listener, first_working};
use crate::platform::calendar::Calendar;
use crate::platform::text::of_system;
use crate::platform::{forged, limits, service};
use crate::snmp;
use engine::options::Compat;
use engine::settings::SettingsError;
use engine::{Entropy, TunnelConfig};
use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// Why a program ended before it ran.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    System(String),
}

/// Runs one of the programs with the process's own command line and environment.
pub fn run(side: Side) -> ExitCode {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| of_system(&word)).collect();
    if let Some((check::WORD, words)) = words.split_first().map(|(word, words)| (word.as_str(), words)) {
        return check::run(side, words);
    }
    let ended = {
        let _written = log::Flushed;
        start(side, &words)
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed.
            let _ = io::Write::write_fmt(
                &mut io::stderr(),
                format_args!("{}: {}\n", side.program(), error.to_string().replace(['\n', '\r'], " ")),
            );
            ExitCode::from(match error {
                StartError::Config(error) => error.exit_code(),
                StartError::System(_) => 1,
            })
        }
    }
}

fn start(side: Side, words: &[String]) -> Result<(), StartError> {
    let parent = service::parent_id();
    let environment = |name: &str| std::env::var_os(name).map(|value| of_system(&value));
    let (config, given, warnings) = match load(side, words, environment)? {
        Command::Print(text) => {
            return match io::Write::write_all(&mut io::stdout(), text.as_bytes()) {
                // A pager that was left.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => written.map_err(|error| system("standard output", error)),
            };
        }
        Command::Run(config, given, warnings) => (config, given, warnings),
    };
    // Each stream and each port has one.
    limits::raise_descriptors();
    if !config.program.snmplog.is_empty() {
        snmp::check_writable(&config.program.snmplog, &LocalTime::now()).map_err(|error| {
            system(&format!("--snmplog {}: cannot be written", config.program.snmplog), error)
        })?;
    }
    log::open(&config.program.log, config.program.log_format, config.program.log_level)
        .map_err(|error| system(&format!("--log {}: cannot be opened", config.program.log), error))?;
    let tunnel_config = config.settings.tunnel_config().map_err(|error| given.blame(&error))?;
    #[cfg(feature = "planted")]
    let tunnel_config = planted(tunnel_config);
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| system("random numbers", error))?;
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(|error| system("runtime", error))?;
    let start = Start {
        network: Rc::new(config.network()),
        config: *config,
        given,
        warnings,
        tunnel_config,
        entropy: Entropy::from_seed(seed),
    };
    LocalSet::new().block_on(&runtime, async {
        let stop = Stop::new().map_err(|error| system("signals", error))?;
        if is_plugin(&environment) {
            tokio::task::spawn_local(service::end_with_parent(parent));
        }
        start.run(stop).await
    })
}

/// Runs one of the programs as a task of a host of `network` until `stop` is notified, with the command line `words` and no
/// environment. A second notification ends it without delay.
///
/// # Errors
/// The line that the program would have ended with.
pub async fn run_simulated(
    network: Rc<dyn Network>,
    side: Side,
    words: Vec<String>,
    seed: [u8; 32],
    stop: Rc<tokio::sync::Notify>,
) -> Result<(), String> {
    let Command::Run(config, given, warnings) =
        load(side, &words, |_| None).map_err(|error| error.to_string())?
    else {
        return Err("nothing to run".into());
    };
    let tunnel_config = config.settings.tunnel_config().map_err(|error| error.to_string())?;
    log::forget();
    let entropy = Entropy::from_seed(seed);
    let start = Start { network, config: *config, given, warnings, tunnel_config, entropy };
    start.run(Stop::Requests(stop)).await.map_err(|error| error.to_string())
}

fn watch_memory(config: &Config, census: &Rc<Census>) {
    tokio::task::spawn_local(memory::trim_after_load());
    if let Some(limit_bytes) = config.memory_bytes_max() {
        tokio::task::spawn_local(memory::watch(limit_bytes, Rc::clone(census)));
    }
}

/// The bug that `KARST_PLANTED` names, for tests of tests: no shipped program has the feature.
#[cfg(feature = "planted")]
fn planted(mut config: TunnelConfig) -> TunnelConfig {
    let name = std::env::var("KARST_PLANTED").unwrap_or_default();
    let bug = engine::planted::Planted::ALL.iter().find(|bug| bug.name() == name).copied();
    (config.planted, config.mux.planted) = (bug, bug);
    config
}

/// What a program starts with.
struct Start {
    network: Rc<dyn Network>,
    config: Config,
    given: Given,
    warnings: Vec<String>,
    tunnel_config: TunnelConfig,
    entropy: Entropy,
}

impl Start {
    async fn run(self, stop: Stop) -> Result<(), StartError> {
        match self.config.side {
            Side::Client => self.run_client(stop).await,
            Side::Server => self.run_server(stop).await,
        }
    }

    async fn run_client(self, stop: Stop) -> Result<(), StartError> {
        let Program { localaddr, remoteaddr, .. } = &self.config.program;
        let local = self.checked("localaddr", Address::parse(localaddr))?;
        let remote = self.checked("remoteaddr", PortRange::parse(remoteaddr))?;
        let forged = self.client_forged(&remote).await?;
        let listener = Listener::bind(&*self.network, &local)
            .await
            .map_err(|error| cannot_listen("localaddr", &local, &error))?;
        let pages = self.bind_pages().await?;
        self.log(&listener.to_string());
        let client = Client::new(
            self.network,
            &self.config,
            &self.given,
            remote,
            forged,
            self.tunnel_config,
            self.entropy,
        );
        watch_memory(&self.config, client.census());
        monitor::start(&self.config, client.census(), pages).map_err(|error| system("signals", error))?;
        service::ready();
        client.run(listener, stop).await;
        Ok(())
    }

    async fn run_server(mut self, stop: Stop) -> Result<(), StartError> {
        let range = self.checked("listen", PortRange::parse(&self.config.program.listen))?;
        let target = self.checked("target", Address::parse_destination(&self.config.program.target))?;
        let mut sockets = Vec::new();
        for port in range.min..=range.max {
            sockets.push(self.bind_udp(&range.host, port).await?);
        }
        let udp = sockets.len();
        if let Some(settings) = self.forged()? {
            for port in range.min..=range.max {
                let entropy = self.entropy.fork();
                sockets.push(self.serve_forged(&range.host, port, &settings, &entropy).await?);
            }
        }
        let pages = self.bind_pages().await?;
        self.log(&self.config.program.listen);
        for port in range.min..=range.max {
            let address = Address::Tcp(range.host.clone(), port);
            log_line!("Listening on: {address}/udp");
            if sockets.len() > udp {
                log_line!("Listening on: {address}/tcp");
            }
        }
        let server =
            Server::new(self.network, &self.config, target, sockets, self.tunnel_config, self.entropy);
        watch_memory(&self.config, server.census());
        monitor::start(&self.config, server.census(), pages).map_err(|error| system("signals", error))?;
        service::ready();
        server.run(stop).await;
        Ok(())
    }

    async fn bind_udp(&self, host: &str, port: u16) -> Result<Box<dyn Datagrams>, StartError> {
        let refuse = |error| cannot_listen("listen", &Address::Tcp(host.into(), port), &error);
        let candidates = bind_candidates(host, port).await.map_err(refuse)?;
        first_working(&candidates, |address| self.network.bind_udp(address, self.config.socket_options()))
            .map_err(refuse)
    }

    /// What forged TCP is set to, if it is on; checks that it can be used.
    fn forged(&self) -> Result<Option<forged::Settings>, StartError> {
        self.config.forged().map_err(|error| StartError::System(error.to_string()))
    }

    /// The same for a client: the route to the server decides about the interface, and if there is none, the user.
    async fn client_forged(&self, remote: &PortRange) -> Result<Option<forged::Settings>, StartError> {
        let Some(mut settings) = self.forged()? else { return Ok(None) };
        // A name that does not resolve yet is looked up again by each dial.
        if let (0, Ok(peers)) = (settings.interface, resolve(&remote.host, remote.min).await) {
            settings.interface = forged::choose_interface(&peers).map_err(|error| system("--tcp", error))?;
        }
        Ok(Some(settings))
    }

    async fn serve_forged(
        &self,
        host: &str,
        port: u16,
        settings: &forged::Settings,
        entropy: &Entropy,
    ) -> Result<Box<dyn Datagrams>, StartError> {
        let refuse = |error| system(&format!("--tcp: {}/tcp", Address::Tcp(host.into(), port)), error);
        let candidates = bind_candidates(host, port).await.map_err(refuse)?;
        first_working(&candidates, |address| self.network.serve_forged(address, settings, entropy.clone()))
            .map_err(refuse)
    }

    async fn bind_pages(&self) -> Result<Pages, StartError> {
        let metrics = Some(self.config.program.metrics.as_str()).filter(|address| !address.is_empty());
        Ok(Pages {
            metrics: self.bind_page("metrics", "metrics", metrics).await?,
            profiles: self.bind_page("pprof-addr", "profiles", self.config.pprof_address()).await?,
        })
    }

    async fn bind_page(
        &self,
        flag: &'static str,
        what: &str,
        address: Option<&str>,
    ) -> Result<Option<(Listener, Hosts)>, StartError> {
        let Some(address) = address else { return Ok(None) };
        let address = self.checked(flag, Address::parse(address))?;
        let listener = Listener::bind(&*self.network, &address)
            .await
            .map_err(|error| cannot_listen(flag, &address, &error))?;
        log_line!("{what} on: {listener}");
        let own = match &address {
            Address::Tcp(host, _) => host,
            Address::Unix(_) => "",
        };
        let further = self.config.program.metrics_host.split(',');
        Ok(Some((listener, Hosts::new(further.chain([own])))))
    }

    /// An address that does not parse is the option's fault.
    fn checked<T>(&self, flag: &'static str, parsed: Result<T, impl Display>) -> Result<T, ConfigError> {
        parsed.map_err(|error| self.given.blame(&SettingsError { flag, reason: error.to_string() }))
    }

    fn log(&self, listening: &str) {
        for warning in self.warnings.iter().chain(&self.tunnel_config.warnings) {
            log_event!(Warn, "option", [], "{warning}");
        }
        if Calendar::local(LocalTime::now().unix_s).is_none() {
            log_event!(Warn, "utc", [], "this system does not report local time: times are UTC");
        }
        for line in parameters(&self.config, &self.tunnel_config, listening) {
            log_event!(Info, "option", [], "{line}");
        }
    }
}

fn system(what: &str, error: impl Display) -> StartError {
    StartError::System(format!("{what}: {error}"))
}

fn cannot_listen(flag: &str, address: &Address, error: &io::Error) -> StartError {
    system(&format!("--{flag} {address}: cannot listen"), error)
}

/// Options in the order of the client's start-up lines.
const CLIENT_LINES: &[&str] = &[
    "listening on:",
    "encryption:",
    "QPP",
    "QPP Count",
    "nodelay parameters:",
    "governor",
    "remote address:",
    "sndwnd:",
    "compression:",
    "mtu",
    "ratelimit",
    "datashard:",
    "acknodelay",
    "dscp",
    "sockbuf",
    "smuxbuf",
    "framesize",
    "streambuf",
    "keepalive",
    "conn",
    "autoexpire",
    "scavengettl",
    "snmplog",
    "snmpperiod",
    "quiet",
    "tcp",
    "pprof",
];

/// Options in the order of the server's start-up lines.
const SERVER_LINES: &[&str] = &[
    "listening on:",
    "target",
    "encryption:",
    "nodelay parameters:",
    "governor",
    "sndwnd:",
    "compression:",
    "mtu",
    "ratelimit",
    "datashard:",
    "acknodelay",
    "dscp",
    "sockbuf",
    "smuxbuf",
    "framesize",
    "streambuf",
    "keepalive",
    "snmplog",
    "snmpperiod",
    "pprof",
    "quiet",
    "tcp",
];

/// The lines logged at start, in kcptun's order and wording, with the values in use. `listening` is the address.
pub fn parameters(config: &Config, tunnel: &TunnelConfig, listening: &str) -> Vec<String> {
    let settings = &config.settings;
    let order = match config.side {
        Side::Client => CLIENT_LINES,
        Side::Server => SERVER_LINES,
    };
    let line = |item: &&str| match *item {
        "listening on:" => format!("listening on: {listening}"),
        "encryption:" => format!("encryption: {}", settings.crypt.name()),
        "QPP Count" => format!("QPP Count: {}", settings.pads_in_use()),
        "nodelay parameters:" => format!(
            "nodelay parameters: {}",
            settings.nodelay_parameters().map(|number| number.to_string()).join(" ")
        ),
        "governor" => format!("governor: {}", sender(tunnel)),
        "remote address:" => format!("remote address: {}", config.program.remoteaddr),
        "sndwnd:" => format!("sndwnd: {} rcvwnd: {}", tunnel.snd_wnd, tunnel.rcv_wnd),
        "mtu" => format!("mtu: {}", tunnel.mtu),
        "compression:" => format!("compression: {}", !settings.nocomp),
        "datashard:" => format!("datashard: {} parityshard: {}", settings.datashard, settings.parityshard),
        "target" => match Address::parse(&config.program.target) {
            Ok(Address::Unix(path)) => format!("target: unix:{path}"),
            _ => format!("target: {}", config.program.target),
        },
        name => format!("{name}: {}", shown(config, name)),
    };
    let mux = mux_words(settings.mux.dialect(), u8::try_from(settings.smuxver).unwrap_or(0));
    let head = [format!("version: {}", crate::VERSION), mux];
    let compat = settings.compat.map(|compat| format!("compat: {}{}", compat.name(), chosen(config, compat)));
    let tail = ["initiating key derivation", "key derivation done"].map(String::from);
    head.into_iter().chain(compat).chain(order.iter().map(line)).chain(tail).collect()
}

/// Which sender is active.
const fn sender(tunnel: &TunnelConfig) -> &'static str {
    match tunnel.governed {
        true => "on (paced, and no more in flight than the path holds)",
        false => "off (kcptun's own sender: as much in flight as sndwnd allows)",
    }
}

/// The options whose defaults a generation changes, with the values in use.
fn chosen(config: &Config, compat: Compat) -> String {
    let names = compat.defaults(config.side).into_iter().map(|(name, _)| name);
    names.map(|name| format!(" {name}={}", shown(config, name))).collect()
}

fn shown(config: &Config, name: &str) -> String {
    let value = flags::find(config.side, name).and_then(|flag| config.value(flag));
    value.map_or(String::new(), |value| value.to_string())
}
