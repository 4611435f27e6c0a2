//! Deadlines are in the future, independent of the session's last actions.

use crate::pair::reference;
use engine::crypt::Cipher;
use engine::{Entropy, Handled, Instant, Settings, Tunnel};
use std::sync::Arc;

fn drain(tunnel: &mut Tunnel, now: Instant) {
    let mut out = [0; 1500];
    while tunnel.poll_transmit(now, &mut out).is_some() {}
    while tunnel.poll_event().is_some() {}
}

/// While the peer's window is closed only the window probe is awaited; the flush timer's time passes unused.
// KCP-9, KCP-12
#[test]
fn writing_to_a_closed_window_waits_for_the_next_flush() {
    let settings = Settings { crypt: Cipher::Null, datashard: 0, ..reference().0 };
    let config = Arc::new(settings.tunnel_config().unwrap());
    let to = "192.0.2.1:29900".parse().unwrap();
    let mut now = Instant::from_millis(1000);
    let mut tunnel = Tunnel::connect(&config, now, to, Entropy::from_seed([1; 32]));
    let id = tunnel.open_stream(now).unwrap();
    drain(&mut tunnel, now);

    // Acknowledges all segments and closes the window: cmd ack, frg 0, wnd 0, ts, sn 0, una, len 0.
    let una = tunnel.arq().state().snd_nxt;
    let mut acknowledgement = tunnel.conv().to_le_bytes().to_vec();
    acknowledgement.extend_from_slice(&[82, 0, 0, 0]);
    for word in [now.ms(), 0, una, 0] {
        acknowledgement.extend_from_slice(&word.to_le_bytes());
    }
    assert!(matches!(tunnel.handle_datagram(now, &mut acknowledgement), Handled::Used));
    drain(&mut tunnel, now);
    assert_eq!((tunnel.arq().waitsnd(), tunnel.arq().state().rmt_wnd), (0, 0));

    now = Instant::from_millis(1100);
    assert!(tunnel.poll_timeout().unwrap().at > now, "the flush timer ticks for nothing");
    tunnel.write(now, id, b"waits").unwrap();
    drain(&mut tunnel, now);
    let next = tunnel.poll_timeout().unwrap();
    assert!(next.at > now, "{next:?}");
    assert!(next.at <= Instant::from_millis(1130), "{next:?}");
}
