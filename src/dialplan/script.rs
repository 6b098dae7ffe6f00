//! The `script` action: a few lines of Rhai in a sandbox.

use std::sync::Arc;

use super::value::Value;

/// A compiled script.
#[derive(Clone)]
pub struct Script {
    pub(super) text: Arc<str>,
}

impl core::fmt::Debug for Script {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Script({} bytes)", self.text.len())
    }
}

/// Why a script gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the script: {reason}")]
pub struct ScriptError {
    /// 1-based line in the script; 0 where no line is to blame.
    pub line: u32,
    pub reason: String,
}

/// A variable as a script sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptVar {
    pub name: Arc<str>,
    pub value: Value,
}
