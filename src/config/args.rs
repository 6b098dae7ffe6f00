//! The command line: every command, its arguments and its help. What they do is in `app`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};

use crate::load::profile::LoadProfile;

/// The whole command line.
#[derive(Clone, Debug, Parser, PartialEq)]
#[command(
    name = "strowger",
    version,
    about = "A SIP-native call centre in one binary",
    long_about = "A SIP-native call centre in one binary: softswitch, IVR, skills-based call distribution, CTI events \
                  and the agents' page. No database or other server is needed.",
    after_help = "First steps:\n  \
                  strowger demo                          a sample centre with simulated callers, on http://localhost:8080\n  \
                  strowger check                         is the configuration here in order?\n  \
                  strowger serve                         run it\n\n\
                  Exit codes: 0 done; 1 failed; 2 wrong command line; 3 a configuration, dialplan or import was refused.",
    subcommand_required = true,
    arg_required_else_help = true,
    propagate_version = true
)]
pub struct Args {
    /// The configuration; dialplans, prompts and the store are found beside it
    #[arg(long, global = true, value_name = "FILE", default_value = "strowger.toml")]
    pub config: PathBuf,
    /// Print JSON for machines instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// One command.
#[derive(Clone, Debug, Subcommand, PartialEq)]
pub enum Command {
    /// Run the call centre
    #[command(
        after_help = "Reload with SIGHUP, `strowger reload` or by saving a file; a broken one keeps the running plan.\n\
                            SIGTERM drains: no new calls, running ones end within limits.drain_s. A second ends at once."
    )]
    Serve(Serve),
    /// Have the running server read its configuration anew, and say what came of it
    #[command(
        after_help = "New calls take what is new, running calls keep what they have; an error keeps the running plan.\n\
                            What is read at the start only (sockets, threads, folders) is told, and waits for a restart."
    )]
    Reload,
    /// Run the sample centre, with simulated callers and agents
    #[command(after_help = "Open http://localhost:8080, sign in as an agent, and take the next call;\n\
                            or register any SIP phone at this machine's port 5060 and dial 95539.")]
    Demo(Demo),
    /// Verify configuration, dialplans and prompts: every finding with its line, the reason and the mend
    #[command(
        after_help = "Examples:\n  strowger check\n  strowger check dialplans/bank.toml\n  strowger check --json /etc/strowger"
    )]
    Check(Check),
    /// Run the whole centre in virtual time under faults; a failing seed prints its call ladder
    #[command(
        after_help = "Examples:\n  strowger sim --seeds 1000\n  strowger sim --first-seed 4711 --seeds 1    repeat one run exactly"
    )]
    Sim(Sim),
    /// Place load: callers, agents and registrations with real SIP and RTP; prints percentiles
    #[command(after_help = "Examples:\n  strowger load --dial 95539 --calls-per-minute 60 --duration-s 300\n  \
                      strowger load --dial 95539 --accounts people.csv --agents 20")]
    Load(Box<LoadProfile>),
    /// Draw, walk and test a dialplan, without a phone
    #[command(subcommand)]
    Dialplan(Dialplan),
    /// People who sign in, and their roles
    #[command(subcommand)]
    Users(Users),
    /// SIP accounts: the phones that register here
    #[command(subcommand)]
    Accounts(Accounts),
    /// Agents and their skills
    #[command(subcommand)]
    Agents(Agents),
    /// Customers
    #[command(subcommand)]
    Customers(Records),
    /// Call records
    #[command(subcommand)]
    Cdr(Cdr),
    /// Recordings of calls, and voicemail
    #[command(subcommand)]
    Recordings(Recordings),
    /// Copy ledger and files, while running
    #[command(after_help = "Example:\n  strowger backup /mnt/backup/2026-11-22")]
    Backup(Backup),
    /// Restore a backup into an empty store
    #[command(after_help = "Example:\n  strowger restore /mnt/backup/2026-11-22        into the store of --config")]
    Restore(Restore),
}

/// `strowger serve`
#[derive(Clone, Debug, Arguments, PartialEq)]
pub struct Serve {
    /// How logs are written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or per part as `info,strowger::sip=trace`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_filter: String,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// `strowger demo`
#[derive(Clone, Debug, Arguments, PartialEq)]
pub struct Demo {
    /// Simulated calls a minute
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub calls_per_minute: u32,
    /// Simulated agents; the sample has six
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(0..=6))]
    pub agents: u32,
    /// Where the page listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Where SIP listens, UDP and TCP
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:5060")]
    pub sip: SocketAddr,
    /// Where the sample's store and recordings lie; without it, demo-data
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Stop after so long; without it, until Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    pub duration_s: Option<u64>,
}

/// `strowger check`
#[derive(Clone, Debug, Arguments, PartialEq)]
pub struct Check {
    /// Configurations, dialplans or folders; without any, --config and all it names
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Warnings fail, too
    #[arg(long)]
    pub strict: bool,
}

/// `strowger sim`
#[derive(Clone, Debug, Arguments, PartialEq)]
pub struct Sim {
    /// How many seeds, each a run of its own
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// The first of them
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub first_seed: u64,
    /// Virtual minutes of each run
    #[arg(long, value_name = "MINUTES", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    pub minutes: u32,
    /// Calls of each run
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub calls: u32,
    /// Agents of each run; without it 3 to 10, by the seed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub agents: Option<u32>,
    /// No faults: no loss, no reordering, nobody reboots
    #[arg(long)]
    pub calm: bool,
    /// Stop at the first seed that fails
    #[arg(long)]
    pub fail_fast: bool,
}

/// `strowger dialplan …`
#[derive(Clone, Debug, Subcommand, PartialEq)]
pub enum Dialplan {
    /// Draw it: an indented tree, or a diagram
    Graph {
        /// The dialplan
        file: PathBuf,
        /// As a Mermaid diagram, which many editors and git hosts show
        #[arg(long)]
        mermaid: bool,
    },
    /// Walk it as a caller would, with keys from the keyboard or scripted
    #[command(
        after_help = "Examples:\n  strowger dialplan try dialplans/bank.toml\n  strowger dialplan try dialplans/bank.toml --keys 1,4711# --caller 13800138000\n  \
                      strowger dialplan try dialplans/airline.toml --customer name=Bai --customer tier=gold --answer trips=timeout"
    )]
    Try(Try),
    /// Run the tests beside it (`NAME.test.toml`), with coverage of states and edges
    Test {
        /// Dialplans; without any, all of the configuration
        files: Vec<PathBuf>,
    },
}

/// `strowger dialplan try`
#[derive(Clone, Debug, Arguments, PartialEq)]
pub struct Try {
    /// The dialplan
    pub file: PathBuf,
    /// Keys to press, one group a prompt, as `1,4711#`; `~` is silence, `20s` a wait, `hangup` what it says. Without
    /// it, you are asked
    #[arg(long, value_name = "KEYS")]
    pub keys: Option<String>,
    /// Who calls
    #[arg(long, value_name = "NUMBER")]
    pub caller: Option<String>,
    /// What was dialled
    #[arg(long, value_name = "NUMBER")]
    pub called: Option<String>,
    /// When, as `2026-10-01T10:00`; without it, now. Opening hours are those of the configuration
    #[arg(long, value_name = "DATE-TIME")]
    pub at: Option<String>,
    /// The language to begin in
    #[arg(long, value_name = "TAG")]
    pub language: Option<String>,
    /// What the customer's record holds, as `tier=gold`; without any, a lookup finds nobody
    #[arg(long, value_name = "FIELD=VALUE", value_parser = pair)]
    pub customer: Vec<(String, String)>,
    /// How a state is left that asks somebody outside, as `balance=timeout`; without it, all goes well but for company
    /// systems, which fail
    #[arg(long, value_name = "STATE=EDGE", value_parser = pair)]
    pub answer: Vec<(String, String)>,
}

/// `strowger users …`
#[derive(Clone, Debug, Subcommand, PartialEq)]
pub enum Users {
    /// All users, their roles, and when they last signed in
    List,
    /// Add one; the password is asked for, or read from standard input
    Add {
        /// The name to sign in with
        name: String,
        /// What they may do
        #[arg(long, value_enum, default_value_t = RoleArg::Agent)]
        role: RoleArg,
        /// The name people see
        #[arg(long, value_name = "TEXT")]
        full_name: Option<String>,
        /// The SIP account at their desk
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
    },
    /// Change a role
    Role {
        name: String,
        #[arg(value_enum)]
        role: RoleArg,
    },
    /// Set a password; it is asked for, or read from standard input
    Password { name: String },
    /// Remove one
    Remove { name: String },
    #[command(flatten)]
    Exchange(Exchange),
}

/// A role on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Takes calls
    Agent,
    /// Sees and steers queues and agents
    Supervisor,
    /// Everything
    Admin,
    /// A machine: events and API
    Integration,
}

/// `strowger accounts …`
#[derive(Clone, Debug, Subcommand, PartialEq)]
pub enum Accounts {
    /// All accounts, and where they are registered
    List,
    /// Add one; the password is asked for, or read from standard input
    Add {
        /// The user part of its address: 1001
        account: String,
    },
    /// Set a password; it is asked for, or read from standard input
    Password { account: String },
    /// Remove one, and its registrations
    Remove { account: String },
    #[command(flatten)]
    Exchange(Exchange),
}

/// `strowger agents …`
#[derive(Clone, Debug, Subcommand, PartialEq)]
pub enum Agents {
    /// All agents: state, skills, queues
    List,
    /// One agent
    Show { name: String },
    /// Set skills: `billing=5 en=3`; a level of 0 removes one
    Skill {
        name: String,
        /// Skill and level, 0 to 10
        #[arg(required = true, value_name = "SKILL=LEVEL", value_parser = skill_level)]
        skills: Vec<(String, u8)>,
    },
    #[command(flatten)]
    Exchange(Exchange),
}

/// `strowger customers …`
#[derive(Clone, Debug, Subcommand, PartialEq)]
pub enum Records {
    /// The first of them, or those that match
    List {
        /// Part of a name or number
        #[arg(long, value_name = "TEXT")]
        find: Option<String>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// One, by number or id, with history
    Show { id: String },
    #[command(flatten)]
    Exchange(Exchange),
}

/// Records in and out.
#[derive(Clone, Debug, Subcommand, PartialEq)]
pub enum Exchange {
    /// Read records from a CSV or JSON file; all or nothing, with every faulty line named
    Import {
        /// CSV with a header line, or a JSON array; `-` is standard input
        file: PathBuf,
        /// Only say what would happen
        #[arg(long)]
        dry_run: bool,
    },
    /// Write all records to a file or standard output
    Export {
        /// Where to; the ending decides the format. Without it, standard output
        file: Option<PathBuf>,
        #[arg(long, value_enum, default_value_t = FileFormat::Csv)]
        format: FileFormat,
    },
}

/// A format of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    Csv,
    Json,
}

/// `strowger cdr …`
#[derive(Clone, Debug, Subcommand, PartialEq)]
pub enum Cdr {
    /// Recent calls, newest first
    #[command(
        after_help = "Examples:\n  strowger cdr list --queue sales --since 2026-11-22\n  strowger cdr list --number 13800138000 --json"
    )]
    List(CdrFilter),
    /// One call: its legs, times and cause
    Show {
        /// The call's id
        id: String,
        /// Every SIP message, as a ladder
        #[arg(long)]
        ladder: bool,
        /// The decisions: who was considered, and why this agent
        #[arg(long)]
        explain: bool,
    },
    /// Write call records to a file or standard output
    Export {
        /// Where to; without it, standard output
        file: Option<PathBuf>,
        #[arg(long, value_enum, default_value_t = FileFormat::Csv)]
        format: FileFormat,
        #[command(flatten)]
        filter: CdrFilter,
    },
}

/// Which calls.
#[derive(Clone, Debug, Default, Arguments, PartialEq)]
pub struct CdrFilter {
    /// From this day or instant on
    #[arg(long, value_name = "DATE[-TIME]")]
    pub since: Option<String>,
    /// Before this day or instant
    #[arg(long, value_name = "DATE[-TIME]")]
    pub until: Option<String>,
    /// Of this queue
    #[arg(long, value_name = "QUEUE")]
    pub queue: Option<String>,
    /// Of this agent
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// From or to this number
    #[arg(long, value_name = "NUMBER")]
    pub number: Option<String>,
    /// How many at most; 50 where a list is printed, all where a file is written
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// `strowger recordings …`
#[derive(Clone, Debug, Subcommand, PartialEq)]
pub enum Recordings {
    /// Recent recordings, newest first
    List {
        #[command(flatten)]
        filter: CdrFilter,
        /// Voicemail instead of calls
        #[arg(long)]
        voicemail: bool,
    },
    /// One recording: segments, what was masked
    Show { id: String },
    /// Copy a recording to a WAV file
    Export {
        id: String,
        /// Where to
        file: PathBuf,
    },
}

/// `strowger backup`
#[derive(Clone, Debug, Arguments, PartialEq)]
pub struct Backup {
    /// A new or empty folder
    pub folder: PathBuf,
    /// Leave recordings out
    #[arg(long)]
    pub without_recordings: bool,
}

/// `strowger restore`
#[derive(Clone, Debug, Arguments, PartialEq)]
pub struct Restore {
    /// A folder that `strowger backup` wrote
    pub folder: PathBuf,
    /// Only verify it
    #[arg(long)]
    pub verify: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not written NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn skill_level(text: &str) -> Result<(String, u8), String> {
    let (skill, level) = text.split_once('=').ok_or_else(|| format!("`{text}` is not written SKILL=LEVEL"))?;
    let level = level.parse().ok().filter(|level| *level <= 10).ok_or("a level is 0 to 10")?;
    if skill.is_empty() { Err("the skill has no name".to_owned()) } else { Ok((skill.to_owned(), level)) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::try_parse_from(line.split_whitespace()).map_err(|why| why.to_string())
    }

    #[test]
    fn the_command_line_is_consistent_and_everything_has_help() {
        fn helped(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for sub in command.get_subcommands() {
                helped(sub);
            }
        }
        Args::command().debug_assert();
        helped(&Args::command());
    }

    #[test]
    fn the_promised_commands_are_there() {
        for line in [
            "strowger serve --config /etc/strowger/strowger.toml",
            "strowger demo",
            "strowger check dialplans/bank.toml --json",
            "strowger sim --seeds 256 --first-seed 17 --json",
            "strowger load --target 127.0.0.1:5060 --calls-per-minute 600 --http http://127.0.0.1:8080/",
            "strowger dialplan graph dialplans/bank.toml --mermaid",
            "strowger dialplan try dialplans/bank.toml --keys 1,4711#",
            "strowger dialplan test",
            "strowger users add anna --role supervisor",
            "strowger users import users.csv --dry-run",
            "strowger accounts add 1001",
            "strowger agents skill anna billing=5 en=3",
            "strowger customers export customers.json --format json",
            "strowger cdr list --queue sales --since 2026-11-22",
            "strowger cdr show 01KAJ3 --ladder",
            "strowger recordings list --voicemail",
            "strowger backup /mnt/backup",
            "strowger restore /mnt/backup --verify",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn the_unit_for_systemd_starts_what_the_command_line_knows() {
        let unit = include_str!("../../packaging/strowger.service");
        let commands: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("ExecStart")).collect();
        assert_eq!(commands.len(), 1);
        for line in commands {
            let (_, command) = line.split_once("=/usr/local/bin/").unwrap();
            let args = parse(command).unwrap();
            assert_eq!(args.config, PathBuf::from("/etc/strowger/strowger.toml"));
        }
        assert!(unit.contains("RestartPreventExitStatus=2 3"), "the codes of `strowger --help`");
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        let before = parse("strowger --config a.toml --json check").unwrap();
        let after = parse("strowger check --json --config a.toml").unwrap();
        assert_eq!(before, after);
        assert_eq!(before.config, PathBuf::from("a.toml"));
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_reason() {
        assert!(parse("strowger agents skill anna billing=11").unwrap_err().contains("a level is 0 to 10"));
        assert!(parse("strowger agents skill anna billing").unwrap_err().contains("is not written SKILL=LEVEL"));
        assert!(parse("strowger sim --seeds 0").unwrap_err().contains("0 is not in"));
        assert!(parse("strowger load --http pbx.test").unwrap_err().contains("write it as http://127.0.0.1:8080"));
        assert!(parse("strowger chekc").unwrap_err().contains("check"));
    }
}
