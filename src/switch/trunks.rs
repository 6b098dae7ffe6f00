//! Trunks as the user agent knows them: registered to, watched, forgotten, as the edition in force says.

use std::collections::BTreeSet;

use crate::ids::TrunkName;
use crate::plan::trunk::{Host, Trunk};
use crate::sip::health::HealthSettings;
use crate::sip::invite::{Credentials, Party, Target};
use crate::sip::registration::RegistrationSettings;

use super::Switch;

/// Answers in a row that bring a trunk back; one could be a lucky packet.
const UP_AFTER: u32 = 2;

impl Switch {
    /// Registers to and watches the trunks of the edition in force, and lets go of those it no longer has.
    pub(super) fn tell_endpoint_of_trunks(&mut self) {
        let edition = self.edition.clone();
        let mut kept = BTreeSet::new();
        for trunk in edition.plan.trunks.values() {
            kept.insert(trunk.name.clone());
            // Refused only where the plan has more trunks than the user agent takes; `check` says so.
            if let Some(settings) = registration_of(trunk) {
                let _ = self.endpoint.register(self.now, trunk.name.clone(), settings);
            } else {
                self.endpoint.unregister(self.now, &trunk.name);
            }
            if let Some(settings) = health_of(trunk, &edition.plan.domain) {
                let _ = self.endpoint.watch(self.now, trunk.name.clone(), settings);
            } else {
                self.endpoint.unwatch(&trunk.name);
            }
        }
        let gone: Vec<TrunkName> = self.known_trunks.difference(&kept).cloned().collect();
        for trunk in gone {
            self.endpoint.unregister(self.now, &trunk);
            self.endpoint.unwatch(&trunk);
            self.trunks_down.remove(&trunk);
        }
        self.known_trunks = kept;
    }
}

fn registration_of(trunk: &Trunk) -> Option<RegistrationSettings> {
    let registration = trunk.registration.as_ref()?;
    let credentials = trunk.credentials.as_ref();
    let user = credentials.map_or("strowger", |credentials| &credentials.user);
    let place = registration.registrar.to_string();
    Some(RegistrationSettings {
        registrar: Target::uri(uri(&registration.registrar, trunk)),
        aor: Party::new("", format!("sip:{user}@{}", trunk.from_domain.as_deref().unwrap_or(&place))),
        credentials: credentials.map(|credentials| Credentials {
            user: credentials.user.to_string(),
            password: credentials.password.reveal().to_owned(),
        }),
        expires: registration.expires_s.0,
    })
}

fn health_of(trunk: &Trunk, domain: &str) -> Option<HealthSettings> {
    let host = trunk.host.as_ref().filter(|_| trunk.options_interval_s.0 > 0)?;
    Some(HealthSettings {
        target: Target::uri(uri(host, trunk)),
        from: Party::new("", format!("sip:strowger@{domain}")),
        interval: trunk.options_interval_s.span(),
        down_after: trunk.options_failures.max(1),
        up_after: UP_AFTER,
    })
}

fn uri(host: &Host, trunk: &Trunk) -> String {
    format!("sip:{host};transport={}", trunk.transport.word())
}
