//! The log: one line an event with its fields, for people or as JSON. The one file that knows `tracing-subscriber`.
//!
//! What belongs to a call stands in a span with `call=`. Numbers are masked unless the filter opens them:
//! `info,strowger::numbers=trace`. Nobody who logs waits for whoever reads the log: lines that do not fit its queue are
//! dropped and counted.

use core::fmt;
use std::borrow::Cow;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use tracing::{Level, Span, Subscriber, debug, error, info, info_span, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::util::SubscriberInitExt;

use crate::event::{Address, Event, Fact};
use crate::ids::CallId;
use crate::number;
use crate::time::Time;

use super::lines::Lines;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people. `colours` where the far end is a terminal.
    Text { colours: bool },
    /// One JSON object a line.
    Json,
}

/// The log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("`{filter}` is no log filter ({reason}). Example: info,strowger::sip=trace")]
    Filter { filter: String, reason: String },
    #[error("there is a log already")]
    Started,
    #[error("the log cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// Starts the log of this process, to standard error. Panics go there, too. Keep the [`Flush`] until the process ends.
pub fn start(format: Format, filter: &str) -> Result<Flush, LogError> {
    let behind = |dropped| warn!(dropped, "lines of the log were dropped: whoever reads it is behind");
    let lines = Lines::start(io::stderr(), behind)?;
    subscriber(format, filter, lines.clone())?.try_init().map_err(|_| LogError::Started)?;
    let _ = LINES.set(lines);
    std::panic::set_hook(Box::new(|about| {
        let what = about.payload_as_str().unwrap_or("a panic");
        let place = about.location().map(ToString::to_string).unwrap_or_default();
        error!(%what, %place, "a defect: a panic");
    }));
    Ok(Flush)
}

/// Lines of the log that were dropped because nobody read it.
pub fn dropped() -> u64 {
    LINES.get().map_or(0, Lines::dropped)
}

/// The lines of this process: there is one standard error.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Writes what waits when it goes, for at most a second.
#[must_use = "what was logged last is written when this is dropped"]
pub struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        if let Some(lines) = LINES.get() {
            lines.flush(Duration::from_secs(1));
        }
    }
}

/// The log as a value, so that tests can have one of their own.
fn subscriber<W>(format: Format, filter: &str, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| LogError::Filter { filter: filter.to_owned(), reason: error.to_string() })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_timer(Clock);
    Ok(match format {
        Format::Text { colours } => Box::new(log.with_ansi(colours).finish()),
        Format::Json => Box::new(log.json().flatten_event(true).with_current_span(false).finish()),
    })
}

/// The span that everything said of a call stands in.
pub fn call_span(call: CallId) -> Span {
    info_span!("call", %call)
}

/// A number as a log line may have it: masked, unless the filter lets `strowger::numbers` through at trace.
///
/// Called among the fields of a log line, so only where the line is written: `from = %redacted(number)`.
pub fn redacted(number: &str) -> Cow<'_, str> {
    if tracing::enabled!(target: "strowger::numbers", Level::TRACE) {
        return Cow::Borrowed(number);
    }
    match number.strip_prefix('+') {
        Some(digits) => Cow::Owned(format!("+{}", number::mask(digits))),
        None => Cow::Owned(number::mask(number)),
    }
}

/// Says one event: what an operator waits for at `info`, what asks for a hand at `warn`, the rest at `debug`.
pub fn tell(event: &Event) {
    let span = event.call.map(call_span);
    let _within = span.as_ref().map(Span::enter);
    match &event.fact {
        Fact::SystemStarted { version, plan, .. } => info!(%version, %plan, "started"),
        Fact::SystemDraining {} => info!("draining: no new calls"),
        Fact::SystemStopped {} => info!("stopped"),
        Fact::ClockStepped { by_ms } => warn!(by_ms, "the wall clock was set"),
        Fact::PlanApplied { plan, changes } => info!(%plan, changes = changes.len(), "plan applied"),
        Fact::CallAccepted { direction, from, to, .. } => {
            info!(?direction, from = %who(from), to = %who(to), "call accepted");
        }
        Fact::CallEnded { cause } => info!(%cause, "call ended"),
        Fact::CallTransferred { by, to } => info!(%by, to = %redacted(to), "call transferred"),
        Fact::QueueEntered { queue, position, .. } => info!(%queue, position, "waiting in the queue"),
        Fact::QueueLeft { queue, exit, waited_ms } => info!(%queue, ?exit, waited_ms, "left the queue"),
        Fact::QueueOverflowed { queue, to, why } => warn!(%queue, %to, %why, "the queue overflowed"),
        Fact::CallOffered { agent, queue, .. } => info!(%agent, %queue, "offered"),
        Fact::OfferEnded { agent, outcome, .. } => info!(%agent, ?outcome, "offer ended"),
        Fact::AgentSignedIn { agent, account } => info!(%agent, %account, "signed in"),
        Fact::AgentSignedOut { agent } => info!(%agent, "signed out"),
        Fact::AgentForced { agent, state, reason, by } => info!(%agent, ?state, %reason, %by, "state set by another"),
        Fact::RecordingCut { recording, after_s } => warn!(%recording, after_s, "a recording reached its limit"),
        Fact::AgentLinkLost { agent } => warn!(%agent, "the agent's desktop is not connected any more"),
        Fact::AgentStateChanged { agent, state, reason, .. } => debug!(%agent, ?state, %reason, "agent state"),
        Fact::RecordingFailed { recording, reason } => error!(%recording, %reason, "a recording failed"),
        Fact::VoicemailLeft { r#box, seconds, .. } => info!(r#box = %r#box, seconds, "a message was left"),
        Fact::TrunkStateChanged { trunk, up: true, reason } => info!(%trunk, %reason, "the trunk is up"),
        Fact::TrunkStateChanged { trunk, up: false, reason } => warn!(%trunk, %reason, "the trunk is down"),
        Fact::PhoneRegistered { account, .. } => debug!(%account, "phone registered"),
        Fact::PhoneUnregistered { account, why, .. } => info!(%account, %why, "phone gone"),
        Fact::RecordSaved { kind, key, by, .. } => info!(?kind, %key, %by, "record saved"),
        Fact::RecordRemoved { kind, key, by } => info!(?kind, %key, %by, "record removed"),
        Fact::LegEnded { leg, cause, .. } => debug!(%leg, %cause, "leg ended"),
        // What is left is for the call's own page: steps, legs, keys (which may be secret), cards (which are private).
        _ => debug!(seq = event.seq.0, kind = kind(&event.fact), "event"),
    }
}

fn who(address: &Address) -> Cow<'_, str> {
    match (&address.account, address.number.as_str()) {
        (Some(account), "") => Cow::Borrowed(account.as_str()),
        (None, "") => Cow::Borrowed("(withheld)"),
        (_, number) => redacted(number),
    }
}

/// The name of a fact that has no line of its own: `call.stepped`.
fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::CustomerMatched { .. } => "customer.matched",
        Fact::CallStepped { .. } => "call.stepped",
        Fact::CallCollected { .. } => "call.collected",
        Fact::LegAdded { .. } => "call.leg_added",
        Fact::LegRinging { .. } => "call.ringing",
        Fact::LegAnswered { .. } => "call.answered",
        Fact::LegsConnected { .. } => "call.connected",
        Fact::LegHeld { .. } => "call.held",
        Fact::LegResumed { .. } => "call.resumed",
        Fact::LegDigit { .. } => "call.dtmf",
        Fact::QueueAnnounced { .. } => "queue.announced",
        Fact::QueueReordered { .. } => "queue.reordered",
        Fact::RoutingDecided { .. } => "routing.decided",
        Fact::InteractionWrapped { .. } => "interaction.wrapped",
        Fact::RecordingStarted { .. } => "recording.started",
        Fact::RecordingMasked { .. } => "recording.masked",
        Fact::RecordingSealed { .. } => "recording.sealed",
        _ => "event",
    }
}

/// UTC with milliseconds, as everywhere in the product.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        write!(writer, "{}", Time::EPOCH + since)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::cause::{Cause, Party, What};
    use crate::event::{Direction, EVENT_VERSION, Seq};
    use crate::ids::LegId;

    /// What is logged while `work` runs.
    fn logged(format: Format, filter: &str, work: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Paper(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Paper {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let paper = Paper::default();
        let writer = paper.clone();
        let subscriber = subscriber(format, filter, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn event(fact: Fact) -> Event {
        Event { v: EVENT_VERSION, seq: Seq::FIRST, at: Time::EPOCH, call: Some(CallId::from_u128(7)), fact }
    }

    fn accepted() -> Event {
        event(Fact::CallAccepted {
            leg: LegId::from_u128(1),
            direction: Direction::Inbound,
            from: Address { number: "+8613800138000".into(), ..Address::default() },
            to: Address { number: "95539".into(), ..Address::default() },
            dialplan: None,
            sip_call_id: "x".into(),
        })
    }

    const PLAIN: Format = Format::Text { colours: false };

    #[test]
    fn a_line_for_people_has_its_call_and_no_whole_number() {
        let text = logged(PLAIN, "info", || tell(&accepted()));
        let line = text.trim_end();
        assert!(
            line.contains(" INFO call{call=00000000000000000000000007}: strowger::observe::log: call accepted"),
            "{line}"
        );
        assert!(line.ends_with("direction=Inbound from=+86138****8000 to=95539"), "{line}");
        assert!(line.get(..24).is_some_and(|time| time.ends_with('Z') && time.contains('T')), "{line}");
    }

    #[test]
    fn the_filter_opens_numbers_at_trace() {
        let text = logged(PLAIN, "info,strowger::numbers=trace", || tell(&accepted()));
        assert!(text.contains("from=+8613800138000"), "{text}");
        let text = logged(PLAIN, "info,strowger::numbers=debug", || tell(&accepted()));
        assert!(!text.contains("13800138000"), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let cause = Cause::with_status(What::Busy, Party::Agent, 486);
        let text = logged(Format::Json, "info", || tell(&event(Fact::CallEnded { cause })));
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((&line["message"], &line["level"]), (&"call ended".into(), &"INFO".into()));
        assert_eq!(line["cause"], "Busy by Agent (486)");
        assert_eq!(line["spans"][0]["call"], "00000000000000000000000007");
    }

    #[test]
    fn keys_that_a_caller_presses_are_never_logged() {
        let text = logged(PLAIN, "trace", || tell(&event(Fact::LegDigit { leg: LegId::from_u128(1) })));
        assert!(text.contains("call.dtmf") && !text.contains("digit="), "{text}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused_with_an_example() {
        let refused = subscriber(PLAIN, "info,strowger=loud", io::sink).err().unwrap();
        assert!(refused.to_string().starts_with("`info,strowger=loud` is no log filter"), "{refused}");
    }
}
