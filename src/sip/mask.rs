//! What never leaves the switch to be looked at: digest responses, and keys that travel in SIP. Callers key PINs.

use bytes::Bytes;
use memchr::memmem;

/// Headers whose values prove who somebody is (RFC 3261 §22, RFC 8224 Identity is public and stays).
const SECRET_HEADERS: [&[u8]; 3] = [b"authorization", b"proxy-authorization", b"authentication-info"];
/// Bodies that carry keys (RFC 2976 practice: `application/dtmf-relay`, `application/dtmf`).
const KEY_BODIES: &[u8] = b"dtmf";
const MASK: &[u8] = b"(masked)";

/// The message without its secrets; `keys_are_secret` takes the body of any INFO, whatever it says to be. A message
/// without any is the same bytes, uncopied.
pub fn masked(bytes: &Bytes, keys_are_secret: bool) -> Bytes {
    let head_len = memmem::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let (head, body) = bytes.split_at(head_len);
    let mut out = Vec::new();
    let (mut secret, mut keys) = (false, keys_are_secret && bytes.starts_with(b"INFO "));
    for (at, line) in lines(head) {
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        let name = if folded { &[][..] } else { name_of(line) };
        // A fold belongs to the line before it.
        secret = if folded { secret } else { SECRET_HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header)) };
        let is_type = name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c");
        keys |= is_type && memmem::find(&line.to_ascii_lowercase(), KEY_BODIES).is_some();
        if secret && out.is_empty() {
            out.extend_from_slice(head.get(..at).unwrap_or_default());
        }
        match secret {
            true if folded => {}
            true => {
                for part in [name, b": ", MASK, b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
            false if out.is_empty() => {}
            false => out.extend_from_slice(line),
        }
    }
    let keyed = keys && !body.is_empty();
    if out.is_empty() && !keyed {
        return bytes.clone();
    }
    if out.is_empty() {
        out.extend_from_slice(head);
    }
    out.extend_from_slice(if keyed { MASK } else { body });
    out.into()
}

/// Lines with their ends and where they begin.
fn lines(head: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    head.split_inclusive(|b| *b == b'\n').map(move |line| {
        let begin = at;
        at += line.len();
        (begin, line)
    })
}

/// The header's name; white space may stand before its colon (RFC 3261 §7.3.1).
fn name_of(line: &[u8]) -> &[u8] {
    let colon = memchr::memchr(b':', line).unwrap_or(0);
    line.get(..colon).unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &'static str) -> String {
        String::from_utf8(masked(&Bytes::from_static(message.as_bytes()), false).to_vec()).unwrap()
    }

    #[test]
    fn a_digest_response_is_masked_however_its_header_is_written() {
        for header in ["Authorization:", "AUTHORIZATION :", "proxy-authorization:"] {
            let message =
                format!("REGISTER sip:h SIP/2.0\r\n{header} Digest x,\r\n response=\"53c2e7\"\r\nTo: b\r\n\r\nv=0");
            let text = shown(message.leak());
            assert!(!text.contains("53c2e7"), "{text}");
            assert!(text.contains(": (masked)\r\nTo: b\r\n\r\nv=0"), "{text}");
        }
    }

    #[test]
    fn keys_in_an_info_are_masked() {
        for (header, body) in
            [("Content-Type: application/dtmf-relay", "Signal=7\r\nDuration=160"), ("c: application/DTMF", "7")]
        {
            let text = shown(format!("INFO sip:h SIP/2.0\r\n{header}\r\n\r\n{body}").leak());
            assert!(text.ends_with("\r\n\r\n(masked)"), "{text}");
        }
    }

    #[test]
    fn while_keys_are_secret_no_info_says_anything() {
        let raw = Bytes::from_static(b"INFO sip:1@x SIP/2.0\r\nContent-Type: text/x-keys\r\n\r\nSignal=5\r\n");
        assert!(memmem::find(&masked(&raw, true), b"Signal").is_none());
        assert_eq!(masked(&raw, false), raw);
    }

    #[test]
    fn a_message_without_secrets_is_kept_as_it_came() {
        let message = Bytes::from_static(b"INVITE sip:h SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n");
        let kept = masked(&message, true);
        assert_eq!(kept.as_ptr(), message.as_ptr(), "not even copied");
        assert_eq!(kept, message);
    }
}
