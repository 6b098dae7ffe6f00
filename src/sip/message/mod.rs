//! A SIP message: the bytes as they came, an index of where its headers stand, and what is wrong with it.
//!
//! Nothing is copied and nothing is rewritten: [`Message::bytes`] of an untouched message are the bytes of the wire, in their order,
//! case, folding and encoding. Typed views are made from the index when asked for. A message without [faults](Message::faults)
//! has a readable top Via, From, To, Call-ID, CSeq and, where present, Contact, Route, Record-Route and Max-Forwards.
//!
//! Cost sketch: one pass of memchr over about 1 kB, one allocation for the index, one more where a header is folded.

mod check;
mod fault;
mod index;
mod parse;
mod view;

use core::fmt;
use core::ops::Range;

use bytes::Bytes;
use thiserror::Error;

pub use fault::{Fault, Faults, Verdict};
pub(super) use index::Lines;
pub(super) use parse::content_length;

use super::header::{Header, Name, scan};
use super::method::Method;
use index::Span;

/// A request or a response. Cloning shares the bytes and copies the index (some 500 bytes).
#[derive(Clone)]
pub struct Message {
    raw: Bytes,
    /// The head as views see it: `raw`, or a copy of its head with each fold and bare CR turned into spaces. Same offsets.
    head: Bytes,
    start: Start,
    spans: Vec<Span>,
    body_at: usize,
    faults: Faults,
}

/// The first line. Spans are offsets into the head.
#[derive(Clone, Copy, Debug)]
enum Start {
    Request { method: Method, method_len: usize, uri: (usize, usize) },
    Response { status: u16, reason: (usize, usize) },
}

/// Bytes that are not a SIP message at all; there is nothing to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Nothing, or line ends only: a keep-alive.
    #[error("there is nothing but line ends")]
    Empty,
    #[error("the first line is neither a SIP request nor a SIP response")]
    NotSip,
}

impl Message {
    /// Reads one datagram, WebSocket message or framed piece of a stream.
    ///
    /// Leading line ends are skipped. The body is what Content-Length says, or the rest without one (RFC 3261 §18.3);
    /// bytes after it are cut off. What is wrong but readable ends in [`Message::faults`].
    pub fn parse(raw: Bytes) -> Result<Message, Unreadable> {
        parse::message(raw)
    }

    /// The message as it came (without leading line ends and without what trailed its Content-Length).
    pub const fn bytes(&self) -> &Bytes {
        &self.raw
    }

    pub const fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    pub const fn is_response(&self) -> bool {
        !self.is_request()
    }

    /// The request's method; `None` for a response, whose method stands in [`Message::cseq`].
    pub const fn method(&self) -> Option<Method> {
        match self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The request's method as written; empty for a response.
    pub fn method_text(&self) -> &str {
        match self.start {
            Start::Request { method_len, .. } => self.text(0..method_len),
            Start::Response { .. } => "",
        }
    }

    /// The Request-URI as written; empty for a response and for one that is not UTF-8.
    pub fn uri_text(&self) -> &str {
        match self.start {
            Start::Request { uri: (from, to), .. } => self.text(from..to),
            Start::Response { .. } => "",
        }
    }

    /// The status code, 100 to 699; 0 where it was none of these (and then [`Fault::BadStatus`] is set). `None` for a request.
    pub const fn status(&self) -> Option<u16> {
        match self.start {
            Start::Response { status, .. } => Some(status),
            Start::Request { .. } => None,
        }
    }

    /// The reason phrase as written, maybe empty; empty where it is not UTF-8.
    pub fn reason(&self) -> &str {
        match self.start {
            Start::Response { reason: (from, to), .. } => self.text(from..to),
            Start::Request { .. } => "",
        }
    }

    /// Every indexed header in the order of the wire.
    pub fn headers(&self) -> impl DoubleEndedIterator<Item = Header<'_>> + Clone {
        self.spans.iter().map(|span| self.header_at(span))
    }

    /// The first header of that name.
    pub fn header(&self, name: Name) -> Option<Header<'_>> {
        self.all(name).next()
    }

    /// Every header of that name, in order.
    pub fn all(&self, name: Name) -> impl Iterator<Item = Header<'_>> + Clone {
        self.spans.iter().filter(move |span| span.name == name).map(|span| self.header_at(span))
    }

    /// The first header spelt so, without case: for names that are not in the table, `X-Customer-Tier`.
    pub fn named<'a>(&'a self, name: &'a str) -> Option<Header<'a>> {
        self.headers().find(|header| header.name_text.eq_ignore_ascii_case(name))
    }

    /// The body, cut at Content-Length. Any bytes at all.
    pub fn body(&self) -> &[u8] {
        self.raw.get(self.body_at..).unwrap_or_default()
    }

    /// The body as shared bytes, without a copy.
    pub fn body_bytes(&self) -> Bytes {
        self.raw.slice(self.body_at.min(self.raw.len())..)
    }

    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// What to do with this message before any transaction sees it.
    pub fn verdict(&self) -> Verdict {
        let Some(first) = self.faults.iter().next() else { return Verdict::Accept };
        match self.method() {
            None | Some(Method::Ack) => Verdict::Drop,
            Some(_) if self.faults.has(Fault::MissingVia) => Verdict::Drop,
            Some(_) => {
                let (status, reason) = first.answer();
                Verdict::Refuse { status, reason }
            }
        }
    }

    /// The answer that a faulty request gets; `None` where there is none to give ([`Message::verdict`] tells why).
    pub fn refusal(&self) -> Option<(u16, &'static str)> {
        match self.verdict() {
            Verdict::Refuse { status, reason } => Some((status, reason)),
            Verdict::Accept | Verdict::Drop => None,
        }
    }

    pub(crate) fn add_fault(&mut self, fault: Fault) {
        self.faults.add(fault);
    }

    fn header_at(&self, span: &Span) -> Header<'_> {
        Header {
            name: span.name,
            name_text: self.text(span.name()),
            value: self.head.get(span.value()).unwrap_or_default(),
        }
    }

    fn text(&self, range: Range<usize>) -> &str {
        self.head.get(range).and_then(scan::utf8).unwrap_or_default()
    }
}

/// The first line, for logs.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status() {
            Some(status) => write!(f, "{status} {}", self.reason()),
            None => write!(f, "{} {}", self.method_text(), self.uri_text()),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.raw))
    }
}

/// Byte equality: the wire decides.
impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Message {}
