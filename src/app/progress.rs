//! How far long work has come, on standard error and only where a person looks: the one file that knows `indicatif`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many steps.
pub fn bar(steps: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
    let bar = ProgressBar::new(u64::try_from(steps).unwrap_or(u64::MAX)).with_message(what);
    bar.with_style(style.expect("the template is well formed"))
}

/// Something that turns, with a word that may change.
pub fn spinner(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix}: {msg}");
    let spinner = ProgressBar::new_spinner().with_prefix(what);
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner.with_style(style.expect("the template is well formed"))
}
