//! A walk in words, as `strowger dialplan try` prints it.

use core::fmt;
use core::time::Duration;

use crate::dialplan::scenario::End;

use super::{Happening, Walked};

/// Where a walk ended, as a test file would name it.
pub(super) fn end_text(end: &End) -> String {
    match end {
        End::Queue { queue, priority, attach } => {
            let priority = priority.map(|points| format!(" with priority {points}")).unwrap_or_default();
            let attach: Vec<_> = attach.iter().map(|(label, value)| format!("{label} = {value}")).collect();
            let attach = if attach.is_empty() { String::new() } else { format!(", telling {}", attach.join(", ")) };
            format!("queue `{queue}`{priority}{attach}")
        }
        End::Dial(to) => format!("a call to `{to}`"),
        End::Account(account) => format!("a call to account `{account}`"),
        End::Voicemail(mailbox) => format!("voicemail `{mailbox}`"),
        End::Hangup => "a hangup by the dialplan".to_string(),
        End::CallerHangup => "a hangup by the caller".to_string(),
        End::Return(_) => "a return".to_string(),
    }
}

/// One line: when it happened since the call began, and what.
struct Line<'a>(Duration, &'a Happening);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        write!(f, "{:>3}:{:02}  ", seconds / 60, seconds % 60)?;
        match self.1 {
            Happening::Entered { name, .. } => writeln!(f, "[{name}]"),
            Happening::Heard { words, .. } => writeln!(f, "  “{words}”"),
            Happening::Pressed(keys) => writeln!(f, "  the caller presses {keys}"),
            Happening::KeptSilent => writeln!(f, "  the caller keeps silent"),
            Happening::Asked(what) => writeln!(f, "  → {what}"),
            Happening::Answered(what) => writeln!(f, "  ← {what}"),
        }
    }
}

impl Walked {
    /// The transcript from the `from`th happening on, without the end.
    pub fn lines(&self, from: usize) -> String {
        self.happenings.iter().skip(from).map(|(at, happening)| Line(*at, happening).to_string()).collect()
    }

    /// Where it ended, in words; `None` where it did not.
    pub fn end_words(&self) -> Option<String> {
        self.end.as_ref().map(end_text)
    }
}

/// The transcript, as `strowger dialplan try` prints it.
impl fmt::Display for Walked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines(0))?;
        match self.end_words() {
            Some(end) => writeln!(f, "It ends in {end}."),
            None => writeln!(f, "It does not end."),
        }
    }
}
