//! All output of the commands: aligned and coloured on a terminal, plain in a pipe or with `NO_COLOR`.
//!
//! Nothing here panics or fails. [`finish`] turns output that could not be written into the exit code. What cannot be
//! written to standard error is lost.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};

use super::exit::USAGE;
use crate::heartbeat::Failure;

/// The first error of standard output; nothing is written to it after that.
static LOST: OnceLock<io::Error> = OnceLock::new();

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

/// The kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Done.
    Good,
    /// Failed.
    Bad,
    /// Needs attention.
    Doubtful,
}

/// The exit code after everything was printed: that of the command, unless its output could not be written. A reader
/// that closed the pipe early (`| head`) changes nothing.
#[must_use]
pub fn finish(code: ExitCode) -> ExitCode {
    if LOST.get().is_none()
        && let Err(error) = io::stdout().flush()
    {
        let _ = LOST.set(error);
    }
    match LOST.get() {
        Some(lost) if lost.kind() != io::ErrorKind::BrokenPipe => {
            error(&format!("cannot write to standard output: {lost}"));
            ExitCode::from(USAGE)
        }
        _ => code,
    }
}

/// Prints what the parser of the command line answers, help or a complaint; the exit code.
#[must_use]
pub fn parser_answer(answer: &clap::Error) -> ExitCode {
    if let Err(error) = answer.print()
        && !answer.use_stderr()
    {
        let _ = LOST.set(error);
    }
    u8::try_from(answer.exit_code()).map_or(ExitCode::from(USAGE), ExitCode::from)
}

fn print(line: fmt::Arguments<'_>) {
    if LOST.get().is_some() {
        return;
    }
    if let Err(error) = writeln!(anstream::stdout(), "{line}") {
        // Another thread's error is as good.
        let _ = LOST.set(error);
    }
}

fn print_error(line: fmt::Arguments<'_>) {
    // There is nowhere left to report this failure.
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Prints text as it is: for what is meant to be piped.
pub fn plain(text: &str) {
    print(format_args!("{}", text.trim_end()));
}

/// Prints one line about a target: its name, a word, the rest.
pub fn line(name: &str, width: usize, tone: Tone, word: &str, rest: &str) {
    let style = match tone {
        Tone::Good => GOOD,
        Tone::Bad => BAD,
        Tone::Doubtful => DOUBTFUL,
    };
    print(format_args!("{name:<width$}  {style}{word:<7}{style:#}  {rest}"));
}

/// Prints a line that belongs to the one above.
pub fn detail(text: &str) {
    print(format_args!("    {FAINT}{text}{FAINT:#}"));
}

/// Prints a failure: what, of which class and kind, and the next step.
pub fn failure(name: &str, width: usize, failure: &Failure) {
    let what = format!("{failure}  [{}, {}]", failure.class(), failure.kind());
    line(name, width, Tone::Bad, "failed", &what);
    if let Some(remedy) = failure.remedy() {
        print(format_args!("    next: {remedy}"));
    }
}

/// Prints warnings, to standard error.
pub fn warnings(warnings: &[String]) {
    for warning in warnings {
        print_error(format_args!("{DOUBTFUL}warning:{DOUBTFUL:#} {warning}"));
    }
}

/// Prints an error, to standard error.
pub fn error(text: &str) {
    for line in text.lines() {
        print_error(format_args!("{BAD}error:{BAD:#} {line}"));
    }
}

/// Prints help, to standard error.
pub fn help(text: &str) {
    print_error(format_args!("{}", text.trim_end()));
}
