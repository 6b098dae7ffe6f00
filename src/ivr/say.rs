//! Numbers, digits, money, dates, places and waits as recorded words.

use crate::dialplan::value::{Date, Money};
use crate::ids::{Language, PromptName};

use super::effect::Spoken;

pub fn number(_language: &Language, _number: i64) -> Vec<PromptName> {
    Vec::new()
}
pub fn digits(_language: &Language, _digits: &str) -> Vec<PromptName> {
    Vec::new()
}
pub fn money(_language: &Language, _amount: Money, _currency: &str) -> Vec<PromptName> {
    Vec::new()
}
pub fn date(_language: &Language, _date: Date) -> Vec<PromptName> {
    Vec::new()
}
pub fn position(_language: &Language, _position: u32) -> Vec<PromptName> {
    Vec::new()
}
pub fn wait(_language: &Language, _seconds: u32) -> Vec<PromptName> {
    Vec::new()
}
/// What a waiting caller is told: place and expected wait (P50 to P90, seconds), where there is one.
pub fn announcement(_language: &Language, _position: Option<u32>, _wait_s: Option<(u32, u32)>) -> Vec<Spoken> {
    Vec::new()
}
