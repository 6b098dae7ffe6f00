//! What can be wrong with a message that can still be read, and what RFC 3261 wants answered.

/// One defect. A message carries them as a set ([`Faults`]); the first in this order decides the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fault {
    /// Not SIP/2.0: 505 (RFC 4475 §3.1.2.16).
    BadVersion,
    /// More than [`limits::sip::MESSAGE_BYTES`](crate::limits::sip::MESSAGE_BYTES): 513.
    TooLarge,
    /// More than [`limits::sip::HEADERS`](crate::limits::sip::HEADERS) lines; the rest is not indexed: 513.
    TooManyHeaders,
    /// A line over [`limits::sip::HEADER_BYTES`](crate::limits::sip::HEADER_BYTES); it is not indexed: 513.
    HeaderTooLong,
    /// A list over [`limits::sip::LIST_ELEMENTS`](crate::limits::sip::LIST_ELEMENTS): 513.
    TooManyElements,
    /// A status that is not 100 to 699.
    BadStatus,
    /// White space where the request line has none.
    BadRequestLine,
    /// A Request-URI that cannot be read, stands in brackets, or carries `?headers`.
    BadRequestUri,
    /// A line without a colon or with a name that is no token; it is not indexed.
    BadHeaderLine,
    /// A CR that ends no line. Views see a space in its place.
    BareCr,
    /// The blank line after the headers is missing.
    Unfinished,
    MissingVia,
    MissingFrom,
    MissingTo,
    MissingCallId,
    MissingCSeq,
    DuplicateFrom,
    DuplicateTo,
    DuplicateCallId,
    DuplicateCSeq,
    DuplicateMaxForwards,
    BadVia,
    BadFrom,
    BadTo,
    BadCallId,
    /// Not a number below 2^31 and a method.
    BadCSeq,
    BadMaxForwards,
    /// Any element of any Contact, or `*` beside an address.
    BadContact,
    /// Any element of Route or Record-Route.
    BadRoute,
    /// The method in CSeq is not the request's.
    CSeqMismatch,
    /// Content-Length is no number.
    BadContentLength,
    /// Two Content-Lengths that differ: the shape of request smuggling.
    ConflictingContentLength,
    /// On a stream the length must be told (RFC 3261 §18.3).
    MissingContentLength,
    /// Fewer bytes than Content-Length says.
    ShortBody,
    /// A Request-URI neither sip, sips nor tel: 416.
    UnknownScheme,
    /// A method this stack has no name for: 501.
    UnknownMethod,
}

impl Fault {
    /// Every fault in the order in which they decide the answer.
    pub const ALL: [Fault; 36] = [
        Fault::BadVersion,
        Fault::TooLarge,
        Fault::TooManyHeaders,
        Fault::HeaderTooLong,
        Fault::TooManyElements,
        Fault::BadStatus,
        Fault::BadRequestLine,
        Fault::BadRequestUri,
        Fault::BadHeaderLine,
        Fault::BareCr,
        Fault::Unfinished,
        Fault::MissingVia,
        Fault::MissingFrom,
        Fault::MissingTo,
        Fault::MissingCallId,
        Fault::MissingCSeq,
        Fault::DuplicateFrom,
        Fault::DuplicateTo,
        Fault::DuplicateCallId,
        Fault::DuplicateCSeq,
        Fault::DuplicateMaxForwards,
        Fault::BadVia,
        Fault::BadFrom,
        Fault::BadTo,
        Fault::BadCallId,
        Fault::BadCSeq,
        Fault::BadMaxForwards,
        Fault::BadContact,
        Fault::BadRoute,
        Fault::CSeqMismatch,
        Fault::BadContentLength,
        Fault::ConflictingContentLength,
        Fault::MissingContentLength,
        Fault::ShortBody,
        Fault::UnknownScheme,
        Fault::UnknownMethod,
    ];

    /// Status and reason phrase of the answer to a request that has this fault.
    pub const fn answer(self) -> (u16, &'static str) {
        match self {
            Fault::BadVersion => (505, "Version Not Supported"),
            Fault::TooLarge => (513, "Message Too Large"),
            Fault::TooManyHeaders => (513, "Too Many Headers"),
            Fault::HeaderTooLong => (513, "Header Too Long"),
            Fault::TooManyElements => (513, "Header List Too Long"),
            Fault::BadStatus => (400, "Bad Status Code"),
            Fault::BadRequestLine => (400, "Bad Request-Line"),
            Fault::BadRequestUri => (400, "Bad Request-URI"),
            Fault::BadHeaderLine => (400, "Bad Header Line"),
            Fault::BareCr => (400, "Carriage Return in Header"),
            Fault::Unfinished => (400, "Header Section Not Finished"),
            Fault::MissingVia => (400, "Missing Via"),
            Fault::MissingFrom => (400, "Missing From"),
            Fault::MissingTo => (400, "Missing To"),
            Fault::MissingCallId => (400, "Missing Call-ID"),
            Fault::MissingCSeq => (400, "Missing CSeq"),
            Fault::DuplicateFrom => (400, "Repeated From"),
            Fault::DuplicateTo => (400, "Repeated To"),
            Fault::DuplicateCallId => (400, "Repeated Call-ID"),
            Fault::DuplicateCSeq => (400, "Repeated CSeq"),
            Fault::DuplicateMaxForwards => (400, "Repeated Max-Forwards"),
            Fault::BadVia => (400, "Bad Via"),
            Fault::BadFrom => (400, "Bad From"),
            Fault::BadTo => (400, "Bad To"),
            Fault::BadCallId => (400, "Bad Call-ID"),
            Fault::BadCSeq => (400, "Bad CSeq"),
            Fault::BadMaxForwards => (400, "Bad Max-Forwards"),
            Fault::BadContact => (400, "Bad Contact"),
            Fault::BadRoute => (400, "Bad Route"),
            Fault::CSeqMismatch => (400, "CSeq Method Does Not Match"),
            Fault::BadContentLength => (400, "Bad Content-Length"),
            Fault::ConflictingContentLength => (400, "Conflicting Content-Length"),
            Fault::MissingContentLength => (400, "Missing Content-Length"),
            Fault::ShortBody => (400, "Body Shorter Than Content-Length"),
            Fault::UnknownScheme => (416, "Unsupported URI Scheme"),
            Fault::UnknownMethod => (501, "Not Implemented"),
        }
    }
}

/// A set of faults, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u64);

impl Faults {
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u8) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |&fault| self.has(fault))
    }

    pub(crate) const fn add(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u8;
    }

    pub(crate) const fn add_if(&mut self, there: bool, fault: Fault) {
        if there {
            self.add(fault);
        }
    }
}

/// What to do with a message before any transaction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No fault.
    Accept,
    /// Answer statelessly ([`respond`](crate::sip::respond)), then forget it.
    Refuse { status: u16, reason: &'static str },
    /// Say nothing: a faulty response, a faulty ACK, or a request without a Via to answer to.
    Drop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_listed_once_in_order_and_fits_the_set() {
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at);
        }
        let mut all = Faults::default();
        Fault::ALL.into_iter().for_each(|fault| all.add(fault));
        assert_eq!(all.iter().count(), Fault::ALL.len());
    }
}
