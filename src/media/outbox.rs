//! Datagrams waiting for the shell, in one arena: forwarding a packet allocates nothing once the arena has grown.

use core::net::SocketAddr;
use core::ops::Range;

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// The local port to send from.
    pub from_port: u16,
    pub to: SocketAddr,
    pub bytes: &'a [u8],
}

/// First in, first out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    arena: Vec<u8>,
    heads: Vec<Head>,
    /// Heads before this one have been taken.
    taken: usize,
}

#[derive(Clone, Debug)]
struct Head {
    from_port: u16,
    to: SocketAddr,
    bytes: Range<usize>,
}

impl Outbox {
    /// Adds a datagram of a header and a payload, and gives the payload's bytes for conversion in place.
    pub fn push(&mut self, from_port: u16, to: SocketAddr, header: &[u8], payload: &[u8]) -> &mut [u8] {
        self.push_with(from_port, to, |arena| {
            arena.extend_from_slice(header);
            arena.extend_from_slice(payload);
        });
        let payload_at = self.arena.len() - payload.len();
        &mut self.arena[payload_at..]
    }

    /// Adds a datagram that `write` appends to the arena.
    pub fn push_with(&mut self, from_port: u16, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        if self.taken == self.heads.len() {
            self.arena.clear();
            self.heads.clear();
            self.taken = 0;
        }
        let start = self.arena.len();
        write(&mut self.arena);
        self.heads.push(Head { from_port, to, bytes: start..self.arena.len() });
    }

    /// The next datagram, oldest first.
    pub fn poll(&mut self) -> Option<Transmit<'_>> {
        let head = self.heads.get(self.taken)?;
        self.taken += 1;
        Some(Transmit { from_port: head.from_port, to: head.to, bytes: &self.arena[head.bytes.clone()] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_leave_in_order_and_the_arena_is_used_again() {
        let mut outbox = Outbox::default();
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        for _ in 0..3 {
            outbox.push(1, to, b"head", b"one")[0] = b'O';
            outbox.push(2, to, b"", b"two");
            let first = outbox.poll().map(|t| (t.from_port, t.bytes.to_vec()));
            assert_eq!(first, Some((1, b"headOne".to_vec())));
            assert_eq!(outbox.poll().map(|t| t.from_port), Some(2));
            assert_eq!(outbox.poll(), None);
            assert_eq!(outbox.arena.len(), 10);
        }
    }
}
