//! A queue: who may answer, in what order, what callers hear, and where they go when it takes too long.

use core::ops::Range;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::hours::Zone;
use super::model::{Label, Seconds};
use crate::ids::{AgentName, HoursName, PromptName, QueueName};
use crate::number::Number;
use crate::strategy::Strategy;

/// `[queue.NAME]`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Queue {
    pub name: QueueName,
    /// What people see; default: the name.
    pub label: Label,
    /// Which of several eligible agents is offered the call. Default `longest_idle`.
    pub strategy: Strategy,
    /// Whether the level of skill goes before the strategy. Default `best`.
    pub skill_fit: SkillFit,
    /// Who is eligible, as an expression over skills: `billing >= 3 and (en or zh >= 2)`.
    /// `None` with no `members`: every agent.
    pub skills: Option<SkillExpression>,
    /// Explicit members; with them `skills` narrows down further.
    pub members: Vec<AgentName>,
    /// The expression as waiting grows, each from its second on; one clock, kept over a return.
    pub steps: Vec<Step>,
    /// Added to a caller's own priority. Default 0.
    pub priority: i32,
    /// Points of priority a caller gains a minute. Default 1.
    pub priority_per_minute: u32,
    /// Points that waiting adds at most. Default 100.
    pub priority_gain_max: u32,
    /// Who has waited so long goes before all who have not. Default 900.
    pub starve_after_s: Seconds,
    /// How long an agent's phone rings before the next one's does. Default 20.
    pub ring_timeout_s: Seconds,
    /// Ring progressively: after so long one more phone rings. Default 5.
    pub ring_widen_s: Seconds,
    /// Default `optional`.
    pub wrap_up: WrapUp,
    /// Time for after-call work. Default 30.
    pub wrap_up_s: Seconds,
    /// What one extension of it adds, and how many an agent may take. Default 30 and 3.
    pub wrap_up_extend_s: Seconds,
    pub wrap_up_extensions: u32,
    /// Codes to close a call with; empty: every disposition of the plan.
    pub dispositions: Vec<Arc<str>>,
    /// Callers at once; the next is refused or overflows. Default: `limits.queue_length`.
    pub length_max: u32,
    pub announcements: Announcements,
    pub overflow: Vec<Overflow>,
    pub hours: Option<HoursName>,
    /// What clock the hours go by here, whatever they name themselves: offices far apart may share one set.
    /// Default: that of the hours, else of the plan.
    pub time_zone: Zone,
    /// Target: `service_level_percent` of calls within `service_level_s`. Default 80 in 20.
    pub service_level_s: Seconds,
    pub service_level_percent: u32,
    /// Who hangs up sooner does not count as abandoned. Default 5.
    pub short_abandon_s: Seconds,
    /// How long a caller waits for a preferred agent before everyone is asked. Default 20.
    pub preferred_wait_s: Seconds,
    /// Default `always`.
    pub record: Record,
}

/// One widening of a queue's expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub after_s: Seconds,
    /// `None`: every agent (or member).
    pub skills: Option<SkillExpression>,
    /// Go on at once where nobody of this step is signed in. Default false.
    pub skip_if_nobody: bool,
}

/// A skill expression as written; `acd` parses it. The span is that of the text in the configuration, so that what
/// `acd` finds wrong can be shown in place.
#[derive(Clone, Debug)]
pub struct SkillExpression {
    pub text: Arc<str>,
    pub span: Range<usize>,
}

/// What callers hear while they wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Announcements {
    /// Music, looped. Default `music`.
    pub music: PromptName,
    /// Said once on entry.
    pub greeting: Option<PromptName>,
    /// Said in turn, one each `comfort_every_s`.
    pub comfort: Vec<PromptName>,
    /// Default 30.
    pub comfort_every_s: Seconds,
    /// Place in the queue for the first time after so long. Default 20.
    pub position_first_s: Seconds,
    /// Place in the queue, each so often. 0 turns it off. Default 45.
    pub position_every_s: Seconds,
    /// Whether the expected wait is said with the place. Default true.
    pub wait_estimate: bool,
}

/// One way out of the queue, one an occasion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overflow {
    pub when: OverflowWhen,
    pub to: OverflowTo,
    /// Said before the caller goes.
    pub play: Option<PromptName>,
}

/// When a caller overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverflowWhen {
    /// `waited_s = 120`: this long since entry.
    WaitedS(Seconds),
    /// `waiting = 20`: so many wait already on entry.
    Waiting(u32),
    /// `when = "nobody_signed_in"`
    NobodySignedIn,
    /// `when = "closed"`
    Closed,
}

/// Where a caller overflows to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OverflowTo {
    /// `queue:NAME`
    Queue(QueueName),
    /// `voicemail` (the queue's own box) or `voicemail:BOX`
    Voicemail(Arc<str>),
    /// `number:+86…`, by the routes out
    Number(Number),
    /// `hangup`
    HangUp,
}

/// Whether the level of skill decides before the strategy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkillFit {
    /// The best mean level in the skills asked for; the strategy breaks ties.
    #[default]
    Best,
    /// Whoever is eligible is as good as any other.
    Disregard,
}

/// After-call work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WrapUp {
    /// Ready at once.
    Off,
    /// Time for it; ends by itself, or when the agent finishes.
    #[default]
    Optional,
    /// Ends only with a disposition.
    CodeRequired,
}

/// Whether calls of a queue are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Recorded; a failing recording raises an alarm and the call goes on.
    #[default]
    Always,
    Never,
    /// Recorded or not taken: a failing recording ends the call.
    Required,
}

impl SkillFit {
    pub const ALL: [(&'static str, SkillFit); 2] = [("best", SkillFit::Best), ("disregard", SkillFit::Disregard)];
}

impl WrapUp {
    pub const ALL: [(&'static str, WrapUp); 3] =
        [("off", WrapUp::Off), ("optional", WrapUp::Optional), ("code_required", WrapUp::CodeRequired)];
}

impl Record {
    pub const ALL: [(&'static str, Record); 3] =
        [("always", Record::Always), ("never", Record::Never), ("required", Record::Required)];
}

impl SkillExpression {
    /// The names it speaks of, each with its byte range in the expression. Words that hold a dot are attributes
    /// (`customer.tier`), not skills.
    pub fn names(&self) -> impl Iterator<Item = (Range<usize>, &str)> {
        let text: &str = &self.text;
        let mut at = 0;
        core::iter::from_fn(move || {
            let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
            let start = at + text[at..].find(is_word)?;
            let end = text[start..].find(|c| !is_word(c)).map_or(text.len(), |len| start + len);
            at = end;
            Some((start..end, &text[start..end]))
        })
        .filter(|(_, word)| {
            !matches!(*word, "and" | "or" | "not" | "true" | "false")
                && !word.contains('.')
                && !word.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        })
    }
}

/// Two expressions are the same where their text is, wherever it stands.
impl PartialEq for SkillExpression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SkillExpression {}

impl Serialize for SkillExpression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl core::fmt::Display for OverflowTo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            OverflowTo::Queue(queue) => write!(f, "queue:{queue}"),
            OverflowTo::Voicemail(mailbox) => write!(f, "voicemail:{mailbox}"),
            OverflowTo::Number(number) => write!(f, "number:{number}"),
            OverflowTo::HangUp => f.write_str("hangup"),
        }
    }
}

impl Serialize for OverflowTo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_names_its_skills_and_where() {
        let text = "billing >= 3 and (en or zh-cn >= 2) and not customer.tier";
        let expression = SkillExpression { text: Arc::from(text), span: 0..text.len() };
        let names: Vec<_> = expression.names().collect();
        assert_eq!(names, [(0..7, "billing"), (18..20, "en"), (24..29, "zh-cn")]);
    }
}
