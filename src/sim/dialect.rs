//! How a simulated phone looks on the wire where it speaks otherwise than rsip can: IPv6 addresses, compact header
//! names, a dot in the user part, TCP.
//!
//! The phone behind it goes on as if on IPv4 and UDP. Each message it sends is read and written anew by our own
//! codec, as an application gateway would; what comes back is turned round. So the switch meets such phones with the
//! whole of their behaviour, which `rsip` alone could not bring about.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use crate::sip::{Message, Name};

/// What is different about a phone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    pub ipv6: bool,
    pub compact: bool,
    pub tcp: bool,
    /// User parts that begin with `desk-` at the phone have a dot on the wire: `desk.1001`.
    pub dotted: bool,
}

impl Dialect {
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// An address of the phone's world as the wire has it.
    pub fn to_wire(&self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(ip) if self.ipv6 => SocketAddr::new(mapped(ip).into(), address.port()),
            _ => address,
        }
    }

    /// The way back of [`Dialect::to_wire`].
    pub fn off_wire(&self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V6(ip) if self.ipv6 => SocketAddr::new(unmapped(ip).into(), address.port()),
            _ => address,
        }
    }

    /// A message of the phone as it goes out. What our codec cannot read goes as it is.
    pub fn outward(&self, bytes: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
        if self.is_plain() {
            return bytes.to_vec();
        }
        let Ok(message) = Message::parse(Bytes::copy_from_slice(bytes)) else { return bytes.to_vec() };
        let first = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
        let mut head = self.out_text(&String::from_utf8_lossy(first), addresses, false);
        head.push_str("\r\n");
        for header in message.headers() {
            if header.name == Name::ContentLength {
                continue;
            }
            let name = match header.name.compact() {
                Some(letter) if self.compact => char::from(letter).to_string(),
                _ => header.name_text.to_owned(),
            };
            let mut value = self.out_text(&String::from_utf8_lossy(header.value), addresses, false);
            if self.tcp && header.name == Name::Via {
                value = value.replacen("SIP/2.0/UDP", "SIP/2.0/TCP", 1);
            }
            if self.tcp && header.name == Name::Contact {
                value = value.replacen('>', ";transport=tcp>", 1);
            }
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = self.out_text(&String::from_utf8_lossy(message.body()), addresses, true);
        let length = if self.compact { "l" } else { "Content-Length" };
        format!("{head}{length}: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    /// A message of the switch as the phone reads it.
    pub fn inward(&self, bytes: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
        if self.is_plain() {
            return bytes.to_vec();
        }
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let body = self.in_text(body, addresses);
        let mut out = String::new();
        for (nth, line) in head.split("\r\n").enumerate() {
            let (name, value) = line.split_once(':').filter(|_| nth > 0).unwrap_or(("", line));
            let known = Name::of(name.trim_end().as_bytes());
            if known == Name::ContentLength {
                continue;
            }
            // Headers that the switch copied from the phone's own message come back compact.
            let name = if known == Name::Other { name } else { known.as_str() };
            let mut value = self.in_text(value, addresses);
            if known == Name::Via {
                value = value.replacen("SIP/2.0/TCP", "SIP/2.0/UDP", 1);
            }
            let colon = if nth > 0 { ":" } else { "" };
            out.push_str(&format!("{name}{colon}{value}\r\n"));
        }
        format!("{out}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn out_text(&self, text: &str, addresses: &[Ipv4Addr], in_body: bool) -> String {
        let mut text = text.to_owned();
        if self.dotted {
            text = text.replace(":desk-", ":desk.");
        }
        if !self.ipv6 {
            return text;
        }
        for ip in addresses {
            let wire = mapped(*ip);
            let written = if in_body { wire.to_string() } else { format!("[{wire}]") };
            text = replace_whole(&text, &ip.to_string(), &written);
        }
        if in_body { text.replace("IN IP4", "IN IP6") } else { text }
    }

    fn in_text(&self, text: &str, addresses: &[Ipv4Addr]) -> String {
        let mut text = text.to_owned();
        if self.dotted {
            text = text.replace(":desk.", ":desk-");
        }
        if !self.ipv6 {
            return text;
        }
        for ip in addresses {
            let wire = mapped(*ip).to_string();
            text = text.replace(&format!("[{wire}]"), &ip.to_string());
            text = replace_whole(&text, &wire, &ip.to_string());
        }
        text.replace("IN IP6", "IN IP4")
    }
}

/// `127.0.2.5` is `fd00::2:5`.
fn mapped(ip: Ipv4Addr) -> Ipv6Addr {
    let [_, a, b, c] = ip.octets();
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, u16::from(a), u16::from(b), u16::from(c))
}

fn unmapped(ip: Ipv6Addr) -> Ipv4Addr {
    let low = |at: usize| ip.segments().get(at).map_or(0, |part| part.to_be_bytes()[1]);
    Ipv4Addr::new(127, low(5), low(6), low(7))
}

/// Replaces `from` where it is not the beginning or the end of a longer address.
fn replace_whole(text: &str, from: &str, to: &str) -> String {
    let part_of_address = |c: char| c.is_ascii_hexdigit() || c == '.';
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(from) {
        let (before, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + from.len()..).unwrap_or_default());
        let whole = !before.ends_with(part_of_address) && !after.starts_with(part_of_address);
        out.push_str(before);
        out.push_str(if whole { to } else { from });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:95539@127.0.1.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.3.3:5060;branch=z9hG4bK1\r\n\
        From: <sip:desk-1@centre.example>;tag=1\r\nTo: <sip:95539@centre.example>\r\nCall-ID: c@127.0.3.3\r\n\
        CSeq: 1 INVITE\r\nContact: <sip:desk-1@127.0.3.3:5060>\r\nContent-Type: application/sdp\r\n\
        Content-Length: 30\r\n\r\nc=IN IP4 127.0.3.3\r\na=sendrecv";

    fn dialect() -> Dialect {
        Dialect { ipv6: true, compact: true, tcp: true, dotted: true }
    }

    fn both() -> [Ipv4Addr; 2] {
        [Ipv4Addr::new(127, 0, 1, 1), Ipv4Addr::new(127, 0, 3, 3)]
    }

    #[test]
    fn a_message_goes_out_with_compact_names_over_ipv6_and_tcp_and_is_good_sip() {
        let wire = dialect().outward(INVITE.as_bytes(), &both());
        let text = String::from_utf8(wire.clone()).unwrap();
        assert!(
            text.starts_with("INVITE sip:95539@[fd00::1:1]:5060 SIP/2.0\r\nv: SIP/2.0/TCP [fd00::3:3]:5060;"),
            "{text}"
        );
        assert!(text.contains("m: <sip:desk.1@[fd00::3:3]:5060;transport=tcp>\r\n"), "{text}");
        assert!(text.ends_with("l: 30\r\n\r\nc=IN IP6 fd00::3:3\r\na=sendrecv"), "{text}");
        let read = Message::parse(wire.into()).unwrap();
        assert_eq!(read.verdict(), crate::sip::Verdict::Accept);
    }

    #[test]
    fn what_goes_out_comes_back_as_the_phone_knows_it() {
        let dialect = Dialect { compact: false, tcp: false, ..dialect() };
        let back = dialect.inward(&dialect.outward(INVITE.as_bytes(), &both()), &both());
        assert_eq!(String::from_utf8(back).unwrap(), INVITE);
        let address: SocketAddr = "127.0.3.3:20000".parse().unwrap();
        assert_eq!(dialect.off_wire(dialect.to_wire(address)), address);
    }

    #[test]
    fn an_address_within_a_longer_one_is_left_alone() {
        assert_eq!(replace_whole("127.0.2.50 127.0.2.5:1 27.0.2.5", "127.0.2.5", "x"), "127.0.2.50 x:1 27.0.2.5");
    }
}
