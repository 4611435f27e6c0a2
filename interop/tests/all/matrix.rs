//! The matrix judges programs: a faithful one passes, and one that refuses flags, ends, hangs or has another key is noticed.
//! Programs are wrappers around kcptun; without it, the tests are reported as SKIPPED.

use crate::live::say;
use interop::Program;
use interop::matrix::{Case, Matrix, Ratchet, Workload, junit};
use lab::conformance::{Conformance, Verdict};
use lab::peers::Peer;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A client that runs `script` and then the client of kcptun with the flags `"$@"`.
fn wrapper(name: &str, kcptun: &Path, script: &str) -> Program {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("matrix-{name}"));
    let text = format!("#!/bin/sh\n{script}\nexec {} \"$@\"\n", kcptun.display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Program::new(name, path)
}

fn program(path: &Path) -> Program {
    Program::new("kcptun", path)
}

/// Runs two short cases of kcptun, and of a client that runs `script` first.
fn run(test: &str, name: &str, script: &str) -> Option<Conformance> {
    let found = Peer::find();
    let Some(kcptun) = found.named("go") else {
        say(&format!("SKIPPED {test}: kcptun is not installed"));
        return None;
    };
    let answer = Case { work: Workload::Answer, ..Case::default() }.named();
    let streams = Case { work: Workload::Streams, crypt: "xor".into(), ..Case::default() }.named();
    let matrix = Matrix {
        clients: vec![program(&kcptun.client), wrapper(name, &kcptun.client, script)],
        servers: vec![program(&kcptun.server)],
        reference: "kcptun".to_owned(),
        cases: vec![answer, streams],
        link: None,
        jobs: 2,
        runs: 1,
        seed: 1,
        can_forge: false,
        launcher: None,
        title: None,
        command: String::new(),
        replay: String::new(),
        limit: Some(Duration::from_secs(15)),
    };
    let found = matrix.run(&|_| {}).unwrap();
    assert_eq!((found.cells.len(), found.is_judge_sighted()), (4, true), "{found:?}");
    Some(found)
}

/// Verdicts of the wrapped client, by case.
fn verdicts(found: &Conformance, name: &str) -> Vec<Verdict> {
    let cells = found.cells.iter().filter(|cell| cell.client == name);
    cells.map(|cell| cell.verdict).collect()
}

#[test]
fn a_faithful_program_passes_and_moves_the_ratchet() {
    let Some(found) = run("a_faithful_program_passes", "faithful", ":") else { return };
    assert_eq!(verdicts(&found, "faithful"), [Verdict::Pass; 2], "{found:?}");
    let cell = &found.cells[3];
    assert!(
        cell.replay.contains("--client 'faithful=") && cell.replay.ends_with("--case 'streams crypt=xor'"),
        "{}",
        cell.replay
    );
    assert!(cell.commands[1].contains("--crypt xor") && !cell.logs[0].is_empty());
    assert_eq!(found.programs[0].sha256.len(), 64);
    let xml = junit(&found);
    assert!(
        xml.contains(
            "<testsuite name=\"faithful -&gt; kcptun\" tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"0\">"
        ),
        "{xml}"
    );
    let mut ratchet = Ratchet::default();
    ratchet.add(&found);
    assert_eq!(ratchet.broken(&found), [""; 0]);
    let mut later = found;
    later.cells[3].observed = Verdict::Fail;
    later.apply_controls();
    assert_eq!(ratchet.broken(&later), ["native: faithful -> kcptun: streams crypt=xor: fail"]);
}

#[test]
fn a_program_with_another_key_fails_beside_green_controls() {
    let Some(found) = run("a_program_with_another_key", "other-key", "set -- \"$@\" --key other") else {
        return;
    };
    assert_eq!(verdicts(&found, "other-key"), [Verdict::Fail; 2], "{found:?}");
    assert_eq!(verdicts(&found, "kcptun"), [Verdict::Pass; 2]);
}

#[test]
fn a_refused_flag_is_unsupported_and_an_exit_is_an_error() {
    let script = "case \"$*\" in *xor*) echo 'unknown cipher'; exit 2;; esac";
    let Some(found) = run("a_refused_flag", "refusing", script) else { return };
    assert_eq!(verdicts(&found, "refusing"), [Verdict::Pass, Verdict::Unsupported], "{found:?}");
    assert!(found.cells[3].why().unwrap().contains("unknown cipher"));
    let Some(found) = run("an_exit", "exiting", "exit 3") else { return };
    assert_eq!(verdicts(&found, "exiting"), [Verdict::Error; 2], "{found:?}");
}

#[test]
fn a_hung_program_is_an_error_not_a_hung_run() {
    let begun = Instant::now();
    let Some(found) = run("a_hung_program", "hung", "exec sleep 1000") else { return };
    assert_eq!(verdicts(&found, "hung"), [Verdict::Error; 2], "{found:?}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

/// When the control fails, nothing is known about the others.
#[test]
fn a_cell_without_a_green_control_does_not_count() {
    let Some(mut found) = run("a_cell_without_a_green_control", "beside", ":") else { return };
    found.cells[0].observed = Verdict::Fail;
    found.apply_controls();
    assert_eq!(verdicts(&found, "beside"), [Verdict::NotMeasured, Verdict::Pass]);
    assert_eq!((found.count(Verdict::Pass), found.count(Verdict::NotMeasured)), (2, 2));
}
