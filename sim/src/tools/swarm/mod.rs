//! The swarm: from a seed, any scenario: some faults, workloads and settings out of all there are, chosen by [`Weights`].
//!
//! Every seed leaves most things out, so that what is left has the run to itself: a test in which everything is wrong at
//! once hides what one thing alone breaks. Runs are short and small, so that thousands of them take a minute. Until
//! `duration_ms` everything may be wrong; then faults and links are healed and everything must arrive.

mod adversary;
mod dice;
mod faults;
mod hosts;
mod links;
mod settings;
mod verdict;
mod weights;
mod work;

pub use verdict::{Failure, Verdict};
pub use weights::{Weights, WeightsError};

use dice::Dice;
use serde_json::{Map, Value, json};

/// Facts that the parts of a scenario share.
struct Frame {
    duration_ms: u64,
    /// Workloads that move bytes as long as they can: the line must be slow.
    endless: bool,
    /// Damaged datagrams are noticed.
    checksum: bool,
}

/// The scenario of a seed, as JSON. The seed is also the one it is to be played with.
pub fn scenario(weights: &Weights, seed: u64) -> Value {
    let dice = |part: &str| Dice::new(seed, part);
    let kinds = work::kinds(&mut dice("workloads"), weights);
    let crypt = dice("crypt").weighted(&weights.crypt.entries());
    let frame = Frame {
        duration_ms: dice("duration").spread(500, 30_000),
        endless: kinds.contains(&"stalled_reader"),
        checksum: crypt != "null",
    };
    let [up, down] = links::links(&mut dice("links"), &weights.links, &frame);
    let round_trip_ms = work::delay_ms(&up) + work::delay_ms(&down);
    let faults = faults::faults(&mut dice("faults"), &weights.faults, &frame, round_trip_ms);
    let nat = hosts::nat(&mut dice("nat"), &weights.hosts);
    let forgets = nat.get("timeout_ms").is_some() || faults::forget(&faults);
    let [mut client, mut server] =
        settings::sides(&mut dice("settings"), weights, crypt, (!forgets, frame.endless));
    let sides = [&mut client, &mut server];
    settings::multiplexer(&mut dice("mux"), &weights.settings, sides, frame.endless);
    settings::fit(&mut client, &up);
    settings::fit(&mut server, &down);
    let pace = work::Pace::new([&client, &server], [&up, &down]);
    let mut tree = json!({
        "name": format!("swarm-{seed}"),
        "description": format!("What karst-sim swarm makes of seed {seed}."),
        "seed": seed,
        "duration_ms": frame.duration_ms,
        "links": { "up": up, "down": down },
        "client": client,
        "server": server,
        "workloads": work::workloads(&mut dice("work"), &kinds, &frame, &pace),
    });
    let more = [
        ("hosts", hosts::hosts(&mut dice("hosts"), &weights.hosts, &frame)),
        ("nat", nat),
        ("faults", faults),
        ("adversary", adversary::attacks(&mut dice("adversary"), &weights.adversary, &frame)),
        ("wrap_after", settings::wrap_after(&mut dice("wrap"), &weights.settings)),
    ];
    for (key, value) in more {
        let empty =
            value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            tree[key] = value;
        }
    }
    tree
}

/// A percentage as scenario files write it, of parts per ten thousand.
fn percent(hundredths: u64) -> Value {
    json!(format!("{}.{:02}", hundredths / 100, hundredths % 100))
}
