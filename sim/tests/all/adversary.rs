//! The adversary: what each attack injects, in whole runs, and that without one nothing changes.

use serde_json::{Value, json};
use sim::link::Adversary;
use sim::outcome::AdversaryCounters;
use sim::plan::AdversaryPlan;
use sim::rng::Seed;
use sim::{Outcome, Scenario, play};

/// A short exchange in both directions over a clean path of 20 ms, with the attacks.
fn scenario(attacks: &Value) -> Scenario {
    let tree = json!({
        "name": "attacked", "description": "Attacked.", "seed": 1, "duration_ms": 2000,
        "links": { "up": { "delay_ms": 20 }, "down": { "delay_ms": 20 } },
        "client": { "mode": "fast", "crypt": "aes-128" }, "server": { "mode": "fast", "crypt": "aes-128" },
        "adversary": attacks,
        "workloads": [
            { "bulk": { "name": "upload", "direction": "up", "bytes": 50_000 } },
            { "bulk": { "name": "download", "direction": "down", "bytes": 50_000 } }
        ]
    });
    Scenario::of_json("attacked.json", tree).unwrap()
}

#[track_caller]
fn attacked(attacks: &Value) -> Outcome {
    let outcome = play(&scenario(attacks), 1);
    assert!(outcome.ok, "{:?}", outcome.violations);
    outcome
}

fn counters(outcome: &Outcome) -> AdversaryCounters {
    outcome.adversary
}

#[test]
fn an_adversary_that_does_nothing_does_not_exist() {
    assert!(Adversary::new(&AdversaryPlan::default(), Seed(1)).is_none());
    let outcome = attacked(&json!([]));
    assert!(outcome.adversary.is_idle());
    assert!(!serde_json::to_string(&outcome).unwrap().contains("adversary"));
}

#[test]
fn observing_changes_nothing() {
    let plain = attacked(&json!([]));
    let observed = attacked(&json!([{ "replay": { "pct": 0 } }]));
    assert_eq!(observed.trace_hash, plain.trace_hash);
    let sent = plain.links.up.sent_packets + plain.links.down.sent_packets;
    assert_eq!(counters(&observed).observed_packets, sent);
}

#[test]
fn copies_arrive_as_often_and_as_late_as_planned() {
    let attack =
        json!([{ "replay": { "direction": "up", "first_packets": 3, "copies": 5, "every_ms": 10 } }]);
    let outcome = attacked(&attack);
    assert_eq!(counters(&outcome).replayed_packets, 15);
    assert_eq!((outcome.links.up.injected_packets, outcome.links.down.injected_packets), (15, 0));
    assert_eq!(counters(&outcome).foreign_bytes, 0);
}

#[test]
fn datagrams_are_chosen_by_share_and_time_and_place_in_a_cycle() {
    let of = |keys: Value| counters(&attacked(&json!([{ "replay": keys }])));
    let all = of(json!({}));
    assert_eq!(all.replayed_packets, all.observed_packets);
    let half = of(json!({ "pct": 50 }));
    assert!((35..65).contains(&(half.replayed_packets * 100 / half.observed_packets)), "{half:?}");
    assert_eq!(of(json!({ "from_ms": 1999 })).replayed_packets, 0);
    let parity = of(json!({ "cycle_packets": 13, "cycle_from": 10 }));
    assert!((15..30).contains(&(parity.replayed_packets * 100 / parity.observed_packets)), "{parity:?}");
}

#[test]
fn originals_are_held_back() {
    let attack = json!([{ "delay": { "direction": "down", "pct": 20, "hold_ms": 30 } }]);
    let outcome = attacked(&attack);
    assert!(outcome.adversary.delayed_packets > 3);
    assert_eq!(outcome.links.down.reordered_packets, outcome.adversary.delayed_packets);
    assert_eq!(outcome.links.down.injected_packets, 0);
}

#[test]
fn damaged_copies_and_random_bytes_are_refused() {
    let outcome =
        attacked(&json!([{ "tamper": { "pct": 30 } }, { "garbage": { "pct": 30, "source": "many" } }]));
    let AdversaryCounters { tampered_packets, garbage_packets, .. } = outcome.adversary;
    assert!(tampered_packets > 10 && garbage_packets > 10);
    let refused = outcome.client.refused_datagrams + outcome.server.refused_datagrams;
    // The client's socket drops what is not from its server.
    assert!(refused >= tampered_packets && refused <= tampered_packets + garbage_packets, "{refused}");
}

#[test]
fn datagrams_go_back_to_their_sender() {
    let outcome = play(&scenario(&json!([{ "reflect": { "direction": "up", "first_packets": 5 } }])), 1);
    assert_eq!(outcome.adversary.reflected_packets, 5);
    assert_eq!((outcome.links.up.injected_packets, outcome.links.down.injected_packets), (0, 5));
}

#[test]
fn first_datagrams_from_many_addresses_are_answered_there() {
    let attack =
        json!([{ "replay": { "direction": "up", "first_packets": 1, "copies": 20, "source": "many" } }]);
    let outcome = play(&scenario(&attack), 1);
    assert_eq!(outcome.adversary.replayed_packets, 20);
    assert!(outcome.adversary.foreign_bytes > 20 * 28);
    assert!(outcome.adversary.diverted_packets > 0);
}

/// The adversary's address is the only path from the server to the client while it has the session.
#[test]
fn what_the_server_sends_to_the_adversary_is_relayed() {
    let attack = json!([
        { "replay": { "direction": "up", "first_packets": 1, "source": "own" } }, { "relay": {} }
    ]);
    let outcome = play(&scenario(&attack), 1);
    assert_eq!(outcome.adversary.relayed_packets, outcome.adversary.diverted_packets);
    assert!(outcome.adversary.relayed_packets > 0);
}

#[test]
fn earlier_sessions_are_replayed_place_by_place() {
    let mut tree = json!({
        "name": "attacked", "description": "Attacked.", "seed": 1, "duration_ms": 3000,
        "links": { "up": { "delay_ms": 20 }, "down": { "delay_ms": 20 } },
        "client": { "crypt": "none" }, "server": { "crypt": "none" },
        "adversary": [{ "replay_earlier": { "direction": "up", "source": "own", "ahead_packets": 2 } }],
        "workloads": [{ "echo": { "name": "echo", "message_bytes": 100, "interval_ms": 50 } }]
    });
    let alone = play(&Scenario::of_json("attacked.json", tree.clone()).unwrap(), 1);
    assert_eq!(alone.adversary.replayed_earlier_packets, 0);
    tree["faults"] = json!([{ "client_restart": { "at_ms": 1500, "down_ms": 10 } }]);
    let outcome = play(&Scenario::of_json("attacked.json", tree).unwrap(), 1);
    let replayed = outcome.adversary.replayed_earlier_packets;
    assert!(replayed > 10 && replayed < outcome.adversary.observed_packets / 2, "{replayed}");
}

#[test]
fn an_attack_that_makes_no_sense_is_refused() {
    let refused = |attack: Value, crypt: &str| {
        let mut tree = json!({
            "name": "attacked", "description": "Attacked.", "seed": 1, "duration_ms": 2000,
            "links": { "up": {}, "down": {} }, "client": { "crypt": crypt }, "server": { "crypt": crypt },
            "adversary": [attack],
            "workloads": [{ "bulk": { "name": "upload", "direction": "up", "bytes": 50_000 } }]
        });
        let error = Scenario::of_json("attacked.json", tree.clone()).map(|_| ()).unwrap_err();
        tree["adversary"] = json!([]);
        assert!(Scenario::of_json("attacked.json", tree).is_ok());
        format!("{}: {}", error.path, error.reason)
    };
    let cases = [
        (json!({ "delay": {} }), "adversary[0].delay.hold_ms: must be above 0"),
        (
            json!({ "replay": { "ahead_packets": 1 } }),
            "adversary[0].replay.ahead_packets: is for replay_earlier",
        ),
        (json!({ "replay": { "copies": 0 } }), "adversary[0].replay.copies: must be between 1 and 10000"),
        (json!({ "replay": { "cycle_from": 0 } }), "adversary[0].replay.cycle_from: needs cycle_packets"),
        (
            json!({ "replay": { "cycle_packets": 3, "cycle_from": 3 } }),
            "adversary[0].replay.cycle_from: must be below",
        ),
        (json!({ "replay": { "from_ms": 2000 } }), "adversary[0].replay.from_ms: must be before"),
        (json!({ "decrypt": {} }), "adversary[0]"),
    ];
    for (attack, reason) in cases {
        let got = refused(attack, "aes");
        assert!(got.starts_with(reason), "{got}");
    }
    for act in ["reflect", "tamper", "garbage"] {
        let got = refused(json!({ act: {} }), "null");
        assert!(got.starts_with(&format!("adversary[0].{act}: needs a cipher")), "{got}");
    }
}
