//! Texts generated from the table of options, and the table compared with the Go programs' own help.
use crate::common::skipped;
use bins::config::parse_json;
use bins::flags::{self, Shell, Side, completions, help, man, markdown};
use engine::options::{Group, Kind, Mode};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const SIDES: [Side; 2] = [Side::Client, Side::Server];

// CLI-40: KARST_UPDATE=1 writes the file instead.
#[test]
fn the_tables_in_the_readme_are_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- options -->\n").unwrap();
    let (between, after) = rest.split_once("<!-- end of options -->\n").unwrap();
    if std::env::var_os("KARST_UPDATE").is_some() {
        let whole = format!("{before}<!-- options -->\n{}<!-- end of options -->\n{after}", markdown());
        return std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(
        between,
        markdown(),
        "bins/README.md differs: KARST_UPDATE=1 cargo test --profile ci -p bins --test all surface:: writes it"
    );
}

// CLI-27
#[test]
fn help_has_groups_and_hides_expert_options() {
    for side in SIDES {
        let (short, all) = (help(side, false), help(side, true));
        for group in Group::ALL {
            assert_eq!(short.matches(&format!("\n {}:\n", group.title())).count(), 1);
        }
        assert!(!short.contains("--acknodelay") && all.contains("--acknodelay"));
        assert_eq!(
            all.lines().count(),
            short.lines().count() + flags::of(side).filter(|flag| flag.expert).count()
        );
        assert!(all.lines().all(|line| line.len() < 200));
    }
}

// CLI-40
#[test]
fn the_manual_page_has_every_option_and_only_known_macros() {
    for side in SIDES {
        let page = man(side);
        for flag in flags::of(side) {
            let dashes = if flag.name.len() == 1 { "\\-" } else { "\\-\\-" };
            let form = format!("\\fB{dashes}{}", flag.name.replace('-', "\\-"));
            assert!(page.contains(&form), "{form}");
        }
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            assert!(
                [".TH", ".SH", ".SS", ".TP", ".B", ".RB", ".RI"].contains(&line.split(' ').next().unwrap()),
                "{line}"
            );
        }
        assert!(page.lines().all(|line| !line.is_empty()));
    }
}

// CLI-40: every option of the table is in all generated texts.
#[test]
fn every_option_is_in_help_man_completions_manual_and_json() {
    let manual = markdown();
    for side in SIDES {
        let (all, page) = (help(side, true), man(side));
        let scripts = [Shell::Bash, Shell::Zsh, Shell::Fish].map(|shell| completions(side, shell));
        for flag in flags::of(side) {
            let name = flag.name;
            let escaped = format!("\\fB{}", if name.len() == 1 { "\\-" } else { "\\-\\-" });
            let dashes = if name.len() == 1 { "-" } else { "--" };
            assert!(all.contains(&format!("   {dashes}{name}")), "{name}");
            assert!(page.contains(&format!("{escaped}{}", name.replace('-', "\\-"))), "{name}");
            assert!(manual.contains(&format!("| `{dashes}{name}`")), "{name}");
            assert!(scripts[0].contains(&format!("{dashes}{name}")), "{name}");
            assert!(scripts[1].contains(&format!("'{dashes}{name}")), "{name}");
            assert!(scripts[2].contains(&format!(" {name} ")), "{name}");
            for word in flag.words() {
                assert!(scripts.iter().all(|script| script.contains(word)), "{name} {word}");
            }
            let Some(key) = flag.json else { continue };
            assert!(manual.contains(&format!("| `{key}` |")), "{key}");
            let default = flag.default_for(side).unwrap();
            let text = default.to_string();
            let json = if flag.kind == Kind::Text { serde_json::to_string(&text).unwrap() } else { text };
            let read = parse_json(&format!("{{\"{key}\": {json}}}"), side).unwrap();
            assert_eq!(
                read.given.iter().map(|(flag, value)| (flag.name, value)).collect::<Vec<_>>(),
                [(name, &default)]
            );
        }
        let modes = Mode::ALL.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(" ");
        assert!(scripts.iter().all(|script| script.contains(&modes)), "every mode is offered");
    }
}

/// The completions that bash offers after `words`; `None` without bash.
fn bash_offers(words: &[&str]) -> Option<Vec<String>> {
    let script = format!(
        "{}COMP_WORDS=({}); COMP_CWORD={}; _karst_client; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        completions(Side::Client, Shell::Bash),
        words.join(" "),
        words.len() - 1
    );
    let Ok(output) = Command::new("bash").args(["--norc", "-c", &script]).output() else {
        skipped("completions", "bash is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(Into::into).collect())
}

// CLI-40
#[test]
fn completions_offer_options_and_their_values() {
    if let Some(offered) = bash_offers(&["karst-client", "--snd"]) {
        assert_eq!(offered, ["--sndwnd"]);
        assert_eq!(bash_offers(&["karst-client", "--mode", "fast"]).unwrap(), ["fast3", "fast2", "fast"]);
        assert_eq!(bash_offers(&["karst-client", "--mtu", "\"\""]).unwrap(), [""]);
        assert_eq!(bash_offers(&["karst-client", "-snd"]).unwrap(), ["-sndwnd"]);
        assert_eq!(bash_offers(&["karst-client", "-mode", "fast2"]).unwrap(), ["fast2"]);
        // The shell makes three words of --mode=fast2.
        for dashes in ["-", "--"] {
            let option = format!("{dashes}mode");
            assert_eq!(bash_offers(&["karst-client", &option, "=", "fast2"]).unwrap(), ["fast2"]);
            assert_eq!(bash_offers(&["karst-client", &option, "="]).unwrap().len(), Mode::ALL.len());
        }
        // Switches have values after an equals sign only.
        for (option, values) in [
            ("--tcp", &["true", "false", "kcptun-tcp"][..]),
            ("-nocomp", &["true", "false"]),
            ("--smuxver", &["1", "2"]),
        ] {
            assert_eq!(bash_offers(&["karst-client", option, "="]).unwrap(), values, "{option}");
        }
        assert_eq!(bash_offers(&["karst-client", "--tcp", "--snd"]).unwrap(), ["--sndwnd"]);
        assert_eq!(bash_offers(&["karst-client", "--smuxver", "\"\""]).unwrap(), ["1", "2"]);
        assert_eq!(bash_offers(&["karst-client", "che"]).unwrap(), ["check"]);
        assert_eq!(bash_offers(&["karst-client", "check", "--sndw"]).unwrap(), ["--sndwnd"]);
    }
    for side in SIDES {
        let (zsh, fish) = (completions(side, Shell::Zsh), completions(side, Shell::Fish));
        assert!(zsh.starts_with(&format!("#compdef {}\n", side.program())));
        assert!(zsh.contains("  '--mode=[") && zsh.contains(":value:(auto fast3 fast2 fast normal manual)'"));
        for flag in flags::of(side) {
            let (dashes, letter) = if flag.name.len() == 1 { ("-", "s") } else { ("--", "l") };
            assert!(zsh.contains(&format!("  '{dashes}{}", flag.name)), "{}", flag.name);
            assert!(fish.contains(&format!(" -{letter} {}", flag.name)), "{}", flag.name);
        }
        // Unpaired quotes would keep the shells from loading the scripts.
        assert!(zsh.lines().skip(2).all(|line| line.matches('\'').count() % 2 == 0), "{zsh}");
    }
}

/// Differences between the generations: options of 2026, and defaults that changed.
const NOT_IN_2021: &[&str] = &["QPP", "QPPCount", "ratelimit", "framesize", "closewait"];
const CHANGED_SINCE_2021: &[(&str, &str, &str)] = &[("smuxver", "1", "2")];
/// The option that only the server has in 2021: its client has no profiler.
const SERVER_ONLY_IN_2021: &str = "pprof";

/// Spellings and default of every option in a Go program's help; `None` if it is not installed.
fn go_help(program: &str) -> Option<BTreeMap<String, (Vec<String>, String)>> {
    let Ok(output) = Command::new(program).arg("-h").output() else {
        assert!(std::env::var_os("KARST_REQUIRE_GO").is_none(), "{program} is required and not installed");
        skipped("names and defaults", &format!("{program} is not installed"));
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, options) = text.split_once("GLOBAL OPTIONS:\n").unwrap();
    let mut found = BTreeMap::new();
    for line in options.lines() {
        let (forms, rest) = line.trim_start().split_once("  ").unwrap();
        let names: Vec<String> = forms
            .split(", ")
            .map(|form| form.split(' ').next().unwrap().trim_start_matches('-').to_owned())
            .collect();
        let default = rest.rsplit_once("(default: ").map_or("", |(_, end)| end.split(')').next().unwrap());
        found.insert(names[0].clone(), (names, default.trim_matches('"').to_owned()));
    }
    Some(found)
}

// CLI-41, CLI-1
#[test]
fn names_and_defaults_are_those_of_the_go_programs() {
    for (side, program) in [(Side::Client, "kcptun-client"), (Side::Server, "kcptun-server")] {
        let Some(mut theirs) = go_help(program) else { continue };
        assert!(theirs.len() > 20, "{theirs:?}");
        for flag in flags::table().filter(|flag| flag.since == 2021 && !flag.expert) {
            let Some(default) = flag.default_for(side).map(|value| value.to_string()) else { continue };
            if flag.name == SERVER_ONLY_IN_2021 && side == Side::Client {
                continue;
            }
            let (names, their_default) = theirs.remove(flag.name).unwrap_or_else(|| panic!("{}", flag.name));
            let ours: Vec<&str> = std::iter::once(flag.name).chain(flag.aliases.iter().copied()).collect();
            assert_eq!(names, ours);
            let changed = CHANGED_SINCE_2021.iter().find(|(name, ..)| *name == flag.name);
            let expected = changed.map_or(default.as_str(), |(_, before, since)| {
                assert_eq!(default, *since, "{}", flag.name);
                before
            });
            assert_eq!(their_default, if expected == "false" { "" } else { expected }, "{}", flag.name);
        }
        theirs.retain(|name, _| !flags::table().any(|flag| flag.name == name && flag.expert));
        assert!(theirs.is_empty(), "not in the table: {theirs:?}");
    }
    let newer: Vec<&str> = flags::table().filter(|flag| flag.since == 2026).map(|flag| flag.name).collect();
    assert_eq!(newer, NOT_IN_2021);
}
