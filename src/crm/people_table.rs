//! Users, their accounts and skills in and out as CSV and JSON.
//!
//! CSV columns: `name, display, role, language, password, account, sip_password, skills, disabled`. Skills are
//! `billing:5 english:3`. Passwords go in and never come out: an empty one keeps what is stored.

use core::ops::Range;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::csv::{self, Field};
use super::import::{Columns, Findings, json_items};
use super::people::{AgentProfile, ClearPassword, Role, SipAccount, SkillLevel, User, check_account_name};
use crate::finding::{Finding, Severity, Source};
use crate::ids::{AccountName, Language, SkillName, UserName};
use crate::limits::{ACD_AGENTS, crm as limits};
use crate::number::Number;

/// One row of an import, checked; passwords are still in clear, for the store to hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonDraft {
    /// Without a password; [`PersonDraft::onto`] keeps the stored one.
    pub user: User,
    /// The password to hash, where the row sets one.
    pub password: Option<ClearPassword>,
    /// The phone to make or change, where the row gives `sip_password`.
    pub account: Option<SipAccount>,
    /// The skills, where the row names some.
    pub agent: Option<AgentProfile>,
    /// The name in the text.
    pub place: Range<usize>,
}

impl PersonDraft {
    /// The user as it is saved where no new password is set: with the stored one.
    pub fn onto(&self, stored: Option<&User>) -> User {
        User { password: stored.and_then(|user| user.password.clone()), ..self.user.clone() }
    }

    /// The skills to save: those of the row, and none at all for an agent who has no profile yet.
    pub fn profile(&self, known: Option<&AgentProfile>) -> Option<AgentProfile> {
        let nobody = || AgentProfile { user: self.user.name.clone(), skills: BTreeMap::new() };
        self.agent.clone().or_else(|| (known.is_none() && self.user.role == Role::Agent).then(nobody))
    }
}

/// What an import comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeopleImport {
    pub people: Vec<PersonDraft>,
    pub findings: Vec<Finding>,
}

impl PeopleImport {
    /// Whether a row was left out.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Leaves out and reports the rows that do not fit beside what is stored: agents beyond the roster's bound,
    /// whoever would leave nobody to administrate, and accounts that would hide an emergency number.
    pub fn fit(
        &mut self,
        source: &Source,
        users: &BTreeMap<UserName, User>,
        profiles: &BTreeMap<UserName, AgentProfile>,
        emergency: &[Number],
    ) {
        let governs = |user: &User| user.role == Role::Admin && !user.disabled;
        let staying = users.values().filter(|user| self.people.iter().all(|draft| draft.user.name != user.name));
        let leaderless =
            users.values().any(governs) && !staying.chain(self.people.iter().map(|draft| &draft.user)).any(governs);
        let mut agents = profiles.len();
        // The room there is goes to the first rows.
        self.people.sort_by_key(|draft| draft.place.start);
        self.people.retain(|draft| {
            let name = &draft.user.name;
            let finding = |code, reason, mend: &str| source.error(code, draft.place.clone(), reason, mend);
            let wrong = if leaderless && users.get(name).is_some_and(governs) {
                let reason = format!("Without `{name}` nobody is an administrator.");
                Some(finding("people.last-admin", reason, "Keep the role, or make somebody else an administrator."))
            } else if let Some(Err(error)) =
                draft.account.as_ref().map(|account| check_account_name(&account.name, emergency))
            {
                Some(finding("people.emergency", error.to_string(), "Choose another account."))
            } else if !profiles.contains_key(name) && draft.profile(None).is_some() {
                agents += 1;
                let reason = format!("`{name}` would be agent {agents}, and there may be {ACD_AGENTS}.");
                (agents > ACD_AGENTS).then(|| finding("people.too-many", reason, "Remove agents who have left."))
            } else {
                None
            };
            let fits = wrong.is_none();
            self.findings.extend(wrong);
            fits
        });
    }
}

/// Reads CSV. `realm` is the one that SIP passwords are made for.
pub fn import_csv(source: &Source, realm: &str) -> PeopleImport {
    let mut reading = Reading::new(source, realm);
    match csv::parse(source) {
        Ok((table, findings)) => {
            reading.findings.extend(findings);
            let columns = Columns::parse(source, &table, &COLUMNS, &[], &mut reading.findings);
            for row in &table.rows {
                reading.row(&from_csv(&columns, row));
            }
        }
        Err(finding) => reading.findings.push(finding),
    }
    reading.finish()
}

/// Reads a JSON array of [`PersonRow`]s.
pub fn import_json(source: &Source, realm: &str) -> PeopleImport {
    let mut reading = Reading::new(source, realm);
    for (row, span) in json_items::<PersonRow>(source, &mut reading.findings) {
        reading.row(&from_json(row, span));
    }
    reading.finish()
}

/// Everything but passwords, ready to be read back.
pub fn export_csv<'a>(people: impl IntoIterator<Item = (&'a User, Option<&'a AgentProfile>)>) -> String {
    let rows: Vec<[String; 9]> = people.into_iter().map(|(user, agent)| export_row(user, agent)).collect();
    csv::write(&COLUMNS, rows.iter().map(|row| row.iter().map(String::as_str).collect()))
}

/// The same as a JSON array, one person a line.
pub fn export_json<'a>(people: impl IntoIterator<Item = (&'a User, Option<&'a AgentProfile>)>) -> String {
    let rows = people.into_iter().map(|(user, agent)| PersonRow::of(user, agent));
    let lines: Vec<String> = rows.filter_map(|row| serde_json::to_string(&row).ok()).collect();
    if lines.is_empty() { "[]\n".to_owned() } else { format!("[\n{}\n]\n", lines.join(",\n")) }
}

/// A person in JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonRow {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display: String,
    pub role: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// Only read, never written.
    #[serde(default, skip_serializing)]
    pub password: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Only read, never written.
    #[serde(default, skip_serializing)]
    pub sip_password: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skills: BTreeMap<String, u8>,
    #[serde(default)]
    pub disabled: bool,
}

impl PersonRow {
    fn of(user: &User, agent: Option<&AgentProfile>) -> Self {
        let skills = agent.map(|agent| &agent.skills).into_iter().flatten();
        Self {
            name: user.name.to_string(),
            display: user.display.clone(),
            role: user.role.code().to_owned(),
            language: user.language.as_ref().map(Language::to_string).unwrap_or_default(),
            account: user.account.as_ref().map(AccountName::to_string).unwrap_or_default(),
            skills: skills.map(|(skill, level)| (skill.to_string(), level.get())).collect(),
            disabled: user.disabled,
            ..Self::default()
        }
    }
}

fn export_row(user: &User, agent: Option<&AgentProfile>) -> [String; 9] {
    let row = PersonRow::of(user, agent);
    let skills: Vec<String> = row.skills.iter().map(|(skill, level)| format!("{skill}:{level}")).collect();
    let disabled = if row.disabled { "yes" } else { "" };
    let empty = String::new();
    [
        row.name,
        row.display,
        row.role,
        row.language,
        empty.clone(),
        row.account,
        empty,
        skills.join(" "),
        disabled.into(),
    ]
}

/// One row as text, each part with its place.
struct RawPerson {
    span: Range<usize>,
    name: Option<Field>,
    display: Option<Field>,
    role: Option<Field>,
    language: Option<Field>,
    password: Option<Field>,
    account: Option<Field>,
    sip_password: Option<Field>,
    /// Name and level.
    skills: Vec<(String, String, Range<usize>)>,
    disabled: Option<Field>,
}

fn from_csv(columns: &Columns, row: &[Field]) -> RawPerson {
    let field = |name| columns.field(row, name).cloned();
    let skills = field("skills").map(|field| split_skills(&field)).unwrap_or_default();
    RawPerson {
        span: csv::span_of(row),
        name: field("name"),
        display: field("display"),
        role: field("role"),
        language: field("language"),
        password: field("password"),
        account: field("account"),
        sip_password: field("sip_password"),
        skills,
        disabled: field("disabled"),
    }
}

/// `billing:5 english:3`, apart by spaces, commas or semicolons.
fn split_skills(field: &Field) -> Vec<(String, String, Range<usize>)> {
    let parts = field.text.split([' ', ',', ';']).filter(|part| !part.is_empty());
    let pair = |part: &str| {
        part.split_once(':').map_or((part.to_owned(), String::new()), |(s, l)| (s.to_owned(), l.to_owned()))
    };
    parts.map(pair).map(|(skill, level)| (skill, level, field.span.clone())).collect()
}

fn from_json(row: PersonRow, span: Range<usize>) -> RawPerson {
    let field = |text: String| Some(Field { text, span: span.clone() }).filter(|field| !field.text.is_empty());
    let skills = row.skills.into_iter().map(|(skill, level)| (skill, level.to_string(), span.clone()));
    RawPerson {
        name: field(row.name),
        display: field(row.display),
        role: field(row.role),
        language: field(row.language),
        password: field(row.password),
        account: field(row.account),
        sip_password: field(row.sip_password),
        skills: skills.collect(),
        disabled: field(if row.disabled { "yes".into() } else { String::new() }),
        span: span.clone(),
    }
}

struct Reading<'a> {
    source: &'a Source,
    realm: &'a str,
    people: BTreeMap<UserName, PersonDraft>,
    accounts: BTreeMap<AccountName, u32>,
    findings: Findings,
}

impl<'a> Reading<'a> {
    fn new(source: &'a Source, realm: &'a str) -> Self {
        Self { source, realm, people: BTreeMap::new(), accounts: BTreeMap::new(), findings: Findings::default() }
    }

    fn row(&mut self, raw: &RawPerson) {
        match self.read(raw) {
            Ok(draft) => drop(self.people.insert(draft.user.name.clone(), draft)),
            Err(finding) => self.findings.push(finding),
        }
    }

    fn read(&mut self, raw: &RawPerson) -> Result<PersonDraft, Finding> {
        let name = raw.name.as_ref().ok_or_else(|| self.missing(raw, "name"))?;
        let user = User {
            name: UserName::new(&name.text),
            display: raw.display.as_ref().map(|field| field.text.clone()).unwrap_or_default(),
            role: self.role(raw)?,
            language: raw.language.as_ref().map(|field| Language::new(&field.text)),
            account: raw.account.as_ref().map(|field| AccountName::new(&field.text)),
            password: None,
            disabled: self.disabled(raw)?,
        };
        user.check().map_err(|error| self.refused(name.span.clone(), error))?;
        if self.people.contains_key(&user.name) {
            let reason = format!("The user `{}` stands twice.", user.name);
            return Err(self.source.error("people.twice", name.span.clone(), reason, "Keep one of the rows."));
        }
        let account = self.account(raw, &user)?;
        let agent = self.agent(raw, &user)?;
        let password = self.password(raw)?;
        Ok(PersonDraft { user, password, account, agent, place: name.span.clone() })
    }

    fn role(&self, raw: &RawPerson) -> Result<Role, Finding> {
        let field = raw.role.as_ref().ok_or_else(|| self.missing(raw, "role"))?;
        field.text.parse().map_err(|_| {
            let reason = format!("`{}` is no role.", field.text);
            let mend = "Write agent, supervisor, admin or integration.";
            self.source.error("people.role", field.span.clone(), reason, mend)
        })
    }

    fn password(&self, raw: &RawPerson) -> Result<Option<ClearPassword>, Finding> {
        let Some(field) = &raw.password else { return Ok(None) };
        let (min, max) = (limits::PASSWORD_BYTES_MIN, limits::PASSWORD_BYTES_MAX);
        if (min..=max).contains(&field.text.len()) {
            return Ok(Some(ClearPassword(field.text.clone())));
        }
        let reason = format!("A password has {min} to {max} bytes; this one has {}.", field.text.len());
        Err(self.source.error("people.password", field.span.clone(), reason, "Choose another."))
    }

    fn disabled(&self, raw: &RawPerson) -> Result<bool, Finding> {
        let Some(field) = &raw.disabled else { return Ok(false) };
        match field.text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" => Ok(true),
            "no" | "false" | "0" => Ok(false),
            _ => Err(self.source.error(
                "people.disabled",
                field.span.clone(),
                format!("`{}` is neither yes nor no.", field.text),
                "Write yes, or leave it empty.",
            )),
        }
    }

    /// The account row where a SIP password is given. One phone may serve several users, but has one password.
    fn account(&mut self, raw: &RawPerson, user: &User) -> Result<Option<SipAccount>, Finding> {
        let Some(password) = &raw.sip_password else { return Ok(None) };
        let Some(name) = user.account.clone() else {
            let mend = "Name the account in the column `account`.";
            return Err(self.source.error(
                "people.account",
                password.span.clone(),
                "A SIP password without an account.",
                mend,
            ));
        };
        let line = self.source.position(raw.span.start).0;
        if let Some(earlier) = self.accounts.insert(name.clone(), line) {
            let reason = format!("Line {earlier} sets the password of account `{name}` already.");
            return Err(self.source.error("people.account", password.span.clone(), reason, "Set it once."));
        }
        let account = SipAccount::new(name, self.realm, &ClearPassword(password.text.clone()));
        account.map(Some).map_err(|error| self.refused(password.span.clone(), error))
    }

    fn agent(&self, raw: &RawPerson, user: &User) -> Result<Option<AgentProfile>, Finding> {
        let mut skills = BTreeMap::new();
        for (skill, level, span) in &raw.skills {
            let parsed = level.parse().ok().and_then(|level| SkillLevel::new(level).ok());
            let level = parsed.ok_or_else(|| {
                let reason = format!("The skill `{skill}` needs a level from 1 to 10.");
                self.source.error("people.skill", span.clone(), reason, format!("Write `{skill}:5`."))
            })?;
            skills.insert(SkillName::new(skill), level);
        }
        if skills.is_empty() {
            return Ok(None);
        }
        let profile = AgentProfile { user: user.name.clone(), skills };
        profile.check().map_err(|error| self.refused(raw.span.clone(), error))?;
        Ok(Some(profile))
    }

    fn missing(&self, raw: &RawPerson, column: &str) -> Finding {
        let reason = format!("The row has no {column}.");
        self.source.error("people.missing", raw.span.clone(), reason, format!("Fill the column `{column}`."))
    }

    fn refused(&self, span: Range<usize>, error: impl ToString) -> Finding {
        self.source.error("people.refused", span, error.to_string(), "Mend the row; it is left out.")
    }

    fn finish(self) -> PeopleImport {
        PeopleImport { people: self.people.into_values().collect(), findings: self.findings.finish(self.source) }
    }
}

/// Columns of the table.
pub const COLUMNS: [&str; 9] =
    ["name", "display", "role", "language", "password", "account", "sip_password", "skills", "disabled"];

#[cfg(test)]
mod tests {
    use super::super::people::PasswordHash;
    use super::*;
    use crate::number::{Home, country};

    const AMY: &str = "name,display,role,language,password,account,sip_password,skills\n\
        amy,Amy Wong,agent,en,correct horse,1001,battery staple,\"billing:5, english:3\"\n\
        root,,admin,,correct horse,,,\n";

    fn import(text: &str) -> PeopleImport {
        import_csv(&Source::new("people.csv", text), "pbx.test")
    }

    #[test]
    fn a_table_becomes_users_phones_and_skills() {
        let read = import(AMY);
        assert_eq!(read.findings, []);
        let amy = &read.people[0];
        assert_eq!((amy.user.role, amy.user.account.as_ref().map(AccountName::as_str)), (Role::Agent, Some("1001")));
        assert_eq!(amy.account.as_ref().map(|account| account.realm.as_str()), Some("pbx.test"));
        let skills = &amy.agent.as_ref().unwrap().skills;
        assert_eq!(
            skills.iter().map(|(skill, level)| (skill.as_str(), level.get())).collect::<Vec<_>>(),
            [("billing", 5), ("english", 3)]
        );
        assert_eq!((read.people[1].user.role, &read.people[1].agent), (Role::Admin, &None));
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_the_others_are_taken() {
        let text = "name,role,account,sip_password,skills,disabled,password\n\
            ok,agent,1001,secret,,,\n\
            ,agent,,,,,\n\
            bob,boss,,,,,\n\
            b@d,agent,,,,,\n\
            cat,agent,,secret,,,\n\
            dan,agent,1001,other,,,\n\
            eve,agent,,,billing:11,,\n\
            fay,agent,,,billing,,\n\
            ok,agent,,,,,\n\
            gus,agent,,,,maybe,\n\
            hal,agent,,,,,short\n";
        let read = import(text);
        assert_eq!(read.people.len(), 1);
        let codes: Vec<_> = read.findings.iter().map(|finding| (finding.line, finding.code)).collect();
        assert_eq!(
            codes,
            [
                (3, "people.missing"),
                (4, "people.role"),
                (5, "people.refused"),
                (6, "people.account"),
                (7, "people.account"),
                (8, "people.skill"),
                (9, "people.skill"),
                (10, "people.twice"),
                (11, "people.disabled"),
                (12, "people.password"),
            ]
        );
    }

    #[test]
    fn a_row_that_does_not_fit_beside_what_is_stored_is_told_with_its_place() {
        let source = Source::new("people.csv", "role,name\nagent,amy\nagent,old\nagent,root\nagent,zoe\n");
        let user = |name: &str, role| User { role, name: name.into(), ..import(AMY).people[0].user.clone() };
        let users = |roles: &[(&str, Role)]| -> BTreeMap<UserName, User> {
            roles.iter().map(|(name, role)| ((*name).into(), user(name, *role))).collect()
        };
        let profile = |name: String| {
            let user = UserName::new(name);
            (user.clone(), AgentProfile { user, skills: BTreeMap::new() })
        };
        // Room for one more: `old` has a profile already.
        let mut profiles: BTreeMap<_, _> = (2..ACD_AGENTS).map(|n| profile(format!("agent{n}"))).collect();
        profiles.extend([profile("old".to_owned())]);
        let fitted = |stored: &[(&str, Role)]| {
            let mut read = import_csv(&source, "pbx.test");
            read.fit(&source, &users(stored), &profiles, &[]);
            let names: Vec<String> = read.people.iter().map(|draft| draft.user.name.to_string()).collect();
            let places: Vec<_> = read.findings.iter().map(|f| (f.code, f.line, f.column)).collect();
            (names, places)
        };
        let (names, places) = fitted(&[("root", Role::Admin), ("old", Role::Agent)]);
        assert_eq!(names, ["amy", "old"]);
        assert_eq!(places, [("people.last-admin", 4, 7), ("people.too-many", 5, 7)]);
        let (names, places) = fitted(&[("root", Role::Admin), ("other", Role::Admin)]);
        assert_eq!(names, ["amy", "old"]);
        assert_eq!(places, [("people.too-many", 4, 7), ("people.too-many", 5, 7)], "another administrator stays");
    }

    #[test]
    fn no_account_is_named_like_an_emergency_number() {
        let text = "name,role,account,sip_password\namy,agent,110,secret one\nbai,agent,1100,secret two\n";
        let source = Source::new("people.csv", text);
        let home = Home::new(country("86").unwrap());
        let mut read = import_csv(&source, "pbx.test");
        read.fit(&source, &BTreeMap::new(), &BTreeMap::new(), &[Number::normalise("110", &home).unwrap()]);
        let names: Vec<&str> = read.people.iter().map(|draft| draft.user.name.as_str()).collect();
        let found: Vec<_> = read.findings.iter().map(|f| (f.code, f.line)).collect();
        assert_eq!((names, found), (vec!["bai"], vec![("people.emergency", 2)]));
    }

    #[test]
    fn an_export_holds_no_password_and_reads_back_onto_the_stored_one() {
        let mut read = import(AMY).people;
        read[0].user.password = Some(PasswordHash("$argon2id$secret".into()));
        read[0].user.disabled = true;
        let people: Vec<_> = read.iter().map(|draft| (&draft.user, draft.agent.as_ref())).collect();
        let (csv, json) = (export_csv(people.iter().copied()), export_json(people.iter().copied()));
        assert!(!csv.contains("argon2") && !json.contains("argon2") && !json.contains("password"), "{csv}{json}");
        let from_json = import_json(&Source::new("people.json", json), "pbx.test");
        for again in [import(&csv), from_json] {
            assert_eq!(again.findings, []);
            for (draft, stored) in again.people.iter().zip(&read) {
                assert_eq!(draft.onto(Some(&stored.user)), stored.user);
                assert_eq!(draft.agent, stored.agent);
            }
        }
    }
}
