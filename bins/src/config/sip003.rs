//! The environment of a shadowsocks plugin (CLI-38; SIP003).

use super::given::{Given, Origin};
use crate::flags::{self, Side, UsageError};
use engine::options::Value;

/// Why the environment of a plugin was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// This variable is missing, although others of a plugin are set.
    #[error("{0} is not set, but other variables of a plugin are")]
    Missing(&'static str),
    /// An option in `SS_PLUGIN_OPTIONS`.
    #[error("SS_PLUGIN_OPTIONS: {0}")]
    Option(#[from] UsageError),
}

const OPTIONS: &str = "SS_PLUGIN_OPTIONS";
const ADDRESSES: [&str; 4] = ["SS_REMOTE_HOST", "SS_REMOTE_PORT", "SS_LOCAL_HOST", "SS_LOCAL_PORT"];

/// Whether a host of plugins started this program.
pub fn is_plugin(environment: &impl Fn(&str) -> Option<String>) -> bool {
    ADDRESSES.into_iter().any(|name| environment(name).is_some())
}

/// Adds the addresses and options of the environment, and returns whether shadowsocks started this program. Options of the
/// other side and unknown ones are named in `warnings`, as in a JSON file (CLI-13). The remote end is the address of
/// this program's server for both programs: the client dials it, the server listens on it.
pub(super) fn read(
    environment: &impl Fn(&str) -> Option<String>,
    side: Side,
    given: &mut Given,
    warnings: &mut Vec<String>,
) -> Result<bool, PluginError> {
    let values = ADDRESSES.map(environment);
    if !is_plugin(environment) {
        return Ok(false);
    }
    if let Some((name, _)) = ADDRESSES.into_iter().zip(&values).find(|(_, value)| value.is_none()) {
        return Err(PluginError::Missing(name));
    }
    let [remote_host, remote_port, local_host, local_port] = values.map(Option::unwrap_or_default);
    let (for_local, for_remote) = match side {
        Side::Client => ("localaddr", "remoteaddr"),
        Side::Server => ("target", "listen"),
    };
    let mut add = |name, address: String, variable| {
        let flag = flags::find(side, name).map(|flag| (flag, Value::Text(address.into())));
        given.add(flag, &Origin::Environment(variable));
    };
    add(for_local, join(&local_host, &local_port), "SS_LOCAL_HOST");
    add(for_remote, join(&remote_host, &remote_port), "SS_REMOTE_HOST");
    let mut words = Vec::new();
    for (written, value) in split(&environment(OPTIONS).unwrap_or_default()) {
        let key = written.trim();
        match flags::find(side, key) {
            // Keys that the host application addresses to other plugins.
            _ if key.starts_with("__") => continue,
            None => {
                warnings.push(format!("{OPTIONS}: unknown option {key:?} ignored"));
                continue;
            }
            Some(_) if key != written => warnings.push(format!("{OPTIONS}: blanks around {key:?} ignored")),
            Some(_) => {}
        }
        words.push(value.map_or(format!("--{key}"), |value| format!("--{key}={value}")));
    }
    given.add(flags::parse(side, &words)?.given, &Origin::Plugin);
    Ok(true)
}

/// Whether a host of plugins adds the word to the command line: `--fast-open`, and `-V` on Android. Neither changes what
/// this program does: TCP fast open concerns the host's own sockets, and the tunnel's sockets are UDP.
pub(super) fn is_of_host(word: &str) -> bool {
    matches!(word, "--fast-open" | "-fast-open" | "-V")
}

/// `HOST:PORT`; a server with several addresses (`::|0.0.0.0`) listens on all addresses of the machine.
fn join(host: &str, port: &str) -> String {
    match host {
        host if host.contains('|') => format!(":{port}"),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// Keys and values of `key=value;flag`; a backslash escapes the next character.
fn split(text: &str) -> Vec<(String, Option<String>)> {
    let mut found = vec![(String::new(), None)];
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let Some((key, value)) = found.last_mut() else { break };
        match (c, &mut *value) {
            (';', _) => found.push((String::new(), None)),
            ('=', None) => *value = Some(String::new()),
            (c, part) => {
                let c = if c == '\\' { rest.next().unwrap_or(c) } else { c };
                part.as_mut().unwrap_or(key).push(c);
            }
        }
    }
    found.retain(|(key, value)| !key.is_empty() || value.is_some());
    found
}

#[cfg(test)]
mod tests {
    // CLI-38
    #[test]
    fn options_split_at_what_is_not_escaped() {
        let split = |text: &str| -> Vec<String> {
            super::split(text).into_iter().map(|(key, value)| format!("{key}>{value:?}")).collect()
        };
        assert_eq!(split("mode=fast2;nocomp"), ["mode>Some(\"fast2\")", "nocomp>None"]);
        assert_eq!(split(r"key=a\;b\=c\\d=e;"), [r#"key>Some("a;b=c\\d=e")"#]);
        assert_eq!(split(r"k\=y=v;;="), ["k=y>Some(\"v\")", ">Some(\"\")"]);
        assert_eq!(split("").len(), 0);
        assert_eq!(split("\\"), ["\\>None"]);
    }
}
