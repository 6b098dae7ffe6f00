//! Topics: what a client subscribes to, who may, and which entities each holds.

use core::fmt;
use core::str::FromStr;

use super::entity::Entity;
use super::fold::{Desk, Image};
use crate::command::UserRole;
use crate::ids::{QueueName, UserName};

/// Something to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// `agent:me`: my agent, and the calls I have part in.
    Me,
    /// `agents`: everyone's state.
    Agents,
    /// `queues`: every queue with its figures.
    Queues,
    /// `queue:NAME`: one queue and who waits in it.
    Queue(QueueName),
    /// `calls`: every call.
    Calls,
    Voicemails,
    Trunks,
}

/// The text names no topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no topic: agent:me, agents, queues, queue:NAME, calls, voicemails and trunks are")]
pub struct UnknownTopic(pub String);

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        match text {
            "agent:me" => Ok(Topic::Me),
            "agents" => Ok(Topic::Agents),
            "queues" => Ok(Topic::Queues),
            "calls" => Ok(Topic::Calls),
            "voicemails" => Ok(Topic::Voicemails),
            "trunks" => Ok(Topic::Trunks),
            _ => match text.strip_prefix("queue:") {
                Some(queue) if !queue.is_empty() => Ok(Topic::Queue(QueueName::new(queue))),
                _ => Err(UnknownTopic(text.chars().take(80).collect())),
            },
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Me => f.write_str("agent:me"),
            Topic::Agents => f.write_str("agents"),
            Topic::Queues => f.write_str("queues"),
            Topic::Queue(queue) => write!(f, "queue:{queue}"),
            Topic::Calls => f.write_str("calls"),
            Topic::Voicemails => f.write_str("voicemails"),
            Topic::Trunks => f.write_str("trunks"),
        }
    }
}

impl Topic {
    /// Everyone sees colleagues and queues, as a transfer needs; calls of others and trunks are not an agent's.
    pub fn is_open_to(&self, role: UserRole) -> bool {
        match self {
            Topic::Me | Topic::Agents | Topic::Queues | Topic::Queue(_) | Topic::Voicemails => true,
            Topic::Calls | Topic::Trunks => role != UserRole::Agent,
        }
    }

    /// How this topic shows an image to a user; `None` where it does not belong here.
    pub fn form(&self, user: &UserName, image: &Image) -> Option<Form> {
        let whole = match (self, &image.entity) {
            (Topic::Me, Entity::Agent(agent)) => agent.id == *user,
            (Topic::Me, Entity::Call(_)) if image.parted.contains(user) => return Some(Form::Gone),
            (Topic::Me, Entity::Call(_)) => image.parties.contains(user),
            (Topic::Queue(name), Entity::Queue(queue)) => queue.id == *name,
            (Topic::Queue(name), Entity::Waiting(waiting)) => waiting.queue == *name,
            (Topic::Agents, Entity::Agent(_))
            | (Topic::Queues, Entity::Queue(_))
            | (Topic::Calls, Entity::Call(_))
            | (Topic::Voicemails, Entity::Voicemail(_))
            | (Topic::Trunks, Entity::Trunk(_)) => true,
            (_, Entity::Gone(_)) => return self.tombstone(user, image).then_some(Form::Gone),
            _ => false,
        };
        whole.then_some(Form::Whole)
    }

    fn tombstone(&self, user: &UserName, image: &Image) -> bool {
        use super::entity::EntityKind as K;
        let Entity::Gone(gone) = &image.entity else { return false };
        match (self, gone.of) {
            (Topic::Me, K::Agent) => gone.id == user.as_str(),
            (Topic::Me, K::Call) => image.parted.contains(user),
            (Topic::Agents, K::Agent) | (Topic::Queues, K::Queue) | (Topic::Calls, K::Call) => true,
            (Topic::Voicemails, K::Voicemail) | (Topic::Trunks, K::Trunk) => true,
            (Topic::Queue(name), K::Queue) => gone.id == name.as_str(),
            (Topic::Queue(name), K::Waiting) => gone.id.strip_prefix(name.as_str()).is_some_and(|r| r.starts_with('/')),
            _ => false,
        }
    }
}

/// Who looks, and through which topics. What is not in a topic is not sent.
#[derive(Clone, Debug)]
pub struct Viewer {
    pub user: UserName,
    /// Numbers are masked.
    pub masked: bool,
    pub topics: Vec<Topic>,
}

/// How a viewer sees an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    Whole,
    /// Its tombstone: it is no more, or no more theirs.
    Gone,
}

impl Viewer {
    /// Every entity of a topic as it is now.
    pub fn snapshot(&self, desk: &Desk, topic: &Topic) -> Vec<Entity> {
        let mut images = desk.images(topic);
        images.retain(|image| topic.form(&self.user, image) == Some(Form::Whole));
        images.into_iter().map(|image| if self.masked { image.entity.masked() } else { image.entity }).collect()
    }

    /// Which of these images the viewer gets, by index, and the first topic that shows any.
    pub fn pick(&self, images: &[Image]) -> Option<(&Topic, Vec<(usize, Form)>)> {
        let mut first = None;
        let mut picked = Vec::new();
        for (index, image) in images.iter().enumerate() {
            // The whole image in one topic outdoes the tombstone in another.
            let forms = self.topics.iter().filter_map(|topic| Some((topic, topic.form(&self.user, image)?)));
            if let Some((topic, form)) = forms.min_by_key(|(_, form)| *form) {
                first.get_or_insert(topic);
                picked.push((index, form));
            }
        }
        Some((first?, picked))
    }
}
