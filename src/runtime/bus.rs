//! The bus: every event, in order, to whoever folds events: the desktop's picture, metrics, ladders.
//!
//! It has a thread of its own, so that folds and JSON never run on the switch's thread. Observers must not wait for
//! anything: then the queue is never full for long, and a publisher that meets it full waits microseconds and loses
//! nothing.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::event::Event;
use crate::limits::http::BUS_QUEUE;

/// A fold over events that lives beside the switch.
pub trait Observer: Send {
    /// Takes the next event in. Must not wait: not for a socket, not for a disk.
    fn handle(&mut self, event: &Arc<Event>);
}

/// The sending end. Dropping it ends the thread when all that was published is handled.
pub struct Bus {
    queue: Option<SyncSender<Arc<Event>>>,
    thread: Option<JoinHandle<()>>,
}

impl Bus {
    /// Starts the thread; each event reaches the observers in their order.
    pub fn start(observers: Vec<Box<dyn Observer>>) -> std::io::Result<Self> {
        let (queue, events) = sync_channel(BUS_QUEUE);
        let thread = std::thread::Builder::new().name("bus".into()).spawn(move || run(&events, observers))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Hands an event on, in order.
    pub fn publish(&self, event: Arc<Event>) {
        // The receiver lives as long as its thread, which ends only after this sender.
        if self.queue.as_ref().is_some_and(|queue| queue.send(event).is_err()) {
            tracing::error!("the bus has stopped: desktops show nothing new");
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of an observer was logged by the hook; there is nothing left to do with it here.
            let _ = thread.join();
        }
    }
}

fn run(events: &Receiver<Arc<Event>>, mut observers: Vec<Box<dyn Observer>>) {
    while let Ok(event) = events.recv() {
        for observer in &mut observers {
            observer.handle(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::event::{EVENT_VERSION, Fact, Seq};
    use crate::time::Time;

    struct Notes(Arc<Mutex<Vec<u64>>>);

    impl Observer for Notes {
        fn handle(&mut self, event: &Arc<Event>) {
            self.0.lock().unwrap().push(event.seq.0);
        }
    }

    #[test]
    fn every_observer_hears_every_event_in_order_also_past_a_full_queue() {
        let (a, b) = (Arc::default(), Arc::default());
        let bus = Bus::start(vec![Box::new(Notes(Arc::clone(&a))), Box::new(Notes(Arc::clone(&b)))]).unwrap();
        let events = BUS_QUEUE as u64 * 2;
        for seq in 1..=events {
            let fact = Fact::SystemDraining {};
            bus.publish(Arc::new(Event { v: EVENT_VERSION, seq: Seq(seq), at: Time::EPOCH, call: None, fact }));
        }
        drop(bus);
        assert_eq!(*a.lock().unwrap(), (1..=events).collect::<Vec<_>>());
        assert_eq!(*a.lock().unwrap(), *b.lock().unwrap());
    }
}
