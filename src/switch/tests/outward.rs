//! Calls out: who may cause one, over which trunk it goes, and what happens where a trunk cannot take it.

use core::time::Duration;

use super::*;
use crate::cause::What;

const SECOND: Duration = Duration::from_secs(1);

/// Where the house's INVITE went last.
fn dialled(invite: &Message) -> String {
    invite.uri_text().to_owned()
}

#[test]
fn a_caller_on_a_trunk_cannot_have_itself_put_through_to_the_outside() {
    let mut house = House::new();
    house.seat("li");
    let (answer, _) = house.talk(ALPHA, "fraud", LI);
    house.within(ALPHA, "REFER", &answer, 2, "Refer-To: <sip:+8690012345678@centre.example>\n");
    assert_eq!(house.final_response(ALPHA).and_then(|response| response.status()), Some(403));
    house.wait(SECOND);
    assert!(house.request(ALPHA, Method::Invite).is_none() && house.request(BETA, Method::Invite).is_none());
    assert_eq!(house.count(|fact| matches!(fact, Fact::CallTransferred { .. })), 0);
    assert_eq!(house.count(|fact| matches!(fact, Fact::LegEnded { .. })), 0, "they talk on");
    house.assert_sound();
}

#[test]
fn a_party_dialled_on_a_trunk_cannot_send_the_call_on() {
    let mut house = House::new();
    house.invite_as_account(LI, "out", "1001", "02087654321");
    let invite = house.request(ALPHA, Method::Invite).expect("the first trunk is dialled");
    house.reply(ALPHA, &invite, 200, "");
    let answer = house.final_response(LI).unwrap();
    house.ack(LI, &answer, 2);
    house.back(ALPHA, "REFER", &invite, 7, "Refer-To: <sip:1002@centre.example>\n");
    assert_eq!(house.final_response(ALPHA).and_then(|response| response.status()), Some(403));
    assert!(house.request(WANG, Method::Invite).is_none());
}

#[test]
fn a_phone_of_ours_may_transfer_by_its_own_key() {
    let mut house = House::new();
    house.seat("li");
    let (_, invite) = house.talk(ALPHA, "good", LI);
    house.back(LI, "REFER", &invite, 7, "Refer-To: <sip:1002@centre.example>\n");
    assert_eq!(house.final_response(LI).and_then(|response| response.status()), Some(202));
    assert!(house.request(WANG, Method::Invite).is_some());
}

#[test]
fn an_emergency_goes_out_while_the_disk_is_stalled() {
    let mut house = House::new();
    stall(&mut house);
    house.invite_as_account(LI, "fire", "1001", "110");
    let invite = house.request(ALPHA, Method::Invite).expect("the emergency is dialled");
    house.wait(5 * SECOND);
    house.reply(ALPHA, &invite, 200, "");
    let answer = house.final_response(LI).expect("the phone is answered");
    assert_eq!(answer.status(), Some(200), "after longer than a record may take to be written");
}

#[test]
fn any_other_call_is_refused_while_the_disk_is_stalled() {
    let mut house = House::new();
    stall(&mut house);
    house.invite_as_account(LI, "call", "1001", "02087654321");
    let refusal = house.final_response(LI).unwrap();
    assert_eq!((refusal.status(), value(&refusal, Name::RetryAfter).as_str()), (Some(503), "10"));
    assert!(house.request(ALPHA, Method::Invite).is_none());
}

#[test]
fn an_emergency_passes_over_a_trunk_that_is_down() {
    let mut house = House::new();
    house.switch.on_trunk("alpha".into(), false, "no answer to OPTIONS".to_owned());
    house.invite_as_account(LI, "fire", "1001", "110");
    assert!(house.request(ALPHA, Method::Invite).is_none());
    let invite = house.request(BETA, Method::Invite).expect("the second trunk is dialled");
    // What seems to be down is tried where nothing else is left.
    house.reply(BETA, &invite, 503, "");
    assert!(house.request(ALPHA, Method::Invite).is_some());
}

#[test]
fn a_call_out_goes_over_the_next_trunk_where_one_cannot_take_it() {
    for status in [500, 502, 503, 504] {
        let mut house = House::new();
        house.invite_as_account(LI, "out", "1001", "02087654321");
        let first = house.request(ALPHA, Method::Invite).unwrap();
        house.reply(ALPHA, &first, status, "");
        let second = house.request(BETA, Method::Invite).expect("the next trunk is dialled");
        assert!(dialled(&second).contains("127.0.3.2"), "{}", dialled(&second));
        assert_eq!(house.switch.legs_on_trunk(&"alpha".into()), 0, "the first trunk carries it no more");
        assert_eq!(house.switch.legs_on_trunk(&"beta".into()), 1);
        house.reply(BETA, &second, 200, "");
        assert_eq!(house.final_response(LI).and_then(|response| response.status()), Some(200));
        let added = house.count(|fact| matches!(fact, Fact::LegAdded { .. }));
        assert_eq!(added, 2, "both tries are legs of the record");
    }
}

#[test]
fn a_trunk_that_says_nothing_is_given_up_for_the_next() {
    let mut house = House::new();
    house.invite_as_account(LI, "out", "1001", "02087654321");
    assert!(house.request(ALPHA, Method::Invite).is_some());
    house.wait(33 * SECOND);
    assert!(house.request(BETA, Method::Invite).is_some(), "after Timer B");
}

#[test]
fn a_trunk_that_cannot_be_reached_is_given_up_for_the_next() {
    let mut house = House::new();
    house.invite_as_account(LI, "out", "1001", "02087654321");
    let at = house
        .wire
        .iter()
        .position(|(to, message)| *to == ALPHA.parse().unwrap() && message.method() == Some(Method::Invite));
    assert!(at.is_some());
    let destination = crate::sip::flow::Destination::Flow {
        flow: FlowId(1),
        transport: Transport::Udp,
        remote: ALPHA.parse().unwrap(),
    };
    house.tell(Input::SendFailed(destination));
    assert!(house.request(BETA, Method::Invite).is_some());
}

#[test]
fn what_the_called_party_says_is_not_asked_of_another_trunk() {
    for status in [404, 480, 486, 603] {
        let mut house = House::new();
        house.invite_as_account(LI, "out", "1001", "02087654321");
        let first = house.request(ALPHA, Method::Invite).unwrap();
        house.reply(ALPHA, &first, 180, "");
        house.reply(ALPHA, &first, status, "");
        assert!(house.request(BETA, Method::Invite).is_none(), "{status}");
        assert_eq!(house.final_response(LI).and_then(|response| response.status()), Some(status));
    }
}

#[test]
fn the_last_trunks_failure_is_the_callers() {
    let mut house = House::new();
    house.invite_as_account(LI, "out", "1001", "02087654321");
    for trunk in [ALPHA, BETA] {
        let invite = house.request(trunk, Method::Invite).unwrap();
        house.reply(trunk, &invite, 503, "");
    }
    assert_eq!(house.final_response(LI).and_then(|response| response.status()), Some(503));
    house.wait(2 * SECOND);
    let ended = house.facts().find_map(|fact| match fact {
        Fact::CallEnded { cause } => Some(cause.what),
        _ => None,
    });
    assert_eq!(ended, Some(What::Unreachable));
    house.assert_sound();
}

#[test]
fn click_to_dial_is_refused_in_a_full_house_and_takes_its_turn() {
    let mut house = House::and("[limits]\ncalls = 1\n");
    house.seat("li");
    house.invite(ALPHA, "first", "13800138000", "95539");
    let dial = || Order::Dial { to: "02087654321".to_owned() };
    house.order("wang", UserRole::Agent, Order::SignIn { account: AccountName::new("1002") }).unwrap();
    let refused = house.order("wang", UserRole::Agent, dial()).unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retry), ("system.full", true));

    let mut house = House::and("[limits]\ncalls_per_second = 1\n");
    house.seat("li");
    house.seat("wang");
    house.order("li", UserRole::Agent, dial()).unwrap();
    let refused = house.order("wang", UserRole::Agent, dial()).unwrap_err();
    assert_eq!(refused.code, "system.full");
    house.wait(SECOND);
    house.order("wang", UserRole::Agent, dial()).expect("a second later there is room");
    // An emergency asks for no room.
    let mut house = House::and("[limits]\ncalls_per_second = 1\n");
    house.seat("li");
    house.seat("wang");
    house.order("li", UserRole::Agent, dial()).unwrap();
    house.order("wang", UserRole::Agent, Order::Dial { to: "110".to_owned() }).unwrap();
}

#[test]
fn a_call_that_the_house_refuses_takes_nothing_from_its_trunk() {
    let mut house = House::and("[limits]\ncalls_per_second = 1\n");
    let slow = PLAN.replace("host = \"127.0.3.1:5060\"", "host = \"127.0.3.1:5060\"\nmax_calls_per_second = 2");
    let mut slow = House::with(&format!("{slow}[limits]\ncalls_per_second = 1\n"));
    for house in [&mut house, &mut slow] {
        for n in 0..3 {
            house.invite(ALPHA, &format!("c{n}"), "13800138000", "95539");
        }
    }
    assert!(slow.switch.may_use_trunk(&"alpha".into(), 0), "one of its two calls a second is left");
}
