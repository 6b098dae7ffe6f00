//! Session descriptions as a simulated phone writes and reads them (RFC 4566), with offer and answer (RFC 3264):
//! one audio stream, PCMU or PCMA, telephone-event. Independent of our own `sdp` on purpose.

use core::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use super::report::MediaPath;
use crate::codec::Codec;

/// Which way media flows, seen from whoever wrote the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    const ALL: [(Direction, &'static str); 4] = [
        (Direction::SendRecv, "sendrecv"),
        (Direction::SendOnly, "sendonly"),
        (Direction::RecvOnly, "recvonly"),
        (Direction::Inactive, "inactive"),
    ];

    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    const fn from_flags(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(direction, _)| *direction == self).map_or("sendrecv", |(_, name)| name)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, other)| *other == name).map(|(direction, _)| *direction)
    }
}

/// One side's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `o=`: an id that stays, and a version that rises by one with each change (RFC 3264 §8).
    pub id: u32,
    pub version: u32,
    pub address: SocketAddr,
    /// In order of preference.
    pub codecs: Vec<Codec>,
    /// Payload type of telephone-event/8000.
    pub event_payload_type: Option<u8>,
    pub direction: Direction,
}

/// Payload type that simulated phones offer for telephone-event.
pub const EVENT_PAYLOAD_TYPE: u8 = 101;

impl Session {
    pub fn new(id: u32, address: SocketAddr, codecs: &[Codec]) -> Self {
        let (codecs, event_payload_type) = (codecs.to_vec(), Some(EVENT_PAYLOAD_TYPE));
        Self { id, version: 1, address, codecs, event_payload_type, direction: Direction::SendRecv }
    }

    /// The text of `application/sdp`.
    pub fn write(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let mut formats: Vec<String> =
            self.codecs.iter().map(|codec| codec.static_payload_type().to_string()).collect();
        formats.extend(self.event_payload_type.map(|payload_type| payload_type.to_string()));
        let mut text = format!(
            "v=0\r\no=- {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {}\r\n",
            self.id,
            self.version,
            formats.join(" ")
        );
        for codec in &self.codecs {
            // Writing to a String cannot fail.
            let _ = write!(text, "a=rtpmap:{} {}/8000\r\n", codec.static_payload_type(), codec.name());
        }
        if let Some(payload_type) = self.event_payload_type {
            let _ = write!(text, "a=rtpmap:{payload_type} telephone-event/8000\r\na=fmtp:{payload_type} 0-15\r\n");
        }
        let _ = write!(text, "a=ptime:20\r\na={}\r\n", self.direction.name());
        text
    }

    /// Reads a description; formats that we do not speak are left out.
    pub fn parse(text: &str) -> Result<Self, SessionError> {
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.read(line.trim_end());
        }
        reader.finish()
    }

    /// The answer to `offer` from a phone that would have offered `self`: the first of the offerer's formats that
    /// we speak, telephone-event where it was offered, the direction mirrored (RFC 3264 §6.1).
    pub fn answer(&self, offer: &Session) -> Result<Session, SessionError> {
        let codec = offer.codecs.iter().find(|codec| self.codecs.contains(codec)).ok_or(SessionError::NoCommonCodec)?;
        let sends = self.direction.sends() && offer.direction.receives();
        let receives = self.direction.receives() && offer.direction.sends();
        Ok(Session {
            codecs: vec![*codec],
            event_payload_type: offer.event_payload_type,
            direction: Direction::from_flags(sends, receives),
            ..self.clone()
        })
    }

    /// Where media goes once `theirs` and `self` are agreed; `answer` is whichever of both was the answer.
    pub fn path(&self, theirs: &Session, answer: &Session) -> Result<MediaPath, SessionError> {
        let common = |codec: &&Codec| self.codecs.contains(codec) && theirs.codecs.contains(codec);
        let codec = *answer.codecs.iter().find(common).ok_or(SessionError::NoCommonCodec)?;
        // RFC 3264 §8.4: an address of zeros is the older way to say "do not send".
        let reachable = theirs.address.port() != 0 && !theirs.address.ip().is_unspecified();
        Ok(MediaPath {
            local: self.address,
            remote: theirs.address,
            codec,
            event_payload_type: self.event_payload_type.and(theirs.event_payload_type),
            send: self.direction.sends() && theirs.direction.receives() && reachable,
            receive: self.direction.receives() && theirs.direction.sends(),
        })
    }
}

/// Why a description is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("the description has no audio stream")]
    NoAudio,
    #[error("the audio stream has no address")]
    NoAddress,
    #[error("no common codec: the phone speaks PCMU and PCMA")]
    NoCommonCodec,
}

/// Gathers what the lines say about the first audio stream; session-level `c=` and direction are its defaults.
#[derive(Default)]
struct Reader {
    id: u32,
    version: u32,
    session_ip: Option<IpAddr>,
    session_direction: Option<Direction>,
    place: Place,
    audio_port: Option<u16>,
    audio_ip: Option<IpAddr>,
    formats: Vec<u8>,
    event_payload_type: Option<u8>,
    audio_direction: Option<Direction>,
}

/// Which part of the description the reader stands in; only the first audio stream counts.
#[derive(Default, PartialEq, Eq)]
enum Place {
    #[default]
    Session,
    FirstAudio,
    OtherStream,
}

impl Reader {
    fn read(&mut self, line: &str) {
        let Some((kind, value)) = line.split_once('=') else { return };
        match kind {
            "o" => self.origin(value),
            "m" => self.media(value),
            _ if self.place == Place::OtherStream => {}
            "c" => self.connection(value),
            "a" => self.attribute(value),
            _ => {}
        }
    }

    fn origin(&mut self, value: &str) {
        let mut words = value.split(' ').skip(1);
        // Only our own kind keeps these in 32 bits; others are read for their media alone.
        self.id = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        self.version = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    }

    fn media(&mut self, value: &str) {
        let mut words = value.split(' ');
        if self.audio_port.is_some() || words.next() != Some("audio") {
            self.place = Place::OtherStream;
            return;
        }
        self.place = Place::FirstAudio;
        self.audio_port = words.next().and_then(|word| word.parse().ok());
        self.formats = words.skip(1).filter_map(|word| word.parse().ok()).collect();
    }

    fn connection(&mut self, value: &str) {
        let ip = value.split(' ').nth(2).and_then(|word| word.parse().ok());
        match self.place {
            Place::FirstAudio => self.audio_ip = ip,
            _ => self.session_ip = ip,
        }
    }

    fn attribute(&mut self, value: &str) {
        if let Some(direction) = Direction::from_name(value) {
            match self.place {
                Place::FirstAudio => self.audio_direction = Some(direction),
                _ => self.session_direction = Some(direction),
            }
        }
        if let Some((payload_type, name)) = value.strip_prefix("rtpmap:").and_then(|map| map.split_once(' '))
            && name.eq_ignore_ascii_case("telephone-event/8000")
        {
            self.event_payload_type = payload_type.parse().ok();
        }
    }

    fn finish(self) -> Result<Session, SessionError> {
        let port = self.audio_port.ok_or(SessionError::NoAudio)?;
        let ip = self.audio_ip.or(self.session_ip).ok_or(SessionError::NoAddress)?;
        let codec = |payload_type: &u8| {
            [Codec::Pcmu, Codec::Pcma].into_iter().find(|c| c.static_payload_type() == *payload_type)
        };
        Ok(Session {
            id: self.id,
            version: self.version,
            address: SocketAddr::new(ip, port),
            codecs: self.formats.iter().filter_map(codec).collect(),
            event_payload_type: self.event_payload_type.filter(|payload_type| self.formats.contains(payload_type)),
            direction: self.audio_direction.or(self.session_direction).unwrap_or(Direction::SendRecv),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Session {
        Session::new(7, "127.0.2.1:40000".parse().unwrap(), &[Codec::Pcmu, Codec::Pcma])
    }

    #[test]
    fn a_description_is_read_as_it_was_written() {
        for direction in [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
            let session = Session { direction, version: 4, ..ours() };
            assert_eq!(Session::parse(&session.write()), Ok(session));
        }
    }

    #[test]
    fn a_carriers_offer_with_more_than_we_speak_is_answered_in_its_order() {
        let offer = "v=0\r\no=CARRIER 123456789012 1 IN IP4 127.9.9.9\r\ns=call\r\nc=IN IP4 127.0.9.1\r\nt=0 0\r\n\
            m=image 0 udptl t38\r\nm=audio 20000 RTP/AVP 9 8 0 96\r\na=rtpmap:9 G722/8000\r\na=rtpmap:96 telephone-event/8000\r\n\
            m=video 20002 RTP/AVP 31\r\nc=IN IP4 127.0.9.2\r\na=inactive\r\n";
        let offer = Session::parse(offer).unwrap();
        let answer = ours().answer(&offer).unwrap();
        assert_eq!(answer.codecs, [Codec::Pcma]);
        assert_eq!(answer.event_payload_type, Some(96));
        let path = answer.path(&offer, &answer).unwrap();
        assert_eq!(path.remote, "127.0.9.1:20000".parse().unwrap());
        assert!(path.send && path.receive);
    }

    #[test]
    fn hold_is_mirrored_and_stops_what_it_says() {
        let hold = Session { direction: Direction::SendOnly, ..ours() };
        let held = ours().answer(&hold).unwrap();
        assert_eq!(held.direction, Direction::RecvOnly);
        let path = held.path(&hold, &held).unwrap();
        assert!(!path.send && path.receive);
        let zeros = Session { address: "0.0.0.0:4000".parse().unwrap(), ..ours() };
        assert!(!ours().path(&zeros, &zeros).unwrap().send);
    }

    #[test]
    fn no_common_codec_and_no_audio_are_said() {
        let foreign = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 18\r\n";
        assert_eq!(ours().answer(&Session::parse(foreign).unwrap()), Err(SessionError::NoCommonCodec));
        assert_eq!(Session::parse("v=0\r\nm=video 1 RTP/AVP 31\r\n"), Err(SessionError::NoAudio));
        assert_eq!(Session::parse("m=audio 4000 RTP/AVP 0\r\n"), Err(SessionError::NoAddress));
    }
}
