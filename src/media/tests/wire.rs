//! What the network does to a call: loss, order, strangers, silence, reports, wrapping numbers.

#![cfg(test)]

use super::*;

#[test]
fn every_change_of_source_carries_the_marker_and_nothing_else_does() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.run(500);
    world.hear(&[(a, &[])]);
    world.run(500);
    world.hear(&[(a, &[b])]);
    world.run(500);
    let markers = world.phones[&a].heard.iter().filter(|(_, header, _)| header.marker).count();
    // Silence before the bridge's first packet is no packet at all: forwarded, silence, forwarded.
    assert_eq!(markers, 3);
    world.assert_seamless(a);
}

#[test]
fn loss_jitter_and_reordering_are_survived_where_sound_is_mixed() {
    let mut world = World::new();
    let (caller, agent) = world.bridge();
    let boss = world.open(4, Codec::Pcmu, None);
    world.hear(&[(boss, &[caller, agent])]);
    let phone = world.phones.get_mut(&caller).unwrap();
    phone.loses = |n| n % 25 == 3;
    phone.takes_ms = |n| [5, 12, 31, 8, 22, 40, 9][usize::from(n) % 7];
    world.run(10_000);
    let sound = world.sound(boss, 8_000);
    let whole = sound.chunks(400).filter(|part| amplitude(part, 400.0) > 4_000.0).count();
    assert!(whole * 100 > sound.len() / 400 * 95, "{whole} of {}", sound.len() / 400);
    let stats = world.stats(caller);
    assert!((15..=25).contains(&stats.lost), "{stats:?}");
    assert!((3.5..=4.5).contains(&stats.loss_percent()), "{stats:?}");
    assert!(stats.reordered > 50 && stats.jitter_ms > 5.0, "{stats:?}");
    assert!(stats.concealed >= stats.lost, "{stats:?}");
    let clean = world.stats(agent);
    assert!((clean.lost, clean.late, clean.concealed) == (0, 0, 0) && clean.jitter_ms < 0.1, "{clean:?}");
    assert!(clean.mos.unwrap() > 4.3 && stats.mos.unwrap() < 4.0, "{clean:?} {stats:?}");
}

#[test]
fn loss_and_order_pass_through_a_bridge_for_the_listener_to_repair() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.phones.get_mut(&a).unwrap().loses = |n| n % 10 == 0;
    world.run(2_000);
    let numbers: Vec<u16> = world.phones[&b].heard.iter().map(|(_, header, _)| header.sequence).collect();
    let gaps = numbers.windows(2).filter(|pair| sequence_ahead(pair[1], pair[0]) == 2).count();
    assert!((9..=11).contains(&gaps), "{gaps}");
    let doubled = world.stats(a).duplicates;
    assert_eq!(doubled, 0);
}

#[test]
fn a_duplicate_is_passed_on_once() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.run(500);
    let (local, from) = (world.phones[&a].local, world.phones[&a].addr);
    let before = world.phones[&b].heard.len();
    world.phones.values_mut().for_each(|phone| phone.says = None);
    let header = RtpHeader {
        marker: false,
        payload_type: 0,
        sequence: world.phones[&a].sequence.wrapping_add(1),
        timestamp: world.phones[&a].timestamp,
        ssrc: world.phones[&a].ssrc,
        payload: 0..0,
    };
    for _ in 0..3 {
        let packet = [&header.write()[..], &[0xFF; 160]].concat();
        world.throw(world.now, local, from, &packet);
    }
    world.run(20);
    // One was still under way when the phones fell silent.
    assert!(world.phones[&b].heard.len() <= before + 2);
    assert_eq!(world.stats(a).duplicates, 2);
}

#[test]
fn a_stranger_neither_speaks_into_nor_listens_to_a_live_call() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.run(500);
    let mut attack = vec![0; 160];
    Codec::Pcmu.encode(&sines(&[1_700], Duration::from_millis(20), 6_000.0), &mut attack);
    for n in 0..400_u16 {
        // From a foreign host, and from the caller's own host on another port: with the caller's very SSRC and numbers.
        for from in [SocketAddr::from(([127, 6, 6, 6], 4_000)), SocketAddr::from(([127, 0, 1, 1], 9_999))] {
            let header = RtpHeader {
                marker: true,
                payload_type: 0,
                sequence: world.phones[&a].sequence.wrapping_add(1 + n % 3),
                timestamp: world.phones[&a].timestamp,
                ssrc: world.phones[&a].ssrc,
                payload: 0..0,
            };
            let packet = [&header.write()[..], &attack].concat();
            let local = world.phones[&a].local;
            world.throw(world.now, local, from, &packet);
        }
        world.run(10);
    }
    // `drain` panics where a packet is sent to the attacker.
    assert_eq!((world.hears(a), world.hears(b)), (vec![1_000], vec![400]));
    let stats = world.stats(a);
    assert_eq!((stats.refused, stats.lost), (800, 0));
    world.assert_seamless(b);
}

#[test]
fn a_phone_behind_a_nat_is_found_by_its_signalling_address() {
    let mut world = World::new();
    let mut open = open_port(0, Codec::Pcmu, None);
    let seen = phone_addr(0);
    open.remote.expected = Some(SocketAddr::from(([127, 99, 99, 99], 5_000)));
    let port = world.open(0, Codec::Pcmu, None);
    world.say(change(port, PortChange { remote: Some(open.remote), ..PortChange::default() }));
    world.say(change(port, PortChange { direction: Some(Direction::ReceiveOnly), ..PortChange::default() }));
    world.run(100);
    assert!(world.events.iter().any(|(_, event)| *event == MediaEvent::Latched { port, remote: seen }));
    world.say(change(port, PortChange { direction: Some(Direction::SendReceive), ..PortChange::default() }));
    world.play(1, Audience::Port(port), music(), Repeat::Forever);
    world.run(300);
    assert_eq!(world.hears(port), [MUSIC]);
}

#[test]
fn a_dead_line_is_told_once_and_told_again_after_it_came_back() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    for port in [a, b] {
        let change = PortChange { rtp_timeout: Some(Some(Duration::from_secs(10))), ..PortChange::default() };
        world.say(MediaCommand::Update { port, change });
    }
    let timeouts = |world: &World| -> Vec<PortId> {
        let port_of =
            |event: &MediaEvent| if let MediaEvent::RtpTimeout { port, .. } = event { Some(*port) } else { None };
        world.events.iter().filter_map(|(_, event)| port_of(event)).collect()
    };
    world.run(30_000);
    assert_eq!(timeouts(&world), []);
    world.phones.get_mut(&a).unwrap().says = None;
    world.run(9_000);
    assert_eq!(timeouts(&world), []);
    world.run(30_000);
    assert_eq!(timeouts(&world), [a]);
    world.phones.get_mut(&a).unwrap().says = Some(400);
    world.run(1_000);
    world.phones.get_mut(&a).unwrap().says = None;
    world.run(12_000);
    assert_eq!(timeouts(&world), [a, a]);
    // On hold nothing is to be expected of it.
    world.say(change(b, PortChange { direction: Some(Direction::SendOnly), ..PortChange::default() }));
    world.phones.get_mut(&b).unwrap().says = None;
    world.run(30_000);
    assert_eq!(timeouts(&world), [a, a]);
}

#[test]
fn reports_go_out_every_five_seconds_or_so_and_measure_the_round_trip() {
    let mut world = World::new();
    let (a, _) = world.bridge();
    world.run(60_000);
    let times: Vec<u64> = world.phones[&a].reports.iter().map(|(at, _)| at.as_millis()).collect();
    assert!((8..=20).contains(&times.len()), "{}", times.len());
    assert!(times.windows(2).all(|pair| (1_500..=9_000).contains(&(pair[1] - pair[0]))), "{times:?}");
    while world.phones[&a].reports.len() == times.len() {
        world.run(1);
    }
    let (at, bytes) = world.phones[&a].reports.last().unwrap().clone();
    let packets: Vec<_> = rtcp::packets(&bytes).collect::<Result<_, _>>().unwrap();
    let RtcpPacket::SenderReport { ssrc, sender, reports } = packets[0] else { panic!("{packets:?}") };
    assert!((3_000..=3_400).contains(&sender.packets), "{sender:?}");
    assert_eq!(reports.iter().next().unwrap().cumulative_lost, 0);
    // The phone answers a second later, 30 ms each way.
    let block = ReportBlock {
        ssrc,
        cumulative_lost: 15,
        jitter: 80,
        last_sr: rtcp::ntp_middle(sender.ntp),
        delay_since_last_sr: 65_536,
        ..ReportBlock::default()
    };
    let mut answer = Vec::new();
    Report { ssrc: world.phones[&a].ssrc, sender: None, block: Some(block), cname: "phone", bye: false }
        .write(&mut answer);
    let (local, from) = (world.phones[&a].local + 1, next_port(world.phones[&a].addr));
    world.throw(at + Duration::from_millis(1_060), local, from, &answer);
    world.run(10_000);
    let stats = world.stats(a);
    assert!((stats.rtt_ms.unwrap() - 60.0).abs() < 2.0, "{stats:?}");
    assert!((0.3..0.6).contains(&stats.far_loss_percent.unwrap()), "{stats:?}");
    assert_eq!(stats.far_jitter_ms, Some(10.0));
}

#[test]
fn half_an_hour_of_wrapping_numbers_loses_nothing() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    // The phones begin 35 packets before their sequence wraps and a second before their timestamp does.
    world.run(30 * 60 * 1_000);
    assert_eq!((world.stats(a).lost, world.stats(b).lost), (0, 0));
    assert_eq!(world.hears(a), [1_000]);
    world.assert_seamless(a);
    world.assert_seamless(b);
    let markers = world.phones[&a].heard.iter().filter(|(_, header, _)| header.marker).count();
    assert_eq!(markers, 1);
}
