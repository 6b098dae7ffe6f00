//! Making messages: start line, headers in order, body. One buffer that is never copied; sharing it costs a second, small allocation.
//!
//! No value can break out of its line: CR, LF and NUL in anything that enters the head are refused, and the refusal comes out of
//! [`Writer::finish`], so that a chain of calls needs one check.

mod reason;
mod respond;
mod value;

use bytes::Bytes;
use thiserror::Error;

pub use reason::reason_phrase;
pub use respond::{reply_address, respond};
pub use value::{Quoted, Value};

use super::header::{Header, Name, scan};
use super::{Message, Uri};

/// Most messages with a session description fit.
const USUAL_BYTES: usize = 2048;

/// A message in the making.
///
/// ```
/// use strowger::sip::{Name, Writer};
/// let options = Writer::request("OPTIONS", "sip:127.0.0.1")
///     .header(Name::Via, "SIP/2.0/UDP 127.0.0.9;branch=z9hG4bK1;rport")
///     .header(Name::MaxForwards, 70u32)
///     .finish()?;
/// assert!(options.ends_with(b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"));
/// # Ok::<(), strowger::sip::Unwritable>(())
/// ```
#[derive(Clone, Debug)]
pub struct Writer {
    out: Vec<u8>,
    refused: Option<Unwritable>,
}

/// Why a message was not made. A caller's mistake, or text from outside that tried to be more than text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unwritable {
    #[error("the method is not a token")]
    Method,
    #[error("the Request-URI cannot be read as a URI")]
    Uri,
    #[error("the status code is not 100 to 699")]
    Status,
    #[error("the reason phrase holds a line end or NUL")]
    Reason,
    #[error("the header name {0:?} is not a token")]
    HeaderName(String),
    #[error("the value of {0} holds a line end or NUL")]
    HeaderValue(String),
}

impl Writer {
    pub fn request(method: &str, uri: &str) -> Writer {
        let mut writer = Writer::empty();
        writer.refuse_if(!scan::is_token(method.as_bytes()), || Unwritable::Method);
        writer.refuse_if(Uri::parse(uri).is_err(), || Unwritable::Uri);
        for part in [method, " ", uri, " SIP/2.0\r\n"] {
            writer.out.extend_from_slice(part.as_bytes());
        }
        writer
    }

    /// An empty `reason` means the usual one ([`reason_phrase`]).
    pub fn response(status: u16, reason: &str) -> Writer {
        let mut writer = Writer::empty();
        writer.refuse_if(!(100..=699).contains(&status), || Unwritable::Status);
        writer.refuse_if(breaks_line_or_string(reason.as_bytes()), || Unwritable::Reason);
        let reason = if reason.is_empty() { reason_phrase(status) } else { reason };
        writer.out.extend_from_slice(b"SIP/2.0 ");
        status.write(&mut writer.out);
        for part in [" ", reason, "\r\n"] {
            writer.out.extend_from_slice(part.as_bytes());
        }
        writer
    }

    fn empty() -> Writer {
        Writer { out: Vec::with_capacity(USUAL_BYTES), refused: None }
    }

    /// Adds a header line. [`Value`] is text, bytes, numbers, and `format_args!`.
    pub fn header(&mut self, name: Name, value: impl Value) -> &mut Writer {
        self.line(name.as_str(), breaks_line_or_string, |out| value.write(out))
    }

    /// Adds a header that [`Name`] has no row for.
    pub fn extension(&mut self, name: &str, value: impl Value) -> &mut Writer {
        self.line(name, breaks_line_or_string, |out| value.write(out))
    }

    /// Adds a header as it stands in another message: its spelling, its bytes.
    pub fn copy(&mut self, header: &Header<'_>) -> &mut Writer {
        self.line(header.name_text, breaks_line, |out| out.extend_from_slice(header.value))
    }

    /// Adds what goes back to whoever sent it. A NUL, legal in a quoted string (RFC 4475 §3.1.1.2), is theirs to have back.
    fn echo(&mut self, name: Name, value: impl Value) -> &mut Writer {
        self.line(name.as_str(), breaks_line, |out| value.write(out))
    }

    /// Adds every header of that name from another message.
    pub fn copy_all(&mut self, message: &Message, name: Name) -> &mut Writer {
        for header in message.all(name) {
            self.copy(&header);
        }
        self
    }

    /// Ends the message without a body: `Content-Length: 0`.
    pub fn finish(&mut self) -> Result<Bytes, Unwritable> {
        self.close(b"")
    }

    /// Ends the message with a body: Content-Type, Content-Length, the bytes.
    pub fn finish_with(&mut self, content_type: &str, body: &[u8]) -> Result<Bytes, Unwritable> {
        self.header(Name::ContentType, content_type);
        self.close(body)
    }

    fn close(&mut self, body: &[u8]) -> Result<Bytes, Unwritable> {
        self.header(Name::ContentLength, body.len());
        if let Some(refused) = self.refused.take() {
            return Err(refused);
        }
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(body);
        // Transactions keep messages for a minute: no more than the message.
        Ok(core::mem::take(&mut self.out).into_boxed_slice().into())
    }

    fn line(&mut self, name: &str, breaks: fn(&[u8]) -> bool, write: impl FnOnce(&mut Vec<u8>)) -> &mut Writer {
        self.refuse_if(!scan::is_token(name.as_bytes()), || Unwritable::HeaderName(name.into()));
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        let value_at = self.out.len();
        write(&mut self.out);
        let broken = self.out.get(value_at..).is_some_and(breaks);
        self.refuse_if(broken, || Unwritable::HeaderValue(name.into()));
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// The first refusal stays.
    fn refuse_if(&mut self, refuse: bool, why: impl FnOnce() -> Unwritable) {
        if refuse && self.refused.is_none() {
            self.refused = Some(why());
        }
    }
}

fn breaks_line(text: &[u8]) -> bool {
    memchr::memchr2(b'\r', b'\n', text).is_some()
}

/// A NUL ends no line, but it ends strings in the C programs behind us.
fn breaks_line_or_string(text: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', 0, text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_in_the_order_of_the_calls() {
        let bytes = Writer::request("INVITE", "sip:bob@example.com")
            .header(Name::Via, format_args!("SIP/2.0/UDP {};branch={}", "192.0.2.1", "z9hG4bK1"))
            .header(Name::From, format_args!("{} <sip:alice@example.net>;tag=1", Quoted("Alice \"A\" \\ \r\nX: y")))
            .header(Name::CSeq, format_args!("{} INVITE", 7))
            .extension("X-Customer-Tier", "gold")
            .finish_with("application/sdp", b"v=0\r\n");
        let text = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
            From: \"Alice \\\"A\\\" \\\\ X: y\" <sip:alice@example.net>;tag=1\r\nCSeq: 7 INVITE\r\nX-Customer-Tier: gold\r\n\
            Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";
        assert_eq!(bytes, Ok(Bytes::from(text)));
    }

    #[test]
    fn no_value_breaks_out_of_its_line() {
        let good = || Writer::request("BYE", "sip:a@h");
        for bad in ["a\r\nX: y", "a\nX: y", "a\rX: y", "a\0"] {
            let value = |name: &str| Err(Unwritable::HeaderValue(name.into()));
            assert_eq!(good().header(Name::Subject, bad).finish(), value("Subject"));
            assert_eq!(good().header(Name::Subject, bad.as_bytes()).finish(), value("Subject"));
            assert_eq!(good().header(Name::Subject, format_args!("x {bad}")).finish(), value("Subject"));
            assert_eq!(good().extension("X-A", bad).finish(), value("X-A"));
            assert_eq!(good().extension(bad, "x").finish(), Err(Unwritable::HeaderName(bad.into())));
            assert_eq!(good().finish_with(bad, b""), value("Content-Type"));
            assert_eq!(Writer::response(200, bad).finish(), Err(Unwritable::Reason));
            assert_eq!(Writer::request(bad, "sip:a@h").finish(), Err(Unwritable::Method));
            assert_eq!(Writer::request("BYE", &format!("sip:{bad}@h")).finish(), Err(Unwritable::Uri));
        }
        assert_eq!(Writer::request("BYE", "sip:a@h SIP/2.0").finish(), Err(Unwritable::Uri));
        assert_eq!(Writer::response(99, "").finish(), Err(Unwritable::Status));
    }

    #[test]
    fn the_first_refusal_is_the_one_that_comes_out() {
        let made = Writer::response(700, "").header(Name::Subject, "\n").finish();
        assert_eq!(made, Err(Unwritable::Status));
    }

    #[test]
    fn copied_headers_keep_their_spelling_and_their_bytes() {
        let wire = b"INVITE sip:b@h SIP/2.0\r\ns: Caf\xe9\r\n  au lait\r\n\r\n";
        let message = Message::parse(Bytes::from_static(wire)).expect("readable");
        let copy = Writer::response(200, "").copy_all(&message, Name::Subject).finish().expect("written");
        assert_eq!(copy, &b"SIP/2.0 200 OK\r\ns: Caf\xe9    au lait\r\nContent-Length: 0\r\n\r\n"[..]);
    }
}
