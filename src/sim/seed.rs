//! What a run is made of: the simulated centre's texts, and its people, phones, trunks and callers, drawn from a seed.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::agent::AgentHabits;
use super::caller::{CallerProfile, CallerScript, KeyMoment, KeyPress};
use super::chance::{Spread, happens, pick};
use super::dialect::Dialect;
use super::digest::{Algorithm, Credentials};
use super::endpoint::{AnswerPlan, MediaPorts};
use super::phone::PhoneSettings;
use super::trunk::{TrunkGate, TrunkRoute, TrunkSettings};
use crate::crm::people::{AgentProfile, ClearPassword, Role, SipAccount, SkillLevel, User};
use crate::ids::{AccountName, AgentName, IdSource, SkillName};
use crate::switch::{Edition, Roster};
use crate::time::Time;

/// What one run is: everything else follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub seed: u64,
    /// Calls come in for that long.
    pub length: Duration,
    pub calls: u32,
    pub agents: u32,
    /// Nothing goes wrong.
    pub calm: bool,
    /// The switch checks itself after every so many steps.
    pub check_every: u32,
    /// Talks of minutes and shifts of hours, as on a working day.
    pub working_day: bool,
}

impl Setting {
    /// 20 virtual minutes with 200 calls, 3 to 10 agents and faults by seed: some houses are idle, some are swamped.
    pub fn short(seed: u64) -> Self {
        let length = Duration::from_secs(20 * 60);
        // The lowest bits choose the family of phones: every family meets every number of agents.
        let agents = 3 + u32::try_from(seed / 8 % 8).unwrap_or(0);
        Self { seed, length, calls: 200, agents, calm: false, check_every: 1, working_day: false }
    }

    /// A day: 10,000 calls, 200 agents.
    pub fn day(seed: u64) -> Self {
        let length = Duration::from_secs(24 * 3_600);
        Self { seed, length, calls: 10_000, agents: 200, calm: false, check_every: 16, working_day: true }
    }
}

/// The centre under test: what it starts with, and what reloads bring.
#[derive(Clone, Debug)]
pub struct Centre {
    pub editions: Vec<Arc<Edition>>,
}

/// The configurations of the simulated centre: the first one, and the one a reload brings.
pub const CONFIGURATIONS: [&str; 2] = [include_str!("seed/centre.toml"), include_str!("seed/reloaded.toml")];

/// Its dialplans by name.
pub const DIALPLANS: [(&str, &str); 4] = [
    ("service", include_str!("seed/service.toml")),
    ("direct", include_str!("seed/direct.toml")),
    ("night", include_str!("seed/night.toml")),
    ("bank", include_str!("seed/bank.toml")),
];

/// Its prompts with their lengths in milliseconds, the same in every language.
pub const PROMPTS: [(&str, u64); 8] = [
    ("welcome", 1_800),
    ("menu", 4_000),
    ("leave_a_message", 2_500),
    ("goodbye", 1_000),
    ("closed", 2_000),
    ("enter_pin", 1_200),
    ("enter_number", 1_500),
    ("balance_is", 900),
];

/// When every run begins: a Monday, 09:00 in Shanghai.
pub const START: Time = Time::from_secs(1_795_395_600);

/// Where the switch listens, as parties on IPv4 know it.
pub const SWITCH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1)), 5060);

/// The realm of every account.
pub const DOMAIN: &str = "centre.example";

/// How the phones of a run are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Datagrams,
    Streams,
    /// By our own codec: IPv6, compact headers, dots in user parts.
    Own,
    /// Behind routers that translate addresses.
    Nat,
}

impl Family {
    pub const fn of(seed: u64) -> Family {
        match seed % 8 {
            1 | 5 => Family::Own,
            2 => Family::Streams,
            3 | 6 => Family::Nat,
            _ => Family::Datagrams,
        }
    }
}

/// Everybody outside of the switch.
pub struct Population {
    pub roster: Roster,
    pub trunks: Vec<TrunkPlan>,
    /// Agents' phones first, one for each agent.
    pub phones: Vec<PhonePlan>,
    pub agents: Vec<AgentPlan>,
    pub callers: Vec<CallerPlan>,
}

pub struct TrunkPlan {
    pub settings: TrunkSettings,
    pub dialect: Dialect,
}

pub struct PhonePlan {
    pub settings: PhoneSettings,
    pub account: AccountName,
    pub dialect: Dialect,
    /// The address that the world sees, where a router stands between.
    pub outside: Option<SocketAddr>,
}

pub struct AgentPlan {
    pub name: AgentName,
    pub habits: AgentHabits,
    /// When the shift begins and ends, since the start.
    pub from: Duration,
    pub to: Duration,
}

pub struct CallerPlan {
    pub at: Duration,
    pub by: By,
    pub script: CallerScript,
}

/// What a caller calls from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Trunk(usize),
    Phone(usize),
}

/// Phones that belong to no agent.
const SOFTPHONES: u32 = 6;

/// The supervisor of every run.
pub const SUPERVISOR: &str = "supervisor";

impl Population {
    pub fn draw(setting: &Setting, dice: &mut IdSource) -> Self {
        let family = Family::of(setting.seed);
        let mut roster = Roster::default();
        let (mut phones, mut agents) = (Vec::new(), Vec::new());
        for nth in 0..setting.agents + SOFTPHONES {
            let phone = phone(nth, family, setting, dice);
            add_account(&mut roster, &phone.account);
            phones.push(phone);
        }
        for nth in 0..setting.agents {
            let agent = agent(nth, setting, dice);
            add_agent(&mut roster, &agent.name, dice);
            agents.push(agent);
        }
        add_user(&mut roster, SUPERVISOR, Role::Supervisor);
        for (nth, phone) in (0..SOFTPHONES).zip(phones.iter_mut().skip(agents.len())) {
            phone.settings.plan = softphone_plan(nth);
        }
        let callers = callers(setting, dice);
        Self { roster, trunks: trunks(family), phones, agents, callers }
    }
}

fn add_account(roster: &mut Roster, account: &AccountName) {
    let password = ClearPassword(password_of(account));
    let made = SipAccount::new(account.clone(), DOMAIN, &password).expect("simulated accounts have good names");
    roster.accounts.insert(account.clone(), made);
}

fn password_of(account: &AccountName) -> String {
    format!("password of {account}")
}

fn add_user(roster: &mut Roster, name: &str, role: Role) {
    let user = User {
        name: name.into(),
        display: name.to_owned(),
        role,
        language: None,
        account: None,
        password: None,
        disabled: false,
    };
    roster.users.insert(user.name.clone(), user);
}

fn add_agent(roster: &mut Roster, name: &AgentName, dice: &mut IdSource) {
    add_user(roster, name.as_str(), Role::Agent);
    roster.profiles.insert(name.clone(), profile(name, dice));
}

/// Some skills at some levels.
pub fn profile(name: &AgentName, dice: &mut IdSource) -> AgentProfile {
    let mut skills = BTreeMap::new();
    for skill in ["sales", "billing", "laptop", "en", "zh"] {
        let level = u8::try_from(dice.below(10) + 1).unwrap_or(1);
        if happens(dice, 600) {
            skills.insert(SkillName::new(skill), SkillLevel::new(level).expect("drawn from 1 to 10"));
        }
    }
    AgentProfile { user: name.clone(), skills }
}

fn phone(nth: u32, family: Family, setting: &Setting, dice: &mut IdSource) -> PhonePlan {
    let number = if nth < setting.agents { 1_001 + nth } else { 2_001 + nth - setting.agents };
    let (high, low) = (u8::try_from(nth / 200).unwrap_or(0), u8::try_from(nth % 200 + 1).unwrap_or(1));
    let own = family == Family::Own && !nth.is_multiple_of(3);
    let user = if own && nth % 3 == 1 { format!("desk-{number}") } else { number.to_string() };
    let account = AccountName::new(user.replace('-', "."));
    let dialect = Dialect {
        ipv6: own,
        compact: own,
        tcp: (family == Family::Streams && nth.is_multiple_of(2)) || (own && nth % 4 == 1),
        dotted: family == Family::Own,
    };
    let behind_nat = family == Family::Nat && nth.is_multiple_of(2);
    let ip = if behind_nat { [127, 10, 2 + high, low] } else { [127, 0, 2 + high, low] };
    let local = SocketAddr::from((ip, 5060));
    let mut settings = PhoneSettings::new(&user, DOMAIN, local, SWITCH);
    settings.credentials = Some(Credentials::new(account.as_str(), &password_of(&account)));
    settings.expires_s = if setting.working_day { 3_600 } else { 60 + dice.below(240) };
    settings.media = MediaPorts { ip: local.ip(), first: 40_000, count: 64 };
    let outside = behind_nat.then(|| SocketAddr::from(([127, 0, 4, low], 30_000 + u16::from(low))));
    PhonePlan { settings, account, dialect, outside }
}

/// What becomes of calls to phones that belong to no agent.
fn softphone_plan(nth: u32) -> AnswerPlan {
    let soon = Duration::from_secs(3);
    match nth {
        0 | 1 => AnswerPlan::answer_after(soon),
        2 => AnswerPlan::ring(),
        3 => AnswerPlan::refuse_after(soon, 486),
        4 => AnswerPlan::early_media_then_answer(soon),
        _ => AnswerPlan::answer_twice_after(soon),
    }
}

fn agent(nth: u32, setting: &Setting, dice: &mut IdSource) -> AgentPlan {
    let mut habits = AgentHabits {
        lets_ring_permille: 60,
        declines_permille: 50,
        decline_status: if nth.is_multiple_of(2) { 486 } else { 603 },
        holds_permille: 150,
        hold: Spread::secs(2, 15),
        transfers_permille: 60,
        transfer_to: ["1001", "2001", "2003", "13800138000", "777"].map(str::to_owned).to_vec(),
        hangs_up_permille: 300,
        talk: Spread::secs(5, 45),
        wrap_up: Spread::secs(2, 25),
        breaks_permille: 50,
        rest: Spread::secs(5, 60),
        ..AgentHabits::default()
    };
    let (mut from, mut to) = (Spread::secs(0, 20).draw(dice), setting.length * 2);
    if setting.working_day {
        habits.talk = Spread::secs(60, 300);
        // Three shifts that overlap by an hour.
        from += Duration::from_secs(u64::from(nth % 3) * 8 * 3_600);
        to = from + Duration::from_secs(9 * 3_600);
    }
    AgentPlan { name: AgentName::new(format!("agent{nth}")), habits, from, to }
}

fn trunks(family: Family) -> Vec<TrunkPlan> {
    let of = |name: &str, domain: &str, last: u8| {
        let mut settings = TrunkSettings::new(name, domain, SocketAddr::from(([127, 0, 3, last], 5060)), SWITCH);
        let far = |prefix: &str, plan| TrunkRoute { prefix: prefix.to_owned(), plan };
        let soon = Duration::from_secs(4);
        settings.routes = vec![
            far("", AnswerPlan::answer_after(soon)),
            far("+8613800138001", AnswerPlan::refuse_after(soon, 486)),
            far("+8613800138002", AnswerPlan::early_media_then_answer(soon)),
            far("+8613800138003", AnswerPlan::silent()),
            far("+8613800138004", AnswerPlan::answer_twice_after(soon)),
            far("+8613800138005", AnswerPlan::ring()),
        ];
        settings
    };
    let plain = Dialect { dotted: family == Family::Own, ..Dialect::default() };
    let alpha = TrunkPlan { settings: of("alpha", "alpha.example", 1), dialect: plain.clone() };
    let mut beta = TrunkPlan { settings: of("beta", "beta.example", 2), dialect: plain.clone() };
    let credentials = Credentials::new(BETA_USER, "between carriers");
    beta.settings.gate = Some(TrunkGate { credentials, algorithm: Algorithm::Md5, calls: true });
    let dialect = Dialect { ipv6: true, compact: true, tcp: true, ..plain };
    let gamma = TrunkPlan { settings: of("gamma", "gamma.example", 3), dialect };
    vec![alpha, beta, gamma]
}

/// As whom the switch registers with trunk beta.
pub const BETA_USER: &str = "862038120000";

/// Where the host names of the configuration lead.
pub fn resolve(host: &str) -> Option<SocketAddr> {
    (host == "beta.example").then(|| SocketAddr::from(([127, 0, 3, 2], 5060)))
}

fn callers(setting: &Setting, dice: &mut IdSource) -> Vec<CallerPlan> {
    let outside =
        profile_of_callers(setting, ["95539", "+862038120001", "+862038120002", "+862038120003", "95539", "9999999"]);
    let inside = profile_of_callers(
        setting,
        ["95539", "1001", "2001", "2003", "2004", "2005", "2006", "13800138000", "13800138001", "13800138002"],
    );
    let far =
        profile_of_callers(setting, ["13800138003", "13800138004", "13800138005", "13900139000", "110", "+4930123456"]);
    let spread = Spread { least: Duration::from_secs(10), most: setting.length };
    let mut callers: Vec<CallerPlan> = (0..setting.calls)
        .map(|_| {
            let softphone = usize::try_from(setting.agents + dice.below(SOFTPHONES)).unwrap_or(0);
            let (by, profile) = match dice.below(20) {
                0..9 => (By::Trunk(0), &outside),
                9..12 => (By::Trunk(1), &outside),
                12..16 => (By::Trunk(2), &outside),
                16..18 => (By::Phone(softphone), &inside),
                _ => (By::Phone(softphone), &far),
            };
            let mut script = profile.draw(dice);
            if by == By::Trunk(1) {
                script.call.line = Some(BETA_USER.to_owned());
            }
            script.call.anonymous = happens(dice, 30);
            script.call.late_offer = happens(dice, 50);
            CallerPlan { at: spread.draw(dice), by, script }
        })
        .collect();
    callers.sort_by_key(|caller| caller.at);
    callers
}

fn profile_of_callers<const N: usize>(setting: &Setting, to: [&str; N]) -> CallerProfile {
    let soon =
        |digits: &str, s: u64| KeyPress { when: KeyMoment::AfterAnswer(Duration::from_secs(s)), digits: digits.into() };
    let after = |digits: &str, count| {
        let when = KeyMoment::AfterPrompts { count, pause: Duration::from_millis(600) };
        KeyPress { when, digits: digits.into() }
    };
    CallerProfile {
        from: (0..40).map(number_of).collect(),
        to: to.map(str::to_owned).to_vec(),
        ways: vec![
            vec![after("1", 2)],
            vec![after("2", 2)],
            vec![soon("3", 3)],
            vec![after("4", 2)],
            vec![after("0", 1)],
            vec![after("9", 2), soon("1", 12)],
            vec![soon("12345#", 4), soon("0", 30)],
            vec![after("1", 2), soon("1", 30), soon("#", 50)],
            vec![],
        ],
        answer_patience: Spread::secs(2, 70),
        queue_patience: Spread::secs(3, 240),
        talk: if setting.working_day { Spread::secs(30, 400) } else { Spread::secs(2, 70) },
    }
}

fn number_of(nth: u32) -> String {
    format!("+86136000000{nth:02}")
}

/// A number that the customer table knows, and what it says: name and tier.
pub fn customer(number: &str) -> Option<(String, &'static str)> {
    let nth: usize = number.strip_prefix("+86136000000")?.parse().ok()?;
    let tiers = ["platinum", "gold", "iron", "lead", ""];
    let tier = tiers.get(nth % 7)?;
    Some((format!("Customer {nth}"), tier))
}

/// Any of the agents.
pub fn some_agent<'a>(dice: &mut IdSource, agents: &'a [AgentName]) -> Option<&'a AgentName> {
    pick(dice, agents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_starts_at_nine_in_shanghai_on_a_monday() {
        assert_eq!(START.rfc3339().get(..19), Some("2026-11-23T01:00:00"));
    }

    #[test]
    fn the_same_seed_draws_the_same_people_and_every_family_has_its_phones() {
        for seed in 32..40 {
            let setting = Setting::short(seed);
            let draw = || Population::draw(&setting, &mut IdSource::from_seed(seed));
            let (one, two) = (draw(), draw());
            assert_eq!(one.callers.len(), 200);
            assert!(one.callers.iter().zip(&two.callers).all(|(a, b)| a.at == b.at && a.script == b.script));
            assert_eq!(one.phones.len(), 7 + 6, "the agents' and the softphones");
            let odd = one.phones.iter().filter(|phone| !phone.dialect.is_plain() || phone.outside.is_some()).count();
            assert_eq!(odd == 0, Family::of(seed) == Family::Datagrams, "seed {seed}: {odd} phones of their own kind");
        }
    }
}
