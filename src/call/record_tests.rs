//! The fold of call records, event by event.

use super::*;
use crate::event::CustomerCard;

const CALL: CallId = CallId::from_u128(1);
const CALLER: LegId = LegId::from_u128(10);
const AGENT: LegId = LegId::from_u128(11);

fn event(seq: u64, at_s: u64, fact: Fact) -> Event {
    Event { v: 1, seq: Seq(seq), at: Time::from_secs(at_s), call: Some(CALL), fact }
}

fn accepted() -> Fact {
    Fact::CallAccepted {
        leg: CALLER,
        direction: Direction::Inbound,
        from: Address { number: "+8613800138000".into(), ..Address::default() },
        to: Address { number: "95539".into(), ..Address::default() },
        dialplan: Some("airline".into()),
        sip_call_id: "abc@carrier".into(),
    }
}

#[test]
fn a_queued_and_answered_call_leaves_one_complete_record() {
    let mut records = Records::new();
    let hangup = Cause::new(What::Hangup, Party::Caller);
    let story = [
        accepted(),
        Fact::LegAnswered { leg: CALLER, codec: "PCMA".into() },
        Fact::QueueEntered { queue: "gold".into(), priority: 5, tier: "gold".into(), position: 1 },
        Fact::LegAdded { leg: AGENT, role: Role::Agent, to: Address::default(), agent: Some("li".into()) },
        Fact::LegRinging { leg: AGENT, early_media: false },
        Fact::QueueLeft { queue: "gold".into(), exit: QueueExit::Answered, waited_ms: 3_000 },
        Fact::LegAnswered { leg: AGENT, codec: "PCMU".into() },
        Fact::LegHeld { leg: CALLER, by: AGENT },
        Fact::LegResumed { leg: CALLER, by: AGENT },
        Fact::LegEnded { leg: AGENT, cause: hangup, stats: None },
        Fact::CallEnded { cause: hangup },
    ];
    let mut last = None;
    for (i, fact) in story.into_iter().enumerate() {
        last = records.apply(&event(i as u64 + 1, 100 + i as u64, fact));
    }
    let record = last.expect("the last event completes the record");
    assert_eq!(record.duration_ms(), 9_000);
    assert_eq!(record.agent, Some("li".into()));
    assert_eq!(record.queues[0].exit, Some(QueueExit::Answered));
    assert_eq!(record.legs[0].held_ms, 1_000);
    assert_eq!(record.legs[0].cause, Some(hangup), "the caller's leg is closed with the call");
    assert_eq!((record.first_seq, record.last_seq), (Seq(1), Seq(11)));
    assert_eq!(records.open().count(), 0);
}

#[test]
fn a_wrap_up_after_the_hang_up_reaches_the_record() {
    let mut records = Records::new();
    let hangup = Cause::new(What::Hangup, Party::Caller);
    for (seq, fact) in [
        accepted(),
        Fact::LegAdded { leg: AGENT, role: Role::Agent, to: Address::default(), agent: Some("li".into()) },
        Fact::LegAnswered { leg: AGENT, codec: "PCMU".into() },
        Fact::CallEnded { cause: hangup },
    ]
    .into_iter()
    .enumerate()
    {
        records.apply(&event(seq as u64 + 1, 100, fact));
    }
    let wrapped =
        Fact::InteractionWrapped { agent: "li".into(), code: "sold".into(), notes: "two".into(), auto: false };
    let record = records.apply(&event(5, 130, wrapped)).expect("the record waits for its wrap-up");
    assert_eq!((record.disposition.as_str(), record.notes.as_str()), ("sold", "two"));
    assert_eq!(record.ended, Some(Time::from_secs(100)));
}

#[test]
fn a_call_open_at_a_crash_is_closed_once_with_the_cause_switch_restart() {
    let mut records = Records::new();
    records.apply(&event(1, 100, accepted()));
    let closing = records.close_open();
    assert_eq!(closing.len(), 1);
    let record = records.apply(&event(2, 200, closing[0].1.clone())).unwrap();
    assert_eq!(record.cause, Some(Cause::new(What::SwitchRestart, Party::Switch)));
    assert!(records.close_open().is_empty());
}

#[test]
fn a_message_is_open_until_it_is_known_what_became_of_it() {
    let (voicemail, recording) = (VoicemailId::from_u128(5), RecordingId::from_u128(6));
    let (r#box, file) = ("sales".to_owned(), "voicemail/5.wav".to_owned());
    let begun = Fact::VoicemailStarted { voicemail, recording, r#box: r#box.clone(), file: file.clone() };
    let left = Fact::VoicemailLeft { voicemail, r#box, from: Address::default(), file, seconds: 3.0 };
    let failed = Fact::RecordingFailed { recording, reason: "disk full".into() };
    let hangup = Fact::CallEnded { cause: Cause::new(What::Hangup, Party::Caller) };
    for end in [left, Fact::VoicemailDropped { voicemail }, failed] {
        let mut records = Records::new();
        records.apply(&event(1, 100, accepted()));
        records.apply(&event(2, 101, begun.clone()));
        records.apply(&event(3, 105, hangup.clone()));
        let open: Vec<_> =
            records.messages().into_iter().map(|(call, from, begun)| (call, from.number, begun.r#box)).collect();
        assert_eq!(open, [(CALL, "+8613800138000".to_owned(), "sales".to_owned())], "though the call is over");
        records.apply(&event(4, 106, end));
        assert_eq!(records.messages(), []);
    }
}

#[test]
fn events_of_unknown_or_finished_calls_change_nothing() {
    let mut records = Records::new();
    assert_eq!(records.apply(&event(1, 1, Fact::LegRinging { leg: CALLER, early_media: false })), None);
}

/// Tells a story of `(second, fact)` and gives the record it leaves.
fn told(story: impl IntoIterator<Item = (u64, Fact)>) -> CallRecord {
    let mut records = Records::new();
    let told = (1..).zip(story).map(|(seq, (at_s, fact))| records.apply(&event(seq, at_s, fact)));
    told.last().flatten().expect("each event is of this call")
}

const RECORDING: RecordingId = RecordingId::from_u128(7);

fn joins(leg: LegId, name: &str) -> [Fact; 2] {
    let (to, agent) = (Address::default(), Some(name.into()));
    [Fact::LegAdded { leg, role: Role::Agent, to, agent }, Fact::LegAnswered { leg, codec: "PCMA".into() }]
}

fn segments_of(record: &CallRecord) -> Vec<(SegmentKind, Option<LegId>, u64, Option<u64>)> {
    let all = record.recordings[0].segments.iter();
    all.map(|segment| (segment.kind, segment.leg, segment.from_ms, segment.to_ms)).collect()
}

#[test]
fn a_recording_says_who_took_part_who_was_held_and_what_is_masked() {
    use SegmentKind::{Agent, Hold, Masked};
    let hangup = Cause::new(What::Hangup, Party::Caller);
    let colleague = LegId::from_u128(12);
    let ([added, answers], [added_too, answers_too]) = (joins(AGENT, "li"), joins(colleague, "wu"));
    let masked = |masked| Fact::RecordingMasked { recording: RECORDING, masked, why: "secure entry".into() };
    let mut story = vec![
        (0, accepted()),
        (1, Fact::LegAnswered { leg: CALLER, codec: "PCMA".into() }),
        (8, added),
        (10, answers),
        (10, Fact::RecordingStarted { recording: RECORDING, file: "a.wav".into() }),
        (15, masked(true)),
        (17, masked(false)),
        (20, Fact::LegHeld { leg: CALLER, by: AGENT }),
        (30, Fact::LegResumed { leg: CALLER, by: AGENT }),
        (40, added_too),
        (50, answers_too),
        (50, Fact::LegEnded { leg: AGENT, cause: hangup, stats: None }),
        (60, Fact::LegHeld { leg: CALLER, by: colleague }),
    ];
    let talking = told(story.clone());
    assert_eq!(segments_of(&talking).last(), Some(&(Hold, Some(CALLER), 50_000, None)), "it goes on");
    story.extend([
        (70, Fact::LegEnded { leg: CALLER, cause: hangup, stats: None }),
        (70, Fact::CallEnded { cause: hangup }),
        (71, Fact::RecordingSealed { recording: RECORDING, file: "a.wav".into(), seconds: 59.98, bytes: 1 }),
    ]);
    let expected = [
        (Agent, Some(AGENT), 0, Some(40_000)),
        (Masked, None, 5_000, Some(7_000)),
        (Hold, Some(CALLER), 10_000, Some(20_000)),
        (Agent, Some(colleague), 40_000, Some(59_980)),
        (Hold, Some(CALLER), 50_000, Some(59_980)),
    ];
    assert_eq!(segments_of(&told(story)), expected, "nothing ends after the recording");
}

#[test]
fn a_recording_that_is_cut_or_ends_with_a_crash_has_no_segment_that_goes_on() {
    let [added, answers] = joins(AGENT, "li");
    let begun = [
        (0, accepted()),
        (1, added),
        (2, answers),
        (2, Fact::RecordingStarted { recording: RECORDING, file: "a.wav".into() }),
    ];
    let cut = (10, Fact::RecordingCut { recording: RECORDING, after_s: 8 });
    let held = (12, Fact::LegHeld { leg: CALLER, by: AGENT });
    let record = told(begun.clone().into_iter().chain([cut, held]));
    assert_eq!(segments_of(&record), [(SegmentKind::Agent, Some(AGENT), 0, Some(8_000))]);
    let crash = [
        (900, Fact::CallEnded { cause: Cause::new(What::SwitchRestart, Party::Switch) }),
        (900, Fact::RecordingSealed { recording: RECORDING, file: "a.wav".into(), seconds: 4.0, bytes: 1 }),
    ];
    let record = told(begun.into_iter().chain(crash));
    assert_eq!(segments_of(&record), [(SegmentKind::Agent, Some(AGENT), 0, Some(4_000))]);
}

#[test]
fn a_caller_put_on_hold_all_day_leaves_the_latest_segments_and_a_count() {
    let [added, answers] = joins(AGENT, "li");
    let begun = [accepted(), added, answers, Fact::RecordingStarted { recording: RECORDING, file: "a.wav".into() }];
    let holds =
        (0..500).flat_map(|_| [Fact::LegHeld { leg: CALLER, by: AGENT }, Fact::LegResumed { leg: CALLER, by: AGENT }]);
    let record = told((0..).zip(begun.into_iter().chain(holds)));
    let segments = segments_of(&record);
    assert_eq!(segments.len(), limits::RECORD_LISTS[7]);
    assert_eq!(segments.len() + record.left_out.segments as usize, 501);
    assert_eq!(segments[0], (SegmentKind::Agent, Some(AGENT), 0, None), "what goes on stays");
    assert_eq!(segments.last(), Some(&(SegmentKind::Hold, Some(CALLER), 999_000, Some(1_000_000))));
}

/// What a queue does all day with agents whose phones are busy: offer, leg, refusal.
fn offers_in_vain(count: u64) -> impl Iterator<Item = Fact> {
    (0..count).flat_map(|at| {
        let (leg, agent) = (LegId::from_u128(100 + u128::from(at)), AgentName::new("a busy agent"));
        let to = Address { number: "\"1001\"".repeat(4_000), name: "\u{1}".repeat(9_000), ..Address::default() };
        [
            Fact::CallOffered {
                agent: agent.clone(),
                queue: "gold".into(),
                leg,
                deadline: Time::from_secs(1),
                waited_ms: 0,
                card: CustomerCard::default(),
                answers: Vec::new(),
            },
            Fact::LegAdded { leg, role: Role::Agent, to, agent: Some(agent.clone()) },
            Fact::OfferEnded { agent, leg, outcome: OfferOutcome::Busy },
            Fact::LegEnded { leg, cause: Cause::with_status(What::Busy, Party::Agent, 486), stats: None },
        ]
    })
}

#[test]
fn a_call_offered_hundreds_of_times_ends_with_a_record_that_fits() {
    let mut records = Records::new();
    let hangup = Cause::new(What::Hangup, Party::Caller);
    let wrapped = |notes: &str| Fact::InteractionWrapped {
        agent: "li".into(),
        code: "sold".into(),
        notes: notes.to_owned(),
        auto: false,
    };
    let last_leg = LegId::from_u128(9);
    let story = [accepted()]
        .into_iter()
        .chain(offers_in_vain(400))
        .chain([
            Fact::LegAdded { leg: last_leg, role: Role::Agent, to: Address::default(), agent: Some("li".into()) },
            Fact::LegAnswered { leg: last_leg, codec: "PCMA".into() },
        ])
        .chain((0..100).map(|at| Fact::CallStepped {
            dialplan: "airline".into(),
            state: format!("{at} {}", "state".repeat(1_000)),
            outcome: "timeout".into(),
        }))
        .chain([Fact::CallEnded { cause: hangup }, wrapped(&"\u{2}note ".repeat(10_000))]);
    let mut record = None;
    for (seq, fact) in (1..).zip(story) {
        let now = records.apply(&event(seq, 100, fact)).expect("each event is of this call");
        assert!(now.legs.len() <= limits::RECORD_LISTS[0], "{}", now.legs.len());
        record = Some(now);
    }
    let record = record.expect("there were events");
    let bytes = serde_json::to_vec(&record).expect("a record is plain data").len();
    let entries: usize = record.lengths().iter().map(|(_, length)| length).sum();
    assert!(bytes <= limits::RECORD_BYTES || entries <= limits::RECORD_SHORT, "{bytes} bytes, {entries} entries");
    assert!(bytes < crate::limits::store::VIEW_ROW_BYTES * 7 / 8, "{bytes}");
    let json = |text: &str| serde_json::to_string(text).expect("a text").len() - 2;
    assert!(record.legs.iter().all(|leg| json(&leg.address.number) <= limits::RECORD_TEXT_BYTES));
    assert!((limits::RECORD_NOTES_BYTES - 8..=limits::RECORD_NOTES_BYTES).contains(&json(&record.notes)));
    let opening: Vec<u128> = record.legs[1..limits::RECORD_OPENING].iter().map(|leg| leg.leg.as_u128()).collect();
    assert_eq!(opening, (100..).take(limits::RECORD_OPENING - 1).collect::<Vec<_>>(), "how it began");
    assert_eq!((record.ended, record.cause), (Some(Time::from_secs(100)), Some(hangup)));
    assert_eq!(record.agent, Some("li".into()), "who answered at last is known");
    assert!(record.legs.iter().any(|leg| leg.leg == last_leg), "a leg that lived was not left out for dead ones");
    assert_eq!(record.legs[0].leg, CALLER);
    assert_eq!(record.offers.len() + record.left_out.offers as usize, 400);
    assert_eq!(record.legs.len() + record.left_out.legs as usize, 402);
    assert_eq!(record.path.len() + record.left_out.path as usize, 100);
    assert!(record.notes.starts_with("\u{2}note "));
    assert_eq!(records.open().count(), 0);
}

#[test]
fn an_event_told_again_changes_nothing() {
    let mut records = Records::new();
    let hangup = Cause::new(What::Hangup, Party::Caller);
    let story = [
        accepted(),
        Fact::LegAdded { leg: AGENT, role: Role::Agent, to: Address::default(), agent: Some("li".into()) },
        Fact::CallEnded { cause: hangup },
    ];
    let mut once = None;
    for (seq, fact) in (1..).zip(story.clone()) {
        once = records.apply(&event(seq, 100, fact));
    }
    for (seq, fact) in (1..).zip(story) {
        assert_eq!(records.apply(&event(seq, 100, fact)), once);
    }
    assert_eq!(records.open().count(), 0, "a call that has ended is not opened by its beginning");
}

#[test]
fn of_many_ended_calls_the_oldest_gives_way() {
    let mut records = Records::new();
    let ended = Fact::CallEnded { cause: Cause::new(What::Hangup, Party::Caller) };
    let late = |call: usize, seq: u64, fact: Fact| Event {
        call: Some(CallId::from_u128(call as u128)),
        ..event(seq, 100, fact)
    };
    for call in 0..=limits::RECORDS_ENDED {
        records.apply(&late(call, 1, accepted()));
        records.apply(&late(call, 2, ended.clone()));
    }
    let wrapped =
        || Fact::InteractionWrapped { agent: "li".into(), code: "sold".into(), notes: String::new(), auto: false };
    assert_eq!(records.apply(&late(0, 3, wrapped())), None);
    assert!(records.apply(&late(1, 3, wrapped())).is_some());
}
