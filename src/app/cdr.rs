//! `strowger cdr`: calls as they remain; the ladder of one, and why it went to whom.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value as Json;

use crate::call::CallRecord;
use crate::call::record::LegRecord;
use crate::cause::{Cause, q850_in_words};
use crate::config::args::{Args, Cdr as What, CdrFilter, FileFormat};
use crate::event::{Address, Event, Fact};
use crate::http::api::cdr::{Cdr, cdr, result_of, to_csv};
use crate::ids::CallId;
use crate::limits::http::EXPORT_ROWS;
use crate::number::Number;
use crate::runtime::fold::read_call;
use crate::store::Row;
use crate::store::view::key;
use crate::time::Time;

use super::office::Office;
use super::table::Table;
use super::{Misused, say, say_json, tables, times};

pub fn run(args: &Args, what: &What) -> anyhow::Result<ExitCode> {
    let office = Office::open(args)?;
    match what {
        What::List(filter) => list(args, &office, filter),
        What::Show { id, ladder: true, .. } => ladder(args, &office, id),
        What::Show { id, explain: true, .. } => explain(args, &office, id),
        What::Show { id, .. } => show(args, &office, id),
        What::Export { file, format, filter } => export(&office, file.as_ref(), *format, filter),
    }
}

// -- which calls -----------------------------------------------------------------------------------------------------

/// A filter with its words read.
pub struct Wanted {
    since: Time,
    until: Time,
    number: Option<String>,
    queue: Option<String>,
    agent: Option<String>,
}

impl Wanted {
    pub fn read(office: &Office, filter: &CdrFilter) -> anyhow::Result<Self> {
        let plan = &office.plan;
        let instant = |text: &Option<String>, missing| match text {
            Some(text) => times::parse(&plan.time_zone, text).map_err(Misused::of),
            None => Ok(missing),
        };
        // Part of a number is found as it stands; a whole one however it is written.
        let number = filter.number.as_deref().map(|text| match Number::normalise(text, &plan.home) {
            Ok(number) => number.as_str().to_owned(),
            Err(_) => text.trim().to_owned(),
        });
        Ok(Self {
            since: instant(&filter.since, Time::EPOCH)?,
            until: instant(&filter.until, Time::FAR_FUTURE)?,
            number,
            queue: filter.queue.clone(),
            agent: filter.agent.clone(),
        })
    }

    pub fn takes(&self, record: &CallRecord) -> bool {
        let has = |number: &String| {
            let legs = record.legs.iter().map(|leg| &leg.address);
            legs.chain([&record.from, &record.to]).any(|address| address.number.contains(number.as_str()))
        };
        (self.since..self.until).contains(&record.accepted)
            && self.number.as_ref().is_none_or(has)
            && self.queue.as_ref().is_none_or(|queue| record.queues.iter().any(|visit| visit.queue.as_str() == queue))
            && self.agent.as_ref().is_none_or(|agent| involves(record, agent))
    }
}

fn involves(record: &CallRecord, agent: &str) -> bool {
    let legs = record.legs.iter().filter_map(|leg| leg.agent.as_ref());
    legs.chain(&record.agent).any(|one| one.as_str() == agent)
}

/// Calls newest first, until `take` has enough of them.
fn walk(office: &Office, wanted: &Wanted, mut take: impl FnMut(CallRecord) -> bool) -> anyhow::Result<()> {
    let first_day = key::calls_of_day(wanted.since);
    // `~` is above every id of the last wanted day.
    let mut before = (wanted.until < Time::FAR_FUTURE).then(|| [&key::calls_of_day(wanted.until)[..], b"~"].concat());
    loop {
        let page = office.rows().range_back(&key::calls(), before.as_deref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        before = Some(last.key.clone());
        for row in &page {
            if row.key < first_day {
                return Ok(());
            }
            let record = read_call(row).with_context(|| unreadable(row))?;
            if wanted.takes(&record) && !take(record) {
                return Ok(());
            }
        }
    }
}

fn unreadable(row: &Row) -> String {
    format!("the row {} of the view cannot be read", String::from_utf8_lossy(&row.key))
}

/// The newest calls that match, `most` of them where the filter does not say how many.
fn found(office: &Office, filter: &CdrFilter, most: usize) -> anyhow::Result<Vec<CallRecord>> {
    let wanted = Wanted::read(office, filter)?;
    let most = limit(filter, most)?;
    let mut records = Vec::new();
    walk(office, &wanted, |record| {
        records.push(record);
        records.len() < most
    })?;
    Ok(records)
}

/// How many are wanted, at least one.
pub fn limit(filter: &CdrFilter, most: usize) -> anyhow::Result<usize> {
    Ok(filter.limit.map_or(Ok(most), usize::try_from)?)
}

/// The call of an id, or of the beginning of one that is its alone.
pub fn find(office: &Office, text: &str) -> anyhow::Result<CallRecord> {
    let none = || format!("there is no call `{text}`: `strowger cdr list` names them");
    if let Ok(call) = text.parse::<CallId>() {
        return of_call(office, call)?.with_context(none);
    }
    anyhow::ensure!(text.len() >= PREFIX, "`{text}` is no call's id: name at least its first {PREFIX} characters");
    let beginning = text.to_ascii_uppercase();
    let mut records: Vec<CallRecord> = Vec::new();
    walk(office, &Wanted::read(office, &CdrFilter::default())?, |record| {
        if record.call.to_string().starts_with(&beginning) {
            records.push(record);
        }
        records.len() < 2
    })?;
    match records.len() {
        0 => anyhow::bail!(none()),
        1 => Ok(records.remove(0)),
        _ => anyhow::bail!("several calls begin with `{text}`, {} and {} among them", records[0].call, records[1].call),
    }
}

/// The row stands under its day; an id knows its millisecond, which is that of the call's first message.
pub fn of_call(office: &Office, call: CallId) -> anyhow::Result<Option<CallRecord>> {
    let made = Time::from_millis(u64::try_from(call.as_u128() >> 80).unwrap_or_default());
    for day in [made, made + core::time::Duration::from_secs(86_400)] {
        if let Some(record) = office.one(&key::call(day, call))? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

// -- lists -----------------------------------------------------------------------------------------------------------

fn list(args: &Args, office: &Office, filter: &CdrFilter) -> anyhow::Result<ExitCode> {
    let records = found(office, filter, LISTED)?;
    if args.json {
        say_json(&records.iter().map(|record| cdr(record, false)).collect::<Vec<Cdr>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["call", "accepted", "way", "from", "to", "queue", "agent", "waited", "talked", "result", "cause"];
    let mut table = Table::new(header);
    for record in &records {
        let waited: u64 = record.queues.iter().map(|visit| visit.waited_ms).sum();
        table.row([
            record.call.to_string(),
            times::local(&office.plan.time_zone, record.accepted),
            times::word(&record.direction),
            party(&record.from),
            party(&record.to),
            record.queues.last().map(|visit| visit.queue.to_string()).unwrap_or_default(),
            record.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
            if record.queues.is_empty() { String::new() } else { times::span(waited) },
            talked(record).map(times::span).unwrap_or_default(),
            times::word(&result_of(record)),
            record.cause.map(cause).unwrap_or_default(),
        ]);
    }
    table.print("No call matches.");
    Ok(ExitCode::SUCCESS)
}

/// A number, or the account where there is none.
pub fn party(address: &Address) -> String {
    match (&address.account, address.number.is_empty()) {
        (Some(account), true) => account.to_string(),
        (None, true) => "withheld".to_owned(),
        _ => address.number.clone(),
    }
}

/// `hangup by caller`, `busy by trunk (486; Q.850 17, user busy)`.
fn cause(cause: Cause) -> String {
    let q850 = cause.q850.map(|number| match q850_in_words(number) {
        Some(words) => format!("Q.850 {number}, {words}"),
        None => format!("Q.850 {number}"),
    });
    let told: Vec<String> = cause.status.map(|status| status.to_string()).into_iter().chain(q850).collect();
    let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join("; ")) };
    format!("{} by {}{told}", times::word(&cause.what), times::word(&cause.by))
}

/// From the first answer of somebody who is not the caller to the end of the last such leg, milliseconds.
fn talked(record: &CallRecord) -> Option<u64> {
    let spoke = |leg: &&LegRecord| leg.role != crate::event::Role::Caller && leg.answered.is_some();
    let first = record.legs.iter().filter(spoke).filter_map(|leg| leg.answered).min()?;
    let last = record.legs.iter().filter(spoke).filter_map(|leg| leg.ended).max()?;
    u64::try_from(last.since(first).as_millis()).ok()
}

fn export(office: &Office, file: Option<&PathBuf>, format: FileFormat, filter: &CdrFilter) -> anyhow::Result<ExitCode> {
    let records = found(office, filter, EXPORT_ROWS + 1)?;
    anyhow::ensure!(
        records.len() <= EXPORT_ROWS,
        "more than {EXPORT_ROWS} calls match: write them in parts, by --since and --until; nothing was written"
    );
    let rows: Vec<Cdr> = records.iter().map(|record| cdr(record, false)).collect();
    tables::write(file, format, |format| match format {
        FileFormat::Csv => Ok(to_csv(&rows)),
        FileFormat::Json => Ok(format!("{}\n", serde_json::to_string_pretty(&rows)?)),
    })
}

// -- one call --------------------------------------------------------------------------------------------------------

fn show(args: &Args, office: &Office, id: &str) -> anyhow::Result<ExitCode> {
    let record = find(office, id)?;
    if args.json {
        say_json(&cdr(&record, false))?;
        return Ok(ExitCode::SUCCESS);
    }
    let zone = &office.plan.time_zone;
    let when = |at: Option<Time>| at.map(|at| times::clock(zone, at)).unwrap_or_default();
    let mut head = vec![
        ("call", record.call.to_string()),
        ("accepted", times::local(zone, record.accepted)),
        ("way", times::word(&record.direction)),
        ("from", party(&record.from)),
        ("to", party(&record.to)),
        ("customer", [record.customer_name.as_str(), record.tier.as_str()].join(" ").trim().to_owned()),
        ("dialplan", record.dialplan.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("agent", record.agent.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("result", times::word(&result_of(&record))),
        ("ended", record.ended.map(|at| times::local(zone, at)).unwrap_or_else(|| "not yet".to_owned())),
        ("cause", record.cause.map(cause).unwrap_or_default()),
        ("code", record.disposition.clone()),
        ("notes", record.notes.replace(char::is_control, " ")),
        ("Call-ID", record.sip_call_id.clone()),
    ];
    head.retain(|(_, value)| !value.is_empty());
    say(&head.iter().map(|(name, value)| format!("{name:<10}{value}\n")).collect::<String>());

    let gone = record.left_out;
    let mut legs =
        Table::new(["leg", "who", "began", "rang", "answered", "ended", "codec", "loss", "jitter", "mos", "cause"]);
    for leg in &record.legs {
        let stats = leg.stats;
        let loss = stats.map(|stats| {
            let sent = stats.packets_received + stats.packets_lost;
            format!("{:.1} %", if sent == 0 { 0.0 } else { stats.packets_lost as f64 * 100.0 / sent as f64 })
        });
        legs.row([
            times::word(&leg.role),
            leg.agent.as_ref().map(ToString::to_string).unwrap_or_else(|| party(&leg.address)),
            times::clock(zone, leg.started),
            when(leg.ringing),
            when(leg.answered),
            when(leg.ended),
            leg.codec.clone(),
            loss.unwrap_or_default(),
            stats.map(|stats| format!("{:.1} ms", stats.jitter_ms)).unwrap_or_default(),
            stats.and_then(|stats| stats.mos).map(|mos| format!("{mos:.2}")).unwrap_or_default(),
            leg.cause.map(cause).unwrap_or_default(),
        ]);
    }
    section(legs, gone.legs);
    let mut queues = Table::new(["queue", "entered", "left", "waited", "exit"]);
    for visit in &record.queues {
        let exit = visit.exit.map(|exit| times::word(&exit)).unwrap_or_default();
        let waited = times::span(visit.waited_ms);
        queues.row([visit.queue.to_string(), times::clock(zone, visit.entered), when(visit.left), waited, exit]);
    }
    section(queues, gone.queues);
    let mut offers = Table::new(["offered to", "at", "until", "outcome"]);
    for offer in &record.offers {
        let outcome = offer.outcome.map(|outcome| times::word(&outcome)).unwrap_or_default();
        offers.row([offer.agent.to_string(), times::clock(zone, offer.at), when(offer.ended), outcome]);
    }
    section(offers, gone.offers);
    let mut path = Table::new(["state", "left at", "by"]);
    for step in &record.path {
        let state = format!("{} {}", step.dialplan, step.state);
        path.row([state, times::clock(zone, step.at), step.outcome.clone()]);
    }
    section(path, gone.path);
    let mut answers = Table::new(["told", "value"]);
    for answer in &record.answers {
        answers.row([answer.name.clone(), answer.value.clone()]);
    }
    section(answers, gone.answers);
    let mut transfers = Table::new(["transferred to", "at"]);
    for transfer in &record.transfers {
        transfers.row([transfer.to.clone(), times::clock(zone, transfer.at)]);
    }
    section(transfers, gone.transfers);
    let mut recordings = Table::new(["recording", "length", "file"]);
    for kept in &record.recordings {
        let length = match (&kept.failed, kept.seconds) {
            (Some(reason), _) => format!("failed: {reason}"),
            (None, Some(seconds)) if kept.cut => format!("{seconds:.1} s, cut at the longest"),
            (None, Some(seconds)) => format!("{seconds:.1} s"),
            (None, None) => "not sealed".to_owned(),
        };
        recordings.row([kept.recording.to_string(), length, kept.file.clone()]);
    }
    section(recordings, gone.recordings);
    Ok(ExitCode::SUCCESS)
}

/// A table below the head, where it has a row; `left_out` more had no room in the record.
fn section(table: Table, left_out: u32) {
    if table.is_empty() {
        return;
    }
    say("\n");
    table.print("");
    if left_out > 0 {
        say(&format!("+ {left_out} more, between the first and the latest\n"));
    }
}

/// Only the server that carried the call has its messages, and only as long as it runs.
fn ladder(args: &Args, office: &Office, id: &str) -> anyhow::Result<ExitCode> {
    let call = find(office, id)?.call;
    let server = office.server().context("no server runs; the messages of calls are kept by the running one only")?;
    let drawn = server.ladder(call)?;
    let drawn = drawn.with_context(|| format!("no message of call {call} is kept any more"))?;
    if args.json {
        say_json(&drawn.messages)?;
    } else {
        say(&drawn.text);
    }
    Ok(ExitCode::SUCCESS)
}

/// One decision as it is printed.
#[derive(Serialize)]
struct Decision {
    at: String,
    queue: String,
    /// Who was offered the call.
    agents: Vec<String>,
    explanation: Json,
}

fn explain(args: &Args, office: &Office, id: &str) -> anyhow::Result<ExitCode> {
    let record = find(office, id)?;
    let events = office.events_of(record.call, record.first_seq, record.last_seq)?;
    let decisions: Vec<(Time, Decision)> = events.into_iter().filter_map(decision).collect();
    if args.json {
        say_json(&decisions.into_iter().map(|(_, decision)| decision).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    if decisions.is_empty() {
        say("Nobody was looked for: the call was in no queue, or no agent was free.\n");
    }
    for (at, decision) in decisions {
        let at = times::clock(&office.plan.time_zone, at);
        say(&format!("{at}  {} → {}\n", decision.queue, decision.agents.join(", ")));
        say(&in_words(&decision.explanation));
    }
    Ok(ExitCode::SUCCESS)
}

fn decision(event: Event) -> Option<(Time, Decision)> {
    let Fact::RoutingDecided { queue, agents, explanation } = event.fact else { return None };
    let agents = agents.iter().map(ToString::to_string).collect();
    Some((event.at, Decision { at: event.at.rfc3339(), queue: queue.to_string(), agents, explanation }))
}

/// What `acd::explain` keeps of a decision, line by line.
fn in_words(explanation: &Json) -> String {
    let text = |value: &Json| value.as_str().unwrap_or_default().replace('_', " ");
    let trigger = match &explanation["trigger"] {
        Json::String(word) if word == "call" => "the call looked at all agents".to_owned(),
        Json::String(word) if word == "widen" => "one more agent rings".to_owned(),
        Json::Object(free) => {
            format!("{} became free and looked at all calls", text(free.values().next().unwrap_or(&Json::Null)))
        }
        _ => "all calls looked at all agents".to_owned(),
    };
    let waited = explanation["waited_ms"].as_u64().unwrap_or_default();
    let mut lines = format!("  {trigger}, after {}; by {}\n", times::span(waited), text(&explanation["strategy"]));
    for score in explanation["scores"].as_array().into_iter().flatten() {
        lines.push_str(&format!(
            "  eligible: {}, {}\n",
            text(&score["agent"]),
            score["why"].as_str().unwrap_or_default()
        ));
    }
    for other in explanation["others"].as_array().into_iter().flatten() {
        let names: Vec<&str> = other["agents"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let count = other["count"].as_u64().unwrap_or_default();
        let more = count.saturating_sub(names.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push_str(&format!("  {}: {}{more}\n", text(&other["verdict"]), names.join(", ")));
    }
    lines
}

/// Lines of a list that does not say how many it wants.
pub const LISTED: usize = 50;
/// Rows read at a time.
const PAGE: usize = 500;
/// Characters by which a call may be named. The first ten of an id are its time.
const PREFIX: usize = 6;
