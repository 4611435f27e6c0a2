//! Limits of the system that a program runs into under load.

use super::report::{Fault, Report};
use crate::config::Config;
use crate::platform::limits;
use crate::platform::process::kernel_setting;

/// Descriptors below which a program is of little use, and a number that serves some thousand streams.
const DESCRIPTORS_MIN: u64 = 256;
const DESCRIPTORS_ADVISED: u64 = 16_384;

/// Share of the table of connections from which new ones will soon be dropped.
const TRACKED_PERCENT_MAX: u64 = 80;

/// Reports the limits for `config`.
pub(super) fn check(config: &Config, report: &mut Report) {
    check_descriptors(report);
    check_buffers(config.program.sockbuf, report);
    check_tracking(report);
}

/// Each stream and each port has a descriptor; the program raises the soft limit itself (CLI-78).
fn check_descriptors(report: &mut Report) {
    let hard = limits::descriptors_max();
    let text = hard.map_or("unlimited".into(), |hard| hard.to_string());
    let next =
        "raise it: LimitNOFILE= of the systemd unit, or `ulimit -Hn` in the shell that starts the program";
    match hard {
        Some(hard) if hard < DESCRIPTORS_MIN => {
            report.fault(Fault::Limit, &format!("only {hard} descriptors: one per stream and port"), next);
        }
        Some(hard) if hard < DESCRIPTORS_ADVISED => {
            report.note("limits", &format!("{hard} descriptors are {hard} streams at most; {next}"));
        }
        _ => report.ok("limits", &format!("descriptors: {text}")),
    }
}

/// Buffers of the UDP sockets: the system grants at most its own limit, and drops what does not fit.
fn check_buffers(wanted: i64, report: &Report) {
    for (direction, key) in [("receive", "net/core/rmem_max"), ("send", "net/core/wmem_max")] {
        let Some(granted) = kernel_setting(key) else { continue };
        let name = key.replace('/', ".");
        if granted >= wanted.unsigned_abs() {
            report.ok("sysctl", &format!("{name} = {granted} grants --sockbuf {wanted}"));
        } else {
            report.note(
                "sysctl",
                &format!(
                    "{name} = {granted} cuts the {direction} buffer of --sockbuf {wanted}, so that fast bursts are dropped: \
                     `sysctl -w {name}={wanted}`, and a line in /etc/sysctl.d"
                ),
            );
        }
    }
}

fn check_tracking(report: &mut Report) {
    let table = kernel_setting("net/netfilter/nf_conntrack_count")
        .zip(kernel_setting("net/netfilter/nf_conntrack_max"));
    let Some((count, max)) = table.filter(|(_, max)| *max > 0) else { return };
    if count * 100 / max >= TRACKED_PERCENT_MAX {
        report.fault(
            Fault::Limit,
            &format!(
                "{count} of {max} tracked connections: the system drops new ones when the table is full"
            ),
            "raise net.netfilter.nf_conntrack_max",
        );
    }
}
