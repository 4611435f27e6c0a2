//! The policer, measured against its configuration.

use crate::common::line::{arrived, play};
use sim::plan::{LinkPlan, Penalty, PolicerPlan, Timeline};

/// A thousand packets per second, with bursts of fifty.
const PLAIN: PolicerPlan = PolicerPlan { bits_per_s: 8_000_000, burst_bytes: 50_000, penalty: None };

fn policed(policer: impl Into<Timeline<PolicerPlan>>) -> LinkPlan {
    LinkPlan { policer: Some(policer.into()), ..LinkPlan::default() }
}

#[test]
fn the_rate_passes_and_half_of_twice_the_rate_is_dropped() {
    let (arrivals, counters) = play(&policed(PLAIN), 1, 10_000, 1_000);
    assert_eq!((arrivals.len(), counters.dropped()), (10_000, 0));
    let (arrivals, counters) = play(&policed(PLAIN), 1, 20_000, 500);
    assert!((10_045..=10_055).contains(&arrivals.len()), "{}", arrivals.len());
    assert_eq!(counters.dropped_policer + arrivals.len() as u64, 20_000);
    // It drops and never delays.
    assert!(arrivals.iter().all(|arrival| arrival.delay_us() == 0));
}

#[test]
fn an_overrun_is_punished_for_its_time_and_then_forgotten() {
    let penalty = Some(Penalty { bits_per_s: 800_000, for_us: 3_000_000 });
    // One and a half times the rate, for ten seconds.
    let (arrivals, counters) = play(&policed(PolicerPlan { penalty, ..PLAIN }), 2, 15_000, 667);
    let in_ms = |from: u64, to: u64| arrived(&arrivals, from * 1_000 / 667..to * 1_000 / 667);
    // The bucket lasts for 100 ms; then a tenth of the rate; then the rate again, which the next packet overruns.
    assert!((145..=155).contains(&in_ms(0, 100)), "{}", in_ms(0, 100));
    assert!((295..=305).contains(&in_ms(110, 3_110)), "{}", in_ms(110, 3_110));
    assert!((1_130..=1_150).contains(&arrivals.len()), "{}", arrivals.len());
    assert!((3..=4).contains(&counters.penalties), "{}", counters.penalties);
}

#[test]
fn the_policer_follows_its_schedule() {
    let slower = PolicerPlan { bits_per_s: 2_000_000, ..PLAIN };
    let (arrivals, _) = play(&policed(Timeline::from(PLAIN).then(2_000_000, slower)), 3, 8_000, 500);
    let (first, second) = (arrived(&arrivals, 0..4_000), arrived(&arrivals, 4_000..8_000));
    assert!((2_045..=2_055).contains(&first) && (495..=505).contains(&second), "{first} {second}");
}

#[test]
fn a_policer_of_udp_lets_forged_tcp_pass() {
    let of_udp = |forged_tcp| LinkPlan { policer_only_udp: true, forged_tcp, ..policed(PLAIN) };
    let (arrivals, counters) = play(&of_udp(false), 1, 20_000, 500);
    assert!(arrivals.len() < 10_100 && counters.dropped_policer > 9_900);
    let (arrivals, counters) = play(&of_udp(true), 1, 20_000, 500);
    assert_eq!((arrivals.len(), counters.dropped()), (20_000, 0));
    // Its headers are longer by 12 bytes.
    let plain = play(&policed(PLAIN), 1, 1_000, 1_000).1;
    let forged = play(&LinkPlan { forged_tcp: true, ..policed(PLAIN) }, 1, 1_000, 1_000).1;
    assert_eq!(forged.sent_bytes - plain.sent_bytes, 12_000);
    // Without the restriction, it is policed like any other.
    let (arrivals, _) = play(&LinkPlan { forged_tcp: true, ..policed(PLAIN) }, 1, 20_000, 500);
    assert!(arrivals.len() < 10_100);
}
