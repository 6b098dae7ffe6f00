//! The two requests that are made from an INVITE, hop by hop: its CANCEL, and the ACK to its refusal.

use bytes::Bytes;

use super::super::header::Name;
use super::super::write::{Unwritable, Writer};
use super::super::{Invalid, Message, Method};

/// Why it could not be made; the INVITE is our own, so this does not happen to what we sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Underivable {
    #[error(transparent)]
    Unreadable(#[from] Invalid),
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// RFC 3261 §9.1: the INVITE's Request-URI, top Via with its branch, From, To, Call-ID, CSeq number and Route.
pub fn cancel(invite: &Message, reason: Option<&str>) -> Result<Bytes, Underivable> {
    let mut writer = copied(invite, Method::Cancel)?;
    writer.copy_all(invite, Name::To);
    if let Some(reason) = reason {
        writer.header(Name::Reason, reason);
    }
    Ok(writer.finish()?)
}

/// RFC 3261 §17.1.1.3: as the INVITE, with the To of the response.
pub fn ack(invite: &Message, response: &Message) -> Result<Bytes, Underivable> {
    let mut writer = copied(invite, Method::Ack)?;
    writer.copy_all(response, Name::To);
    Ok(writer.finish()?)
}

fn copied(invite: &Message, method: Method) -> Result<Writer, Underivable> {
    let via = invite.elements(Name::Via).next().ok_or(Invalid::Missing(Name::Via))?;
    let cseq = invite.cseq()?.number;
    let mut writer = Writer::request(method.as_str(), invite.uri_text());
    writer.header(Name::Via, via);
    for name in [Name::MaxForwards, Name::Route, Name::From, Name::CallId] {
        writer.copy_all(invite, name);
    }
    writer.header(Name::CSeq, format_args!("{cseq} {}", method.as_str()));
    Ok(writer)
}
