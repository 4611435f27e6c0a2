//! A scenario file as a whole: its top-level keys, and the plan made of them.

use super::adversary::Attack;
use super::expect::Expect;
use super::faults::{Fault, NatKeys};
use super::hosts::HostsKeys;
use super::links::Links;
use super::rules::{DAY_US, MONTH_US, filled, refuse_if, within};
use super::sides::Options;
use super::{Refusal, adversary, expect, faults, hosts, links, sides, work};
use crate::Direction;
use crate::plan::{Act, Baseline, BulkPlan, FaultKind, FaultPlan, LinkPlan, Scenario, WorkKind, WorkPlan};
use crate::units::Millis;
use engine::crypt::Cipher;
use engine::options::Side;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Short name.
    pub(super) name: String,
    /// One sentence.
    pub(super) description: String,
    /// Seed of the run unless another is given; a run with the same file and seed is the same.
    pub(super) seed: u64,
    /// The sources stop then, or when every workload with `bytes` is done.
    pub(super) duration_ms: Millis,
    /// Time for the rest to arrive once the sources have stopped and nothing is cut any more; without it as long as the rest of the file explains.
    pub(super) drain_ms: Option<Millis>,
    /// The network, one link for each direction.
    pub(super) links: Links,
    /// The datagrams travel as forged TCP segments, with headers of 40 bytes instead of 28.
    #[serde(default)]
    pub(super) forged_tcp: bool,
    /// The machines of the two sides.
    #[serde(default)]
    pub(super) hosts: HostsKeys,
    /// The client's options: kcptun's JSON keys, and karst's own.
    #[serde(default)]
    pub(super) client: Options,
    /// The server's options: kcptun's JSON keys, and karst's own.
    #[serde(default)]
    pub(super) server: Options,
    /// What goes wrong, and when.
    #[serde(default)]
    pub(super) faults: Vec<Fault>,
    /// The client's address translator.
    #[serde(default)]
    pub(super) nat: NatKeys,
    /// A machine without the key that observes the datagrams of both links and sends its own.
    #[serde(default)]
    pub(super) adversary: Vec<Attack>,
    /// The applications, each on streams of its own.
    pub(super) workloads: Vec<WorkPlan>,
    /// Numbers begin shortly before they wrap.
    #[serde(default)]
    pub(super) wrap_after: WrapKeys,
    /// The same work over direct TCP instead of the tunnel.
    pub(super) baseline: Option<BaselineKey>,
    /// What the run must measure.
    #[serde(default)]
    pub(super) expect: Expect,
}

/// How many numbers are left before they wrap.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrapKeys {
    /// Numbers left before those of KCP's segments wrap; both sides begin there, where kcptun begins at 0.
    pub(super) segments: Option<u32>,
    /// Numbers left before those of FEC's shards wrap.
    pub(super) shards: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BaselineKey {
    Cubic,
    Bbr,
    Reno,
}

pub(super) fn build(file: File) -> Result<Scenario, Refusal> {
    filled("name", &file.name)?;
    filled("description", &file.description)?;
    within("duration_ms", file.duration_ms.us, 1_000, MONTH_US, "between 1 ms and 30 days")?;
    let drain_us = file.drain_ms.map(|drain| drain.us);
    within("drain_ms", drain_us.unwrap_or(DAY_US), 1_000, DAY_US, "between 1 ms and a day")?;
    let work = file.workloads;
    work::check(&work, file.duration_ms.us)?;
    let scenario = Scenario {
        name: file.name,
        description: file.description,
        seed: file.seed,
        duration_us: file.duration_ms.us,
        drain_us,
        up: links::plan("links.up", &file.links.up, file.forged_tcp)?,
        down: links::plan("links.down", &file.links.down, file.forged_tcp)?,
        faults: faults::plan(&file.faults, file.duration_ms.us)?,
        nat: faults::nat(&file.nat)?,
        adversary: adversary::plan(&file.adversary, file.duration_ms.us)?,
        hosts: hosts::plan(&file.hosts)?,
        client: sides::plan("client", &file.client, Side::Client, file.wrap_after)?,
        server: sides::plan("server", &file.server, Side::Server, file.wrap_after)?,
        expect: expect::plan(&file.expect, &work)?,
        work,
        baseline: file.baseline.map(|key| match key {
            BaselineKey::Cubic => Baseline::Cubic,
            BaselineKey::Bbr => Baseline::Bbr,
            BaselineKey::Reno => Baseline::Reno,
        }),
        planted: None,
        links_seed: None,
    };
    damage_is_noticed(&scenario)?;
    let announces = [&scenario.client, &scenario.server].map(|side| side.config.mux.announce);
    refuse_if(announces[0] != announces[1], "server.no-announce".into(), "must be as the client has it")?;
    let compared = scenario.baseline.is_some() && !scenario.faults.is_empty();
    refuse_if(compared, "faults".into(), "direct TCP, the baseline, has none")?;
    let attacked = scenario.baseline.is_some() && scenario.adversary.ends_us() > 0;
    refuse_if(attacked, "adversary".into(), "direct TCP, the baseline, has none")?;
    Ok(scenario)
}

/// Without a checksum and a nonce, flipped bits and a side's own datagrams reach the applications, which is no fault of the tunnel.
fn damage_is_noticed(scenario: &Scenario) -> Result<(), Refusal> {
    let unchecked =
        [&scenario.client, &scenario.server].iter().any(|side| side.settings.crypt == Cipher::Null);
    let reason = "needs a cipher with a checksum, and crypt null has none";
    let is_damage = |fault: &FaultPlan| matches!(fault.kind, FaultKind::Corruption { .. });
    if let Some(index) = scenario.faults.iter().position(is_damage) {
        refuse_if(unchecked, format!("faults[{index}].corruption"), reason)?;
    }
    let changes = |act| matches!(act, Act::Tamper | Act::Garbage | Act::Reflect);
    if let Some(index) = scenario.adversary.attacks.iter().position(|attack| changes(attack.act)) {
        let act = scenario.adversary.attacks[index].act;
        refuse_if(unchecked, format!("adversary[{index}].{act}"), reason)?;
    }
    for (at, link) in [("links.up", &scenario.up), ("links.down", &scenario.down)] {
        let damages = link.corrupt_ppm.values().any(|ppm| ppm > 0);
        refuse_if(unchecked && damages, format!("{at}.corrupt_pct"), reason)?;
    }
    Ok(())
}

/// In the simulator, a transfer without end fills a link without rate and delay at one instant.
pub(super) fn time_passes(scenario: &Scenario) -> Result<(), Refusal> {
    let at_once = |link: &LinkPlan| link.delay_us.values().min() == Some(0);
    let round_trip = !(at_once(&scenario.up) && at_once(&scenario.down));
    for work in &scenario.work {
        let WorkKind::Bulk(BulkPlan { direction, bytes: None, .. }) = &work.kind else { continue };
        let (link, at, sender) = match direction {
            Direction::Up => (&scenario.up, "links.up", &scenario.client),
            Direction::Down => (&scenario.down, "links.down", &scenario.server),
        };
        let takes_time = [&scenario.hosts.client, &scenario.hosts.server]
            .into_iter()
            .any(|host| host.cpu_us_per_datagram.values().any(|us| us > 0));
        let limited = link.queue.is_some() || link.policer.is_some() || sender.config.rate_bytes_s > 0;
        let unlimited = !limited && !takes_time;
        refuse_if(
            unlimited && !round_trip,
            at.into(),
            "needs rate_kbit or delay_ms: a bulk transfer without bytes would not let time pass",
        )?;
    }
    Ok(())
}

/// The schema of the file as it is read, when everything is drawn.
pub(crate) fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}
