//! The settings of a scenario as command-line flags of a kcptun program.

use engine::Settings;
use engine::settings::Mode;

/// The flags of `settings`, for kcptun of any age: what Debian's of 2021 does not know is given only where it differs from the
/// default. karst's own flags are given where the scenario asks for them, and refused by any other program.
pub fn flags(settings: &Settings) -> Vec<String> {
    let defaults = Settings::client();
    let mut flags = Vec::new();
    let mut add = |name: &str, value: String| flags.extend([format!("--{name}"), value]);
    add("key", settings.key.clone());
    add("crypt", settings.crypt.name().to_owned());
    add("mode", mode(settings.mode).to_owned());
    if settings.mode == Mode::Manual {
        add("nodelay", settings.nodelay.to_string());
        add("interval", settings.interval.to_string());
        add("resend", settings.resend.to_string());
        add("nc", settings.nc.to_string());
    }
    let numbers = [
        ("mtu", settings.mtu),
        ("sndwnd", settings.sndwnd),
        ("rcvwnd", settings.rcvwnd),
        ("datashard", settings.datashard),
        ("parityshard", settings.parityshard),
        ("smuxver", settings.smuxver),
        ("smuxbuf", settings.smuxbuf),
        ("streambuf", settings.streambuf),
        ("keepalive", settings.keepalive),
    ];
    numbers.iter().for_each(|(name, value)| add(name, value.to_string()));
    let newer = [
        ("framesize", settings.framesize, defaults.framesize),
        ("QPPCount", settings.qpp_count, defaults.qpp_count),
        ("ratelimit", settings.ratelimit, defaults.ratelimit),
    ];
    newer.iter().filter(|(_, value, default)| value != default).for_each(|(name, value, _)| {
        add(name, value.to_string());
    });
    let switches = [("nocomp", settings.nocomp), ("acknodelay", settings.acknodelay), ("QPP", settings.qpp)];
    let own = [("no-probe", !settings.probe), ("no-migrate", !settings.migrate)];
    let on = switches.iter().chain(&own).filter(|(_, on)| *on);
    flags.extend(on.map(|(name, _)| format!("--{name}")));
    flags
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Normal => "normal",
        Mode::Fast => "fast",
        Mode::Fast2 => "fast2",
        Mode::Fast3 => "fast3",
        Mode::Auto => "auto",
        Mode::Manual => "manual",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kcptun_gets_nothing_it_does_not_know_unless_asked_for() {
        let text = flags(&Settings::client()).join(" ");
        assert!(text.contains("--mode fast") && text.contains("--smuxver 2"), "{text}");
        for newer in ["QPP", "framesize", "ratelimit", "nocomp"] {
            assert!(!text.contains(newer), "{text}");
        }
        let settings =
            Settings { framesize: 4096, nocomp: true, mode: Mode::Manual, nc: 1, ..Settings::client() };
        let text = flags(&settings).join(" ");
        assert!(text.contains("--framesize 4096") && text.contains("--nocomp"), "{text}");
        assert!(text.contains("--mode manual --nodelay 0 --interval 50 --resend 0 --nc 1"), "{text}");
    }
}
