//! `karst-interop diff`.

use anyhow::{Context, ensure};
use clap::Args;
use interop::Program;
use interop::differ::{Conversation, Difference, Differences, EXPLAINED, Plan};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct DiffArgs {
    /// Server program, with more flags if it needs any; twice or more. A file named mihomo gets a configuration
    #[arg(long, value_name = "NAME=PATH[,FLAG...]", required = true)]
    server: Vec<String>,
    /// Number of conversations
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    conversations: u64,
    /// Seed of the first conversation; the others follow it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Conversations at the same time
    #[arg(long, value_name = "N", default_value_t = 32)]
    jobs: usize,
    /// Keep each unexplained difference in this folder, minimized
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Play kept differences again instead of generated conversations
    #[arg(long, value_name = "FILE", conflicts_with_all = ["conversations", "seed"])]
    replay: Vec<PathBuf>,
    /// Also write the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl DiffArgs {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let servers = Program::given(&self.server, Vec::new());
        ensure!(servers.len() > 1, "two servers at least are compared");
        let (first, count, jobs) = (self.seed, self.conversations, self.jobs);
        let plan = Plan { servers, first, count, jobs, explained: EXPLAINED };
        let found = if self.replay.is_empty() {
            plan.run(|done| {
                if done.is_multiple_of(500) {
                    eprintln!("{done} conversations");
                }
            })?
        } else {
            let conversations: Vec<Conversation> =
                self.replay.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
            plan.replay(&conversations)?
        };
        print(&found);
        if let Some(path) = &self.json {
            write(path, &json!({ "format": "karst-diff/1", "result": found }).to_string())?;
        }
        if let Some(folder) = &self.keep {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            for difference in &found.unexplained {
                let path = folder.join(format!("{}.json", difference.conversation.seed));
                write(&path, &(serde_json::to_string_pretty(difference)? + "\n"))?;
                println!("kept as {}", path.display());
            }
        }
        let success = found.unexplained.is_empty() && found.error.is_none() && found.conversations > 0;
        Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print(found: &Differences) {
    for Difference { conversation, observed } in &found.unexplained {
        println!("UNEXPLAINED seed {}, smux {}:", conversation.seed, conversation.smux);
        conversation.steps.iter().for_each(|step| println!("    {step:?}"));
        for (name, observed) in observed {
            println!("  {name}: {}", json!(observed));
        }
    }
    for explained in EXPLAINED {
        if let Some(count) = found.explained.get(explained.rule) {
            println!("{count} explained by {}: {}", explained.rule, explained.reason);
        }
    }
    println!(
        "{} conversations in {:.0} s: {} equal, {} explained, {} not repeated, {} unexplained",
        found.conversations,
        found.seconds,
        found.equal,
        found.conversations - found.equal - found.unrepeated - found.unexplained.len() as u64,
        found.unrepeated,
        found.unexplained.len()
    );
    if let Some(error) = &found.error {
        println!("ended early: {error}");
    }
}

fn read(path: &Path) -> anyhow::Result<Conversation> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let kept: serde_json::Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let conversation = kept.get("conversation").cloned().unwrap_or(kept);
    serde_json::from_value(conversation).with_context(|| path.display().to_string())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
