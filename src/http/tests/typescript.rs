//! The TypeScript types of the desktop are written from the same schemas as the API's document, and kept in the tree:
//! this test fails where they have drifted. `UPDATE_TYPES=1 cargo test typescript` writes them anew.

use core::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::http::openapi;
use crate::http::orders::ORDERS;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web/src/cti/types.gen.ts");

#[test]
fn typescript_types_are_those_of_the_entities() {
    let text = typescript();
    if std::env::var_os("UPDATE_TYPES").is_some() {
        std::fs::create_dir_all(Path::new(FILE).parent().unwrap()).unwrap();
        std::fs::write(FILE, &text).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(kept == text, "web/src/cti/types.gen.ts has drifted: UPDATE_TYPES=1 cargo test typescript writes it anew");
}

fn typescript() -> String {
    let mut out =
        String::from("// Written from the Rust entities by `UPDATE_TYPES=1 cargo test typescript`. Do not edit.\n");
    for (name, schema) in openapi::schemas() {
        comment(&mut out, &schema, "");
        writeln!(out, "export type {name} = {};\n", type_of(&schema, "")).unwrap();
    }
    let names: Vec<String> = ORDERS.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    writeln!(out, "/** What can be ordered. */\nexport type OrderName =\n  | {};", names.join("\n  | ")).unwrap();
    out
}

fn comment(out: &mut String, schema: &Value, indent: &str) {
    if let Some(text) = schema["description"].as_str() {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("*/", "* /");
        writeln!(out, "{indent}/** {text} */").unwrap();
    }
}

fn type_of(schema: &Value, indent: &str) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap().to_owned();
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    for (key, joint) in [("oneOf", " | "), ("anyOf", " | "), ("allOf", " & ")] {
        if let Some(parts) = schema[key].as_array() {
            return parts.iter().map(|part| wrapped(type_of(part, indent))).collect::<Vec<_>>().join(joint);
        }
    }
    match &schema["type"] {
        Value::Array(kinds) => {
            let each = kinds.iter().map(|kind| {
                let mut one = schema.clone();
                one["type"] = kind.clone();
                type_of(&one, indent)
            });
            each.collect::<Vec<_>>().join(" | ")
        }
        Value::String(kind) => of_kind(kind, schema, indent),
        _ => "unknown".to_owned(),
    }
}

fn of_kind(kind: &str, schema: &Value, indent: &str) -> String {
    match kind {
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => match schema["prefixItems"].as_array() {
            Some(items) => {
                let items: Vec<String> = items.iter().map(|item| type_of(item, indent)).collect();
                format!("[{}]", items.join(", "))
            }
            None => format!("{}[]", wrapped(type_of(&schema["items"], indent))),
        },
        _ => object(schema, indent),
    }
}

fn object(schema: &Value, indent: &str) -> String {
    let Some(fields) = schema["properties"].as_object() else {
        return match &schema["additionalProperties"] {
            Value::Object(_) => format!("Record<string, {}>", type_of(&schema["additionalProperties"], indent)),
            _ => "Record<string, unknown>".to_owned(),
        };
    };
    let inner = format!("{indent}  ");
    let mut out = String::from("{\n");
    for (name, field) in fields {
        comment(&mut out, field, &inner);
        // A field that may be null is always there; one that may be missing says so by not being required.
        let required = schema["required"].as_array().is_some_and(|required| required.iter().any(|r| r == name));
        let mark = if required { "" } else { "?" };
        writeln!(out, "{inner}{name}{mark}: {};", type_of(field, &inner)).unwrap();
    }
    write!(out, "{indent}}}").unwrap();
    out
}

fn wrapped(text: String) -> String {
    if text.contains(" | ") && !text.starts_with('{') { format!("({text})") } else { text }
}
