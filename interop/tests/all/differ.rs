//! `diff`: conversations against kcptun and karst differ only where a rule explains it, and a planted difference is found.

use interop::Program;
use interop::differ::{Conversation, EXPLAINED, Odd, Plan, Step, Target};
use lab::peers::Peer;
use std::io::Write;

fn servers() -> Option<Vec<Program>> {
    let found = Peer::find();
    if let Some(missing) = found.missing.first() {
        let _ =
            writeln!(std::io::stderr(), "SKIPPED differential runs: {}: {}", missing.name, missing.reason);
        return None;
    }
    let [_, servers] = Program::of_peers(&found.peers);
    Some(servers)
}

/// FEC-16, CLI-23, SMUX-9: 60 conversations.
#[test]
fn kcptun_and_karst_differ_only_where_a_rule_explains_it() {
    let Some(servers) = servers() else { return };
    let plan = Plan { servers, first: 1, count: 60, jobs: 16, explained: EXPLAINED };
    let found = plan.run(|_| {}).unwrap();
    assert_eq!((found.conversations, found.error), (60, None));
    assert!(found.unexplained.is_empty(), "{:#?}", found.unexplained);
    assert!(found.equal > 20 && found.explained.len() > 1, "{:?}", found.explained);
}

/// Two processes of one program show the same, and its version of a rule is not taken for a difference.
#[test]
fn a_program_does_not_differ_from_itself() {
    let Some(servers) = servers() else { return };
    let twin = Program { name: "twin".into(), ..servers[0].clone() };
    let plan =
        Plan { servers: vec![servers[0].clone(), twin], first: 1, count: 1, jobs: 1, explained: EXPLAINED };
    let steps = vec![Step::Open(0, Target::Echo), Step::Data(0, 1_300), Step::End(0)];
    let found = plan.replay(&[Conversation { seed: 0, smux: 2, steps }]).unwrap();
    assert_eq!((found.equal, found.unexplained.len()), (1, 0));
}

/// A server that cannot be spoken to is an error, and no list of differences.
#[test]
fn a_program_that_is_no_server_is_named() {
    let program = Program::new("shell", "/bin/sh");
    let plan =
        Plan { servers: vec![program.clone(), program], first: 1, count: 1, jobs: 1, explained: EXPLAINED };
    let error = format!("{:#}", plan.run(|_| {}).unwrap_err());
    assert!(error.contains("shell") || error.contains("/bin/sh"), "{error}");
}

/// FEC-16: without the explanation, what a message out of band does to kcptun of 2021 counts, and is minimized.
#[test]
fn a_difference_is_found_and_minimized() {
    let Some(servers) = servers() else { return };
    let plan = Plan { servers, first: 1, count: 1, jobs: 1, explained: &[] };
    let open = Step::Open(0, Target::Echo);
    let out_of_band = Step::Odd(Odd::OutOfBand);
    let steps = vec![open, Step::Data(0, 100), out_of_band, Step::Cut(0), Step::Odd(Odd::WindowProbe)];
    let found = plan.replay(&[Conversation { seed: 0, smux: 2, steps }]).unwrap();
    assert_eq!(found.unexplained.len(), 1, "{found:?}");
    assert_eq!(found.unexplained[0].conversation.steps, [open, out_of_band]);
    let observed = &found.unexplained[0].observed;
    assert!(observed["karst"].alive && !observed["go"].alive, "{observed:?}");
}

#[test]
fn a_seed_always_generates_the_same_conversation() {
    let all: Vec<Conversation> = (0..500).map(Conversation::generate).collect();
    assert_eq!(all, (0..500).map(Conversation::generate).collect::<Vec<_>>());
    for step in ["Open", "Data", "Small", "Cut", "End", "Again", "Odd"] {
        let has = |one: &&Conversation| one.has(|found| format!("{found:?}").starts_with(step));
        assert!(all.iter().filter(has).count() > 50, "{step}");
    }
    let text = serde_json::to_string(&all[7]).unwrap();
    assert_eq!(serde_json::from_str::<Conversation>(&text).unwrap(), all[7]);
}
