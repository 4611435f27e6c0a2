//! `karst-sim schema`.

use super::to_stdout;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kind of file.
    #[arg(value_enum, default_value = "scenario")]
    of: Of,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Of {
    /// Scenario files; the committed one is scenarios/schema.json.
    Scenario,
    /// Results files, as --json writes them; the committed one is scenarios/results-schema.json.
    Result,
    /// Recordings, as --events writes them, line by line; the committed one is scenarios/events-schema.json.
    Events,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    let schema = match args.of {
        Of::Scenario => sim::schema::scenario(),
        Of::Result => sim::schema::results(),
        Of::Events => sim::schema::events(),
    };
    to_stdout(&format!("{}\n", serde_json::to_string_pretty(&schema)?)).map(|()| true)
}
