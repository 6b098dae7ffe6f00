//! What waits to be written on one connection: bounded in messages and bytes, so that a peer that does not read is found out
//! and nobody waits for it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::limits::net::{QUEUED_BYTES, QUEUED_MESSAGES};

/// The queue between those who send and the connection's own task.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// Wakes the one task that writes.
    changed: Notify,
    /// Wakes the one task that owns the connection, whatever it waits for.
    overflowed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Bytes>,
    /// Bytes waiting, those being written included.
    bytes: usize,
    finished: bool,
}

/// The queue takes no more: the peer does not read, or the connection is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    Full,
    Finished,
}

impl Outbox {
    /// Queues one message. Where there is no room the connection is given up.
    pub fn push(&self, bytes: Bytes) -> Result<(), NoRoom> {
        let mut queue = self.queue();
        if queue.finished {
            return Err(NoRoom::Finished);
        }
        // A message larger than the whole queue still goes out alone.
        let over = queue.bytes > 0 && queue.bytes + bytes.len() > QUEUED_BYTES;
        if over || queue.waiting.len() >= QUEUED_MESSAGES {
            queue.finished = true;
            queue.waiting.clear();
            drop(queue);
            self.overflowed.notify_one();
            return Err(NoRoom::Full);
        }
        queue.bytes += bytes.len();
        queue.waiting.push_back(bytes);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Nothing more is queued; what is there is still written.
    pub fn finish(&self) {
        self.queue().finished = true;
        self.changed.notify_one();
    }

    /// The next message to write; `None` once finished and empty. Tell [`Outbox::written`] after writing it.
    pub async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut queue = self.queue();
                if let Some(bytes) = queue.waiting.pop_front() {
                    return Some(bytes);
                }
                if queue.finished {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    pub fn written(&self, bytes: usize) {
        let mut queue = self.queue();
        queue.bytes = queue.bytes.saturating_sub(bytes);
    }

    /// Returns once a push found no room.
    pub async fn overflow(&self) {
        self.overflowed.notified().await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_gives_up_at_its_bound_of_messages() {
        let outbox = Outbox::default();
        let filled = (0..QUEUED_MESSAGES).all(|_| outbox.push(Bytes::from_static(b"x")).is_ok());
        assert!(filled);
        assert_eq!(outbox.push(Bytes::from_static(b"x")), Err(NoRoom::Full));
        outbox.overflow().await;
        assert_eq!(outbox.push(Bytes::from_static(b"x")), Err(NoRoom::Finished));
        assert_eq!(outbox.next().await, None, "nothing is written to who does not read");
    }

    #[tokio::test]
    async fn the_queue_gives_up_at_its_bound_of_bytes_counting_what_is_being_written() {
        let outbox = Outbox::default();
        outbox.push(Bytes::from(vec![0; QUEUED_BYTES])).unwrap();
        let writing = outbox.next().await.unwrap();
        assert_eq!(outbox.push(Bytes::from_static(b"x")), Err(NoRoom::Full), "it is not written yet");

        let outbox = Outbox::default();
        outbox.push(writing).unwrap();
        let written = outbox.next().await.unwrap();
        outbox.written(written.len());
        assert_eq!(outbox.push(Bytes::from_static(b"x")), Ok(()));
    }

    #[tokio::test]
    async fn what_was_queued_before_the_end_is_still_written() {
        let outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"last words")).unwrap();
        outbox.finish();
        assert_eq!(outbox.next().await.as_deref(), Some(&b"last words"[..]));
        assert_eq!(outbox.next().await, None);
    }
}
