//! Where a call goes next: transfers that fail, numbers of our own, and what is learnt of a caller on the way.

use core::time::Duration;

use super::*;
use crate::event::{CustomerCard, QueueExit};
use crate::media::KeySource;
use crate::switch::Known;

const SECOND: Duration = Duration::from_secs(1);

/// A second number, which the queue answers as well.
const SECOND_NUMBER: &str = "[[number]]\nmatch = [\"95540\"]\ndialplan = \"direct\"\n";

/// A caller on the first trunk dials a number of ours; the answer.
fn call(house: &mut House, name: &str, user: &str, called: &str) -> Message {
    house.invite(ALPHA, name, user, called);
    let answer = house.final_response(ALPHA).expect("the house answers");
    house.ack(ALPHA, &answer, 1);
    answer
}

fn entered(house: &House) -> Vec<(String, i32)> {
    let entered = house.facts().filter_map(|fact| match fact {
        Fact::QueueEntered { queue, priority, .. } => Some((queue.to_string(), *priority)),
        _ => None,
    });
    entered.collect()
}

fn ended(house: &House) -> usize {
    house.count(|fact| matches!(fact, Fact::CallEnded { .. }))
}

/// No INVITE has gone to a carrier.
fn assert_nothing_went_out(house: &mut House) {
    house.wait(SECOND);
    assert!(house.request(ALPHA, Method::Invite).is_none() && house.request(BETA, Method::Invite).is_none());
}

/// `li` transfers the call in hand by order.
fn transfer(house: &mut House, to: &str) -> Result<Done, Refusal> {
    let call = house.last_call();
    house.order("li", UserRole::Agent, Order::Transfer { call, to: to.to_owned() })
}

/// `li` transfers to wang's phone, which is busy.
fn transfer_in_vain(house: &mut House) {
    transfer(house, "1002").unwrap();
    let invite = house.request(WANG, Method::Invite).expect("the colleague is rung");
    house.reply(WANG, &invite, 486, "");
}

/// Wrap-up is over, and `li` takes the next call.
fn next_call(house: &mut House) -> Option<Message> {
    house.wait(31 * SECOND);
    house.request(LI, Method::Invite)
}

// -- into queues, and back -------------------------------------------------------------------------------------------

#[test]
fn a_transfer_into_a_closed_or_full_queue_is_refused_and_they_talk_on() {
    let mut house = House::and(
        "[queue.night]\nhours = \"night\"\n[queue.full]\nlength_max = 0\n[hours.night]\n\
         time_zone = \"Asia/Shanghai\"\nweekdays = [\"20:00-21:00\"]\n",
    );
    house.seat("li");
    let (_, invite) = house.talk(ALPHA, "sale", LI);
    for (to, code) in [("queue:night", "queue.closed"), ("queue:full", "queue.full")] {
        assert_eq!(transfer(&mut house, to).unwrap_err().code, code);
    }
    for (cseq, to) in [(7, "queue%3Anight"), (8, "queue%3Afull")] {
        house.back(LI, "REFER", &invite, cseq, &format!("Refer-To: <sip:{to}@centre.example>\n"));
        assert_eq!(house.final_response(LI).and_then(|response| response.status()), Some(480), "{to}");
    }
    house.wait(2 * SECOND);
    assert_eq!(house.count(|fact| matches!(fact, Fact::LegEnded { .. } | Fact::CallTransferred { .. })), 0);
    transfer(&mut house, "queue:service").expect("one that is open takes it");
    assert_eq!(entered(&house).len(), 2);
    house.assert_sound();
}

#[test]
fn a_call_comes_back_to_its_queue_though_that_has_closed_meanwhile() {
    let queue = "[queue.service]\nhours = \"office\"\n";
    let hours = "[hours.office]\ntime_zone = \"Asia/Shanghai\"\nmon = [\"00:00-10:05\"]\n";
    let mut house = House::with(&format!("{}{hours}", PLAN.replace("[queue.service]\n", queue)));
    house.seat("li");
    house.talk(ALPHA, "late", LI);
    house.wait(600 * SECOND);
    transfer_in_vain(&mut house);
    assert_eq!((entered(&house).len(), ended(&house)), (2, 0));
    assert!(next_call(&mut house).is_some(), "who waits in a queue that has closed is served on");
    house.assert_sound();
}

#[test]
fn a_call_comes_back_to_its_old_place_in_a_queue_that_is_full() {
    let mut house = House::with(&PLAN.replace("[queue.service]\n", "[queue.service]\nlength_max = 1\n"));
    house.seat("li");
    house.talk(ALPHA, "first", LI);
    let first = house.last_call();
    house.wait(60 * SECOND);
    call(&mut house, "second", "13800138001", "95539");
    let order = Order::Transfer { call: first, to: "1002".to_owned() };
    house.order("li", UserRole::Agent, order).unwrap();
    let invite = house.request(WANG, Method::Invite).unwrap();
    house.reply(WANG, &invite, 486, "");
    let waiting = house.switch.acd.waiting(house.now, &"service".into());
    assert_eq!(waiting.iter().map(|view| view.call == first).collect::<Vec<_>>(), [true, false]);
    house.assert_sound();
}

#[test]
fn a_call_that_comes_back_asks_for_the_same_skills_with_the_same_points() {
    let mut house = House::and("[[number]]\nmatch = [\"95541\"]\ndialplan = \"english\"\n");
    house.save(RecordKind::Agent, serde_json::json!({ "user": "li", "skills": { "english": 5 } }));
    house.seat("li");
    call(&mut house, "english", "13800138000", "95541");
    let invite = house.request(LI, Method::Invite).expect("who speaks English is rung");
    house.reply(LI, &invite, 200, "");
    house.seat("wang");
    transfer_in_vain(&mut house);
    assert_eq!(entered(&house), [("service".to_owned(), 40), ("service".to_owned(), 40)]);
    house.wait(5 * SECOND);
    assert!(house.request(WANG, Method::Invite).is_none(), "who does not speak English is left alone");
    assert!(next_call(&mut house).is_some());
    house.assert_sound();
}

#[test]
fn a_phone_that_transfers_and_hangs_up_at_once_loses_no_caller() {
    let mut house = House::new();
    house.seat("li");
    let (_, invite) = house.talk(ALPHA, "hasty", LI);
    house.back(LI, "REFER", &invite, 7, "Refer-To: <sip:1002@centre.example>\n");
    house.back(LI, "BYE", &invite, 8, "");
    let ringing = house.request(WANG, Method::Invite).expect("the colleague is rung");
    house.reply(WANG, &ringing, 486, "");
    house.wait(2 * SECOND);
    assert_eq!((entered(&house).len(), ended(&house)), (2, 0), "the caller waits again");
    assert!(next_call(&mut house).is_some());
    house.assert_sound();
}

// -- numbers of our own ----------------------------------------------------------------------------------------------

#[test]
fn a_transfer_to_a_number_of_ours_enters_its_dialplan_by_order_and_by_key() {
    for by_key in [false, true] {
        let mut house = House::and(SECOND_NUMBER);
        house.seat("li");
        let (_, invite) = house.talk(ALPHA, "other", LI);
        if by_key {
            house.back(LI, "REFER", &invite, 7, "Refer-To: <sip:95540@centre.example>\n");
            assert_eq!(house.final_response(LI).and_then(|response| response.status()), Some(202));
        } else {
            transfer(&mut house, "95540").unwrap();
        }
        assert_nothing_went_out(&mut house);
        assert_eq!(entered(&house).len(), 2, "the dialplan of the other number queues the caller");
        let left = house.facts().find_map(|fact| match fact {
            Fact::LegEnded { cause, .. } => Some(cause.what),
            _ => None,
        });
        assert_eq!(left, Some(crate::cause::What::Transferred), "the agent is out of it");
        assert!(next_call(&mut house).is_some());
        house.assert_sound();
    }
}

#[test]
fn click_to_dial_reaches_a_number_of_ours_without_a_carrier() {
    let mut house = House::and(SECOND_NUMBER);
    house.seat("li");
    house.order("li", UserRole::Agent, Order::Dial { to: "95540".to_owned() }).unwrap();
    let invite = house.request(LI, Method::Invite).expect("the own phone rings first");
    house.reply(LI, &invite, 200, "");
    assert_nothing_went_out(&mut house);
    assert_eq!(entered(&house).len(), 1);
    house.assert_sound();
}

#[test]
fn a_dialplan_and_an_overflow_reach_a_number_of_ours_without_a_carrier() {
    let number = "[[number]]\nmatch = [\"95541\"]\ndialplan = \"over\"\n";
    let mut house = House::and(number);
    call(&mut house, "over", "13800138000", "95541");
    assert_nothing_went_out(&mut house);
    assert_eq!(entered(&house), [("service".to_owned(), 0)]);
    house.assert_sound();

    let overflow = "[queue.service]\noverflow = [{ waited_s = 10, to = \"number:95542\" }]\n";
    let number = "[[number]]\nmatch = [\"95542\"]\ndialplan = \"message\"\n";
    let mut house = House::with(&format!("{}{number}", PLAN.replace("[queue.service]\n", overflow)));
    call(&mut house, "long", "13800138000", "95539");
    house.wait(11 * SECOND);
    assert_nothing_went_out(&mut house);
    assert_eq!(house.count(|fact| matches!(fact, Fact::QueueLeft { exit: QueueExit::Moved, .. })), 1);
    assert!(house.switch.calls.values().all(|call| call.stage == crate::switch::call::Stage::Message));
    house.assert_sound();
}

#[test]
fn lines_that_lead_to_each_other_end_like_any_other_loop() {
    let mut house = House::with(&PLAN.replace("dialplan = \"direct\"", "dialplan = \"over\""));
    call(&mut house, "loop", "13800138000", "95539");
    house.wait(2 * SECOND);
    let cause = house.facts().find_map(|fact| match fact {
        Fact::CallEnded { cause } => Some(cause.status),
        _ => None,
    });
    assert_eq!(cause, Some(Some(483)));
    assert_nothing_went_out(&mut house);
    house.assert_sound();
}

// -- what must not be dialled, and what must -------------------------------------------------------------------------

#[test]
fn a_stranger_who_keys_in_a_number_reaches_phones_of_ours_and_nobody_else() {
    let number = "[[number]]\nmatch = [\"12121\"]\ndialplan = \"back\"\n";
    for (keyed, rings) in [("1002", true), ("8888", false), ("110", false), ("95539", false), ("li", false)] {
        let mut house = House::and(number);
        house.seat("li");
        call(&mut house, "stranger", keyed, "12121");
        assert_eq!(house.request(WANG, Method::Invite).is_some(), rings, "{keyed}");
        assert!(house.request(LI, Method::Invite).is_none(), "{keyed}");
        assert_nothing_went_out(&mut house);
        let failed = house.count(
            |fact| matches!(fact, Fact::CallStepped { state, outcome, .. } if state == "ring" && outcome == "failed"),
        );
        assert_eq!(failed == 1, !rings, "{keyed}");
    }
}

#[test]
fn no_account_may_be_named_like_an_emergency_number() {
    let mut house = House::new();
    let mut record = serde_json::to_value(&house.switch.roster.accounts["1001"]).unwrap();
    record["name"] = "119".into();
    let refused = house.admin(Order::SaveRecord { kind: RecordKind::Account, record }).unwrap_err();
    assert_eq!(refused.code, "record.invalid");
    assert!(refused.msg.contains("`119` is an emergency number"), "{}", refused.msg);
}

/// A centre that has an account `110` from a time before that was refused.
fn with_account_110() -> House {
    let mut house = House::new();
    let account = SipAccount { name: "110".into(), ..house.switch.roster.accounts["1002"].clone() };
    house.switch.roster.accounts.insert("110".into(), account);
    house
}

#[test]
fn an_emergency_goes_out_though_an_account_has_its_number() {
    let mut house = with_account_110();
    stall(&mut house);
    house.invite_as_account(LI, "fire", "1001", "110");
    assert!(house.request(ALPHA, Method::Invite).is_some(), "by the phone's own keys");

    let mut house = with_account_110();
    house.seat("li");
    house.order("li", UserRole::Agent, Order::Dial { to: "110".to_owned() }).unwrap();
    let invite = house.request(LI, Method::Invite).unwrap();
    house.reply(LI, &invite, 200, "");
    assert!(house.request(ALPHA, Method::Invite).is_some(), "from the page");

    let mut house = with_account_110();
    house.seat("li");
    house.talk(ALPHA, "fire", LI);
    transfer(&mut house, "110").unwrap();
    assert!(house.request(ALPHA, Method::Invite).is_some(), "by transfer");
}

// -- what is learnt of a caller --------------------------------------------------------------------------------------

/// The customer whom the house asks for next is found, of this tier; the number asked for.
fn find_customer(house: &mut House, tier: &str) -> String {
    let (request, query) = house.asked.pop_front().expect("somebody is asked for");
    let Query::Customer { number } = query else { panic!("{query:?}") };
    let card = CustomerCard { name: "Bai".to_owned(), tier: tier.to_owned(), ..CustomerCard::default() };
    let reply = Reply::Customer(Some(Box::new(Known { card, facts: Default::default() })));
    house.tell(Input::Reply { request, reply });
    number
}

#[test]
fn click_to_dial_asks_whose_number_it_is() {
    let mut house = House::new();
    house.seat("li");
    house.answering = false;
    house.order("li", UserRole::Agent, Order::Dial { to: "02087654321".to_owned() }).unwrap();
    assert_eq!(find_customer(&mut house, "gold"), "+862087654321");
    let dialled = house.last_call();
    let matched = house.events.iter().find(|event| matches!(event.fact, Fact::CustomerMatched { .. }));
    assert_eq!(matched.and_then(|event| event.call), Some(dialled));
}

#[test]
fn a_customer_who_is_known_only_in_the_queue_has_the_points_of_the_tier_from_then_on() {
    let mut house = House::new();
    call(&mut house, "first", "13800138001", "95539");
    house.answering = false;
    house.wait(30 * SECOND);
    call(&mut house, "second", "13800138002", "95539");
    let second = house.last_call();
    let standing = |house: &House| {
        let waiting = house.switch.acd.waiting(house.now, &"service".into());
        waiting.iter().position(|view| view.call == second)
    };
    assert_eq!(standing(&house), Some(1));
    assert_eq!(find_customer(&mut house, "platinum"), "+8613800138002");
    assert_eq!(standing(&house), Some(0));
    house.seat("li");
    let rung = house.request(LI, Method::Invite).unwrap();
    assert_eq!(rung.from().unwrap().uri().user_text().as_deref(), Some("+8613800138002"));
    house.assert_sound();
}

#[test]
fn points_that_a_supervisor_gave_stay_when_the_customer_becomes_known() {
    let mut house = House::new();
    house.answering = false;
    call(&mut house, "one", "13800138001", "95539");
    let one = house.last_call();
    house.order("chen", UserRole::Supervisor, Order::SetPriority { call: one, priority: 7 }).unwrap();
    find_customer(&mut house, "platinum");
    assert_eq!(house.switch.standing(one, &"service".into()), (1, 7));
}

#[test]
fn keys_in_a_conversation_are_told_without_the_digit() {
    let mut house = House::new();
    house.seat("li");
    house.talk(ALPHA, "card", LI);
    let port = house.switch.legs.keys().next().copied().expect("the caller's port");
    for key in "4929".chars() {
        let event = MediaEvent::Key { port, key, duration_ms: 100, source: KeySource::TelephoneEvent };
        house.tell(Input::Media { engine: super::super::EngineId(0), event });
    }
    let told: Vec<String> = house
        .events
        .iter()
        .filter(|event| matches!(event.fact, Fact::LegDigit { .. }))
        .map(|event| {
            serde_json::to_value(event).unwrap().as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(told, ["at call leg seq t v"; 4]);
}
