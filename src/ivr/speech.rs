//! Prompts as a state lists them → what is to be played, in the caller's language.

use crate::dialplan::facts::{Facts, Vars};
use crate::dialplan::model::{Part, Prompts, clip_key};
use crate::dialplan::value::Value;
use crate::ids::PromptName;

use super::effect::Spoken;
use super::say;
use super::world::World;

/// Everything a list of prompts says now.
pub(super) fn spoken(prompts: &Prompts, vars: &Vars, facts: &Facts, world: &dyn World) -> Vec<Spoken> {
    let language = &facts.call.language;
    let mut names: Vec<PromptName> = Vec::new();
    for part in &prompts.0 {
        match part {
            Part::Prompt(name) => names.push(name.clone()),
            Part::Clip { folder, key, otherwise } => {
                let key = match key.value(vars, facts) {
                    Value::Text(text) | Value::Digits(text) => clip_key(&text),
                    other => clip_key(&other.to_string()),
                };
                let clip = PromptName::new(format!("{folder}/{key}"));
                if world.has_prompt(language, &clip) {
                    names.push(clip);
                } else if let Some(otherwise) = otherwise {
                    names.push(otherwise.clone());
                }
            }
            Part::Number(expr) => names.extend(say::number(language, whole(&expr.value(vars, facts)))),
            Part::Digits(expr) => names.extend(say::digits(language, &text(&expr.value(vars, facts)))),
            Part::Money { amount, currency } => {
                if let Value::Money(amount) = amount.value(vars, facts) {
                    names.extend(say::money(language, amount, currency.code()));
                }
            }
            Part::Date(expr) => {
                if let Value::Date(date) = expr.value(vars, facts) {
                    names.extend(say::date(language, date));
                }
            }
            Part::Position(expr) => names.extend(say::position(language, counted(&expr.value(vars, facts)))),
            Part::Wait(expr) => names.extend(say::wait(language, counted(&expr.value(vars, facts)))),
        }
    }
    names.into_iter().map(|prompt| Spoken::Prompt { language: language.clone(), prompt }).collect()
}

fn whole(value: &Value) -> i64 {
    match value {
        Value::Number(number) => *number,
        _ => 0,
    }
}

fn counted(value: &Value) -> u32 {
    u32::try_from(whole(value)).unwrap_or(0)
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Digits(text) => text.to_string(),
        other => other.to_string(),
    }
}
