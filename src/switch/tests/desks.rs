//! Agents: who stops to be one, and what a second call at the phone means.

use core::time::Duration;

use super::*;
use crate::command::ForcedState;
use crate::event::AgentState;
use crate::sip::event::SessionId;

fn state_of(house: &House, agent: &str) -> Option<(AgentState, String)> {
    house.facts().rev().find_map(|fact| match fact {
        Fact::AgentStateChanged { agent: who, state, reason, .. } if who.as_str() == agent => {
            Some((*state, reason.clone()))
        }
        _ => None,
    })
}

fn signed_out(house: &House, agent: &str) -> usize {
    house.count(|fact| matches!(fact, Fact::AgentSignedOut { agent: who } if who.as_str() == agent))
}

/// Somebody calls; whether a phone rings.
fn rings(house: &mut House, phone: &str) -> bool {
    house.invite(ALPHA, "next", "13800138000", "95539");
    let answer = house.final_response(ALPHA).unwrap();
    house.ack(ALPHA, &answer, 1);
    house.request(phone, Method::Invite).is_some()
}

#[test]
fn a_removed_user_is_offered_nothing_more() {
    let mut house = House::new();
    house.seat("li");
    house.remove(RecordKind::User, "li");
    assert_eq!(signed_out(&house, "li"), 1);
    let removed: Vec<RecordKind> = house
        .facts()
        .filter_map(|fact| match fact {
            Fact::RecordRemoved { kind, .. } => Some(*kind),
            _ => None,
        })
        .collect();
    assert_eq!(removed, [RecordKind::Agent, RecordKind::User], "the skills go with the person");
    assert!(!rings(&mut house, LI));
    house.assert_sound();
}

#[test]
fn a_disabled_user_is_offered_nothing_more_and_keeps_the_skills() {
    let mut house = House::new();
    house.seat("li");
    let mut disabled = user("li");
    disabled["disabled"] = true.into();
    house.save(RecordKind::User, disabled);
    assert_eq!(signed_out(&house, "li"), 1);
    assert_eq!(state_of(&house, "li").map(|(state, _)| state), Some(AgentState::SignedOut));
    assert!(!rings(&mut house, LI));
    house.save(RecordKind::User, user("li"));
    house.seat("li");
    assert!(house.request(LI, Method::Invite).is_some(), "back again, with the caller still waiting");
    house.assert_sound();
}

#[test]
fn an_offer_is_withdrawn_from_a_user_who_is_removed() {
    let mut house = House::new();
    house.seat("li");
    assert!(rings(&mut house, LI));
    house.seat("wang");
    house.remove(RecordKind::User, "li");
    assert!(house.request(WANG, Method::Invite).is_some(), "the caller is offered to the next agent");
    house.assert_sound();
}

#[test]
fn nobody_stays_seated_at_an_account_that_is_gone() {
    let mut house = House::new();
    house.seat("li");
    house.remove(RecordKind::Account, "1001");
    assert_eq!(signed_out(&house, "li"), 1);
    assert!(!rings(&mut house, LI));
    house.assert_sound();
}

#[test]
fn a_talk_is_over_though_the_phone_has_another_call() {
    let mut house = House::new();
    house.seat("li");
    let (answer, _) = house.talk(ALPHA, "queue", LI);
    assert_eq!(state_of(&house, "li"), Some((AgentState::Talking, String::new())));
    // A colleague rings on the second line.
    house.invite_as_account(WANG, "private", "1002", "1001");
    let second = house.request(LI, Method::Invite).expect("the second line rings");
    house.reply(LI, &second, 200, "");
    let answered = house.final_response(WANG).unwrap();
    house.ack(WANG, &answered, 2);
    house.wait(Duration::from_secs(60));
    house.within(ALPHA, "BYE", &answer, 2, "");
    assert_eq!(state_of(&house, "li"), Some((AgentState::Talking, "private".to_owned())), "the queue's talk is over");
    house.wait(Duration::from_secs(300));
    house.back(LI, "BYE", &second, 9, "");
    assert_eq!(state_of(&house, "li").map(|(state, _)| state), Some(AgentState::WrapUp));
    house.assert_sound();
}

#[test]
fn after_the_only_call_wrap_up_begins_without_a_detour() {
    let mut house = House::new();
    house.seat("li");
    let (answer, _) = house.talk(ALPHA, "queue", LI);
    let before = house.events.len();
    house.within(ALPHA, "BYE", &answer, 2, "");
    let states: Vec<AgentState> = house.events[before..]
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::AgentStateChanged { state, .. } => Some(*state),
            _ => None,
        })
        .collect();
    assert_eq!(states, [AgentState::WrapUp]);
}

#[test]
fn who_forces_a_state_and_why_is_told() {
    let mut house = House::new();
    house.seat("li");
    for (state, told) in [
        (ForcedState::NotReady, AgentState::NotReady),
        (ForcedState::Ready, AgentState::Ready),
        (ForcedState::SignedOut, AgentState::SignedOut),
    ] {
        let order = Order::ForceState { agent: "li".into(), state, reason: "left the desk".to_owned() };
        house.order("chen", UserRole::Supervisor, order).unwrap();
        let forced = house.facts().rev().find_map(|fact| match fact {
            Fact::AgentForced { agent, state, reason, by } => {
                Some((agent.to_string(), *state, reason.clone(), by.to_string()))
            }
            _ => None,
        });
        assert_eq!(forced, Some(("li".to_owned(), told, "left the desk".to_owned(), "chen".to_owned())));
    }
}

#[test]
fn a_changed_priority_is_told_with_who_changed_it() {
    let mut house = House::new();
    for call in ["first", "second"] {
        house.invite(ALPHA, call, "13800138000", "95539");
        let answer = house.final_response(ALPHA).unwrap();
        house.ack(ALPHA, &answer, 1);
    }
    let call = house.last_call();
    house.order("chen", UserRole::Supervisor, Order::SetPriority { call, priority: 50 }).unwrap();
    let told = house.facts().rev().find_map(|fact| match fact {
        Fact::QueueReordered { priority, by } => Some((*priority, by.to_string())),
        _ => None,
    });
    assert_eq!(told, Some((50, "chen".to_owned())));
    assert_eq!(house.switch.acd.waiting(house.now, &"service".into())[0].call, call, "before the one who came earlier");
}

#[test]
fn a_recording_that_reaches_its_limit_says_so_and_the_talk_goes_on() {
    let mut house = House::and("[recording]\nlength_max_s = 60\n");
    house.seat("li");
    house.talk(ALPHA, "long", LI);
    let cut = |house: &House| house.count(|fact| matches!(fact, Fact::RecordingCut { after_s: 60, .. }));
    house.wait(Duration::from_secs(59));
    assert_eq!(cut(&house), 0);
    house.wait(Duration::from_secs(2));
    assert_eq!(cut(&house), 1);
    assert_eq!(house.count(|fact| matches!(fact, Fact::LegEnded { .. })), 0);
}

#[test]
fn the_hours_of_a_number_reach_its_dialplan() {
    for (weekdays, open) in [("[\"09:00-18:00\"]", true), ("[\"20:00-21:00\"]", false)] {
        let hours = format!("[hours.office]\ntime_zone = \"Asia/Shanghai\"\nweekdays = {weekdays}\n");
        let plan = PLAN.replace("dialplan = \"direct\"", "dialplan = \"hours\"\nhours = \"office\"");
        let mut house = House::with(&format!("{plan}{hours}"));
        house.invite(ALPHA, "c", "13800138000", "95539");
        let answer = house.final_response(ALPHA).unwrap();
        house.ack(ALPHA, &answer, 1);
        let queued = house.count(|fact| matches!(fact, Fact::QueueEntered { .. }));
        assert_eq!(queued == 1, open, "{weekdays}");
    }
}

/// Somebody calls wang's own number, and is answered by the queue.
fn call_wang(house: &mut House, call: &str) {
    house.invite(ALPHA, call, "13800138000", "95540");
    let answer = house.final_response(ALPHA).unwrap();
    assert_eq!(answer.status(), Some(200));
    house.ack(ALPHA, &answer, 1);
}

const WANGS_NUMBER: &str = "[[number]]\nmatch = [\"95540\"]\ndialplan = \"wang\"\n";

#[test]
fn a_caller_for_one_agent_rings_there_first_whoever_has_been_idle_for_longer() {
    let mut house = House::and(WANGS_NUMBER);
    house.seat("li");
    house.wait(Duration::from_secs(60));
    house.seat("wang");
    call_wang(&mut house, "one");
    assert!(house.request(WANG, Method::Invite).is_some());
    assert!(house.request(LI, Method::Invite).is_none());
    house.assert_sound();
}

#[test]
fn a_caller_for_a_busy_agent_waits_a_while_and_then_has_whoever_is_free() {
    let mut house = House::and(WANGS_NUMBER);
    house.seat("wang");
    house.talk(ALPHA, "one", WANG);
    house.seat("li");
    call_wang(&mut house, "two");
    house.wait(Duration::from_secs(19));
    assert!(house.request(LI, Method::Invite).is_none(), "the call is left to wang for now");
    house.wait(Duration::from_secs(2));
    assert!(house.request(LI, Method::Invite).is_some());
    house.assert_sound();
}

#[test]
fn a_caller_for_an_agent_who_is_not_there_does_not_wait_for_one() {
    let mut house = House::and(WANGS_NUMBER);
    house.seat("li");
    call_wang(&mut house, "one");
    assert!(house.request(LI, Method::Invite).is_some());
    house.assert_sound();
}

#[test]
fn a_queue_goes_by_its_own_clock_and_opens_at_its_midnight() {
    // In Shanghai Monday began ten hours ago; in New York it begins at 13:00 there.
    let queue = "[queue.service]\nhours = \"office\"\ntime_zone = \"America/New_York\"\n";
    let hours = "[hours.office]\ntime_zone = \"Asia/Shanghai\"\nmon = [\"00:00-12:00\"]\n";
    let mut house = House::with(&format!("{}{hours}", PLAN.replace("[queue.service]\n", queue)));
    let is_open = |house: &mut House, call: &str| {
        let before = house.count(|fact| matches!(fact, Fact::QueueEntered { .. }));
        house.invite(ALPHA, call, "13800138000", "95539");
        let answer = house.final_response(ALPHA).unwrap();
        house.ack(ALPHA, &answer, 1);
        house.count(|fact| matches!(fact, Fact::QueueEntered { .. })) > before
    };
    assert!(!is_open(&mut house, "sunday"));
    house.wait(Duration::from_secs(3 * 3_600 - 1));
    assert!(!is_open(&mut house, "midnight"));
    house.wait(Duration::from_secs(1));
    assert!(is_open(&mut house, "monday"));
    house.wait(Duration::from_secs(12 * 3_600));
    assert!(!is_open(&mut house, "noon"));
}

#[test]
fn keys_and_notes_of_one_order_are_bounded() {
    use crate::limits::switch::{DIGITS, NOTES_BYTES};
    let mut house = House::new();
    house.seat("li");
    house.talk(ALPHA, "c", LI);
    let call = house.last_call();
    let mut ask = |order: Order| house.order("li", UserRole::Agent, order).map_err(|refusal| refusal.code);
    let digits = |count: usize| Order::SendDigits { call, digits: "1".repeat(count) };
    assert!(ask(digits(DIGITS)).is_ok());
    assert_eq!(ask(digits(DIGITS + 1)).unwrap_err(), "digits.invalid");
    let notes = |bytes: usize| Order::Wrap { call, code: String::new(), notes: "x".repeat(bytes), finish: false };
    assert!(ask(notes(NOTES_BYTES)).is_ok());
    assert_eq!(ask(notes(NOTES_BYTES + 1)).unwrap_err(), "notes.too_long");
}

#[test]
fn the_messages_of_so_many_ended_sessions_still_find_their_ladder() {
    use crate::limits::switch::SESSIONS_TRACED;
    let mut house = House::new();
    let call = crate::ids::CallId::from_u128(1);
    for n in 1..=SESSIONS_TRACED as u64 + 3 {
        house.switch.remember_session(SessionId(n), call);
    }
    assert_eq!(house.switch.traced.len(), SESSIONS_TRACED);
    assert_eq!(house.switch.traced.first_key_value().map(|(session, _)| *session), Some(SessionId(4)));
}
