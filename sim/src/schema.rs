//! JSON Schemas of scenario files, results and recordings, generated from the types that read and write them.

use crate::outcome::Results;
use crate::record::{Event, Header};
use crate::scenario::file_schema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The schema of scenario files, draft 2020-12.
pub fn scenario() -> Value {
    let mut schema = file_schema();
    let range = json!({
        "description": "A value drawn per seed, both ends included.",
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]+)?\.\.[0-9]+(\.[0-9]+)?$"
    });
    let choice = json!({
        "description": "One of these, drawn per seed.",
        "type": "object",
        "properties": { "choice": { "type": "array", "minItems": 1 } },
        "required": ["choice"],
        "additionalProperties": false
    });
    // The seed itself cannot be drawn.
    let seed = schema["properties"]["seed"].clone();
    leave_to_seed(&mut schema);
    schema["properties"]["seed"] = seed;
    schema["title"] = "karst scenario".into();
    schema["$defs"]["range"] = range;
    schema["$defs"]["choice"] = choice;
    schema
}

/// The schema of results files, draft 2020-12.
pub fn results() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Results>().to_value();
    schema["title"] = "karst-sim results".into();
    schema
}

/// The schema of one line of a recording, draft 2020-12.
pub fn events() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let lines = [generator.subschema_for::<Header>(), generator.subschema_for::<Event>()];
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a line of a karst-sim recording",
        "anyOf": lines,
        "$defs": generator.take_definitions(true),
    })
}

/// Allows a choice for every value of a key or an array, and a range for every number.
fn leave_to_seed(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for (key, inside) in object.iter_mut() {
        match (key.as_str(), inside) {
            ("properties" | "$defs", Value::Object(entries)) => {
                let is_key = key == "properties";
                entries.values_mut().for_each(|entry| {
                    leave_to_seed(entry);
                    if is_key {
                        *entry = drawable(entry.take());
                    }
                });
            }
            ("items" | "additionalProperties", entry @ Value::Object(_)) => {
                leave_to_seed(entry);
                *entry = drawable(entry.take());
            }
            ("prefixItems", Value::Array(entries)) => entries.iter_mut().for_each(|entry| {
                leave_to_seed(entry);
                *entry = drawable(entry.take());
            }),
            ("anyOf" | "oneOf" | "allOf", Value::Array(entries)) => {
                entries.iter_mut().for_each(leave_to_seed)
            }
            _ => {}
        }
    }
}

fn drawable(schema: Value) -> Value {
    let mut moved = Map::new();
    let mut own = schema;
    if let Some(description) = own.as_object_mut().and_then(|own| own.remove("description")) {
        moved.insert("description".into(), description);
    }
    let mut ways = vec![own, json!({ "$ref": "#/$defs/choice" })];
    if may_be_number(&ways[0]) {
        ways.push(json!({ "$ref": "#/$defs/range" }));
    }
    moved.insert("anyOf".into(), ways.into());
    Value::Object(moved)
}

/// Whether the schema admits a number. Definitions are either of numbers or of objects and strings; only numbers have names
/// of units.
fn may_be_number(schema: &Value) -> bool {
    let is_number = |kind: &Value| kind == "integer" || kind == "number";
    let by_type = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(is_number),
        kind => is_number(kind),
    };
    let by_name = schema["$ref"].as_str().is_some_and(|name| {
        ["milliseconds", "percent", "count", "over_time", "clock"].iter().any(|unit| name.contains(unit))
    });
    by_type || by_name || schema["anyOf"].as_array().is_some_and(|ways| ways.iter().any(may_be_number))
}
