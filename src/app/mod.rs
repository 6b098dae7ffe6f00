//! The commands of the binary, composed.

mod addresses;
mod agents;
mod ask;
mod backup;
mod cdr;
pub mod centre;
mod check;
mod control;
mod customers;
mod demo;
mod dialplan;
pub mod edition;
mod load;
mod notify;
mod office;
mod people;
mod progress;
mod recordings;
mod reload;
mod remote;
mod salvage;
mod sample;
mod seats;
mod serve;
pub mod sim;
mod stand_in;
mod store;
mod table;
mod tables;
mod times;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use crate::config::args::{Args, Command};
use crate::config::report::{self, Paint};
use crate::finding::{Finding, Source};

/// Something a person gave us was refused: configuration, dialplan, import.
pub const REFUSED: u8 = 3;

/// The command line says what cannot be.
pub const MISUSED: u8 = 2;

/// Runs one command. Findings and reports are printed by the commands; an error that comes back is printed here.
pub fn run(args: Args) -> ExitCode {
    let result = match &args.command {
        Command::Serve(options) => serve::run(&args, options),
        Command::Reload => reload::run(&args),
        Command::Check(options) => check::run(&args, options),
        Command::Sim(options) => sim::run(options, args.json, &mut std::io::stdout())
            .map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Command::Demo(options) => demo::run(&args, options),
        Command::Load(options) => load::run(&args, options),
        Command::Users(what) => people::users(&args, what),
        Command::Accounts(what) => people::accounts(&args, what),
        Command::Agents(what) => agents::run(&args, what),
        Command::Customers(what) => customers::run(&args, what),
        Command::Cdr(what) => cdr::run(&args, what),
        Command::Recordings(what) => recordings::run(&args, what),
        Command::Backup(options) => backup::run(&args, options),
        Command::Restore(options) => backup::bring_back(&args, options),
        Command::Dialplan(what) => dialplan::run(&args, what),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            if let Some(rejected) = error.downcast_ref::<Rejected>() {
                return rejected.print(&args);
            }
            eprintln!("strowger: {error:#}");
            if error.is::<Misused>() { ExitCode::from(MISUSED) } else { ExitCode::FAILURE }
        }
    }
}

/// An argument is wrong in a way that shows only beside the configuration: no number, no day, no such state.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misused(String);

impl Misused {
    fn of(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

/// What a person gave us is wrong, and nothing of it was taken.
#[derive(Debug, thiserror::Error)]
#[error("{}", report::summary(findings))]
pub struct Rejected {
    pub findings: Vec<Finding>,
    /// The texts they are about, as far as there are any.
    pub sources: Vec<Source>,
}

impl Rejected {
    fn print(&self, args: &Args) -> ExitCode {
        if args.json {
            say(&format!("{}\n", report::for_machines(&self.findings)));
        } else {
            eprint!("{}", report::for_people(&self.findings, &self.sources, serve::paint()));
        }
        ExitCode::from(REFUSED)
    }
}

/// Whether what is written there is looked at by a person who likes colours.
fn paint(out: &impl IsTerminal) -> Paint {
    let plain = std::env::var_os("NO_COLOR").is_some() || !out.is_terminal();
    if plain { Paint::Plain } else { Paint::Colours }
}

/// Writes to standard output. A reader who has seen enough (`| head`) ends the command, and that is no failure.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("strowger: standard output: {error}");
            std::process::exit(1)
        }
        Ok(()) => {}
    }
}

/// Writes one JSON value for machines.
fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(&format!("{}\n", serde_json::to_string_pretty(value)?));
    Ok(())
}
