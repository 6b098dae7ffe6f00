//! What the machine may ask of the house while it walks: opening hours, queues, the time of day.

use crate::dialplan::facts::QueueFacts;
use crate::dialplan::value::Date;
use crate::ids::{HoursName, Language, PromptName, QueueName};

/// The house as a dialplan sees it at one instant. The switch answers from live state, a test from what it wrote down.
pub trait World {
    fn opening(&self, hours: &HoursName) -> Opening;
    fn queue(&self, queue: &QueueName) -> QueueFacts;
    fn local_time(&self) -> LocalTime;
    /// Whether this prompt is recorded in this language.
    fn has_prompt(&self, language: &Language, prompt: &PromptName) -> bool;
}

/// Whether opening hours are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Open,
    Closed,
    /// Closed by an exception of the calendar.
    Holiday,
}

/// Date and time of day in the centre's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    pub date: Date,
    /// 0–23.
    pub hour: u8,
    /// 1 is Monday, 7 is Sunday (ISO 8601).
    pub weekday: u8,
}
