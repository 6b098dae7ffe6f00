//! A storm: random events by the ten thousand against an independent model of the switch. After each one every
//! promise must hold; at any moment the model's facts and the ACD's must agree; and when the storm is over nothing
//! may be left: no reservation, no timer, no call.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::ids::IdSource;

/// The switch, as far as the ACD can see one.
struct Storm {
    acd: Acd,
    now: Time,
    dice: IdSource,
    facts: SwitchFacts,
    /// How often each call left by an answer or otherwise: one exit each.
    exits: BTreeMap<CallId, u32>,
    calls: u128,
    /// Rush hour: more calls than agents. Else a quiet day: more agents than calls.
    rush: bool,
    seen: Seen,
    /// All outputs in words.
    said: Vec<String>,
}

/// What the storm has met: a storm that never rings proves nothing.
#[derive(Debug, Default)]
struct Seen {
    offers: u32,
    by_free_agent: u32,
    widened: u32,
    answered: u32,
    late_answers: u32,
    overflows: u32,
    announcements: u32,
    wrap_ups: u32,
}

const AGENTS: [&str; 10] = ["ana", "bo", "cy", "di", "ed", "fay", "gus", "hal", "ida", "jo"];
const QUEUES: [&str; 4] = ["q", "sales", "vip", "all"];
const SKILLS: [&str; 3] = ["billing", "en", "zh"];

fn settings(which: u32) -> Settings {
    let mut q = QueueSettings::named("q");
    q.steps = vec![step("billing >= 5", 8, true), step("billing >= 2 and language", 10, false), step("", 0, false)];
    q.overflow.after = Some((secs(60), Action::Queue("sales".into())));
    q.wrap_up = WrapUpRule {
        lasts: secs(6),
        codes: vec!["done".into()],
        code_required: true,
        extend_by: secs(5),
        extensions: 2,
    };
    let mut sales = QueueSettings::named("sales");
    (_, sales.strategy) = Strategy::ALL[usize::try_from(which % 10).unwrap()];
    sales.members = Membership::Assigned;
    sales.no_answer_limit = 2;
    sales.overflow.nobody_signed_in = Some(Action::Queue("q".into()));
    sales.overflow.length = Some((6, Action::Voicemail("sales".into())));
    let mut vip = QueueSettings::named("vip");
    vip.strategy = Strategy::RingProgressively;
    vip.members = Membership::Listed(["jo", "ana", "di"].map(AgentName::from).into());
    vip.priority = Priority { base: 20, per_minute: 60, cap: 40, starve_after: secs(30) };
    vip.overflow.closed = Some(Action::Number("+8610".into()));
    vip.widen_every = secs(1);
    let mut all = QueueSettings::named("all");
    all.strategy = Strategy::RingAll;
    all.fit = Fit::Disregard;
    all.length_limit = 5;
    all.ring_timeout = secs(7);
    let mut queues = vec![q, sales, vip, all];
    if which % 3 == 2 {
        // `all` is taken out and comes back: calls that wait there must live on.
        queues.pop();
    }
    Settings { queues, resume_within: secs(40), outage_grace: secs(15), ..Settings::default() }
}

impl Storm {
    fn new(seed: u64) -> Self {
        let acd = Acd::new(settings(u32::try_from(seed % 10).unwrap()), seed).unwrap();
        let mut storm = Self {
            acd,
            now: START,
            dice: IdSource::from_seed(seed),
            facts: SwitchFacts::default(),
            exits: BTreeMap::new(),
            calls: 0,
            rush: seed.is_multiple_of(2),
            seen: Seen::default(),
            said: Vec::new(),
        };
        for name in AGENTS {
            storm.put_agent(name.into());
            storm.sign_in(&name.into());
            let _ = storm.acd.handle_ready(storm.now, &name.into());
            storm.check();
        }
        storm
    }

    fn roll(&mut self, sides: u32) -> u32 {
        self.dice.below(sides)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let sides = u32::try_from(from.len()).unwrap();
        let index = usize::try_from(self.roll(sides)).unwrap();
        from.get(index).cloned()
    }

    fn agent(&mut self) -> AgentName {
        AgentName::from(self.pick(&AGENTS).unwrap())
    }

    fn queue(&mut self) -> &'static str {
        self.pick(&QUEUES).unwrap()
    }

    fn waiting(&mut self) -> Option<CallId> {
        let waiting: Vec<_> = self.facts.waiting.iter().copied().collect();
        self.pick(&waiting)
    }

    fn one_event(&mut self) {
        match self.roll(100) {
            0..=19 => self.pass(),
            20..=24 => self.enter(),
            25..=34 if self.rush => self.enter(),
            25..=34 => self.recover(),
            35..=37 => self.leave(),
            38..=59 => self.outcome(),
            60..=74 => self.legs(),
            75..=84 => self.agent_event(),
            85..=93 => self.recover(),
            94..=96 => self.supervise(),
            97 => self.roster(),
            98 => self.administer(),
            _ => self.reconcile(),
        }
        self.check();
    }

    fn pass(&mut self) {
        let end = self.now + Duration::from_millis(u64::from(self.roll(6_000)));
        while let Some(at) = self.acd.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.acd.handle_timeout(self.now);
            self.check();
            assert!(self.acd.poll_timeout().is_none_or(|next| next > self.now), "time stands still");
        }
        self.now = end;
    }

    fn enter(&mut self) {
        self.calls += 1;
        let call = id(self.calls);
        let mut entry = CallEntry::new(call, self.queue());
        entry.caller = Some(format!("+86{}", self.roll(30)).into());
        entry.tier =
            [None, Some(Tier::Platinum), Some(Tier::Gold), Some(Tier::Iron)][usize::try_from(self.roll(4)).unwrap()];
        entry.language = [None, Some("en".into()), Some("zh".into())][usize::try_from(self.roll(3)).unwrap()].clone();
        entry.preferred = (self.roll(5) == 0).then(|| self.agent());
        entry.requires = (self.roll(6) == 0).then(|| Expression::parse("en >= 4 or not billing").unwrap());
        entry.clock = (self.roll(8) == 0).then(|| self.now - secs(20));
        self.facts.waiting.insert(call);
        let entered = self.acd.handle_call_enters(self.now, entry);
        if entered.is_err() {
            self.facts.waiting.remove(&call);
        }
        let gone = matches!(entered, Ok(Entered::Overflowed(_)));
        self.check();
        assert_eq!(gone, entered.is_ok() && !self.facts.waiting.contains(&call));
    }

    fn leave(&mut self) {
        let Some(call) = self.waiting() else { return };
        let how = [Left::Abandoned, Left::Abandoned, Left::Moved, Left::Failed][usize::try_from(self.roll(4)).unwrap()];
        self.acd.handle_call_leaves(self.now, call, how).unwrap();
        self.exit(call);
    }

    fn outcome(&mut self) {
        let outcome = [
            Outcome::Answered,
            Outcome::Answered,
            Outcome::Answered,
            Outcome::NoAnswer,
            Outcome::Declined,
            Outcome::Busy,
            Outcome::Unreachable,
        ][usize::try_from(self.roll(7)).unwrap()];
        let ringing: Vec<_> = self.facts.ringing.iter().cloned().collect();
        let (call, agent) = if self.roll(6) == 0 {
            // Late, mistaken or doubled: for a pair that need not ring at all.
            let call = id(u128::from(self.roll(u32::try_from(self.calls).unwrap_or(0) + 1)));
            (call, self.agent())
        } else {
            let Some(pair) = self.pick(&ringing) else { return };
            pair
        };
        let rings = self.facts.ringing.remove(&(call, agent.clone()));
        let claim = self.acd.handle_offer_outcome(self.now, call, &agent, outcome);
        assert_eq!(claim == Claim::Taken, rings, "{call} at {agent}");
        if !rings && outcome == Outcome::Answered {
            self.seen.late_answers += 1;
        }
    }

    /// Private calls begin, calls of any kind end; sometimes the end of talk is told before the leg is gone.
    fn legs(&mut self) {
        let agent = self.agent();
        let legs = self.facts.live_legs.get(&agent).copied().unwrap_or(0);
        if legs > 0 {
            if self.roll(2) == 0
                && let Some(AgentState::Talking { call }) = self.acd.agent_state(&agent)
            {
                self.acd.handle_talk_ended(self.now, &agent, call).unwrap();
                self.check();
            }
            self.tell_legs(&agent, legs - 1);
        } else if self.roll(8) == 0 {
            self.tell_legs(&agent, 1);
        }
    }

    fn tell_legs(&mut self, agent: &AgentName, legs: u32) {
        self.facts.live_legs.insert(agent.clone(), legs);
        // An agent off the roster has legs nobody asks for.
        let _ = self.acd.handle_live_legs(self.now, agent, legs);
    }

    fn sign_in(&mut self, agent: &AgentName) {
        let registered = self.facts.registered.contains(agent);
        if self.acd.handle_sign_in(self.now, agent, registered).is_ok() {
            self.facts.linked.insert(agent.clone());
        }
    }

    fn agent_event(&mut self) {
        let (agent, now) = (self.agent(), self.now);
        let _ = match self.roll(12) {
            0 => {
                self.sign_in(&agent);
                Ok(())
            }
            1 if self.roll(3) == 0 => self.acd.handle_sign_out(now, &agent),
            2 => self.acd.handle_not_ready(now, &agent, "break"),
            3 => self.acd.handle_wrap_up_code(now, &agent, "done"),
            4 => self.acd.handle_wrap_up_finished(now, &agent),
            5 => self.acd.handle_wrap_up_extended(now, &agent),
            6 => {
                self.facts.linked.remove(&agent);
                self.acd.handle_link_lost(now, &agent)
            }
            7 => {
                self.facts.linked.insert(agent.clone());
                self.acd.handle_link_restored(now, &agent)
            }
            8 => {
                self.facts.registered.remove(&agent);
                self.acd.handle_phone_registered(now, &agent, false)
            }
            9 => {
                self.facts.registered.insert(agent.clone());
                self.acd.handle_phone_registered(now, &agent, true)
            }
            _ => self.acd.handle_ready(now, &agent),
        };
    }

    /// One agent comes back to work, whatever kept that agent away.
    fn recover(&mut self) {
        let (agent, now) = (self.agent(), self.now);
        self.sign_in(&agent);
        self.facts.registered.insert(agent.clone());
        let _ = self.acd.handle_phone_registered(now, &agent, true);
        self.facts.linked.insert(agent.clone());
        let _ = self.acd.handle_link_restored(now, &agent);
        let _ = self.acd.handle_ready(now, &agent);
    }

    fn supervise(&mut self) {
        let agent = self.agent();
        let state = [ForcedState::Ready, ForcedState::NotReady("meeting".into()), ForcedState::SignedOut]
            [usize::try_from(self.roll(3)).unwrap()]
        .clone();
        match (self.roll(3), self.waiting()) {
            (0, Some(call)) => {
                let to = self.queue().into();
                let _ = self.acd.handle_move_call(self.now, call, &to);
            }
            (1, Some(call)) => {
                let points = i32::try_from(self.roll(100)).unwrap() - 50;
                self.acd.handle_change_priority(self.now, call, points).unwrap();
            }
            _ => drop(self.acd.handle_force_state(self.now, &agent, &state)),
        }
    }

    fn roster(&mut self) {
        let agent = self.agent();
        if self.roll(3) == 0 {
            let _ = self.acd.handle_roster(self.now, RosterChange::Remove(agent));
        } else {
            self.put_agent(agent);
        }
    }

    fn put_agent(&mut self, name: AgentName) {
        let mut entry = AgentEntry::named(name.as_str());
        for skill in SKILLS {
            let level = u8::try_from(self.roll(11)).unwrap();
            if level > 0 {
                entry = entry.with_skill(skill, level);
            }
        }
        for queue in QUEUES {
            if self.roll(2) == 0 {
                entry = entry.with_queue(queue);
            }
        }
        entry.weight = u8::try_from(self.roll(10)).unwrap() + 1;
        let known = self.acd.agent_state(&name).is_some();
        self.acd.handle_roster(self.now, RosterChange::Put(entry)).unwrap();
        if !known {
            self.check();
            self.facts.registered.insert(name.clone());
            let legs = self.facts.live_legs.get(&name).copied().unwrap_or(0);
            self.tell_legs(&name, legs);
        }
    }

    fn administer(&mut self) {
        if self.roll(2) == 0 {
            let which = self.roll(30);
            self.acd.handle_settings(self.now, settings(which)).unwrap();
        } else {
            let (queue, open) = (self.queue().into(), self.roll(3) > 0);
            let _ = self.acd.handle_queue_open(self.now, &queue, open);
        }
    }

    /// The model has told everything, so there is nothing to mend.
    fn reconcile(&mut self) {
        assert_eq!(self.acd.reconcile(self.now, &self.facts), []);
    }

    fn exit(&mut self, call: CallId) {
        assert!(self.facts.waiting.remove(&call), "{call} left twice");
        *self.exits.entry(call).or_insert(0) += 1;
    }

    /// Reads the outputs as a switch would, then asks for every promise.
    fn check(&mut self) {
        while let Some(output) = self.acd.poll_output() {
            self.said.push(format!("{output:?}"));
            self.read(output);
        }
        assert_eq!(self.acd.check_invariants(self.now), []);
        for (call, agent) in &self.facts.ringing {
            assert!(self.facts.waiting.contains(call), "{agent} rings for {call}, which is gone");
        }
    }

    fn read(&mut self, output: Output) {
        match output {
            Output::Offer(offer) => self.read_offer(&offer),
            Output::OfferWithdrawn { call, agent, .. } => {
                assert!(self.facts.ringing.remove(&(call, agent.clone())), "{agent} did not ring for {call}");
            }
            Output::Connected { call, agent, .. } => {
                self.exit(call);
                self.seen.answered += 1;
                let legs = self.facts.live_legs.entry(agent).or_insert(0);
                *legs = (*legs).max(1);
            }
            Output::Overflow { call, action, .. } => {
                self.seen.overflows += 1;
                if !matches!(action, Action::Queue(_)) {
                    self.exit(call);
                }
            }
            Output::Announce { position, wait, .. } => {
                assert!(position.is_some() || wait.is_some(), "an announcement that says nothing");
                self.seen.announcements += 1;
            }
            Output::WrapUpEnded { .. } => self.seen.wrap_ups += 1,
            Output::QueueFigures { queue, figures } => assert!(figures.identity_holds(), "{queue}: {figures:?}"),
            Output::AgentStateChanged { .. } | Output::Moved { .. } => {}
        }
    }

    fn read_offer(&mut self, offer: &Offer) {
        self.seen.offers += 1;
        assert!(self.facts.waiting.contains(&offer.call));
        assert!(offer.deadline > self.now);
        for agent in &offer.agents {
            assert!(self.facts.ringing.iter().all(|(_, other)| other != agent), "{agent} rings twice");
            self.facts.ringing.insert((offer.call, agent.clone()));
        }
        let why = &offer.explanation;
        assert_eq!(why.choice(), offer.agents, "the explanation chooses otherwise");
        assert!(why.size() <= 2_048, "{} bytes", why.size());
        assert!(offer.agents.iter().all(|agent| why.verdict(agent) == Verdict::Eligible));
        let eligible = self.acd.agents().iter().filter(|agent| why.verdict(agent) == Verdict::Eligible).count();
        // The roster of this very step may have changed only where no offer stood before it.
        assert!(eligible <= usize::from(why.eligible), "{eligible} of {}", why.eligible);
        match &why.trigger {
            Trigger::AgentFree(agent) => {
                self.seen.by_free_agent += 1;
                assert_eq!(why.chosen_call(), offer.call);
                assert!(offer.agents.contains(agent));
            }
            Trigger::Widen => self.seen.widened += 1,
            Trigger::Call | Trigger::All => {}
        }
    }

    /// Everyone hangs up and goes home.
    fn calm_down(&mut self) {
        for name in AGENTS {
            self.tell_legs(&name.into(), 0);
            self.check();
        }
        for call in self.facts.waiting.clone() {
            self.acd.handle_call_leaves(self.now, call, Left::Abandoned).unwrap();
            self.exit(call);
            self.check();
        }
        for name in AGENTS {
            let _ = self.acd.handle_force_state(self.now, &name.into(), &ForcedState::SignedOut);
            self.check();
        }
    }
}

#[test]
fn a_hundred_thousand_random_events_break_no_promise_and_leave_nothing_behind() {
    let mut seen = Seen::default();
    for seed in 0..20 {
        let mut storm = Storm::new(seed);
        for _ in 0..5_000 {
            storm.one_event();
        }
        storm.calm_down();
        assert_eq!(storm.acd.poll_timeout(), None, "seed {seed}: a timer is left");
        assert_eq!(storm.facts.ringing, BTreeSet::new(), "seed {seed}");
        assert!(storm.acd.calls.is_empty() && storm.acd.agents.values().all(|agent| agent.offered.is_none()));
        assert!(storm.exits.values().all(|exits| *exits == 1), "seed {seed}: a call left twice");
        seen.offers += storm.seen.offers;
        seen.by_free_agent += storm.seen.by_free_agent;
        seen.widened += storm.seen.widened;
        seen.answered += storm.seen.answered;
        seen.late_answers += storm.seen.late_answers;
        seen.overflows += storm.seen.overflows;
        seen.announcements += storm.seen.announcements;
        seen.wrap_ups += storm.seen.wrap_ups;
    }
    let Seen { offers, by_free_agent, widened, answered, late_answers, overflows, announcements, wrap_ups } = seen;
    let each = [offers, by_free_agent, widened, answered, late_answers, overflows, announcements, wrap_ups];
    assert!(each.iter().all(|count| *count > 50), "the storm was too mild: {each:?}");
}

#[test]
fn the_same_storm_twice_says_the_same_word_for_word() {
    let run = || {
        let mut storm = Storm::new(99);
        (0..500).for_each(|_| storm.one_event());
        storm.said
    };
    assert!(run().len() > 500);
    assert_eq!(run(), run());
}
