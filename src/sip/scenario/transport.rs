//! TCP, large requests, host names, failover, NAT, and connections that end.

use core::time::Duration;

use super::phone::{Phone, SDP, said};
use super::*;
use crate::limits::ua::RESOLVE_TIME;
use crate::sip::endpoint::{Hop, Resolve};
use crate::sip::event::Ending;
use crate::sip::header::Name;

fn failed(event: &UaEvent) -> Option<u16> {
    match event {
        UaEvent::Failed { failure, .. } => Some(failure.status),
        _ => None,
    }
}

fn invite_to(world: &mut World, uri: &str) -> SessionId {
    let invite = world.agents[0].invite(vec![Target::uri(uri)]);
    world.agents[0].endpoint.invite(world.now, invite).unwrap()
}

fn transports(world: &World) -> Vec<Transport> {
    let mut seen: Vec<Transport> = world.packets.iter().map(|(source, _)| source.transport).collect();
    seen.dedup();
    seen
}

#[test]
fn a_call_over_tcp_stays_on_tcp_and_repeats_nothing_but_the_2xx() {
    let mut world = World::new(2);
    let a = invite_to(&mut world, "sip:1@127.0.0.2;transport=tcp");
    world.run(Duration::from_secs(10));
    let invited = world.expect_invited(1);
    assert_eq!(invited.source.transport, Transport::Tcp);
    assert!(invited.request.contact().unwrap().uri().as_str().ends_with(";transport=tcp"));
    world.answer(1, invited.session, invited.offer.as_ref().unwrap());
    world.settle();
    world.agents[1].endpoint.end(world.now, invited.session, None);
    world.settle();
    let ladder = ["1→2 INVITE", "2→1 100 INVITE", "2→1 200 INVITE", "1→2 ACK", "2→1 BYE", "1→2 200 BYE"];
    assert_eq!(world.ladder, ladder);
    assert_eq!(transports(&world), [Transport::Tcp]);
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn a_connection_that_closed_is_made_anew_from_the_contact() {
    let mut world = World::new(2);
    let a = invite_to(&mut world, "sip:1@127.0.0.2;transport=tcp");
    world.settle();
    let invited = world.expect_invited(1);
    world.answer(1, invited.session, invited.offer.as_ref().unwrap());
    world.settle();
    world.close_connections();
    world.agents[1].endpoint.end(world.now, invited.session, None);
    world.settle();
    world.expect(0, |event| matches!(event, UaEvent::Ended { how: Ending::Bye, .. }).then_some(()));
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

fn large(world: &mut World) -> SessionId {
    let mut invite = world.agents[0].invite(vec![Target::uri("sip:1@127.0.0.2")]);
    invite.headers.push(("X-Large".into(), "x".repeat(1_200)));
    world.agents[0].endpoint.invite(world.now, invite).unwrap()
}

#[test]
fn a_request_too_large_for_a_datagram_goes_by_tcp() {
    let mut world = World::new(2);
    let a = large(&mut world);
    world.settle();
    assert_eq!(world.expect_invited(1).source.transport, Transport::Tcp);
    assert_eq!(world.packets[0].1.via().unwrap().transport(), "TCP");
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn and_by_udp_where_tcp_cannot_connect() {
    let mut world = World::new(2);
    world.refuses.insert("127.0.0.2:5060".parse().unwrap());
    let a = large(&mut world);
    world.settle();
    assert_eq!(world.expect_invited(1).source.transport, Transport::Udp);
    assert_eq!(world.packets[0].1.via().unwrap().transport(), "UDP");
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn a_host_name_is_resolved_and_its_second_address_tried_when_the_first_is_dead() {
    let mut world = World::new(2);
    let a = invite_to(&mut world, "sip:1@trunk.example");
    let resolve = world.agents[0].endpoint.poll_resolve().unwrap();
    let expected = Resolve { id: resolve.id, host: "trunk.example".into(), port: None, transport: None, secure: false };
    assert_eq!(resolve, expected);
    let hop = |address: &str| Hop { transport: Transport::Udp, address: address.parse().unwrap() };
    let hops = vec![hop("127.0.0.77:5060"), hop("127.0.0.2:5060")];
    world.agents[0].endpoint.handle_resolved(world.now, resolve.id, hops);
    world.settle();
    world.expect_invited(1);
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn a_503_sends_the_call_to_the_next_address_and_the_last_503_is_told() {
    let mut world = World::new(3);
    invite_to(&mut world, "sip:1@trunk.example");
    let resolve = world.agents[0].endpoint.poll_resolve().unwrap();
    let hop = |address: &str| Hop { transport: Transport::Udp, address: address.parse().unwrap() };
    let hops = vec![hop("127.0.0.2:5060"), hop("127.0.0.3:5060")];
    world.agents[0].endpoint.handle_resolved(world.now, resolve.id, hops);
    for at in [1, 2] {
        world.settle();
        let invited = world.expect_invited(at);
        world.agents[at].endpoint.reject(world.now, invited.session, 503, "", &[]).unwrap();
    }
    world.settle();
    assert_eq!(world.expect(0, failed), 503);
    world.assert_quiet();
}

#[test]
fn a_name_that_leads_nowhere_and_a_resolver_that_is_silent_fail_the_call() {
    let mut world = World::new(1);
    invite_to(&mut world, "sip:1@nowhere.example");
    let resolve = world.agents[0].endpoint.poll_resolve().unwrap();
    world.agents[0].endpoint.handle_resolved(world.now, resolve.id, Vec::new());
    world.settle();
    assert_eq!(world.expect(0, failed), 503);
    invite_to(&mut world, "sip:1@slow.example");
    world.run(RESOLVE_TIME - Duration::from_secs(1));
    assert!(world.agents[0].events.is_empty());
    world.run(Duration::from_secs(2));
    assert_eq!(world.expect(0, failed), 503);
    world.assert_quiet();
}

#[test]
fn a_call_that_is_ended_while_its_name_resolves_never_leaves() {
    let mut world = World::new(1);
    let a = invite_to(&mut world, "sip:1@slow.example");
    let resolve = world.agents[0].endpoint.poll_resolve().unwrap();
    world.agents[0].endpoint.end(world.now, a, None);
    let hop = Hop { transport: Transport::Udp, address: "127.0.0.99:5060".parse().unwrap() };
    world.agents[0].endpoint.handle_resolved(world.now, resolve.id, vec![hop]);
    assert_eq!(said(&mut world), []);
    world.assert_quiet();
}

#[test]
fn what_no_listener_can_reach_fails_at_once() {
    let mut world = World::new(1);
    for uri in ["sips:1@127.0.0.2", "sip:1@[2001:db8::1]", "tel:+861012345678"] {
        invite_to(&mut world, uri);
        world.settle();
        assert_eq!(world.expect(0, failed), 503, "{uri}");
    }
    world.assert_quiet();
}

#[test]
fn a_caller_behind_nat_gets_our_requests_where_its_own_came_from() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    phone.contact = "<sip:phone@192.168.1.7>".into();
    let natted = |text: String| text.replace("SIP/2.0/UDP 127.0.0.99", "SIP/2.0/UDP 192.168.1.7");
    let invite = natted(phone.text("INVITE", "Content-Type: application/sdp\n", SDP));
    world.say(&invite);
    let invited = world.expect_invited(0);
    world.answer(0, invited.session, invited.offer.as_ref().unwrap());
    let ok = said(&mut world).pop().unwrap();
    phone.to = format!("<sip:1@127.0.0.1>;tag={}", ok.to().unwrap().tag().unwrap());
    world.say(&natted(phone.text("ACK", "", "")));
    world.agents[0].endpoint.end(world.now, invited.session, None);
    let transmit = world.agents[0].endpoint.poll_transmit().unwrap();
    assert_eq!(transmit.destination.remote().to_string(), STRANGER);
    let bye = Message::parse(transmit.bytes).unwrap();
    assert_eq!((bye.method(), bye.uri_text()), (Some(Method::Bye), "sip:phone@192.168.1.7"));
}

#[test]
fn the_public_address_is_what_others_are_told() {
    let mut world = World::new(1);
    let mut settings = world.agents[0].endpoint.settings().clone();
    for listener in &mut settings.listeners {
        listener.public = Some("203.0.113.5:5070".parse().unwrap());
    }
    world.agents[0].endpoint.set_settings(settings);
    invite_to(&mut world, "sip:1@127.0.0.99");
    let invite = said(&mut world).pop().unwrap();
    assert_eq!(invite.contact().unwrap().uri().as_str(), "sip:alice@203.0.113.5:5070");
    let via = invite.via().unwrap();
    assert_eq!((via.host().as_str(), via.port()), ("203.0.113.5", Some(5070)));
    let mut phone = Phone::new();
    phone.say(&mut world, "INVITE", "", "");
    let session = world.expect_invited(0).session;
    world.agents[0].endpoint.provisional(world.now, session, 180, None).unwrap();
    let ringing = said(&mut world).pop().unwrap();
    assert!(ringing.header(Name::Contact).and_then(|h| h.text()).unwrap().contains("@203.0.113.5:5070"));
}

#[test]
fn of_a_name_with_very_many_addresses_the_first_few_are_tried() {
    use crate::limits::ua::HOPS;
    let mut world = World::new(1);
    invite_to(&mut world, "sip:1@trunk.example");
    let resolve = world.agents[0].endpoint.poll_resolve().unwrap();
    let hop =
        |n: usize| Hop { transport: Transport::Udp, address: format!("127.0.0.{}:5060", 100 + n).parse().unwrap() };
    world.agents[0].endpoint.handle_resolved(world.now, resolve.id, (0..2 * HOPS).map(hop).collect());
    let mut tried = std::collections::BTreeSet::new();
    while let Some(transmit) = world.agents[0].endpoint.poll_transmit() {
        let remote = transmit.destination.remote();
        tried.insert(remote);
        // Nobody is there.
        world.agents[0].endpoint.handle_unreachable(world.now, transmit.destination);
    }
    assert_eq!(tried, (0..HOPS).map(|n| hop(n).address).collect());
    world.settle();
    assert_eq!(world.expect(0, failed), 503);
    world.assert_quiet();
}
