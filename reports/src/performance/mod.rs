//! Pages of measured performance: goals, figures and charts of the results of `karst-report bench` and `karst-report lines`.
//!
//! Medians, ratios and verdicts are always computed from the trials of the file.

mod charts;
mod figures;
mod goals;
mod html;
pub(crate) mod lossy;
mod markdown;
mod tables;

pub(crate) use figures::figures;
pub(crate) use goals::{number, verdicts};
pub(crate) use html::page as html;
pub(crate) use markdown::page as markdown;
pub(crate) use tables::{aligned, figure_rows, goal_rows, summary};

#[cfg(test)]
mod tests {
    use lab::results::{Case, ContestantRuns, FORMAT, Machine, Measurements, PeerFacts, Trial};
    use std::collections::BTreeMap;

    /// One case with one metric of two contestants.
    pub(super) fn bench(case: &str, metric: &str, karst: &[f64], go: &[f64]) -> Measurements {
        let contestant = |name: &str, values: &[f64]| {
            let trial = |value: &f64| {
                let metrics = BTreeMap::from([(metric.to_owned(), *value)]);
                Trial { metrics, ..Trial::default() }
            };
            ContestantRuns {
                name: name.into(),
                commands: Vec::new(),
                trials: values.iter().map(trial).collect(),
            }
        };
        let contestants = vec![contestant("karst", karst), contestant("go", go)];
        let peer = |name: &str| PeerFacts {
            name: name.into(),
            client: String::new(),
            server: String::new(),
            version: String::new(),
        };
        Measurements {
            format: FORMAT.into(),
            machine: Machine {
                cpu: "CPU".into(),
                cores: 2,
                features: Vec::new(),
                memory_mib: 1,
                kernel: String::new(),
                system: String::new(),
                virtual_machine: true,
                load_before: 0.0,
            },
            commit: None,
            command: String::new(),
            runs: karst.len(),
            seconds: 1,
            peers: vec![peer("karst"), peer("go")],
            cases: vec![Case { name: case.into(), about: String::new(), path: None, contestants }],
            skipped: Vec::new(),
        }
    }
}
