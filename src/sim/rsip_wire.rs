//! The foreign SIP codec: the one file that knows `rsip` 0.4.
//!
//! Simulated phones and trunks write and read every message here, so that our own stack always meets another
//! implementation. [`Draft`] is a message being written: each field is text we set ourselves, because rsip's typed
//! writers change some (`486 BusyHere`, `transport=UDP`, decimal `nc`). [`Received`] is a message as rsip read it.
//!
//! rsip cannot read everything that is legal (compact header names, a user part with a dot, IPv6 hosts, quoted
//! parameters, folded lines). Such a message ends as a [`WireError`] that quotes its first line: the simulated
//! centre keeps to forms that rsip reads, and a test of our own codec covers the rest.

use core::fmt;
use std::net::{IpAddr, SocketAddr};

use rsip::headers::ToTypedHeader;
use rsip::headers::untyped::UntypedHeader;

/// A request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    Ack,
    Bye,
    Cancel,
    Info,
    Invite,
    Message,
    Notify,
    Options,
    Prack,
    Publish,
    Refer,
    Register,
    Subscribe,
    Update,
}

/// The methods with their names and rsip's word for each.
const METHODS: [(Method, &str, rsip::Method); 14] = [
    (Method::Ack, "ACK", rsip::Method::Ack),
    (Method::Bye, "BYE", rsip::Method::Bye),
    (Method::Cancel, "CANCEL", rsip::Method::Cancel),
    (Method::Info, "INFO", rsip::Method::Info),
    (Method::Invite, "INVITE", rsip::Method::Invite),
    (Method::Message, "MESSAGE", rsip::Method::Message),
    (Method::Notify, "NOTIFY", rsip::Method::Notify),
    (Method::Options, "OPTIONS", rsip::Method::Options),
    (Method::Prack, "PRACK", rsip::Method::PRack),
    (Method::Publish, "PUBLISH", rsip::Method::Publish),
    (Method::Refer, "REFER", rsip::Method::Refer),
    (Method::Register, "REGISTER", rsip::Method::Register),
    (Method::Subscribe, "SUBSCRIBE", rsip::Method::Subscribe),
    (Method::Update, "UPDATE", rsip::Method::Update),
];

impl Method {
    pub fn as_str(self) -> &'static str {
        METHODS.iter().find(|(method, ..)| *method == self).map_or("INVITE", |(_, name, _)| name)
    }

    fn to_rsip(self) -> rsip::Method {
        METHODS.iter().find(|(method, ..)| *method == self).map_or(rsip::Method::Invite, |(.., theirs)| *theirs)
    }

    fn from_rsip(theirs: rsip::Method) -> Self {
        METHODS.iter().find(|(.., method)| *method == theirs).map_or(Method::Invite, |(method, ..)| *method)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A `sip:` URI (RFC 3261 §19.1) without header part: user, host, port, parameters in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipUri {
    pub user: Option<String>,
    /// A name, an IPv4 literal, or an IPv6 literal in brackets (which rsip writes but cannot read back).
    pub host: String,
    pub port: Option<u16>,
    pub params: Vec<(String, Option<String>)>,
}

impl SipUri {
    /// `sip:user@host`.
    pub fn new(user: &str, host: &str) -> Self {
        Self { user: Some(user.to_owned()), host: host.to_owned(), port: None, params: Vec::new() }
    }

    /// `sip:host`, as REGISTER's Request-URI wants it (RFC 3261 §10.2).
    pub fn of_domain(host: &str) -> Self {
        Self { user: None, host: host.to_owned(), port: None, params: Vec::new() }
    }

    /// `sip:user@address:port`: a contact.
    pub fn at(user: &str, address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self { user: Some(user.to_owned()), host, port: Some(address.port()), params: Vec::new() }
    }

    /// The socket address that this URI names, where its host is an IPv4 literal; port 5060 where none stands.
    pub fn literal_address(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port.unwrap_or(5060)))
    }

    /// Reads a URI through rsip.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let refuse = |why: String| WireError { message: text.to_owned(), why };
        if text.contains('?') {
            return Err(refuse("rsip reads no URI headers".into()));
        }
        let uri = rsip::Uri::try_from(text).map_err(|error| refuse(format!("URI: {error}")))?;
        Self::from_rsip(&uri).map_err(refuse)
    }

    fn from_rsip(uri: &rsip::Uri) -> Result<Self, String> {
        if !matches!(uri.scheme, Some(rsip::Scheme::Sip | rsip::Scheme::Sips)) {
            return Err(format!("URI {uri}: rsip reads no sip or sips scheme in it"));
        }
        let host = uri.host().to_string();
        // rsip 0.4 stops a user part at a dot and then takes `john.doe@host` for the host.
        if host.is_empty() || host.contains(['@', '?', '<', '>', ' ']) {
            return Err(format!("URI {uri}: rsip reads the host as {host:?}"));
        }
        let params = uri.params.iter().map(param_text).collect();
        Ok(Self { user: uri.user().map(str::to_owned), host, port: uri.port().map(|port| *port.value()), params })
    }

    fn to_rsip(&self) -> rsip::Uri {
        let host = match self.host.parse::<IpAddr>() {
            Ok(ip) => rsip::Host::IpAddr(ip),
            Err(_) => rsip::Host::Domain(rsip::Domain::from(self.host.as_str())),
        };
        let param = |(name, value): &(String, Option<String>)| {
            rsip::Param::Other(name.as_str().into(), value.as_deref().map(Into::into))
        };
        rsip::Uri {
            scheme: Some(rsip::Scheme::Sip),
            auth: self.user.as_ref().map(|user| (user.clone(), None::<String>).into()),
            host_with_port: rsip::HostWithPort { host, port: self.port.map(rsip::Port::from) },
            params: self.params.iter().map(param).collect(),
            headers: Vec::new(),
        }
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_rsip(), f)
    }
}

/// A parameter as text; rsip prints `transport=UDP` for what came as `transport=udp`, so that one is put right.
fn param_text(param: &rsip::Param) -> (String, Option<String>) {
    let text = param.to_string();
    let text = text.trim_start_matches(';');
    match text.split_once('=') {
        Some(("transport", value)) => ("transport".to_owned(), Some(value.to_ascii_lowercase())),
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// A message being written. Headers go out in the order they were added; Content-Length is added by [`Draft::write`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    start: Start,
    headers: Vec<(String, String)>,
    body: String,
}

/// A start line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    Request { method: Method, uri: SipUri },
    Response { status: u16, reason: String },
}

impl Draft {
    pub fn request(method: Method, uri: SipUri) -> Self {
        Self { start: Start::Request { method, uri }, headers: Vec::new(), body: String::new() }
    }

    /// A response with the reason phrase of RFC 3261 §21.
    pub fn response(status: u16) -> Self {
        let start = Start::Response { status, reason: reason_phrase(status).to_owned() };
        Self { start, headers: Vec::new(), body: String::new() }
    }

    /// Adds a header line after those of the same message.
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The body and its type; SDP and `sipfrag` are text.
    pub fn with_body(mut self, content_type: &str, body: impl Into<String>) -> Self {
        self.body = body.into();
        self.with("Content-Type", content_type)
    }

    /// Puts `value` in place of the header's first line, or adds it.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        match self.headers.iter_mut().find(|(line, _)| line.eq_ignore_ascii_case(name)) {
            Some((_, text)) => *text = value.to_string(),
            None => self.headers.push((name.to_owned(), value.to_string())),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(line, _)| line.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|(line, _)| !line.eq_ignore_ascii_case(name));
    }

    pub fn method(&self) -> Option<Method> {
        match &self.start {
            Start::Request { method, .. } => Some(*method),
            Start::Response { .. } => None,
        }
    }

    pub fn uri(&self) -> Option<&SipUri> {
        match &self.start {
            Start::Request { uri, .. } => Some(uri),
            Start::Response { .. } => None,
        }
    }

    /// The bytes, written by rsip.
    pub fn write(&self) -> Vec<u8> {
        let mut headers: Vec<rsip::Header> = self.headers.iter().map(|(name, value)| header(name, value)).collect();
        headers.push(header("Content-Length", &self.body.len().to_string()));
        let (headers, body, version) = (headers.into(), self.body.clone().into_bytes(), rsip::Version::V2);
        let message: rsip::SipMessage = match &self.start {
            Start::Request { method, uri } => {
                rsip::Request { method: method.to_rsip(), uri: uri.to_rsip(), version, headers, body }.into()
            }
            // The named codes print their Rust names (`486 BusyHere`); `Other` prints our words.
            Start::Response { status, reason } => {
                let status_code = rsip::StatusCode::Other(*status, reason.clone());
                rsip::Response { status_code, version, headers, body }.into()
            }
        };
        message.into()
    }
}

/// rsip's header of that name, with our text in it.
fn header(name: &str, value: &str) -> rsip::Header {
    use rsip::headers as theirs;
    match name {
        "Via" => theirs::Via::new(value).into(),
        "From" => theirs::From::new(value).into(),
        "To" => theirs::To::new(value).into(),
        "Call-ID" => theirs::CallId::new(value).into(),
        "CSeq" => theirs::CSeq::new(value).into(),
        "Contact" => theirs::Contact::new(value).into(),
        "Max-Forwards" => theirs::MaxForwards::new(value).into(),
        "Route" => theirs::Route::new(value).into(),
        "Record-Route" => theirs::RecordRoute::new(value).into(),
        "Expires" => theirs::Expires::new(value).into(),
        "Authorization" => theirs::Authorization::new(value).into(),
        "Proxy-Authorization" => theirs::ProxyAuthorization::new(value).into(),
        "WWW-Authenticate" => theirs::WwwAuthenticate::new(value).into(),
        "Proxy-Authenticate" => theirs::ProxyAuthenticate::new(value).into(),
        "Content-Type" => theirs::ContentType::new(value).into(),
        "Content-Length" => theirs::ContentLength::new(value).into(),
        "Allow" => theirs::Allow::new(value).into(),
        "User-Agent" => theirs::UserAgent::new(value).into(),
        other => rsip::Header::Other(other.to_owned(), value.to_owned()),
    }
}

/// The address of a From, To or Contact header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The header's text as it came, tag included: a response repeats it byte for byte.
    pub text: String,
    pub display: Option<String>,
    pub uri: SipUri,
    pub tag: Option<String>,
    /// A contact's own lifetime in seconds.
    pub expires: Option<u32>,
}

/// A message as rsip read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub start: Start,
    /// Each Via line's text, topmost first.
    pub vias: Vec<String>,
    /// The topmost Via's branch.
    pub branch: String,
    pub from: Address,
    pub to: Address,
    pub call_id: String,
    /// CSeq's number and method.
    pub cseq: u32,
    pub method: Method,
    /// The contacts that rsip can read; a registrar lists other phones' bindings too, and those may be beyond it.
    pub contacts: Vec<Address>,
    /// Every header, in order, by its full name.
    pub headers: Vec<(String, String)>,
    /// As long as Content-Length says, or as long as the datagram.
    pub body: Vec<u8>,
}

impl Received {
    /// Reads one datagram.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let refuse = |why: String| WireError { message: first_line(bytes), why };
        let message = rsip::SipMessage::try_from(bytes).map_err(|error| refuse(error.to_string()))?;
        Self::from_rsip(message).map_err(refuse)
    }

    fn from_rsip(message: rsip::SipMessage) -> Result<Self, String> {
        let (start, headers, body) = match message {
            rsip::SipMessage::Request(request) => {
                let (method, uri) = (Method::from_rsip(request.method), SipUri::from_rsip(&request.uri)?);
                (Start::Request { method, uri }, request.headers, request.body)
            }
            rsip::SipMessage::Response(response) => {
                let status = response.status_code.code();
                let start = Start::Response { status, reason: reason_phrase(status).to_owned() };
                (start, response.headers, response.body)
            }
        };
        let lines: Vec<(String, String)> = headers.iter().filter_map(line).collect();
        let text = |name: &str| find(&lines, name).ok_or_else(|| format!("no {name} header that rsip knows"));
        let vias: Vec<String> = all(&lines, "Via").map(str::to_owned).collect();
        let top = text("Via")?;
        let cseq = rsip::headers::CSeq::new(text("CSeq")?).typed().map_err(|error| format!("CSeq: {error}"))?;
        Ok(Self {
            start,
            branch: branch(top)?,
            vias,
            from: address("From", text("From")?)?,
            to: address("To", text("To")?)?,
            call_id: text("Call-ID")?.trim().to_owned(),
            cseq: cseq.seq,
            method: Method::from_rsip(cseq.method),
            contacts: contacts(&lines),
            body: sized(body, find(&lines, "Content-Length")),
            headers: lines,
        })
    }

    /// The status of a response; `None` on a request.
    pub fn status(&self) -> Option<u16> {
        match self.start {
            Start::Response { status, .. } => Some(status),
            Start::Request { .. } => None,
        }
    }

    /// The first line of that header.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Every line of that header, in order.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        all(&self.headers, name)
    }

    /// The body as text, where it is text.
    pub fn body_text(&self) -> &str {
        core::str::from_utf8(&self.body).unwrap_or_default()
    }
}

/// rsip could not read a message. Says which and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rsip cannot read `{message}`: {why}")]
pub struct WireError {
    /// The first line, cut to 120 characters.
    pub message: String,
    pub why: String,
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).chars().take(120).collect()
}

fn line(header: &rsip::Header) -> Option<(String, String)> {
    let text = header.to_string();
    text.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
}

fn find<'a>(lines: &'a [(String, String)], name: &str) -> Option<&'a str> {
    lines.iter().find(|(line, _)| line.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn all<'a>(lines: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    lines.iter().filter(move |(line, _)| line.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn branch(top_via: &str) -> Result<String, String> {
    let first = top_via.split(',').next().unwrap_or_default();
    let via = rsip::headers::Via::new(first).typed().map_err(|error| format!("Via `{first}`: {error}"))?;
    via.branch().map(|branch| branch.value().to_owned()).ok_or_else(|| format!("Via `{first}` has no branch"))
}

fn address(name: &str, text: &str) -> Result<Address, String> {
    // One grammar serves the three headers in rsip as in RFC 3261 §25.1; Contact's type carries all we ask for.
    let typed = rsip::headers::Contact::new(text).typed().map_err(|error| format!("{name} `{text}`: {error}"))?;
    let tag = typed.params.iter().find_map(|param| match param {
        rsip::Param::Tag(tag) => Some(tag.value().to_owned()),
        _ => None,
    });
    let expires = typed.expires().and_then(|expires| expires.value().parse().ok());
    let display = typed.display_name.as_deref().map(|name| name.trim_matches('"').to_owned());
    Ok(Address { text: text.to_owned(), display, uri: SipUri::from_rsip(&typed.uri)?, tag, expires })
}

fn contacts(lines: &[(String, String)]) -> Vec<Address> {
    all(lines, "Contact").flat_map(split_outside_brackets).filter_map(|text| address("Contact", text).ok()).collect()
}

/// Splits at commas that stand neither in `<>` nor in quotes.
fn split_outside_brackets(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut bracket, mut quote) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quote = !quote,
            '<' if !quote => bracket = true,
            '>' if !quote => bracket = false,
            ',' if !quote && !bracket => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts.into_iter().map(str::trim).collect()
}

fn sized(mut body: Vec<u8>, content_length: Option<&str>) -> Vec<u8> {
    if let Some(length) = content_length.and_then(|text| text.trim().parse::<usize>().ok()) {
        body.truncate(length);
    }
    body
}

/// The reason phrases of RFC 3261 §21 (and RFC 3265's) for the statuses that phones send.
pub(super) fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        415 => "Unsupported Media Type",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        _ => match status / 100 {
            1 => "Progress",
            2 => "Success",
            3 => "Redirect",
            _ => "Failure",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Draft {
        Draft::request(Method::Invite, SipUri::new("+4930123", "127.0.0.1"))
            .with("Via", "SIP/2.0/UDP 127.0.2.1:5060;branch=z9hG4bKa1;rport")
            .with("From", "\"Ada L\" <sip:1001@example.com>;tag=f1")
            .with("To", "<sip:+4930123@example.com>")
            .with("Call-ID", "c1@127.0.2.1")
            .with("CSeq", "7 INVITE")
            .with("Contact", "<sip:1001@127.0.2.1:5060;transport=udp>")
            .with("P-Asserted-Identity", "<sip:+49301@example.com>")
            .with_body("application/sdp", "v=0\r\n")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = invite().write();
        let read = Received::parse(&bytes).unwrap();
        assert_eq!(read.branch, "z9hG4bKa1");
        assert_eq!((read.cseq, read.method), (7, Method::Invite));
        assert_eq!(read.from.tag.as_deref(), Some("f1"));
        assert_eq!(read.from.display.as_deref(), Some("Ada L"));
        assert_eq!(read.to.tag, None);
        assert_eq!(read.to.uri.user.as_deref(), Some("+4930123"));
        assert_eq!(read.contacts[0].uri.to_string(), "sip:1001@127.0.2.1:5060;transport=udp");
        assert_eq!(read.contacts[0].uri.literal_address(), Some("127.0.2.1:5060".parse().unwrap()));
        assert_eq!(read.header("p-asserted-identity"), Some("<sip:+49301@example.com>"));
        assert_eq!(read.body_text(), "v=0\r\n");
        assert_eq!(read.header("Content-Length"), Some("5"));
    }

    #[test]
    fn a_busy_phone_says_busy_here_as_the_rfc_spells_it() {
        let bytes = Draft::response(486)
            .with("Via", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKb")
            .with("From", "<sip:a@example.com>;tag=1")
            .with("To", "<sip:b@example.com>;tag=2")
            .with("Call-ID", "x")
            .with("CSeq", "1 INVITE")
            .write();
        assert!(bytes.starts_with(b"SIP/2.0 486 Busy Here\r\n"), "{}", String::from_utf8_lossy(&bytes));
        assert_eq!(Received::parse(&bytes).unwrap().status(), Some(486));
    }

    #[test]
    fn what_rsip_cannot_read_is_refused_by_name_and_not_misread() {
        let text = String::from_utf8(invite().write()).unwrap();
        for (from, to) in [
            ("sip:1001@example.com", "sip:john.doe@example.com"),
            ("Via:", "v:"),
            ("sip:+4930123@127.0.0.1", "sip:+4930123@[::1]"),
            ("Call-ID: c1", "Subject: folded\r\n line\r\nCall-ID: c1"),
        ] {
            let bytes = text.replacen(from, to, 1).into_bytes();
            let error = Received::parse(&bytes).expect_err(to);
            assert!(error.to_string().contains("INVITE sip:+4930123@"), "{error}");
        }
    }

    #[test]
    fn bindings_of_other_phones_that_rsip_cannot_read_do_not_hide_ours() {
        let contact = "<sip:1@127.0.0.1:5060>;expires=60, <sip:1@a.invalid>;+sip.instance=\"<urn:uuid:1>\"";
        let bytes = Draft::response(200)
            .with("Via", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKb")
            .with("From", "<sip:a@example.com>;tag=1")
            .with("To", "<sip:a@example.com>;tag=2")
            .with("Call-ID", "x")
            .with("CSeq", "1 REGISTER")
            .with("Contact", contact)
            .write();
        let contacts = Received::parse(&bytes).unwrap().contacts;
        assert_eq!(contacts.len(), 1);
        assert_eq!(contacts[0].expires, Some(60));
    }
}
