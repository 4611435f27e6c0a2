//! Why a server does not answer: kcptun's servers drop what they cannot open, so the alternatives are tried.

use super::Job;
use super::report::{Fault, Report};
use super::session::Session;
use super::socket::Via;
use engine::Settings;
use engine::crypt::Cipher;
use engine::{Entropy, TunnelConfig};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long a server may take to answer another cipher or key.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Ports tried to learn whether the host reports closed ones. Dynamic ports (RFC 6335) rarely have a service.
const CLOSED_PORTS: usize = 3;
const DYNAMIC_PORTS: std::ops::Range<u16> = 49_152..65_535;

/// A combination of options that a silent server might use.
struct Alternative {
    settings: Settings,
    /// What differs, in words.
    key: Option<&'static str>,
}

/// Names the cause of the silence of `to`.
pub(super) fn explain(job: &mut Job<'_>, to: SocketAddr, report: &mut Report) {
    let own = &job.config.settings;
    let alternatives = alternatives(own);
    let entropies: Vec<Entropy> = alternatives.iter().map(|_| job.entropy.fork()).collect();
    let ports = closed_ports(&mut job.entropy, to.port());
    let (via, protocol) = (&job.via, job.via.protocol());
    let mut probes = job.entropy.fork();
    let (answered, reports_closed) = thread::scope(|scope| {
        let tries: Vec<_> = alternatives
            .iter()
            .zip(entropies)
            .map(|(alternative, entropy)| {
                scope.spawn(move || {
                    alternative.settings.tunnel_config().is_ok_and(|config| answers(config, via, to, entropy))
                })
            })
            .collect();
        let refuses = ports.map(|port| {
            let entropy = probes.fork();
            scope.spawn(move || refuses(via, SocketAddr::new(to.ip(), port), entropy))
        });
        let answered = tries.into_iter().position(|task| task.join().unwrap_or(false));
        (answered, refuses.into_iter().any(|task| task.join().unwrap_or(false)))
    });
    match answered.and_then(|index| alternatives.get(index)) {
        Some(Alternative { key: Some(difference), .. }) => report.fault(
            Fault::Key,
            &format!("{to} answers another --key: {difference}"),
            "give both sides the same --key",
        ),
        Some(Alternative { settings, .. }) => {
            let (theirs, ours) = (settings.crypt.name(), own.crypt.name());
            report.fault(
                Fault::Cipher,
                &format!("{to} uses --crypt {theirs}, this side --crypt {ours}; the keys are equal"),
                &format!("start this side with --crypt {theirs}, or the server with --crypt {ours}"),
            );
        }
        None if reports_closed => report.fault(
            Fault::Key,
            &format!("a program listens on {to}, but answers no cipher with this key: --key differs"),
            "give both sides the same --key; a karst server logs the source of datagrams that do not open. If the keys are \
             equal, another program has the port, or a firewall drops the answers",
        ),
        None => report.fault(
            Fault::Silence,
            &format!(
                "nothing comes back from {to}, and {} reports no closed port either: the datagrams or the answers are dropped",
                to.ip()
            ),
            &format!(
                "check that the host runs, that firewalls and security groups of both sides let {protocol} port {} through, and that \
                 the provider does not block {protocol}; on the server, `tcpdump -n {} port {}` shows whether datagrams arrive. \
                 If they do, --key differs",
                to.port(),
                protocol.to_lowercase(),
                to.port()
            ),
        ),
    }
}

/// The other ciphers, and keys that are easily given by mistake.
fn alternatives(own: &Settings) -> Vec<Alternative> {
    let ciphers = Cipher::ALL.iter().filter(|cipher| **cipher != own.crypt);
    let with_cipher =
        |cipher: &Cipher| Alternative { settings: Settings { crypt: *cipher, ..own.clone() }, key: None };
    let trimmed = own.key.trim();
    let keys = [
        (Settings::client().key, "that of kcptun's default, so the server was started without --key"),
        (trimmed.to_owned(), "this one without the white space around it"),
        (format!("{trimmed}\n"), "this one followed by a line feed, as a file has it"),
        (format!("\"{trimmed}\""), "this one in double quotes"),
        (trimmed.trim_matches(['"', '\'']).to_owned(), "this one without the quotes around it"),
    ];
    let with_key = |(key, difference): (String, &'static str)| Alternative {
        settings: Settings { key, ..own.clone() },
        key: Some(difference),
    };
    let keys = keys.into_iter().filter(|(key, _)| *key != own.key);
    ciphers.map(with_cipher).chain(keys.map(with_key)).collect()
}

fn answers(config: TunnelConfig, via: &Via, to: SocketAddr, entropy: Entropy) -> bool {
    let session = Session::dial(&Arc::new(config), via, to, entropy);
    session
        .and_then(|mut session| session.run(ANSWER_LIMIT, |session| session.tunnel.was_heard()))
        .unwrap_or(false)
}

fn closed_ports(entropy: &mut Entropy, but: u16) -> [u16; CLOSED_PORTS] {
    let span = u32::from(DYNAMIC_PORTS.end - DYNAMIC_PORTS.start);
    std::array::from_fn(|_| {
        let port = DYNAMIC_PORTS.start + (entropy.next_u32() % span) as u16;
        if port == but { DYNAMIC_PORTS.end } else { port }
    })
}

/// Whether the host reports this port closed: then datagrams reach it, and its reports come back.
fn refuses(via: &Via, to: SocketAddr, mut entropy: Entropy) -> bool {
    let mut refused = || {
        let mut socket = via.connect(to, &mut entropy)?;
        for _ in 0..3 {
            socket.send(&[0])?;
            socket.receive(ANSWER_LIMIT / 3, &mut [0; 16])?;
        }
        Ok(())
    };
    let result: std::io::Result<()> = refused();
    result.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
