//! From bytes to [`Message`]: start line, header index, body.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memrchr};

use super::index::{Line, Lines, Span};
use super::{Fault, Faults, Message, Start, Unreadable, check};
use crate::limits::sip as limits;
use crate::sip::header::{Name, scan};
use crate::sip::method::Method;

/// Most messages have fewer headers: one allocation then does.
const USUAL_HEADERS: usize = 24;

pub(super) fn message(mut raw: Bytes) -> Result<Message, Unreadable> {
    let lead = raw.iter().position(|b| !matches!(b, b'\r' | b'\n')).ok_or(Unreadable::Empty)?;
    raw = raw.slice(lead..);
    let mut faults = Faults::default();
    if raw.len() > limits::MESSAGE_BYTES {
        raw.truncate(limits::MESSAGE_BYTES);
        faults.add(Fault::TooLarge);
    }
    let mut lines = Lines::new(&raw);
    let first = lines.next().ok_or(Unreadable::Empty)?;
    let start = start_line(first.text, &mut faults).ok_or(Unreadable::NotSip)?;
    let mut spans = Vec::with_capacity(USUAL_HEADERS);
    let mut rewrite = first.folded || first.bare_cr;
    for line in lines.by_ref() {
        rewrite |= line.folded || line.bare_cr;
        index_line(&line, &mut spans, &mut faults);
    }
    faults.add_if(lines.body_at.is_none(), Fault::Unfinished);
    let body_at = lines.body_at.unwrap_or(raw.len());
    let head = if rewrite { without_folds(&raw, body_at, &mut faults) } else { raw.clone() };
    let mut message = Message { raw, head, start, spans, body_at, faults };
    cut_body(&mut message);
    check::faults(&mut message);
    Ok(message)
}

fn index_line(line: &Line<'_>, spans: &mut Vec<Span>, faults: &mut Faults) {
    if line.text.len() > limits::HEADER_BYTES {
        return faults.add(Fault::HeaderTooLong);
    }
    if spans.len() == limits::HEADERS {
        return faults.add(Fault::TooManyHeaders);
    }
    match Span::of_line(line.text, line.at) {
        Some(span) => spans.push(span),
        None => faults.add(Fault::BadHeaderLine),
    }
}

/// A copy of the head in which each fold and each bare CR is spaces: the offsets stay, and no value holds CR or LF.
fn without_folds(raw: &[u8], body_at: usize, faults: &mut Faults) -> Bytes {
    let mut head = BytesMut::from(raw.get(..body_at).unwrap_or_default());
    let mut lines = Lines::new(raw);
    for line in lines.by_ref() {
        faults.add_if(line.bare_cr, Fault::BareCr);
        if line.folded || line.bare_cr {
            let text = head.get_mut(line.at..line.at + line.text.len()).unwrap_or_default();
            text.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
        }
    }
    head.freeze()
}

fn start_line(line: &[u8], faults: &mut Faults) -> Option<Start> {
    let is_response = line.get(..4).is_some_and(|p| p.eq_ignore_ascii_case(b"SIP/"));
    if is_response { status_line(line, faults) } else { request_line(line, faults) }
}

/// `SIP/2.0 486 Line Busy`. The phrase may be empty, and some leave out the space before it.
fn status_line(line: &[u8], faults: &mut Faults) -> Option<Start> {
    let space = memchr(b' ', line)?;
    check_version(line.get(..space)?, faults);
    let code_at = space + 1;
    let rest = line.get(code_at..)?;
    let code_len = memchr(b' ', rest).unwrap_or(rest.len());
    let code = rest.get(..code_len)?;
    let status = scan::decimal(code, 699).filter(|&c| code.len() == 3 && c >= 100);
    faults.add_if(status.is_none(), Fault::BadStatus);
    let status = status.and_then(|c| u16::try_from(c).ok()).unwrap_or(0);
    let reason_at = (code_at + code_len + 1).min(line.len());
    Some(Start::Response { status, reason: (reason_at, line.len()) })
}

/// `INVITE sip:bob@example.com SIP/2.0`: first word, last word, and what stands between.
fn request_line(line: &[u8], faults: &mut Faults) -> Option<Start> {
    let trimmed = scan::trim_end(line);
    let (first, last) = (memchr(b' ', trimmed)?, memrchr(b' ', trimmed)?);
    let (method, version) = (trimmed.get(..first)?, trimmed.get(last + 1..)?);
    let is_sip = version.get(..4).is_some_and(|p| p.eq_ignore_ascii_case(b"SIP/"));
    if !is_sip || !scan::is_token(method) {
        return None;
    }
    check_version(version, faults);
    let between = trimmed.get(first + 1..last)?;
    let uri = scan::trim(between);
    let lead = between.len() - scan::trim_start(between).len();
    faults.add_if(trimmed.len() != line.len() || uri.len() != between.len(), Fault::BadRequestLine);
    let uri_at = first + 1 + lead;
    Some(Start::Request { method: Method::of(method), method_len: method.len(), uri: (uri_at, uri_at + uri.len()) })
}

fn check_version(version: &[u8], faults: &mut Faults) {
    faults.add_if(!version.eq_ignore_ascii_case(b"SIP/2.0"), Fault::BadVersion);
}

/// RFC 3261 §18.3: Content-Length bounds the body, what follows it is not ours; without one the body is the rest.
fn cut_body(message: &mut Message) {
    let lines = message.spans.iter().filter(|span| span.name == Name::ContentLength);
    let length = content_length(lines.map(|span| message.head.get(span.value()).unwrap_or_default()));
    let here = message.raw.len() - message.body_at;
    match length {
        Ok(Some(length)) if length > here => message.faults.add(Fault::ShortBody),
        Ok(Some(length)) => message.raw.truncate(message.body_at + length),
        Ok(None) => {}
        Err(fault) => message.faults.add(fault),
    }
}

/// The one length that all Content-Length headers agree on. `None` where there is none.
pub(crate) fn content_length<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Option<usize>, Fault> {
    let mut agreed = None;
    for value in values {
        let length = scan::decimal(value, u64::from(u32::MAX)).ok_or(Fault::BadContentLength)?;
        if agreed.is_some_and(|other| other != length) {
            return Err(Fault::ConflictingContentLength);
        }
        agreed = Some(length);
    }
    Ok(agreed.and_then(|length| usize::try_from(length).ok()))
}
