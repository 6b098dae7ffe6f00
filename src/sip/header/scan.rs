//! Lexing that every header shares: white space, tokens, quoted strings, lists (RFC 3261 §25.1).
//!
//! All of it works on bytes: a display name in GBK or Latin-1 must not hide the URI beside it.

use memchr::memchr;

/// `true` for linear white space. Folding is already undone in a [`Message`](crate::sip::Message), CR and LF are here for text from elsewhere.
pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// RFC 3261 §25.1 `token`.
pub const fn is_token_byte(byte: u8) -> bool {
    !NO_TOKEN[byte as usize]
}

/// What ends a token. A table, because every byte of every header name is asked.
static NO_TOKEN: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let mark = matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        table[byte as usize] = !(byte.is_ascii_alphanumeric() || mark);
        byte += 1;
    }
    table
};

pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && token_len(text) == text.len()
}

/// How many token bytes `text` begins with.
pub fn token_len(text: &[u8]) -> usize {
    find_marked(text, &NO_TOKEN).unwrap_or(text.len())
}

pub fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    text
}

pub fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

pub fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// UTF-8 or nothing.
pub fn utf8(text: &[u8]) -> Option<&str> {
    core::str::from_utf8(text).ok()
}

/// Where the first byte stands that `marked` marks. Four bytes a turn, which halves what a byte costs.
pub fn find_marked(text: &[u8], marked: &[bool; 256]) -> Option<usize> {
    let is_marked = |byte: u8| marked[usize::from(byte)];
    let (fours, rest) = text.as_chunks::<4>();
    for (turn, &[a, b, c, d]) in fours.iter().enumerate() {
        let at = turn * 4;
        if is_marked(a) {
            return Some(at);
        }
        if is_marked(b) {
            return Some(at + 1);
        }
        if is_marked(c) {
            return Some(at + 2);
        }
        if is_marked(d) {
            return Some(at + 3);
        }
    }
    rest.iter().position(|&byte| is_marked(byte)).map(|at| fours.len() * 4 + at)
}

/// The length of the quoted string at the start of `text`, both quotes included; `None` where it never ends.
pub fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where `wanted` first stands outside quoted strings. An unterminated quote hides the rest.
pub fn find_unquoted(text: &[u8], wanted: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let hit = memchr::memchr2(wanted, b'"', rest)?;
        at += hit;
        if text.get(at) == Some(&wanted) {
            return Some(at);
        }
        at += quoted_len(text.get(at..)?)?;
    }
}

/// `true` where every quoted string in `text` ends.
pub fn quotes_balance(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(open) = memchr(b'"', rest) {
        let Some(len) = rest.get(open..).and_then(quoted_len) else { return false };
        rest = rest.get(open + len..).unwrap_or_default();
    }
    true
}

/// The elements of a comma-separated header value, trimmed. Commas inside quotes and angle brackets do not separate.
/// Empty elements are yielded: whether they are an error is the view's decision.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Elements<'a> {
    pub fn new(value: &'a [u8]) -> Self {
        Elements { rest: Some(value) }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let mut at = 0;
        let comma = loop {
            // Most have one element: then nothing else needs a look.
            if at == 0 && memchr(b',', text).is_none() {
                break None;
            }
            let Some(rest) = text.get(at..) else { break None };
            let Some(hit) = memchr::memchr3(b',', b'"', b'<', rest) else { break None };
            at += hit;
            let rest = text.get(at..).unwrap_or_default();
            let skipped = match rest.first() {
                Some(b',') => break Some(at),
                Some(b'"') => quoted_len(rest),
                _ => memchr(b'>', rest).map(|end| end + 1),
            };
            // What never ends takes the rest of the value with it; the view then refuses it.
            let Some(skipped) = skipped else { break None };
            at += skipped;
        };
        let (element, rest) = match comma {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
            None => (text, None),
        };
        self.rest = rest;
        Some(trim(element))
    }
}

/// A decimal number without sign, `None` where it is empty, has other characters, or is over `max`. Leading zeros are legal.
pub fn decimal(text: &[u8], max: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in text {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    (value <= max).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(value: &str) -> Vec<String> {
        Elements::new(value.as_bytes()).map(|e| String::from_utf8_lossy(e).into_owned()).collect()
    }

    #[test]
    fn commas_in_quotes_and_brackets_do_not_split() {
        assert_eq!(elements(r#""A, B" <sip:a@h>, <sip:b,c@h> ,d"#), [r#""A, B" <sip:a@h>"#, "<sip:b,c@h>", "d"]);
        assert_eq!(elements(r#""a \", b" <sip:x@h>"#), [r#""a \", b" <sip:x@h>"#]);
    }

    #[test]
    fn empty_and_unterminated_elements_are_seen() {
        assert_eq!(elements("a,,b,"), ["a", "", "b", ""]);
        assert_eq!(elements(r#""never, ends"#), [r#""never, ends"#]);
        assert_eq!(elements("<never, ends"), ["<never, ends"]);
    }

    #[test]
    fn quoted_strings_end_where_they_end() {
        assert_eq!(quoted_len(br#""a\"b"c"#), Some(6));
        assert_eq!(quoted_len(br#""a\""#), None);
        assert_eq!(quoted_len(br#""a\"#), None);
        assert_eq!(find_unquoted(br#""a;b";c"#, b';'), Some(5));
        assert!(quotes_balance(br#"a="b";c="d""#) && !quotes_balance(br#"a="b";c="d"#));
    }

    #[test]
    fn decimals_refuse_signs_and_overflow_and_take_leading_zeros() {
        assert_eq!(decimal(b"0068", 255), Some(68));
        assert_eq!(decimal(b"-1", 255), None);
        assert_eq!(decimal(b"256", 255), None);
        assert_eq!(decimal(b"36893488147419103232", u64::MAX), None);
        assert_eq!(decimal(b"", 255), None);
    }
}
