//! Tables in and out of files: what imports and exports of all kinds have in common.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crate::config::args::{Args, FileFormat};
use crate::config::load::read_source;
use crate::config::report;
use crate::finding::{Finding, Severity, Source};
use crate::limits::crm::IMPORT_BYTES;

use super::{Rejected, say, say_json, serve};

/// A text to import, and what it is written in.
pub struct Text {
    pub source: Source,
    pub format: FileFormat,
}

/// Reads a file, or standard input for `-`. The ending says the format; without one, the first letter does.
pub fn read(file: &Path) -> anyhow::Result<Text> {
    let source = if file == Path::new("-") {
        let mut bytes = Vec::new();
        let most = u64::try_from(IMPORT_BYTES).unwrap_or(u64::MAX);
        std::io::stdin().lock().take(most + 1).read_to_end(&mut bytes).context("standard input")?;
        Source::new("standard input", String::from_utf8(bytes).context("standard input is not UTF-8")?)
    } else {
        read_source(file, IMPORT_BYTES).map_err(|finding| Rejected::one(finding, None))?
    };
    let named = file.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    let format = match named.as_deref() {
        Some("json") => FileFormat::Json,
        Some("csv" | "tsv") => FileFormat::Csv,
        _ if source.text.trim_start().starts_with('[') => FileFormat::Json,
        _ => FileFormat::Csv,
    };
    Ok(Text { source, format })
}

/// Refuses an import that has an error; prints the warnings of one that has none.
pub fn accept(args: &Args, findings: &[Finding], source: &Source) -> anyhow::Result<()> {
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Rejected { findings: findings.to_vec(), sources: vec![source.clone()] }.into());
    }
    if !findings.is_empty() && !args.json {
        eprint!("{}", report::for_people(findings, core::slice::from_ref(source), serve::paint()));
    }
    Ok(())
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    pub added: usize,
    pub changed: usize,
    pub unchanged: usize,
    /// Nothing was saved: that was only asked.
    pub dry_run: bool,
    /// Warnings.
    pub findings: Vec<Finding>,
}

impl Imported {
    pub fn print(&self, args: &Args, what: &str) -> anyhow::Result<()> {
        if args.json {
            return say_json(self);
        }
        let would = if self.dry_run { "Nothing was saved. It would be: " } else { "" };
        say(&format!("{would}{} {what} added, {} changed, {} unchanged.\n", self.added, self.changed, self.unchanged));
        Ok(())
    }
}

/// Writes an export to a file, whose ending decides the format, or to standard output.
pub fn write(
    file: Option<&PathBuf>,
    format: FileFormat,
    text: impl FnOnce(FileFormat) -> anyhow::Result<String>,
) -> anyhow::Result<ExitCode> {
    let Some(file) = file else {
        say(&text(format)?);
        return Ok(ExitCode::SUCCESS);
    };
    let format = match file.extension().and_then(|ending| ending.to_str()) {
        Some("json") => FileFormat::Json,
        Some("csv") => FileFormat::Csv,
        _ => format,
    };
    std::fs::write(file, text(format)?).with_context(|| file.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}
