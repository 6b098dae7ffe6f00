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
    prompts.0.iter().flat_map(|part| of_part(part, vars, facts, world)).collect()
}

fn of_part(part: &Part, vars: &Vars, facts: &Facts, world: &dyn World) -> Vec<Spoken> {
    let language = &facts.call.language;
    let prompt = |prompt: PromptName| Spoken::Prompt { language: language.clone(), prompt };
    match part {
        Part::Prompt(name) => vec![prompt(name.clone())],
        Part::Clip { folder, key, otherwise } => {
            let key = clip_key(&key.value(vars, facts).to_string());
            let clip = PromptName::new(format!("{folder}/{key}"));
            let heard = if world.has_prompt(language, &clip) { Some(clip) } else { otherwise.clone() };
            heard.into_iter().map(prompt).collect()
        }
        Part::Number(expr) => say::number(language, whole(&expr.value(vars, facts))),
        Part::Digits(expr) => say::digits(language, &expr.value(vars, facts).to_string()),
        Part::Money { amount, currency } => match amount.value(vars, facts) {
            Value::Money(amount) => say::money(language, amount, currency.code()),
            _ => Vec::new(),
        },
        Part::Date(expr) => match expr.value(vars, facts) {
            Value::Date(date) => say::date(language, date),
            _ => Vec::new(),
        },
        Part::Position(expr) => say::position(language, counted(&expr.value(vars, facts))),
        Part::Wait(expr) => say::wait(language, counted(&expr.value(vars, facts))),
    }
}

fn whole(value: &Value) -> i64 {
    match value {
        Value::Number(number) => *number,
        _ => 0,
    }
}

fn counted(value: &Value) -> u32 {
    u32::try_from(whole(value).max(0)).unwrap_or(u32::MAX)
}
