//! What an agent lives through: signing in, breaks, lost links, wrap-up.

use std::sync::Arc;

use super::*;
use crate::limits;

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
fn the_least_occupied_agent_rings_and_a_newcomer_starts_level_with_the_others() {
    let mut house = House::new(queue(|q| q.strategy = Strategy::LeastOccupied)).with_ready(&["ana", "bo"]);
    house.acd.handle_not_ready(house.now, &"bo".into(), "break").unwrap();
    for n in 0..2 {
        house.enter(n);
        house.answer(n, "ana");
        house.pass(60);
        house.legs("ana", 0);
    }
    house.ready("bo");
    house.pass(30);
    let view = |house: &House, name: &str| house.acd.agent(house.now, &name.into()).unwrap();
    let (ana, bo) = (view(&house, "ana"), view(&house, "bo"));
    assert!(ana.occupancy_ppm > 500_000 && bo.occupancy_ppm == 0, "{ana:?} {bo:?}");
    house.enter(20);
    assert_eq!(house.ringing(20), ["bo"]);

    let house = house.with_agent(AgentEntry::named("cy"));
    let (ana, bo, cy) = (view(&house, "ana"), view(&house, "bo"), view(&house, "cy"));
    assert_eq!((ana.calls, bo.calls, cy.calls), (2, 0, 1));
    assert_eq!((cy.talk, cy.occupancy_ppm), (secs(60), (ana.occupancy_ppm + bo.occupancy_ppm) / 2));
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
