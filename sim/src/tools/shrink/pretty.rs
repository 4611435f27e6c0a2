//! Scenario files formatted for readers: a value that fits on one line takes one line.

use serde_json::Value;

const WIDTH: usize = 110;

/// Order of the top-level keys.
const ORDER: &[&str] = &[
    "name",
    "description",
    "seed",
    "duration_ms",
    "drain_ms",
    "wrap_after",
    "links",
    "hosts",
    "nat",
    "faults",
    "client",
    "server",
    "workloads",
    "expect",
];

/// The text of a scenario file, with a newline at its end.
pub fn pretty(scenario: &Value) -> String {
    let mut out = String::new();
    write(scenario, 0, &mut out);
    out.push('\n');
    out
}

fn write(value: &Value, indent: usize, out: &mut String) {
    let line = value.to_string();
    let items: Vec<(String, &Value)> = match value {
        Value::Object(entries) if indent == 0 || line.len() + indent > WIDTH => {
            let mut keys: Vec<&String> = entries.keys().collect();
            if indent == 0 {
                keys.sort_by_key(|key| ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len()));
            }
            keys.into_iter().map(|key| (format!("{}: ", Value::String(key.clone())), &entries[key])).collect()
        }
        Value::Array(items) if line.len() + indent > WIDTH => {
            items.iter().map(|item| (String::new(), item)).collect()
        }
        _ => return out.push_str(&spaced(&line)),
    };
    let [open, close] = if value.is_array() { ['[', ']'] } else { ['{', '}'] };
    out.push(open);
    let count = items.len();
    for (n, (key, item)) in items.into_iter().enumerate() {
        out.push_str(&format!("\n{:width$}{key}", "", width = indent + 2));
        write(item, indent + 2, out);
        out.push_str(if n + 1 < count { "," } else { "" });
    }
    out.push_str(&format!("\n{:indent$}{close}", ""));
}

/// Inserts spaces after colons and commas and inside braces, except in strings.
fn spaced(line: &str) -> String {
    let mut out = String::with_capacity(2 * line.len());
    let (mut inside, mut escaped) = (false, false);
    let mut before = ' ';
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if !inside && c == '}' && before != '{' {
            out.push(' ');
        }
        out.push(c);
        inside ^= c == '"' && !escaped;
        escaped = inside && c == '\\' && !escaped;
        let is_empty = c == '{' && chars.peek() == Some(&'}');
        if !inside && matches!(c, ':' | ',' | '{') && !is_empty {
            out.push(' ');
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn formatted_scenarios_parse_to_the_same_value() {
        let long: Vec<u64> = (1..60).collect();
        let tree = json!({
            "workloads": [{ "bulk": { "name": "a \"b\", {c}: \\", "bytes": 5 } }], "name": "x", "faults": [],
            "links": { "up": {}, "down": { "drop_packets": long, "loss_pct": [[0, "1.5"], [7, 0]] } },
        });
        let text = pretty(&tree);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), tree);
        assert!(text.starts_with("{\n  \"name\": \"x\",\n  \"links\": {\n    \"down\""), "{text}");
        assert!(text.contains("\"up\": {}") && text.contains("{ \"bulk\": { \"bytes\": 5, "), "{text}");
    }
}
