//! A scenario file as a whole: its top-level keys, and the plan made of them.

use super::expect::Expect;
use super::hosts::HostsKeys;
use super::links::Links;
use super::rules::{DAY_US, filled, refuse_if, within};
use super::sides::Options;
use super::work::Workload;
use super::{Refusal, Scenario, expect, hosts, links, sides, work};
use crate::baseline::Baseline;
use crate::units::Millis;
use engine::Settings;
use engine::crypt::Cipher;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) seed: u64,
    pub(super) duration_ms: Millis,
    #[serde(default = "default_drain")]
    pub(super) drain_ms: Millis,
    pub(super) links: Links,
    #[serde(default)]
    pub(super) hosts: HostsKeys,
    #[serde(default)]
    pub(super) client: Options,
    #[serde(default)]
    pub(super) server: Options,
    pub(super) workloads: Vec<Workload>,
    pub(super) baseline: Option<BaselineKey>,
    #[serde(default)]
    pub(super) expect: Expect,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BaselineKey {
    Cubic,
    Reno,
}

fn default_drain() -> Millis {
    Millis { us: 30_000_000 }
}

pub(super) fn build(file: File) -> Result<Scenario, Refusal> {
    filled("name", &file.name)?;
    filled("description", &file.description)?;
    within("duration_ms", file.duration_ms.us, 1_000, DAY_US, "between 1 ms and a day")?;
    within("drain_ms", file.drain_ms.us, 1_000, DAY_US, "between 1 ms and a day")?;
    let work = work::plan(file.workloads)?;
    let scenario = Scenario {
        name: file.name,
        description: file.description,
        seed: file.seed,
        duration_us: file.duration_ms.us,
        drain_us: file.drain_ms.us,
        up: links::plan("links.up", &file.links.up)?,
        down: links::plan("links.down", &file.links.down)?,
        hosts: hosts::plan(&file.hosts)?,
        client: sides::plan("client", file.client, Settings::client())?,
        server: sides::plan("server", file.server, Settings::server())?,
        expect: expect::plan(&file.expect, &work)?,
        work,
        baseline: file.baseline.map(|key| match key {
            BaselineKey::Cubic => Baseline::Cubic,
            BaselineKey::Reno => Baseline::Reno,
        }),
        planted: None,
    };
    damage_is_noticed(&scenario)?;
    Ok(scenario)
}

/// Without a checksum, flipped bits reach the applications, which is no fault of the tunnel.
fn damage_is_noticed(scenario: &Scenario) -> Result<(), Refusal> {
    let unchecked =
        [&scenario.client, &scenario.server].iter().any(|side| side.settings.crypt == Cipher::Null);
    for (at, link) in [("links.up", &scenario.up), ("links.down", &scenario.down)] {
        let damages = link.corrupt_ppm.values().any(|ppm| ppm > 0);
        let reason = "needs a cipher with a checksum, and crypt null has none";
        refuse_if(unchecked && damages, format!("{at}.corrupt_pct"), reason)?;
    }
    Ok(())
}
