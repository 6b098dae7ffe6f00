//! Who is at the door: sessions by cookie for people, keys for programs, tickets for sockets, and the first admin.
//!
//! Secrets are 256 bits from the operating system and are kept as their SHA-256 only. Passwords are verified on
//! blocking threads, a few at a time; failures are counted by user and by address.

pub mod first_admin;
pub mod guard;
pub mod throttle;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use core::fmt;
use core::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::command::UserRole;
use crate::crm::User;
use crate::crm::people::{ClearPassword, PasswordHash};
use crate::event::{Event, Fact, RecordKind};
use crate::http::desk::entity::{Code, Me};
use crate::ids::UserName;
use crate::limits::http as limits;
use crate::store::password;
use crate::time::Time;

use throttle::Throttle;

/// The keeper of the doors.
pub struct Auth {
    kept: Mutex<Kept>,
    verifying: Semaphore,
    session_time: Duration,
}

#[derive(Default)]
struct Kept {
    sessions: BTreeMap<TokenId, SignedIn>,
    tickets: VecDeque<Ticket>,
    /// Who came in by key or ticket and has a socket, as they were then.
    programs: BTreeMap<u64, User>,
    last_program: u64,
    /// API keys that were verified, by the digest of name, key and the stored hash they matched.
    keys: VecDeque<TokenId>,
    throttle: Throttle,
}

#[derive(Clone)]
struct SignedIn {
    user: User,
    expires: Time,
}

struct Ticket {
    id: TokenId,
    user: User,
    expires: Time,
}

/// What a secret is known by: its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId([u8; 32]);

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(token)")
    }
}

/// A fresh secret, on its way to the client. Never shown in debug output.
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(token)")
    }
}

impl Token {
    /// 64 lower-case hexadecimal digits from the operating system.
    pub fn fresh() -> Result<Self, NoEntropy> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub fn id(&self) -> TokenId {
        TokenId::of(&self.0)
    }
}

impl TokenId {
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoEntropy;

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("user name or password is wrong.")]
    Wrong,
    #[error("too many failed attempts: try again in {after_s} s.")]
    Throttled { after_s: u64 },
}

/// A signed-in user, and how long the session lasts without use.
#[derive(Clone, Debug)]
pub struct Pass {
    pub user: User,
    pub expires: Time,
}

impl Auth {
    pub fn new(session_time: Duration) -> Self {
        Self { kept: Mutex::default(), verifying: Semaphore::new(limits::VERIFYING), session_time }
    }

    /// Verifies a name and password against the stored user, off the reactor. A wrong name takes as long as a wrong
    /// password, and a disabled user is a wrong one.
    pub async fn verify(
        &self,
        name: &UserName,
        stored: Option<User>,
        clear: ClearPassword,
        from: IpAddr,
        now: Time,
    ) -> Result<User, Denied> {
        if let Some(after) = self.lock().throttle.wait(name, from, now) {
            return Err(Denied::Throttled { after_s: after.as_secs().max(1) });
        }
        // The semaphore is never closed.
        let _permit = self.verifying.acquire().await;
        let hash = stored.as_ref().filter(|user| !user.disabled).and_then(|user| user.password.clone());
        let verified = tokio::task::spawn_blocking(move || password::verify(&clear, hash.as_ref())).await;
        match (verified, stored) {
            (Ok(true), Some(user)) => {
                self.lock().throttle.on_success(name, from);
                Ok(user)
            }
            _ => {
                self.lock().throttle.on_failure(name, from, now);
                Err(Denied::Wrong)
            }
        }
    }

    /// The same for a program's key, which comes with every request: one that matched is remembered.
    pub async fn verify_key(
        &self,
        name: &UserName,
        stored: Option<User>,
        key: ClearPassword,
        from: IpAddr,
        now: Time,
    ) -> Result<User, Denied> {
        let hash = stored.as_ref().filter(|user| !user.disabled).and_then(|user| user.password.clone());
        let id = hash.as_ref().map(|PasswordHash(hash)| TokenId::of(&format!("{name}\n{}\n{hash}", key.0)));
        let known = id.is_some_and(|id| self.lock().keys.contains(&id));
        if let (true, Some(user)) = (known, &stored) {
            return Ok(user.clone());
        }
        let user = self.verify(name, stored, key, from, now).await?;
        let mut kept = self.lock();
        kept.keys.extend(id);
        if kept.keys.len() > limits::API_KEYS {
            kept.keys.pop_front();
        }
        Ok(user)
    }

    // -- sessions ----------------------------------------------------------------------------------------------------

    /// Signs a verified user in; the token goes into the cookie.
    pub fn sign_in(&self, user: User, now: Time) -> Result<(Token, Pass), NoEntropy> {
        let token = Token::fresh()?;
        let signed_in = SignedIn { user: user.clone(), expires: now + self.session_time };
        let expires = signed_in.expires;
        let mut kept = self.lock();
        kept.sessions.retain(|_, session| session.expires > now);
        if kept.sessions.len() >= limits::SIGNED_IN {
            let first = kept.sessions.iter().min_by_key(|(_, session)| session.expires).map(|(id, _)| *id);
            first.map(|id| kept.sessions.remove(&id));
        }
        kept.sessions.insert(token.id(), signed_in);
        Ok((token, Pass { user, expires }))
    }

    /// Who has this token.
    pub fn session(&self, id: TokenId, now: Time) -> Option<Pass> {
        let kept = self.lock();
        let session = kept.sessions.get(&id).filter(|session| session.expires > now)?;
        Some(Pass { user: session.user.clone(), expires: session.expires })
    }

    /// Lengthens a session by its full time from now.
    pub fn renew(&self, id: TokenId, now: Time) -> Option<Pass> {
        let mut kept = self.lock();
        let session = kept.sessions.get_mut(&id).filter(|session| session.expires > now)?;
        session.expires = now + self.session_time;
        Some(Pass { user: session.user.clone(), expires: session.expires })
    }

    pub fn sign_out(&self, id: TokenId) {
        self.lock().sessions.remove(&id);
    }

    /// A saved user who may do something else now, or has another password, is signed out everywhere. Gives whom.
    pub fn on_event(&self, event: &Event) -> Option<UserName> {
        let (name, saved) = match &event.fact {
            Fact::RecordSaved { kind: RecordKind::User, key, record, .. } => {
                (UserName::new(key), serde_json::from_value::<User>(record.clone()).ok())
            }
            Fact::RecordRemoved { kind: RecordKind::User, key, .. } => (UserName::new(key), None),
            _ => return None,
        };
        let stands = |user: &User| user.name != name || saved.as_ref().is_some_and(|saved| stands(saved, user));
        let mut kept = self.lock();
        let entries = |kept: &Kept| kept.sessions.len() + kept.tickets.len() + kept.programs.len();
        let before = entries(&kept);
        kept.sessions.retain(|_, session| stands(&session.user));
        kept.tickets.retain(|ticket| stands(&ticket.user));
        kept.programs.retain(|_, user| stands(user));
        (entries(&kept) < before).then_some(name)
    }

    /// Follows a program that came in by key or ticket for as long as its socket lives.
    pub fn follow(self: &Arc<Self>, user: User) -> Followed {
        let mut kept = self.lock();
        kept.last_program += 1;
        let id = kept.last_program;
        kept.programs.insert(id, user);
        Followed { auth: Arc::clone(self), id }
    }

    // -- tickets -----------------------------------------------------------------------------------------------------

    /// A secret for one socket, good for [`TICKET_TIME`].
    pub fn ticket(&self, user: User, now: Time) -> Result<(Token, Time), NoEntropy> {
        let token = Token::fresh()?;
        let expires = now + TICKET_TIME;
        let mut kept = self.lock();
        kept.tickets.retain(|ticket| ticket.expires > now);
        if kept.tickets.len() >= limits::TICKETS {
            kept.tickets.pop_front();
        }
        kept.tickets.push_back(Ticket { id: token.id(), user, expires });
        Ok((token, expires))
    }

    /// Whose ticket it is. It is used up.
    pub fn redeem(&self, secret: &str, now: Time) -> Option<User> {
        let id = TokenId::of(secret);
        let mut kept = self.lock();
        let at = kept.tickets.iter().position(|ticket| ticket.id == id && ticket.expires > now)?;
        kept.tickets.remove(at).map(|ticket| ticket.user)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // What is kept is whole after every statement.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program with a socket. Hold it as long as the socket lives.
pub struct Followed {
    auth: Arc<Auth>,
    id: u64,
}

impl Followed {
    /// Whether its user may still do what it could when it came in.
    pub fn stands(&self) -> bool {
        self.auth.lock().programs.contains_key(&self.id)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.auth.lock().programs.remove(&self.id);
    }
}

/// Whether who came in as `entered` would still come in by the record as it is.
pub fn stands(record: &User, entered: &User) -> bool {
    (record.role, &record.password, record.disabled) == (entered.role, &entered.password, false)
}

/// Signs users out whose record changed; on the bus, before the hub.
pub struct SignOuts {
    pub auth: Arc<Auth>,
    pub hub: Arc<crate::http::cti::Hub>,
}

impl crate::runtime::bus::Observer for SignOuts {
    fn handle(&mut self, event: &Arc<Event>) {
        if let Some(user) = self.auth.on_event(event) {
            self.hub.end_sessions_of(&user);
        }
    }
}

/// How a user appears on a desktop, with the plan's not-ready reasons.
pub fn me(user: &User, reasons: Vec<Code>) -> Me {
    Me {
        user: user.name.clone(),
        display: user.display.clone(),
        role: user.role,
        language: user.language.clone(),
        account: user.account.clone(),
        reasons,
    }
}

/// Roles that sign in with a password and a cookie; programs have keys.
pub const fn is_person(role: UserRole) -> bool {
    !matches!(role, UserRole::Integration)
}

/// How long a ticket waits for its socket.
pub const TICKET_TIME: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_000);

    fn user(name: &str) -> User {
        User {
            name: name.into(),
            display: String::new(),
            role: UserRole::Agent,
            language: None,
            account: None,
            password: None,
            disabled: false,
        }
    }

    #[test]
    fn a_session_ends_with_its_time_and_renewal_lengthens_it() {
        let auth = Auth::new(Duration::from_secs(100));
        let (token, pass) = auth.sign_in(user("li"), NOW).unwrap();
        assert_eq!(pass.expires, NOW + Duration::from_secs(100));
        let late = NOW + Duration::from_secs(90);
        assert!(auth.session(token.id(), late).is_some());
        assert_eq!(auth.renew(token.id(), late).unwrap().expires, late + Duration::from_secs(100));
        assert!(auth.session(token.id(), late + Duration::from_secs(100)).is_none());
        assert!(auth.session(TokenId::of("guess"), NOW).is_none());
        auth.sign_out(token.id());
        assert!(auth.session(token.id(), late).is_none());
    }

    #[test]
    fn a_ticket_opens_one_socket_within_its_time() {
        let auth = Auth::new(Duration::from_secs(100));
        let (ticket, expires) = auth.ticket(user("crm"), NOW).unwrap();
        assert_eq!(auth.redeem(&ticket.0, NOW).map(|user| user.name), Some("crm".into()));
        assert!(auth.redeem(&ticket.0, NOW).is_none(), "used up");
        let (late, _) = auth.ticket(user("crm"), NOW).unwrap();
        assert!(auth.redeem(&late.0, expires).is_none());
        let (first, _) = auth.ticket(user("crm"), NOW).unwrap();
        for _ in 0..limits::TICKETS {
            auth.ticket(user("crm"), NOW).unwrap();
        }
        assert!(auth.redeem(&first.0, NOW).is_none(), "the oldest of too many is forgotten");
    }

    #[test]
    fn of_too_many_sessions_the_one_that_ends_first_is_signed_out() {
        let auth = Auth::new(Duration::from_secs(100));
        let (first, _) = auth.sign_in(user("li"), NOW).unwrap();
        let later = SignedIn { user: user("wang"), expires: NOW + Duration::from_secs(101) };
        let ids = (1..limits::SIGNED_IN).map(|n| TokenId::of(&n.to_string()));
        auth.lock().sessions.extend(ids.map(|id| (id, later.clone())));
        assert!(auth.session(first.id(), NOW).is_some());
        let (last, _) = auth.sign_in(user("li"), NOW + Duration::from_secs(1)).unwrap();
        assert_eq!(auth.lock().sessions.len(), limits::SIGNED_IN);
        assert!(auth.session(first.id(), NOW).is_none() && auth.session(last.id(), NOW).is_some());
    }

    #[tokio::test]
    async fn of_too_many_verified_keys_the_oldest_is_forgotten() {
        let auth = Auth::new(Duration::from_secs(100));
        let clear = || ClearPassword("correct horse".into());
        let known = User { password: Some(password::hash(&clear()).unwrap()), ..user("crm") };
        let kept = (0..limits::API_KEYS).map(|n| TokenId::of(&n.to_string()));
        auth.lock().keys.extend(kept);
        let from = "127.0.0.1".parse().unwrap();
        assert!(auth.verify_key(&"crm".into(), Some(known), clear(), from, NOW).await.is_ok());
        let kept = auth.lock();
        assert_eq!(kept.keys.len(), limits::API_KEYS);
        assert!(!kept.keys.contains(&TokenId::of("0")) && kept.keys.contains(&TokenId::of("1")));
    }

    #[tokio::test]
    async fn a_password_too_many_waits_for_the_others_to_be_verified() {
        let auth = Auth::new(Duration::from_secs(100));
        let others = auth.verifying.acquire_many(u32::try_from(limits::VERIFYING).unwrap()).await.unwrap();
        let (name, from) = (UserName::new("li"), "127.0.0.1".parse().unwrap());
        let mut next = core::pin::pin!(auth.verify(&name, None, ClearPassword("guess".into()), from, NOW));
        assert!(tokio::time::timeout(Duration::from_millis(1), next.as_mut()).await.is_err(), "it waits");
        assert_eq!(auth.verifying.available_permits(), 0);
        drop(others);
        assert_eq!(next.await.unwrap_err(), Denied::Wrong);
    }

    #[test]
    fn a_user_with_another_role_or_password_is_signed_out() {
        let auth = Auth::new(Duration::from_secs(100));
        let (token, _) = auth.sign_in(user("li"), NOW).unwrap();
        let saved = |user: &User| Event {
            v: 1,
            seq: crate::event::Seq(1),
            at: NOW,
            call: None,
            fact: Fact::RecordSaved {
                kind: RecordKind::User,
                key: user.name.to_string(),
                by: "root".into(),
                record: serde_json::to_value(user).unwrap(),
            },
        };
        let renamed = User { display: "Li".into(), ..user("li") };
        assert_eq!(auth.on_event(&saved(&renamed)), None);
        assert!(auth.session(token.id(), NOW).is_some());
        let promoted = User { role: UserRole::Supervisor, ..user("li") };
        assert_eq!(auth.on_event(&saved(&promoted)), Some("li".into()));
        assert!(auth.session(token.id(), NOW).is_none());
    }

    #[tokio::test]
    async fn failures_are_throttled_and_a_disabled_user_is_a_wrong_one() {
        let auth = Auth::new(Duration::from_secs(100));
        let from = "127.0.0.1".parse().unwrap();
        let clear = || ClearPassword("correct horse".into());
        let hash = password::hash(&clear()).unwrap();
        let known = User { password: Some(hash), ..user("li") };
        let disabled = User { disabled: true, ..known.clone() };
        let name = UserName::new("li");
        for _ in 0..limits::FAILURES_PER_USER {
            let denied = auth.verify(&name, Some(disabled.clone()), clear(), from, NOW).await;
            assert_eq!(denied.unwrap_err(), Denied::Wrong);
        }
        let denied = auth.verify(&name, Some(known.clone()), clear(), from, NOW).await;
        assert!(matches!(denied, Err(Denied::Throttled { .. })));
        let later = NOW + limits::FAILURE_TIME;
        assert!(auth.verify(&name, Some(known), clear(), from, later).await.is_ok());
    }
}
