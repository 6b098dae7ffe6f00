//! The agents' desks: where their commands go. `load` against a switch without CTI uses [`NoDesk`]; the demo and the
//! full load use a CTI client.

use tokio::sync::mpsc;

use super::report::Note;
use crate::limits;
use crate::sim::agent::{DeskCommand, DeskNews};

/// Who sits down.
#[derive(Clone, PartialEq, Eq)]
pub struct Seat {
    /// The agent's user name; empty for a phone that only registers.
    pub agent: String,
    pub password: String,
    /// The SIP account of the agent's phone.
    pub account: String,
    pub sip_password: String,
}

impl core::fmt::Debug for Seat {
    /// Without the passwords.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Seat({} at {})", self.agent, self.account)
    }
}

/// A seated agent's line to its desk.
#[derive(Debug)]
pub struct DeskLine {
    pub commands: mpsc::Sender<DeskCommand>,
    pub news: mpsc::Receiver<DeskNews>,
}

/// Opens desks. One that dies closes its `news`; its commands then go nowhere.
pub trait AgentDesk: Send + Sync {
    /// `notes` is told why a desk closes that should not.
    fn sit_down(&self, seat: &Seat, notes: mpsc::Sender<Note>) -> DeskLine;
}

/// A desk that agrees to everything, for centres whose agents are ready by being registered.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDesk;

impl AgentDesk for NoDesk {
    fn sit_down(&self, _seat: &Seat, _notes: mpsc::Sender<Note>) -> DeskLine {
        let (commands, mut orders) = mpsc::channel(limits::LOAD_DESK_QUEUE);
        let (tell, news) = mpsc::channel(limits::LOAD_DESK_QUEUE);
        tokio::spawn(async move {
            while let Some(command) = orders.recv().await {
                if command == DeskCommand::SignIn && tell.send(DeskNews::SignedIn).await.is_err() {
                    return;
                }
            }
        });
        DeskLine { commands, news }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::error::TrySendError;

    use super::*;

    #[tokio::test]
    async fn commands_beyond_the_desks_queue_are_refused_until_it_has_caught_up() {
        let account = "1001".into();
        let seat = Seat { agent: "li".into(), password: "pw".into(), account, sip_password: "pw".into() };
        let (notes, _) = mpsc::channel(1);
        let DeskLine { commands, mut news } = NoDesk.sit_down(&seat, notes);
        // The desk has not run yet.
        for _ in 0..limits::LOAD_DESK_QUEUE {
            commands.try_send(DeskCommand::SignIn).unwrap();
        }
        assert!(matches!(commands.try_send(DeskCommand::SignIn), Err(TrySendError::Full(_))));
        assert_eq!(news.recv().await, Some(DeskNews::SignedIn));
        assert!(commands.try_send(DeskCommand::SignIn).is_ok());
    }
}
