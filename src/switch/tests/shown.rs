//! What each party is told of who calls, and how many legs a trunk carries.

use core::time::Duration;

use super::*;
use crate::event::Direction;

const SECOND: Duration = Duration::from_secs(1);
const OUTSIDE: &str = "02087654321";

/// A centre whose calls out go over `beta` alone, with keys for that trunk.
fn by_beta(keys: &str) -> House {
    let plan = PLAN.replace("trunks = [\"alpha\", \"beta\"]", "trunks = [\"beta\"]");
    House::with(&plan.replace("host = \"127.0.3.2:5060\"\n", &format!("host = \"127.0.3.2:5060\"\n{keys}")))
}

fn from(invite: &Message) -> String {
    let value = value(invite, Name::From);
    value.split(";tag=").next().unwrap_or_default().to_owned()
}

fn asserted(invite: &Message) -> Option<String> {
    invite.header(Name::PAssertedIdentity).map(|header| String::from_utf8_lossy(header.value).into_owned())
}

/// The customer's record comes.
fn know(house: &mut House, call: CallId, name: &str) {
    house.switch.calls.get_mut(&call).expect("the call lives").card.name = name.to_owned();
}

fn transfer(house: &mut House, to: &str) {
    let call = house.last_call();
    house.order("li", UserRole::Agent, Order::Transfer { call, to: to.to_owned() }).unwrap();
}

/// A caller on `alpha` with more header fields, answered by the queue.
fn call_in(house: &mut House, more: &str) {
    let text = house.invite_text(ALPHA, "in", "13800138000", "95539", 1, more);
    house.hear(ALPHA, &text);
    let answer = house.final_response(ALPHA).unwrap();
    assert_eq!(answer.status(), Some(200));
    house.ack(ALPHA, &answer, 1);
}

/// `li`'s phone rings and is picked up; its INVITE.
fn li_answers(house: &mut House) -> Message {
    let invite = house.request(LI, Method::Invite).expect("the agent's phone rings");
    house.reply(LI, &invite, 200, "");
    assert!(house.request(LI, Method::Ack).is_some());
    invite
}

#[test]
fn a_number_that_is_passed_on_is_written_as_the_trunk_wants_it() {
    for (format, written) in [("e164", "+8613800138000"), ("digits", "8613800138000"), ("national", "013800138000")] {
        let mut house = by_beta(&format!("number_format = \"{format}\"\n"));
        house.seat("li");
        house.talk(ALPHA, "in", LI);
        transfer(&mut house, OUTSIDE);
        let invite = house.request(BETA, Method::Invite).expect("the trunk is dialled");
        assert_eq!(from(&invite), format!("<sip:{written}@127.0.3.2:5060>"));
        assert_eq!(asserted(&invite), Some(format!("<sip:{written}@127.0.3.2:5060>")));
    }
}

#[test]
fn an_extension_is_no_number_of_ours() {
    let mut house = by_beta("");
    house.invite_as_account(LI, "out", "1001", OUTSIDE);
    assert_eq!(from(&house.request(BETA, Method::Invite).unwrap()), "<sip:1001@127.0.3.2:5060>");
    let mut house = by_beta("caller_id = \"95539\"\n");
    house.invite_as_account(LI, "out", "1001", OUTSIDE);
    assert_eq!(from(&house.request(BETA, Method::Invite).unwrap()), "<sip:95539@127.0.3.2:5060>");
}

#[test]
fn a_customers_name_in_the_record_is_shown_to_our_phones_alone() {
    let mut house = by_beta("");
    call_in(&mut house, "");
    let call = house.last_call();
    know(&mut house, call, "白女士");
    house.seat("li");
    assert!(from(&li_answers(&mut house)).starts_with("\"白女士\" <sip:+8613800138000@"));
    transfer(&mut house, OUTSIDE);
    assert_eq!(from(&house.request(BETA, Method::Invite).unwrap()), "<sip:+8613800138000@127.0.3.2:5060>");
}

#[test]
fn a_called_party_is_not_shown_its_own_record() {
    let mut house = House::new();
    house.invite_as_account(LI, "out", "1001", OUTSIDE);
    let first = house.request(ALPHA, Method::Invite).unwrap();
    let call = house.last_call();
    know(&mut house, call, "白女士");
    house.reply(ALPHA, &first, 503, "");
    assert_eq!(from(&house.request(BETA, Method::Invite).unwrap()), "<sip:1001@127.0.3.2:5060>");
}

#[test]
fn who_withholds_its_number_is_named_to_nobody() {
    let known = "P-Asserted-Identity: \"Bai\" <sip:+8613800138000@alpha.example>\n";
    for (privacy, withheld) in [("id", true), ("user;id;critical", true), ("user", true), ("none", false), ("", false)]
    {
        let mut house = by_beta("");
        let wish = if privacy.is_empty() { String::new() } else { format!("Privacy: {privacy}\n") };
        call_in(&mut house, &format!("{known}{wish}"));
        let accepted = house.facts().find_map(|fact| match fact {
            Fact::CallAccepted { from, direction: Direction::Inbound, .. } => {
                Some((from.number.clone(), from.name.clone()))
            }
            _ => None,
        });
        house.seat("li");
        let ring = from(&li_answers(&mut house));
        transfer(&mut house, OUTSIDE);
        let invite = house.request(BETA, Method::Invite).unwrap();
        let privacy_out = invite.header(Name::Privacy).map(|header| String::from_utf8_lossy(header.value).into_owned());
        if withheld {
            assert_eq!(accepted, Some((String::new(), String::new())), "{privacy}");
            assert_eq!(ring, "\"Anonymous\" <sip:anonymous@centre.example>", "{privacy}");
            assert_eq!(from(&invite), "\"Anonymous\" <sip:anonymous@127.0.3.2:5060>", "{privacy}");
            assert_eq!((privacy_out.as_deref(), asserted(&invite)), (Some("id"), None), "{privacy}");
        } else {
            assert_eq!(accepted, Some(("+8613800138000".to_owned(), "Bai".to_owned())), "{privacy}");
            assert_eq!(ring, "\"Bai\" <sip:+8613800138000@centre.example>", "{privacy}");
            assert!(from(&invite).contains("sip:+8613800138000@"), "{privacy}");
            assert!(privacy_out.is_none() && asserted(&invite).is_some(), "{privacy}");
        }
    }
}

#[test]
fn a_try_that_failed_leaves_its_place_on_the_trunk() {
    let mut house = by_beta("max_calls = 1\n");
    house.seat("li");
    house.talk(ALPHA, "in", LI);
    for n in 0..3 {
        transfer(&mut house, OUTSIDE);
        let invite = house.request(BETA, Method::Invite).unwrap_or_else(|| panic!("transfer {n} finds the trunk free"));
        house.reply(BETA, &invite, 486, "");
        assert!(house.request(BETA, Method::Ack).is_some());
        assert_eq!(house.switch.legs_on_trunk(&"beta".into()), 0);
        // The wrap-up ends, and the call that came back is offered again.
        house.wait(31 * SECOND);
        li_answers(&mut house);
    }
    house.assert_sound();
}

#[test]
fn a_calls_own_legs_count_against_the_trunk_that_it_came_by() {
    let plan = PLAN.replace("host = \"127.0.3.1:5060\"", "host = \"127.0.3.1:5060\"\nmax_calls = 1");
    let mut house = House::with(&plan);
    house.seat("li");
    house.talk(ALPHA, "in", LI);
    transfer(&mut house, OUTSIDE);
    assert!(house.request(ALPHA, Method::Invite).is_none(), "its only place is the caller's");
    assert!(house.request(BETA, Method::Invite).is_some());
}
