//! Offers as an agent's phone meets them: ringing, answering, failing, withdrawn.

use super::*;
use crate::limits;

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
fn an_offer_that_was_lost_does_not_cost_the_idle_time() {
    let mut house = House::new(queue(|_| {})).with_ready(&["ana", "bo"]);
    house.enter(1);
    house.legs("ana", 1);
    house.leave(1, Left::Abandoned);
    assert_eq!(house.state("ana"), AgentState::Busy, "the phone is still being told to stop");
    house.legs("ana", 0);
    house.pass(1);
    house.enter(2);
    assert_eq!(house.ringing(2), ["ana"], "she has been idle for longer than bo");
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
