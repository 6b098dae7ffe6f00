//! The switch's inbox: everything that happens, in the order in which it was handed in.
//!
//! One queue, so that a connection's end never overtakes its messages, with three ways in for three kinds of sender:
//! who repeats itself is refused where the queue is full ([`Inbox::offer`]), who may wait waits ([`Inbox::wait`]),
//! and what is told once on a task that must not wait is taken beyond the bound ([`Inbox::keep`]): a connection
//! ends once and a desktop comes and goes rarely, so that these are few.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits::runtime::{INBOX, INBOX_KEPT};

/// The sending end; clones share the queue. The receiver learns when the last one is gone.
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
}

/// The one end that takes.
pub struct Outbox<T> {
    shared: Arc<Shared<T>>,
}

/// The inbox is full, or the switch has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("the switch is behind")]
    Full,
    #[error("the switch has stopped")]
    Stopped,
}

/// What [`Outbox::take`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Some,
    /// Nothing came in time.
    Nothing,
    /// Nothing will come any more: every sender is gone.
    Orphaned,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Something came, or the last sender went.
    came: Condvar,
    /// There is room again, or nobody takes any more.
    room: Condvar,
}

struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    stopped: bool,
}

/// Both ends of an empty inbox.
pub fn inbox<T>() -> (Inbox<T>, Outbox<T>) {
    let state = State { queue: VecDeque::new(), senders: 1, stopped: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), came: Condvar::new(), room: Condvar::new() });
    (Inbox { shared: shared.clone() }, Outbox { shared })
}

impl<T> Inbox<T> {
    /// Hands in what its sender repeats. Never waits; refused where [`INBOX`] wait already.
    pub fn offer(&self, item: T) -> Result<(), NotTaken> {
        self.push_below(INBOX, item)
    }

    /// Hands in what is told once and must not be lost. Never waits; refused only at [`INBOX_KEPT`], where the switch
    /// has not taken anything for a very long time.
    pub fn keep(&self, item: T) -> Result<(), NotTaken> {
        self.push_below(INBOX_KEPT, item)
    }

    /// Hands in what must not be lost; waits where the inbox is full. Not for asynchronous tasks.
    pub fn wait(&self, item: T) -> Result<(), NotTaken> {
        let state = self.shared.lock();
        let full = |state: &mut State<T>| state.queue.len() >= INBOX && !state.stopped;
        let state = self.shared.room.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        self.push(state, item)
    }

    fn push_below(&self, bound: usize, item: T) -> Result<(), NotTaken> {
        let state = self.shared.lock();
        if state.queue.len() >= bound && !state.stopped {
            return Err(NotTaken::Full);
        }
        self.push(state, item)
    }

    fn push(&self, mut state: MutexGuard<'_, State<T>>, item: T) -> Result<(), NotTaken> {
        if state.stopped {
            return Err(NotTaken::Stopped);
        }
        state.queue.push_back(item);
        drop(state);
        self.shared.came.notify_one();
        Ok(())
    }
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.shared.lock().senders -= 1;
        self.shared.came.notify_one();
    }
}

impl<T> Outbox<T> {
    /// Moves at most `most` items, oldest first, to the end of `taken`; waits `patience` for the first.
    pub fn take(&self, taken: &mut VecDeque<T>, most: usize, patience: Duration) -> Taken {
        let state = self.shared.lock();
        let idle = |state: &mut State<T>| state.queue.is_empty() && state.senders > 0;
        let waited = self.shared.came.wait_timeout_while(state, patience, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.queue.is_empty() {
            return if state.senders == 0 { Taken::Orphaned } else { Taken::Nothing };
        }
        let was_full = state.queue.len() >= INBOX;
        let count = most.min(state.queue.len());
        taken.extend(state.queue.drain(..count));
        if was_full && state.queue.len() < INBOX {
            self.shared.room.notify_all();
        }
        Taken::Some
    }
}

impl<T> Drop for Outbox<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        let left = std::mem::take(&mut state.queue);
        drop(state);
        self.shared.room.notify_all();
        // Whoever waits for an answer to one of these learns now that there will be none.
        drop(left);
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn all(outbox: &Outbox<usize>) -> Vec<usize> {
        let mut taken = VecDeque::new();
        while outbox.take(&mut taken, 1_000, Duration::ZERO) == Taken::Some {}
        taken.into()
    }

    #[test]
    fn past_a_full_inbox_what_is_repeated_is_refused_and_what_is_told_once_is_kept_in_its_place() {
        let (inbox, outbox) = inbox();
        for at in 0..INBOX {
            inbox.offer(at).unwrap();
        }
        assert_eq!(inbox.offer(0), Err(NotTaken::Full));
        for at in INBOX..INBOX_KEPT {
            inbox.keep(at).unwrap();
        }
        assert_eq!(inbox.keep(0), Err(NotTaken::Full), "even this has a bound");
        assert_eq!(all(&outbox), (0..INBOX_KEPT).collect::<Vec<_>>());
        assert_eq!(inbox.offer(1), Ok(()));
    }

    #[test]
    fn who_may_wait_waits_until_there_is_room() {
        let (inbox, outbox) = inbox();
        for at in 0..INBOX {
            inbox.offer(at).unwrap();
        }
        let (patient, mut first) = (inbox.clone(), VecDeque::new());
        let waiting = std::thread::spawn(move || patient.wait(INBOX));
        assert_eq!(outbox.take(&mut first, 1, SOON), Taken::Some);
        waiting.join().unwrap().unwrap();
        first.extend(all(&outbox));
        assert_eq!(first, (0..=INBOX).collect::<VecDeque<_>>());
    }

    #[test]
    fn each_end_learns_that_the_other_is_gone() {
        let (first, outbox) = inbox();
        let second = first.clone();
        first.offer(1).unwrap();
        drop(first);
        let mut taken = VecDeque::new();
        assert_eq!(outbox.take(&mut taken, 10, SOON), Taken::Some);
        assert_eq!(outbox.take(&mut taken, 10, Duration::ZERO), Taken::Nothing);
        drop(second);
        assert_eq!(outbox.take(&mut taken, 10, SOON), Taken::Orphaned);

        let (inbox, outbox) = inbox();
        drop(outbox);
        assert_eq!(inbox.offer(1), Err(NotTaken::Stopped));
        assert_eq!(inbox.keep(1), Err(NotTaken::Stopped));
        assert_eq!(inbox.wait(1), Err(NotTaken::Stopped));
    }
}
