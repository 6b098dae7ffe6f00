//! Phones that register with us, and we that register at trunks: digest, NAT, order, expiry, restart, back-off.

use core::time::Duration;

use super::phone::{Phone, said};
use super::*;
use crate::ids::{AccountName, TrunkName};
use crate::limits::ua::{CONTACT_BYTES, CONTACTS};
use crate::sip::digest::{Account, DigestClient, Ha1, HashFunction};
use crate::sip::endpoint::{Authorization, Bounds};
use crate::sip::event::Unbound;
use crate::sip::header::Name;
use crate::sip::health::HealthSettings;
use crate::sip::registrar::Binding;
use crate::sip::registration::RegistrationSettings;

fn secrets(user: &str) -> Vec<Ha1> {
    [HashFunction::Md5, HashFunction::Sha256].map(|hash| Ha1::new(hash, user, "example.com", "pw")).to_vec()
}

fn account(password: &str) -> Account {
    Account { user: "1001".into(), password: password.into() }
}

/// One agent that knows account 1001.
fn registrar() -> World {
    let mut world = World::new(1);
    world.agents[0].endpoint.registrar_mut().set_account(AccountName::new("1001"), secrets("1001"));
    world
}

fn phone() -> Phone {
    let mut phone = Phone::new();
    phone.from = "<sip:1001@example.com>;tag=phone".into();
    phone.to = "<sip:1001@example.com>".into();
    phone
}

/// Registers with digest; the final answer.
fn register(world: &mut World, phone: &mut Phone, headers: &str) -> Message {
    let challenge = phone.say(world, "REGISTER", headers, "").pop().unwrap();
    assert_eq!(challenge.status(), Some(401));
    let mut digest = DigestClient::from_response(&challenge).unwrap();
    let value = digest.authorize(&account("pw"), "REGISTER", "sip:1@127.0.0.1", b"", "cn");
    phone.say(world, "REGISTER", &format!("{headers}Authorization: {value}\n"), "").pop().unwrap()
}

fn bound(event: &UaEvent) -> Option<Binding> {
    match event {
        UaEvent::Bound { binding, .. } => Some(binding.clone()),
        _ => None,
    }
}

fn unbound(event: &UaEvent) -> Option<(String, Unbound)> {
    match event {
        UaEvent::Unbound { contact, why, .. } => Some((contact.clone(), *why)),
        _ => None,
    }
}

#[test]
fn a_phone_registers_with_digest_and_expires() {
    let mut world = registrar();
    let ok = register(&mut world, &mut phone(), "Expires: 120\n");
    assert_eq!(ok.status(), Some(200));
    let contact = ok.contacts().next().unwrap().unwrap();
    assert_eq!(contact.expires(), Some(120));
    assert_eq!(world.expect(0, bound).contact, "sip:phone@127.0.0.99");
    let target = world.agents[0].endpoint.registrar().targets("1001").remove(0);
    let registered = target.registered.expect("a binding knows where it was made from");
    assert_eq!(registered.local.to_string(), "127.0.0.1:5060");
    assert_eq!(Target { registered: None, ..target }, Target::uri("sip:phone@127.0.0.99"));
    world.run(Duration::from_secs(121));
    assert_eq!(world.expect(0, unbound), ("sip:phone@127.0.0.99".into(), Unbound::Expired));
    assert!(!world.agents[0].endpoint.registrar().is_bound("1001"));
    world.assert_quiet();
}

/// Old phones give up on a challenge that they do not know, so what is offered can be chosen; what has been answered
/// before the choice changed is asked for anew.
#[test]
fn a_phone_is_asked_for_the_chosen_algorithms_only_and_asked_anew_when_they_change() {
    let mut world = registrar();
    let mut phone = phone();
    let challenge = phone.say(&mut world, "REGISTER", "", "").pop().unwrap();
    let mut digest = DigestClient::from_response(&challenge).unwrap();
    assert_eq!(digest.algorithm(), Algorithm::SHA_256);
    let settings = world.agents[0].endpoint.settings().clone();
    world.agents[0].endpoint.set_settings(Settings { digest: vec![Algorithm::MD5], ..settings });
    let value = digest.authorize(&account("pw"), "REGISTER", "sip:1@127.0.0.1", b"", "cn");
    let again = phone.say(&mut world, "REGISTER", &format!("Authorization: {value}\n"), "").pop().unwrap();
    assert_eq!(again.status(), Some(401));
    assert_eq!(again.all(Name::WwwAuthenticate).count(), 1);
    assert_eq!(DigestClient::from_response(&again).unwrap().algorithm(), Algorithm::MD5);
    assert_eq!(register(&mut world, &mut phone, "").status(), Some(200));
}

#[test]
fn a_wrong_password_an_unknown_account_and_another_ones_name_are_403() {
    let mut world = registrar();
    let challenge = phone().say(&mut world, "REGISTER", "", "").pop().unwrap();
    let answer = |world: &mut World, user: &str, password: &str, phone: &mut Phone| {
        let mut digest = DigestClient::from_response(&challenge).unwrap();
        let account = Account { user: user.into(), password: password.into() };
        let value = digest.authorize(&account, "REGISTER", "sip:1@127.0.0.1", b"", "cn");
        phone.cseq += 10;
        phone.call_id = format!("{user}-{password}-{}", phone.to.len());
        phone.say(world, "REGISTER", &format!("Authorization: {value}\n"), "").pop().unwrap().status()
    };
    assert_eq!(answer(&mut world, "1001", "guess", &mut phone()), Some(403));
    assert_eq!(answer(&mut world, "9999", "pw", &mut phone()), Some(403));
    let mut other = phone();
    other.to = "<sip:1002@example.com:5060>".into();
    assert_eq!(answer(&mut world, "1001", "pw", &mut other), Some(403));
    assert!(!world.agents[0].endpoint.registrar().is_bound("1001"));
}

#[test]
fn too_short_is_423_too_long_is_shortened_and_none_is_the_default() {
    let mut world = registrar();
    let mut phone = phone();
    let short = register(&mut world, &mut phone, "Expires: 5\n");
    assert_eq!((short.status(), short.header(Name::MinExpires).and_then(|h| h.text())), (Some(423), Some("60")));
    let granted = |ok: Message| ok.contacts().next().unwrap().unwrap().expires();
    assert_eq!(granted(register(&mut world, &mut phone, "Expires: 999999\n")), Some(3_600));
    assert_eq!(granted(register(&mut world, &mut phone, "")), Some(600));
    phone.contact = "<sip:phone@127.0.0.99>;expires=nonsense".into();
    assert_eq!(granted(register(&mut world, &mut phone, "")), Some(600));
}

#[test]
fn several_contacts_are_listed_removed_one_by_one_and_all_by_the_star() {
    let mut world = registrar();
    let mut phone = phone();
    phone.contact = "<sip:a@127.0.0.99>;q=0.5, <sip:b@127.0.0.99>".into();
    assert_eq!(register(&mut world, &mut phone, "").contacts().count(), 2);
    let uris = |world: &World| -> Vec<String> {
        world.agents[0].endpoint.registrar().bindings("1001").iter().map(|b| b.contact.clone()).collect()
    };
    assert_eq!(uris(&world), ["sip:b@127.0.0.99", "sip:a@127.0.0.99"], "the most wanted first");
    phone.contact = "<sip:b@127.0.0.99>;expires=0".into();
    assert_eq!(register(&mut world, &mut phone, "").contacts().count(), 1);
    phone.contact = "*".into();
    assert_eq!(register(&mut world, &mut phone, "").status(), Some(400), "the star needs Expires: 0");
    assert_eq!(register(&mut world, &mut phone, "Expires: 0\n").contacts().count(), 0);
    assert_eq!(uris(&world), [""; 0]);
}

#[test]
fn an_old_cseq_of_the_same_call_id_is_refused_and_changes_nothing() {
    let mut world = registrar();
    let mut phone = phone();
    phone.cseq = 10;
    register(&mut world, &mut phone, "Expires: 300\n");
    phone.cseq = 3;
    assert_eq!(register(&mut world, &mut phone, "Expires: 0\n").status(), Some(500));
    assert!(world.agents[0].endpoint.registrar().is_bound("1001"));
}

#[test]
fn a_phone_behind_nat_is_called_back_over_its_flow() {
    let mut world = registrar();
    let mut phone = phone();
    phone.contact = "<sip:phone@192.168.1.7:5062>".into();
    let text = phone.text("REGISTER", "", "").replace("SIP/2.0/UDP 127.0.0.99", "SIP/2.0/UDP 192.168.1.7:5062");
    let challenge = world.say(&text).pop().unwrap();
    let via = challenge.via().unwrap();
    assert_eq!((via.rport(), via.received()), (Some(Some(5060)), Some("127.0.0.99".parse().unwrap())));
    let mut digest = DigestClient::from_response(&challenge).unwrap();
    let value = digest.authorize(&account("pw"), "REGISTER", "sip:1@127.0.0.1", b"", "cn");
    let text = phone.text("REGISTER", &format!("Authorization: {value}\n"), "");
    world.say(&text.replace("SIP/2.0/UDP 127.0.0.99", "SIP/2.0/UDP 192.168.1.7:5062"));
    let targets = world.agents[0].endpoint.registrar().targets("1001");
    assert_eq!(targets[0].uri, "sip:phone@192.168.1.7:5062");
    assert_eq!(targets[0].destination.map(|d| d.remote().to_string()), Some(STRANGER.to_owned()));
}

#[test]
fn a_phone_that_comes_back_with_its_instance_replaces_its_old_contact() {
    let mut world = registrar();
    let mut phone = phone();
    phone.contact = "<sip:old@127.0.0.99>;+sip.instance=\"<urn:uuid:1>\";reg-id=1".into();
    register(&mut world, &mut phone, "");
    phone.call_id = "after-reboot".into();
    phone.contact = "<sip:new@127.0.0.99>;+sip.instance=\"<urn:uuid:1>\";reg-id=1".into();
    assert_eq!(register(&mut world, &mut phone, "").contacts().count(), 1);
    assert_eq!(world.expect(0, unbound), ("sip:old@127.0.0.99".into(), Unbound::Removed));
}

#[test]
fn unknown_parameters_and_escaped_headers_in_a_contact_are_kept_as_they_are() {
    // RFC 4475 §3.3.12–14 and §3.1.1.4: cparam01, cparam02, regescrt, escnull.
    for uri in [
        "sip:+19725552222@127.0.0.99;unknownparam",
        "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        "sip:%00@127.0.0.99",
    ] {
        let mut world = registrar();
        let mut phone = phone();
        phone.contact = format!("<{uri}>;unknownparam=x");
        let ok = register(&mut world, &mut phone, "");
        assert_eq!(ok.status(), Some(200), "{uri}");
        assert_eq!(ok.contact().unwrap().uri().as_str(), uri);
    }
}

#[test]
fn the_contact_over_the_limit_is_refused() {
    let mut world = registrar();
    let mut phone = phone();
    for n in 0..CONTACTS {
        phone.contact = format!("<sip:p{n}@127.0.0.99>");
        assert_eq!(register(&mut world, &mut phone, "").status(), Some(200));
    }
    phone.contact = "<sip:one-more@127.0.0.99>".into();
    assert_eq!(register(&mut world, &mut phone, "").status(), Some(403));
    phone.contact = "<sip:p0@127.0.0.99>".into();
    assert_eq!(register(&mut world, &mut phone, "").status(), Some(200), "a refresh is always possible");
    phone.contact = format!("<sip:{}@127.0.0.99>", "x".repeat(CONTACT_BYTES));
    assert_eq!(register(&mut world, &mut phone, "").status(), Some(400));
}

#[test]
fn a_plan_may_allow_fewer_contacts_than_the_house_could_hold() {
    let bounds = |registrations, contacts| Bounds { sessions: 10, registrations, contacts };
    let mut world = registrar();
    let mut phone = phone();
    let mut ask = |world: &mut World, contact: &str| {
        phone.contact = format!("<sip:{contact}@127.0.0.99>");
        register(world, &mut phone, "").status()
    };
    world.agents[0].endpoint.set_bounds(bounds(10, 2));
    assert_eq!(ask(&mut world, "a"), Some(200));
    assert_eq!(ask(&mut world, "b"), Some(200));
    assert_eq!(ask(&mut world, "c"), Some(403), "the third of one account");
    world.agents[0].endpoint.set_bounds(bounds(2, 5));
    assert_eq!(ask(&mut world, "c"), Some(503), "the third of all");
    assert_eq!(ask(&mut world, "a"), Some(200), "a refresh is always possible");
    world.agents[0].endpoint.set_bounds(bounds(1, 1));
    assert_eq!(ask(&mut world, "b"), Some(200), "after a reload to less, too");
    assert_eq!(ask(&mut world, "c"), Some(403));
}

#[test]
fn a_removed_account_takes_its_contacts_along() {
    let mut world = registrar();
    register(&mut world, &mut phone(), "");
    world.agents[0].endpoint.registrar_mut().remove_account(&AccountName::new("1001"));
    world.settle();
    assert_eq!(world.expect(0, unbound).1, Unbound::AccountRemoved);
}

#[test]
fn bindings_survive_a_restart_without_those_that_only_a_connection_reached() {
    let mut world = registrar();
    register(&mut world, &mut phone(), "");
    let kept = world.expect(0, bound);
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<Binding>(&text).unwrap(), kept);
    let by_connection = Binding {
        contact: "sip:tcp@127.0.0.98".into(),
        by_flow: true,
        source: Source { flow: FlowId(77), transport: Transport::Tcp, ..kept.source },
        ..kept.clone()
    };
    let old = Binding { contact: "sip:old@127.0.0.98".into(), expires: world.now, ..kept.clone() };
    let mut after = registrar();
    let account = AccountName::new("1001");
    let bindings = [kept.clone(), by_connection, old].map(|binding| (account.clone(), binding)).to_vec();
    after.agents[0].endpoint.import_bindings(world.now, bindings);
    let found: Vec<&Binding> = after.agents[0].endpoint.registrar().bindings("1001");
    assert_eq!(found, [&kept]);
    assert!(after.agents[0].endpoint.poll_event().is_none());
}

#[test]
fn a_call_from_a_registered_flow_names_its_account_and_others_are_asked_for_a_digest() {
    let mut world = registrar();
    let mut caller = phone();
    register(&mut world, &mut caller, "");
    let mut call = phone();
    call.call_id = "call".into();
    call.to = "<sip:2002@example.com>".into();
    call.say(&mut world, "INVITE", "", "");
    let invited = world.expect_invited(0);
    assert_eq!(invited.account, Some(AccountName::new("1001")));
    assert_eq!(world.agents[0].endpoint.authorize(world.now, invited.session), Ok(Authorization::Challenged));
    let challenge = said(&mut world).pop().unwrap();
    assert_eq!(challenge.status(), Some(401));
    assert_eq!(challenge.all(Name::WwwAuthenticate).count(), 2, "SHA-256 and MD5");
    call.say(&mut world, "ACK", "", "");
    for (password, expected) in [("pw", Authorization::By(AccountName::new("1001"))), ("guess", Authorization::Wrong)] {
        let mut digest = DigestClient::from_response(&challenge).unwrap();
        let value = digest.authorize(&account(password), "INVITE", "sip:1@127.0.0.1", b"", "cn");
        call.say(&mut world, "INVITE", &format!("Authorization: {value}\n"), "");
        let session = world.expect_invited(0).session;
        assert_eq!(world.agents[0].endpoint.authorize(world.now, session), Ok(expected));
        world.agents[0].endpoint.reject(world.now, session, 403, "", &[]).unwrap();
        said(&mut world);
    }
}

// -- we register ------------------------------------------------------------------------------------------------------

fn trunk() -> TrunkName {
    TrunkName::new("carrier")
}

fn settings(password: &str) -> RegistrationSettings {
    RegistrationSettings {
        registrar: Target::uri("sip:127.0.0.2"),
        aor: Party::new("", "sip:1001@example.com"),
        credentials: Some(account(password)),
        expires: 300,
    }
}

fn line_state(event: &UaEvent) -> Option<(bool, String)> {
    match event {
        UaEvent::TrunkRegistration { up, reason, .. } => Some((*up, reason.clone())),
        _ => None,
    }
}

/// The first agent registers at the second.
fn two() -> World {
    let mut world = World::new(2);
    world.agents[1].endpoint.registrar_mut().set_account(AccountName::new("1001"), secrets("1001"));
    world
}

#[test]
fn we_register_refresh_in_time_and_take_calls_by_the_line_token() {
    let mut world = two();
    world.agents[0].endpoint.register(world.now, trunk(), settings("pw")).unwrap();
    world.settle();
    assert_eq!(world.expect(0, line_state), (true, "registered".into()));
    assert_eq!(world.count("1→2 REGISTER"), 2, "the challenge and the answer");
    world.run(Duration::from_secs(240));
    assert_eq!(world.count("1→2 REGISTER"), 3, "refreshed at 4/5 with the nonce in use");
    let targets = world.agents[1].endpoint.registrar().targets("1001");
    assert!(targets[0].uri.contains(";line="));
    let invite = world.agents[1].invite(targets);
    let call = world.agents[1].endpoint.invite(world.now, invite).unwrap();
    world.settle();
    assert_eq!(world.expect_invited(0).line, Some(trunk()));
    world.agents[1].endpoint.end(world.now, call, None);
    world.agents[0].endpoint.unregister(world.now, &trunk());
    world.settle();
    assert!(!world.agents[1].endpoint.registrar().is_bound("1001"));
    world.assert_quiet();
}

#[test]
fn a_wrong_password_is_not_tried_in_a_loop_and_backs_off() {
    let mut world = two();
    world.agents[0].endpoint.register(world.now, trunk(), settings("guess")).unwrap();
    world.run(Duration::from_secs(14));
    assert_eq!(world.expect(0, line_state), (false, "403 Forbidden".into()));
    assert_eq!(world.count("1→2 REGISTER"), 2);
    world.run(Duration::from_secs(3_600));
    let asked = world.count("1→2 REGISTER");
    assert!((8..=24).contains(&asked), "30 s, doubling to half an hour: {asked}");
    assert!(world.agents[0].events.is_empty(), "told once");
}

#[test]
fn a_silent_registrar_is_down_and_comes_back() {
    let mut world = two();
    world.loses = |message| message.is_request();
    world.agents[0].endpoint.register(world.now, trunk(), settings("pw")).unwrap();
    world.run(Duration::from_secs(33));
    assert_eq!(world.expect(0, line_state), (false, "no answer to REGISTER".into()));
    world.loses = |_| false;
    world.run(Duration::from_secs(60));
    assert!(world.expect(0, line_state).0);
}

#[test]
fn a_registrar_that_wants_longer_intervals_gets_them() {
    let mut world = two();
    let short = RegistrationSettings { expires: 30, ..settings("pw") };
    world.agents[0].endpoint.register(world.now, trunk(), short).unwrap();
    world.settle();
    assert_eq!(world.count("2→1 423 REGISTER"), 1);
    assert!(world.expect(0, line_state).0);
}

#[test]
fn a_trunk_is_down_after_three_silences_and_up_after_two_answers() {
    let mut world = World::new(2);
    let health = HealthSettings {
        target: Target::uri("sip:127.0.0.2"),
        from: Party::new("", "sip:strowger@example.com"),
        interval: Duration::from_secs(30),
        down_after: 3,
        up_after: 2,
    };
    let state = |event: &UaEvent| match event {
        UaEvent::TrunkHealth { up, reason, .. } => Some((*up, reason.clone())),
        _ => None,
    };
    world.agents[0].endpoint.watch(world.now, trunk(), health).unwrap();
    world.settle();
    assert_eq!(world.expect(0, state), (true, "200 OK".into()));
    world.loses = |_| true;
    // Each silence takes 32 s, and 30 s later comes the next question.
    world.run(Duration::from_secs(150));
    assert!(world.agents[0].events.is_empty());
    world.run(Duration::from_secs(40));
    assert_eq!(world.expect(0, state), (false, "no answer to OPTIONS".into()));
    world.loses = |_| false;
    world.run(Duration::from_secs(32));
    assert!(world.agents[0].events.is_empty());
    world.run(Duration::from_secs(31));
    assert!(world.expect(0, state).0);
    world.agents[0].endpoint.unwatch(&trunk());
    world.assert_quiet();
}
