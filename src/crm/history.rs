//! What is computed from a customer's contacts: how often, when last, what is open.

use serde::{Deserialize, Serialize};

use super::interaction::{Direction, Interaction, Outcome};
use crate::ids::{InteractionId, UserName};
use crate::time::Time;

/// A customer's contacts in figures, as of one moment; the contact under way is not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Contacts that the customer began since the month did.
    pub contacts_this_month: u32,
    /// All contacts on record, both ways.
    pub contacts: u32,
    /// The latest contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastContact>,
    /// The latest agent who spoke with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_agent: Option<UserName>,
    /// Contacts whose problem is not solved, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<OpenIssue>,
}

/// The latest contact in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastContact {
    pub id: InteractionId,
    pub at: Time,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
}

/// A problem that is not solved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIssue {
    pub interaction: InteractionId,
    pub at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

impl History {
    /// Counts `interactions`, in any order. `month_start` is the start of the month in the centre's time zone.
    pub fn of<'a>(interactions: impl IntoIterator<Item = &'a Interaction>, month_start: Time) -> Self {
        let mut all: Vec<&Interaction> = interactions.into_iter().collect();
        all.sort_by_key(|interaction| core::cmp::Reverse((interaction.at, interaction.id)));
        let begun =
            |interaction: &&&Interaction| interaction.direction == Direction::In && interaction.at >= month_start;
        Self {
            contacts_this_month: count(all.iter().filter(begun).count()),
            contacts: count(all.len()),
            last: all.first().map(|interaction| LastContact {
                id: interaction.id,
                at: interaction.at,
                outcome: interaction.outcome,
                topic: interaction.topic.clone(),
                disposition: interaction.disposition.clone(),
            }),
            last_agent: all
                .iter()
                .find(|interaction| interaction.outcome == Outcome::Answered && interaction.agent.is_some())
                .and_then(|interaction| interaction.agent.clone()),
            open: all
                .iter()
                .filter(|interaction| interaction.open)
                .map(|interaction| open_issue(interaction))
                .collect(),
        }
    }
}

fn open_issue(interaction: &Interaction) -> OpenIssue {
    OpenIssue { interaction: interaction.id, at: interaction.at, topic: interaction.topic.clone() }
}

fn count(contacts: usize) -> u32 {
    u32::try_from(contacts).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::interaction::Channel;
    use super::*;

    pub fn contact(id: u128, at_s: u64) -> Interaction {
        Interaction {
            id: InteractionId::from_u128(id),
            customer: None,
            at: Time::from_secs(at_s),
            channel: Channel::Voice,
            direction: Direction::In,
            number: String::new(),
            calls: Vec::new(),
            queue: None,
            agent: None,
            language: None,
            topic: None,
            disposition: None,
            note: String::new(),
            outcome: Outcome::Answered,
            open: false,
        }
    }

    #[test]
    fn contacts_are_counted_from_the_start_of_the_month() {
        let month = Time::from_secs(1_000);
        let ours = Interaction { direction: Direction::Out, ..contact(4, 1_200) };
        let all = [contact(1, 999), contact(2, 1_000), contact(3, 1_100), ours];
        let history = History::of(&all, month);
        assert_eq!((history.contacts_this_month, history.contacts), (2, 4));
        assert_eq!(history.last.map(|last| last.at), Some(Time::from_secs(1_200)));
    }

    #[test]
    fn the_open_issue_and_the_agent_who_knows_it_are_found() {
        let refund =
            Interaction { open: true, topic: Some("refund".into()), agent: Some("amy".into()), ..contact(1, 10) };
        let missed = Interaction { outcome: Outcome::Abandoned, agent: Some("bob".into()), ..contact(2, 20) };
        let history = History::of(&[missed, refund], Time::EPOCH);
        assert_eq!(history.last_agent, Some("amy".into()));
        assert_eq!(history.open.iter().map(|issue| issue.topic.as_deref()).collect::<Vec<_>>(), [Some("refund")]);
        assert_eq!(history.last.map(|last| last.outcome), Some(Outcome::Abandoned));
        assert_eq!(History::of(&[], Time::EPOCH), History::default());
    }
}
