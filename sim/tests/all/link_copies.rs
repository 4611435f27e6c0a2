//! Duplicated and corrupted datagrams, measured against their configuration over fixed seeds.

use crate::common::line::{is_near, numbers, play};
use sim::plan::{LinkPlan, QueuePlan, Timeline};

const PACKETS: u64 = 100_000;

#[test]
fn the_configured_share_is_duplicated() {
    for (seed, percent) in [(1, 1), (2, 10), (3, 100)] {
        let plan = LinkPlan { duplicate_ppm: (percent * 10_000).into(), ..LinkPlan::default() };
        let (arrivals, counters) = play(&plan, seed, PACKETS, 10);
        assert!(is_near(counters.duplicated_packets, PACKETS * u64::from(percent) / 100, 8), "{counters:?}");
        assert_eq!(arrivals.len() as u64, PACKETS + counters.duplicated_packets);
        let twice = numbers(&arrivals).windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
        assert_eq!(twice, counters.duplicated_packets);
    }
}

#[test]
fn the_configured_share_is_corrupted_in_one_to_four_bits() {
    for (seed, percent) in [(1, 1), (2, 10), (3, 100)] {
        let plan = LinkPlan { corrupt_ppm: (percent * 10_000).into(), ..LinkPlan::default() };
        let (arrivals, counters) = play(&plan, seed, PACKETS, 10);
        let damaged = arrivals.iter().filter(|arrival| arrival.flipped > 0).count() as u64;
        assert_eq!(damaged, counters.corrupted_packets);
        assert!(is_near(damaged, PACKETS * u64::from(percent) / 100, 8), "{percent} %: {damaged}");
        for bits in 1..=4 {
            let count = arrivals.iter().filter(|arrival| arrival.flipped == bits).count() as u64;
            assert!(is_near(count, damaged / 4, 20), "{bits} bits: {count} of {damaged}");
        }
        assert!(arrivals.iter().all(|arrival| arrival.flipped <= 4));
    }
}

/// Corruption precedes duplication: both copies are corrupted, or neither.
#[test]
fn copies_of_a_damaged_datagram_are_damaged() {
    let plan = LinkPlan { duplicate_ppm: 500_000.into(), corrupt_ppm: 500_000.into(), ..LinkPlan::default() };
    let (arrivals, counters) = play(&plan, 4, 10_000, 10);
    assert!(counters.corrupted_packets > 4_500 && counters.duplicated_packets > 4_500);
    let twins = arrivals.windows(2).filter(|pair| pair[0].number == pair[1].number);
    assert!(twins.clone().all(|pair| pair[0].flipped == pair[1].flipped));
    assert!(twins.filter(|pair| pair[0].flipped > 0).count() > 2_000);
}

#[test]
fn both_follow_their_schedules() {
    let on_for_a_while = Timeline::from(0).then(1_000, 1_000_000).then(2_000, 0);
    let plan = LinkPlan {
        duplicate_ppm: on_for_a_while.clone(),
        corrupt_ppm: on_for_a_while,
        ..LinkPlan::default()
    };
    let (arrivals, counters) = play(&plan, 5, 300, 10);
    assert_eq!((counters.duplicated_packets, counters.corrupted_packets), (100, 100));
    assert!(arrivals.iter().all(|arrival| (arrival.flipped > 0) == (100..200).contains(&arrival.number)));
}

/// Copies made before the queue are sent one by one; those made behind the link arrive at once, and cost nothing.
#[test]
fn copies_before_the_queue_take_bandwidth() {
    let queue = QueuePlan { bits_per_s: 8_000_000, bytes_max: u64::MAX, packets_max: 4_000, codel: None };
    let last = |duplicate_before_queue: bool| {
        let plan = LinkPlan {
            queue: Some(queue.into()),
            duplicate_ppm: 1_000_000.into(),
            duplicate_before_queue,
            ..LinkPlan::default()
        };
        let (arrivals, counters) = play(&plan, 6, 1_000, 10);
        assert_eq!((arrivals.len(), counters.duplicated_packets), (2_000, 1_000));
        arrivals.last().unwrap().at_us
    };
    // A packet takes a millisecond.
    assert_eq!((last(false), last(true)), (1_000_000, 2_000_000));
    let full = LinkPlan {
        queue: Some(QueuePlan { packets_max: 1, ..queue }.into()),
        duplicate_ppm: 1_000_000.into(),
        duplicate_before_queue: true,
        ..LinkPlan::default()
    };
    let (arrivals, counters) = play(&full, 7, 1_000, 10);
    assert_eq!(arrivals.len() as u64 + counters.dropped_queue, 2_000);
}
