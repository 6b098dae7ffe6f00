//! What a body is: its type, and the session description inside it, alone or among the parts of a multipart.

use super::Message;
use super::header::Name;

/// The session description in a message (RFC 3261 §7.4, RFC 5621): the body itself, or the first such part of a
/// multipart body, as gateways send beside ISUP, and emergency callers beside their place.
pub fn session_description(message: &Message) -> Option<&[u8]> {
    let body = message.body();
    if body.is_empty() {
        return None;
    }
    let Some(content_type) = content_type(message) else {
        // No type at all: some phones forget it. What begins as a description is one.
        return body.starts_with(b"v=0").then_some(body);
    };
    if is_type(content_type, "application/sdp") {
        return Some(body);
    }
    let boundary = boundary(content_type)?;
    parts(body, &boundary).find_map(|part| {
        let (head, content) = split_head(part)?;
        let of_type = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let name = name.trim();
            let typed = name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("c");
            typed.then(|| is_type(value, "application/sdp"))
        };
        head.lines().find_map(of_type).unwrap_or(false).then_some(content)
    })
}

/// The Content-Type as written.
pub fn content_type(message: &Message) -> Option<&str> {
    message.header(Name::ContentType).and_then(|header| header.text())
}

/// Whether a Content-Type is of a type, parameters and case aside.
pub fn is_type(content_type: &str, wanted: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// Whether we understand the body of an INVITE: none, a description, or a multipart that may hold one.
pub fn is_understood(message: &Message) -> bool {
    let optional = message
        .header(Name::ContentDisposition)
        .and_then(|h| h.text())
        .is_some_and(|disposition| disposition.to_ascii_lowercase().replace(' ', "").contains("handling=optional"));
    let known = |text: &str| {
        is_type(text, "application/sdp") || text.trim_start().to_ascii_lowercase().starts_with("multipart/")
    };
    message.body().is_empty() || optional || content_type(message).is_none_or(known)
}

fn boundary(content_type: &str) -> Option<String> {
    content_type.trim_start().get(..10).filter(|start| start.eq_ignore_ascii_case("multipart/"))?;
    let param = content_type.split(';').skip(1).find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    (!param.is_empty() && param.len() <= 70).then(|| format!("--{param}"))
}

fn parts<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = &'a [u8]> {
    let starts: Vec<usize> = memchr::memmem::find_iter(body, boundary.as_bytes()).collect();
    let skip = boundary.len();
    let ends: Vec<usize> = starts.iter().skip(1).copied().collect();
    starts.into_iter().zip(ends).filter_map(move |(from, to)| body.get(from + skip..to))
}

/// The head of a part and its content, without the line end that belongs to the next boundary.
fn split_head(part: &[u8]) -> Option<(&str, &[u8])> {
    let (at, len) = match (memchr::memmem::find(part, b"\r\n\r\n"), memchr::memmem::find(part, b"\n\n")) {
        (Some(at), _) => (at, 4),
        (None, Some(at)) => (at, 2),
        (None, None) => return None,
    };
    let content = part.get(at + len..)?;
    let content = content.strip_suffix(b"\r\n").or(content.strip_suffix(b"\n")).unwrap_or(content);
    Some((core::str::from_utf8(part.get(..at)?).ok()?, content))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(content_type: &str, body: &str) -> Message {
        let text = format!(
            "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=f\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    #[test]
    fn a_description_is_found_alone_and_without_a_type() {
        assert_eq!(session_description(&message("Content-Type: Application/SDP;x=y\r\n", "v=0")), Some(&b"v=0"[..]));
        assert_eq!(session_description(&message("", "v=0\r\n")), Some(&b"v=0\r\n"[..]));
        assert_eq!(session_description(&message("Content-Type: text/plain\r\n", "v=0")), None);
        assert_eq!(session_description(&message("Content-Type: application/sdp\r\n", "")), None);
    }

    #[test]
    fn a_description_is_found_beside_isup() {
        let body = "--b1\r\nContent-Type: application/isup\r\n\r\n\u{1}\u{2}\r\n--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=x\r\n--b1--\r\n";
        let mixed = message("Content-Type: multipart/mixed; boundary=\"b1\"\r\n", body);
        assert_eq!(session_description(&mixed), Some(&b"v=0\r\no=x"[..]));
        assert!(is_understood(&mixed));
    }

    #[test]
    fn a_strange_body_is_understood_only_where_it_is_optional() {
        assert!(!is_understood(&message("Content-Type: application/x-strange\r\n", "x")));
        let optional = "Content-Type: application/x-strange\r\nContent-Disposition: render; handling=optional\r\n";
        assert!(is_understood(&message(optional, "x")));
    }
}
