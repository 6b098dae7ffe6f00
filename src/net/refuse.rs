//! The stateless answer to a faulty request (RFC 3261 §8.2.7): what the message's verdict says, without the switch.

use bytes::Bytes;

use crate::sip::carrier::ALLOW;
use crate::sip::flow::Source;
use crate::sip::{Message, Name, respond};

/// The bytes that answer this request; `None` where it must not be answered: a response, an ACK, no Via to answer to.
pub(super) fn refusal(message: &Message, source: Source) -> Option<Bytes> {
    let (status, reason) = message.refusal()?;
    let mut writer = respond(message, source.remote, status, reason, Some(&tag_of(message)));
    if status == 501 {
        writer.header(Name::Allow, ALLOW);
    }
    writer.finish().ok()
}

/// The same for a repetition of the same request, as §8.2.7 asks: taken from its bytes (FNV-1a, 64 bits).
fn tag_of(message: &Message) -> String {
    let hash = message
        .bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}
