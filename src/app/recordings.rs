//! `strowger recordings`: what was recorded, and voicemail. The files lie in the folder that the configuration names.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crate::call::segment::{Segment, SegmentKind};
use crate::call::{CallRecord, LegRecord};
use crate::config::args::{Args, CdrFilter, Recordings as What};
use crate::event::Role;
use crate::http::wire::Moment;
use crate::ids::{CallId, LegId, RecordingId, VoicemailId};
use crate::runtime::fold::{RecordingRow, VoicemailRow};
use crate::store::view::key;

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
struct ShownSegment {
    kind: SegmentKind,
    /// `agent li`, `caller`; nobody where all is masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    /// Milliseconds from the recording's beginning.
    from_ms: u64,
    /// `None` while it goes on.
    to_ms: Option<u64>,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    kept: Kept,
    path: PathBuf,
    channels: Vec<&'static str>,
    segments: Vec<ShownSegment>,
}

fn show(args: &Args, office: &Office, id: &str) -> anyhow::Result<ExitCode> {
    let kept = find(office, id)?;
    let path = path_of(office, &kept);
    let segments = cdr::of_call(office, kept.call)?.map(|record| segments(&record, &kept.id)).unwrap_or_default();
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
        table.row([times::span(segment.from_ms), to, segment.in_words()]);
    }
    if !table.is_empty() {
        say("\n");
        table.print("");
    }
    Ok(ExitCode::SUCCESS)
}

/// Who spoke when, when somebody was held, and what is masked.
fn segments(record: &CallRecord, recording: &str) -> Vec<ShownSegment> {
    let kept = record.recordings.iter().find(|kept| kept.recording.to_string() == recording);
    let who = |leg: LegId| match record.legs.iter().find(|one| one.leg == leg) {
        Some(LegRecord { agent: Some(agent), .. }) => format!("agent {agent}"),
        Some(LegRecord { role: Role::Caller, .. }) => "caller".to_owned(),
        Some(one) => cdr::party(&one.address),
        None => "somebody the record has no room for".to_owned(),
    };
    let shown = |segment: &Segment| ShownSegment {
        kind: segment.kind,
        who: segment.leg.map(who),
        from_ms: segment.from_ms,
        to_ms: segment.to_ms,
    };
    kept.map(|kept| kept.segments.iter().map(shown).collect()).unwrap_or_default()
}

impl ShownSegment {
    fn in_words(&self) -> String {
        let who = self.who.clone().unwrap_or_default();
        match self.kind {
            SegmentKind::Agent | SegmentKind::Callee => who,
            SegmentKind::Hold => format!("{who} on hold"),
            SegmentKind::Masked => "masked".to_owned(),
        }
    }
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
