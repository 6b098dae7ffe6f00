//! Who serves: accounts that phones register, and agents with their skills. Loaded at start, changed by saves.

use std::collections::BTreeMap;

use crate::crm::{AgentProfile, SipAccount, User};
use crate::ids::{AccountName, AgentName, UserName};

/// Everybody, by name.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    pub users: BTreeMap<UserName, User>,
    pub accounts: BTreeMap<AccountName, SipAccount>,
    pub profiles: BTreeMap<AgentName, AgentProfile>,
}

/// Who is signed in where. One agent an account, one account an agent.
#[derive(Debug, Default)]
pub(super) struct Desks {
    account_of: BTreeMap<AgentName, AccountName>,
    agent_at: BTreeMap<AccountName, AgentName>,
}

impl Desks {
    /// Seats an agent; an agent who sat elsewhere moves, an account in use is refused with who sits there.
    pub fn seat(&mut self, agent: &AgentName, account: &AccountName) -> Result<(), AgentName> {
        match self.agent_at.get(account) {
            Some(other) if other != agent => return Err(other.clone()),
            _ => {}
        }
        self.leave(agent);
        self.account_of.insert(agent.clone(), account.clone());
        self.agent_at.insert(account.clone(), agent.clone());
        Ok(())
    }

    pub fn leave(&mut self, agent: &AgentName) -> Option<AccountName> {
        let account = self.account_of.remove(agent)?;
        self.agent_at.remove(&account);
        Some(account)
    }

    pub fn account_of(&self, agent: &AgentName) -> Option<&AccountName> {
        self.account_of.get(agent)
    }

    pub fn agent_at(&self, account: &AccountName) -> Option<&AgentName> {
        self.agent_at.get(account)
    }

    pub fn agents(&self) -> impl Iterator<Item = (&AgentName, &AccountName)> {
        self.account_of.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_seats_one_agent_and_an_agent_sits_at_one_account() {
        let mut desks = Desks::default();
        let (li, wang) = (AgentName::new("li"), AgentName::new("wang"));
        let (a, b) = (AccountName::new("1001"), AccountName::new("1002"));
        assert_eq!(desks.seat(&li, &a), Ok(()));
        assert_eq!(desks.seat(&wang, &a), Err(li.clone()));
        assert_eq!(desks.seat(&li, &b), Ok(()), "li moves to the other desk");
        assert_eq!(desks.seat(&wang, &a), Ok(()));
        assert_eq!(desks.leave(&li), Some(b.clone()));
        assert_eq!(desks.agent_at(&b), None);
        assert_eq!(desks.account_of(&wang), Some(&a));
    }
}
