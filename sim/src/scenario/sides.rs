//! Options of one side under kcptun's JSON keys, and the plan made of them.

use super::Refusal;
use super::file::WrapKeys;
use crate::plan::SidePlan;
use engine::options::{Governor, Kind, Mode, Side, Typed, Value};
use engine::{Generation, Settings};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use std::borrow::Cow;
use std::sync::Arc;

/// The JSON keys of the engine's options (CLI-1), and two that only simulated ends have: `generation`, the kcp-go that the end
/// behaves like, and `no-announce`, whether it withholds karst's announcement.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Options(Map<String, Json>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GenerationKey {
    Go2021,
    Go2026,
}

engine::named! { GenerationKey { Go2021 = "2021", Go2026 = "2026", } }

pub(super) fn plan(at: &str, options: &Options, side: Side, wrap: WrapKeys) -> Result<SidePlan, Refusal> {
    let (mut announce, mut generation) = (true, None);
    let mut given = Vec::new();
    for (key, json) in options.0.iter().filter(|(_, json)| !json.is_null()) {
        let refuse = |reason| (format!("{at}.{key}"), reason);
        match key.as_str() {
            "no-announce" => {
                announce = !value(json, Kind::Bool).and_then(|v| bool::read(&v)).map_err(refuse)?
            }
            "generation" => {
                let key = value(json, Kind::Text).and_then(|v| GenerationKey::read(&v)).map_err(refuse)?;
                generation = Some(match key {
                    GenerationKey::Go2021 => Generation::Go2021,
                    GenerationKey::Go2026 => Generation::Go2026,
                });
            }
            key => {
                let flag = Settings::TABLE.iter().find(|flag| flag.json == Some(key));
                let flag = flag.ok_or_else(|| refuse(unknown(key)))?;
                given.push((flag, value(json, flag.kind).map_err(refuse)?));
            }
        }
    }
    let refuse = |name: &str, reason| {
        let flag = Settings::TABLE.iter().find(|flag| flag.name == name);
        (format!("{at}.{}", flag.and_then(|flag| flag.json).unwrap_or(name)), reason)
    };
    let mode = given.iter().find(|(flag, _)| flag.name == "mode").map(|(_, value)| Mode::read(value));
    let mode = mode.transpose().map_err(|reason| refuse("mode", reason))?;
    let compat = given.iter().find(|(flag, _)| flag.name == "compat").map(|(_, value)| Option::read(value));
    let compat = compat.transpose().map_err(|reason| refuse("compat", reason))?.flatten();
    let mut settings = Settings::toward(side, mode.unwrap_or(Mode::Fast), compat);
    // An end that behaves like a kcp-go has its sender.
    if generation.is_some() && settings.mode != Mode::Auto {
        settings.governor = Governor::Off;
    }
    for (flag, value) in &given {
        settings.set(flag, value).map_err(|reason| refuse(flag.name, reason))?;
    }
    let mut config = settings.tunnel_config().map_err(|error| refuse(error.flag, error.reason))?;
    config.generation = generation.unwrap_or(config.generation);
    config.first_sn = 0_u32.wrapping_sub(wrap.segments.unwrap_or(0));
    if let (Some(shape), Some(shards)) = (config.fec, wrap.shards.filter(|&shards| shards > 0)) {
        let groups = shards.div_ceil(shape.total() as u32);
        config.first_shard = shape.paws().saturating_sub(groups.saturating_mul(shape.total() as u32));
    }
    config.mux.announce = announce;
    Ok(SidePlan { settings, config: Arc::new(config) })
}

/// The value of an option of that kind.
fn value(json: &Json, kind: Kind) -> Result<Value, String> {
    match json {
        Json::String(text) => Ok(Value::Text(text.clone().into())),
        Json::Bool(on) => Ok(Value::Bool(*on)),
        Json::Number(number) => {
            number.as_i64().map(Value::Int).ok_or_else(|| kind.refuse(&number.to_string()))
        }
        Json::Array(_) => Err(kind.refuse("an array")),
        Json::Object(_) => Err(kind.refuse("an object")),
        Json::Null => Err(kind.refuse("null")),
    }
}

fn unknown(key: &str) -> String {
    let known: Vec<&str> = Settings::TABLE.iter().filter_map(|flag| flag.json).collect();
    format!("unknown field `{key}`, expected one of {}, no-announce, generation", known.join(", "))
}

impl JsonSchema for Options {
    fn schema_name() -> Cow<'static, str> {
        "Options".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let entry = |kind: Kind, words: Vec<&str>, description: &str| match kind {
            Kind::Int => {
                json!({ "description": description, "type": ["integer", "null"], "format": "int64" })
            }
            Kind::Bool => json!({ "description": description, "type": ["boolean", "null"] }),
            Kind::Text if words.is_empty() => {
                json!({ "description": description, "type": ["string", "null"] })
            }
            Kind::Text => json!({ "description": description, "type": "string", "enum": words }),
        };
        let mut properties: Map<String, Json> = Settings::TABLE
            .iter()
            .filter_map(|flag| Some((flag.json?.to_owned(), entry(flag.kind, flag.words(), &flag.help()))))
            .collect();
        let announce = "Withhold karst's announcement: no stream is paused, credited or stopped by itself.";
        properties.insert("no-announce".into(), entry(Kind::Bool, Vec::new(), announce));
        let generation = entry(Kind::Text, GenerationKey::words(), "The kcp-go that this end behaves like.");
        properties.insert("generation".into(), generation);
        json_schema!({
            "description": "kcptun's JSON keys, karst's own, and the kcp-go that the end behaves like.",
            "type": "object",
            "properties": properties,
            "additionalProperties": false
        })
    }
}
