//! Cutting the head of a message into lines and spans: one pass, no copy.

use core::ops::Range;

use memchr::{memchr, memchr2};

use super::super::header::{Name, scan};

/// Where one header stands in the head. Offsets are bytes from the start of the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub name: Name,
    pub name_len: u16,
    pub name_at: u32,
    pub value_at: u32,
    pub value_end: u32,
}

impl Span {
    pub fn value(&self) -> Range<usize> {
        self.value_at as usize..self.value_end as usize
    }

    pub fn name(&self) -> Range<usize> {
        let start = self.name_at as usize;
        start..start + usize::from(self.name_len)
    }

    /// `line` is a header line with its continuations, at `at` in the message. `None`: no colon, or the name is no token.
    pub fn of_line(line: &[u8], at: usize) -> Option<Span> {
        let (name, rest) = line.split_at_checked(scan::token_len(line)).filter(|(name, _)| !name.is_empty())?;
        let after = scan::trim_start(rest).strip_prefix(b":")?;
        let value = scan::trim_start(after);
        // No offset in the line is greater than its end.
        let end = u32::try_from(at + line.len()).ok()?;
        let value_at = end - value.len() as u32;
        Some(Span {
            name: Name::of(name),
            name_len: u16::try_from(name.len()).ok()?,
            name_at: at as u32,
            value_at,
            value_end: value_at + scan::trim_end(value).len() as u32,
        })
    }
}

/// A logical line: continuations included, the final line end left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub at: usize,
    pub text: &'a [u8],
    pub folded: bool,
    /// A CR stands in it that ends no line.
    pub bare_cr: bool,
}

impl<'a> Line<'a> {
    /// The value, where this is a header line of that name. Folds are still in it; a number has none inside.
    pub fn value_of(&self, name: Name) -> Option<&'a [u8]> {
        let letter = self.text.first()?.to_ascii_lowercase();
        let may_be = name.compact() == Some(letter) || name.as_str().bytes().next().map(|b| b | 0x20) == Some(letter);
        let span = may_be.then(|| Span::of_line(self.text, 0)).flatten().filter(|span| span.name == name)?;
        self.text.get(span.value())
    }
}

/// The lines of a head, up to the blank line. CRLF ends a line; a lone LF is taken for one too.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    head: &'a [u8],
    at: usize,
    /// Where the body begins, once the blank line was met.
    pub body_at: Option<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(head: &'a [u8]) -> Self {
        Lines { head, at: 0, body_at: None }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.body_at.is_some() || self.at >= self.head.len() {
            return None;
        }
        let (start, mut folded, mut bare_cr) = (self.at, false, false);
        let end = loop {
            let Some((line_end, next)) = self.line_end(&mut bare_cr) else {
                self.at = self.head.len();
                break self.at;
            };
            if line_end == start {
                self.body_at = Some(next);
                return None;
            }
            self.at = next;
            // A line that begins with white space continues the one before (RFC 3261 §7.3.1).
            match self.head.get(next) {
                Some(b' ' | b'\t') => folded = true,
                _ => break line_end,
            }
        };
        Some(Line { at: start, text: self.head.get(start..end).unwrap_or_default(), folded, bare_cr })
    }
}

impl Lines<'_> {
    /// Where the physical line at `self.at` ends, and where the next begins.
    fn line_end(&self, bare_cr: &mut bool) -> Option<(usize, usize)> {
        let rest = self.head.get(self.at..)?;
        let hit = memchr2(b'\r', b'\n', rest)?;
        match rest.get(hit..)? {
            [b'\n', ..] => Some((self.at + hit, self.at + hit + 1)),
            [b'\r', b'\n', ..] => Some((self.at + hit, self.at + hit + 2)),
            // One bare CR is enough to know; what follows may be full of them.
            _ => {
                *bare_cr = true;
                let lf = hit + memchr(b'\n', rest.get(hit..)?)?;
                let is_crlf = lf.checked_sub(1).and_then(|before| rest.get(before)) == Some(&b'\r');
                Some((self.at + lf - usize::from(is_crlf), self.at + lf + 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_lines_are_one_and_the_blank_line_ends_the_head() {
        let mut lines = Lines::new(b"A: 1\r\n  2\r\nB: 3\nC:\r\n\r\nbody");
        let seen: Vec<_> = lines.by_ref().map(|l| (l.at, l.text, l.folded)).collect();
        assert_eq!(seen, [(0, &b"A: 1\r\n  2"[..], true), (11, b"B: 3", false), (16, b"C:", false)]);
        assert_eq!(lines.body_at, Some(22));
    }

    #[test]
    fn a_head_that_stops_anywhere_yields_what_is_there() {
        for head in [&b"A: 1"[..], b"A: 1\r", b"A: 1\r\n", b"A: 1\r\n b"] {
            let mut lines = Lines::new(head);
            assert_eq!(lines.by_ref().count(), 1, "{head:?}");
            assert_eq!(lines.body_at, None);
        }
    }

    #[test]
    fn a_bare_cr_is_told_and_the_crlf_after_it_still_ends_the_line() {
        let mut lines = Lines::new(b"A: 1\rB: 2\r\r\nC: 3\r\n\r\n");
        let seen: Vec<_> = lines.by_ref().map(|l| (l.text, l.bare_cr)).collect();
        assert_eq!(seen, [(&b"A: 1\rB: 2\r"[..], true), (b"C: 3", false)]);
        assert_eq!(lines.body_at, Some(20));
    }

    #[test]
    fn names_end_at_the_colon_and_values_are_trimmed() {
        let line = b"Subject \t:  lunch, at one ";
        let span = Span::of_line(line, 100).expect("a header line");
        assert_eq!((span.name, span.name(), span.value()), (Name::Subject, 100..107, 112..125));
        assert!(Span::of_line(b"no colon", 0).is_none());
        assert!(Span::of_line(b"two words: x", 0).is_none());
        assert!(Span::of_line(b": x", 0).is_none());
    }
}
