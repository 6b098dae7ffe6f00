//! `strowger reload`: the running server reads its configuration anew, and says what came of it.

use std::process::ExitCode;

use crate::config::args::Args;

use super::office::Office;
use super::{REFUSED, say, say_json};

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let office = Office::open(args)?;
    let Some(server) = office.server() else {
        anyhow::bail!("no server runs here: `strowger serve` reads the configuration when it starts");
    };
    let reload = server.reload()?;
    match (args.json, reload.taken) {
        (true, _) => say_json(&reload.report)?,
        (false, true) => say(&reload.text),
        (false, false) => eprintln!("{}The running plan stays.", reload.text),
    }
    Ok(if reload.taken { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}
