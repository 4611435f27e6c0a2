//! The program that started this one: systemd, for a service of Type=notify (CLI-39), or the host of a plugin.

use sd_notify::NotifyState;
pub(crate) use std::os::unix::process::parent_id;
use std::time::Duration;

/// The program listens.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// The program ends.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    // Fails without a service manager.
    let _ = sd_notify::notify(&[state]);
}

/// Interval at which a plugin checks that its host still runs.
const HOST_CHECK: Duration = Duration::from_millis(500);

/// Ends the program with SIGTERM once `parent`, the process that started it, is gone. A host that is killed cannot end its plugins, and
/// one that is left would keep the port. The kernel's own signal (`PR_SET_PDEATHSIG`) is no use: it already comes when the
/// host's thread that started the plugin ends (prctl(2)).
pub(crate) async fn end_with_parent(parent: u32) {
    while parent_id() == parent {
        tokio::time::sleep(HOST_CHECK).await;
    }
    // Delivery to the own process cannot fail.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
}
