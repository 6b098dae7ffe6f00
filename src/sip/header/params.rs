//! Parameters of headers and URIs: `;name=value;flag`, names without case, values maybe quoted (RFC 3261 §7.3.1).

use std::borrow::Cow;

use super::scan::{find_unquoted, trim, utf8};

/// A borrowed `;`-separated list, the leading `;` left out. The order and the text stay as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a> {
    raw: &'a [u8],
}

/// One parameter. `value` is as written, quotes included; a flag has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
}

impl<'a> Params<'a> {
    /// `raw` begins after the first `;`.
    pub const fn new(raw: &'a [u8]) -> Self {
        Params { raw }
    }

    /// As written, without the leading `;`.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    pub fn is_empty(&self) -> bool {
        trim(self.raw).is_empty()
    }

    /// Every readable parameter in order. Empty ones (`;;`) and those that are not UTF-8 are passed over; the raw text keeps them.
    pub fn iter(&self) -> impl Iterator<Item = Param<'a>> + use<'a> {
        Split { rest: Some(self.raw) }.filter_map(|part| {
            let (name, value) = match find_unquoted(part, b'=') {
                Some(at) => (part.get(..at)?, Some(part.get(at + 1..)?)),
                None => (part, None),
            };
            let name = utf8(trim(name)).filter(|n| !n.is_empty())?;
            let value = match value {
                Some(text) => Some(utf8(trim(text))?),
                None => None,
            };
            Some(Param { name, value })
        })
    }

    fn find(&self, name: &str) -> Option<Param<'a>> {
        self.iter().find(|p| p.name.eq_ignore_ascii_case(name))
    }

    /// `true` where the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value with its quotes left off and its escapes kept; `None` for an absent parameter and for a flag.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.find(name)?.value.map(without_quotes)
    }

    /// The value of a quoted string with `\"` and `\\` undone.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).map(unescape)
    }

    /// A decimal value up to `u32::MAX`; `None` for anything else.
    pub fn number(&self, name: &str) -> Option<u32> {
        let value = super::scan::decimal(self.get(name)?.as_bytes(), u64::from(u32::MAX))?;
        u32::try_from(value).ok()
    }
}

/// `"x"` → `x`; anything else as it is.
pub fn without_quotes(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

/// Undoes `quoted-pair` (RFC 3261 §25.1). Borrows where there is none.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(out)
}

struct Split<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        match find_unquoted(text, b';') {
            Some(at) => {
                self.rest = text.get(at + 1..);
                text.get(..at)
            }
            None => {
                self.rest = None;
                Some(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_white_space_is_free() {
        let params = Params::new(b" Tag = f9 ; lr;; x=\"p;tag=q\" ");
        assert_eq!(params.get("tag"), Some("f9"));
        assert!(params.has("LR") && params.get("lr").is_none());
        assert_eq!(params.get("x"), Some("p;tag=q"));
        assert_eq!(params.iter().count(), 3);
    }

    #[test]
    fn quoted_values_are_unescaped_on_request_only() {
        let params = Params::new(br#"s="a \"b\" \\""#);
        assert_eq!(params.get("s"), Some(r#"a \"b\" \\"#));
        assert_eq!(params.text("s").as_deref(), Some(r#"a "b" \"#));
    }

    #[test]
    fn a_parameter_in_another_encoding_does_not_hide_its_neighbours() {
        let params = Params::new(b"x=\"\xd5\xc5\";tag=1");
        assert_eq!(params.get("tag"), Some("1"));
        assert!(!params.has("x"));
    }

    #[test]
    fn numbers_are_decimal_and_fit() {
        let params = Params::new(b"a=60;b=4294967296;c=1h");
        assert_eq!((params.number("a"), params.number("b"), params.number("c")), (Some(60), None, None));
    }
}
