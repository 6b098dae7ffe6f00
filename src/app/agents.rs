//! `strowger agents`: who takes calls, what they can do, and the queues they serve by it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;

use crate::acd::{Abilities, Expression};
use crate::config::args::{Agents, Args};
use crate::crm::people::SkillLevel;
use crate::crm::{AgentProfile, User};
use crate::event::{Event, Fact, RecordKind, Seq};
use crate::ids::{SkillName, UserName};
use crate::plan::Plan;

use super::office::{Change, Office};
use super::people::{self, Staff};
use super::table::Table;
use super::{say, say_json};

pub fn run(args: &Args, what: &Agents) -> anyhow::Result<ExitCode> {
    let mut office = Office::open(args)?;
    match what {
        Agents::List => list(args, &office),
        Agents::Show { name } => show(args, &office, name),
        Agents::Skill { name, skills } => set_skills(&mut office, name, skills),
        Agents::Exchange(exchange) => people::exchange(args, &mut office, exchange),
    }
}

/// An agent as lists show them.
#[derive(Serialize)]
struct AgentRow {
    name: String,
    display: String,
    /// `signed_out` where no server runs.
    state: String,
    /// The not-ready reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    account: String,
    skills: BTreeMap<String, u8>,
    /// Queues whose first expression or list of members they satisfy.
    queues: Vec<String>,
}

fn rows(office: &Office) -> anyhow::Result<Vec<AgentRow>> {
    let staff = Staff::of(office)?;
    let states = states(office)?;
    let row = |profile: &AgentProfile| {
        let user = staff.users.get(&profile.user);
        let (state, reason) = states.get(&profile.user).cloned().unwrap_or(("signed_out".to_owned(), String::new()));
        AgentRow {
            name: profile.user.to_string(),
            display: user.map(|user| user.display.clone()).unwrap_or_default(),
            state,
            reason,
            account: user.and_then(account_of).unwrap_or_default(),
            skills: profile.skills.iter().map(|(skill, level)| (skill.to_string(), level.get())).collect(),
            queues: queues_of(&office.plan, profile),
        }
    };
    Ok(staff.profiles.values().map(row).collect())
}

fn account_of(user: &User) -> Option<String> {
    user.account.as_ref().map(|account| account.to_string())
}

fn list(args: &Args, office: &Office) -> anyhow::Result<ExitCode> {
    let rows = rows(office)?;
    if args.json {
        say_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["name", "full name", "state", "account", "skills", "queues"]);
    for row in rows {
        let state = state_words(&row);
        let skills = skill_words(&row.skills);
        table.row([row.name, row.display, state, row.account, skills, row.queues.join(" ")]);
    }
    table.print("No agents yet: add one with `strowger users add NAME`.");
    Ok(ExitCode::SUCCESS)
}

fn show(args: &Args, office: &Office, name: &str) -> anyhow::Result<ExitCode> {
    let row = rows(office)?.into_iter().find(|row| row.name == name);
    let Some(row) = row else { anyhow::bail!("there is no agent `{name}`: `strowger agents list` names them") };
    if args.json {
        say_json(&row)?;
        return Ok(ExitCode::SUCCESS);
    }
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    say(&format!("{}  {}\n", row.name, row.display));
    say(&format!("state    {}\n", state_words(&row)));
    say(&format!("account  {}\n", or_none(row.account)));
    say(&format!("skills   {}\n", or_none(skill_words(&row.skills))));
    say(&format!("queues   {}\n", or_none(row.queues.join(" "))));
    Ok(ExitCode::SUCCESS)
}

fn state_words(row: &AgentRow) -> String {
    let state = row.state.replace('_', " ");
    if row.reason.is_empty() { state } else { format!("{state} ({})", row.reason) }
}

fn skill_words(skills: &BTreeMap<String, u8>) -> String {
    skills.iter().map(|(skill, level)| format!("{skill}={level}")).collect::<Vec<_>>().join(" ")
}

/// Sets some skills, removes those of level 0 and keeps the others.
fn set_skills(office: &mut Office, name: &str, skills: &[(String, u8)]) -> anyhow::Result<ExitCode> {
    let staff = Staff::of(office)?;
    let user = staff.user(name)?.name.clone();
    let mut profile =
        staff.profiles.get(&user).cloned().unwrap_or(AgentProfile { user: user.clone(), skills: BTreeMap::new() });
    for (skill, level) in skills {
        let skill = SkillName::new(skill);
        if !office.plan.skills.is_empty() && !office.plan.skills.contains_key(&skill) {
            eprintln!("warning: the configuration names no skill `{skill}`; no queue may ask for it.");
        }
        match level {
            0 => drop(profile.skills.remove(&skill)),
            level => drop(profile.skills.insert(skill, SkillLevel::new(*level)?)),
        }
    }
    profile.check()?;
    office.save(vec![Change::save(RecordKind::Agent, &user, &profile)?])?;
    let now = profile.skills.iter().map(|(skill, level)| (skill.to_string(), level.get())).collect();
    let now = skill_words(&now);
    say(&format!("{name}: {}\n", if now.is_empty() { "no skills".to_owned() } else { now }));
    Ok(ExitCode::SUCCESS)
}

/// The queues an agent serves from the first moment of a call's wait.
fn queues_of(plan: &Plan, profile: &AgentProfile) -> Vec<String> {
    let skills = profile.skills.iter().map(|(skill, level)| (skill.clone(), level.get())).collect();
    let abilities = Abilities { skills: &skills, attributes: &BTreeMap::new(), language: None };
    let serves = |skills: &Option<crate::plan::queue::SkillExpression>| match skills {
        Some(asked) => Expression::parse(&asked.text).is_ok_and(|asked| asked.is_satisfied(abilities)),
        None => true,
    };
    let queues = plan.queues.values().filter(|queue| {
        let listed = queue.members.is_empty() || queue.members.contains(&profile.user);
        listed && serves(&queue.skills)
    });
    queues.map(|queue| queue.name.to_string()).collect()
}

/// State and reason of every agent, folded from what the running server has written since its start.
fn states(office: &Office) -> anyhow::Result<BTreeMap<UserName, (String, String)>> {
    let mut states = BTreeMap::new();
    let Some(server) = office.server() else { return Ok(states) };
    let Seq(before) = server.status()?.before;
    let mut tail = office.ledger(Seq(before).next())?;
    while let Some(record) = tail.next()? {
        let Ok(event) = serde_json::from_slice::<Event>(&record.payload) else { continue };
        match event.fact {
            Fact::AgentStateChanged { agent, state, reason, .. } => {
                let state = serde_json::to_value(state)?.as_str().unwrap_or_default().to_owned();
                states.insert(agent, (state, reason));
            }
            Fact::AgentSignedOut { agent } => drop(states.remove(&agent)),
            _ => {}
        }
    }
    Ok(states)
}
