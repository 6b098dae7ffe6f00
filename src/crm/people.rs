//! The people who serve, and the phones they serve from.
//!
//! Three records, because three things change apart: a **user** is a person who signs in (role, password), a **SIP
//! account** is an address of record that a phone registers (digest secrets), an **agent profile** is what a user
//! can do (skills with levels). Sign-in binds a user to one account for the session; nothing here does.

use core::fmt;
use std::collections::BTreeMap;

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use crate::command::UserRole as Role;
use crate::ids::{AccountName, Language, SkillName, UserName};
use crate::limits::crm as limits;
use crate::number::Number;

/// A person who signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: UserName,
    /// The name other people see.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display: String,
    pub role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The account the sign-in page proposes: "my desk phone".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// `None`: may not sign in until a password is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub disabled: bool,
}

impl User {
    pub fn check(&self) -> Result<(), PeopleError> {
        check_name("user", self.name.as_str())?;
        if self.display.len() > limits::CRM_FIELD_BYTES {
            return Err(PeopleError::TooLong { what: "display name", limit: limits::CRM_FIELD_BYTES });
        }
        match &self.account {
            Some(account) => check_name("account", account.as_str()),
            None => Ok(()),
        }
    }
}

/// An argon2id hash in PHC string form, made and verified in `store::password`. Never shown in debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(password hash)")
    }
}

/// A password in clear, on its way from a table or a form to its hash. Never shown in debug output, never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearPassword(pub String);

impl fmt::Debug for ClearPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(password)")
    }
}

/// An address of record that phones register: `sip:NAME@DOMAIN`.
///
/// Kept are the two HA1 values, `H(name:realm:password)` (RFC 7616 §3.4.2), never the password: enough to answer
/// every digest challenge of this realm, useless for any other.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipAccount {
    pub name: AccountName,
    /// The realm the secrets were made for; a change of the domain asks for new passwords.
    pub realm: String,
    /// 32 lower-case hexadecimal digits.
    pub ha1_md5: String,
    /// 64 lower-case hexadecimal digits (RFC 7616, `SHA-256`).
    pub ha1_sha256: String,
    /// Shown to the called side of calls from this phone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display: String,
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub disabled: bool,
}

impl SipAccount {
    pub fn new(name: AccountName, realm: &str, password: &ClearPassword) -> Result<Self, PeopleError> {
        check_name("account", name.as_str())?;
        if password.0.is_empty() {
            return Err(PeopleError::EmptyPassword);
        }
        let secret = format!("{}:{realm}:{}", name.as_str(), password.0);
        Ok(Self {
            name,
            realm: realm.to_owned(),
            ha1_md5: lower_hex(&Md5::digest(secret.as_bytes())),
            ha1_sha256: lower_hex(&Sha256::digest(secret.as_bytes())),
            display: String::new(),
            disabled: false,
        })
    }

    pub fn check(&self) -> Result<(), PeopleError> {
        check_name("account", self.name.as_str())?;
        let hex =
            |text: &str, len: usize| text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex(&self.ha1_md5, 32) && hex(&self.ha1_sha256, 64) { Ok(()) } else { Err(PeopleError::Ha1) }
    }
}

/// No account may look like one of the emergency numbers: phones that dial it want help.
pub fn check_account_name(name: &AccountName, emergency: &[Number]) -> Result<(), PeopleError> {
    match emergency.iter().any(|number| number.as_str() == name.as_str()) {
        true => Err(PeopleError::Emergency { name: name.to_string() }),
        false => Ok(()),
    }
}

impl fmt::Debug for SipAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SipAccount({}@{})", self.name, self.realm)
    }
}

/// What a user can do as an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentProfile {
    pub user: UserName,
    /// Levels 1 (can) to 10 (best).
    #[serde(default)]
    pub skills: BTreeMap<SkillName, SkillLevel>,
}

impl AgentProfile {
    pub fn check(&self) -> Result<(), PeopleError> {
        check_name("user", self.user.as_str())?;
        if self.skills.len() > limits::AGENT_SKILLS {
            return Err(PeopleError::TooManySkills { limit: limits::AGENT_SKILLS });
        }
        self.skills.keys().try_for_each(|skill| check_name("skill", skill.as_str()))
    }
}

/// A skill's level, 1 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct SkillLevel(u8);

impl SkillLevel {
    pub const MIN: u8 = 1;
    pub const MAX: u8 = 10;

    pub const fn new(level: u8) -> Result<Self, PeopleError> {
        match level {
            Self::MIN..=Self::MAX => Ok(Self(level)),
            _ => Err(PeopleError::Level { level }),
        }
    }

    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for SkillLevel {
    type Error = PeopleError;
    fn try_from(level: u8) -> Result<Self, PeopleError> {
        Self::new(level)
    }
}

impl From<SkillLevel> for u8 {
    fn from(level: SkillLevel) -> u8 {
        level.0
    }
}

/// Why a person's record cannot be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    #[error("the {what} name `{name}` needs 1 to 64 letters, digits, `-`, `_` or `.`.")]
    Name { what: &'static str, name: String },
    #[error("a skill's level is 1 to 10, not {level}.")]
    Level { level: u8 },
    #[error("more than {limit} skills for one agent: merge some.")]
    TooManySkills { limit: usize },
    #[error("the {what} is longer than {limit} bytes: shorten it.")]
    TooLong { what: &'static str, limit: usize },
    #[error("`{name}` is an emergency number here: an account of that name could not be dialled. Choose another name.")]
    Emergency { name: String },
    #[error("a SIP account needs a password.")]
    EmptyPassword,
    #[error("HA1 values are 32 (MD5) and 64 (SHA-256) lower-case hexadecimal digits: set the password again.")]
    Ha1,
}

/// Names stand in URIs, keys and file names: ASCII letters and digits with `-`, `_`, `.`, beginning with one of the
/// first two.
fn check_name(what: &'static str, name: &str) -> Result<(), PeopleError> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if fits { Ok(()) } else { Err(PeopleError::Name { what, name: name.to_owned() }) }
}

fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ha1_agrees_with_the_examples_of_rfc_7616() {
        // RFC 7616 §3.9.1: user `Mufasa`, realm `http-auth@example.org`, password `Circle of Life`; the values
        // are what md5sum and sha256sum say of the joined text.
        let account =
            SipAccount::new("Mufasa".into(), "http-auth@example.org", &ClearPassword("Circle of Life".into())).unwrap();
        assert_eq!(account.ha1_md5, "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(account.ha1_sha256, "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
        assert_eq!(account.check(), Ok(()));
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let account = SipAccount::new("1001".into(), "pbx.test", &ClearPassword("wonderland".into())).unwrap();
        let shown = format!("{account:?} {:?} {:?}", PasswordHash("$argon2".into()), ClearPassword("x1y2".into()));
        assert!(!shown.contains(&account.ha1_md5) && !shown.contains("argon2") && !shown.contains("x1y2"), "{shown}");
    }

    #[test]
    fn names_that_would_break_a_uri_are_refused() {
        for wrong in ["", "a b", "a@b", "-x", "白", &"x".repeat(65)] {
            let user = User {
                name: wrong.into(),
                display: String::new(),
                role: Role::Agent,
                language: None,
                account: None,
                password: None,
                disabled: false,
            };
            assert!(matches!(user.check(), Err(PeopleError::Name { .. })), "{wrong}");
        }
    }

    #[test]
    fn levels_run_from_one_to_ten() {
        assert!(SkillLevel::new(0).is_err() && SkillLevel::new(11).is_err());
        assert_eq!(SkillLevel::new(10).map(SkillLevel::get), Ok(10));
        assert!(serde_json::from_str::<AgentProfile>(r#"{"user":"amy","skills":{"billing":12}}"#).is_err());
    }

    #[test]
    fn an_agent_has_no_more_skills_than_fit() {
        let level = SkillLevel::new(5).unwrap();
        let with = |count: usize| {
            let skills = (0..count).map(|n| (SkillName::new(format!("s{n}")), level)).collect();
            AgentProfile { user: "li".into(), skills }.check()
        };
        assert_eq!(with(limits::AGENT_SKILLS), Ok(()));
        let refused = PeopleError::TooManySkills { limit: limits::AGENT_SKILLS };
        assert_eq!(with(limits::AGENT_SKILLS + 1), Err(refused));
    }
}
