//! Offer and answer for one audio stream (RFC 3264): what both ends can do, and where each wants its packets.

use std::net::{IpAddr, SocketAddr};

use super::description::{Attribute, Connection, Direction, Media, Origin, SessionDescription};
use crate::codec::Codec;

/// The negotiating end of one leg: remembers what it said last, so that a later description keeps its `m=` lines and
/// raises the version of its `o=` line exactly when something changed (RFC 3264 §8).
///
/// ```text
///  they offer:  handle_offer(offer, local) → our answer, and the stream
///  we offer:    make_offer(local) → our offer;  handle_answer(answer) → the stream
/// ```
#[derive(Clone, Debug)]
pub struct AudioSession {
    session_id: u64,
    /// What we take, most wanted first.
    codecs: Vec<Codec>,
    /// The last description we sent.
    said: Option<SessionDescription>,
    /// The stream in force.
    stream: Option<AudioStream>,
}

/// Our end of the stream, as the next description shall say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where the far side is told to send: the public address where one is configured.
    pub address: IpAddr,
    /// The RTP port; RTCP is one above.
    pub port: u16,
    /// What we want: `SendOnly` puts the far side on hold.
    pub direction: Direction,
}

/// The agreed stream, seen from us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioStream {
    pub codec: Codec,
    pub payload_type: PayloadTypes,
    /// RFC 4733 events at the codec's clock rate, where both ends take them.
    pub telephone_event: Option<PayloadTypes>,
    /// Milliseconds of audio the far side wants in a packet; 20 unless it says otherwise.
    pub ptime_ms: u16,
    /// Where RTP goes. `None` while the far side wants none: an address of 0.0.0.0 or ::.
    pub rtp: Option<SocketAddr>,
    /// Where RTCP goes: the port above, or what `a=rtcp` says (RFC 3605).
    pub rtcp: Option<SocketAddr>,
    /// What we may do: `RecvOnly` means that the far side holds us.
    pub direction: Direction,
}

/// The numbers one format goes by. They differ only where an answer renumbers our offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadTypes {
    /// What we put on packets we send.
    pub send: u8,
    /// What the far side puts on packets we get.
    pub receive: u8,
}

/// Why a description leads to no stream; 488 on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAcceptable {
    #[error("no audio stream over RTP/AVP")]
    NoAudio,
    #[error("no codec in common")]
    NoCodec,
    #[error("no usable media address")]
    NoAddress,
    #[error("the answer has other media lines than the offer")]
    Mismatch,
}

/// Milliseconds of audio in a packet where nothing is said (RFC 3551 §4.2).
const PTIME_MS: u16 = 20;
/// The longest packet we send, milliseconds: 160 B · 6 stays far below any MTU.
const PTIME_MAX_MS: u16 = 120;
/// Our payload type for telephone-event at 8 kHz: what nearly everybody uses.
const TELEPHONE_EVENT: u8 = 101;

impl AudioSession {
    /// `session_id` should be unique among our sessions; `codecs` is what we take, most wanted first.
    pub fn new(session_id: u64, codecs: &[Codec]) -> Self {
        Self { session_id, codecs: codecs.to_vec(), said: None, stream: None }
    }

    /// The stream in force.
    pub fn stream(&self) -> Option<&AudioStream> {
        self.stream.as_ref()
    }

    /// The description we sent last.
    pub fn said(&self) -> Option<&SessionDescription> {
        self.said.as_ref()
    }

    /// Answers an offer (RFC 3264 §6). The first audio stream we can take is taken, every other gets port 0.
    /// On an error nothing has changed: the running stream goes on (RFC 3264 §8).
    pub fn handle_offer(
        &mut self,
        offer: &SessionDescription,
        local: LocalMedia,
    ) -> Result<(SessionDescription, AudioStream), NotAcceptable> {
        let (at, media, codec, payload_type) = self.choose(offer)?;
        let (rtp, rtcp) = addresses(offer, media)?;
        let telephone_event = telephone_event(media, codec).map(same);
        let direction = local.direction.and(their_direction(offer, media, rtp).reversed());
        let stream = AudioStream {
            codec,
            payload_type: same(payload_type),
            telephone_event,
            ptime_ms: ptime(media),
            rtp,
            rtcp,
            direction,
        };
        let formats = [Some((codec, payload_type))];
        let ours = audio(
            local,
            &media.protocol,
            formats.into_iter().flatten(),
            telephone_event.map(|t| t.receive),
            codec,
            direction,
        );
        let lines = offer.media.iter().enumerate();
        let media = lines.map(|(i, theirs)| if i == at { ours.clone() } else { refused(theirs) }).collect();
        let answer = self.say(local.address, media);
        self.stream = Some(stream.clone());
        Ok((answer, stream))
    }

    /// Offers what we can, in the place of the stream in force where there is one (RFC 3264 §8).
    pub fn make_offer(&mut self, local: LocalMedia) -> SessionDescription {
        let running = self.stream.clone();
        // A running stream keeps its numbers (RFC 3264 §8.3.2) and offers its codec first.
        let mut codecs: Vec<(Codec, u8)> =
            self.codecs.iter().map(|codec| (*codec, codec.static_payload_type())).collect();
        if let Some(stream) = &running {
            codecs.retain(|(codec, _)| *codec != stream.codec);
            codecs.insert(0, (stream.codec, stream.payload_type.receive));
        }
        let clock = codecs.first().map_or(Codec::Pcmu, |(codec, _)| *codec);
        let events = match &running {
            Some(stream) => stream.telephone_event.map(|types| types.receive),
            None => Some(TELEPHONE_EVENT),
        };
        let ours = audio(local, "RTP/AVP", codecs.into_iter(), events, clock, local.direction);
        let media = match &self.said {
            Some(said) if running.is_some() => {
                said.media.iter().map(|line| if line.port == 0 { line.clone() } else { ours.clone() }).collect()
            }
            _ => vec![ours],
        };
        self.say(local.address, media)
    }

    /// Takes the answer to our last offer. Several may come: one from each fork, and one early and one final.
    pub fn handle_answer(&mut self, answer: &SessionDescription) -> Result<AudioStream, NotAcceptable> {
        let offer = self.said.as_ref().ok_or(NotAcceptable::Mismatch)?;
        if answer.media.len() != offer.media.len() {
            return Err(NotAcceptable::Mismatch);
        }
        let lines = offer.media.iter().zip(&answer.media);
        let (ours, theirs) = lines.into_iter().find(|(ours, _)| ours.port != 0).ok_or(NotAcceptable::NoAudio)?;
        if theirs.port == 0 || theirs.kind != ours.kind {
            return Err(NotAcceptable::NoAudio);
        }
        let (codec, send) =
            codecs_of(theirs).find(|(codec, _)| self.codecs.contains(codec)).ok_or(NotAcceptable::NoCodec)?;
        let receive = codecs_of(ours).find(|(offered, _)| *offered == codec).ok_or(NotAcceptable::NoCodec)?.1;
        let (rtp, rtcp) = addresses(answer, theirs)?;
        let events = telephone_event(theirs, codec).zip(telephone_event(ours, codec));
        let offered = Direction::from_attribute(direction_attribute(ours)).unwrap_or_default();
        let stream = AudioStream {
            codec,
            payload_type: PayloadTypes { send, receive },
            telephone_event: events.map(|(send, receive)| PayloadTypes { send, receive }),
            ptime_ms: ptime(theirs),
            rtp,
            rtcp,
            direction: offered.and(their_direction(answer, theirs, rtp).reversed()),
        };
        self.stream = Some(stream.clone());
        Ok(stream)
    }

    /// The first audio line we can take, and the codec of ours that it likes best.
    fn choose<'a>(&self, offer: &'a SessionDescription) -> Result<(usize, &'a Media, Codec, u8), NotAcceptable> {
        let audio = |media: &&'a Media| media.kind == "audio" && media.port != 0 && takes_protocol(&media.protocol);
        let mut streams = offer.media.iter().enumerate().filter(|(_, media)| audio(media)).peekable();
        streams.peek().ok_or(NotAcceptable::NoAudio)?;
        streams
            .find_map(|(at, media)| {
                let (codec, number) = codecs_of(media).find(|(codec, _)| self.codecs.contains(codec))?;
                Some((at, media, codec, number))
            })
            .ok_or(NotAcceptable::NoCodec)
    }

    fn say(&mut self, address: IpAddr, media: Vec<Media>) -> SessionDescription {
        let mut description = SessionDescription {
            origin: Origin {
                username: "-".to_owned(),
                session_id: self.session_id.to_string(),
                version: 1,
                address: Connection::Address(address),
            },
            name: "-".to_owned(),
            connection: Some(Connection::Address(address)),
            attributes: Vec::new(),
            media,
        };
        if let Some(said) = &self.said {
            description.origin.version = said.origin.version;
            if description != *said {
                description.origin.version += 1;
            }
        }
        self.said = Some(description.clone());
        description
    }
}

const fn same(number: u8) -> PayloadTypes {
    PayloadTypes { send: number, receive: number }
}

/// Plain RTP. The AVPF profile asks for nothing we must do (RFC 4585 §3); secured profiles come with their keys.
fn takes_protocol(protocol: &str) -> bool {
    ["RTP/AVP", "RTP/AVPF"].iter().any(|known| known.eq_ignore_ascii_case(protocol))
}

/// The codecs of a line in its order, each with its payload type; what we don't know is passed over.
fn codecs_of(media: &Media) -> impl Iterator<Item = (Codec, u8)> {
    media.payload_types().filter_map(|number| {
        let codec = match media.rtpmap(number) {
            Some(mapping) => Codec::from_rtpmap(mapping),
            None => Codec::from_static(number),
        };
        Some((codec?, number))
    })
}

/// The payload type of telephone-event at the codec's clock rate; browsers offer it at several.
fn telephone_event(media: &Media, codec: Codec) -> Option<u8> {
    media.payload_types().find(|number| {
        let mapping = media.rtpmap(*number).and_then(|mapping| mapping.split_once('/'));
        mapping.is_some_and(|(name, rate)| {
            name.eq_ignore_ascii_case("telephone-event") && rate.parse() == Ok(codec.clock_rate())
        })
    })
}

fn ptime(media: &Media) -> u16 {
    let wanted = |name| media.attribute(name).and_then(|value| value.parse::<f32>().ok()).map(|ms| ms as u16);
    let most = wanted("maxptime").filter(|ms| *ms >= 10).unwrap_or(PTIME_MAX_MS).min(PTIME_MAX_MS);
    wanted("ptime").filter(|ms| *ms >= 10).unwrap_or(PTIME_MS).min(most)
}

/// Where RTP and RTCP go. An unspecified address is the old way to hold (RFC 3264 §8.4).
fn addresses(
    description: &SessionDescription,
    media: &Media,
) -> Result<(Option<SocketAddr>, Option<SocketAddr>), NotAcceptable> {
    let connection = description.connection_of(media).and_then(Connection::address);
    let ip = connection.filter(|ip| !ip.is_multicast()).ok_or(NotAcceptable::NoAddress)?;
    if ip.is_unspecified() {
        return Ok((None, None));
    }
    let above = SocketAddr::new(ip, media.port.saturating_add(1));
    let rtcp = media.attribute("rtcp").and_then(|value| rtcp_address(value, ip)).unwrap_or(above);
    Ok((Some(SocketAddr::new(ip, media.port)), Some(rtcp)))
}

/// `a=rtcp:53020` or `a=rtcp:53020 IN IP4 192.0.2.1` (RFC 3605 §2.1).
fn rtcp_address(value: &str, ip: IpAddr) -> Option<SocketAddr> {
    let mut fields = value.split_ascii_whitespace();
    let port = fields.next()?.parse().ok()?;
    let ip = fields.nth(2).map_or(Some(ip), |address| address.parse().ok())?;
    Some(SocketAddr::new(ip, port))
}

/// Their direction as written, without receiving where they gave no address to send to.
fn their_direction(description: &SessionDescription, media: &Media, rtp: Option<SocketAddr>) -> Direction {
    let written = description.direction_of(media);
    Direction::of(written.sends(), written.receives() && rtp.is_some())
}

fn direction_attribute(media: &Media) -> &str {
    let written = media.attributes.iter().find(|a| Direction::from_attribute(&a.name).is_some());
    written.map_or("sendrecv", |a| a.name.as_str())
}

/// A line refused: same kind, protocol and one format, port 0 (RFC 3264 §6).
fn refused(theirs: &Media) -> Media {
    Media {
        port: 0,
        formats: theirs.formats.iter().take(1).cloned().collect(),
        connection: None,
        attributes: Vec::new(),
        ..theirs.clone()
    }
}

fn audio(
    local: LocalMedia,
    protocol: &str,
    codecs: impl Iterator<Item = (Codec, u8)>,
    telephone_event: Option<u8>,
    clock: Codec,
    direction: Direction,
) -> Media {
    let mut formats = Vec::new();
    let mut attributes = Vec::new();
    for (codec, number) in codecs {
        formats.push(number.to_string());
        attributes.push(Attribute::with("rtpmap", format_args!("{number} {}/{}", codec.name(), codec.clock_rate())));
    }
    if let Some(number) = telephone_event {
        formats.push(number.to_string());
        attributes.push(Attribute::with("rtpmap", format_args!("{number} telephone-event/{}", clock.clock_rate())));
        attributes.push(Attribute::with("fmtp", format_args!("{number} 0-15")));
    }
    attributes.push(Attribute::with("ptime", PTIME_MS));
    attributes.push(Attribute::flag(direction.attribute()));
    Media {
        kind: "audio".to_owned(),
        port: local.port,
        protocol: protocol.to_owned(),
        formats,
        connection: None,
        attributes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> AudioSession {
        AudioSession::new(7, &Codec::ALL)
    }

    fn local(direction: Direction) -> LocalMedia {
        LocalMedia { address: "192.0.2.10".parse().unwrap(), port: 20_000, direction }
    }

    fn offer(lines: &str) -> SessionDescription {
        let text = format!("v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{lines}");
        SessionDescription::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_offerers_order_decides_and_its_numbers_are_kept() {
        let offer = offer(
            "m=audio 4000 RTP/AVP 18 8 0 96 97\r\na=rtpmap:18 G729/8000\r\na=rtpmap:96 telephone-event/48000\r\na=rtpmap:97 telephone-event/8000\r\n",
        );
        let (answer, stream) = session().handle_offer(&offer, local(Direction::SendRecv)).unwrap();
        assert_eq!(stream.codec, Codec::Pcma);
        assert_eq!(stream.telephone_event, Some(same(97)), "the one at the codec's clock rate");
        assert_eq!(answer.media[0].formats, ["8", "97"]);
        assert_eq!(answer.media[0].rtpmap(97), Some("telephone-event/8000"));
        assert_eq!(stream.rtp, Some("192.0.2.1:4000".parse().unwrap()));
        assert_eq!(stream.rtcp, Some("192.0.2.1:4001".parse().unwrap()));
    }

    #[test]
    fn a_dynamic_number_for_a_known_codec_and_a_reused_static_one_are_understood() {
        let offer = offer("m=audio 4000 RTP/AVP 0 100\r\na=rtpmap:0 opus/48000/2\r\na=rtpmap:100 pcma/8000/1\r\n");
        let (_, stream) = session().handle_offer(&offer, local(Direction::SendRecv)).unwrap();
        assert_eq!((stream.codec, stream.payload_type), (Codec::Pcma, same(100)));
        assert_eq!(stream.telephone_event, None);
    }

    #[test]
    fn unknown_lines_are_answered_in_place_with_port_0() {
        let offer = offer(
            "m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 4000 RTP/SAVP 0\r\nm=audio 4002 RTP/AVP 0\r\nm=image 6000 udptl t38\r\n",
        );
        let (answer, stream) = session().handle_offer(&offer, local(Direction::SendRecv)).unwrap();
        let said: Vec<(String, u16)> =
            answer.media.iter().map(|m| (format!("{} {}", m.kind, m.protocol), m.port)).collect();
        let expected = [("video RTP/AVP", 0), ("audio RTP/SAVP", 0), ("audio RTP/AVP", 20_000), ("image udptl", 0)];
        assert_eq!(said, expected.map(|(what, port)| (what.to_owned(), port)));
        assert_eq!(stream.rtp.map(|a| a.port()), Some(4002));
    }

    #[test]
    fn hold_and_resume_are_seen_from_our_side() {
        let mut session = session();
        let directions = [
            ("sendrecv", Direction::SendRecv, "sendrecv"),
            ("sendonly", Direction::RecvOnly, "recvonly"),
            ("inactive", Direction::Inactive, "inactive"),
            ("recvonly", Direction::SendOnly, "sendonly"),
        ];
        for (theirs, ours, answered) in directions {
            let offer = offer(&format!("m=audio 4000 RTP/AVP 0\r\na={theirs}\r\n"));
            let (answer, stream) = session.handle_offer(&offer, local(Direction::SendRecv)).unwrap();
            assert_eq!(stream.direction, ours);
            assert_eq!(direction_attribute(&answer.media[0]), answered);
        }
    }

    #[test]
    fn an_unspecified_address_holds_and_gives_nowhere_to_send() {
        let offer = offer("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n");
        let (answer, stream) = session().handle_offer(&offer, local(Direction::SendRecv)).unwrap();
        assert_eq!((stream.direction, stream.rtp), (Direction::RecvOnly, None));
        assert_eq!(direction_attribute(&answer.media[0]), "recvonly");
    }

    #[test]
    fn ipv6_addresses_are_read_and_written() {
        let offer = offer("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\na=rtcp:4100 IN IP6 2001:db8::2\r\n");
        let local = LocalMedia { address: "2001:db8::10".parse().unwrap(), ..local(Direction::SendRecv) };
        let (answer, stream) = session().handle_offer(&offer, local).unwrap();
        assert_eq!(stream.rtp, Some("[2001:db8::1]:4000".parse().unwrap()));
        assert_eq!(stream.rtcp, Some("[2001:db8::2]:4100".parse().unwrap()));
        assert!(answer.to_string().contains("c=IN IP6 2001:db8::10\r\n"));
    }

    #[test]
    fn nothing_in_common_is_refused_and_leaves_the_running_stream() {
        let mut session = session();
        session.handle_offer(&offer("m=audio 4000 RTP/AVP 8\r\n"), local(Direction::SendRecv)).unwrap();
        let before = session.stream().cloned();
        let refused = |session: &mut AudioSession, lines: &str| {
            session.handle_offer(&offer(lines), local(Direction::SendRecv)).unwrap_err()
        };
        assert_eq!(refused(&mut session, "m=audio 4000 RTP/AVP 18\r\n"), NotAcceptable::NoCodec);
        assert_eq!(refused(&mut session, "m=audio 0 RTP/AVP 0\r\n"), NotAcceptable::NoAudio);
        assert_eq!(refused(&mut session, "m=audio 4000 RTP/SAVP 0\r\n"), NotAcceptable::NoAudio);
        assert_eq!(
            refused(&mut session, "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 pbx.example\r\n"),
            NotAcceptable::NoAddress
        );
        assert_eq!(session.stream().cloned(), before);
    }

    #[test]
    fn the_version_rises_exactly_when_the_description_changes() {
        let mut session = session();
        let running = offer("m=audio 4000 RTP/AVP 0\r\n");
        let held = offer("m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n");
        let mut version = |offer: &SessionDescription| {
            session.handle_offer(offer, local(Direction::SendRecv)).unwrap().0.origin.version
        };
        assert_eq!([version(&running), version(&running), version(&held), version(&running)], [1, 1, 2, 3]);
    }

    #[test]
    fn our_offer_and_its_answer_agree_on_a_stream() {
        let (mut a, mut b) = (AudioSession::new(1, &Codec::ALL), AudioSession::new(2, &[Codec::Pcma]));
        let offered = a.make_offer(local(Direction::SendRecv));
        let theirs =
            LocalMedia { address: "192.0.2.20".parse().unwrap(), port: 30_000, direction: Direction::SendRecv };
        let (answer, at_b) = b.handle_offer(&offered, theirs).unwrap();
        let at_a = a.handle_answer(&answer).unwrap();
        assert_eq!((at_a.codec, at_b.codec), (Codec::Pcma, Codec::Pcma));
        assert_eq!(at_a.rtp, Some("192.0.2.20:30000".parse().unwrap()));
        assert_eq!(at_b.rtp, Some("192.0.2.10:20000".parse().unwrap()));
        assert_eq!(at_a.telephone_event, Some(same(101)));
    }

    #[test]
    fn an_answer_may_renumber_events_and_must_keep_the_lines() {
        let mut session = session();
        session.make_offer(local(Direction::SendRecv));
        let stream =
            session.handle_answer(&offer("m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/8000\r\n")).unwrap();
        assert_eq!(stream.telephone_event, Some(PayloadTypes { send: 96, receive: 101 }));
        assert_eq!(session.handle_answer(&offer("")), Err(NotAcceptable::Mismatch));
        assert_eq!(session.handle_answer(&offer("m=audio 0 RTP/AVP 0\r\n")), Err(NotAcceptable::NoAudio));
        assert_eq!(session.handle_answer(&offer("m=audio 4000 RTP/AVP 18\r\n")), Err(NotAcceptable::NoCodec));
    }

    #[test]
    fn our_hold_keeps_the_refused_lines_and_the_codec_in_use_first() {
        let mut session = session();
        let first =
            offer("m=video 5000 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 8 99\r\na=rtpmap:99 telephone-event/8000\r\n");
        session.handle_offer(&first, local(Direction::SendRecv)).unwrap();
        let hold = session.make_offer(local(Direction::SendOnly));
        assert_eq!(hold.media.iter().map(|m| m.port).collect::<Vec<_>>(), [0, 20_000]);
        assert_eq!(hold.media[1].formats, ["8", "0", "99"]);
        assert_eq!(hold.origin.version, 2);
        let stream =
            session.handle_answer(&offer("m=video 0 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 8\r\na=recvonly\r\n")).unwrap();
        assert_eq!(stream.direction, Direction::SendOnly);
    }

    #[test]
    fn packet_time_follows_the_far_side_within_reason() {
        let of = |lines: &str| ptime(&offer(&format!("m=audio 4000 RTP/AVP 0\r\n{lines}")).media[0]);
        assert_eq!(of(""), 20);
        assert_eq!(of("a=ptime:30\r\n"), 30);
        assert_eq!(of("a=ptime:60\r\na=maxptime:40\r\n"), 40);
        assert_eq!(of("a=ptime:0\r\n"), 20);
        assert_eq!(of("a=ptime:9999\r\n"), 120);
    }
}
