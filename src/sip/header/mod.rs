//! Header names and the typed views of header values (RFC 3261 §20). A view borrows; it is made when asked for, not before.

pub mod auth;
pub mod name;
pub mod name_addr;
pub mod params;
pub mod scan;
pub mod value;
pub mod via;

pub use auth::AuthParams;
pub use name::Name;
pub use name_addr::{Contact, NameAddr};
pub use params::{Param, Params};
pub use scan::Elements;
pub use value::{CSeq, Event, RAck, Reason, Refresher, Replaces, SessionExpires};
pub use via::Via;

/// A header line of a message: which one, its name as written, its value without surrounding white space and with folding undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub name: Name,
    /// As written: `v`, `VIA`, `X-Customer-Tier`.
    pub name_text: &'a str,
    /// Any encoding. Never holds CR or LF.
    pub value: &'a [u8],
}

impl<'a> Header<'a> {
    /// The value where it is UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        scan::utf8(self.value)
    }

    /// The value's comma-separated elements. Only for headers that are lists: a Date or a Subject may hold commas.
    pub fn elements(&self) -> Elements<'a> {
        Elements::new(self.value)
    }
}
