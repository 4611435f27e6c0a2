//! Every field of an outcome, every kind of event, every cause and every option reaches the rendered pages. The runs are
//! generated from the simulator's schemas, so a new field fails here until pages show it.

use crate::common::{file, report, text};
use crate::page::show;
use engine::Cause;
use serde_json::{Map, Value, json};
use sim::outcome::Results;
use sim::schema;
use std::collections::BTreeSet;

/// A value that `schema` admits, with every property, and with every variant in lists.
fn instance(schema: &Value, root: &Value) -> Value {
    let schema = resolved(schema, root);
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    let mut object = Map::new();
    for (key, of) in schema["properties"].as_object().into_iter().flatten() {
        let value = if key == "peer" { "10.0.0.2:29900".into() } else { instance(of, root) };
        object.insert(key.clone(), value);
    }
    if schema["$ref"].is_string() {
        let base = instance(&json!({ "$ref": schema["$ref"] }), root);
        object.extend(base.as_object().unwrap().clone());
    }
    let variant = variants(schema, root).map(|variants| instance(variants[0], root));
    match (variant, &schema["type"]) {
        (Some(Value::Object(variant)), _) => {
            object.extend(variant);
            object.into()
        }
        (Some(other), _) => other,
        (None, Value::Array(types)) => instance(
            &json!({ "type": types[0], "items": schema["items"], "prefixItems": schema["prefixItems"] }),
            root,
        ),
        (None, kind) => match kind.as_str() {
            Some("integer") => 45.into(),
            Some("boolean") => true.into(),
            Some("string") if schema["pattern"].is_string() => "00000000000000a1".into(),
            Some("string") => "text".into(),
            Some("array") => list(schema, root),
            _ => object.into(),
        },
    }
}

fn list(schema: &Value, root: &Value) -> Value {
    if let Some(items) = schema["prefixItems"].as_array() {
        return items.iter().map(|of| instance(of, root)).collect();
    }
    let items = resolved(&schema["items"], root);
    match variants(items, root) {
        Some(variants) => variants.into_iter().map(|of| instance(of, root)).collect(),
        None => vec![instance(items, root); schema["minItems"].as_u64().unwrap_or(1) as usize].into(),
    }
}

/// What a schema refers to, unless it adds properties of its own.
fn resolved<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    let reference = schema["$ref"].as_str().filter(|_| schema.get("properties").is_none());
    reference.map_or(schema, |name| root.pointer(name.trim_start_matches('#')).unwrap())
}

fn variants<'s>(schema: &'s Value, root: &'s Value) -> Option<Vec<&'s Value>> {
    let variants = schema["oneOf"].as_array().or(schema["anyOf"].as_array())?;
    Some(variants.iter().map(|of| resolved(of, root)).filter(|of| of["type"] != "null").collect())
}

/// The pointers of all values that hold no others.
fn leaves(value: &Value) -> Vec<String> {
    let below = |key: &str, value: &Value| -> Vec<String> {
        leaves(value).into_iter().map(|rest| format!("/{key}{rest}")).collect()
    };
    match value {
        Value::Object(object) => object.iter().flat_map(|(key, value)| below(key, value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(n, value)| below(&n.to_string(), value)).collect()
        }
        _ => vec![String::new()],
    }
}

/// Every string that a schema fixes: the names of terms.
fn names(schema: &Value) -> BTreeSet<String> {
    let inside = match schema {
        Value::Object(object) => object.values().collect::<Vec<_>>(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    let own = schema.get("const").and_then(Value::as_str).map(String::from);
    own.into_iter().chain(inside.into_iter().flat_map(names)).collect()
}

/// Replaces the value at `pointer` by the first other one that `accepts` admits.
fn altered(
    value: &Value,
    pointer: &str,
    names: &BTreeSet<String>,
    accepts: impl Fn(&Value) -> bool,
) -> Value {
    let old = value.pointer(pointer).unwrap();
    let candidates: Vec<Value> = match old {
        Value::Bool(old) => vec![json!(!old)],
        Value::Number(_) => vec![json!(7_777_777_777_u64), json!(77)],
        _ => ["altered", "ffffffffffffffff"]
            .into_iter()
            .map(Value::from)
            .chain(names.iter().map(|name| json!(name)))
            .collect(),
    };
    let with = |new: Value| {
        let mut value = value.clone();
        *value.pointer_mut(pointer).unwrap() = new;
        value
    };
    let mut others = candidates.into_iter().filter(|new| new != old).map(with);
    others.find(|value| accepts(value)).unwrap_or_else(|| panic!("{pointer}: no other value is accepted"))
}

fn results(runs: &[Value]) -> Value {
    json!({ "format": "karst-sim/1", "runs": runs })
}

/// The part of each run on a page.
fn sections(command: &str, runs: &[Value]) -> Vec<String> {
    let path = file(&format!("follow-{command}.json"));
    std::fs::write(&path, results(runs).to_string()).unwrap();
    let page = text(&report(&[command, path.to_str().unwrap()]));
    let separator = if command == "html" { "<section" } else { "\n## " };
    page.split(separator).skip(1).map(|section| section.replace("</body>\n</html>\n", "")).collect()
}

/// A run with every field and every variant.
fn full_run() -> (Value, BTreeSet<String>) {
    let schema = schema::results();
    let all = instance(&schema, &schema);
    let run = all["runs"][0].clone();
    Results::read(&results(std::slice::from_ref(&run)).to_string()).expect("the generated run is one");
    (run, names(&schema))
}

/// The fields of a run that make no difference to `render`.
fn unseen(render: impl Fn(&[Value]) -> Vec<String>) -> Vec<String> {
    let (run, names) = full_run();
    let accepts = |run: &Value| Results::read(&results(std::slice::from_ref(run)).to_string()).is_ok();
    // Curves are drawn, not listed: `report::distributions_over_seeds_are_drawn`.
    let pointers: Vec<String> = leaves(&run).into_iter().filter(|leaf| !leaf.contains("/curve/")).collect();
    assert!(pointers.len() > 200, "{pointers:?}");
    let mut runs = vec![run.clone()];
    runs.extend(pointers.iter().map(|pointer| altered(&run, pointer, &names, accepts)));
    let sections = render(&runs);
    assert_eq!(sections.len(), runs.len());
    let same = pointers.into_iter().zip(&sections[1..]).filter(|(_, section)| **section == sections[0]);
    same.map(|(pointer, _)| pointer).collect::<BTreeSet<String>>().into_iter().collect()
}

#[test]
fn every_field_of_an_outcome_is_rendered() {
    for command in ["html", "md"] {
        assert_eq!(unseen(|runs| sections(command, runs)), Vec::<String>::new(), "{command}");
    }
}

/// The tampered twin: a renderer that ignores three fields.
#[test]
fn a_field_that_is_not_rendered_is_found() {
    let (base, _) = full_run();
    let ignored = ["/client/streams_cut", "/faults/0/kind", "/links/up/dropped_codel"];
    let careless = |runs: &[Value]| {
        let mut runs = runs.to_vec();
        runs.iter_mut().for_each(|run| {
            for pointer in ignored {
                *run.pointer_mut(pointer).unwrap() = base.pointer(pointer).unwrap().clone();
            }
        });
        sections("md", &runs)
    };
    assert_eq!(unseen(careless), ignored);
}

/// The lines of a recording with one event of each kind, and those kinds.
fn full_recording() -> (Value, Vec<Value>) {
    let root = schema::events();
    let lines = variants(&root, &root).unwrap();
    let header = lines.iter().find(|of| of["properties"]["transport"].is_object()).unwrap();
    let mut header = instance(header, &root);
    header["format"] = "karst-events/1".into();
    for side in ["client", "server"] {
        header[side]["mode"] = "manual".into();
    }
    let event = lines.iter().find(|of| of["properties"]["t"].is_object()).unwrap();
    let kinds = variants(event, &root).unwrap();
    let of_kind = |kind: &&Value| {
        let mut event = instance(kind, &root);
        event["t"] = 45.into();
        event
    };
    let events: Vec<Value> = kinds.iter().map(of_kind).collect();
    assert!(events.len() > 20, "{events:?}");
    (header, events)
}

fn recording(name: &str, header: &Value, events: &[Value]) -> String {
    let lines: Vec<String> = std::iter::once(header).chain(events).map(Value::to_string).collect();
    let path = file(name);
    std::fs::write(&path, lines.join("\n")).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn every_kind_of_event_is_rendered() {
    let (header, events) = full_recording();
    let kinds: Vec<&str> = events.iter().map(|event| event["e"].as_str().unwrap()).collect();
    let page = |command: &str, events: &[Value]| {
        text(&report(&[command, &recording("events.jsonl", &header, events)]))
    };
    for command in ["html", "md"] {
        let whole = page(command, &events);
        for (n, kind) in kinds.iter().enumerate() {
            let mut without = events.clone();
            without.remove(n);
            assert!(whole.contains(&format!("{kind} 1")), "{command}: {kind}");
            assert!(!page(command, &without).contains(&format!("{kind} 1")), "{command}: {kind}");
        }
    }
}

#[test]
fn every_option_distinguishes_two_recordings() {
    let (mut header, events) = full_recording();
    // A dead link has no rate.
    header["links"][0]["dead"] = false.into();
    let names = names(&schema::events());
    let accepts = |header: &Value| serde_json::from_value::<sim::record::Header>(header.clone()).is_ok();
    let base = recording("base.jsonl", &header, &events);
    let page = |header: &Value| text(&report(&["html", &recording("altered.jsonl", header, &events), &base]));
    let same = page(&header);
    for pointer in leaves(&header).iter().filter(|pointer| *pointer != "/format") {
        assert_ne!(page(&altered(&header, pointer, &names, accepts)), same, "{pointer}");
    }
}

#[test]
fn every_cause_is_rendered_and_drawn() {
    let (header, events) = full_recording();
    let sent = events.iter().find(|event| event["e"] == "sent").unwrap();
    let of_cause = |(n, cause): (usize, &Cause)| {
        let mut sent = sent.clone();
        (sent["t"], sent["side"], sent["n"]) = ((1_000 * n).into(), "client".into(), n.into());
        sent["segments"][0]["cmd"] = "push".into();
        sent["segments"][0]["again"]["cause"] = cause.name().into();
        sent
    };
    let sent: Vec<Value> = Cause::ALL.iter().enumerate().map(of_cause).collect();
    let path = recording("causes.jsonl", &header, &sent);
    let listed = Cause::ALL.iter().map(|cause| format!("{cause} 1")).collect::<Vec<_>>().join(", ");
    let (md, html) = (text(&report(&["md", &path])), text(&report(&["html", &path])));
    assert!(md.contains(&listed) && html.contains(&listed), "{listed}: {md}");
    let data = crate::page::data(&html);
    let causes = data[0]["causes"].as_array().unwrap();
    for cause in Cause::ALL {
        assert_eq!(data[0]["up"]["again"][cause.name()].as_array().map(Vec::len), Some(1), "{cause}");
    }
    let script = "document.querySelector('input[value=up]').click();";
    let Some(shown) = show("causes", &html, script, 1400) else { return };
    assert_eq!(shown.console, Vec::<String>::new());
    let (_, chart) = shown.document.split_once("<figure id=\"events\"").unwrap();
    let (legend, _) = chart.split_once("<div class=\"panels\"").unwrap();
    for cause in causes {
        assert!(legend.contains(cause["label"].as_str().unwrap()), "{cause}: {legend}");
    }
}
