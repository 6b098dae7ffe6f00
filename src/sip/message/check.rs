//! What is wrong with a message that was indexed: mandatory headers, readable values, limits of lists (RFC 3261 §8.1.1, §16.3).

use super::{Fault, Faults, Message};
use crate::limits::sip::LIST_ELEMENTS;
use crate::sip::header::{CSeq, Contact, Elements, Name, NameAddr, Via, scan};
use crate::sip::{Method, Scheme, Uri};

pub(super) fn faults(message: &mut Message) {
    let mut faults = message.faults;
    let mut lists = Lists::default();
    let mut seen = Seen::default();
    let mut max_forwards = 0;
    for span in &message.spans {
        let value = message.head.get(span.value()).unwrap_or_default();
        match span.name {
            Name::Via => {
                seen.via = true;
                lists.via += each(value, &mut faults, Fault::BadVia, |e| Via::parse(e).is_ok());
            }
            Name::From => {
                faults.add_if(core::mem::replace(&mut seen.from, true), Fault::DuplicateFrom);
                faults.add_if(NameAddr::parse(value).is_err(), Fault::BadFrom);
            }
            Name::To => {
                faults.add_if(core::mem::replace(&mut seen.to, true), Fault::DuplicateTo);
                faults.add_if(NameAddr::parse(value).is_err(), Fault::BadTo);
            }
            Name::CallId => {
                faults.add_if(core::mem::replace(&mut seen.call_id, true), Fault::DuplicateCallId);
                faults.add_if(!is_call_id(value), Fault::BadCallId);
            }
            Name::CSeq => {
                faults.add_if(core::mem::replace(&mut seen.cseq, true), Fault::DuplicateCSeq);
                check_cseq(message, value, &mut faults);
            }
            Name::MaxForwards => {
                max_forwards += 1;
                faults.add_if(scan::decimal(value, 255).is_none(), Fault::BadMaxForwards);
            }
            Name::Contact => {
                let mut star = false;
                let count = each(value, &mut faults, Fault::BadContact, |e| match Contact::parse(e) {
                    Ok(Contact::Star) => !core::mem::replace(&mut star, true),
                    Ok(Contact::Address(_)) => true,
                    Err(_) => false,
                });
                lists.contact += count;
                lists.star |= star;
            }
            Name::Route => lists.route += each(value, &mut faults, Fault::BadRoute, is_route),
            Name::RecordRoute => lists.record_route += each(value, &mut faults, Fault::BadRoute, is_route),
            _ => {}
        }
    }
    seen.report(&mut faults);
    faults.add_if(max_forwards > 1, Fault::DuplicateMaxForwards);
    lists.report(&mut faults);
    check_request(message, &mut faults);
    message.faults = faults;
}

fn check_request(message: &Message, faults: &mut Faults) {
    let Some(method) = message.method() else { return };
    faults.add_if(method == Method::Other, Fault::UnknownMethod);
    match Uri::parse(message.uri_text()) {
        Ok(uri) if uri.scheme() == Scheme::Other => faults.add(Fault::UnknownScheme),
        // RFC 3261 §19.1.1: headers are not allowed in a Request-URI (RFC 4475 §3.1.2.11).
        Ok(uri) => faults.add_if(!uri.headers_text().is_empty(), Fault::BadRequestUri),
        Err(_) => faults.add(Fault::BadRequestUri),
    }
}

fn check_cseq(message: &Message, value: &[u8], faults: &mut Faults) {
    match CSeq::parse(value) {
        Ok(cseq) => {
            let same = match message.method() {
                Some(Method::Other) => cseq.method_text == message.method_text(),
                Some(known) => cseq.method == known,
                None => true,
            };
            faults.add_if(!same, Fault::CSeqMismatch);
        }
        Err(_) => faults.add(Fault::BadCSeq),
    }
}

/// Checks each element up to the limit; answers how many there are, at most one over the limit.
fn each(value: &[u8], faults: &mut Faults, fault: Fault, is_good: impl FnMut(&[u8]) -> bool) -> usize {
    let mut is_good = is_good;
    let mut count = 0;
    for element in Elements::new(value).take(LIST_ELEMENTS + 1) {
        count += 1;
        faults.add_if(!is_good(element), fault);
    }
    count
}

fn is_route(element: &[u8]) -> bool {
    NameAddr::parse(element).is_ok()
}

/// RFC 3261 §25.1 `callid`, taken widely: one word without the marks that end a parameter or a line.
fn is_call_id(value: &[u8]) -> bool {
    !value.is_empty()
        && (value.is_ascii() || scan::utf8(value).is_some())
        && value.iter().all(|&b| b > b' ' && b != 0x7f && b != b',' && b != b';')
}

#[derive(Default)]
struct Seen {
    via: bool,
    from: bool,
    to: bool,
    call_id: bool,
    cseq: bool,
}

impl Seen {
    fn report(&self, faults: &mut Faults) {
        faults.add_if(!self.via, Fault::MissingVia);
        faults.add_if(!self.from, Fault::MissingFrom);
        faults.add_if(!self.to, Fault::MissingTo);
        faults.add_if(!self.call_id, Fault::MissingCallId);
        faults.add_if(!self.cseq, Fault::MissingCSeq);
    }
}

#[derive(Default)]
struct Lists {
    via: usize,
    contact: usize,
    star: bool,
    route: usize,
    record_route: usize,
}

impl Lists {
    fn report(&self, faults: &mut Faults) {
        let longest = self.via.max(self.contact).max(self.route).max(self.record_route);
        faults.add_if(longest > LIST_ELEMENTS, Fault::TooManyElements);
        faults.add_if(self.star && self.contact > 1, Fault::BadContact);
    }
}
