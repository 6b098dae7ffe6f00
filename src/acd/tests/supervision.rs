//! Settings, supervisors, reconciliation, explanations.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::limits;

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
