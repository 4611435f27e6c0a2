//! The environment of a shadowsocks plugin (CLI-38; SIP003).

use super::Config;
use crate::flags::{self, Side, UsageError};

/// Why the environment of a plugin was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// Some variables are there, but not this one.
    #[error("{0} is not set, but other variables of a plugin are")]
    Missing(&'static str),
    /// One of the options.
    #[error("SS_PLUGIN_OPTIONS: {0}")]
    Option(#[from] UsageError),
}

const OPTIONS: &str = "SS_PLUGIN_OPTIONS";
const ADDRESSES: [&str; 4] = ["SS_REMOTE_HOST", "SS_REMOTE_PORT", "SS_LOCAL_HOST", "SS_LOCAL_PORT"];

/// What the environment gave.
#[derive(Debug, Default)]
pub(super) struct Plugin {
    /// Options named in SS_PLUGIN_OPTIONS.
    pub(super) names: Vec<&'static str>,
    /// Options the four addresses gave, and by which variable.
    pub(super) addresses: Vec<(&'static str, &'static str)>,
}

/// Stores what shadowsocks says, if it started this program. The remote end is the server's own for both programs: the
/// client dials it, the server listens on it.
pub(super) fn apply(
    environment: &impl Fn(&str) -> Option<String>,
    config: &mut Config,
) -> Result<Plugin, PluginError> {
    let values = ADDRESSES.map(environment);
    let mut plugin = Plugin::default();
    if values.iter().all(Option::is_none) {
        return Ok(plugin);
    }
    if let Some((name, _)) = ADDRESSES.into_iter().zip(&values).find(|(_, value)| value.is_none()) {
        return Err(PluginError::Missing(name));
    }
    let [remote_host, remote_port, local_host, local_port] = values.map(Option::unwrap_or_default);
    let (remote, local) = (join(&remote_host, &remote_port), join(&local_host, &local_port));
    let (for_local, for_remote) = match config.side {
        Side::Client => ("localaddr", "remoteaddr"),
        Side::Server => ("target", "listen"),
    };
    match config.side {
        Side::Client => (config.listen, config.remote) = (local, remote),
        Side::Server => (config.target, config.listen) = (local, remote),
    }
    plugin.addresses = vec![(for_local, "SS_LOCAL_HOST"), (for_remote, "SS_REMOTE_HOST")];
    let words: Vec<String> = split(&environment(OPTIONS).unwrap_or_default())
        .into_iter()
        // The host application talks to other plugins this way.
        .filter(|(key, _)| !key.starts_with("__"))
        .map(|(key, value)| value.map_or(format!("--{key}"), |value| format!("--{key}={value}")))
        .collect();
    plugin.names = flags::parse(config.side, &words, config)?.names;
    Ok(plugin)
}

/// Servers of several addresses (`::|0.0.0.0`) listen on all there are.
fn join(host: &str, port: &str) -> String {
    match host {
        host if host.contains('|') => format!(":{port}"),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// Keys and values of `key=value;flag`; a backslash makes the next character an ordinary one.
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
