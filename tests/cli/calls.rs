//! Call records and recordings, as the store has them.

use std::path::Path;

use serde_json::{Value, json};
use strowger::cause::{Cause, Party, What};
use strowger::event::{Address, Direction, EVENT_VERSION, Event, Fact, OfferOutcome, QueueExit, Role, Seq};
use strowger::ids::{CallId, Epoch, IdSource, LegId, RecordingId, VoicemailId};
use strowger::store::ledger::SegmentLedger;
use strowger::store::{Batch, Ledger};
use strowger::time::Time;

use super::centre::{Centre, read};

/// 2026-11-22 10:00:00 in Shanghai.
const MORNING: Time = Time::from_secs(1_795_312_800);
/// The recording of [`story`], and its file.
pub const RECORDED: (u128, &str) = (0x0199_0000_0000_0000_0000_0000_0000_0007, "2026/11/22/a.wav");

fn number(number: &str) -> Address {
    Address { number: number.into(), ..Address::default() }
}

/// A call that an agent took and that was recorded.
pub fn story() -> Vec<Fact> {
    let (caller, agent) = (LegId::from_u128(1), LegId::from_u128(2));
    let recording = RecordingId::from_u128(RECORDED.0);
    vec![
        Fact::CallAccepted {
            leg: caller,
            direction: Direction::Inbound,
            from: number("+8613800138000"),
            to: number("95539"),
            dialplan: Some("airline".into()),
            sip_call_id: "abc@carrier".into(),
        },
        Fact::LegAnswered { leg: caller, codec: "PCMA".into() },
        Fact::QueueEntered { queue: "service".into(), priority: 5, tier: "gold".into(), position: 1 },
        Fact::RoutingDecided {
            queue: "service".into(),
            agents: vec!["li".into()],
            explanation: json!({
                "trigger": { "agent_free": "li" }, "strategy": "longest_idle", "waited_ms": 65_000, "eligible": 1,
                "scores": [{ "agent": "li", "fit": 400, "rank": 1, "why": "mean level 4.00, then idle for 35 s" }],
                "others": [{ "verdict": "on_call", "count": 10, "agents": ["wu", "zhao"] }],
            }),
        },
        Fact::LegAdded { leg: agent, role: Role::Agent, to: Address::default(), agent: Some("li".into()) },
        Fact::QueueLeft { queue: "service".into(), exit: QueueExit::Answered, waited_ms: 65_000 },
        Fact::LegAnswered { leg: agent, codec: "PCMA".into() },
        Fact::OfferEnded { agent: "li".into(), leg: agent, outcome: OfferOutcome::Answered },
        Fact::RecordingStarted { recording, file: RECORDED.1.into() },
        Fact::RecordingMasked { recording, masked: true, why: "secure entry".into() },
        Fact::RecordingMasked { recording, masked: false, why: "secure entry over".into() },
        Fact::RecordingSealed { recording, file: RECORDED.1.into(), seconds: 1.5, bytes: 3_244 },
        Fact::LegEnded { leg: agent, cause: Cause::new(What::Hangup, Party::Caller), stats: None },
        Fact::CallEnded { cause: Cause::new(What::Hangup, Party::Caller) },
    ]
}

/// A caller who gave up in the queue, and one who left a message.
fn others() -> Vec<Vec<Fact>> {
    let accepted = |from: &str| Fact::CallAccepted {
        leg: LegId::from_u128(3),
        direction: Direction::Inbound,
        from: number(from),
        to: number("95588"),
        dialplan: None,
        sip_call_id: "x".into(),
    };
    vec![
        vec![
            accepted("+8613900139000"),
            Fact::QueueEntered { queue: "sales".into(), priority: 0, tier: String::new(), position: 1 },
            Fact::QueueLeft { queue: "sales".into(), exit: QueueExit::Abandoned, waited_ms: 9_000 },
            Fact::CallEnded { cause: Cause::new(What::Abandoned, Party::Caller).and_q850(Some(31)) },
        ],
        vec![
            accepted("+862038120001"),
            Fact::VoicemailLeft {
                voicemail: VoicemailId::from_u128(9),
                r#box: "service".into(),
                from: number("+862038120001"),
                file: "voicemail/2026/11/22/b.wav".into(),
                seconds: 12.5,
            },
            Fact::CallEnded { cause: Cause::new(What::Completed, Party::Plan) },
        ],
    ]
}

/// Writes the events of one call into the ledger, a second apart.
pub fn tell(centre: &Centre, facts: Vec<Fact>) {
    let ledger = centre.path("data/ledger");
    std::fs::create_dir_all(&ledger).unwrap();
    let mut ledger = SegmentLedger::open(ledger, Epoch::from_u128(7)).unwrap();
    let first = ledger.next_seq();
    let begun = MORNING + core::time::Duration::from_secs(60 * first.0);
    let call: CallId = IdSource::from_seed(first.0).next(begun);
    let events = facts.into_iter().zip(0..).map(|(fact, at)| Event {
        v: EVENT_VERSION,
        seq: Seq(first.0 + at),
        at: begun + core::time::Duration::from_secs(at),
        call: Some(call),
        fact,
    });
    let payloads: Vec<Vec<u8>> = events.map(|event| serde_json::to_vec(&event).unwrap()).collect();
    let records: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    ledger.append(&Batch { first, records: &records }).unwrap();
}

/// A recording of so many samples, each channel with its own value.
pub fn write_recording(path: &Path, samples: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut sound = strowger::audio::wav::RecordingWriter::new(std::fs::File::create(path).unwrap(), 2).unwrap();
    sound.write(&[7, -7].repeat(samples)).unwrap();
    sound.finish().unwrap();
}

fn centre() -> Centre {
    let centre = Centre::with("domain = \"pbx.test\"\ncountry = \"86\"\ntime_zone = \"Asia/Shanghai\"\n");
    tell(&centre, story());
    others().into_iter().for_each(|facts| tell(&centre, facts));
    write_recording(&centre.path("data/recordings").join(RECORDED.1), 800);
    centre
}

fn froms(calls: &Value) -> Vec<&str> {
    calls.as_array().unwrap().iter().map(|call| call["from"]["number"].as_str().unwrap()).collect()
}

// -- calls -----------------------------------------------------------------------------------------------------------

#[test]
fn calls_are_listed_newest_first_and_filtered_by_every_word() {
    let centre = centre();
    let (first, second, third) = ("+8613800138000", "+8613900139000", "+862038120001");
    assert_eq!(froms(&centre.run("cdr list --json").json()), [third, second, first]);
    for (filter, found) in [
        ("--queue service", vec![first]),
        ("--agent li", vec![first]),
        ("--number 13900139000", vec![second]),
        ("--number 95588", vec![third, second]),
        ("--limit 1", vec![third]),
        ("--since 2026-11-22T10:10", vec![third, second]),
        ("--until 2026-11-22T10:10", vec![first]),
        ("--until 2026-11-22", vec![]),
        ("--since 2026-11-23", vec![]),
        ("--queue nowhere", vec![]),
    ] {
        assert_eq!(froms(&centre.run(&format!("cdr list --json {filter}")).json()), found, "{filter}");
    }
    let table = centre.run("cdr list").ok();
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("CALL") && rows.len() == 4, "{table}");
    assert!(
        rows[3].contains("2026-11-22 10:01:00") && rows[3].contains("1:05") && rows[3].contains("answered"),
        "{table}"
    );
    assert!(rows[2].contains("abandoned by caller (Q.850 31, normal, unspecified)"), "{table}");
    assert_eq!(centre.run("cdr list --queue nowhere").ok(), "No call matches.\n");
    assert!(centre.run("cdr list --since soon").fails(2).contains("`soon` is no day and no instant"));
    assert!(centre.run("cdr list --limit 0").fails(2).contains("0 is not in"));
}

#[test]
fn one_call_is_shown_with_its_legs_and_why_it_went_to_whom() {
    let centre = centre();
    let listed = centre.run("cdr list --queue service --json").json();
    let call = listed[0]["call"].as_str().unwrap();
    let shown = centre.run(&format!("cdr show {call}")).ok();
    for line in
        ["from      +8613800138000", "dialplan  airline", "agent     li", "cause     hangup by caller", RECORDED.1]
    {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    assert_eq!(centre.run(&format!("cdr show {call} --json")).json(), listed[0]);
    let explained = centre.run(&format!("cdr show {call} --explain")).ok();
    for line in [
        "service → li\n",
        "li became free and looked at all calls, after 1:05; by longest idle",
        "eligible: li, mean level 4.00, then idle for 35 s",
        "on call: wu, zhao and 8 more",
    ] {
        assert!(explained.contains(line), "{line}:\n{explained}");
    }
    let decisions = centre.run(&format!("cdr show {call} --explain --json")).json();
    assert_eq!((&decisions[0]["agents"][0], &decisions[0]["at"]), (&json!("li"), &json!("2026-11-22T02:01:03.000Z")));
    assert!(centre.run("cdr show 01AAAAAAAAAAAAAAAAAAAAAAAA").fails(1).contains("there is no call"));
    assert!(centre.run("cdr show abc").fails(1).contains("at least its first 6 characters"));
    assert!(centre.run(&format!("cdr show {call} --ladder")).fails(1).contains("no server runs"));
    let beginning = &call[..5];
    assert!(centre.run(&format!("cdr show {beginning}A")).code == 1);
}

#[test]
fn what_a_record_has_no_room_for_is_counted() {
    let centre = centre();
    let mut long = story();
    let offers = (0..40).flat_map(|n| {
        let leg = LegId::from_u128(100 + n);
        [
            Fact::LegAdded { leg, role: Role::Agent, to: Address::default(), agent: Some("wu".into()) },
            Fact::LegEnded { leg, cause: Cause::new(What::Busy, Party::Agent), stats: None },
        ]
    });
    long.splice(3..3, offers);
    tell(&centre, long);
    let newest = &centre.run("cdr list --json --limit 1").json()[0];
    let (kept, gone) = (newest["legs"].as_array().unwrap().len(), newest["left_out"]["legs"].as_u64().unwrap());
    assert_eq!((kept as u64 + gone, gone > 0), (42, true), "{newest:#}");
    let shown = centre.run(&format!("cdr show {}", newest["call"].as_str().unwrap())).ok();
    assert_eq!(shown.matches(&format!("\n+ {gone} more, between the first and the latest\n")).count(), 1, "{shown}");
}

#[test]
fn calls_are_written_as_a_table_and_as_data() {
    let centre = centre();
    centre.run("cdr export calls.csv").ok();
    let table = read(&centre.path("calls.csv"));
    let rows: Vec<&str> = table.split("\r\n").collect();
    assert!(rows[0].starts_with("call,direction,from,to,result,accepted,"), "{table}");
    assert_eq!(rows.iter().filter(|row| !row.is_empty()).count(), 4, "{table}");
    assert!(table.contains(",+8613800138000,95539,answered,2026-11-22T02:01:00.000Z,"), "{table}");
    centre.run("cdr export calls.json --queue sales").ok();
    let told: Value = serde_json::from_str(&read(&centre.path("calls.json"))).unwrap();
    assert_eq!(froms(&told), ["+8613900139000"]);
    assert_eq!(centre.run("cdr export --format json --queue sales").json(), told);
    assert!(centre.run("cdr export no/such/folder.csv").fails(1).contains("no/such/folder.csv"));
}

// -- recordings ------------------------------------------------------------------------------------------------------

#[test]
fn recordings_and_messages_are_listed_shown_and_exported() {
    let centre = centre();
    let listed = centre.run("recordings list --json").json();
    let id = RecordingId::from_u128(RECORDED.0).to_string();
    assert_eq!((&listed[0]["id"], &listed[0]["agent"], &listed[0]["seconds"]), (&json!(id), &json!("li"), &json!(1.5)));
    assert_eq!(centre.run("recordings list --queue sales").ok(), "No recording matches.\n");
    assert!(centre.run("recordings list").ok().contains("+8613800138000"));
    let messages = centre.run("recordings list --voicemail --json").json();
    assert_eq!((&messages[0]["box"], &messages[0]["seconds"]), (&json!("service"), &json!(12.5)));
    assert!(centre.run("recordings list --voicemail").ok().contains("0:12"));

    let shown = centre.run(&format!("recordings show {id}")).ok();
    assert!(shown.contains("channels  caller, agents") && shown.contains("agent li"), "{shown}");
    assert!(shown.contains("0:01  masked"), "{shown}");
    let shown = centre.run(&format!("recordings show {id} --json")).json();
    let expected = json!([
        { "kind": "agent", "who": "agent li", "from_ms": 0, "to_ms": 1_500 },
        { "kind": "masked", "from_ms": 1_000, "to_ms": 1_500 },
    ]);
    assert_eq!(shown["segments"], expected, "and nothing after its end");
    let message = centre.run(&format!("recordings show {}", messages[0]["id"].as_str().unwrap())).ok();
    assert!(message.contains("box       service") && message.contains("(the file is gone)"), "{message}");

    let told = centre.run(&format!("recordings export {id} out.wav")).ok();
    assert_eq!(told, "out.wav: 1.5 s, 3244 bytes.\n");
    let whole = std::fs::read(centre.path("data/recordings").join(RECORDED.1)).unwrap();
    assert_eq!(std::fs::read(centre.path("out.wav")).unwrap(), whole);
    let again = centre.run(&format!("recordings export {id} out.wav")).fails(1);
    assert!(again.contains("out.wav cannot be made"), "nothing is written over: {again}");
    let gone = centre.run(&format!("recordings export {} b.wav", messages[0]["id"].as_str().unwrap())).fails(1);
    assert!(gone.contains("voicemail/2026/11/22/b.wav"), "{gone}");
    assert!(centre.run("recordings show 17").fails(1).contains("there is no recording and no message `17`"));
}
