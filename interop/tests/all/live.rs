//! Every client with every server of this machine. Missing programs are reported as SKIPPED, and are a failure if
//! `KARST_REQUIRE_GO` is set.

use interop::Program;
use interop::live::{Cell, SETTINGS, Table, Work, matrix, with_mihomo};
use lab::mihomo;
use lab::peers::Peer;
use sim::plan::{LinkPlan, LossPlan};
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn every_pair_carries_every_byte() {
    let found = Peer::find();
    for missing in &found.missing {
        say(&format!("SKIPPED live pairs with {}: {}", missing.name, missing.reason));
    }
    let required = std::env::var_os("KARST_REQUIRE_GO").is_some_and(|value| value != "0");
    assert!(!required || found.missing.is_empty(), "KARST_REQUIRE_GO is set, and programs are missing");
    let [clients, servers] = Program::of_peers(&found.peers);
    let cells = matrix(&clients, &servers, SETTINGS, Work::default());
    let table = Table::run(&cells, say);
    assert_eq!(table.failures(), 0, "{}", table.summary());
}

/// mihomo's kcptun as client and as server.
#[test]
fn mihomo_carries_every_byte() {
    let mihomo = match mihomo::find() {
        Ok(mihomo) => mihomo,
        Err(missing) => return say(&format!("SKIPPED live pairs with mihomo: {}", missing.reason)),
    };
    let found = Peer::find();
    let Some(karst) = found.named("karst") else {
        return say("SKIPPED live pairs with mihomo: no karst programs");
    };
    let table = Table::run(&with_mihomo(karst, mihomo, &SETTINGS[..3], Work::default()), say);
    assert_eq!(table.failures(), 0, "{}", table.summary());
}

/// A program that exits at once, for example because of a refused flag, is a failure with its output, not a timeout.
#[test]
fn a_program_that_ends_is_named() {
    let outcome = cell("/bin/sh", "/bin/sh").run();
    let why = outcome.expect_err("a shell is no kcptun");
    assert!(why.contains("exited"), "{why}");
    assert!(
        why.contains("--key") || why.contains("option") || why.contains("sh:"),
        "no output of the program: {why}"
    );
}

#[test]
fn a_program_that_is_missing_is_named() {
    let why = cell("/nonexistent/client", "/nonexistent/server").run().expect_err("there is no such program");
    assert!(why.contains("/nonexistent/server"), "{why}");
}

/// On a path that drops all packets, the cell ends at its limit and reports its progress.
#[test]
fn silence_ends_in_the_bound() {
    let [clients, servers] = Program::of_peers(&Peer::find().peers);
    let (Some(client), Some(server)) = (clients.first(), servers.first()) else {
        return say("SKIPPED silence_ends_in_the_bound: no program");
    };
    let silent = LinkPlan { loss: LossPlan::Bernoulli { ppm: 1_000_000 }.into(), ..LinkPlan::default() };
    let work = Work { limit: Duration::from_secs(2), ..Work::default() };
    let cell = Cell {
        client: client.clone(),
        server: server.clone(),
        setting: SETTINGS[0],
        impaired: Some(silent),
        work,
    };
    let start = Instant::now();
    let why = cell.run().expect_err("nothing arrives");
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(why.contains("not finished") || why.contains("after 0 of"), "{why}");
}

/// Bypasses the output capture of the test harness.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn cell(client: &str, server: &str) -> Cell {
    let program = |path: &str| Program::new("test", path);
    Cell {
        client: program(client),
        server: program(server),
        setting: SETTINGS[0],
        impaired: None,
        work: Work { streams: 1, stream_bytes: 1000, limit: Duration::from_secs(10) },
    }
}
