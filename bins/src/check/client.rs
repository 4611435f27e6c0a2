//! The client's check: from the server's name to its target (CLI-90).

use super::report::{Fault, Report};
use super::session::{End, Session};
use super::socket::Via;
use super::{Job, path, silence};
use crate::config::ConfigError;
use crate::net::address::{PortRange, resolve};
use engine::{CloseReason, Settings, SettingsError, StreamId, TunnelConfig};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long a server may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// How long a karst server may take to announce itself once it was heard.
const ANNOUNCEMENT_LIMIT: Duration = Duration::from_millis(700);

/// Time after which a target counts as not refusing, and how long the server may take to pass the end of a stream on.
const REFUSAL_LIMIT: Duration = Duration::from_secs(2);
const END_LIMIT: Duration = Duration::from_secs(3);

/// kcptun's server sends its first keepalive after ten seconds; its target may take as long.
const KEEPALIVE_LIMIT: Duration = Duration::from_secs(12);

/// Ports of a range that are tried, evenly spread.
const PORTS_MAX: u64 = 32;

/// Checks the way to the server, and reports.
///
/// # Errors
/// An option cannot work.
pub(super) fn check(mut job: Job<'_>, report: &mut Report) -> Result<(), ConfigError> {
    let blame = |flag, reason: String| job.given.blame(&SettingsError { flag, reason });
    let remote = PortRange::parse(&job.config.program.remoteaddr)
        .map_err(|error| blame("remoteaddr", error.to_string()))?;
    let config = job.config.settings.tunnel_config().map_err(|error| job.given.blame(&error))?;
    let mut config = Arc::new(config);
    let Some(addresses) = addresses(&remote, report) else { return Ok(()) };
    let Some(mut session) = first_answer(&mut job, &config, &remote, &addresses, report) else {
        return Ok(());
    };
    let to = session.tunnel.peer();
    match talk(&mut session) {
        Ok(Talk { understood: true, target }) => {
            report_peer(&session, &job.config.settings, report);
            report_target(&session, target, report);
        }
        Ok(Talk { understood: false, .. }) if session.tunnel.closed() == Some(CloseReason::Pads) => {
            report_pads(&session, to, report);
        }
        Ok(Talk { understood: false, .. }) => {
            let Some(settings) = explain_mux(&mut job, &mut session, to, report) else { return Ok(()) };
            config = Arc::new(settings.tunnel_config().map_err(|error| job.given.blame(&error))?);
        }
        Err(error) => {
            report.fault(Fault::Silence, &format!("{to} stopped answering: {error}"), "run the check again");
            return Ok(());
        }
    }
    path::measure(&config, &job.via, to, job.entropy.fork(), report);
    Ok(())
}

/// Looks the server up.
fn addresses(remote: &PortRange, report: &mut Report) -> Option<Vec<SocketAddr>> {
    let host = &remote.host;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    match runtime.and_then(|runtime| runtime.block_on(resolve(host, remote.min))) {
        Ok(addresses) => {
            let listed: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            report.ok("name", &format!("{host} is {}", listed.join(", ")));
            Some(addresses)
        }
        Err(error) => {
            report.fault(
                Fault::Name,
                &format!("{host:?} does not resolve: {error}"),
                &format!("correct the name in --remoteaddr, or the DNS: `getent ahosts {host}` shows what the system finds"),
            );
            None
        }
    }
}

/// How a port took a session.
enum Answer {
    Heard(Box<Session>),
    Silent,
    Failed(io::Error),
}

/// Dials every address, and several ports of a range, at once; the first session that was answered.
fn first_answer(
    job: &mut Job<'_>,
    config: &Arc<TunnelConfig>,
    remote: &PortRange,
    addresses: &[SocketAddr],
    report: &mut Report,
) -> Option<Session> {
    let ports = ports(remote);
    let all =
        addresses.iter().flat_map(|address| ports.iter().map(|port| SocketAddr::new(address.ip(), *port)));
    let tries: Vec<_> = all.map(|to| (to, job.entropy.fork())).collect();
    let via = &job.via;
    let answers: Vec<(SocketAddr, Answer)> = thread::scope(|scope| {
        let tasks: Vec<_> = tries
            .into_iter()
            .map(|(to, entropy)| (to, scope.spawn(move || dial(config, via, to, entropy))))
            .collect();
        let join = |task: thread::ScopedJoinHandle<'_, Answer>| task.join().unwrap_or(Answer::Silent);
        tasks.into_iter().map(|(to, task)| (to, join(task))).collect()
    });
    let mut heard = None;
    let mut others = Vec::new();
    for (to, answer) in answers {
        match answer {
            Answer::Heard(session) => {
                heard.get_or_insert(session);
            }
            answer => others.push((to, answer)),
        }
    }
    let Some(session) = heard else {
        explain_failure(job, others, report);
        return None;
    };
    let settings = &job.config.settings;
    report.ok(
        "answer",
        &format!("{} answers: --key and --crypt {} are right", session.tunnel.peer(), settings.crypt.name()),
    );
    for (to, answer) in others {
        let why = match answer {
            Answer::Failed(error) => error.to_string(),
            _ => "no answer".into(),
        };
        report.fault(
            Fault::Port,
            &format!("{to} does not answer although {} does: {why}", session.tunnel.peer()),
            "connections that use it wait or fail: make the server listen there, or leave it out of --remoteaddr",
        );
    }
    Some(*session)
}

/// Up to [`PORTS_MAX`] ports, with the first and the last.
fn ports(remote: &PortRange) -> Vec<u16> {
    let count = remote.count();
    let tried = count.min(PORTS_MAX);
    let port = |index: u64| remote.min + (index * (count - 1) / (tried - 1).max(1)) as u16;
    (0..tried).map(port).collect()
}

fn dial(config: &Arc<TunnelConfig>, via: &Via, to: SocketAddr, entropy: engine::Entropy) -> Answer {
    let mut session = match Session::dial(config, via, to, entropy) {
        Ok(session) => session,
        Err(error) => return Answer::Failed(error),
    };
    match session.run(ANSWER_LIMIT, |session| session.tunnel.was_heard()) {
        Ok(true) => Answer::Heard(Box::new(session)),
        Ok(false) => Answer::Silent,
        Err(error) => Answer::Failed(error),
    }
}

/// No port answered; the first one is explained.
fn explain_failure(job: &mut Job<'_>, answers: Vec<(SocketAddr, Answer)>, report: &mut Report) {
    // A port that is silent explains more than one that is closed.
    let silent = answers.iter().find(|(_, answer)| matches!(answer, Answer::Silent));
    let Some((to, answer)) = silent.or(answers.first()) else { return };
    match answer {
        Answer::Failed(error) if error.kind() == ErrorKind::ConnectionRefused => report.fault(
            Fault::Port,
            &format!(
                "{} port {} of {} is closed: nothing listens there",
                job.via.protocol(),
                to.port(),
                to.ip()
            ),
            match job.via {
                Via::Udp => "start the server, and compare the port with its --listen",
                Via::Forged(..) => "start the server with --tcp, and compare the port with its --listen",
            },
        ),
        Answer::Failed(error) => report.fault(
            Fault::Silence,
            &format!("{to} cannot be reached: {error}"),
            "check this machine's network, its routes and its firewall, and the address",
        ),
        _ => silence::explain(job, *to, report),
    }
}

/// What a session with one stream showed.
struct Talk {
    /// The server's stream data can be read.
    understood: bool,
    target: Target,
}

/// What the server's target did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The stream was reset, before this end had finished it.
    Refused,
    /// The stream was finished before this end had finished it.
    Closed,
    /// The end of the stream came back.
    Accepted,
    /// Nothing came back within [`KEEPALIVE_LIMIT`].
    Quiet,
}

/// Opens a stream and finishes it. Nearly every server then sends something: karst's announces itself, and kcptun's passes the
/// end of the stream on.
fn talk(session: &mut Session) -> io::Result<Talk> {
    let closed = |session: &Session| session.tunnel.is_closed();
    session.run(ANNOUNCEMENT_LIMIT, |session| session.tunnel.peer_half_closes() || closed(session))?;
    if session.tunnel.peer_half_closes() {
        // A session between different pads ends once the server knows (QPP-11).
        session.run(ANNOUNCEMENT_LIMIT, |session| session.tunnel.drained() || closed(session))?;
    }
    let now = session.now();
    let Ok(stream) = session.tunnel.open_stream(now) else {
        return Ok(Talk { understood: false, target: Target::Quiet });
    };
    session.run(REFUSAL_LIMIT, |session| session.end_of(stream).is_some() || closed(session))?;
    let target = match session.end_of(stream) {
        Some(End::Reset) => Target::Refused,
        Some(End::Finished) => Target::Closed,
        None => finish(session, stream)?,
    };
    Ok(Talk { understood: session.understands(), target })
}

fn finish(session: &mut Session, stream: StreamId) -> io::Result<Target> {
    let now = session.now();
    // A session that is closed meanwhile is not understood.
    let _ = session.tunnel.finish(now, stream);
    let ended = |session: &Session| session.end_of(stream).is_some() || session.tunnel.is_closed();
    session.run(END_LIMIT, ended)?;
    // A karst server gives a target that it does not reach up after ten seconds.
    if session.understands() && !ended(session) {
        session.run(KEEPALIVE_LIMIT - END_LIMIT - REFUSAL_LIMIT, ended)?;
    }
    Ok(match session.end_of(stream) {
        Some(End::Reset) => Target::Refused,
        Some(End::Finished) => Target::Accepted,
        None => Target::Quiet,
    })
}

fn report_peer(session: &Session, settings: &Settings, report: &Report) {
    let Settings { smuxver, nocomp, qpp, .. } = settings;
    let compression = if *nocomp { "no compression" } else { "compression" };
    let peer = if session.tunnel.peer_half_closes() { "karst" } else { "kcptun" };
    report.ok("peer", &format!("{peer}; --smuxver {smuxver} and {compression} on both sides"));
    // Only karst states its pads.
    if *qpp && !session.tunnel.peer_half_closes() {
        report.note("peer", "--QPP cannot be compared: if it differs, the target receives scrambled bytes");
    }
}

fn report_pads(session: &Session, to: SocketAddr, report: &mut Report) {
    let how = session.tunnel.mismatch().map_or(String::new(), |mismatch| format!(": {mismatch}"));
    report.fault(
        Fault::Pads,
        &format!("{to} is a karst server with other permutation pads{how}"),
        "make --QPP and --QPPCount equal on both sides",
    );
}

fn report_target(session: &Session, target: Target, report: &mut Report) {
    let next =
        "on the server, run `karst-server check` with its options, or start the service that --target names";
    let is_karst = session.tunnel.peer_half_closes();
    match target {
        Target::Refused => {
            report.fault(Fault::Target, "the server cannot connect to its target: the stream was reset", next);
        }
        Target::Closed if is_karst => {
            report.ok("target", "accepts connections, and closes them before it receives anything");
        }
        Target::Closed => report.fault(
            Fault::Target,
            "the server closed the stream at once: its target refuses connections, or closes them immediately",
            next,
        ),
        Target::Accepted => report.ok("target", "accepts connections"),
        Target::Quiet => report.note(
            "target",
            &format!(
                "did not refuse within {} s, and did not answer the end of a stream",
                KEEPALIVE_LIMIT.as_secs()
            ),
        ),
    }
}

/// The server acknowledges, but its stream data cannot be read: tries the other settings of compression and multiplexer.
/// The settings with which the path can be measured all the same.
fn explain_mux(
    job: &mut Job<'_>,
    session: &mut Session,
    to: SocketAddr,
    report: &mut Report,
) -> Option<Settings> {
    let own = &job.config.settings;
    let other = |nocomp, smuxver| Settings { nocomp, smuxver, ..own.clone() };
    let version = if own.smuxver == 1 { 2 } else { 1 };
    let settings = [other(!own.nocomp, own.smuxver), other(own.nocomp, version), other(!own.nocomp, version)];
    let tries: Vec<_> = settings.iter().map(|settings| (settings, job.entropy.fork())).collect();
    let via = &job.via;
    let found = thread::scope(|scope| {
        let tasks: Vec<_> = tries
            .into_iter()
            .map(|(settings, entropy)| scope.spawn(move || is_understood(settings, via, to, entropy)))
            .collect();
        tasks.into_iter().position(|task| task.join().unwrap_or(false))
    });
    let Some(theirs) = found.and_then(|index| settings.get(index)) else {
        // The target may be slow, but kcptun's keepalive comes.
        let late = session.run(KEEPALIVE_LIMIT, Session::understands).unwrap_or(false);
        if late {
            report_peer(session, own, report);
            report_target(session, Target::Quiet, report);
        } else {
            report.fault(
                Fault::Mux,
                &format!("{to} acknowledges, but sends nothing that any --nocomp and --smuxver can read"),
                "compare all options of both sides; the server's log has the reason why it closes the session",
            );
        }
        return late.then(|| own.clone());
    };
    let given = |flag: &str| own.no_probe || job.given.has(flag);
    let names = [(theirs.nocomp != own.nocomp, "nocomp"), (theirs.smuxver != own.smuxver, "smuxver")];
    if !names.iter().any(|(differs, flag)| *differs && given(flag)) {
        report_adapted(theirs, (&job.via, to), job.entropy.fork(), report);
        return Some(theirs.clone());
    }
    if theirs.nocomp != own.nocomp {
        let (they, we, next) = match theirs.nocomp {
            true => ("has --nocomp", "compresses", "start this side with --nocomp, or the server without it"),
            false => {
                ("compresses", "has --nocomp", "start this side without --nocomp, or the server with it")
            }
        };
        report.fault(Fault::Compression, &format!("{to} {they}, this side {we}"), next);
    }
    if theirs.smuxver != own.smuxver {
        let (theirs, ours) = (theirs.smuxver, own.smuxver);
        report.fault(
            Fault::Mux,
            &format!("{to} uses --smuxver {theirs}, this side --smuxver {ours}"),
            &format!("start this side with --smuxver {theirs}, or the server with --smuxver {ours}"),
        );
    }
    None
}

/// The client finds out what the server uses, unless an option says otherwise (CLI-100).
fn report_adapted(
    theirs: &Settings,
    (via, to): (&Via, SocketAddr),
    entropy: engine::Entropy,
    report: &mut Report,
) {
    let nocomp = if theirs.nocomp { " --nocomp" } else { "" };
    report.note(
        "mux",
        &format!(
            "{to} uses --smuxver {}{nocomp}, which this side finds out with each session: start it with the same to save time",
            theirs.smuxver
        ),
    );
    let Ok(config) = theirs.tunnel_config() else { return };
    if let Answer::Heard(mut session) = dial(&Arc::new(config), via, to, entropy)
        && let Ok(Talk { understood: true, target }) = talk(&mut session)
    {
        report_peer(&session, theirs, report);
        report_target(&session, target, report);
    }
}

fn is_understood(settings: &Settings, via: &Via, to: SocketAddr, entropy: engine::Entropy) -> bool {
    let Ok(config) = settings.tunnel_config() else { return false };
    let understood = || {
        let mut session = Session::dial(&Arc::new(config), via, to, entropy)?;
        session.run(ANSWER_LIMIT, |session| session.tunnel.was_heard())?;
        if session.run(ANNOUNCEMENT_LIMIT, Session::understands)? {
            return Ok(true);
        }
        let now = session.now();
        if let Ok(stream) = session.tunnel.open_stream(now) {
            // As in `finish`.
            let _ = session.tunnel.finish(now, stream);
        }
        session.run(END_LIMIT, Session::understands)
    };
    let result: io::Result<bool> = understood();
    result.unwrap_or(false)
}
