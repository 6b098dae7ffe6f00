//! The binary: parses the command line and hands over to `app`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    strowger::app::run(strowger::config::args::Args::parse())
}
