//! Passwords asked for: on the terminal without echo, or one line of standard input. Never an argument, which every
//! user of the machine could read.

use std::io::{BufRead, IsTerminal};

use console::Term;

use crate::crm::people::ClearPassword;

/// Asks for the password of `whom`; on a terminal twice, since nobody sees what is typed.
pub fn password(whom: &str) -> anyhow::Result<ClearPassword> {
    if !std::io::stdin().is_terminal() {
        return first_line(&mut std::io::stdin().lock());
    }
    let term = Term::stderr();
    let ask = |what: String| {
        term.write_str(&what)?;
        term.read_secure_line()
    };
    let first = ask(format!("Password for {whom}: "))?;
    let second = ask("The same again: ".to_owned())?;
    anyhow::ensure!(first == second, "the two are not the same; nothing was changed");
    Ok(ClearPassword(first))
}

fn first_line(input: &mut dyn BufRead) -> anyhow::Result<ClearPassword> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let line = line.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!line.is_empty(), "no password came on standard input; nothing was changed");
    Ok(ClearPassword(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piped_password_is_its_first_line_blanks_included() {
        assert_eq!(first_line(&mut &b" two words \r\nmore"[..]).unwrap(), ClearPassword(" two words ".to_owned()));
        assert!(first_line(&mut &b"\n"[..]).is_err());
    }
}
