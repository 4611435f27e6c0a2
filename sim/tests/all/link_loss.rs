//! Loss before and after the queue, measured against its configuration over fixed seeds.

use crate::common::line::{arrived, is_near, numbers, play};
use sim::plan::{LinkPlan, LossPlan, QueuePlan, Timeline};

const PACKETS: u64 = 200_000;

/// Lengths of runs of lost packets.
fn lost_runs(plan: &LinkPlan, seed: u64) -> Vec<u64> {
    let (arrivals, counters) = play(plan, seed, PACKETS, 10);
    assert_eq!(arrivals.len() as u64 + counters.dropped_loss, PACKETS);
    numbers(&arrivals).windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|&run| run > 0).collect()
}

fn lossy(loss: LossPlan) -> LinkPlan {
    LinkPlan { loss: loss.into(), ..LinkPlan::default() }
}

#[test]
fn bernoulli_loses_its_share_in_the_runs_of_chance() {
    for (seed, percent) in [(1, 1), (2, 5), (3, 20), (4, 50)] {
        let runs = lost_runs(&lossy(LossPlan::Bernoulli { ppm: percent * 10_000 }), seed);
        let lost: u64 = runs.iter().sum();
        assert!(is_near(lost, PACKETS * u64::from(percent) / 100, 5), "{percent} %: {lost}");
        // Independent losses have a mean run of 1 / (1 - loss).
        let mean_thousandths = lost * 1_000 / runs.len() as u64;
        assert!(is_near(mean_thousandths, 100_000 / (100 - u64::from(percent)), 3), "{mean_thousandths}");
    }
}

#[test]
fn bursts_have_their_share_their_mean_and_their_distribution() {
    for (seed, percent, burst) in [(1, 1, 2), (2, 2, 3), (3, 5, 10), (4, 20, 5)] {
        let plan = LossPlan::Burst { ppm: percent * 10_000, burst_thousandths: burst * 1_000 };
        let runs = lost_runs(&lossy(plan), seed);
        let lost: u64 = runs.iter().sum();
        assert!(is_near(lost, PACKETS * u64::from(percent) / 100, 10), "{percent} %: {lost}");
        let mean_thousandths = lost * 1_000 / runs.len() as u64;
        assert!(is_near(mean_thousandths, burst * 1_000, 5), "{burst}: {mean_thousandths}");
        // Runs are geometric: one in `burst` ends after its first packet.
        let single = runs.iter().filter(|&&run| run == 1).count() as u64;
        assert!(is_near(single, runs.len() as u64 / burst, 25), "{single} of {}", runs.len());
    }
}

#[test]
fn loss_follows_its_schedule() {
    let loss = Timeline::from(LossPlan::None)
        .then(500_000, LossPlan::Bernoulli { ppm: 300_000 })
        .then(1_000_000, LossPlan::Burst { ppm: 100_000, burst_thousandths: 4_000 })
        .then(1_500_000, LossPlan::None);
    let (arrivals, _) = play(&LinkPlan { loss, ..LinkPlan::default() }, 5, PACKETS, 10);
    let share = |from, to| arrived(&arrivals, from..to);
    assert_eq!((share(0, 50_000), share(150_000, 200_000)), (50_000, 50_000));
    assert!(is_near(share(50_000, 100_000), 35_000, 2), "{}", share(50_000, 100_000));
    assert!(is_near(share(100_000, 150_000), 45_000, 2), "{}", share(100_000, 150_000));
}

#[test]
fn the_drop_list_drops_those_and_no_others() {
    let plan = LinkPlan { drop_packets: vec![1, 2, 77, 100], ..LinkPlan::default() };
    let (arrivals, counters) = play(&plan, 6, 100, 10);
    let missing: Vec<u64> = (0..100).filter(|number| !numbers(&arrivals).contains(number)).collect();
    assert_eq!(missing, [0, 1, 76, 99]);
    assert_eq!((counters.dropped_list, counters.dropped()), (4, 4));
}

#[test]
fn a_blackout_drops_packets_sent_during_it_and_not_those_in_flight() {
    let blackout =
        Timeline::from(false).then(1_000, true).then(2_000, false).then(5_000, true).then(5_500, false);
    let plan = LinkPlan { blackout, delay_us: 700.into(), ..LinkPlan::default() };
    let (arrivals, counters) = play(&plan, 7, 1_000, 10);
    let expected: Vec<u64> =
        (0..1_000).filter(|number| !(100..200).contains(number) && !(500..550).contains(number)).collect();
    assert_eq!(numbers(&arrivals), expected);
    assert_eq!(counters.dropped_blackout, 150);
}

/// A lost packet costs the link nothing when loss comes before the queue, and its transmission time when it comes after it.
#[test]
fn loss_behind_the_transmitter_costs_bandwidth() {
    let queue = QueuePlan { bits_per_s: 8_000_000, bytes_max: u64::MAX, packets_max: 20, codel: None };
    let loss = LossPlan::Bernoulli { ppm: 200_000 };
    let delivered = |loss_after_queue: bool| {
        let plan = LinkPlan { queue: Some(queue.into()), loss_after_queue, ..lossy(loss) };
        // 1000 packets per second fit; twice as many are sent.
        let (arrivals, counters) = play(&plan, 8, 40_000, 500);
        assert_eq!(arrivals.len() as u64 + counters.dropped(), 40_000);
        let lost = if loss_after_queue { arrivals.len() as u64 + counters.dropped_loss } else { 40_000 };
        assert!(is_near(counters.dropped_loss, lost / 5, 3), "{counters:?}");
        arrivals.len() as u64
    };
    assert!(is_near(delivered(false), 20_000, 1), "the whole rate");
    assert!(is_near(delivered(true), 16_000, 2), "four fifths of it");
}
