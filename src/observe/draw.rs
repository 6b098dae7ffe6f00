//! A ladder drawn: the caller left of the switch, everybody else right of it, time down the margin.

use core::fmt::Write as _;

use serde_json::{Value, json};

use super::ladder::{Direction, Ladder, Party, Rung};
use crate::sdp::{Direction as Media, SessionDescription};
use crate::sip::{Message, Method};
use crate::time::Time;

/// Columns of an arrow with its text. Longer text makes a longer arrow.
const ARROW: usize = 34;
const SWITCH: &str = "switch";

pub(super) fn text(ladder: &Ladder) -> String {
    let rungs = ladder.rungs();
    let Some(start) = rungs.first().map(|rung| rung.at) else {
        return format!("call {}: no messages\n", ladder.call);
    };
    let left = rungs.iter().filter(|rung| is_left(ladder, rung)).map(|rung| width(&name_of(ladder, rung)));
    let left = left.max().unwrap_or(0);
    let mut out = format!("call {}  {start}\n", ladder.call);
    for (at, rung) in rungs.iter().enumerate() {
        if ladder.dropped() > 0 && at == ladder.opening() {
            let _ = writeln!(out, "           … {} messages are not kept …", ladder.dropped());
        }
        let _ = writeln!(out, "{}  {}", elapsed(rung.at, start), line(ladder, rung, left));
    }
    out
}

pub(super) fn json(ladder: &Ladder) -> Value {
    let rungs = ladder.rungs();
    let start = rungs.first().map_or(Time::EPOCH, |rung| rung.at);
    let messages: Vec<Value> = rungs
        .iter()
        .map(|rung| {
            json!({
                "at": rung.at,
                "t_ms": u64::try_from(rung.at.since(start).as_millis()).unwrap_or(u64::MAX),
                "direction": rung.direction,
                "party": name_of(ladder, rung),
                "peer": rung.peer,
                "summary": summary(rung),
                "repeated": rung.repeated,
                "cut_bytes": rung.cut,
                "text": String::from_utf8_lossy(&rung.bytes),
            })
        })
        .collect();
    json!({ "call": ladder.call, "start": start, "dropped": ladder.dropped(), "messages": messages })
}

/// `t+02.140`
fn elapsed(at: Time, start: Time) -> String {
    let ms = at.since(start).as_millis();
    format!("t+{:02}.{:03}", ms / 1_000, ms % 1_000)
}

fn line(ladder: &Ladder, rung: &Rung, left: usize) -> String {
    let name = name_of(ladder, rung);
    let mut summary = summary(rung);
    if rung.repeated {
        summary.push_str(", again");
    }
    let is_left = is_left(ladder, rung);
    // Towards the right: what the caller sends, and what we send to everybody else.
    let arrow = arrow(&summary, is_left == (rung.direction == Direction::Received));
    match is_left {
        true => format!("{name}{:pad$} {arrow} {SWITCH}", "", pad = left - width(&name)),
        false if left == 0 => format!("{SWITCH} {arrow} {name}"),
        false => format!("{:left$} {:ARROW$} {SWITCH} {arrow} {name}", "", ""),
    }
}

fn arrow(text: &str, to_right: bool) -> String {
    let fill = "─".repeat(ARROW.saturating_sub(width(text) + 6).max(1));
    match to_right {
        true => format!("── {text} ─{fill}▶"),
        false => format!("◀{fill}─ {text} ──"),
    }
}

fn is_left(ladder: &Ladder, rung: &Rung) -> bool {
    ladder.party(rung) == Party::Caller
}

fn name_of(ladder: &Ladder, rung: &Rung) -> String {
    match ladder.party(rung) {
        Party::Caller => "caller".to_owned(),
        Party::Callee(name) => name.to_owned(),
        Party::Unknown(address) => address.to_string(),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// `INVITE (PCMA PCMU)`, `200 OK (PCMA)`, `200 OK to BYE`.
fn summary(rung: &Rung) -> String {
    let Ok(message) = Message::parse(rung.bytes.clone()) else { return "(unreadable)".to_owned() };
    let mut text = match message.status() {
        None => message.method_text().to_owned(),
        Some(status) => format!("{status} {}", message.reason()),
    };
    if message.is_response()
        && let Ok(cseq) = message.cseq()
        && cseq.method != Method::Invite
    {
        let _ = write!(text, " to {}", cseq.method_text);
    }
    if let Some(media) = media_of(&message) {
        let _ = write!(text, " ({media})");
    }
    text
}

/// What the description asks for: codecs, and which way sound goes where not both.
fn media_of(message: &Message) -> Option<String> {
    let description = SessionDescription::parse(message.body()).ok()?;
    let audio = description.media.iter().find(|media| media.kind == "audio")?;
    if audio.port == 0 {
        return Some("no audio".to_owned());
    }
    let mut words: Vec<&str> =
        audio.payload_types().filter_map(|number| encoding(audio.rtpmap(number), number)).collect();
    words.extend(match description.direction_of(audio) {
        Media::SendRecv => None,
        Media::SendOnly => Some("sendonly"),
        Media::RecvOnly => Some("recvonly"),
        Media::Inactive => Some("inactive"),
    });
    Some(words.join(" "))
}

/// The encoding's name; telephone events go without saying.
fn encoding(rtpmap: Option<&str>, number: u8) -> Option<&str> {
    let name = match (rtpmap, number) {
        (Some(rtpmap), _) => rtpmap.split('/').next()?,
        // RFC 3551 table 4: they need no rtpmap.
        (None, 0) => "PCMU",
        (None, 8) => "PCMA",
        (None, 9) => "G722",
        (None, 18) => "G729",
        (None, _) => return None,
    };
    (!name.eq_ignore_ascii_case("telephone-event")).then_some(name)
}
