//! The commands of the binary, composed.

mod addresses;
mod check;
pub mod edition;
pub mod serve;

use std::process::ExitCode;

use crate::config::args::{Args, Command};

/// Something a person gave us was refused: configuration, dialplan, import.
pub const REFUSED: u8 = 3;

/// Runs one command. Findings and reports are printed by the commands; an error that comes back is printed here.
pub fn run(args: Args) -> ExitCode {
    let result = match &args.command {
        Command::Serve(options) => serve::run(&args, options),
        Command::Check(options) => check::run(&args, options),
        _ => Err(anyhow::anyhow!("this command is not built yet")),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("strowger: {error:#}");
            ExitCode::FAILURE
        }
    }
}
