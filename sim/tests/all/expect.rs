//! Expectations: each measure, met and missed by one.

use crate::common::{rough, scenario};
use serde_json::{Value, json};
use sim::plan::{Expectation, Limit, Measure, Quantile};
use sim::{Outcome, play};

fn outcome(expect: Value) -> Outcome {
    let mut file = rough();
    file["expect"] = expect;
    play(&scenario(&file), 1)
}

#[test]
fn every_key_is_judged() {
    let outcome = outcome(json!({
        "goodput_kbit": { "download": { "min": 1, "max": 2 } },
        "latency_ms": { "echo": { "p50": 9999, "p90": 9999, "p99": 9999, "p999": 9999, "max": 1 } },
        "amplification": { "up": 99, "down": "0.1" },
        "drained_ms": 30000
    }));
    let verdicts: Vec<_> = outcome.expectations.iter().map(|one| (one.quantity.as_str(), one.ok)).collect();
    let expected = [
        ("goodput of download", true),
        ("goodput of download", false),
        ("p50 of echo", true),
        ("p90 of echo", true),
        ("p99 of echo", true),
        ("p99.9 of echo", true),
        ("longest of echo", false),
        ("bytes up per useful byte", true),
        ("bytes down per useful byte", false),
        ("time to drain", true),
    ];
    assert_eq!(verdicts, expected);
    assert!(outcome.ok && !outcome.passed());
}

#[test]
fn every_limit_is_exact() {
    let outcome = outcome(json!({}));
    assert!(outcome.passed() && outcome.stopped_us > 0 && outcome.stopped_us <= outcome.sim_us);
    let measures = [
        Measure::GoodputKbit("download".into()),
        Measure::LatencyUs("echo".into(), Quantile::P99),
        Measure::AmplificationUp,
        Measure::AmplificationDown,
        Measure::DrainUs,
    ];
    for measure in measures {
        let figure = measure.of(&outcome).unwrap();
        let met = |limit| Expectation { measure: measure.clone(), limit }.judge(&outcome).1;
        assert!(met(Limit::AtMost(figure)) && met(Limit::AtLeast(figure)), "{measure:?}");
        assert!(!met(Limit::AtMost(figure - 1)) && !met(Limit::AtLeast(figure + 1)), "{measure:?}");
    }
}

#[test]
fn recovery_is_the_longest_of_all_faults() {
    let mut file = rough();
    let judged = |file: &Value| play(&scenario(file), 1).expectations.remove(0);
    file["expect"] = json!({ "recovery_ms": 5000 });
    assert_eq!(judged(&file).measured, None, "there is no fault");
    file["faults"] = json!([{ "blackout": { "at_ms": 100, "for_ms": 200 } }]);
    let met = judged(&file);
    assert!(met.ok && met.measured.is_some_and(|us| us > 15_000), "{met:?}");
    file["expect"] = json!({ "recovery_ms": 1 });
    assert!(!judged(&file).ok);
}

#[test]
fn figures_that_were_not_measured_meet_no_expectation() {
    let outcome = outcome(json!({ "goodput_kbit": { "echo": { "max": 1 } } }));
    assert_eq!((outcome.expectations[0].measured, outcome.expectations[0].ok), (None, false));
}
