//! Outcomes of a matrix as lines, and their total.

use super::{Cell, Outcome};
use serde_json::{Value, json};

/// Outcomes of a matrix.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<(String, Outcome)>,
}

impl Table {
    /// Runs the cells one at a time and passes each finished line to `print`.
    pub fn run(cells: &[Cell], mut print: impl FnMut(&str)) -> Self {
        let mut table = Self::default();
        let width = cells.iter().map(|cell| cell.name().len()).max().unwrap_or(0);
        for cell in cells {
            let outcome = cell.run();
            print(&format!("{:width$}  {}", cell.name(), line(&outcome)));
            table.rows.push((cell.name(), outcome));
        }
        table
    }

    /// Cells that failed.
    pub fn failures(&self) -> usize {
        self.rows.iter().filter(|(_, outcome)| outcome.is_err()).count()
    }

    /// `PASS 28/28` or `FAIL 27/28`.
    pub fn summary(&self) -> String {
        let (all, failed) = (self.rows.len(), self.failures());
        format!("{} {}/{all}", if failed == 0 && all > 0 { "PASS" } else { "FAIL" }, all - failed)
    }

    /// The machine-readable form.
    pub fn to_json(&self) -> Value {
        let row = |(name, outcome): &(String, Outcome)| match outcome {
            Ok(passed) => json!({ "cell": name, "pass": true, "ms": passed.elapsed.as_millis() as u64,
                "bytes": passed.bytes, "relay_lost": passed.relay.map(|counts| counts.lost) }),
            Err(why) => json!({ "cell": name, "pass": false, "why": why }),
        };
        json!({ "format": "karst-live-report-1", "cells": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

fn line(outcome: &Outcome) -> String {
    match outcome {
        Err(why) => format!("FAIL  {}", why.replace('\n', "\n      ")),
        Ok(passed) => {
            let ms = passed.elapsed.as_millis().max(1);
            let kib_per_s = passed.bytes as u128 * 1000 / ms / 1024;
            let lost: Vec<String> =
                passed.relay.iter().map(|c| format!("{}/{}", c.lost, c.received)).collect();
            let lost =
                if lost.is_empty() { String::new() } else { format!("  relay lost {}", lost.join(" ")) };
            format!("pass  {ms:6} ms  {kib_per_s:7} KiB/s{lost}")
        }
    }
}
