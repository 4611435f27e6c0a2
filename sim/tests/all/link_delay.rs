//! Delays of packets, measured against their configuration over fixed seeds.

use crate::common::line::{Arrival, is_near, numbers, play};
use sim::plan::{LinkPlan, QueuePlan, ReorderPlan, Timeline, WanderPlan};

const PACKETS: u64 = 50_000;

fn delays(plan: &LinkPlan, seed: u64, gap_us: u64) -> Vec<u64> {
    let (arrivals, _) = play(plan, seed, PACKETS, gap_us);
    assert_eq!(arrivals.len() as u64, PACKETS);
    assert!(numbers(&arrivals).is_sorted());
    arrivals.iter().map(Arrival::delay_us).collect()
}

#[test]
fn delay_follows_its_schedule_and_keeps_the_order() {
    let delay_us = Timeline::from(20_000).then(100_000, 80_000).then(200_000, 30_000);
    let delays = delays(&LinkPlan { delay_us, ..LinkPlan::default() }, 1, 10);
    assert!(delays[..10_000].iter().all(|&us| us == 20_000));
    assert!(delays[10_000..20_000].iter().all(|&us| us == 80_000));
    // Those sent right after the delay fell wait for those before them: 50 ms, shrinking.
    assert!((20_000..25_000).all(|n| delays[n] == 79_990 - (n as u64 - 20_000) * 10));
    assert!(delays[25_000..].iter().all(|&us| us == 30_000));
}

#[test]
fn jitter_is_uniform() {
    for seed in 1..=3 {
        let plan = LinkPlan { delay_us: 5_000.into(), jitter_us: 1_000.into(), ..LinkPlan::default() };
        let delays = delays(&plan, seed, 1_000);
        for tenth in 0..10 {
            let range = 5_000_u64 + tenth * 100..5_100 + tenth * 100;
            let count = delays.iter().filter(|us| range.contains(*us)).count() as u64;
            assert!(is_near(count, PACKETS / 10, 6), "seed {seed}, {range:?}: {count}");
        }
        assert!(delays.iter().all(|us| (5_000..=6_000).contains(us)));
    }
}

#[test]
fn wander_has_its_mean_spread_and_correlation() {
    let wander = WanderPlan { amplitude_us: 30_000, correlation_us: 320_000 };
    let plan = LinkPlan { delay_us: 1_000.into(), wander: Some(wander.into()), ..LinkPlan::default() };
    for seed in 1..=3 {
        // 500 s: some 1500 correlation times.
        let delays: Vec<f64> = delays(&plan, seed, 10_000).iter().map(|&us| us as f64 - 1_000.0).collect();
        let mean = delays.iter().sum::<f64>() / PACKETS as f64;
        let covariance = |lag: usize| {
            let products = delays.iter().zip(&delays[lag..]).map(|(a, b)| (a - mean) * (b - mean));
            products.sum::<f64>() / (PACKETS as usize - lag) as f64
        };
        assert!((14_500.0..15_500.0).contains(&mean), "{mean}");
        let deviation = covariance(0).sqrt();
        assert!((4_500.0..5_500.0).contains(&deviation), "{deviation}");
        // Correlation falls to 1/e within the correlation time, to nearly 0 within four times that.
        let (once, four) = (covariance(32) / covariance(0), covariance(128) / covariance(0));
        assert!((0.30..0.44).contains(&once), "{once}");
        assert!((-0.1..0.12).contains(&four), "{four}");
        assert!(delays.iter().all(|us| (0.0..=30_000.0).contains(us)));
    }
}

/// Successive packets have similar delays, unlike with jitter.
#[test]
fn wander_changes_slowly() {
    let wander = WanderPlan { amplitude_us: 30_000, correlation_us: 320_000 };
    let plan = LinkPlan { wander: Some(wander.into()), ..LinkPlan::default() };
    let delays = delays(&plan, 4, 100);
    let largest = delays.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap();
    // A step of the process takes 20 ms and is at most a tenth of the amplitude and a sixteenth of the value.
    assert!(largest <= 25, "{largest}");
}

#[test]
fn reordering_delays_the_configured_share_by_the_configured_time() {
    for (seed, percent) in [(1, 1), (2, 5), (3, 25)] {
        let reorder = ReorderPlan { ppm: percent * 10_000, extra_us: 2_500 };
        let plan = LinkPlan { delay_us: 1_000.into(), reorder: Some(reorder.into()), ..LinkPlan::default() };
        let (arrivals, counters) = play(&plan, seed, PACKETS, 1_000);
        let late = arrivals.iter().filter(|arrival| arrival.delay_us() == 3_500).count() as u64;
        assert!(arrivals.iter().all(|arrival| [1_000, 3_500].contains(&arrival.delay_us())));
        assert_eq!(late, counters.reordered_packets);
        assert!(is_near(late, PACKETS * u64::from(percent) / 100, 10), "{percent} %: {late}");
    }
}

/// Also behind a queue and for any order of the list; only listed packets are late.
#[test]
fn listed_packets_are_delayed_and_others_overtake_them() {
    let queue = QueuePlan { bits_per_s: 8_000_000, bytes_max: 10_000, packets_max: 9, codel: None };
    for queue in [None, Some(queue.into())] {
        let transmission_us = queue.as_ref().map_or(0, |_| 1_000);
        let delay_packets = vec![(5, 10_000), (2, 4_500)];
        let plan = LinkPlan { delay_us: 700.into(), queue, delay_packets, ..LinkPlan::default() };
        let (arrivals, counters) = play(&plan, 1, 8, 2_000);
        let late: Vec<(u64, u64)> = arrivals
            .iter()
            .map(|arrival| (arrival.number + 1, arrival.delay_us() - 700 - transmission_us))
            .collect();
        assert_eq!(late, [(1, 0), (3, 0), (4, 0), (2, 4_500), (6, 0), (7, 0), (8, 0), (5, 10_000)]);
        assert_eq!((counters.reordered_packets, counters.in_flight()), (2, Some(0)));
    }
}

/// A packet that another element drops has no delay, and the numbers go on.
#[test]
fn dropped_packets_count_and_are_not_delayed() {
    let (drop_packets, delay_packets) = (vec![1, 3], vec![(4, 500)]);
    let plan = LinkPlan { drop_packets, delay_packets, ..LinkPlan::default() };
    let (arrivals, counters) = play(&plan, 1, 5, 1_000);
    let late: Vec<(u64, u64)> =
        arrivals.iter().map(|arrival| (arrival.number + 1, arrival.delay_us())).collect();
    assert_eq!(late, [(2, 0), (4, 500), (5, 0)]);
    assert_eq!((counters.dropped_list, counters.reordered_packets), (2, 1));
}

/// At a high packet rate, jitter that keeps the order is the largest of many values; packets with their own delays keep the
/// distribution, and overtake each other.
#[test]
fn jitter_without_order_keeps_its_distribution_at_any_rate() {
    let plan =
        LinkPlan { delay_us: 5_000.into(), jitter_us: 10_000.into(), unordered: true, ..LinkPlan::default() };
    for gap_us in [10, 1_000, 20_000] {
        let (arrivals, counters) = play(&plan, 9, PACKETS, gap_us);
        let delays: Vec<f64> = arrivals.iter().map(|arrival| arrival.delay_us() as f64 - 5_000.0).collect();
        let mean = delays.iter().sum::<f64>() / PACKETS as f64;
        let deviation = (delays.iter().map(|us| (us - mean).powi(2)).sum::<f64>() / PACKETS as f64).sqrt();
        // Uniform between 0 and 10 ms.
        assert!((mean - 5_000.0).abs() < 60.0 && (deviation - 2_887.0).abs() < 40.0, "{mean} {deviation}");
        let overtaken = numbers(&arrivals).windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
        assert_eq!(overtaken > 0, gap_us < 10_000);
        assert_eq!(counters.reordered_packets > 0, gap_us < 10_000);
    }
}

#[test]
fn a_handover_to_a_shorter_path_reorders_packets_without_order() {
    let delay_us = Timeline::from(80_000).then(1_000_000, 20_000);
    let plan = LinkPlan { delay_us, unordered: true, ..LinkPlan::default() };
    let (arrivals, counters) = play(&plan, 10, 2_000, 1_000);
    assert!(
        arrivals
            .iter()
            .all(|arrival| arrival.delay_us() == if arrival.number < 1_000 { 80_000 } else { 20_000 })
    );
    // Of the packets in flight at the handover, the last 60 ms are overtaken.
    assert!((59..=60).contains(&counters.reordered_packets), "{}", counters.reordered_packets);
}
