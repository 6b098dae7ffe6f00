//! The commands of the binary, composed.

mod addresses;
mod agents;
mod ask;
pub mod centre;
mod check;
mod control;
mod customers;
mod demo;
pub mod edition;
mod load;
mod office;
mod people;
mod progress;
mod remote;
mod serve;
pub mod sim;
mod store;
mod table;
mod tables;
mod times;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use crate::config::args::{Args, Command};
use crate::config::report;
use crate::finding::{Finding, Source};

/// Something a person gave us was refused: configuration, dialplan, import.
pub const REFUSED: u8 = 3;

/// Runs one command. Findings and reports are printed by the commands; an error that comes back is printed here.
pub fn run(args: Args) -> ExitCode {
    let result = match &args.command {
        Command::Serve(options) => serve::run(&args, options),
        Command::Check(options) => check::run(&args, options),
        Command::Sim(options) => sim::run(options, args.json, &mut std::io::stdout())
            .map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Command::Demo(options) => demo::run(&args, options),
        Command::Load(options) => load::run(&args, options),
        Command::Users(what) => people::users(&args, what),
        Command::Accounts(what) => people::accounts(&args, what),
        Command::Agents(what) => agents::run(&args, what),
        Command::Customers(what) => customers::run(&args, what),
        _ => Err(anyhow::anyhow!("this command is not built yet")),
    };
    match result {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<Rejected>() {
            Some(rejected) => rejected.print(&args),
            None => {
                eprintln!("strowger: {error:#}");
                ExitCode::FAILURE
            }
        },
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
