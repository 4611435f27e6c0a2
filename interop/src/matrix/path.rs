//! The paths of the matrix, by name.

use lab::path::Conditions;
use sim::plan::{FaultKind, FaultPlan, LinkPlan, LossPlan, QueuePlan, ReorderPlan};

/// Name of the path without a relay.
pub(super) const DIRECT: &str = "direct";

/// Names of the path conditions, and descriptions. Impairments are those of each direction.
pub const PATHS: [(&str, &str); 16] = [
    ("loss-1", "1 % random loss"),
    ("loss-10", "10 % random loss"),
    ("loss-20", "20 % random loss"),
    ("loss-bursts", "5 % loss in bursts of 5 on average"),
    ("loss-up", "10 % random loss towards the server only"),
    ("loss-down", "10 % random loss towards the client only"),
    ("reorder-10", "10 % of the datagrams 15 ms late"),
    ("reorder-40", "40 % of the datagrams 30 ms late"),
    ("duplicates", "10 % of the datagrams twice"),
    ("corrupt-1", "1 % of the datagrams with flipped bits"),
    ("delay-100", "100 ms of delay"),
    ("jitter-30", "up to 30 ms of extra delay"),
    ("mtu-1000", "IP packets of more than 1,000 bytes are dropped"),
    ("slow", "4 Mbit/s with a queue of 64 kB"),
    ("blackout", "no datagram passes for two seconds"),
    ("all", "2 % loss, 5 % reordering, 2 % duplicates, 0.2 % flipped bits, 20 ms of delay"),
];

/// Changes of the client's address, for streams that must survive them.
pub const MOVES: [(&str, &str); 2] = [
    ("new-port", "the client's public port changes after two seconds"),
    ("new-address", "the client's public address changes after two seconds"),
];

/// Description of a path.
pub(super) fn about(name: &str) -> Option<&'static str> {
    let mut known = PATHS.iter().chain(&MOVES);
    known.find(|(known, _)| *known == name).map(|(_, about)| *about)
}

/// Impairments of the path of that name; None for [`DIRECT`] and for unknown names.
pub fn conditions(name: &str, seed: u64) -> Option<Conditions> {
    let both = |plan: LinkPlan| Some([plan.clone(), plan]);
    let base = LinkPlan { delay_us: 2_000.into(), ..LinkPlan::default() };
    let random = |ppm| LinkPlan { loss: LossPlan::Bernoulli { ppm }.into(), ..base.clone() };
    let reorder =
        |ppm, extra_us| LinkPlan { reorder: Some(ReorderPlan { ppm, extra_us }.into()), ..base.clone() };
    let links = match name {
        "loss-1" => both(random(10_000)),
        "loss-10" => both(random(100_000)),
        "loss-20" => both(random(200_000)),
        "loss-bursts" => {
            let loss = LossPlan::Burst { ppm: 50_000, burst_thousandths: 5_000 };
            both(LinkPlan { loss: loss.into(), ..base.clone() })
        }
        "loss-up" => Some([random(100_000), base.clone()]),
        "loss-down" => Some([base.clone(), random(100_000)]),
        "reorder-10" => both(reorder(100_000, 15_000)),
        "reorder-40" => both(reorder(400_000, 30_000)),
        "duplicates" => both(LinkPlan { duplicate_ppm: 100_000.into(), ..base.clone() }),
        "corrupt-1" => both(LinkPlan { corrupt_ppm: 10_000.into(), ..base.clone() }),
        "delay-100" => both(LinkPlan { delay_us: 100_000.into(), ..base.clone() }),
        "jitter-30" => both(LinkPlan { jitter_us: 30_000.into(), ..base.clone() }),
        "mtu-1000" => both(LinkPlan { mtu_bytes: Some(1_000.into()), ..base.clone() }),
        "slow" => {
            let queue =
                QueuePlan { bits_per_s: 4_000_000, bytes_max: 64_000, packets_max: 1_000, codel: None };
            both(LinkPlan { queue: Some(queue.into()), ..base.clone() })
        }
        "all" => both(LinkPlan {
            delay_us: 20_000.into(),
            duplicate_ppm: 20_000.into(),
            corrupt_ppm: 2_000.into(),
            ..LinkPlan { reorder: reorder(50_000, 15_000).reorder, ..random(20_000) }
        }),
        "blackout" | "new-port" | "new-address" => both(base.clone()),
        _ => None,
    }?;
    let fault = |kind, for_us| FaultPlan { at_us: 2_000_000, for_us, kind };
    let faults = match name {
        "blackout" => vec![fault(FaultKind::Blackout(sim::plan::Ways::Both), 2_000_000)],
        "new-port" => vec![fault(FaultKind::NatRebinding, 0)],
        "new-address" => vec![fault(FaultKind::AddressChange, 0)],
        _ => Vec::new(),
    };
    Some(Conditions { links, faults, seed, ..Conditions::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_conditions_of_its_own() {
        let all: Vec<_> = PATHS.iter().chain(&MOVES).map(|(name, _)| conditions(name, 1).unwrap()).collect();
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
        assert!(conditions(DIRECT, 1).is_none() && about("slow").is_some());
    }
}
