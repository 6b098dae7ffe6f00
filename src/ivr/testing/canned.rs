//! The house as a scenario says it is: hours, queues, the centre's clock.

use crate::dialplan::PromptCatalogue;
use crate::dialplan::facts::QueueFacts;
use crate::dialplan::scenario::{HoursAnswer, Scenario};
use crate::dialplan::value::Date;
use crate::ids::{HoursName, Language, PromptName, QueueName};
use crate::time::Time;

use super::super::world::{LocalTime, Opening, World};

/// The house as the scenario says it is.
pub(super) struct CannedWorld<'a> {
    pub scenario: &'a Scenario,
    pub catalogue: &'a PromptCatalogue,
    pub now: Time,
}

impl World for CannedWorld<'_> {
    fn opening(&self, hours: &HoursName) -> Opening {
        match self.scenario.hours.get(hours) {
            None | Some(HoursAnswer::Open) => Opening::Open,
            Some(HoursAnswer::Closed) => Opening::Closed,
            Some(HoursAnswer::Holiday) => Opening::Holiday,
        }
    }

    fn queue(&self, queue: &QueueName) -> QueueFacts {
        self.scenario.queues.get(queue).copied().unwrap_or_default()
    }

    fn local_time(&self) -> LocalTime {
        local_time(self.now, self.scenario.offset_minutes)
    }

    fn has_prompt(&self, language: &Language, prompt: &PromptName) -> bool {
        self.catalogue.words(language, prompt).is_some()
    }
}

/// Date, hour and weekday at an offset from UTC.
pub(super) fn local_time(now: Time, offset_minutes: i16) -> LocalTime {
    let seconds = i64::try_from(now.as_micros() / 1_000_000).unwrap_or(i64::MAX);
    let local = jiff::tz::Offset::from_seconds(i32::from(offset_minutes) * 60)
        .ok()
        .zip(jiff::Timestamp::from_second(seconds).ok())
        .map(|(offset, at)| offset.to_datetime(at))
        .unwrap_or_default();
    let part = |n: i8| u8::try_from(n).unwrap_or(0);
    let year = u16::try_from(local.year()).unwrap_or(0);
    LocalTime {
        date: Date::new(year, part(local.month()), part(local.day())).unwrap_or(Date::EPOCH),
        hour: part(local.hour()),
        weekday: part(local.weekday().to_monday_one_offset()),
    }
}
