//! The table of header names with their compact forms (RFC 3261 §7.3.3, §20, and the RFCs named in the rows).

use core::fmt;

macro_rules! names {
    ($( $(#[$doc:meta])* $variant:ident $text:literal $compact:literal, )*) => {
        /// A header field name. Names are compared without case; what is not in the table is `Other`
        /// and keeps its text in the message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Name {
            $( $(#[$doc])* $variant, )*
            /// Not in this table.
            Other,
        }

        impl Name {
            /// Every name with a row, in the order of the table.
            pub const KNOWN: &'static [Name] = &[ $( Name::$variant, )* ];

            /// The usual spelling; empty for [`Name::Other`].
            pub const fn as_str(self) -> &'static str {
                match self { $( Name::$variant => $text, )* Name::Other => "" }
            }

            /// The one-letter form, where the header has one.
            pub const fn compact(self) -> Option<u8> {
                let letter: &[u8] = match self { $( Name::$variant => $compact, )* Name::Other => b"" };
                letter.first().copied()
            }

        }
    };
}

names! {
    Accept "Accept" b"",
    AcceptEncoding "Accept-Encoding" b"",
    AcceptLanguage "Accept-Language" b"",
    AlertInfo "Alert-Info" b"",
    Allow "Allow" b"",
    /// RFC 6665
    AllowEvents "Allow-Events" b"u",
    AuthenticationInfo "Authentication-Info" b"",
    Authorization "Authorization" b"",
    CallId "Call-ID" b"i",
    CallInfo "Call-Info" b"",
    Contact "Contact" b"m",
    ContentDisposition "Content-Disposition" b"",
    ContentEncoding "Content-Encoding" b"e",
    ContentLength "Content-Length" b"l",
    ContentType "Content-Type" b"c",
    CSeq "CSeq" b"",
    Date "Date" b"",
    /// RFC 5806
    Diversion "Diversion" b"",
    /// RFC 6665
    Event "Event" b"o",
    Expires "Expires" b"",
    From "From" b"f",
    /// RFC 7044
    HistoryInfo "History-Info" b"",
    /// RFC 8224
    Identity "Identity" b"y",
    MaxForwards "Max-Forwards" b"",
    MinExpires "Min-Expires" b"",
    /// RFC 4028
    MinSe "Min-SE" b"",
    /// RFC 3325
    PAssertedIdentity "P-Asserted-Identity" b"",
    /// RFC 3325
    PPreferredIdentity "P-Preferred-Identity" b"",
    /// RFC 3327
    Path "Path" b"",
    /// RFC 3323
    Privacy "Privacy" b"",
    ProxyAuthenticate "Proxy-Authenticate" b"",
    ProxyAuthorization "Proxy-Authorization" b"",
    ProxyRequire "Proxy-Require" b"",
    /// RFC 3262
    RAck "RAck" b"",
    /// RFC 3262
    RSeq "RSeq" b"",
    /// RFC 3326
    Reason "Reason" b"",
    RecordRoute "Record-Route" b"",
    /// RFC 3515
    ReferTo "Refer-To" b"r",
    /// RFC 3892
    ReferredBy "Referred-By" b"b",
    /// RFC 3891
    Replaces "Replaces" b"",
    Require "Require" b"",
    RetryAfter "Retry-After" b"",
    Route "Route" b"",
    Server "Server" b"",
    /// RFC 3608
    ServiceRoute "Service-Route" b"",
    /// RFC 4028
    SessionExpires "Session-Expires" b"x",
    Subject "Subject" b"s",
    /// RFC 6665
    SubscriptionState "Subscription-State" b"",
    Supported "Supported" b"k",
    Timestamp "Timestamp" b"",
    To "To" b"t",
    Unsupported "Unsupported" b"",
    UserAgent "User-Agent" b"",
    Via "Via" b"v",
    Warning "Warning" b"",
    WwwAuthenticate "WWW-Authenticate" b"",
}

impl Name {
    /// The name that `text` spells, long or compact, in any case.
    pub fn of(text: &[u8]) -> Name {
        match text {
            [letter] => Name::of_compact(letter.to_ascii_lowercase()),
            _ => Name::find(text),
        }
    }

    /// One look in the table, one comparison: of whole words where it is spelt as usual, else byte by byte without case.
    fn find(text: &[u8]) -> Name {
        let name = SLOTS[slot(text)];
        let usual = name.as_str().as_bytes();
        if text == usual || text.eq_ignore_ascii_case(usual) { name } else { Name::Other }
    }

    const fn of_compact(letter: u8) -> Name {
        match letter {
            b'b' => Name::ReferredBy,
            b'c' => Name::ContentType,
            b'e' => Name::ContentEncoding,
            b'f' => Name::From,
            b'i' => Name::CallId,
            b'k' => Name::Supported,
            b'l' => Name::ContentLength,
            b'm' => Name::Contact,
            b'o' => Name::Event,
            b'r' => Name::ReferTo,
            b's' => Name::Subject,
            b't' => Name::To,
            b'u' => Name::AllowEvents,
            b'v' => Name::Via,
            b'x' => Name::SessionExpires,
            b'y' => Name::Identity,
            _ => Name::Other,
        }
    }
}

const SLOT_COUNT: usize = 512;

/// Which name a text can be at most. Built at compile time; two names in one slot would not compile.
static SLOTS: [Name; SLOT_COUNT] = {
    let mut slots = [Name::Other; SLOT_COUNT];
    let mut at = 0;
    while at < Name::KNOWN.len() {
        let name = Name::KNOWN[at];
        let slot = slot(name.as_str().as_bytes());
        assert!(matches!(slots[slot], Name::Other), "two header names share a slot: change the factors");
        slots[slot] = name;
        at += 1;
    }
    slots
};

/// Length, first, middle and last letter, without case.
const fn slot(text: &[u8]) -> usize {
    let len = text.len();
    if len == 0 {
        return 0;
    }
    let (first, middle, last) = (text[0] | 0x20, text[len / 2] | 0x20, text[len - 1] | 0x20);
    (len * FACTORS[0] + first as usize * FACTORS[1] + middle as usize * FACTORS[2] + last as usize) % SLOT_COUNT
}

/// Found by trying: they give each name of the table a slot of its own.
const FACTORS: [usize; 3] = [1, 1, 20];

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_in_any_case_and_in_its_compact_form() {
        for &name in Name::KNOWN {
            assert_eq!(Name::of(name.as_str().as_bytes()), name);
            assert_eq!(Name::of(name.as_str().to_ascii_uppercase().as_bytes()), name);
            if let Some(letter) = name.compact() {
                assert_eq!(Name::of(&[letter]), name);
                assert_eq!(Name::of(&[letter.to_ascii_uppercase()]), name);
            }
        }
    }

    #[test]
    fn a_letter_without_a_row_and_an_unknown_name_are_other() {
        assert_eq!(Name::of(b"z"), Name::Other);
        assert_eq!(Name::of(b"X-Customer-Tier"), Name::Other);
        assert_eq!(Name::of(b""), Name::Other);
    }
}
