//! Rate, queue and CoDel, measured against their configuration.

use crate::common::line::{Arrival, arrived, is_near, play};
use sim::plan::{CodelPlan, LinkPlan, QueuePlan, Timeline};

const QUEUE: QueuePlan =
    QueuePlan { bits_per_s: 8_000_000, bytes_max: u64::MAX, packets_max: u64::MAX, codel: None };

fn line(queue: impl Into<Timeline<QueuePlan>>) -> LinkPlan {
    LinkPlan { queue: Some(queue.into()), ..LinkPlan::default() }
}

/// Packets delivered in each second.
fn per_second(arrivals: &[Arrival], seconds: u64) -> Vec<u64> {
    let in_second = |s| arrivals.iter().filter(|arrival| arrival.at_us / 1_000_000 == s).count() as u64;
    (0..seconds).map(in_second).collect()
}

#[test]
fn the_rate_follows_its_schedule() {
    let faster = QueuePlan { bits_per_s: 16_000_000, ..QUEUE };
    let slower = QueuePlan { bits_per_s: 800_000, ..QUEUE };
    let plan =
        line(Timeline::from(QUEUE).then(1_000_000, faster).then(2_000_000, slower).then(3_000_000, QUEUE));
    let (arrivals, counters) = play(&plan, 1, 10_000, 400);
    let seconds = per_second(&arrivals, 4);
    assert!(
        seconds.iter().zip([1_000, 2_000, 100, 1_000]).all(|(&got, asked)| got.abs_diff(asked) <= 2),
        "{seconds:?}"
    );
    assert_eq!(counters.dropped(), 0);
}

#[test]
fn the_room_follows_its_schedule() {
    let small = QueuePlan { packets_max: 10, ..QUEUE };
    let large = QueuePlan { bytes_max: 50_000, ..QUEUE };
    let plan = line(Timeline::from(small).then(1_000_000, large));
    // Twice the rate: the queue is always full.
    let (arrivals, counters) = play(&plan, 2, 4_000, 500);
    let delays = |range: std::ops::Range<u64>| {
        let within = arrivals.iter().filter(|arrival| range.contains(&arrival.sent_us));
        within.map(Arrival::delay_us).collect::<Vec<_>>()
    };
    assert!(delays(100_000..1_000_000).iter().all(|us| (10_000..=11_500).contains(us)));
    assert!(delays(1_200_000..2_000_000).iter().all(|us| (50_000..=51_500).contains(us)));
    assert_eq!(counters.queue_peak_bytes, 50_000);
    assert_eq!(counters.dropped_queue + arrivals.len() as u64, 4_000);
}

/// A tenth more than the rate for a minute: a long queue fills and remains full, CoDel keeps the delay near its target.
#[test]
fn codel_keeps_the_delay_low_where_tail_drop_does_not() {
    let long = QueuePlan { bytes_max: 1_000_000, ..QUEUE };
    let codel = QueuePlan { codel: Some(CodelPlan { target_us: 5_000, interval_us: 100_000 }), ..long };
    let median_ms = |queue: QueuePlan| {
        let (arrivals, counters) = play(&line(queue), 3, 66_000, 909);
        let later = arrivals.iter().filter(|arrival| arrival.sent_us > 30_000_000);
        let mut delays: Vec<u64> = later.map(Arrival::delay_us).collect();
        delays.sort_unstable();
        // Either way the transmitter is never idle.
        assert!(is_near(arrivals.len() as u64, 60_000, 2), "{}", arrivals.len());
        (delays[delays.len() / 2] / 1_000, counters)
    };
    let (tail_drop_ms, tail_drop) = median_ms(long);
    let (codel_ms, dropped) = median_ms(codel);
    assert!((990..=1_001).contains(&tail_drop_ms), "{tail_drop_ms}");
    assert!(codel_ms < 30, "{codel_ms}");
    assert_eq!((tail_drop.dropped_codel, dropped.dropped_queue), (0, 0));
    assert!(is_near(dropped.dropped_codel, 6_000, 10), "{}", dropped.dropped_codel);
}

/// A burst now and then is not a standing queue.
#[test]
fn codel_does_not_drop_bursts() {
    let codel = Some(CodelPlan { target_us: 5_000, interval_us: 100_000 });
    let slow = QueuePlan { bits_per_s: 1_000_000, codel, ..QUEUE };
    let fast = QueuePlan { bits_per_s: 80_000_000, ..slow };
    // Repeated: 50 ms at an eighth of the load, then time to drain.
    let mut rate = Timeline::from(fast);
    for period in 1..50 {
        rate = rate.then(period * 500_000, slow).then(period * 500_000 + 50_000, fast);
    }
    let (arrivals, counters) = play(&line(rate), 4, 25_000, 1_000);
    assert!(arrivals.iter().any(|arrival| arrival.delay_us() > 20_000));
    assert_eq!((arrived(&arrivals, 0..25_000), counters.dropped_codel), (25_000, 0));
}

/// Rate 0 is an outage that keeps the queue: what fits in it is delivered afterwards, in order and at the new rate.
#[test]
fn an_outage_of_the_transmitter_keeps_the_queue() {
    let outage = QueuePlan { bits_per_s: 0, packets_max: 50, ..QUEUE };
    let back = QueuePlan { packets_max: 50, ..QUEUE };
    let plan = line(Timeline::from(QUEUE).then(100_000, outage).then(300_000, back));
    // A packet takes a millisecond; one comes every two.
    let (arrivals, counters) = play(&plan, 3, 200, 2_000);
    let before = arrivals.iter().filter(|arrival| arrival.at_us <= 101_000).count();
    assert!(
        before >= 50 && arrivals.iter().all(|arrival| arrival.at_us <= 101_000 || arrival.at_us >= 301_000)
    );
    let burst: Vec<u64> = arrivals[before..before + 51].iter().map(|arrival| arrival.at_us).collect();
    assert!(burst.iter().enumerate().all(|(n, at)| *at == 301_000 + 1_000 * n as u64), "{burst:?}");
    assert_eq!(counters.dropped(), counters.dropped_queue);
    assert!((48..=50).contains(&counters.dropped_queue), "{}", counters.dropped_queue);
}
