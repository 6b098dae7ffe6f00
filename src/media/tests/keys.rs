//! Keys: heard once, passed on, kept secret, sent.

#![cfg(test)]

use super::*;

#[test]
fn keys_are_told_once_however_they_arrive() {
    let mut world = World::new();
    let (caller, _) = world.bridge();
    world.run(200);
    world.press(caller, 1, 100);
    world.run(60);
    // Every packet but one lost, the ends included.
    world.phones.get_mut(&caller).unwrap().loses = |n| n % 7 != 0;
    world.press(caller, 2, 100);
    world.phones.get_mut(&caller).unwrap().loses = |_| false;
    world.run(300);
    world.press(caller, 11, 300);
    world.run(200);
    assert_eq!(world.keys(), "12#");
    let last = world.events.iter().rev().find_map(|(_, event)| match event {
        MediaEvent::Key { port, key, duration_ms, source } => Some((*port, *key, *duration_ms, *source)),
        _ => None,
    });
    assert_eq!(last, Some((caller, '#', 300, KeySource::TelephoneEvent)));
}

#[test]
fn keys_pass_through_a_bridge_with_the_listeners_own_payload_type() {
    let mut world = World::new();
    let (a, b) = (world.open(0, Codec::Pcmu, Some(EVENT_PT)), world.open(3, Codec::Pcma, Some(EVENT_PT)));
    world.hear(&[(a, &[b]), (b, &[a])]);
    world.run(200);
    let formats = Formats::only(Codec::Pcma, Some(97));
    world.say(change(b, PortChange { formats: Some(formats), ..PortChange::default() }));
    world.press(a, 5, 100);
    let events: Vec<_> = world.phones[&b]
        .heard
        .iter()
        .filter(|(_, header, _)| header.payload_type == 97)
        .map(|(_, header, payload)| (header.timestamp, TelephoneEvent::parse(payload).unwrap()))
        .collect();
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|(timestamp, event)| *timestamp == events[0].0 && event.key() == Some('5')));
    assert_eq!(events.iter().filter(|(_, event)| event.end).count(), 3);
}

#[test]
fn a_secret_key_reaches_the_switch_and_nobody_else() {
    let mut world = World::new();
    let (caller, agent) = world.bridge();
    let bare = world.open(5, Codec::Pcmu, None);
    world.hear(&[(bare, &[caller])]);
    world.run(200);
    world.say(change(caller, PortChange { pass_keys: Some(false), ..PortChange::default() }));
    world.press(caller, 9, 100);
    world.run(500);
    assert_eq!(world.keys(), "9");
    assert!(world.phones[&agent].heard.iter().all(|(_, header, _)| header.payload_type != EVENT_PT));
    let mut detector = KeyDetector::default();
    assert!(world.sound(bare, 700).chunks(160).all(|frame| detector.listen(frame).is_none()));
}

#[test]
fn one_who_takes_no_events_hears_the_key_as_a_tone() {
    let mut world = World::new();
    let (caller, bare) = (world.open(0, Codec::Pcmu, Some(EVENT_PT)), world.open(3, Codec::Pcmu, None));
    world.hear(&[(caller, &[bare]), (bare, &[caller])]);
    world.run(200);
    world.press(caller, 5, 100);
    world.run(400);
    let mut detector = KeyDetector::default();
    let heard: String = world.sound(bare, 700).chunks(160).filter_map(|f| detector.listen(f)).map(|h| h.key).collect();
    assert_eq!(heard, "5");
    world.assert_seamless(bare);
}

#[test]
fn keys_in_the_audio_are_heard_where_asked_for() {
    let mut world = World::new();
    let caller = world.open(0, Codec::Pcma, None);
    world.say(change(caller, PortChange { in_band_keys: Some(true), ..PortChange::default() }));
    world.phones.get_mut(&caller).unwrap().says = None;
    let mut samples = sines(&[852, 1_336], Duration::from_millis(100), 8_000.0);
    samples.resize(4_000, 0);
    for frame in samples.chunks(160) {
        let mut payload = vec![0; frame.len()];
        Codec::Pcma.encode(frame, &mut payload);
        world.send(caller, 8, &payload, 160);
        world.run(20);
    }
    let heard = world.events.iter().find_map(|(_, event)| match event {
        MediaEvent::Key { key, source, .. } => Some((*key, *source)),
        _ => None,
    });
    assert_eq!(heard, Some(('8', KeySource::InBand)));
}

#[test]
fn sent_keys_arrive_as_events_or_as_tones() {
    let mut world = World::new();
    let (a, bare) = (world.open(0, Codec::Pcmu, Some(EVENT_PT)), world.open(3, Codec::Pcmu, None));
    world.hear(&[(a, &[bare]), (bare, &[a])]);
    world.run(200);
    world.say(MediaCommand::SendKeys(SendKeys::new(a, "15#")));
    world.say(MediaCommand::SendKeys(SendKeys::new(bare, "42")));
    world.run(1_500);
    let ends: String = world.phones[&a]
        .heard
        .iter()
        .filter(|(_, header, _)| header.payload_type == EVENT_PT)
        .filter_map(|(_, header, payload)| {
            let event = TelephoneEvent::parse(payload).unwrap();
            (event.end && event.duration == 800).then(|| (header.timestamp, event.key().unwrap()))
        })
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect();
    assert_eq!(ends, "15#");
    let mut detector = KeyDetector::default();
    let tones: String =
        world.sound(bare, 1_500).chunks(160).filter_map(|f| detector.listen(f)).map(|h| h.key).collect();
    assert_eq!(tones, "42");
    world.run(300);
    assert_eq!(world.hears(bare), [400], "then audio goes on");
}
