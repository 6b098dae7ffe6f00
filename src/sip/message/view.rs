//! The typed views of a message's headers. Each borrows and is made anew when asked for; keep what you need twice.

use super::Message;
use crate::limits::sip::LIST_ELEMENTS;
use crate::sip::header::{
    AuthParams, CSeq, Contact, Event, Name, NameAddr, RAck, Reason, Replaces, SessionExpires, Via,
};
use crate::sip::header::{scan, value};
use crate::sip::{Invalid, Uri};

impl Message {
    /// The Request-URI.
    pub fn uri(&self) -> Result<Uri<'_>, Invalid> {
        Uri::parse(self.uri_text())
    }

    /// The top Via: the sender of a request, ourselves in a response.
    pub fn via(&self) -> Result<Via<'_>, Invalid> {
        self.vias().next().unwrap_or(Err(Invalid::Missing(Name::Via)))
    }

    /// Every Via from the top down, whether in one line or in many.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, Invalid>> + Clone {
        self.elements(Name::Via).map(Via::parse)
    }

    pub fn from(&self) -> Result<NameAddr<'_>, Invalid> {
        self.address(Name::From)
    }

    pub fn to(&self) -> Result<NameAddr<'_>, Invalid> {
        self.address(Name::To)
    }

    /// Any header that is one address: From, To, Refer-To, Referred-By, P-Preferred-Identity.
    pub fn address(&self, name: Name) -> Result<NameAddr<'_>, Invalid> {
        NameAddr::parse(self.mandatory(name)?).map_err(|_| Invalid::Header(name))
    }

    /// Any header that is a list of addresses: Route, Record-Route, Path, P-Asserted-Identity, Diversion, History-Info.
    pub fn addresses(&self, name: Name) -> impl Iterator<Item = Result<NameAddr<'_>, Invalid>> + Clone {
        self.elements(name).map(move |element| NameAddr::parse(element).map_err(|_| Invalid::Header(name)))
    }

    pub fn call_id(&self) -> Result<&str, Invalid> {
        self.mandatory(Name::CallId).and_then(|v| scan::utf8(v).ok_or(Invalid::Header(Name::CallId)))
    }

    pub fn cseq(&self) -> Result<CSeq<'_>, Invalid> {
        CSeq::parse(self.mandatory(Name::CSeq)?)
    }

    /// Every Contact element in order.
    pub fn contacts(&self) -> impl Iterator<Item = Result<Contact<'_>, Invalid>> + Clone {
        self.elements(Name::Contact).map(Contact::parse)
    }

    /// The first Contact that is an address: the remote target of a dialog.
    pub fn contact(&self) -> Result<NameAddr<'_>, Invalid> {
        let first = self.contacts().next().unwrap_or(Err(Invalid::Missing(Name::Contact)))?;
        first.address().copied().ok_or(Invalid::Header(Name::Contact))
    }

    /// The Route elements, next hop first.
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, Invalid>> + Clone {
        self.addresses(Name::Route)
    }

    /// The Record-Route elements in the order of the wire: a UAC reverses them (RFC 3261 §12.1.2).
    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, Invalid>> + Clone {
        self.addresses(Name::RecordRoute)
    }

    pub fn max_forwards(&self) -> Result<Option<u8>, Invalid> {
        let Some(header) = self.header(Name::MaxForwards) else { return Ok(None) };
        let value = scan::decimal(header.value, 255).and_then(|v| u8::try_from(v).ok());
        value.map(Some).ok_or(Invalid::Header(Name::MaxForwards))
    }

    /// Expires in seconds. A malformed one is an error; RFC 3261 §20.19 lets a registrar take it for 3600.
    pub fn expires(&self) -> Result<Option<u32>, Invalid> {
        self.seconds(Name::Expires)
    }

    /// A header of seconds: Expires, Min-Expires, Min-SE, Retry-After (whose comment and parameters are passed over).
    pub fn seconds(&self, name: Name) -> Result<Option<u32>, Invalid> {
        let Some(header) = self.header(name) else { return Ok(None) };
        value::seconds_and_params(header.value).map(|(seconds, _)| Some(seconds)).ok_or(Invalid::Header(name))
    }

    /// The media type of the body without parameters, as written: `application/sdp`.
    pub fn content_type(&self) -> Option<&str> {
        let value = self.header(Name::ContentType)?.value;
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        scan::utf8(scan::trim(value.get(..end)?))
    }

    /// `true` where the body is of that media type (without case): `application/sdp`.
    pub fn has_body_of(&self, media_type: &str) -> bool {
        !self.body().is_empty() && self.content_type().is_some_and(|t| t.eq_ignore_ascii_case(media_type))
    }

    pub fn event(&self) -> Result<Option<Event<'_>>, Invalid> {
        self.header(Name::Event).map(|h| Event::parse(h.value)).transpose()
    }

    pub fn refer_to(&self) -> Result<NameAddr<'_>, Invalid> {
        self.address(Name::ReferTo)
    }

    pub fn replaces(&self) -> Result<Option<Replaces<'_>>, Invalid> {
        self.header(Name::Replaces).map(|h| Replaces::parse(h.value)).transpose()
    }

    /// Every Reason: a SIP and a Q.850 cause may stand side by side.
    pub fn reasons(&self) -> impl Iterator<Item = Result<Reason<'_>, Invalid>> + Clone {
        self.elements(Name::Reason).map(Reason::parse)
    }

    pub fn rack(&self) -> Result<Option<RAck<'_>>, Invalid> {
        self.header(Name::RAck).map(|h| RAck::parse(h.value)).transpose()
    }

    pub fn session_expires(&self) -> Result<Option<SessionExpires>, Invalid> {
        self.header(Name::SessionExpires).map(|h| SessionExpires::parse(h.value)).transpose()
    }

    /// Every challenge (WWW-Authenticate, Proxy-Authenticate) or set of credentials (Authorization, Proxy-Authorization): one a line.
    pub fn auth(&self, name: Name) -> impl Iterator<Item = AuthParams<'_>> + Clone {
        self.all(name).filter_map(|header| AuthParams::parse(header.value).ok())
    }

    /// The tokens of a list header: Supported, Require, Allow, Accept (with their parameters).
    pub fn tokens(&self, name: Name) -> impl Iterator<Item = &str> + Clone {
        self.elements(name).filter_map(scan::utf8).filter(|token| !token.is_empty())
    }

    /// `true` where a list header holds the token, without case.
    pub fn lists(&self, name: Name, token: &str) -> bool {
        self.tokens(name).any(|t| t.eq_ignore_ascii_case(token))
    }

    /// What Require asks for beyond `supported`: not empty means 420 with these in Unsupported (RFC 3261 §8.2.2.3).
    /// A user agent server passes over Proxy-Require, and everybody passes over Require in ACK and CANCEL.
    pub fn unsupported<'a>(&'a self, supported: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
        self.tokens(Name::Require).filter(move |token| !supported.iter().any(|s| s.eq_ignore_ascii_case(token)))
    }

    /// The elements of every line of a list header, in order, at most [`LIST_ELEMENTS`].
    pub fn elements(&self, name: Name) -> impl Iterator<Item = &[u8]> + Clone {
        self.all(name).flat_map(|header| header.elements()).take(LIST_ELEMENTS)
    }

    fn mandatory(&self, name: Name) -> Result<&[u8], Invalid> {
        self.header(name).map(|h| h.value).ok_or(Invalid::Missing(name))
    }
}
