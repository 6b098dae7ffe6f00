//! `strowger recordings`: what was recorded, and voicemail. The files lie in the folder that the configuration names.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crate::call::CallRecord;
use crate::config::args::{Args, CdrFilter, Recordings as What};
use crate::event::{Event, Fact, Role};
use crate::http::wire::Moment;
use crate::ids::{CallId, LegId, RecordingId, VoicemailId};
use crate::runtime::fold::{RecordingRow, VoicemailRow};
use crate::store::view::key;
use crate::time::Time;

use super::cdr::{self, Wanted};
use super::office::Office;
use super::table::Table;
use super::{say, say_json, times};

pub fn run(args: &Args, what: &What) -> anyhow::Result<ExitCode> {
    let office = Office::open(args)?;
    match what {
        What::List { filter, voicemail } => list(args, &office, filter, *voicemail),
        What::Show { id } => show(args, &office, id),
        What::Export { id, file } => export(args, &office, id, file),
    }
}

/// A recording or a message as lists show it.
#[derive(Serialize)]
struct Kept {
    /// Of the recording or the message.
    id: String,
    /// The box, of a message.
    #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
    mailbox: Option<String>,
    /// When it was complete.
    at: Moment,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    call: CallId,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// Relative to the folder of recordings.
    file: String,
}

impl Kept {
    fn recording(row: RecordingRow, record: Option<&CallRecord>) -> Self {
        Self {
            id: row.recording.to_string(),
            mailbox: None,
            at: Moment(row.at),
            seconds: row.seconds,
            bytes: Some(row.bytes),
            call: row.call,
            from: record.map(|record| record.from.number.clone()).unwrap_or_default(),
            to: record.map(|record| record.to.number.clone()).unwrap_or_default(),
            queue: record.and_then(|record| record.queues.last()).map(|visit| visit.queue.to_string()),
            agent: record.and_then(|record| record.agent.as_ref()).map(ToString::to_string),
            file: row.file,
        }
    }

    fn message(row: VoicemailRow, record: Option<&CallRecord>) -> Self {
        Self {
            id: row.id.to_string(),
            mailbox: Some(row.r#box),
            at: Moment(row.at),
            seconds: row.seconds,
            bytes: None,
            call: row.call,
            from: row.from.number,
            to: record.map(|record| record.to.number.clone()).unwrap_or_default(),
            queue: None,
            agent: None,
            file: row.file,
        }
    }
}

// -- lists -----------------------------------------------------------------------------------------------------------

fn list(args: &Args, office: &Office, filter: &CdrFilter, voicemail: bool) -> anyhow::Result<ExitCode> {
    let most = cdr::limit(filter, cdr::LISTED)?;
    let wanted = Wanted::read(office, filter)?;
    let kept = if voicemail { messages(office, &wanted, most)? } else { recordings(office, &wanted, most)? };
    if args.json {
        say_json(&kept)?;
        return Ok(ExitCode::SUCCESS);
    }
    let zone = &office.plan.time_zone;
    let length = |seconds: f64| times::span((seconds * 1_000.0) as u64);
    if voicemail {
        let mut table = Table::new(["voicemail", "at", "box", "length", "from", "call"]);
        for one in kept {
            let (at, length) = (times::local(zone, one.at.0), length(one.seconds));
            table.row([one.id, at, one.mailbox.unwrap_or_default(), length, one.from, one.call.to_string()]);
        }
        table.print("No message matches.");
    } else {
        let mut table = Table::new(["recording", "at", "length", "from", "to", "queue", "agent", "call"]);
        for one in kept {
            let (at, length) = (times::local(zone, one.at.0), length(one.seconds));
            let optional = |text: Option<String>| text.unwrap_or_default();
            let (queue, agent) = (optional(one.queue), optional(one.agent));
            table.row([one.id, at, length, one.from, one.to, queue, agent, one.call.to_string()]);
        }
        table.print("No recording matches.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Newest first.
fn recordings(office: &Office, wanted: &Wanted, most: usize) -> anyhow::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    let mut before: Option<Vec<u8>> = None;
    loop {
        let page = office.rows().range_back(&key::recordings(), before.as_deref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(kept) };
        before = Some(last.key.clone());
        for row in &page {
            let row: RecordingRow = serde_json::from_slice(&row.value).context("a row of the view cannot be read")?;
            let record = cdr::of_call(office, row.call)?;
            if record.as_ref().is_some_and(|record| wanted.takes(record)) {
                kept.push(Kept::recording(row, record.as_ref()));
            }
            if kept.len() == most {
                return Ok(kept);
            }
        }
    }
}

/// Newest first, all boxes together.
fn messages(office: &Office, wanted: &Wanted, most: usize) -> anyhow::Result<Vec<Kept>> {
    let mut rows: Vec<VoicemailRow> = office.all(&key::all_voicemails())?;
    rows.sort_by_key(|row| core::cmp::Reverse(row.id));
    let mut kept = Vec::new();
    for row in rows {
        let record = cdr::of_call(office, row.call)?;
        if record.as_ref().is_some_and(|record| wanted.takes(record)) {
            kept.push(Kept::message(row, record.as_ref()));
        }
        if kept.len() == most {
            break;
        }
    }
    Ok(kept)
}

/// A recording or a message by its id.
fn find(office: &Office, id: &str) -> anyhow::Result<Kept> {
    let none = || format!("there is no recording and no message `{id}`: `strowger recordings list` names them");
    if let Ok(id) = id.parse::<RecordingId>()
        && let Some(row) = office.one::<RecordingRow>(&key::recording(id))?
    {
        let record = cdr::of_call(office, row.call)?;
        return Ok(Kept::recording(row, record.as_ref()));
    }
    let id = id.parse::<VoicemailId>().ok().with_context(none)?;
    let rows: Vec<VoicemailRow> = office.all(&key::all_voicemails())?;
    let row = rows.into_iter().find(|row| row.id == id).with_context(none)?;
    let record = cdr::of_call(office, row.call)?;
    Ok(Kept::message(row, record.as_ref()))
}

// -- one recording ---------------------------------------------------------------------------------------------------

/// Something that holds for a part of a recording.
#[derive(Debug, PartialEq, Serialize)]
struct Segment {
    /// `agent li`, `on hold`.
    what: String,
    /// Milliseconds from the recording's beginning.
    from_ms: u64,
    /// `None`: to its end.
    to_ms: Option<u64>,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    kept: Kept,
    path: PathBuf,
    channels: Vec<&'static str>,
    segments: Vec<Segment>,
}

fn show(args: &Args, office: &Office, id: &str) -> anyhow::Result<ExitCode> {
    let kept = find(office, id)?;
    let path = path_of(office, &kept);
    let segments = match cdr::of_call(office, kept.call)? {
        Some(record) if kept.mailbox.is_none() => {
            segments(&kept.id, &office.events_of(record.call, record.first_seq, record.last_seq)?)
        }
        _ => Vec::new(),
    };
    let channels = if kept.mailbox.is_some() { vec!["caller"] } else { vec!["caller", "agents"] };
    let shown = Shown { kept, path, channels, segments };
    if args.json {
        say_json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Shown { kept, path, channels, segments } = shown;
    let missing = if path.is_file() { "" } else { "  (the file is gone)" };
    let mut head = vec![
        ("recording", kept.id),
        ("box", kept.mailbox.unwrap_or_default()),
        ("complete", times::local(&office.plan.time_zone, kept.at.0)),
        ("length", format!("{:.1} s", kept.seconds)),
        ("channels", channels.join(", ")),
        ("call", kept.call.to_string()),
        ("from", kept.from),
        ("to", kept.to),
        ("queue", kept.queue.unwrap_or_default()),
        ("file", format!("{}{missing}", path.display())),
    ];
    head.retain(|(_, value)| !value.is_empty());
    say(&head.iter().map(|(name, value)| format!("{name:<10}{value}\n")).collect::<String>());
    let mut table = Table::new(["from", "to", "what"]);
    for segment in segments {
        let to = segment.to_ms.map_or("end".to_owned(), times::span);
        table.row([times::span(segment.from_ms), to, segment.what]);
    }
    if !table.is_empty() {
        say("\n");
        table.print("");
    }
    Ok(ExitCode::SUCCESS)
}

/// Who spoke when, and when somebody was held, as the call's events tell it.
fn segments(recording: &str, events: &[Event]) -> Vec<Segment> {
    let began = events.iter().find_map(|event| match &event.fact {
        Fact::RecordingStarted { recording: id, .. } if id.to_string() == recording => Some(event.at),
        _ => None,
    });
    let Some(began) = began else { return Vec::new() };
    let mut names: Vec<(LegId, String)> = Vec::new();
    let mut open: Vec<(LegId, bool, usize)> = Vec::new();
    let mut segments: Vec<Segment> = Vec::new();
    let since = |at: Time| u64::try_from(at.since(began).as_millis()).unwrap_or(u64::MAX);
    for event in events {
        let (leg, is_hold, begins) = match &event.fact {
            Fact::LegAdded { leg, role, to, agent } => {
                let name = match (agent, role) {
                    (Some(agent), _) => format!("agent {agent}"),
                    (None, Role::Caller) => "caller".to_owned(),
                    (None, _) => to.number.clone(),
                };
                names.push((*leg, name));
                continue;
            }
            Fact::LegAnswered { leg, .. } if names.iter().any(|(named, _)| named == leg) => (*leg, false, true),
            Fact::LegHeld { leg, .. } => (*leg, true, true),
            Fact::LegResumed { leg, .. } => (*leg, true, false),
            Fact::LegEnded { leg, .. } => (*leg, false, false),
            _ => continue,
        };
        if begins {
            let name = names.iter().find(|(named, _)| *named == leg).map_or("caller", |(_, name)| name);
            let what = if is_hold { format!("{name} on hold") } else { name.to_owned() };
            open.push((leg, is_hold, segments.len()));
            segments.push(Segment { what, from_ms: since(event.at), to_ms: None });
            continue;
        }
        // A leg that ends ends its hold, too.
        open.retain(|(of, hold, place)| {
            let over = *of == leg && (*hold || !is_hold);
            if over && let Some(segment) = segments.get_mut(*place) {
                segment.to_ms = Some(since(event.at));
            }
            !over
        });
    }
    segments
}

fn path_of(office: &Office, kept: &Kept) -> PathBuf {
    office.folder(&office.plan.recording.path).join(&kept.file)
}

// -- export ----------------------------------------------------------------------------------------------------------

#[derive(Serialize)]
struct Exported<'a> {
    id: &'a str,
    file: &'a Path,
    bytes: u64,
}

/// Copies the sound; a file that is there already is never written over.
fn export(args: &Args, office: &Office, id: &str, file: &Path) -> anyhow::Result<ExitCode> {
    let kept = find(office, id)?;
    let path = path_of(office, &kept);
    let mut from = File::open(&path).with_context(|| format!("the recording's file {}", path.display()))?;
    let to = OpenOptions::new().write(true).create_new(true).open(file);
    let mut to = to.with_context(|| format!("{} cannot be made", file.display()))?;
    let copied = io::copy(&mut from, &mut to).and_then(|bytes| to.sync_all().map(|()| bytes));
    let bytes = copied.inspect_err(|_| {
        // Half a recording must not look like a whole one.
        let _ = std::fs::remove_file(file);
    });
    let bytes = bytes.with_context(|| format!("{} cannot be written", file.display()))?;
    if args.json {
        say_json(&Exported { id: &kept.id, file, bytes })?;
    } else {
        say(&format!("{}: {:.1} s, {bytes} bytes.\n", file.display(), kept.seconds));
    }
    Ok(ExitCode::SUCCESS)
}

/// Rows read at a time.
const PAGE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Cause, Party, What as Ended};
    use crate::event::{Address, EVENT_VERSION, Seq};

    #[test]
    fn segments_tell_who_spoke_when_and_who_was_held() {
        let (caller, li, wu) = (LegId::from_u128(1), LegId::from_u128(2), LegId::from_u128(3));
        let recording = RecordingId::from_u128(9);
        let added = |leg, name: &str| Fact::LegAdded {
            leg,
            role: Role::Agent,
            to: Address::default(),
            agent: Some(name.into()),
        };
        let answered = |leg| Fact::LegAnswered { leg, codec: "PCMA".into() };
        let over = |leg| Fact::LegEnded { leg, cause: Cause::new(Ended::Hangup, Party::Agent), stats: None };
        let story = [
            (0, answered(caller)),
            (5, added(li, "li")),
            (10, answered(li)),
            (10, Fact::RecordingStarted { recording, file: "a.wav".into() }),
            (20, Fact::LegHeld { leg: caller, by: li }),
            (30, Fact::LegResumed { leg: caller, by: li }),
            (40, added(wu, "wu")),
            (50, answered(wu)),
            (50, over(li)),
            (60, Fact::LegHeld { leg: caller, by: wu }),
            (70, over(caller)),
        ];
        let events: Vec<Event> = (1..)
            .zip(story)
            .map(|(seq, (s, fact))| Event { v: EVENT_VERSION, seq: Seq(seq), at: Time::from_secs(s), call: None, fact })
            .collect();
        let segment = |what: &str, from_s: u64, to_s: Option<u64>| Segment {
            what: what.to_owned(),
            from_ms: from_s * 1_000,
            to_ms: to_s.map(|s| s * 1_000),
        };
        let wanted = [
            segment("agent li", 0, Some(40)),
            segment("caller on hold", 10, Some(20)),
            segment("agent wu", 40, None),
            segment("caller on hold", 50, Some(60)),
        ];
        assert_eq!(segments(&recording.to_string(), &events), wanted);
        assert_eq!(segments("another", &events), []);
    }
}
