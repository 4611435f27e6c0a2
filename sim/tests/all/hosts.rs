//! Hosts with limits: their costs are visible, and every check holds.

use crate::common::{rough, scenario};
use serde_json::{Value, json};
use sim::{Outcome, play};

/// The rough scenario on such machines.
fn on(client: Value, server: Value) -> Outcome {
    let mut file = rough();
    file["hosts"] = json!({ "client": client, "server": server });
    let outcome = play(&scenario(&file), 1);
    assert!(outcome.ok, "{:?}", outcome.violations);
    outcome
}

#[test]
fn a_stall_delays_all_datagrams_and_drops_those_beyond_the_buffer() {
    let free = on(json!({}), json!({}));
    let stalls = json!([{ "at_ms": 50, "for_ms": 300 }]);
    let stalled = on(json!({ "stalls": stalls, "receive_buffer_bytes": 20000 }), json!({}));
    assert!(stalled.sim_us > free.sim_us + 100_000, "{} {}", stalled.sim_us, free.sim_us);
    let host = &stalled.hosts.client;
    assert!(host.dropped_socket > 10 && host.socket_peak_bytes <= 20_000, "{host:?}");
    assert_eq!(stalled.hosts.server.dropped_socket, 0);
}

#[test]
fn a_slow_processor_is_the_bottleneck() {
    let slow = on(json!({}), json!({ "cpu_us_per_datagram": 1000 }));
    let host = &slow.hosts.server;
    // It handles a thousand datagrams per second, and has little else to do than that.
    let handled = host.cpu_busy_us / 1_000;
    assert!(
        handled * 1_000 <= slow.sim_us + 2_000 && handled * 1_000 > slow.sim_us / 2,
        "{host:?} {}",
        slow.sim_us
    );
    let (sent, arrived) =
        (slow.links.down.sent_packets, slow.links.up.delivered_packets - host.dropped_socket);
    assert!((sent..=sent + arrived).contains(&handled), "{handled} {sent} {arrived}");
}

#[test]
fn late_timers_delay_without_breaking_a_rule() {
    let late = on(json!({ "timer_slack_ms": 30 }), json!({ "timer_slack_ms": 30 }));
    assert_ne!(late.trace_hash, on(json!({}), json!({})).trace_hash);
}

#[test]
fn both_clocks_cross_the_wrap() {
    let clock = json!({ "clock_offset_ms": "wrap" });
    let outcome = on(clock.clone(), clock);
    for host in [&outcome.hosts.client, &outcome.hosts.server] {
        let wrap_us = (1_u64 << 32) * 1_000;
        assert!((wrap_us - 5_000_000..=wrap_us).contains(&host.clock_offset_us), "{host:?}");
    }
}

/// A clock wrap during the workload: without it, the same seed takes the same time to the millisecond.
#[test]
fn the_wrap_does_not_affect_the_run() {
    let at = |offset_ms: u64| {
        let clock = json!({ "clock_offset_ms": offset_ms });
        on(clock.clone(), clock)
    };
    // The clocks have the same phase for all intervals.
    let wrap_ms = (1 << 32) - 150;
    let (plain, wrapping) = (at(wrap_ms % 120_000), at(wrap_ms));
    assert!(plain.sim_us > 300_000, "{}", plain.sim_us);
    assert_eq!(plain.sim_us, wrapping.sim_us);
    assert_eq!(plain.links, wrapping.links);
    assert_ne!(plain.trace_hash, wrapping.trace_hash);
}
