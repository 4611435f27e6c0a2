//! The settings of a scenario as command-line flags of a kcptun program.

use engine::Settings;
use engine::options::{Side, Value};

/// The flags of `settings`, for kcptun of any age: options that Debian's of 2021 lacks, and expert options, are given only
/// where they differ from the default. Programs other than karst refuse karst's own flags.
pub fn flags(settings: &Settings) -> Vec<String> {
    let mut words = Vec::new();
    for flag in Settings::TABLE {
        let value = settings.value(flag);
        let default = flag.default_for(Side::Client).or_else(|| flag.default_for(Side::Server));
        let is_known = flag.since == 2021 && !flag.expert;
        match value {
            Some(Value::Bool(true)) => words.push(format!("--{}", flag.name)),
            Some(Value::Bool(false)) | None => {}
            Some(value) if is_known || default.as_ref() != Some(&value) => {
                words.extend([format!("--{}", flag.name), value.to_string()]);
            }
            Some(_) => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::options::Mode;

    #[test]
    fn an_old_kcptun_gets_no_flag_it_lacks_unless_the_scenario_needs_it() {
        let text = flags(&Settings::client()).join(" ");
        assert!(text.contains("--mode fast") && text.contains("--smuxver 2"), "{text}");
        for newer in ["QPP", "framesize", "ratelimit", "nocomp", "nodelay", "no-probe"] {
            assert!(!text.contains(newer), "{text}");
        }
        let settings = Settings {
            framesize: 4096,
            nocomp: true,
            no_probe: true,
            mode: Mode::Manual,
            nc: 1,
            ..Settings::client()
        };
        let text = flags(&settings).join(" ");
        for given in ["--framesize 4096", "--nocomp", "--mode manual", "--nc 1", "--no-probe"] {
            assert!(text.contains(given), "{given}: {text}");
        }
    }
}
