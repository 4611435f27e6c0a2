//! What systemd wants to know of a service of Type=notify (CLI-39).

use sd_notify::NotifyState;

/// The program listens.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// The program ends.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    // Without a service manager nobody listens; with one that is gone nobody does either.
    let _ = sd_notify::notify(&[state]);
}
