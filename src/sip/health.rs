//! Whether a trunk is there: OPTIONS at intervals, with hysteresis so that one lost packet moves no call.

use core::time::Duration;

use super::carrier::{Carrier, Owner, RequestId};
use super::header::Name;
use super::invite::{Party, Target};
use super::registration::Change;
use super::request::{Draft, OurContact};
use super::transaction::What;
use super::{Method, reason_phrase};
use crate::ids::TrunkName;
use crate::time::Time;

/// How a trunk is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    pub target: Target,
    pub from: Party,
    /// From one answer, or its absence, to the next question.
    pub interval: Duration,
    /// Failures in a row until the trunk is down.
    pub down_after: u32,
    /// Answers in a row until it is up again. The very first answer counts at once.
    pub up_after: u32,
}

/// One watched trunk. Any answer shows that somebody is there, a refusal too; 408, 480 and 503 don't.
pub struct Health {
    trunk: TrunkName,
    settings: HealthSettings,
    asking: Option<RequestId>,
    next: Option<Time>,
    up: Option<bool>,
    /// Results in a row that speak against `up`.
    against: u32,
    cseq: u32,
}

impl Health {
    pub fn new(now: Time, trunk: TrunkName, settings: HealthSettings) -> Self {
        Self { trunk, settings, asking: None, next: Some(now), up: None, against: 0, cseq: 0 }
    }

    pub fn settings(&self) -> &HealthSettings {
        &self.settings
    }

    /// `None` until the first result.
    pub fn is_up(&self) -> Option<bool> {
        self.up
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.next
    }

    pub fn handle_timeout(&mut self, now: Time, carrier: &mut Carrier) -> Change {
        self.next.take_if(|at| *at <= now)?;
        self.cseq += 1;
        let from = self.settings.from.name_addr();
        let draft = Draft {
            method: Method::Options,
            uri: self.settings.target.uri.clone(),
            route: self.settings.target.route.clone(),
            from: format!("{from};tag={}", carrier.secrets.token()),
            to: format!("<{}>", self.settings.target.uri),
            call_id: carrier.secrets.token(),
            cseq: self.cseq,
            max_forwards: 70,
            contact: Some(OurContact::default()),
            headers: vec![(Name::Accept.as_str().into(), "application/sdp".to_owned())],
            body: None,
            leaves_from: None,
        };
        let owner = Owner::Health(self.trunk.clone());
        match carrier.request(now, owner, draft, self.settings.target.destination) {
            Ok(request) => {
                self.asking = Some(request);
                None
            }
            Err(_) => self.conclude(now, false, "OPTIONS could not be sent".to_owned()),
        }
    }

    pub fn handle_outcome(&mut self, now: Time, request: RequestId, what: What) -> Change {
        if self.asking != Some(request) {
            return None;
        }
        let (alive, reason) = match what {
            What::Gone => return None,
            What::TimedOut => (false, "no answer to OPTIONS".to_owned()),
            What::Unreachable => (false, "the trunk cannot be reached".to_owned()),
            What::Response(response) => match response.status().unwrap_or(0) {
                100..=199 => return None,
                status @ (408 | 480 | 503) => (false, format!("{status} {}", reason_phrase(status))),
                status => (true, format!("{status} {}", reason_phrase(status))),
            },
        };
        self.conclude(now, alive, reason)
    }

    fn conclude(&mut self, now: Time, alive: bool, reason: String) -> Change {
        self.asking = None;
        self.next = Some(now + self.settings.interval);
        if self.up == Some(alive) {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let enough = match (self.up, alive) {
            (None, true) => 1,
            (_, true) => self.settings.up_after,
            (_, false) => self.settings.down_after,
        };
        if self.against < enough {
            return None;
        }
        (self.up, self.against) = (Some(alive), 0);
        Some((alive, reason))
    }
}
