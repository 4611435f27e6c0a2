//! Counters of the running program: to a file, to the log and over HTTP.

use super::census::Census;
use crate::config::Config;
use crate::local_time::LocalTime;
use crate::log::{self, log_event, log_limited, log_line};
use crate::net::hosts::Hosts;
use crate::net::http;
use crate::net::wire::Listener;
use crate::platform::signals::{self, Requests};
use crate::{profile, snmp};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Where pages are served, and for which hosts.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) metrics: Option<(Listener, Hosts)>,
    pub(crate) profiles: Option<(Listener, Hosts)>,
}

/// Starts the outputs that `config` enables; they end with the program.
///
/// # Errors
/// The system refuses the signal's handler.
pub(crate) fn start(config: &Config, census: &Rc<Census>, pages: Pages) -> io::Result<()> {
    if let Some((listener, hosts)) = pages.metrics {
        let (side, started, census) = (config.side, Instant::now(), Rc::clone(census));
        let page = async move |target: &str| census.snapshot(side, started.elapsed()).page(target);
        spawn_local(http::serve(listener, hosts, page));
    }
    if let Some((listener, hosts)) = pages.profiles {
        if !profile::AVAILABLE {
            log_line!(
                "pprof: this build has no profiler, requests for profiles are refused: build with --features profile"
            );
        }
        spawn_local(http::serve(listener, hosts, async |target: &str| profile::page(target).await));
    }
    spawn_local(dump(signals::dump()?, Rc::clone(census)));
    spawn_local(reopen(signals::reopen()?, !config.program.log.is_empty()));
    if let (false, Ok(period_s @ 1..)) =
        (config.program.snmplog.is_empty(), u64::try_from(config.program.snmpperiod))
    {
        spawn_local(write_rows(
            config.program.snmplog.clone(),
            Duration::from_secs(period_s),
            Rc::clone(census),
        ));
    }
    Ok(())
}

/// CLI-104. Rows of counters open their file anyway.
async fn reopen(mut requests: Requests, has_file: bool) {
    while requests.next().await.is_some() {
        if has_file {
            log::reopen();
            log_event!(Info, "log_reopened", [], "SIGHUP: log file opened again");
        } else {
            log_event!(Info, "hangup", [], "SIGHUP: the log is standard error, no file to open again");
        }
    }
}

/// CLI-33
async fn dump(mut requests: Requests, census: Rc<Census>) {
    while requests.next().await.is_some() {
        log_line!("{}", census.totals().dump());
    }
}

/// The first row after the first period (CLI-31). A row that cannot be written is lost; the next one is tried all the same.
async fn write_rows(path: String, period: Duration, census: Rc<Census>) {
    let start = Instant::now();
    // A period beyond the clock's range never ends.
    let Some(first) = start.checked_add(period) else { return };
    let mut ticks = interval_at(first, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = snmp::append(&path, &LocalTime::now(), &census.totals()) {
            log_limited!(path, Warn, "snmplog_failed", [reason = error], "snmp logger: {error}");
        }
    }
}
