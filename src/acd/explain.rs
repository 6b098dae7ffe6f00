//! Why this agent, and why not that one: a decision kept with all that decided it, in less than 2 KiB.
//!
//! An [`Explanation`] holds the verdict on each agent of the roster, the scores of the eligible ones and the best of
//! the rival calls. [`Explanation::choice`] evaluates them again and must name the very agents that were offered.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use serde::Serialize;

use super::settings::Fit;
use super::strategy::Strategy;
use crate::ids::{AgentName, CallId, QueueName};
use crate::limits;
use crate::time::Time;

/// The names of the roster at one moment, in order. Shared by all explanations between two changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Roster {
    pub revision: u64,
    pub names: Vec<AgentName>,
}

/// What stood between one agent and one call; the first that applies, permanent reasons before passing ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Verdict {
    /// Nothing: the scores decided.
    Eligible = 0,
    SignedOut = 1,
    /// Not a member of the call's queue.
    NotMember = 2,
    /// The expression of the queue's current step is not satisfied.
    Unskilled = 3,
    /// What this call asks for by itself is not satisfied.
    CallNeedsOther = 4,
    NotReady = 5,
    PhoneUnregistered = 6,
    LinkLost = 7,
    /// Live legs.
    OnCall = 8,
    /// Reserved for another call.
    Offered = 9,
    WrapUp = 10,
    /// Left alone for a while after an offer that failed.
    BackOff = 11,
    /// The call still waits for its preferred agent alone.
    HeldForPreferred = 12,
    /// Rings for this very call already.
    RingsAlready = 13,
    /// Was not on the roster.
    Unknown = 14,
    /// Past the bound of what is kept.
    NotKept = 15,
}

impl Verdict {
    const ALL: [Verdict; 16] = [
        Verdict::Eligible,
        Verdict::SignedOut,
        Verdict::NotMember,
        Verdict::Unskilled,
        Verdict::CallNeedsOther,
        Verdict::NotReady,
        Verdict::PhoneUnregistered,
        Verdict::LinkLost,
        Verdict::OnCall,
        Verdict::Offered,
        Verdict::WrapUp,
        Verdict::BackOff,
        Verdict::HeldForPreferred,
        Verdict::RingsAlready,
        Verdict::Unknown,
        Verdict::NotKept,
    ];

    fn words(self) -> &'static str {
        match self {
            Verdict::Eligible => "was eligible",
            Verdict::SignedOut => "was signed out",
            Verdict::NotMember => "is no member of the queue",
            Verdict::Unskilled => "lacked a skill that the queue's step asked for",
            Verdict::CallNeedsOther => "lacked what this call asked for",
            Verdict::NotReady => "was not ready",
            Verdict::PhoneUnregistered => "had no phone registered",
            Verdict::LinkLost => "had lost the desktop's link",
            Verdict::OnCall => "was on a call",
            Verdict::Offered => "was reserved for another call",
            Verdict::WrapUp => "was in wrap-up",
            Verdict::BackOff => "was left alone for a moment after an offer that failed",
            Verdict::HeldForPreferred => "had to leave the call to its preferred agent for now",
            Verdict::RingsAlready => "was ringing for this call already",
            Verdict::Unknown => "was not on the roster",
            Verdict::NotKept => "is past the bound of what is kept",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Verdicts in roster order, packed: one byte holds a verdict (low nibble) and its run of 1 to 16 agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts(Vec<u8>);

impl Verdicts {
    pub fn push(&mut self, verdict: Verdict) {
        let code = verdict as u8;
        if let Some(last) = self.0.last_mut().filter(|last| **last & 0x0f == code && **last < 0xf0) {
            *last += 0x10;
        } else if self.0.len() < limits::ACD_VERDICT_BYTES {
            self.0.push(code);
        }
    }

    /// The verdict on the agent at `index` of the roster.
    pub fn get(&self, index: usize) -> Verdict {
        let mut passed = 0;
        for byte in &self.0 {
            passed += 1 + usize::from(byte >> 4);
            if passed > index {
                return Verdict::ALL.get(usize::from(byte & 0x0f)).copied().unwrap_or(Verdict::NotKept);
            }
        }
        Verdict::NotKept
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The score of one eligible agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// Place in the roster.
    pub agent: u16,
    /// Mean level in the skills asked for, in hundredths.
    pub fit: u16,
    /// The strategy's rank: lowest first.
    pub rank: u64,
}

impl Score {
    /// Sorts the best first. The place in the roster makes it total.
    pub(super) fn order(&self, fit: Fit) -> (u16, u64, u16) {
        let by_fit = match fit {
            Fit::Best => u16::MAX - self.fit,
            Fit::Disregard => 0,
        };
        (by_fit, self.rank, self.agent)
    }
}

/// One of the calls that an agent who became free might have taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rival {
    pub call: CallId,
    pub standing: Standing,
}

/// Where a call stands among all waiting calls. The least is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Standing {
    /// Has not waited past the starvation bound. (False sorts first.)
    pub in_bounds: bool,
    /// Effective priority in thousandths of a point, negated so that the highest sorts first; zero for the starving.
    pub behind: i64,
    /// When the call's clock began.
    pub clock: Time,
    pub seq: u64,
}

/// What caused the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The call came in, came back, or may take more agents than before: it looked at all agents.
    Call,
    /// This agent became free and looked at all calls.
    AgentFree(AgentName),
    /// Much changed at once: all calls, in order, looked at all agents.
    All,
    /// Ring progressively: one more agent.
    Widen,
}

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub at: Time,
    pub call: CallId,
    pub queue: QueueName,
    /// Step of the expanding ring, from 0.
    pub step: u8,
    pub waited: Duration,
    pub trigger: Trigger,
    pub strategy: Strategy,
    pub fit: Fit,
    /// How many agents were wanted.
    pub width: u8,
    pub roster: Arc<Roster>,
    pub verdicts: Verdicts,
    /// Best first, at most [`limits::ACD_SCORES`].
    pub scores: Vec<Score>,
    /// How many were eligible.
    pub eligible: u16,
    /// Where an agent became free: the best calls that agent might have taken, the chosen one first.
    pub rivals: Vec<Rival>,
    /// How many calls that agent might have taken.
    pub takeable: u16,
}

impl Explanation {
    /// Evaluates the decision again from what is kept: the agents to be offered the call, best first.
    pub fn choice(&self) -> Vec<AgentName> {
        let mut scores = self.scores.clone();
        scores.sort_by_key(|score| score.order(self.fit));
        scores.iter().take(usize::from(self.width)).filter_map(|score| self.name(score.agent)).collect()
    }

    /// Evaluates again which call the agent who became free should take.
    pub fn chosen_call(&self) -> CallId {
        self.rivals.iter().min_by_key(|rival| rival.standing).map_or(self.call, |rival| rival.call)
    }

    pub fn verdict(&self, agent: &AgentName) -> Verdict {
        match self.roster.names.binary_search(agent) {
            Ok(index) => self.verdicts.get(index),
            Err(_) => Verdict::Unknown,
        }
    }

    /// Why this agent was not offered the call, in words; or why it was.
    pub fn why_not(&self, agent: &AgentName) -> String {
        let verdict = self.verdict(agent);
        if verdict != Verdict::Eligible {
            return format!("{agent} {verdict}.");
        }
        let choice = self.choice();
        if choice.contains(agent) {
            return format!("{agent} was offered the call: {}.", self.reason_for(agent));
        }
        let best =
            choice.first().map_or_else(String::new, |best| format!("{best} came first: {}.", self.reason_for(best)));
        match self.score(agent) {
            Some(_) => format!("{agent} was eligible ({}), but {best}", self.reason_for(agent)),
            None => format!("{agent} was eligible, but far behind: {best}"),
        }
    }

    /// The size of what is kept, in bytes, names of the roster aside (they are shared).
    pub fn size(&self) -> usize {
        let trigger = match &self.trigger {
            Trigger::AgentFree(name) => name.as_str().len(),
            Trigger::Call | Trigger::All | Trigger::Widen => 0,
        };
        core::mem::size_of::<Self>()
            + self.queue.as_str().len()
            + trigger
            + self.verdicts.bytes().len()
            + self.scores.len() * core::mem::size_of::<Score>()
            + self.rivals.len() * core::mem::size_of::<Rival>()
    }

    fn name(&self, index: u16) -> Option<AgentName> {
        self.roster.names.get(usize::from(index)).cloned()
    }

    fn score(&self, agent: &AgentName) -> Option<&Score> {
        let index = self.roster.names.binary_search(agent).ok()?;
        self.scores.iter().find(|score| usize::from(score.agent) == index)
    }

    fn reason_for(&self, agent: &AgentName) -> String {
        let Some(score) = self.score(agent) else {
            return "the score is not kept".into();
        };
        let fit = match self.fit {
            Fit::Best if score.fit > 0 => format!("mean level {}.{:02}, then ", score.fit / 100, score.fit % 100),
            _ => String::new(),
        };
        let rank = score.rank;
        let by = match self.strategy {
            Strategy::LongestIdle | Strategy::RingAll => format!("idle for {}", idle(self.at, rank)),
            Strategy::RoundRobin => format!("{rank} places after the next in turn"),
            Strategy::FewestCalls => format!("{rank} calls answered"),
            Strategy::LeastTalk => format!("{} s talked", rank / 1_000_000),
            Strategy::Random | Strategy::WeightedRandom => format!("drew {rank}"),
            Strategy::TopDown | Strategy::RingProgressively => format!("place {} in the order", rank + 1),
            Strategy::LeastOccupied => format!("occupancy {}.{} %", rank / 10_000, rank / 1_000 % 10),
        };
        format!("{fit}{by}")
    }
}

fn idle(now: Time, since_us: u64) -> String {
    format!("{} s", now.since(Time::from_micros(since_us)).as_secs())
}

/// As the ledger keeps it and people read it: with names in the place of the roster, which the ledger does not know.
#[derive(Serialize)]
struct Told<'a> {
    at: Time,
    call: CallId,
    queue: &'a QueueName,
    step: u8,
    waited_ms: u64,
    trigger: &'a Trigger,
    strategy: Strategy,
    fit: Fit,
    width: u8,
    /// How many were eligible; the scores of the best follow, best first.
    eligible: u16,
    scores: Vec<ToldScore<'a>>,
    /// Everybody else, by what stood between.
    others: Vec<ToldVerdict<'a>>,
    takeable: u16,
    rivals: &'a [Rival],
}

#[derive(Serialize)]
struct ToldScore<'a> {
    agent: &'a AgentName,
    fit: u16,
    rank: u64,
    why: String,
}

#[derive(Serialize)]
struct ToldVerdict<'a> {
    verdict: Verdict,
    count: usize,
    /// The first of them by name.
    agents: Vec<&'a AgentName>,
}

impl Serialize for Explanation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut scores = self.scores.clone();
        scores.sort_by_key(|score| score.order(self.fit));
        let scores = scores.iter().filter_map(|score| {
            let agent = self.roster.names.get(usize::from(score.agent))?;
            Some(ToldScore { agent, fit: score.fit, rank: score.rank, why: self.reason_for(agent) })
        });
        let told = Told {
            at: self.at,
            call: self.call,
            queue: &self.queue,
            step: self.step,
            waited_ms: u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX),
            trigger: &self.trigger,
            strategy: self.strategy,
            fit: self.fit,
            width: self.width,
            eligible: self.eligible,
            scores: scores.collect(),
            others: self.others(),
            takeable: self.takeable,
            rivals: &self.rivals,
        };
        told.serialize(serializer)
    }
}

impl Explanation {
    /// Who was not eligible, by verdict; of each the first [`limits::ACD_NAMES`] by name.
    fn others(&self) -> Vec<ToldVerdict<'_>> {
        let mut others: Vec<ToldVerdict<'_>> = Vec::new();
        for (index, name) in self.roster.names.iter().enumerate() {
            let verdict = self.verdicts.get(index);
            if verdict == Verdict::Eligible {
                continue;
            }
            let place = match others.iter_mut().find(|other| other.verdict == verdict) {
                Some(place) => place,
                None => others.push_mut(ToldVerdict { verdict, count: 0, agents: Vec::new() }),
            };
            place.count += 1;
            if place.agents.len() < limits::ACD_NAMES {
                place.agents.push(name);
            }
        }
        others.sort_by_key(|other| other.verdict);
        others
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::*;

    fn decision(roster: usize, scores: Vec<Score>, verdicts: Verdicts) -> Explanation {
        let names = (0..roster).map(|i| AgentName::new(format!("agent{i:04}"))).collect();
        Explanation {
            at: Time::from_secs(1_000),
            call: CallId::from_u128(1),
            queue: "sales".into(),
            step: 0,
            waited: Duration::from_secs(9),
            trigger: Trigger::Call,
            strategy: Strategy::LongestIdle,
            fit: Fit::Best,
            width: 1,
            roster: Arc::new(Roster { revision: 1, names }),
            verdicts,
            eligible: u16::try_from(scores.len()).unwrap(),
            scores,
            rivals: Vec::new(),
            takeable: 0,
        }
    }

    #[test]
    fn of_each_verdict_the_first_few_agents_are_named_and_all_are_counted() {
        let mut verdicts = Verdicts::default();
        let roster = limits::ACD_NAMES + 5;
        (0..roster).for_each(|_| verdicts.push(Verdict::OnCall));
        let why = decision(roster, Vec::new(), verdicts);
        let others = why.others();
        assert_eq!((others.len(), others[0].count, others[0].agents.len()), (1, roster, limits::ACD_NAMES));
        assert_eq!(others[0].agents[0].as_str(), "agent0000");
    }

    #[test]
    fn why_not_is_answered_in_words() {
        let mut verdicts = Verdicts::default();
        [Verdict::Eligible, Verdict::OnCall, Verdict::Eligible].into_iter().for_each(|v| verdicts.push(v));
        let rank = |s| Time::from_secs(s).as_micros();
        let scores = vec![Score { agent: 2, fit: 900, rank: rank(990) }, Score { agent: 0, fit: 450, rank: rank(400) }];
        let why = decision(3, scores, verdicts);
        assert_eq!(why.choice(), ["agent0002".into()]);
        assert_eq!(why.why_not(&"agent0001".into()), "agent0001 was on a call.");
        assert_eq!(why.why_not(&"agent0009".into()), "agent0009 was not on the roster.");
        assert_eq!(
            why.why_not(&"agent0000".into()),
            "agent0000 was eligible (mean level 4.50, then idle for 600 s), but agent0002 came first: mean level 9.00, then idle for 10 s."
        );
        assert_eq!(
            why.why_not(&"agent0002".into()),
            "agent0002 was offered the call: mean level 9.00, then idle for 10 s."
        );
    }

    #[test]
    fn the_worst_case_stays_below_two_kibibytes() {
        let mut verdicts = Verdicts::default();
        for i in 0..limits::ACD_AGENTS {
            verdicts.push(if i % 2 == 0 { Verdict::Eligible } else { Verdict::OnCall });
        }
        let score = Score { agent: 1, fit: 1, rank: 1 };
        let mut why = decision(1, vec![score; limits::ACD_SCORES], verdicts);
        let standing = Standing { in_bounds: true, behind: 0, clock: Time::EPOCH, seq: 0 };
        why.rivals = vec![Rival { call: why.call, standing }; limits::ACD_RIVALS];
        why.trigger = Trigger::AgentFree("n".repeat(20).as_str().into());
        assert!(why.size() <= 2_048, "{}", why.size());
        assert_eq!(why.verdicts.get(limits::ACD_AGENTS - 1), Verdict::NotKept);
        assert_eq!(why.verdicts.get(limits::ACD_VERDICT_BYTES - 1), Verdict::OnCall);
    }

    proptest! {
        #[test]
        fn packing_keeps_every_verdict(codes in prop::collection::vec(0usize..16, 0..1_000)) {
            let mut packed = Verdicts::default();
            codes.iter().for_each(|code| packed.push(Verdict::ALL[*code]));
            for (index, code) in codes.iter().enumerate() {
                prop_assert_eq!(packed.get(index), Verdict::ALL[*code]);
            }
        }

        #[test]
        fn the_choice_does_not_depend_on_the_order_of_the_scores(
            scores in prop::collection::vec((0u16..50, 0u16..1_000, 0u64..20), 1..20), turn in 0usize..20,
        ) {
            let mut scores: Vec<_> = scores.into_iter().map(|(agent, fit, rank)| Score { agent, fit, rank }).collect();
            let before = decision(50, scores.clone(), Verdicts::default()).choice();
            let by = turn % scores.len();
            scores.rotate_left(by);
            prop_assert_eq!(before, decision(50, scores, Verdicts::default()).choice());
        }
    }
}
