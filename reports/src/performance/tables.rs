//! What a page about performance says, whatever it is written in.

use super::figures::{Figure, Spread, figures, sides};
use super::goals::{Verdict, number, verdicts};
use lab::results::{Machine, Measurements};

use serde_json::{Value, json};

/// A heading, a sentence and a table.
pub(crate) struct Section {
    pub(crate) heading: &'static str,
    pub(crate) lead: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// All of them, without those that are empty.
pub(crate) fn sections(bench: &Measurements) -> Vec<Section> {
    let all = figures(bench);
    let (over, clean): (Vec<Figure<'_>>, Vec<Figure<'_>>) =
        all.into_iter().partition(|figure| figure.case.path.is_some());
    let sections = [
        goals(bench),
        section("Loopback", &clean_lead(bench), figure_rows(bench, &clean)),
        section("Over links", LINES_LEAD, figure_rows(bench, &over)),
        section("Machine", "", machine_rows(bench)),
        section("Commands", "The programs of each row; ports differ from run to run.", command_rows(bench)),
    ];
    sections.into_iter().chain(troubles(bench)).filter(|section| !section.rows.is_empty()).collect()
}

/// What was not measured as it should have been.
pub(super) fn troubles(bench: &Measurements) -> [Section; 2] {
    [section("Failures", "", error_rows(bench)), section("Skipped", "", skipped_rows(bench))]
}

pub(super) fn section(heading: &'static str, lead: &str, rows: Vec<Vec<String>>) -> Section {
    let mut rows = rows.into_iter();
    let head = rows.next().unwrap_or_default();
    Section { heading, lead: lead.to_owned(), head, rows: rows.collect() }
}

const LINES_LEAD: &str = "The tunnels through a relay that behaves as the links of a scenario, TCP over the same links between two \
    network namespaces; each run has dice of its own, equal on all sides.";

fn goals(bench: &Measurements) -> Section {
    section(
        "Goals",
        "Medians of the runs, and ratios of the first peer's figure to the other's.",
        goal_rows(&verdicts(bench)),
    )
}

fn clean_lead(bench: &Measurements) -> String {
    format!(
        "Over the loopback device. Medians of {} runs of {} s on each side in turn, with the lowest and the highest. Bytes that do not \
         compress; memory and processor time are those of client plus server.",
        bench.runs, bench.seconds
    )
}

/// Head and rows: a figure on each side, and the ratios of the first to the others.
pub(crate) fn figure_rows(bench: &Measurements, figures: &[Figure<'_>]) -> Vec<Vec<String>> {
    if figures.is_empty() {
        return Vec::new();
    }
    let sides = sides(bench);
    let used: Vec<usize> = (0..sides.len())
        .filter(|side| figures.iter().any(|figure| figure.spreads[*side].is_some()))
        .collect();
    let others: Vec<usize> = used.iter().copied().filter(|side| *side > 0).collect();
    let mut head = vec!["row".to_owned(), "figure".into(), "unit".into()];
    head.extend(used.iter().map(|side| sides[*side].clone()));
    head.extend(others.iter().map(|other| format!("{} / {}", sides[0], sides[*other])));
    let row = |figure: &Figure<'_>| {
        let mut row = vec![figure.case.name.clone(), figure.metric.title.into(), figure.metric.unit.into()];
        row.extend(used.iter().map(|side| figure.spreads[*side].map_or_else(|| "-".into(), spread)));
        let ratio = |other: &usize| figure.ratio(*other).map_or_else(|| "-".into(), number);
        row.extend(others.iter().map(ratio));
        row
    };
    std::iter::once(head).chain(figures.iter().map(row)).collect()
}

fn spread(spread: Spread) -> String {
    let [median, low, high] = [spread.median, spread.low, spread.high].map(number);
    if spread.count > 1 { format!("{median} ({low} .. {high})") } else { median }
}

/// Head and rows.
pub(crate) fn goal_rows(verdicts: &[Verdict]) -> Vec<Vec<String>> {
    let head = ["row", "measured", "goal", "verdict"].map(String::from).to_vec();
    let row = |verdict: &Verdict| {
        vec![verdict.what.clone(), verdict.measured.clone(), verdict.goal.clone(), verdict.said()]
    };
    std::iter::once(head).chain(verdicts.iter().map(row)).collect()
}

pub(super) fn machine_rows(bench: &Measurements) -> Vec<Vec<String>> {
    let Machine { cpu, cores, features, memory_mib, kernel, system, virtual_machine, load_before } =
        &bench.machine;
    let kind = if *virtual_machine { ", a virtual machine" } else { "" };
    let mut rows = vec![
        ["processor".to_owned(), format!("{cpu}, {cores} cores{kind}: {}", features.join(", "))],
        ["memory".into(), format!("{memory_mib} MiB")],
        ["system".into(), format!("{system}, Linux {kernel}")],
        ["load before".into(), format!("{load_before}")],
        ["commit".into(), bench.commit.clone().unwrap_or_else(|| "unknown".into())],
        ["command".into(), bench.command.clone()],
    ];
    rows.extend(
        bench
            .peers
            .iter()
            .map(|peer| [peer.name.clone(), format!("{}, {}: {}", peer.client, peer.server, peer.version)]),
    );
    std::iter::once(vec![String::new(); 2]).chain(rows.into_iter().map(Vec::from)).collect()
}

fn command_rows(bench: &Measurements) -> Vec<Vec<String>> {
    let mut rows = vec![["row", "", "programs"].map(String::from).to_vec()];
    for case in &bench.cases {
        let about = case
            .path
            .as_ref()
            .map_or_else(|| case.about.clone(), |line| format!("{}; {}", case.about, line.links));
        rows.push(vec![case.name.clone(), String::new(), about]);
        for side in case.sides.iter().filter(|side| !side.commands.is_empty()) {
            rows.push(vec![case.name.clone(), side.name.clone(), side.commands.join(" & ")]);
        }
    }
    rows
}

fn error_rows(bench: &Measurements) -> Vec<Vec<String>> {
    let mut rows = vec![["row", "side", "run", "error"].map(String::from).to_vec()];
    for case in &bench.cases {
        for side in &case.sides {
            let errors = side
                .trials
                .iter()
                .enumerate()
                .filter_map(|(at, trial)| Some((at + 1, trial.error.as_ref()?)));
            rows.extend(errors.map(|(run, error)| {
                vec![case.name.clone(), side.name.clone(), run.to_string(), error.clone()]
            }));
        }
    }
    rows
}

fn skipped_rows(bench: &Measurements) -> Vec<Vec<String>> {
    let head = ["what", "why"].map(String::from).to_vec();
    std::iter::once(head)
        .chain(bench.skipped.iter().map(|one| vec![one.what.clone(), one.why.clone()]))
        .collect()
}

/// Medians, ratios and verdicts for other programs; pages do not read it.
pub(crate) fn summary(bench: &Measurements) -> Value {
    let sides = sides(bench);
    let figure = |figure: &Figure<'_>| {
        let named = |value: &dyn Fn(usize) -> Option<f64>, from: usize| -> Value {
            let all = (from..sides.len()).filter_map(|side| Some((sides[side].clone(), value(side)?.into())));
            Value::Object(all.collect())
        };
        json!({
            "row": figure.case.name,
            "metric": figure.metric.name,
            "medians": named(&|side| figure.spreads[side].map(|spread| spread.median), 0),
            "ratios": named(&|side| figure.ratio(side), 1),
        })
    };
    let goal = |verdict: &Verdict| json!({ "goal": verdict.what, "is": verdict.measured, "must_be": verdict.goal, "verdict": verdict.said() });
    json!({
        "figures": figures(bench).iter().map(figure).collect::<Vec<_>>(),
        "goals": verdicts(bench).iter().map(goal).collect::<Vec<_>>(),
    })
}

/// Rows as text, columns below each other.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::bench;
    use super::*;

    #[test]
    fn figures_have_their_spread_and_ratio() {
        let bench = bench("throughput", "throughput_mbit", &[300.0, 100.0, 200.0], &[50.0]);
        let rows = figure_rows(&bench, &figures(&bench));
        assert_eq!(rows[0], ["row", "figure", "unit", "karst", "go", "karst / go"]);
        assert_eq!(rows[1], ["throughput", "throughput", "Mbit/s", "200 (100 .. 300)", "50", "4"]);
        assert_eq!(
            aligned(&[vec!["a".into(), "b".into()], vec!["long".into(), "c".into()]]),
            "a     b\nlong  c\n"
        );
    }

    #[test]
    fn the_summary_has_the_ratio_of_medians() {
        let summary = summary(&bench("throughput", "throughput_mbit", &[300.0, 100.0, 200.0], &[50.0]));
        let figure = &summary["figures"][0];
        assert_eq!(figure["medians"], json!({ "karst": 200.0, "go": 50.0 }));
        assert_eq!(figure["ratios"], json!({ "go": 4.0 }));
        assert_eq!(summary["goals"][0]["verdict"], "NOT MET");
    }

    #[test]
    fn what_failed_and_what_was_skipped_is_said() {
        let mut bench = bench("idle", "idle_cpu_pct", &[1.0], &[2.0]);
        let headings =
            |bench: &Measurements| sections(bench).iter().map(|section| section.heading).collect::<Vec<_>>();
        assert!(!headings(&bench).contains(&"Failures") && !headings(&bench).contains(&"Skipped"));
        bench.cases[0].sides[1].trials[0].error = Some("no answer".into());
        bench.skipped.push(lab::results::Skipped { what: "tcp-bbr".into(), why: "root".into() });
        assert!(headings(&bench).contains(&"Failures") && headings(&bench).contains(&"Skipped"));
    }
}
