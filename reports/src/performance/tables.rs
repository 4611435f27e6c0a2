//! Sections and tables of a performance page, independent of the output format.

use super::figures::{Figure, Spread, contestants, figures};
use super::goals::{Verdict, number, verdicts};
use lab::results::{Machine, Measurements};

use serde_json::{Value, json};

/// A heading, an introduction and a table.
pub(crate) struct Section {
    pub(crate) heading: &'static str,
    pub(crate) lead: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Title of a `bench` page.
pub(super) fn title(bench: &Measurements) -> &'static str {
    if bench.is_forged() { "Forged TCP" } else { "Performance" }
}

/// All sections of a `bench` page that have rows.
pub(crate) fn sections(bench: &Measurements) -> Vec<Section> {
    let all = figures(bench);
    let (over, clean): (Vec<Figure<'_>>, Vec<Figure<'_>>) =
        all.into_iter().partition(|figure| figure.case.path.is_some());
    let sections = [
        goals(bench),
        section("Loopback", &clean_lead(bench), figure_rows(bench, &clean)),
        section("Over links", LINKS_LEAD, figure_rows(bench, &over)),
        section("Machine", "", machine_rows(bench)),
        section("Commands", "The programs of each row; ports differ from run to run.", command_rows(bench)),
    ];
    sections.into_iter().chain(failures(bench)).filter(|section| !section.rows.is_empty()).collect()
}

/// Failed and skipped measurements.
pub(super) fn failures(bench: &Measurements) -> [Section; 2] {
    [section("Failures", "", error_rows(bench)), section("Skipped", "", skipped_rows(bench))]
}

pub(super) fn section(heading: &'static str, lead: &str, rows: Vec<Vec<String>>) -> Section {
    let mut rows = rows.into_iter();
    let head = rows.next().unwrap_or_default();
    Section { heading, lead: lead.to_owned(), head, rows: rows.collect() }
}

const LINKS_LEAD: &str = "Tunnels pass a relay that emulates the links of a scenario, kernel TCP the same links between two network \
    namespaces. Run N has seed N for all contestants.";

fn goals(bench: &Measurements) -> Section {
    section(
        "Goals",
        "Medians of the runs, and ratios of the first peer's figure to the other's.",
        goal_rows(&verdicts(bench)),
    )
}

fn clean_lead(bench: &Measurements) -> String {
    let of = if bench.is_forged() { ", as forged TCP" } else { "" };
    format!(
        "Over the loopback device{of}: medians of {} runs of {} s of each contestant in turn, with the lowest and the highest. The payload is \
         incompressible; memory and processor time are the sums of client and server.",
        bench.runs, bench.seconds
    )
}

/// Head and rows: a figure of each contestant, and the ratios of the first to the others.
pub(crate) fn figure_rows(bench: &Measurements, figures: &[Figure<'_>]) -> Vec<Vec<String>> {
    if figures.is_empty() {
        return Vec::new();
    }
    let contestants = contestants(bench);
    let used: Vec<usize> = (0..contestants.len())
        .filter(|contestant| figures.iter().any(|figure| figure.spreads[*contestant].is_some()))
        .collect();
    let others: Vec<usize> = used.iter().copied().filter(|contestant| *contestant > 0).collect();
    let mut head = vec!["row".to_owned(), "figure".into(), "unit".into()];
    head.extend(used.iter().map(|contestant| contestants[*contestant].clone()));
    head.extend(others.iter().map(|other| format!("{} / {}", contestants[0], contestants[*other])));
    let row = |figure: &Figure<'_>| {
        let mut row = vec![figure.case.name.clone(), figure.metric.title.into(), figure.metric.unit.into()];
        row.extend(
            used.iter().map(|contestant| figure.spreads[*contestant].map_or_else(|| "-".into(), spread)),
        );
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

/// Head and rows: figure, measured value, limit, verdict.
pub(crate) fn goal_rows(verdicts: &[Verdict]) -> Vec<Vec<String>> {
    let head = ["row", "measured", "goal", "verdict"].map(String::from).to_vec();
    let row = |verdict: &Verdict| {
        vec![verdict.name.clone(), verdict.measured.clone(), verdict.goal.clone(), verdict.text()]
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
            .map_or_else(|| case.about.clone(), |path| format!("{}; {}", case.about, path.links));
        rows.push(vec![case.name.clone(), String::new(), about]);
        for contestant in case.contestants.iter().filter(|contestant| !contestant.commands.is_empty()) {
            rows.push(vec![case.name.clone(), contestant.name.clone(), contestant.commands.join(" & ")]);
        }
    }
    rows
}

fn error_rows(bench: &Measurements) -> Vec<Vec<String>> {
    let mut rows = vec![["row", "contestant", "run", "error"].map(String::from).to_vec()];
    for case in &bench.cases {
        for contestant in &case.contestants {
            let errors = contestant
                .trials
                .iter()
                .enumerate()
                .filter_map(|(at, trial)| Some((at + 1, trial.error.as_ref()?)));
            rows.extend(errors.map(|(run, error)| {
                vec![case.name.clone(), contestant.name.clone(), run.to_string(), error.clone()]
            }));
        }
    }
    rows
}

fn skipped_rows(bench: &Measurements) -> Vec<Vec<String>> {
    let head = ["contestant", "reason"].map(String::from).to_vec();
    std::iter::once(head)
        .chain(bench.skipped.iter().map(|one| vec![one.name.clone(), one.reason.clone()]))
        .collect()
}

/// Medians, ratios and verdicts as JSON for other programs; pages do not read them.
pub(crate) fn summary(bench: &Measurements) -> Value {
    let contestants = contestants(bench);
    let figure = |figure: &Figure<'_>| {
        let named = |value: &dyn Fn(usize) -> Option<f64>, from: usize| -> Value {
            let all = (from..contestants.len())
                .filter_map(|contestant| Some((contestants[contestant].clone(), value(contestant)?.into())));
            Value::Object(all.collect())
        };
        json!({
            "row": figure.case.name,
            "metric": figure.metric.name,
            "medians": named(&|contestant| figure.spreads[contestant].map(|spread| spread.median), 0),
            "ratios": named(&|contestant| figure.ratio(contestant), 1),
        })
    };
    let goal = |verdict: &Verdict| json!({ "goal": verdict.name, "is": verdict.measured, "must_be": verdict.goal, "verdict": verdict.text() });
    json!({
        "figures": figures(bench).iter().map(figure).collect::<Vec<_>>(),
        "goals": verdicts(bench).iter().map(goal).collect::<Vec<_>>(),
    })
}

/// Rows as text with aligned columns.
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
    fn failed_and_skipped_measurements_are_listed() {
        let mut bench = bench("idle", "idle_cpu_pct", &[1.0], &[2.0]);
        let headings =
            |bench: &Measurements| sections(bench).iter().map(|section| section.heading).collect::<Vec<_>>();
        assert!(!headings(&bench).contains(&"Failures") && !headings(&bench).contains(&"Skipped"));
        bench.cases[0].contestants[1].trials[0].error = Some("no answer".into());
        bench.skipped.push(lab::results::Skipped { name: "tcp-bbr".into(), reason: "root".into() });
        assert!(headings(&bench).contains(&"Failures") && headings(&bench).contains(&"Skipped"));
    }
}
