//! A foreign program: started, watched, and ended by its own id, never by its name.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running program whose output goes to a file. Killed when dropped.
pub struct Running {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Running {
    /// Starts `command`; what it says goes to `output`.
    pub fn start(command: &mut Command, output: &Path) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let said = File::create(output).expect("the test's folder takes a file");
        let child = command
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a file can be shared"))
            .stderr(said)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({error}): run scripts/setup.sh"));
        Self { name, child, output: output.to_owned() }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        // A program that has ended needs no signal.
        let _ = kill_process(pid, signal);
    }

    /// Waits until it ends by itself.
    pub fn ends_within(&mut self, patience: Duration) -> ExitStatus {
        let ended = patiently(patience, || self.child.try_wait().expect("a child can be waited for"));
        ended.unwrap_or_else(|| panic!("{} does not end within {patience:?}:\n{}", self.name, self.said()))
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_running() {
            // It may end by itself between the look and the kill.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Asks again and again until there is an answer.
pub fn patiently<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
