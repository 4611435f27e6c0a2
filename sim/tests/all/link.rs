//! A complete link: delivery, delay, order and copies as planned, and every loss is counted.

use crate::common::line::{DATAGRAM_BYTES, numbers, play};
use engine::Instant;
use sim::Direction;
use sim::link::Link;
use sim::net::{Event, Net};
use sim::plan::{HEADERS_BYTES, LinkPlan, LossPlan, QueuePlan, ReorderPlan};
use sim::rng::Seed;

const PACKETS: u64 = 20_000;

#[test]
fn a_perfect_link_delivers_at_once() {
    let (arrivals, counters) = play(&LinkPlan::default(), 1, PACKETS, 10);
    assert!(arrivals.iter().all(|arrival| arrival.delay_us() == 0));
    assert_eq!(counters.delivered_packets, PACKETS);
    assert_eq!(counters.delivered_bytes, PACKETS * u64::from(DATAGRAM_BYTES as u32 + HEADERS_BYTES));
}

#[test]
fn delay_and_jitter_keep_the_order() {
    let plan = LinkPlan { delay_us: 20_000.into(), jitter_us: 3_000.into(), ..LinkPlan::default() };
    let (arrivals, _) = play(&plan, 2, PACKETS, 100);
    assert!(numbers(&arrivals).is_sorted());
    assert!(arrivals.iter().all(|arrival| (20_000..=23_000).contains(&arrival.delay_us())));
    assert!(arrivals.iter().any(|arrival| arrival.delay_us() > 22_900));
}

#[test]
fn the_rate_is_kept_and_packets_beyond_the_queue_are_dropped() {
    // 1000 bytes on the wire every 0.5 ms are 16 Mbit/s into 8 Mbit/s.
    let queue = QueuePlan { bits_per_s: 8_000_000, bytes_max: 10_000, packets_max: u64::MAX, codel: None };
    let (arrivals, counters) =
        play(&LinkPlan { queue: Some(queue.into()), ..LinkPlan::default() }, 3, PACKETS, 500);
    assert!(arrivals.windows(2).all(|pair| pair[1].at_us - pair[0].at_us == 1_000));
    assert!(numbers(&arrivals).is_sorted());
    let dropped = counters.dropped_queue;
    assert!((9_980..=10_000).contains(&dropped), "{dropped}");
    assert_eq!(counters.queue_peak_bytes, 10_000);
}

#[test]
fn reordering_lets_later_packets_overtake() {
    let reorder = ReorderPlan { ppm: 10_000, extra_us: 250 };
    let plan = LinkPlan { reorder: Some(reorder.into()), delay_us: 1_000.into(), ..LinkPlan::default() };
    let (arrivals, counters) = play(&plan, 4, PACKETS, 100);
    let overtaken = numbers(&arrivals).windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
    assert!((150..=250).contains(&counters.reordered_packets), "{}", counters.reordered_packets);
    assert!(overtaken * 10 > counters.reordered_packets * 9, "{overtaken}");
    assert_eq!(arrivals.len(), PACKETS as usize);
}

#[test]
fn combined_impairments_are_counted() {
    let plan = LinkPlan {
        mtu_bytes: Some(1_000.into()),
        loss: LossPlan::Burst { ppm: 50_000, burst_thousandths: 2_000 }.into(),
        queue: Some(
            QueuePlan { bits_per_s: 80_000_000, bytes_max: 20_000, packets_max: 15, codel: None }.into(),
        ),
        delay_us: 5_000.into(),
        jitter_us: 1_000.into(),
        reorder: Some(ReorderPlan { ppm: 5_000, extra_us: 2_000 }.into()),
        duplicate_ppm: 10_000.into(),
        ..LinkPlan::default()
    };
    let (arrivals, counters) = play(&plan, 5, PACKETS, 95);
    assert_eq!(counters.delivered_packets, arrivals.len() as u64);
    assert_eq!(counters.in_flight(), Some(0));
    assert!((800..=1_200).contains(&counters.dropped_loss), "{}", counters.dropped_loss);
    assert!((150..=250).contains(&counters.duplicated_packets), "{}", counters.duplicated_packets);
    let small = LinkPlan { mtu_bytes: Some(999.into()), ..plan };
    assert_eq!(play(&small, 5, PACKETS, 95).1.dropped_mtu, PACKETS);
}

/// Switching one impairment off must not change the random numbers of the others.
#[test]
fn elements_have_independent_random_streams() {
    let loss = LossPlan::Bernoulli { ppm: 100_000 };
    let with = |loss: LossPlan, duplicate_ppm: u32| LinkPlan {
        loss: loss.into(),
        duplicate_ppm: duplicate_ppm.into(),
        ..LinkPlan::default()
    };
    let (alone, _) = play(&with(loss, 0), 6, PACKETS, 10);
    let (both, _) = play(&with(loss, 50_000), 6, PACKETS, 10);
    let mut both = numbers(&both);
    both.dedup();
    assert_eq!(both, numbers(&alone));
    assert_ne!(numbers(&play(&with(loss, 0), 7, PACKETS, 10).0), numbers(&alone));
}

/// The setters for faults: each acts until it is taken back, and only on packets sent in between.
#[test]
fn faults_start_and_end() {
    let mut net = Net::default();
    let mut link = Link::new(Direction::Up, &LinkPlan::default(), Seed(8));
    let mut send_100 = |link: &mut Link| {
        let before = *link.counters();
        for _ in 0..100 {
            let packet = net.packets.insert(&[7; 100]);
            link.send(&mut net, Instant::ZERO, packet);
        }
        let mut damaged = 0;
        while let Some((_, Event::Deliver(_, id))) = net.schedule.pop() {
            damaged += u64::from(net.packets.packet(id).damaged);
            assert_eq!(net.packets.packet(id).damaged, net.packets.packet(id).bytes != [7; 100]);
            link.delivered(100);
            net.packets.release(id);
        }
        assert_eq!((net.packets.live(), link.counters().in_flight()), (0, Some(0)));
        (link.counters().delivered_packets - before.delivered_packets, damaged)
    };
    assert_eq!(send_100(&mut link), (100, 0));
    link.set_blackout(true);
    assert_eq!(send_100(&mut link), (0, 0));
    link.set_blackout(false);
    link.set_duplicate_storm(1_000_000);
    assert_eq!(send_100(&mut link), (200, 0));
    link.set_duplicate_storm(0);
    link.set_corruption(1_000_000);
    assert_eq!(send_100(&mut link), (100, 100));
    link.set_corruption(0);
    assert_eq!(send_100(&mut link), (100, 0));
    let counters = link.counters();
    assert_eq!(
        (counters.dropped_blackout, counters.duplicated_packets, counters.corrupted_packets),
        (100, 100, 100)
    );
}
