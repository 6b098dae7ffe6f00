//! A phone's transfer key (REFER), and keys by INFO.

use core::time::Duration;

use super::phone::{Phone, respond_to, said};
use super::*;
use crate::sip::endpoint::Refused;
use crate::sip::event::Referral;
use crate::sip::header::Name;

fn referred(event: &UaEvent) -> Option<Referral> {
    match event {
        UaEvent::Referred { referral, .. } => Some(referral.clone()),
        _ => None,
    }
}

/// A NOTIFY as the phone sees it: event, state and fragment.
fn notified(message: &Message) -> (String, String, String) {
    assert_eq!(message.method(), Some(Method::Notify));
    let text = |name: Name| message.header(name).unwrap().text().unwrap().to_owned();
    assert_eq!(text(Name::ContentType), "message/sipfrag;version=2.0");
    (text(Name::Event), text(Name::SubscriptionState), String::from_utf8(message.body().to_vec()).unwrap())
}

#[test]
fn a_blind_transfer_is_accepted_with_202_and_its_progress_is_notified() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let session = phone.connect(&mut world);
    let headers = "Refer-To: <sip:2002@example.com;user=phone>\nReferred-By: <sip:phone@127.0.0.99>\n";
    assert_eq!(phone.ask(&mut world, "REFER", headers, ""), [0; 0]);
    let referral = world.expect(0, referred);
    let by = Some("<sip:phone@127.0.0.99>".to_owned());
    assert_eq!(referral, Referral { to: "sip:2002@example.com;user=phone".into(), replaces: None, by });
    world.agents[0].endpoint.accept_refer(world.now, session).unwrap();
    let sent = said(&mut world);
    assert_eq!(sent[0].status(), Some(202));
    assert_eq!(notified(&sent[1]), ("refer".into(), "active;expires=180".into(), "SIP/2.0 100 Trying\r\n".into()));
    respond_to(&mut world, &sent[1], 200, "", "");
    world.agents[0].endpoint.notify_refer(world.now, session, 200, "").unwrap();
    let last = said(&mut world).pop().unwrap();
    assert_eq!(notified(&last), ("refer".into(), "terminated;reason=noresource".into(), "SIP/2.0 200 OK\r\n".into()));
    respond_to(&mut world, &last, 200, "", "");
    assert_eq!(world.agents[0].endpoint.notify_refer(world.now, session, 200, ""), Err(Refused::WrongState));
    assert_eq!(phone.ask(&mut world, "BYE", "", ""), [200]);
    world.assert_quiet();
}

#[test]
fn a_second_referral_is_named_in_its_notifications() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let session = phone.connect(&mut world);
    for expected in ["refer".to_owned(), format!("refer;id={}", phone.cseq + 2)] {
        phone.say(&mut world, "REFER", "Refer-To: <sip:2002@example.com>\n", "");
        world.agents[0].endpoint.accept_refer(world.now, session).unwrap();
        assert_eq!(notified(&said(&mut world)[1]).0, expected);
        world.agents[0].endpoint.notify_refer(world.now, session, 486, "").unwrap();
        said(&mut world);
    }
}

#[test]
fn an_attended_transfer_names_the_dialog_to_replace() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let session = phone.connect(&mut world);
    phone.say(&mut world, "REFER", "Refer-To: <sip:2002@example.com?Replaces=c1%3Bto-tag%3Dt%3Bfrom-tag%3Df>\n", "");
    let referral = world.expect(0, referred);
    assert_eq!(referral.to, "sip:2002@example.com");
    assert_eq!(referral.replaces.as_deref(), Some("c1;to-tag=t;from-tag=f"));
    world.agents[0].endpoint.refuse_refer(world.now, session, 603).unwrap();
    assert_eq!(said(&mut world).pop().unwrap().status(), Some(603));
}

#[test]
fn what_cannot_be_referred_is_refused() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    assert_eq!(phone.ask(&mut world, "REFER", "Refer-To: <sip:2@h>\n", ""), [403], "outside a dialog");
    phone.call_id = "another".into();
    let session = phone.connect(&mut world);
    assert_eq!(phone.ask(&mut world, "REFER", "", ""), [400]);
    assert_eq!(phone.ask(&mut world, "REFER", "Refer-To: <sip:2@h>\nRefer-To: <sip:3@h>\n", ""), [400]);
    assert_eq!(phone.ask(&mut world, "REFER", "Refer-To: <sip:2@h>\n", ""), [0; 0]);
    assert_eq!(phone.ask(&mut world, "REFER", "Refer-To: <sip:3@h>\n", ""), [491], "one at a time");
    assert_eq!(phone.ask(&mut world, "BYE", "", ""), [200, 487], "the undecided one goes with the dialog");
    assert_eq!(world.agents[0].endpoint.accept_refer(world.now, session), Err(Refused::NoSession));
    world.assert_quiet();
}

#[test]
fn a_phone_that_does_not_want_notifications_gets_no_more() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let session = phone.connect(&mut world);
    phone.say(&mut world, "REFER", "Refer-To: <sip:2002@example.com>\n", "");
    world.agents[0].endpoint.accept_refer(world.now, session).unwrap();
    let notify = said(&mut world).pop().unwrap();
    respond_to(&mut world, &notify, 481, "", "");
    assert_eq!(world.agents[0].endpoint.notify_refer(world.now, session, 180, ""), Err(Refused::WrongState));
    assert_eq!(phone.ask(&mut world, "BYE", "", ""), [200], "the call goes on");
    world.assert_quiet();
}

#[test]
fn keys_come_and_go_by_info() {
    let mut world = World::new(2);
    let (a, b) = world.connect();
    world.agents[0].endpoint.send_digit(world.now, a, '#', Duration::from_millis(160)).unwrap();
    world.settle();
    let digit = world.expect(1, |event| match event {
        UaEvent::Digit { session, digit, duration } => Some((*session, *digit, *duration)),
        _ => None,
    });
    assert_eq!(digit, (b, '#', Some(Duration::from_millis(160))));
    world.agents[1].endpoint.end(world.now, b, None);
    world.assert_quiet();
}

#[test]
fn an_info_of_another_kind_is_415_with_what_we_take() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    phone.connect(&mut world);
    let answers = phone.say(&mut world, "INFO", "Content-Type: application/media_control+xml\n", "<x/>");
    assert_eq!(answers[0].status(), Some(415));
    assert!(answers[0].lists(Name::Accept, "application/dtmf-relay"));
    assert_eq!(phone.ask(&mut world, "INFO", "", ""), [200]);
}
