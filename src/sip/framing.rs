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
    datagram_within(limits::MESSAGE_BYTES, bytes)
}

/// The same where a message may have `most` bytes: a larger one is to be refused with 513.
pub fn datagram_within(most: usize, bytes: Bytes) -> Datagram {
    if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0 | b' ')) {
        return Datagram::KeepAlive;
    }
    let too_large = bytes.len() > most;
    match Message::parse(bytes) {
        Ok(mut message) => {
            if too_large {
                message.add_fault(Fault::TooLarge);
            }
            Datagram::Message(message)
        }
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
/// Holds at most one message and one feed: over [`limits::sip::MESSAGE_BYTES`](crate::limits::sip::MESSAGE_BYTES), or
/// what [`Framer::within`] says, the stream is broken with a 513.
///
/// | between messages | in a head | in a body |
/// |---|---|---|
/// | CRLF CRLF → `Ping`; one CRLF → nothing; else → head | blank line and Content-Length → body; without a (good) one → `Broken` | all bytes there → `Message` |
#[derive(Clone, Debug)]
pub struct Framer {
    /// Bytes of one message.
    most: usize,
    buffer: BytesMut,
    /// Up to here no blank line ends the head: a byte-by-byte peer costs no more than a fast one.
    scanned: usize,
    /// The length of the message whose head is here in whole.
    awaited: Option<usize>,
    broken: bool,
}

impl Default for Framer {
    fn default() -> Framer {
        Framer::new()
    }
}

impl Framer {
    pub fn new() -> Framer {
        Framer::within(limits::MESSAGE_BYTES)
    }

    /// For messages of at most `most` bytes.
    pub fn within(most: usize) -> Framer {
        let most = most.min(limits::MESSAGE_BYTES);
        Framer { most, buffer: BytesMut::new(), scanned: 0, awaited: None, broken: false }
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
            Some(head_len) if head_len <= self.most => head_len,
            Some(head_len) => return Err((head_len, Fault::TooLarge)),
            None if self.buffer.len() > self.most => return Err((self.buffer.len(), Fault::TooLarge)),
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
        if length > self.most {
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
        Call-ID: c\r\nCSeq: 1 OPTIONS\r\n";

    fn message(length: &str, body: &str) -> String {
        format!("{HEAD}{length}\r\n{body}")
    }

    /// What the framer yields, in short: M and the body, P for a ping, B and the status.
    fn frames(framer: &mut Framer) -> Vec<String> {
        core::iter::from_fn(|| framer.poll())
            .map(|frame| match frame {
                Frame::Message(m) => format!("M {}", m.body().escape_ascii()),
                Frame::Ping => "P".into(),
                Frame::Broken(m) => format!("B {}", m.and_then(|m| m.refusal()).map_or(0, |(status, _)| status)),
            })
            .collect()
    }

    fn at_once(stream: &str) -> Vec<String> {
        let mut framer = Framer::new();
        framer.feed(stream.as_bytes());
        frames(&mut framer)
    }

    fn byte_by_byte(stream: &str) -> Vec<String> {
        let mut framer = Framer::new();
        let mut seen = Vec::new();
        for byte in stream.as_bytes() {
            framer.feed(&[*byte]);
            seen.extend(frames(&mut framer));
        }
        seen
    }

    #[test]
    fn the_table_of_streams_comes_out_the_same_at_once_and_byte_by_byte() {
        let two = message("Content-Length: 3\r\n", "abc") + message("l: 0\r\n", "").as_str();
        for (what, stream, expected) in [
            ("two messages back to back", two.as_str(), &["M abc", "M "][..]),
            ("white space before the colon", &message("Content-Length : 5\r\n", "abcde"), &["M abcde"]),
            ("a folded length", &message("Content-Length:\r\n 5\r\n", "abcde"), &["M abcde"]),
            ("the compact name", &message("L:5\r\n", "abcde"), &["M abcde"]),
            ("two equal lengths", &message("l: 5\r\nContent-Length: 05\r\n", "abcde"), &["M abcde"]),
            ("two lengths that differ", &message("l: 5\r\nContent-Length: 0\r\n", "abcde"), &["B 400"]),
            ("no length", &message("", "abcde"), &["B 400"]),
            ("a negative length", &message("l: -1\r\n", "abcde"), &["B 400"]),
            ("a length in words", &message("l: five\r\n", "abcde"), &["B 400"]),
            ("a length past the limit", &message("l: 99999999\r\n", "abcde"), &["B 513"]),
            ("a length past every integer", &message("l: 99999999999999999999\r\n", "abcde"), &["B 400"]),
            ("a ping before and after", &format!("\r\n\r\n{}\r\n\r\n", message("l: 0\r\n", "")), &["P", "M ", "P"]),
            ("a pong before a message", &format!("\r\n{}", message("l: 0\r\n", "")), &["M "]),
            ("three line ends", &format!("\r\n\r\n\r\n{}", message("l: 0\r\n", "")), &["P", "M "]),
            ("a blank line inside the body", &message("l: 8\r\n", "a\r\n\r\nbcd"), &["M a\\r\\n\\r\\nbcd"]),
            ("lone line feeds", &message("l: 2\r\n", "ok").replace("\r\n", "\n"), &["M ok"]),
            ("HTTP", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", &["B 0"]),
            ("HTTP with a length", "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", &["B 0"]),
            ("half a message", "OPTIONS sip:h SIP/2.0\r\nl: 0\r\n", &[]),
        ] {
            assert_eq!(at_once(stream), expected, "{what}");
            assert_eq!(byte_by_byte(stream), expected, "{what}, byte by byte");
        }
    }

    #[test]
    fn nothing_comes_after_a_broken_stream_and_nothing_is_kept() {
        let mut framer = Framer::new();
        framer.feed(message("", "").as_bytes());
        assert_eq!(frames(&mut framer), ["B 400"]);
        framer.feed(message("l: 0\r\n", "").as_bytes());
        assert_eq!((frames(&mut framer).len(), framer.pending()), (0, 0));
    }

    #[test]
    fn a_head_without_end_is_cut_off_at_the_limit_with_a_513() {
        let mut framer = Framer::new();
        framer.feed(HEAD.as_bytes());
        for _ in 0..limits::MESSAGE_BYTES.div_ceil(1000) {
            assert_eq!(framer.poll(), None);
            framer.feed(&[b"X: ", [b'x'; 995].as_slice(), b"\r\n"].concat());
        }
        assert_eq!(frames(&mut framer), ["B 513"]);
        assert_eq!(framer.pending(), 0);
    }

    #[test]
    fn datagrams_of_line_ends_keep_the_nat_open_and_say_nothing() {
        for keep_alive in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b" "] {
            assert_eq!(datagram(Bytes::from_static(keep_alive)), Datagram::KeepAlive);
        }
        for junk in
            [&b"hello"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x80\xc8\0\x06", b"INVITE\r\n", b" INVITE sip:a SIP/2.0"]
        {
            assert_eq!(datagram(Bytes::from_static(junk)), Datagram::Unreadable);
        }
    }

    #[test]
    fn a_datagram_past_the_limit_is_read_as_far_as_it_needs_for_its_513() {
        let long = message("", &"x".repeat(limits::MESSAGE_BYTES));
        let Datagram::Message(m) = datagram(Bytes::from(long)) else { panic!("it is SIP") };
        assert_eq!(m.refusal(), Some((513, "Message Too Large")));
        assert_eq!(m.bytes().len(), limits::MESSAGE_BYTES);
    }
}
