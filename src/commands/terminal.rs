//! The one door to the terminal: aligned and coloured there, plain when piped or with `NO_COLOR`; called by the
//! commands.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the door")]

use anstyle::{AnsiColor, Style};

use crate::heartbeat::Failure;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

/// How a line is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Done.
    Good,
    /// Failed.
    Bad,
    /// Worth a look.
    Doubtful,
}

/// Prints text as it is: for what is meant to be piped.
pub fn plain(text: &str) {
    anstream::println!("{}", text.trim_end());
}

/// Prints one line about a target: its name, a word, the rest.
pub fn line(name: &str, width: usize, tone: Tone, word: &str, rest: &str) {
    let style = match tone {
        Tone::Good => GOOD,
        Tone::Bad => BAD,
        Tone::Doubtful => DOUBTFUL,
    };
    anstream::println!("{name:<width$}  {style}{word:<7}{style:#}  {rest}");
}

/// Prints a line that belongs to the one above.
pub fn detail(text: &str) {
    anstream::println!("    {FAINT}{text}{FAINT:#}");
}

/// Prints a failure: what, of which class and kind, and the next step.
pub fn failure(name: &str, width: usize, failure: &Failure) {
    let what = format!("{failure}  [{}, {}]", failure.class(), failure.kind());
    line(name, width, Tone::Bad, "failed", &what);
    if let Some(remedy) = failure.remedy() {
        anstream::println!("    next: {remedy}");
    }
}

/// Prints warnings, to standard error.
pub fn warnings(warnings: &[String]) {
    for warning in warnings {
        anstream::eprintln!("{DOUBTFUL}warning:{DOUBTFUL:#} {warning}");
    }
}

/// Prints an error, to standard error.
pub fn error(text: &str) {
    for line in text.lines() {
        anstream::eprintln!("{BAD}error:{BAD:#} {line}");
    }
}

/// Prints help, to standard error.
pub fn help(text: &str) {
    anstream::eprintln!("{}", text.trim_end());
}
