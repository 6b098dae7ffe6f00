//! What a caller lives through: coming in, overflowing, coming back, being told how long.

use super::*;
use crate::limits;

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
