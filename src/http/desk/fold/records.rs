//! What people keep: users, skills, voicemails.

use super::super::entity::{Address, Voicemail};
use crate::event::{self, RecordKind, Seq};
use crate::http::wire::Moment;
use crate::ids::{CallId, UserName, VoicemailId};
use crate::time::Time;

use super::{Desk, Touched};

impl Desk {
    pub(super) fn on_saved(
        &mut self,
        kind: RecordKind,
        name: &str,
        record: &serde_json::Value,
        at: Time,
        touched: &mut Touched,
    ) {
        let name = UserName::new(name);
        let seq = self.seq;
        match kind {
            RecordKind::Agent => {
                let Ok(profile) = serde_json::from_value::<crate::crm::AgentProfile>(record.clone()) else { return };
                let fresh = self.new_agent(&name, seq, at);
                let agent = self.agents.entry(name.clone()).or_insert(fresh);
                agent.skills = profile.skills.into_iter().map(|(skill, level)| (skill, level.get())).collect();
                agent.rev = seq;
                let queues = self.agents.get(&name).map(|agent| self.served_by(&name, &agent.skills));
                if let (Some(agent), Some(queues)) = (self.agents.get_mut(&name), queues) {
                    agent.queues = queues;
                }
                touched.agents.insert(name);
            }
            RecordKind::User => {
                let display = record.get("display").and_then(serde_json::Value::as_str).unwrap_or_default();
                if let Some(agent) = self.agents.get_mut(&name) {
                    (agent.display, agent.rev) = (display.to_owned(), seq);
                    touched.agents.insert(name);
                }
            }
            RecordKind::Account | RecordKind::Customer | RecordKind::Voicemail => {}
        }
    }

    pub(super) fn on_removed(&mut self, kind: RecordKind, key: &str, touched: &mut Touched) {
        match kind {
            RecordKind::Agent => {
                let name = UserName::new(key);
                if let Some(agent) = self.agents.remove(&name) {
                    touched.calls.extend(agent.call);
                    touched.calls.extend(agent.account.iter().flat_map(|seat| self.calls_at(seat)));
                }
                touched.agents.insert(name);
            }
            RecordKind::Voicemail if self.voicemails.remove(key).is_some() => {
                touched.voicemails.insert(key.to_owned());
            }
            _ => {}
        }
    }
}

pub(super) fn voicemail(
    mailbox: &str,
    message: VoicemailId,
    call: CallId,
    from: &event::Address,
    at: Time,
    seconds: f64,
    rev: Seq,
) -> Voicemail {
    Voicemail {
        id: format!("{mailbox}/{message}"),
        rev,
        r#box: mailbox.to_owned(),
        message,
        call,
        from: Address::from(from),
        at: Moment(at),
        seconds,
    }
}
