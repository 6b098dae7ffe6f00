//! What may be written as a header value.

use core::fmt;
use std::io::Write as _;

/// Something that a header line takes. The writer checks what came out, so an implementation needs no care of its own.
pub trait Value {
    fn write(&self, out: &mut Vec<u8>);
}

impl Value for &str {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Value for &String {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Value for String {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

/// Any encoding, as a received header has it.
impl Value for &[u8] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Value for fmt::Arguments<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let _ = out.write_fmt(*self); // writing to a Vec cannot fail
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Value for $number {
            fn write(&self, out: &mut Vec<u8>) {
                let _ = write!(out, "{self}"); // writing to a Vec cannot fail
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64 usize);

/// Text as a quoted string: `"` and `\` escaped, control characters left out (RFC 3261 §25.1 `quoted-string`).
///
/// For display names: `format_args!("{} <{uri}>", Quoted(name))`.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        f.write_char('"')?;
        for c in self.0.chars().filter(|c| !c.is_control()) {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}
