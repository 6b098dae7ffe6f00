//! Call records: lists, one call with its legs, its events, its ladder, and why it went to whom.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Page, Query, page_size};
use crate::call::CallRecord;
use crate::call::record::LeftOut;
use crate::call::segment::{Segment, SegmentKind};
use crate::cause::{Cause, What};
use crate::command::UserRole;
use crate::crm::csv;
use crate::event::{Direction, Event, Fact, MediaStats, OfferOutcome, QueueExit, Role, Seq};
use crate::http::auth::guard::Identity;
use crate::http::centre::LadderMessage;
use crate::http::desk::entity::{Address, Answer};
use crate::http::error::ApiError;
use crate::http::site::{Site, read_value};
use crate::http::wire::{Moment, mask_number, parse_time};
use crate::ids::{AgentName, CallId, CustomerId, DialplanName, LegId, QueueName, RecordingId, VoicemailId};
use crate::limits::http as limits;
use crate::store::View;
use crate::store::view::key;
use crate::time::Time;

/// How a call came out, for lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    /// It runs.
    Open,
    /// Somebody spoke with the caller.
    Answered,
    /// The caller gave up waiting or ringing.
    Abandoned,
    /// The dialplan served the caller.
    Served,
    /// The caller left a message and spoke with nobody.
    LeftMessage,
    Failed,
}

/// One call, as it remains.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Cdr {
    #[schema(value_type = String)]
    pub call: CallId,
    pub direction: Direction,
    pub from: Address,
    pub to: Address,
    pub result: CallResult,
    pub accepted: Moment,
    pub answered: Option<Moment>,
    pub ended: Option<Moment>,
    pub duration_ms: u64,
    /// In all queues together.
    pub waited_ms: u64,
    pub cause: Option<Cause>,
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentName>,
    /// The last one.
    #[schema(value_type = Option<String>)]
    pub queue: Option<QueueName>,
    #[schema(value_type = Option<String>)]
    pub customer: Option<CustomerId>,
    pub customer_name: String,
    pub tier: String,
    pub disposition: String,
    pub notes: String,
    #[schema(value_type = Option<String>)]
    pub dialplan: Option<DialplanName>,
    /// The message the caller left, by its id in the box.
    #[schema(value_type = Option<String>)]
    pub voicemail: Option<VoicemailId>,
    pub sip_call_id: String,
    pub legs: Vec<CdrLeg>,
    pub queues: Vec<CdrVisit>,
    pub path: Vec<CdrStep>,
    pub answers: Vec<Answer>,
    pub offers: Vec<CdrOffer>,
    pub recordings: Vec<CdrRecording>,
    pub transfers: Vec<CdrTransfer>,
    /// How many of each list the record has no room for; `/api/cdr/{call}/events` has them all.
    pub left_out: LeftOut,
}

/// One leg of a record.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CdrLeg {
    #[schema(value_type = String)]
    pub leg: LegId,
    pub role: Role,
    pub address: Address,
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentName>,
    pub started: Moment,
    pub ringing: Option<Moment>,
    pub answered: Option<Moment>,
    pub ended: Option<Moment>,
    pub codec: String,
    pub cause: Option<Cause>,
    #[schema(value_type = Option<Object>)]
    pub stats: Option<MediaStats>,
    pub held_ms: u64,
}

/// One stay in a queue.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CdrVisit {
    #[schema(value_type = String)]
    pub queue: QueueName,
    pub entered: Moment,
    pub left: Option<Moment>,
    pub exit: Option<QueueExit>,
    pub waited_ms: u64,
}

/// One state of the dialplan passed through.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CdrStep {
    pub at: Moment,
    #[schema(value_type = String)]
    pub dialplan: DialplanName,
    pub state: String,
    pub outcome: String,
}

/// One offer to an agent and how it ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CdrOffer {
    #[schema(value_type = String)]
    pub agent: AgentName,
    pub at: Moment,
    pub ended: Option<Moment>,
    pub outcome: Option<OfferOutcome>,
}

/// One recording; its sound is at `/api/recordings/{recording}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CdrRecording {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    pub started: Moment,
    pub seconds: Option<f64>,
    pub failed: Option<String>,
    /// It ended at the greatest length that recordings may have.
    pub cut: bool,
    pub segments: Vec<CdrSegment>,
}

/// A part of a recording, and what holds in it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CdrSegment {
    pub kind: SegmentKind,
    /// Who takes part or is held: a leg of the record. Nobody where all is masked.
    #[schema(value_type = Option<String>)]
    pub leg: Option<LegId>,
    pub from_ms: u64,
    /// `null` while it goes on.
    pub to_ms: Option<u64>,
}

/// One blind transfer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CdrTransfer {
    pub at: Moment,
    #[schema(value_type = String)]
    pub by: LegId,
    pub to: String,
}

/// A routing decision of a call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Decision {
    #[schema(value_type = u64)]
    pub seq: Seq,
    pub at: Moment,
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Who was offered the call.
    #[schema(value_type = Vec<String>)]
    pub agents: Vec<AgentName>,
    /// Who was considered, and the verdict on each.
    pub explanation: Value,
}

/// One message of a ladder.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LadderLine {
    pub at: Moment,
    /// From us; otherwise to us.
    pub sent: bool,
    pub peer: String,
    /// `INVITE`, `200 OK`.
    pub what: String,
    pub text: String,
}

// -- lists -----------------------------------------------------------------------------------------------------------

/// What to list.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Filter {
    from: Option<String>,
    to: Option<String>,
    number: Option<String>,
    agent: Option<AgentName>,
    queue: Option<QueueName>,
    customer: Option<CustomerId>,
    result: Option<CallResult>,
    limit: Option<usize>,
    before: Option<String>,
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
    Text,
}

/// A filter, read.
struct Wanted {
    from: Time,
    to: Time,
    filter: Filter,
}

impl Wanted {
    fn read(filter: Filter) -> Result<Self, ApiError> {
        let time = |text: &Option<String>, missing| match text {
            None => Ok(missing),
            Some(text) => parse_time(text).ok_or_else(|| {
                ApiError::bad_request(format!("`{text}` is no time: 2026-11-21 or 2026-11-21T08:00:00Z is wanted."))
            }),
        };
        let (from, to) = (time(&filter.from, Time::EPOCH)?, time(&filter.to, Time::FAR_FUTURE)?);
        Ok(Self { from, to, filter })
    }

    fn takes(&self, record: &CallRecord) -> bool {
        let filter = &self.filter;
        let has_number = |wanted: &String| {
            let numbers = record.legs.iter().map(|leg| &leg.address.number);
            let mut numbers = numbers.chain([&record.from.number, &record.to.number]);
            numbers.any(|number| number.contains(wanted.as_str()))
        };
        let has_agent = |agent: &AgentName| involves(record, agent);
        let has_queue = |queue: &QueueName| record.queues.iter().any(|visit| visit.queue == *queue);
        (self.from..self.to).contains(&record.accepted)
            && filter.number.as_ref().is_none_or(has_number)
            && filter.agent.as_ref().is_none_or(has_agent)
            && filter.queue.as_ref().is_none_or(has_queue)
            && filter.customer.is_none_or(|customer| record.customer == Some(customer))
            && filter.result.is_none_or(|result| result_of(record) == result)
    }
}

fn involves(record: &CallRecord, agent: &AgentName) -> bool {
    record.agent.as_ref() == Some(agent) || record.legs.iter().any(|leg| leg.agent.as_ref() == Some(agent))
}

pub async fn list(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Query(mut filter): Query<Filter>,
) -> Result<Response, ApiError> {
    if identity.user.role == UserRole::Agent {
        filter.agent = Some(identity.user.name.clone());
    }
    let (format, masked) = (filter.format, site.is_masked(identity.user.role));
    let wanted = Wanted::read(filter)?;
    if format == Format::Csv {
        let items = site.read(move |view| export(view, &wanted, limits::EXPORT_ROWS, masked)).await?;
        return Ok(csv_response(&items));
    }
    let rows = page_size(wanted.filter.limit);
    let (items, next) = site.read(move |view| page(view, &wanted, (rows, limits::SCANNED_ROWS), masked)).await?;
    Ok(axum::Json(Page { items, next }).into_response())
}

/// All that is wanted, however many rows must be looked at, or a refusal where it is more than `most`: a table that
/// ends too soon looks like the whole.
fn export(view: &dyn View, wanted: &Wanted, most: usize, masked: bool) -> Result<Vec<Cdr>, ApiError> {
    let (items, _) = page(view, wanted, (most.saturating_add(1), usize::MAX), masked)?;
    if items.len() <= most {
        return Ok(items);
    }
    let msg = format!("More than {most} calls fit. Narrow it down with `from` and `to`, and export in parts.");
    Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "export.too_long", msg))
}

/// Newest first: so many rows, of so many that are looked at. The cursor is the place below `c/`: `day/call`.
fn page(
    view: &dyn View,
    wanted: &Wanted,
    (rows, most_scanned): (usize, usize),
    masked: bool,
) -> Result<(Vec<Cdr>, Option<String>), ApiError> {
    let mut scanned = 0;
    let mut found = Vec::new();
    let mut before: Option<Vec<u8>> = match &wanted.filter.before {
        Some(cursor) => Some([b"c/", cursor.as_bytes()].concat()),
        // The first key after the last wanted day.
        None if wanted.to < Time::FAR_FUTURE => Some([&key::calls_of_day(wanted.to)[..], b"~"].concat()),
        None => None,
    };
    let first_day = key::calls_of_day(wanted.from);
    loop {
        let chunk = view.range_back(&key::calls(), before.as_deref(), rows.min(1_000))?;
        if chunk.is_empty() {
            return Ok((found, None));
        }
        for row in &chunk {
            if row.key < first_day {
                return Ok((found, None));
            }
            scanned += 1;
            before = Some(row.key.clone());
            let record: Option<CallRecord> = read_value(&row.key, &row.value);
            found.extend(record.filter(|record| wanted.takes(record)).map(|record| cdr(&record, masked)));
            if found.len() == rows || scanned == most_scanned {
                let cursor = row.key.get(2..).map(|key| String::from_utf8_lossy(key).into_owned());
                return Ok((found, cursor));
            }
        }
    }
}

fn csv_response(items: &[Cdr]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"calls.csv\""),
    ];
    (headers, to_csv(items)).into_response()
}

/// Records as a table, one line a call.
pub fn to_csv(items: &[Cdr]) -> String {
    let rows: Vec<[String; COLUMNS.len()]> = items
        .iter()
        .map(|cdr| {
            let queue = cdr.queue.as_ref().map(ToString::to_string).unwrap_or_default();
            let agent = cdr.agent.as_ref().map(ToString::to_string).unwrap_or_default();
            [
                cdr.call.to_string(),
                text(&cdr.direction),
                cdr.from.number.clone(),
                cdr.to.number.clone(),
                text(&cdr.result),
                text(&cdr.accepted),
                text(&cdr.answered),
                text(&cdr.ended),
                cdr.duration_ms.to_string(),
                cdr.waited_ms.to_string(),
                cdr.cause.map(|cause| text(&cause.what)).unwrap_or_default(),
                cdr.cause.map(|cause| text(&cause.by)).unwrap_or_default(),
                queue,
                agent,
                cdr.customer_name.clone(),
                cdr.tier.clone(),
                cdr.disposition.clone(),
            ]
        })
        .collect();
    csv::write(&COLUMNS, rows.iter().map(|row| row.iter().map(String::as_str).collect()))
}

/// The word that a value is in JSON; empty where it is none.
fn text(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}

const COLUMNS: [&str; 17] = [
    "call",
    "direction",
    "from",
    "to",
    "result",
    "accepted",
    "answered",
    "ended",
    "duration_ms",
    "waited_ms",
    "cause",
    "cause_by",
    "queue",
    "agent",
    "customer",
    "tier",
    "disposition",
];

// -- one call --------------------------------------------------------------------------------------------------------

pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<axum::Json<Cdr>, ApiError> {
    let record = record(&site, &identity, &id).await?;
    Ok(axum::Json(cdr(&record, site.is_masked(identity.user.role))))
}

/// Every event of the call in order, as the ledger has them, with times as RFC 3339.
pub async fn events(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<axum::Json<Vec<Value>>, ApiError> {
    let events = ledger(&site, &identity, &id).await?;
    Ok(axum::Json(events.iter().filter_map(readable).collect()))
}

pub async fn decisions(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<axum::Json<Vec<Decision>>, ApiError> {
    let events = ledger(&site, &identity, &id).await?;
    let decided = events.into_iter().filter_map(|event| match event.fact {
        Fact::RoutingDecided { queue, agents, explanation } => {
            Some(Decision { seq: event.seq, at: Moment(event.at), queue, agents, explanation })
        }
        _ => None,
    });
    Ok(axum::Json(decided.collect()))
}

/// `?format=text` draws it.
#[derive(Deserialize)]
pub struct Drawn {
    #[serde(default)]
    format: Format,
}

pub async fn ladder(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    Query(Drawn { format }): Query<Drawn>,
) -> Result<Response, ApiError> {
    let kept = id.parse().ok().and_then(|call| site.centre.ladder(call));
    let gone = || ApiError::not_found("ladder.unknown", "No messages are kept of this call any more.");
    let messages = kept.ok_or_else(gone)?;
    if format == Format::Text {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        return Ok((kind, draw(&messages)).into_response());
    }
    let lines = messages.iter().map(|message| LadderLine {
        at: Moment(message.at),
        sent: message.sent,
        peer: message.peer.to_string(),
        what: headline(&message.bytes),
        text: String::from_utf8_lossy(&message.bytes).into_owned(),
    });
    Ok(axum::Json(lines.collect::<Vec<_>>()).into_response())
}

/// A ladder as a telephone engineer reads it: `t+02.140  192.0.2.1:5060 ── INVITE ──▶ switch`.
pub fn draw(messages: &[LadderMessage]) -> String {
    let start = messages.first().map_or(Time::EPOCH, |message| message.at);
    let width = messages.iter().map(|message| message.peer.to_string().len()).max().unwrap_or_default();
    let line = |message: &LadderMessage| {
        let ms = message.at.since(start).as_millis();
        let (peer, what) = (message.peer.to_string(), headline(&message.bytes));
        let (left, right) = if message.sent { ("◀──", "──") } else { ("──", "──▶") };
        format!("t+{:02}.{:03}  {peer:>width$} {left} {what} {right} switch\n", ms / 1_000, ms % 1_000)
    };
    messages.iter().map(line).collect()
}

/// The method, or status and phrase.
fn headline(bytes: &[u8]) -> String {
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    match line.strip_prefix("SIP/2.0 ") {
        Some(status) => status.chars().take(60).collect(),
        None => line.split(' ').next().unwrap_or_default().chars().take(60).collect(),
    }
}

async fn record(site: &Site, identity: &Identity, id: &str) -> Result<CallRecord, ApiError> {
    let unknown = || ApiError::not_found("call.unknown", "There is no record of such a call.");
    let call: CallId = id.parse().map_err(|_| unknown())?;
    let found = site.read(move |view| find(view, call)).await?.ok_or_else(unknown)?;
    let own = identity.user.role != UserRole::Agent || involves(&found, &identity.user.name);
    if own { Ok(found) } else { Err(unknown()) }
}

/// The row stands under its day; an id knows its millisecond, which is that of the call's first message.
fn find(view: &dyn View, call: CallId) -> Result<Option<CallRecord>, ApiError> {
    let made = Time::from_millis(u64::try_from(call.as_u128() >> 80).unwrap_or_default());
    let next_day = made + core::time::Duration::from_secs(86_400);
    for day in [made, next_day] {
        let at = key::call(day, call);
        if let Some(value) = view.get(&at)? {
            return Ok(read_value(&at, &value));
        }
    }
    Ok(None)
}

async fn ledger(site: &Arc<Site>, identity: &Identity, id: &str) -> Result<Vec<Event>, ApiError> {
    let record = record(site, identity, id).await?;
    let centre = Arc::clone(&site.centre);
    let read = move || centre.events_of(record.call, record.first_seq, record.last_seq);
    Ok(tokio::task::spawn_blocking(read).await.map_err(ApiError::internal)??)
}

/// An event as the CTI socket would name it: `name` for the tag, RFC 3339 for times.
fn readable(event: &Event) -> Option<Value> {
    let mut value = serde_json::to_value(event).ok()?;
    let object = value.as_object_mut()?;
    let name = object.remove("t")?;
    object.insert("name".to_owned(), name);
    spell_times(&mut value);
    Some(value)
}

fn spell_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(spell_times),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_u64() {
                    Some(us) if TIMES.contains(&name.as_str()) => {
                        *field = Value::from(Time::from_micros(us).rfc3339());
                    }
                    _ => spell_times(field),
                }
            }
        }
        _ => {}
    }
}

/// The fields of facts that hold a time.
const TIMES: [&str; 4] = ["at", "deadline", "expires", "clock"];

/// How a call came out.
pub fn result_of(record: &CallRecord) -> CallResult {
    let spoke = record.legs.iter().any(|leg| leg.role != Role::Caller && leg.answered.is_some());
    let gave_up = record.queues.iter().any(|visit| visit.exit == Some(QueueExit::Abandoned));
    match record.cause.map(|cause| cause.what) {
        None => CallResult::Open,
        Some(_) if spoke => CallResult::Answered,
        Some(_) if record.voicemail.is_some() => CallResult::LeftMessage,
        Some(What::Abandoned) => CallResult::Abandoned,
        Some(_) if gave_up => CallResult::Abandoned,
        Some(What::Completed | What::Hangup) => CallResult::Served,
        Some(_) => CallResult::Failed,
    }
}

/// A record as lists and machines read it; `masked` hides the middle of numbers.
pub fn cdr(record: &CallRecord, masked: bool) -> Cdr {
    let address = |address: &crate::event::Address| {
        let number = if masked { mask_number(&address.number) } else { address.number.clone() };
        Address { number, name: address.name.clone() }
    };
    let legs = record.legs.iter().map(|leg| CdrLeg {
        leg: leg.leg,
        role: leg.role,
        address: address(&leg.address),
        agent: leg.agent.clone(),
        started: Moment(leg.started),
        ringing: leg.ringing.map(Moment),
        answered: leg.answered.map(Moment),
        ended: leg.ended.map(Moment),
        codec: leg.codec.clone(),
        cause: leg.cause,
        stats: leg.stats,
        held_ms: leg.held_ms,
    });
    let queues = record.queues.iter().map(|visit| CdrVisit {
        queue: visit.queue.clone(),
        entered: Moment(visit.entered),
        left: visit.left.map(Moment),
        exit: visit.exit,
        waited_ms: visit.waited_ms,
    });
    let path = record.path.iter().map(|step| CdrStep {
        at: Moment(step.at),
        dialplan: step.dialplan.clone(),
        state: step.state.clone(),
        outcome: step.outcome.clone(),
    });
    let offers = record.offers.iter().map(|offer| CdrOffer {
        agent: offer.agent.clone(),
        at: Moment(offer.at),
        ended: offer.ended.map(Moment),
        outcome: offer.outcome,
    });
    let recordings = record.recordings.iter().map(|kept| CdrRecording {
        recording: kept.recording,
        started: Moment(kept.started),
        seconds: kept.seconds,
        failed: kept.failed.clone(),
        cut: kept.cut,
        segments: kept.segments.iter().map(CdrSegment::from).collect(),
    });
    let transfers = record.transfers.iter().map(|transfer| CdrTransfer {
        at: Moment(transfer.at),
        by: transfer.by,
        to: if masked { mask_number(&transfer.to) } else { transfer.to.clone() },
    });
    Cdr {
        call: record.call,
        direction: record.direction,
        from: address(&record.from),
        to: address(&record.to),
        result: result_of(record),
        accepted: Moment(record.accepted),
        answered: record.answered.map(Moment),
        ended: record.ended.map(Moment),
        duration_ms: record.duration_ms(),
        waited_ms: record.queues.iter().map(|visit| visit.waited_ms).sum(),
        cause: record.cause,
        agent: record.agent.clone(),
        queue: record.queues.last().map(|visit| visit.queue.clone()),
        customer: record.customer,
        customer_name: record.customer_name.clone(),
        tier: record.tier.clone(),
        disposition: record.disposition.clone(),
        notes: record.notes.clone(),
        dialplan: record.dialplan.clone(),
        voicemail: record.voicemail,
        sip_call_id: record.sip_call_id.clone(),
        legs: legs.collect(),
        queues: queues.collect(),
        path: path.collect(),
        answers: record.answers.iter().map(Answer::from).collect(),
        offers: offers.collect(),
        recordings: recordings.collect(),
        transfers: transfers.collect(),
        left_out: record.left_out,
    }
}

impl From<&Segment> for CdrSegment {
    fn from(segment: &Segment) -> Self {
        let Segment { kind, leg, from_ms, to_ms } = *segment;
        Self { kind, leg, from_ms, to_ms }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::event::EVENT_VERSION;
    use crate::runtime::fold::EventFold;
    use crate::store::memory::MemoryView;
    use crate::store::{Fold, RowChange};

    #[test]
    fn a_ladder_is_drawn_as_an_engineer_reads_it() {
        let message = |ms: u64, sent, text: &'static str| LadderMessage {
            at: Time::from_millis(1_000 + ms),
            sent,
            peer: "127.0.0.9:5060".parse().unwrap(),
            bytes: bytes::Bytes::from_static(text.as_bytes()),
        };
        let drawn = draw(&[
            message(0, false, "INVITE sip:95539@x SIP/2.0\r\n\r\n"),
            message(2_140, true, "SIP/2.0 200 OK\r\n\r\n"),
        ]);
        let expected = "t+00.000  127.0.0.9:5060 ── INVITE ──▶ switch\nt+02.140  127.0.0.9:5060 ◀── 200 OK ── switch\n";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn an_export_that_would_end_too_soon_is_refused_with_its_mend() {
        let view = calls_from(&["1", "2", "3"]);
        let wanted = Wanted::read(Filter::default()).unwrap();
        assert_eq!(export(&view, &wanted, 3, false).unwrap().len(), 3);
        let refused = export(&view, &wanted, 2, false).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code.as_str()), (413, "export.too_long"));
        assert!(refused.msg.contains("`from` and `to`"), "{}", refused.msg);
    }

    #[test]
    fn a_page_ends_where_enough_was_looked_at_and_an_export_never() {
        let mut callers = vec!["13800138000"];
        callers.resize(limits::SCANNED_ROWS + 1, "95539");
        let view = calls_from(&callers);
        let wanted = Wanted::read(Filter { number: Some("13800138000".to_owned()), ..Filter::default() }).unwrap();
        let (items, next) = page(&view, &wanted, (50, limits::SCANNED_ROWS), false).unwrap();
        assert!(items.is_empty() && next.is_some(), "the oldest has not been looked at");
        let rest = Wanted::read(Filter { number: wanted.filter.number.clone(), before: next, ..Filter::default() });
        assert_eq!(page(&view, &rest.unwrap(), (50, limits::SCANNED_ROWS), false).unwrap().0.len(), 1);
        assert_eq!(export(&view, &wanted, limits::EXPORT_ROWS, false).unwrap().len(), 1);
    }

    /// One call a number, the first the oldest.
    fn calls_from(numbers: &[&str]) -> MemoryView {
        let view = MemoryView::new();
        view.reset(EventFold::default().version()).unwrap();
        let kinds: BTreeSet<&str> = numbers.iter().copied().collect();
        let kinds: BTreeMap<&str, Vec<u8>> = kinds.into_iter().map(|number| (number, record_of(number))).collect();
        for (n, number) in (1_u64..).zip(numbers) {
            let at = Time::from_secs(n);
            // An id bears its time, as the switch makes it.
            let call = CallId::from_u128(u128::from(at.as_millis()) << 80);
            let (key, value) = (key::call(at, call), kinds[number].clone());
            view.apply(Seq(n), &[RowChange::Put { key, value }]).unwrap();
        }
        view
    }

    /// The row of a call from a number.
    fn record_of(number: &str) -> Vec<u8> {
        let fact = Fact::CallAccepted {
            leg: LegId::from_u128(1),
            direction: Direction::Inbound,
            from: crate::event::Address { number: number.to_owned(), ..Default::default() },
            to: Default::default(),
            dialplan: None,
            sip_call_id: String::new(),
        };
        let (seq, at, call) = (Seq(1), Time::from_secs(1), Some(CallId::from_u128(1)));
        let event = serde_json::to_vec(&Event { v: EVENT_VERSION, seq, at, call, fact }).unwrap();
        let row = EventFold::default().rows(&MemoryView::new(), seq, &event).into_iter().find_map(|row| match row {
            RowChange::Put { key, value } if key.starts_with(b"c/") => Some(value),
            _ => None,
        });
        row.expect("a call has a row")
    }

    #[test]
    fn times_within_facts_are_spelt_and_counts_are_not() {
        let mut value = serde_json::json!({ "at": 1_000_000, "seq": 7, "explanation": { "at": 2_000_000 } });
        spell_times(&mut value);
        let expected = serde_json::json!({
            "at": "1970-01-01T00:00:01.000Z", "seq": 7, "explanation": { "at": "1970-01-01T00:00:02.000Z" }
        });
        assert_eq!(value, expected);
    }
}
