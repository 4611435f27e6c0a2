//! Options of one side under kcptun's own names, and the plan made of them.

use super::Refusal;
use super::file::WrapKeys;
use super::rules::refuse_if;
use crate::plan::SidePlan;
use engine::crypt::Cipher;
use engine::settings::Mode;
use engine::{Generation, Settings};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// kcptun's JSON keys (CLI-1), karst's own, and which kcp-go the end behaves like.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    pub(super) key: Option<String>,
    pub(super) crypt: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) nodelay: Option<i64>,
    pub(super) interval: Option<i64>,
    pub(super) resend: Option<i64>,
    pub(super) nc: Option<i64>,
    pub(super) mtu: Option<i64>,
    pub(super) sndwnd: Option<i64>,
    pub(super) rcvwnd: Option<i64>,
    pub(super) datashard: Option<i64>,
    pub(super) parityshard: Option<i64>,
    pub(super) nocomp: Option<bool>,
    pub(super) acknodelay: Option<bool>,
    pub(super) smuxver: Option<i64>,
    pub(super) smuxbuf: Option<i64>,
    pub(super) framesize: Option<i64>,
    pub(super) streambuf: Option<i64>,
    pub(super) keepalive: Option<i64>,
    pub(super) qpp: Option<bool>,
    #[serde(rename = "qpp-count")]
    pub(super) qpp_count: Option<i64>,
    pub(super) ratelimit: Option<i64>,
    #[serde(rename = "no-probe")]
    pub(super) no_probe: Option<bool>,
    #[serde(rename = "no-migrate")]
    pub(super) no_migrate: Option<bool>,
    #[serde(rename = "no-announce")]
    pub(super) no_announce: Option<bool>,
    pub(super) generation: Option<GenerationKey>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(super) enum GenerationKey {
    #[serde(rename = "2021")]
    Go2021,
    #[serde(rename = "2026")]
    Go2026,
}

pub(super) fn plan(
    at: &str,
    options: Options,
    defaults: Settings,
    wrap: WrapKeys,
) -> Result<SidePlan, Refusal> {
    let (generation, no_announce) = (options.generation, options.no_announce);
    let settings = settings(at, options, defaults)?;
    let mut config = settings.tunnel_config().map_err(|e| (format!("{at}.{}", e.flag), e.reason))?;
    if let Some(GenerationKey::Go2021) = generation {
        config.generation = Generation::Go2021;
    }
    config.first_sn = 0_u32.wrapping_sub(wrap.segments.unwrap_or(0));
    if let (Some(shape), Some(shards)) = (config.fec, wrap.shards.filter(|&shards| shards > 0)) {
        let groups = shards.div_ceil(shape.total() as u32);
        config.first_shard = shape.paws().saturating_sub(groups.saturating_mul(shape.total() as u32));
    }
    config.mux.announce = no_announce != Some(true);
    Ok(SidePlan { settings, config: Arc::new(config) })
}

fn settings(at: &str, options: Options, defaults: Settings) -> Result<Settings, Refusal> {
    let crypt = options.crypt.map(|name| cipher(at, &name)).transpose()?;
    let mode = options.mode.map(|name| mode(at, &name)).transpose()?;
    let defaults = if mode == Some(Mode::Auto) { defaults.for_auto() } else { defaults };
    Ok(Settings {
        key: options.key.unwrap_or(defaults.key),
        crypt: crypt.unwrap_or(defaults.crypt),
        mode: mode.unwrap_or(defaults.mode),
        nodelay: options.nodelay.unwrap_or(defaults.nodelay),
        interval: options.interval.unwrap_or(defaults.interval),
        resend: options.resend.unwrap_or(defaults.resend),
        nc: options.nc.unwrap_or(defaults.nc),
        mtu: options.mtu.unwrap_or(defaults.mtu),
        sndwnd: options.sndwnd.unwrap_or(defaults.sndwnd),
        rcvwnd: options.rcvwnd.unwrap_or(defaults.rcvwnd),
        datashard: options.datashard.unwrap_or(defaults.datashard),
        parityshard: options.parityshard.unwrap_or(defaults.parityshard),
        nocomp: options.nocomp.unwrap_or(defaults.nocomp),
        acknodelay: options.acknodelay.unwrap_or(defaults.acknodelay),
        smuxver: options.smuxver.unwrap_or(defaults.smuxver),
        smuxbuf: options.smuxbuf.unwrap_or(defaults.smuxbuf),
        framesize: options.framesize.unwrap_or(defaults.framesize),
        streambuf: options.streambuf.unwrap_or(defaults.streambuf),
        keepalive: options.keepalive.unwrap_or(defaults.keepalive),
        qpp: options.qpp.unwrap_or(defaults.qpp),
        qpp_count: options.qpp_count.unwrap_or(defaults.qpp_count),
        ratelimit: options.ratelimit.unwrap_or(defaults.ratelimit),
        probe: options.no_probe.map_or(defaults.probe, |off| !off),
        migrate: options.no_migrate.map_or(defaults.migrate, |off| !off),
    })
}

/// kcptun takes unknown ciphers for aes; a scenario that says one thing and runs another is refused instead.
fn cipher(at: &str, name: &str) -> Result<Cipher, Refusal> {
    Cipher::from_name(name).ok_or_else(|| (format!("{at}.crypt"), format!("unknown cipher `{name}`")))
}

/// kcptun takes unknown modes for manual; a scenario must say so.
fn mode(at: &str, name: &str) -> Result<Mode, Refusal> {
    let mode = Mode::from_name(name);
    let unknown = mode == Mode::Manual && name != "manual";
    refuse_if(unknown, format!("{at}.mode"), "must be normal, fast, fast2, fast3, auto or manual")?;
    Ok(mode)
}
