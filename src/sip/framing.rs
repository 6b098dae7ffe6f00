//! Where one message ends and the next begins, on datagrams and on streams (RFC 3261 §18.3, RFC 5626 §4.4.1).

use bytes::{Buf, Bytes, BytesMut};

use super::header::Name;
use super::message::{Fault, Lines, Message, Unreadable, content_length};
use crate::limits::sip as limits;

/// What one datagram or one WebSocket message holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// Nothing but line ends or NULs: a NAT keep-alive. No answer.
    KeepAlive,
    Message(Message),
    /// Not SIP: count it and forget it.
    Unreadable,
}

/// Reads a datagram. Bytes after Content-Length are passed over; without one the body is the rest.
pub fn datagram(bytes: Bytes) -> Datagram {
    if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0 | b' ')) {
        return Datagram::KeepAlive;
    }
    match Message::parse(bytes) {
        Ok(message) => Datagram::Message(message),
        Err(Unreadable::Empty) => Datagram::KeepAlive,
        Err(Unreadable::NotSip) => Datagram::Unreadable,
    }
}

/// What a stream yields next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Message(Message),
    /// CRLF CRLF between messages: answer with one CRLF (RFC 5626 §4.4.1).
    Ping,
    /// The stream cannot be followed any further: send the answer that the message asks for
    /// ([`Message::refusal`]), if there is a message, and close. Nothing comes after it.
    Broken(Option<Message>),
}

/// Cuts a TCP or TLS stream into messages. Feed what was read, then poll until `None`.
///
/// Holds at most one message and one feed: over [`limits::sip::MESSAGE_BYTES`](crate::limits::sip::MESSAGE_BYTES)
/// the stream is broken with a 513.
///
/// | between messages | in a head | in a body |
/// |---|---|---|
/// | CRLF CRLF → `Ping`; one CRLF → nothing; else → head | blank line and Content-Length → body; without a (good) one → `Broken` | all bytes there → `Message` |
#[derive(Clone, Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// Up to here no blank line ends the head: a byte-by-byte peer costs no more than a fast one.
    scanned: usize,
    /// The length of the message whose head is here in whole.
    awaited: Option<usize>,
    broken: bool,
}

impl Framer {
    pub fn new() -> Framer {
        Framer::default()
    }

    /// Takes what was read from the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next frame, or `None` until more is fed.
    pub fn poll(&mut self) -> Option<Frame> {
        if self.broken {
            return None;
        }
        if self.awaited.is_none() {
            if let Some(frame) = self.skip_line_ends() {
                return Some(frame);
            }
            if matches!(self.buffer.first(), None | Some(b'\r' | b'\n')) {
                return None;
            }
            match self.find_length() {
                Ok(length) => self.awaited = length,
                Err((head_len, fault)) => return Some(self.give_up(head_len, fault)),
            }
        }
        let length = self.awaited?;
        if self.buffer.len() < length {
            return None;
        }
        (self.awaited, self.scanned) = (None, 0);
        let message = Message::parse(self.buffer.split_to(length).freeze());
        Some(message.map_or_else(|_| self.break_off(None), Frame::Message))
    }

    /// Bytes of a message that has begun: a peer that leaves them standing is slow or hostile.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// RFC 3261 §7.5: line ends before a start line say nothing; two together are a ping.
    fn skip_line_ends(&mut self) -> Option<Frame> {
        if self.scanned > 0 {
            return None;
        }
        loop {
            match self.buffer.as_ref() {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.buffer.advance(4);
                    return Some(Frame::Ping);
                }
                // Maybe half a ping.
                [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return None,
                [b'\r', b'\n', ..] => self.buffer.advance(2),
                [b'\r' | b'\n', ..] => self.buffer.advance(1),
                _ => return None,
            }
        }
    }

    /// The length of the whole message once its head is here; `Err` carries where the head ends.
    fn find_length(&mut self) -> Result<Option<usize>, (usize, Fault)> {
        let head_len = match self.head_end() {
            Some(head_len) if head_len <= limits::MESSAGE_BYTES => head_len,
            Some(head_len) => return Err((head_len, Fault::TooLarge)),
            None if self.buffer.len() > limits::MESSAGE_BYTES => return Err((self.buffer.len(), Fault::TooLarge)),
            None => return Ok(None),
        };
        let head = self.buffer.get(..head_len).unwrap_or_default();
        let lengths = Lines::new(head).skip(1).filter_map(|line| line.value_of(Name::ContentLength));
        let body_len = match content_length(lengths) {
            Ok(Some(body_len)) => body_len,
            Ok(None) => return Err((head_len, Fault::MissingContentLength)),
            Err(fault) => return Err((head_len, fault)),
        };
        let length = head_len.saturating_add(body_len);
        if length > limits::MESSAGE_BYTES {
            return Err((head_len, Fault::TooLarge));
        }
        Ok(Some(length))
    }

    /// Where the body begins. Resumes where the last look ended.
    fn head_end(&mut self) -> Option<usize> {
        let bytes = self.buffer.as_ref();
        let mut at = self.scanned;
        while let Some(lf) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let next = at + lf + 1;
            match bytes.get(next..) {
                Some([b'\n', ..]) => return Some(next + 1),
                Some([b'\r', b'\n', ..]) => return Some(next + 2),
                // Undecided: look at this line end again when more is here.
                Some([] | [b'\r']) => {
                    self.scanned = at + lf;
                    return None;
                }
                _ => at = next,
            }
        }
        self.scanned = bytes.len();
        None
    }

    fn give_up(&mut self, head_len: usize, fault: Fault) -> Frame {
        let head = self.buffer.split_to(head_len.min(self.buffer.len())).freeze();
        let message = Message::parse(head).ok().map(|mut message| {
            message.add_fault(fault);
            message
        });
        self.break_off(message)
    }

    fn break_off(&mut self, message: Option<Message>) -> Frame {
        self.broken = true;
        self.buffer = BytesMut::new();
        Frame::Broken(message)
    }
}
