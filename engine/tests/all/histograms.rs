//! Distributions of round trips and queueing delays (CLI-93).
use crate::pair::{Pair, both};
use std::time::Duration;

/// Samples of a range of microseconds, both ends included.
fn between(histogram: &engine::observe::Histogram, low_us: u64, high_us: u64) -> u64 {
    let up_to = |us| histogram.cumulative().find(|(bound, _)| *bound == us).unwrap().1;
    up_to(high_us) - if low_us == 0 { 0 } else { up_to(low_us) }
}

// CLI-93: 10 ms each way, and at most one flush interval of 30 ms until the acknowledgement leaves.
#[test]
fn samples_of_a_transfer_lie_where_the_path_puts_them() {
    let mut pair = Pair::new(both(|settings| settings.nocomp = true));
    let data = vec![7; 200_000];
    assert!(pair.upload(&data, Duration::from_secs(20)) == data);
    let stats = pair.client.stats();
    let trips = stats.round_trips;
    assert!(trips.count() >= 3 && between(&trips, 10_000, 100_000) == trips.count(), "{trips:?}");
    let mean_us = trips.sum_us() / trips.count();
    assert!((20_000..60_000).contains(&mean_us), "{mean_us}");
    // The whole transfer is written at once, so bytes wait for the window.
    assert!(stats.queue_delays.count() > 0, "{:?}", stats.queue_delays);
    let mut sum = stats;
    sum += pair.accepted().stats();
    assert!(sum.round_trips.count() > trips.count());
}
