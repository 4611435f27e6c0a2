//! `karst-sim list`.

use super::{load, scenario_files, to_stdout};
use sim::report::wrapped;
use std::path::{Path, PathBuf};

const WIDTH: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of scenario files; themes are its subfolders.
    #[arg(value_name = "DIR", default_value = "scenarios")]
    folder: PathBuf,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    let mut theme = None;
    let mut out = String::new();
    for path in scenario_files(&args.folder)? {
        let file = load(&path)?;
        let of_file = theme_of(&args.folder, &path);
        if theme.as_ref() != Some(&of_file) {
            out.push_str(&format!("{}{of_file}\n", if theme.is_some() { "\n" } else { "" }));
            theme = Some(of_file);
        }
        out.push_str(&entry(&path, file.name(), file.description()));
    }
    to_stdout(&out).map(|()| true)
}

/// Theme of a file: its folder below `root`.
fn theme_of(root: &Path, path: &Path) -> String {
    let folder = path.parent().and_then(|folder| folder.strip_prefix(root).ok());
    match folder {
        Some(folder) if folder != Path::new("") => folder.display().to_string(),
        _ => "general".into(),
    }
}

fn entry(path: &Path, name: &str, description: &str) -> String {
    let mut out = format!("  {name}  ({})\n", path.display());
    for line in wrapped(description, WIDTH - 6) {
        out.push_str(&format!("      {line}\n"));
    }
    out
}
