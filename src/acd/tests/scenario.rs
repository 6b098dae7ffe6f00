//! What a caller, an agent and a supervisor live through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::limits;

fn not_ready(reason: NotReady) -> AgentState {
    AgentState::NotReady { reason }
}

// Ringing

#[test]
fn the_agent_who_becomes_ready_first_rings_for_the_waiting_caller() {
    let mut house = House::new(queue(|_| {})).with_ready(&[]).with_agent(AgentEntry::named("ana"));
    house.enter(1);
    assert_eq!(house.offers(), []);
    house.ready("ana");
    assert_eq!(house.offers(), [(1, vec!["ana".to_string()])]);
    assert_eq!(house.state("ana"), AgentState::Offered { call: id(1) });
    house.pass(3);
    house.answer(1, "ana");
    assert_eq!(house.state("ana"), AgentState::Talking { call: id(1) });
    let connected = house
        .outputs
        .iter()
        .any(|output| matches!(output, Output::Connected { call, waited, .. } if *call == id(1) && *waited == secs(4)));
    assert!(connected, "{:?}", house.outputs);
}

#[test]
fn no_answer_turns_the_agent_not_ready_and_the_next_agent_rings_at_once() {
    let mut house = House::new(queue(|q| q.ring_timeout = secs(12))).with_ready(&["ana", "bo"]);
    house.enter(1);
    house.pass(5);
    house.enter(2);
    assert_eq!(house.offers(), [(1, vec!["ana".to_string()]), (2, vec!["bo".to_string()])]);
    let _ = house.outcome(2, "bo", Outcome::Declined);
    house.pass(7);
    assert_eq!(house.state("ana"), not_ready(NotReady::NoAnswer));
    let withdrawn = Output::OfferWithdrawn { call: id(1), agent: "ana".into(), why: Withdrawn::NoAnswer };
    assert!(house.outputs.contains(&withdrawn));
    house.offers();
    house.pass(10);
    assert_eq!(house.offers(), [(1, vec!["bo".to_string()])], "the older call has kept its place");
    assert_eq!(house.outcome(1, "ana", Outcome::Answered), Claim::TooLate);
}

#[test]
fn a_higher_no_answer_limit_gives_another_chance() {
    let mut house = House::new(queue(|q| q.no_answer_limit = 2)).with_ready(&["ana"]);
    house.enter(1);
    house.pass(15);
    assert_eq!(house.state("ana"), AgentState::Ready);
    assert_eq!(house.offers(), [(1, vec!["ana".to_string()])]);
    house.pass(5);
    assert_eq!(house.offers(), [(1, vec!["ana".to_string()])]);
    house.pass(15);
    assert_eq!(house.state("ana"), not_ready(NotReady::NoAnswer));
}

#[test]
fn declined_busy_and_unreachable_leave_the_agent_ready_and_alone_for_a_while() {
    for (outcome, rest) in [(Outcome::Declined, 10), (Outcome::Busy, 30), (Outcome::Unreachable, 30)] {
        let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
        house.enter(1);
        let _ = house.outcome(1, "ana", outcome);
        assert_eq!(house.state("ana"), AgentState::Ready, "{outcome:?}");
        assert!(house.acd.why_not(house.now, id(1), &"ana".into()).unwrap().contains("left alone"));
        house.offers();
        house.pass(rest - 1);
        assert_eq!(house.offers(), [], "{outcome:?}");
        house.pass(1);
        assert_eq!(house.offers(), [(1, vec!["ana".to_string()])], "{outcome:?}");
    }
}

#[test]
fn ring_all_rings_everyone_and_exactly_one_answer_wins() {
    let settings = queue(|q| q.strategy = Strategy::RingAll);
    let mut house = House::new(settings).with_ready(&["ana", "bo", "cy"]);
    house.enter(1);
    assert_eq!(house.ringing(1), ["ana", "bo", "cy"]);
    let _ = house.outcome(1, "cy", Outcome::Busy);
    assert_eq!(house.ringing(1), ["ana", "bo"], "one drop does not end the round");
    house.outputs.clear();
    house.answer(1, "bo");
    let withdrawn = Output::OfferWithdrawn { call: id(1), agent: "ana".into(), why: Withdrawn::AnsweredElsewhere };
    assert!(house.outputs.contains(&withdrawn));
    assert_eq!(house.outcome(1, "ana", Outcome::Answered), Claim::TooLate);
    assert_eq!(house.state("ana"), AgentState::Ready);
}

#[test]
fn ring_all_rings_no_more_than_the_bound() {
    let names: Vec<String> = (0..limits::ACD_RINGING + 3).map(|i| format!("a{i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut house = House::new(queue(|q| q.strategy = Strategy::RingAll)).with_ready(&names);
    house.enter(1);
    assert_eq!(house.ringing(1).len(), limits::ACD_RINGING);
}

#[test]
fn ring_progressively_adds_one_agent_after_another() {
    let settings = queue(|q| {
        q.strategy = Strategy::RingProgressively;
        q.widen_every = secs(4);
    });
    let mut house = House::new(settings).with_ready(&["ana", "bo", "cy"]);
    house.enter(1);
    assert_eq!(house.ringing(1), ["ana"]);
    house.pass(4);
    assert_eq!(house.ringing(1), ["ana", "bo"]);
    house.pass(4);
    assert_eq!(house.ringing(1), ["ana", "bo", "cy"]);
    house.pass(7);
    assert_eq!(house.ringing(1), ["bo", "cy"], "each rings for its own time");
    house.answer(1, "cy");
}

#[test]
fn a_caller_who_hangs_up_stops_the_ringing() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
    house.enter(1);
    house.leave(1, Left::Abandoned);
    let withdrawn = Output::OfferWithdrawn { call: id(1), agent: "ana".into(), why: Withdrawn::CallLeft };
    assert!(house.outputs.contains(&withdrawn));
    assert_eq!(house.state("ana"), AgentState::Ready);
    assert_eq!(house.acd.poll_timeout(), None, "no timer is left behind");
}

// Order

fn tiered(n: u128, tier: Tier) -> CallEntry {
    CallEntry { tier: Some(tier), ..CallEntry::new(id(n), "q") }
}

#[test]
fn platinum_is_served_before_lead_until_lead_has_aged() {
    let rules = |q: &mut QueueSettings| {
        q.priority = Priority { base: 0, per_minute: 10, cap: 100, starve_after: secs(900) };
    };
    let mut house = House::new(queue(rules)).with_agent(AgentEntry::named("ana"));
    house.enter_as(tiered(1, Tier::Lead));
    house.pass(60);
    house.enter_as(tiered(2, Tier::Platinum));
    house.ready("ana");
    assert_eq!(house.ringing(2), ["ana"], "30 points stand before 10");

    let mut house = House::new(queue(rules)).with_agent(AgentEntry::named("ana"));
    house.enter_as(tiered(1, Tier::Lead));
    house.pass(190);
    house.enter_as(tiered(2, Tier::Platinum));
    house.ready("ana");
    assert_eq!(house.ringing(1), ["ana"], "31 points stand before 30");
}

#[test]
fn past_the_starvation_bound_the_oldest_is_served_whatever_the_tier() {
    let rules = |q: &mut QueueSettings| {
        q.priority = Priority { base: 0, per_minute: 0, cap: 0, starve_after: secs(300) };
    };
    let mut house = House::new(queue(rules)).with_agent(AgentEntry::named("ana"));
    house.enter_as(tiered(1, Tier::Lead));
    house.pass(299);
    house.enter_as(tiered(2, Tier::Platinum));
    house.ready("ana");
    assert_eq!(house.ringing(1), ["ana"]);
}

#[test]
fn an_agent_who_becomes_free_takes_the_first_call_of_all_queues() {
    let mut sales = QueueSettings::named("sales");
    sales.priority.base = 5;
    let settings = Settings { queues: vec![QueueSettings::named("q"), sales], ..Settings::default() };
    let mut house = House::new(settings).with_agent(AgentEntry::named("ana"));
    house.enter(1);
    house.pass(2);
    house.enter_as(CallEntry::new(id(2), "sales"));
    house.enter(3);
    house.ready("ana");
    house.answer(2, "ana");
    house.legs("ana", 0);
    house.answer(1, "ana");
    house.legs("ana", 0);
    house.answer(3, "ana");
}

#[test]
fn the_best_skilled_agent_rings_and_the_longest_idle_of_equals() {
    let settings = queue(|q| q.steps = vec![step("billing >= 3", 0, false)]);
    let agent = |name: &str, level| AgentEntry::named(name).with_skill("billing", level);
    let mut house = House::new(settings)
        .with_agent(agent("ana", 2))
        .with_agent(agent("bo", 5))
        .with_agent(agent("cy", 9))
        .with_agent(agent("di", 9));
    ["ana", "bo", "di", "cy"].into_iter().for_each(|name| house.ready(name));
    (1..=4).for_each(|n| drop(house.enter(n)));
    let rang: Vec<_> = (1..=4).map(|n| house.ringing(n).join(",")).collect();
    assert_eq!(rang, ["di", "cy", "bo", ""], "ana lacks the level");
    assert_eq!(
        house.acd.why_not(house.now, id(4), &"ana".into()).as_deref(),
        Some("ana is no member of the queue."),
        "membership follows from the expression"
    );
}

#[test]
fn fit_can_be_disregarded() {
    let settings = queue(|q| {
        q.steps = vec![step("billing", 0, false)];
        q.fit = Fit::Disregard;
    });
    let agent = |name: &str, level| AgentEntry::named(name).with_skill("billing", level);
    let mut house = House::new(settings).with_agent(agent("ana", 1)).with_agent(agent("bo", 9));
    house.ready("ana");
    house.ready("bo");
    house.enter(1);
    assert_eq!(house.ringing(1), ["ana"]);
}

#[test]
fn what_the_call_itself_asks_for_is_asked_too() {
    let mut house = House::new(queue(|q| q.steps = vec![step("language >= 2", 0, false)]))
        .with_agent(AgentEntry::named("ana").with_skill("en", 9))
        .with_agent(AgentEntry::named("bo").with_skill("zh", 3))
        .with_agent(AgentEntry::named("cy").with_skill("zh", 3).with_skill("refunds", 1));
    ["ana", "bo", "cy"].into_iter().for_each(|name| house.ready(name));
    let requires = Some(Expression::parse("refunds").unwrap());
    house.enter_as(CallEntry { language: Some("zh".into()), requires, ..CallEntry::new(id(1), "q") });
    assert_eq!(house.ringing(1), ["cy"]);
    let why = house.acd.explanations(id(1)).next().unwrap().clone();
    assert_eq!(why.verdict(&"ana".into()), Verdict::Unskilled);
    assert_eq!(why.verdict(&"bo".into()), Verdict::CallNeedsOther);
    assert_eq!(why.why_not(&"bo".into()), "bo lacked what this call asked for.");
}

#[test]
fn members_can_be_listed_in_order_or_assigned() {
    let listed = Membership::Listed(vec!["cy".into(), "ana".into()]);
    let mut house = House::new(queue(|q| {
        q.members = listed;
        q.strategy = Strategy::TopDown;
    }))
    .with_ready(&["ana", "bo", "cy"]);
    (1..=3).for_each(|n| drop(house.enter(n)));
    assert_eq!((house.ringing(1), house.ringing(2)), (vec!["cy".to_string()], vec!["ana".to_string()]));
    assert!(house.ringing(3).is_empty(), "bo is not on the list");

    let mut house = House::new(queue(|q| q.members = Membership::Assigned))
        .with_agent(AgentEntry::named("ana"))
        .with_agent(AgentEntry::named("bo").with_queue("q"));
    house.ready("ana");
    house.ready("bo");
    house.enter(1);
    assert_eq!(house.ringing(1), ["bo"]);
}

// Expanding rings and preferred agents

#[test]
fn experts_are_asked_first_and_all_agents_later() {
    let settings = queue(|q| q.steps = vec![step("billing >= 8", 30, false), step("", 0, false)]);
    let mut house = House::new(settings)
        .with_agent(AgentEntry::named("ana"))
        .with_agent(AgentEntry::named("bo").with_skill("billing", 9));
    house.ready("ana");
    house.enter(1);
    house.pass(29);
    assert_eq!(house.offers(), []);
    let why_idle = house.acd.why_idle(house.now, &"ana".into());
    assert!(
        why_idle[0].ends_with("lacked a skill that the queue's step asked for: billing >= 8 (has 0)."),
        "{why_idle:?}"
    );
    house.pass(1);
    assert_eq!(house.offers(), [(1, vec!["ana".to_string()])]);
}

#[test]
fn a_step_is_skipped_while_nobody_who_satisfies_it_is_signed_in() {
    let settings = queue(|q| q.steps = vec![step("billing >= 8", 30, true), step("", 0, false)]);
    let mut house = House::new(settings).with_ready(&["ana"]);
    house.enter(1);
    assert_eq!(house.ringing(1), ["ana"]);

    let settings = queue(|q| q.steps = vec![step("billing >= 8", 30, true), step("", 0, false)]);
    let mut house =
        House::new(settings).with_agent(AgentEntry::named("bo").with_skill("billing", 9)).with_ready(&["ana"]);
    house.enter(1);
    assert!(house.ringing(1).is_empty(), "bo is signed in: the step counts");
    house.acd.handle_sign_out(house.now, &"bo".into()).unwrap();
    house.settle();
    assert_eq!(house.ringing(1), ["ana"], "bo is gone: the step is passed over");
}

#[test]
fn the_clock_is_kept_when_a_call_comes_back_from_a_menu() {
    let settings = queue(|q| q.steps = vec![step("billing >= 8", 30, false), step("", 0, false)]);
    let mut house = House::new(settings).with_ready(&["ana"]);
    house.enter(1);
    let clock = Some(house.now);
    house.pass(25);
    house.leave(1, Left::Moved);
    house.pass(10);
    house.enter_as(CallEntry { clock, ..CallEntry::new(id(1), "q") });
    assert_eq!(house.ringing(1), ["ana"], "35 s of age have reached the second step");
}

#[test]
fn a_preferred_agent_is_waited_for_but_not_for_ever() {
    let mut house = House::new(queue(|q| q.preferred_wait = secs(20))).with_ready(&["ana", "bo"]);
    house.legs("bo", 1);
    let prefers = |n, name: &str| CallEntry { preferred: Some(name.into()), ..CallEntry::new(id(n), "q") };
    house.enter_as(prefers(1, "bo"));
    assert!(house.ringing(1).is_empty());
    assert_eq!(
        house.acd.why_not(house.now, id(1), &"ana".into()).as_deref(),
        Some("ana had to leave the call to its preferred agent for now.")
    );
    house.pass(20);
    assert_eq!(house.ringing(1), ["ana"]);
    house.enter_as(prefers(2, "bo"));
    house.legs("bo", 0);
    assert_eq!(house.ringing(2), ["bo"]);
}

#[test]
fn a_preferred_agent_who_is_not_there_is_not_waited_for() {
    let mut house = House::new(queue(|_| {})).with_agent(AgentEntry::named("bo")).with_ready(&["ana"]);
    let prefers = |n, name: &str| CallEntry { preferred: Some(name.into()), ..CallEntry::new(id(n), "q") };
    house.enter_as(prefers(1, "nobody"));
    assert_eq!(house.ringing(1), ["ana"]);
    house.leave(1, Left::Abandoned);
    house.enter_as(prefers(2, "bo"));
    assert!(house.ringing(2).is_empty());
    house.acd.handle_sign_out(house.now, &"bo".into()).unwrap();
    house.settle();
    assert_eq!(house.ringing(2), ["ana"]);
}

// Coming and going

fn from(n: u128, caller: &str) -> CallEntry {
    CallEntry { caller: Some(caller.into()), ..CallEntry::new(id(n), "q") }
}

#[test]
fn who_hangs_up_and_calls_again_regains_the_place_once() {
    let mut house = House::new(queue(|_| {})).with_agent(AgentEntry::named("ana"));
    house.enter_as(from(1, "+861"));
    house.pass(10);
    house.enter_as(from(2, "+862"));
    house.leave(1, Left::Abandoned);
    house.pass(60);
    assert_eq!(house.enter_as(from(3, "+861")), Entered::Waits { queue: "q".into(), resumed: true });
    let order: Vec<_> = house.acd.waiting(house.now, &"q".into()).iter().map(|view| view.call.as_u128()).collect();
    assert_eq!(order, [3, 2]);
    house.leave(3, Left::Abandoned);
    assert_eq!(house.enter_as(from(4, "+861")), Entered::Waits { queue: "q".into(), resumed: false });
    house.ready("ana");
    assert_eq!(house.ringing(2), ["ana"]);
}

#[test]
fn a_full_queue_refuses_and_a_call_cannot_wait_twice() {
    let mut house = House::new(queue(|q| q.length_limit = 1));
    house.enter(1);
    let refused = house.acd.handle_call_enters(house.now, CallEntry::new(id(2), "q"));
    assert_eq!(refused, Err(Refusal::QueueFull("q".into())));
    let refused = house.acd.handle_call_enters(house.now, CallEntry::new(id(1), "q"));
    assert_eq!(refused, Err(Refusal::DuplicateCall(id(1))));
    let refused = house.acd.handle_call_enters(house.now, CallEntry::new(id(3), "x"));
    assert_eq!(refused, Err(Refusal::UnknownQueue("x".into())));
    house.settle();
    assert_eq!((house.figures().offered, house.figures().refused), (1, 1));
}

#[test]
fn the_house_refuses_more_calls_than_it_can_hold() {
    let settings = queue(|q| {
        q.length_limit = limits::ACD_CALLS;
        q.announce = AnnounceRule { position: false, wait: false, ..AnnounceRule::default() };
    });
    let mut house = House::new(settings);
    for n in 0..limits::ACD_CALLS {
        house.acd.handle_call_enters(house.now, CallEntry::new(id(n as u128), "q")).unwrap();
        while house.acd.poll_output().is_some() {}
    }
    let one_more = CallEntry::new(id(u128::MAX), "q");
    assert_eq!(house.acd.handle_call_enters(house.now, one_more), Err(Refusal::TooManyCalls));
}

#[test]
fn the_roster_is_bounded() {
    let mut house = House::new(queue(|_| {}));
    let mut heavy = AgentEntry::named("heavy");
    heavy.skills = (0..=limits::ACD_AGENT_ITEMS).map(|i| (format!("s{i}").as_str().into(), 1)).collect();
    let put = |house: &mut House, entry| house.acd.handle_roster(house.now, RosterChange::Put(entry));
    assert_eq!(put(&mut house, heavy), Err(Refusal::TooManyItems("heavy".into())));
    let eleven = AgentEntry::named("ana").with_skill("billing", 11);
    assert_eq!(put(&mut house, eleven), Err(Refusal::LevelOutOfRange("ana".into())));
    for n in 0..limits::ACD_AGENTS {
        let agent = crate::acd::agent::Agent::new(AgentEntry::named(format!("{n:04}").as_str()), START);
        house.acd.agents.insert(agent.entry.name.clone(), agent);
    }
    assert_eq!(put(&mut house, AgentEntry::named("ana")), Err(Refusal::TooManyAgents));
}

// Overflow

#[test]
fn a_call_that_waited_too_long_goes_to_voicemail() {
    let voicemail = Action::Voicemail("sales".into());
    let mut house = House::new(queue(|q| q.overflow.after = Some((secs(60), voicemail.clone()))));
    house.enter(1);
    house.pass(59);
    assert_eq!(house.overflows(), []);
    house.pass(1);
    assert_eq!(house.overflows(), [(OverflowWhy::Time, voicemail)]);
    assert_eq!((house.figures().moved, house.figures().waiting), (1, 0));
    assert_eq!(house.acd.poll_timeout(), None);
}

#[test]
fn without_a_rule_the_wait_still_has_an_end() {
    let mut house = House::new(queue(|_| {}));
    house.enter(1);
    house.pass(limits::ACD_WAIT.as_secs());
    assert_eq!(house.overflows(), [(OverflowWhy::Time, Action::HangUp)]);
    assert_eq!(house.figures().failed, 1);
}

#[test]
fn length_nobody_signed_in_and_closed_send_the_caller_elsewhere() {
    let number = Action::Number("+8610".into());
    let mut house = House::new(queue(|q| q.overflow.length = Some((1, number.clone()))));
    house.enter(1);
    assert_eq!(house.enter(2), Entered::Overflowed(number.clone()));
    assert_eq!(house.overflows(), [(OverflowWhy::Length, number.clone())]);

    let rules = |q: &mut QueueSettings| q.overflow.nobody_signed_in = Some(Action::HangUp);
    let mut house = House::new(queue(rules)).with_agent(AgentEntry::named("ana"));
    house.enter(1);
    assert_eq!(house.overflows(), []);
    house.acd.handle_sign_out(house.now, &"ana".into()).unwrap();
    house.settle();
    assert_eq!(house.overflows(), [(OverflowWhy::NobodySignedIn, Action::HangUp)], "the last one has gone home");
    assert_eq!(house.enter(2), Entered::Overflowed(Action::HangUp));

    let mut house = House::new(queue(|q| q.overflow.closed = Some(number.clone())));
    house.acd.handle_queue_open(house.now, &"q".into(), false).unwrap();
    assert_eq!(house.enter(1), Entered::Overflowed(number));
    let mut house = House::new(queue(|_| {}));
    house.acd.handle_queue_open(house.now, &"q".into(), false).unwrap();
    let refused = house.acd.handle_call_enters(house.now, CallEntry::new(id(1), "q"));
    assert_eq!(refused, Err(Refusal::QueueClosed("q".into())));
}

fn chain(names: &[&str], to: impl Fn(usize) -> Option<Action>) -> Settings {
    let queues = names.iter().enumerate().map(|(index, name)| {
        let mut rules = QueueSettings::named(*name);
        rules.members = Membership::Assigned;
        rules.overflow.nobody_signed_in = to(index);
        rules
    });
    Settings { queues: queues.collect(), ..Settings::default() }
}

#[test]
fn overflow_to_another_queue_keeps_the_clock() {
    let mut settings = chain(&["q", "backup"], |_| None);
    settings.queues[0].overflow.after = Some((secs(30), Action::Queue("backup".into())));
    let mut house = House::new(settings).with_agent(AgentEntry::named("ana").with_queue("backup"));
    let began = house.now;
    house.enter(1);
    house.pass(30);
    let view = &house.acd.waiting(house.now, &"backup".into())[0];
    assert_eq!((view.clock, view.entered), (began, began + secs(30)));
    let moved = Output::Moved { call: id(1), from: "q".into(), to: "backup".into() };
    assert!(house.outputs.contains(&moved));
    house.ready("ana");
    assert_eq!(house.ringing(1), ["ana"]);
    let backup = house.acd.figures(&"backup".into()).unwrap();
    assert_eq!((house.figures().moved, backup.offered, backup.waiting), (1, 1, 1));
}

#[test]
fn queues_that_overflow_in_a_circle_let_the_call_go() {
    let to = |index| Some(Action::Queue(if index == 0 { "b".into() } else { "q".into() }));
    let mut house = House::new(chain(&["q", "b"], to));
    assert_eq!(house.enter(1), Entered::Overflowed(Action::HangUp));
    assert_eq!(house.overflows().last(), Some(&(OverflowWhy::Circle, Action::HangUp)));
    let (a, b) = (house.figures(), house.acd.figures(&"b".into()).unwrap());
    assert_eq!(a.offered + b.offered, u64::from(limits::ACD_HOPS) + 1);
    assert_eq!((a.waiting, b.waiting, a.failed + b.failed), (0, 0, 1));
}

// Agents

#[test]
fn a_private_call_makes_an_agent_busy_and_its_end_makes_the_agent_free() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
    house.legs("ana", 1);
    assert_eq!(house.state("ana"), AgentState::Busy);
    house.enter(1);
    assert!(house.ringing(1).is_empty());
    house.legs("ana", 0);
    assert_eq!(house.ringing(1), ["ana"]);
}

#[test]
fn signing_in_lands_in_not_ready_and_signing_out_is_refused_from_a_call() {
    let mut house = House::new(queue(|_| {})).with_agent(AgentEntry::named("ana"));
    assert_eq!(house.state("ana"), not_ready(NotReady::SignedIn));
    let again = house.acd.handle_sign_in(house.now, &"ana".into(), true);
    assert_eq!(again, Err(Refusal::SignedIn("ana".into())));
    house.ready("ana");
    house.enter(1);
    house.answer(1, "ana");
    let refused = house.acd.handle_sign_out(house.now, &"ana".into());
    assert_eq!(refused, Err(Refusal::NotFromHere("ana".into())));
    house.acd.handle_not_ready(house.now, &"ana".into(), "lunch").unwrap();
    assert_eq!(house.state("ana"), AgentState::Talking { call: id(1) }, "the call comes first");
    house.legs("ana", 0);
    assert_eq!(house.state("ana"), not_ready(NotReady::Chosen("lunch".into())));
    house.acd.handle_sign_out(house.now, &"ana".into()).unwrap();
    house.settle();
    assert_eq!(house.state("ana"), AgentState::SignedOut);
    assert_eq!(house.acd.handle_ready(house.now, &"ana".into()), Err(Refusal::SignedOut("ana".into())));
}

#[test]
fn only_the_reasons_of_the_house_are_taken() {
    let settings = Settings { not_ready_reasons: vec!["lunch".into()], ..queue(|_| {}) };
    let mut house = House::new(settings).with_ready(&["ana"]);
    let refused = house.acd.handle_not_ready(house.now, &"ana".into(), "golf");
    assert_eq!(refused, Err(Refusal::UnknownReason("golf".into())));
    house.acd.handle_not_ready(house.now, &"ana".into(), "lunch").unwrap();
    house.settle();

    let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
    let novel = "x".repeat(limits::ACD_WORD_BYTES + 1);
    let refused = house.acd.handle_not_ready(house.now, &"ana".into(), &novel);
    assert_eq!(refused, Err(Refusal::UnknownReason(novel.as_str().into())), "a reason is a word, not a novel");
    assert!(house.acd.handle_not_ready(house.now, &"ana".into(), "").is_err());
    house.acd.handle_not_ready(house.now, &"ana".into(), &novel[1..]).unwrap();
    house.settle();
}

#[test]
fn a_lost_link_stops_offers_at_once_and_is_forgiven_for_a_minute() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
    let ana = AgentName::from("ana");
    house.acd.handle_link_lost(house.now, &ana).unwrap();
    house.enter(1);
    assert!(house.ringing(1).is_empty());
    assert_eq!(house.state("ana"), not_ready(NotReady::LinkLost));
    house.pass(59);
    house.acd.handle_link_restored(house.now, &ana).unwrap();
    house.settle();
    assert_eq!(house.ringing(1), ["ana"]);
    house.leave(1, Left::Abandoned);
    house.acd.handle_link_lost(house.now, &ana).unwrap();
    house.settle();
    house.pass(60);
    house.acd.handle_link_restored(house.now, &ana).unwrap();
    house.settle();
    assert_eq!(house.state("ana"), not_ready(NotReady::LinkLost), "after the grace the agent must say ready");
}

#[test]
fn ready_is_refused_without_a_phone() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
    let ana = AgentName::from("ana");
    house.acd.handle_phone_registered(house.now, &ana, false).unwrap();
    house.settle();
    assert_eq!(house.state("ana"), not_ready(NotReady::PhoneUnregistered));
    assert_eq!(house.acd.handle_ready(house.now, &ana), Err(Refusal::PhoneUnregistered(ana.clone())));
    house.acd.handle_phone_registered(house.now, &ana, true).unwrap();
    house.settle();
    assert_eq!(house.state("ana"), AgentState::Ready, "a phone that restarts costs nobody a click");
    house.acd.handle_phone_registered(house.now, &ana, false).unwrap();
    house.settle();
    house.pass(61);
    house.acd.handle_phone_registered(house.now, &ana, true).unwrap();
    house.settle();
    assert_eq!(house.state("ana"), not_ready(NotReady::PhoneUnregistered));
}

#[test]
fn an_agent_taken_off_the_roster_stops_ringing_and_the_next_one_rings() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana", "bo"]);
    house.enter(1);
    house.outputs.clear();
    house.acd.handle_roster(house.now, RosterChange::Remove("ana".into())).unwrap();
    house.settle();
    let withdrawn = Output::OfferWithdrawn { call: id(1), agent: "ana".into(), why: Withdrawn::AgentGone };
    assert!(house.outputs.contains(&withdrawn));
    assert_eq!(house.ringing(1), ["bo"]);
    let unknown = house.acd.handle_live_legs(house.now, &"ana".into(), 0);
    assert_eq!(unknown, Err(Refusal::UnknownAgent("ana".into())));
}

#[test]
fn a_skill_learnt_brings_the_waiting_call() {
    let mut house = House::new(queue(|q| q.steps = vec![step("zh", 0, false)])).with_ready(&["ana"]);
    house.enter(1);
    assert!(house.ringing(1).is_empty());
    let entry = AgentEntry::named("ana").with_skill("zh", 1);
    house.acd.handle_roster(house.now, RosterChange::Put(entry)).unwrap();
    house.settle();
    assert_eq!(house.ringing(1), ["ana"]);
}

// Wrap-up

fn wrapping_up() -> House {
    let settings = queue(|q| {
        q.wrap_up = WrapUpRule {
            lasts: secs(30),
            codes: vec!["sold".into(), "refused".into()],
            code_required: true,
            extend_by: secs(20),
            extensions: 1,
        };
    });
    let mut house = House::new(settings).with_ready(&["ana"]);
    house.enter(1);
    house.answer(1, "ana");
    house.pass(100);
    house.acd.handle_talk_ended(house.now, &"ana".into(), id(1)).unwrap();
    house.settle();
    assert_eq!(house.state("ana"), AgentState::Busy, "her leg is still up");
    house.pass(2);
    house.legs("ana", 0);
    house.outputs.clear();
    house
}

#[test]
fn wrap_up_wants_its_code_and_then_the_next_call_comes() {
    let mut house = wrapping_up();
    let ana = AgentName::from("ana");
    assert_eq!(house.state("ana"), AgentState::WrapUp { call: id(1), until: house.now + secs(30) });
    house.enter(2);
    assert!(house.ringing(2).is_empty());
    assert_eq!(house.acd.handle_wrap_up_finished(house.now, &ana), Err(Refusal::CodeRequired(ana.clone())));
    assert_eq!(house.acd.handle_wrap_up_code(house.now, &ana, "lost"), Err(Refusal::UnknownCode("lost".into())));
    house.acd.handle_wrap_up_code(house.now, &ana, "sold").unwrap();
    house.pass(5);
    house.acd.handle_wrap_up_finished(house.now, &ana).unwrap();
    house.settle();
    let code: Option<Arc<str>> = Some("sold".into());
    let ended =
        Output::WrapUpEnded { agent: ana.clone(), call: id(1), queue: "q".into(), code, auto: false, took: secs(5) };
    assert!(house.outputs.contains(&ended), "{:?}", house.outputs);
    assert_eq!(house.ringing(2), ["ana"]);
    assert_eq!(house.acd.handle_wrap_up_finished(house.now, &ana), Err(Refusal::NoWrapUp(ana)));
    assert_eq!((house.figures().talk, house.figures().wrap_up), (secs(100), secs(5)));
    assert_eq!(house.figures().average_handle_time(), Some(secs(105)));
}

#[test]
fn wrap_up_can_be_extended_as_often_as_allowed_and_ends_by_itself() {
    let mut house = wrapping_up();
    let ana = AgentName::from("ana");
    house.acd.handle_wrap_up_extended(house.now, &ana).unwrap();
    let refused = house.acd.handle_wrap_up_extended(house.now, &ana);
    assert_eq!(refused, Err(Refusal::NoMoreExtensions(ana.clone())));
    house.settle();
    house.pass(49);
    assert!(matches!(house.state("ana"), AgentState::WrapUp { .. }));
    house.pass(1);
    assert_eq!(house.state("ana"), AgentState::Ready);
    let auto = house
        .outputs
        .iter()
        .any(|output| matches!(output, Output::WrapUpEnded { code: None, auto: true, took, .. } if *took == secs(50)));
    assert!(auto, "{:?}", house.outputs);
}

// Announcements

fn announced(house: &mut House) -> Vec<(u128, Option<u32>, Option<Rise>)> {
    let outputs = core::mem::take(&mut house.outputs);
    let announced = outputs.into_iter().filter_map(|output| match output {
        Output::Announce { call, position, rise, .. } => Some((call.as_u128(), position, rise)),
        _ => None,
    });
    announced.collect()
}

#[test]
fn the_position_is_told_when_it_falls_and_a_rise_only_with_its_reason() {
    let settings = queue(|q| {
        q.announce = AnnounceRule { position: true, wait: false, first: secs(10), every: secs(30) };
    });
    let mut house = House::new(settings);
    house.enter(1);
    house.enter(2);
    house.pass(10);
    assert_eq!(announced(&mut house), [(1, Some(1), None), (2, Some(2), None)]);
    house.pass(30);
    assert_eq!(announced(&mut house), [], "nothing new is not told");
    house.leave(1, Left::Abandoned);
    house.pass(30);
    assert_eq!(announced(&mut house), [(2, Some(1), None)]);
    house.enter_as(tiered(3, Tier::Platinum));
    house.pass(30);
    assert_eq!(announced(&mut house), [(3, Some(1), None), (2, Some(2), Some(Rise::CallsAhead))]);
}

#[test]
fn the_wait_told_is_the_estimate_of_the_formula() {
    let names: Vec<String> = (0..20).map(|i| format!("a{i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut house = House::new(queue(|_| {})).with_ready(&names);
    // All twenty ring, so that four more wait.
    (1..=24).for_each(|n| drop(house.enter(n)));
    let estimate = house.acd.estimate(house.now, id(24)).unwrap();
    assert!((estimate.p90.as_secs_f64() - 56.11).abs() < 0.01, "three ahead, twenty agents: {estimate:?}");
    assert_eq!(house.acd.estimate(house.now, id(1)), None, "a call that rings has no wait ahead");
    house.pass(1);
    names.iter().enumerate().for_each(|(n, name)| house.answer(n as u128 + 1, name));
    house.legs("a00", 0);
    house.answer(21, "a00");
    assert_eq!((house.figures().estimated, house.figures().within_p90), (1, 1), "call 21 waited 1 s");
}

#[test]
fn agents_shared_with_calls_ahead_in_another_queue_count_in_part() {
    let settings =
        Settings { queues: vec![QueueSettings::named("q"), QueueSettings::named("other")], ..Settings::default() };
    let mut house = House::new(settings).with_ready(&["ana", "bo"]);
    house.legs("ana", 1);
    house.legs("bo", 1);
    // Signed in, wanting calls and on private ones: both work for whoever waits.
    house.enter(1);
    let alone = house.acd.estimate(house.now, id(1)).unwrap();
    house.pass(1);
    house.enter_as(CallEntry { clock: Some(START), ..CallEntry::new(id(2), "other") });
    let shared = house.acd.estimate(house.now, id(1)).unwrap();
    assert!(shared.mean > alone.mean.mul_f64(1.9), "one ahead elsewhere halves the agents: {alone:?} {shared:?}");
}

// Administrators and supervisors

#[test]
fn settings_are_taken_whole_or_not_at_all_and_calls_stay() {
    let mut house = House::new(queue(|_| {}));
    house.enter(1);
    let mut broken = queue(|q| q.ring_timeout = Duration::ZERO);
    broken.queues.push(QueueSettings::named("more"));
    assert!(house.acd.handle_settings(house.now, broken).is_err());
    assert_eq!(house.acd.figures(&"more".into()), None);

    let other = Settings { queues: vec![QueueSettings::named("more")], ..Settings::default() };
    house.acd.handle_settings(house.now, other.clone()).unwrap();
    house.settle();
    let refused = house.acd.handle_call_enters(house.now, CallEntry::new(id(2), "q"));
    assert_eq!(refused, Err(Refusal::UnknownQueue("q".into())), "the queue is going");
    let mut house = house.with_ready(&["ana"]);
    assert_eq!(house.ringing(1), ["ana"], "who waits there is served");
    house.answer(1, "ana");
    house.acd.handle_settings(house.now, other).unwrap();
    house.settle();
    assert_eq!(house.acd.figures(&"q".into()), None, "the last call has left, and so has the queue");
    house.legs("ana", 0);
    assert_eq!(house.state("ana"), AgentState::Ready);
}

#[test]
fn figures_survive_a_change_of_settings() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
    house.enter(1);
    house.answer(1, "ana");
    let mut settings = queue(|q| q.target = secs(1));
    settings.queues.insert(0, QueueSettings::named("first"));
    house.acd.handle_settings(house.now, settings).unwrap();
    house.settle();
    assert_eq!(house.figures().answered, 1);
}

#[test]
fn a_supervisor_moves_a_call_with_its_clock_and_lifts_another() {
    let settings = chain(&["q", "vip"], |_| None);
    let mut house = House::new(settings).with_agent(AgentEntry::named("ana").with_queue("vip"));
    house.enter(1);
    house.pass(40);
    house.enter(2);
    house.acd.handle_change_priority(house.now, id(2), 90).unwrap();
    house.settle();
    let order: Vec<_> = house.acd.waiting(house.now, &"q".into()).iter().map(|view| view.call.as_u128()).collect();
    assert_eq!(order, [2, 1]);
    house.acd.handle_move_call(house.now, id(1), &"vip".into()).unwrap();
    house.settle();
    assert_eq!(house.acd.waiting(house.now, &"vip".into())[0].clock, START);
    assert_eq!(house.acd.handle_move_call(house.now, id(9), &"vip".into()), Err(Refusal::UnknownCall(id(9))));
    house.ready("ana");
    assert_eq!(house.ringing(1), ["ana"]);
}

#[test]
fn a_forced_state_withdraws_the_offer() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana", "bo"]);
    house.enter(1);
    let pause = ForcedState::NotReady("meeting".into());
    house.acd.handle_force_state(house.now, &"ana".into(), &pause).unwrap();
    house.settle();
    assert_eq!(house.state("ana"), not_ready(NotReady::Chosen("meeting".into())));
    assert_eq!(house.ringing(1), ["bo"]);
    house.acd.handle_force_state(house.now, &"bo".into(), &ForcedState::SignedOut).unwrap();
    house.settle();
    assert_eq!(house.state("bo"), AgentState::SignedOut);
    house.acd.handle_force_state(house.now, &"ana".into(), &ForcedState::Ready).unwrap();
    house.settle();
    assert_eq!(house.ringing(1), ["ana"]);
}

// Nothing sticks

#[test]
fn reconciling_mends_what_the_switch_forgot_to_say() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana", "bo", "cy"]);
    (1..=3).for_each(|n| drop(house.enter(n)));
    house.enter(4);
    house.answer(1, "ana");
    // Ana's leg has ended, bo's phone does not ring, call 3 is gone: none of it was told.
    let facts = SwitchFacts {
        waiting: BTreeSet::from([id(2), id(4)]),
        ringing: BTreeSet::new(),
        live_legs: BTreeMap::new(),
        registered: ["ana", "bo", "cy"].map(AgentName::from).into(),
        linked: ["ana", "bo", "cy"].map(AgentName::from).into(),
    };
    let repairs = house.acd.reconcile(house.now, &facts);
    assert_eq!(
        repairs,
        [
            Repair::CallGone { call: id(3) },
            Repair::OfferGone { call: id(2), agent: "bo".into() },
            Repair::LegsDiffered { agent: "ana".into(), had: 1, are: 0 },
        ]
    );
    house.settle();
    assert_eq!((house.figures().failed, house.figures().waiting), (1, 2));
    assert_eq!(house.ringing(2).len() + house.ringing(4).len(), 2, "both are offered anew");
}

#[test]
fn reconciling_leaves_alone_an_offer_the_switch_has_not_read_yet() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
    house.acd.handle_call_enters(house.now, CallEntry::new(id(1), "q")).unwrap();
    let here: BTreeSet<AgentName> = ["ana"].map(AgentName::from).into();
    let facts = SwitchFacts {
        waiting: BTreeSet::from([id(1)]),
        registered: here.clone(),
        linked: here,
        ..SwitchFacts::default()
    };
    assert_eq!(house.acd.reconcile(house.now, &facts), []);
    assert_eq!(house.ringing(1), ["ana"]);
}

#[test]
fn reconciling_rebuilds_a_reservation_that_only_one_side_holds() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
    house.acd.agents.get_mut("ana").unwrap().offered = Some(id(77));
    assert_eq!(
        house.acd.check_invariants(house.now),
        [Violation::ReservationDisagrees { agent: "ana".into() }, Violation::StateNotTold { agent: "ana".into() }],
        "the watch sees it"
    );
    let here: BTreeSet<AgentName> = ["ana"].map(AgentName::from).into();
    let facts = SwitchFacts { registered: here.clone(), linked: here, ..SwitchFacts::default() };
    assert_eq!(house.acd.reconcile(house.now, &facts), [Repair::ReservationDiffered { agent: "ana".into() }]);
    house.settle();
    assert_eq!(house.state("ana"), AgentState::Ready);
}

#[test]
fn the_watch_sees_an_idle_agent_beside_a_waiting_call_and_miscounted_figures() {
    let mut house = House::new(queue(|_| {})).with_agent(AgentEntry::named("ana"));
    house.enter(1);
    house.acd.agents.get_mut("ana").unwrap().wish = crate::acd::agent::Wish::Ready;
    house.acd.queues[0].figures.waiting = 0;
    let found = house.acd.check_invariants(house.now);
    assert!(found.contains(&Violation::IdleWhileCallWaits { agent: "ana".into(), call: id(1) }), "{found:?}");
    assert!(found.contains(&Violation::FiguresDoNotAdd { queue: "q".into() }), "{found:?}");
    let late = house.now + limits::ACD_WAIT + secs(1);
    house.acd.calls.get_mut(&id(1)).unwrap().due = None;
    assert!(house.acd.check_invariants(late).contains(&Violation::PastDeadline { call: id(1) }));
}

// Explaining

#[test]
fn a_decision_says_why_this_agent_and_why_not_that_one() {
    let mut house =
        House::new(queue(|_| {})).with_ready(&["ana", "bo", "cy", "di"]).with_agent(AgentEntry::named("ed"));
    house.legs("cy", 1);
    house.pass(9);
    house.enter(1);
    let why = house.acd.explanations(id(1)).next().unwrap().clone();
    assert_eq!(why.why_not(&"ana".into()), "ana was offered the call: idle for 12 s.");
    assert_eq!(why.why_not(&"bo".into()), "bo was eligible (idle for 11 s), but ana came first: idle for 12 s.");
    assert_eq!(why.why_not(&"cy".into()), "cy was on a call.");
    assert_eq!(why.why_not(&"ed".into()), "ed was not ready.");
    assert_eq!(why.eligible, 3);
    assert_eq!(house.acd.why_idle(house.now, &"ed".into()), ["ed was not ready."]);
    assert_eq!(house.acd.why_idle(house.now, &"bo".into()), ["No call waits in the 1 queues of bo."]);
}

#[test]
fn kept_explanations_are_bounded() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana"]);
    for n in 0..limits::ACD_EXPLANATIONS as u128 + 5 {
        house.acd.handle_call_enters(house.now, CallEntry::new(id(n), "q")).unwrap();
        house.acd.handle_call_leaves(house.now, id(n), Left::Abandoned).unwrap();
        while house.acd.poll_output().is_some() {}
    }
    assert_eq!(house.acd.explanations.len(), limits::ACD_EXPLANATIONS);
    assert_eq!(house.acd.explanations(id(4)).count(), 0);
    assert_eq!(house.acd.explanations(id(5)).count(), 1);
}

#[test]
fn the_same_seed_and_inputs_give_the_same_decisions() {
    let run = || {
        let mut house = House::new(queue(|q| q.strategy = Strategy::Random)).with_ready(&["ana", "bo", "cy", "di"]);
        (1..=3).for_each(|n| drop(house.enter(n)));
        house.offers()
    };
    assert_eq!(run(), run());
}
