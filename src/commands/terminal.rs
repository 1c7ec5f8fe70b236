//! All output of the commands: aligned and coloured on a terminal, plain in a pipe or with `NO_COLOR`.
//!
//! Nothing here panics or fails. [`finish`] turns output that could not be written into the exit code. What cannot be
//! written to standard error is lost.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};

use super::exit::USAGE;
use crate::heartbeat::Failure;

/// The first error of standard output. Later output is dropped.
static LOST: OnceLock<io::Error> = OnceLock::new();

// Control sequences of ECMA-48 and xterm, which all current terminals support.
const ALTERNATE_SCREEN: &str = "\u{1b}[?1049h";
const FORMER_SCREEN: &str = "\u{1b}[?1049l";
const HIDE_CURSOR: &str = "\u{1b}[?25l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";
const HOME: &str = "\u{1b}[H";
const CLEAR_TO_END_OF_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

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

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Good => GOOD,
            Self::Bad => BAD,
            Self::Doubtful => DOUBTFUL,
        }
    }
}

/// Draws on the whole terminal. When this is dropped, the earlier content comes back.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// Takes over the terminal; `None` if standard output is not a terminal.
    #[must_use]
    pub fn take() -> Option<Self> {
        if !io::stdout().is_terminal() {
            return None;
        }
        print(format_args!("{ALTERNATE_SCREEN}{HIDE_CURSOR}"));
        Some(Self(()))
    }

    /// Draws lines from the top; false once the terminal is gone.
    pub fn draw(&mut self, lines: &[String]) -> bool {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}{CLEAR_TO_END_OF_LINE}")).collect();
        // No line break after the last line, because it would scroll the screen.
        let frame = format!("{HOME}{}{CLEAR_BELOW}", lines.join("\r\n"));
        let mut stdout = anstream::stdout();
        write!(stdout, "{frame}").and_then(|()| stdout.flush()).is_ok()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut stdout = io::stdout();
        // If the terminal is gone, there is nothing to restore.
        let _ = write!(stdout, "{SHOW_CURSOR}{FORMER_SCREEN}").and_then(|()| stdout.flush());
    }
}

/// The columns and lines of the terminal; `None` if standard output is not a terminal.
#[must_use]
pub fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    // A terminal whose size was never set reports 0.
    (size.ws_col > 0 && size.ws_row > 0).then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// The exit code after all output: the command's own, unless its output could not be written. A reader that closed the
/// pipe early (`| head`) changes nothing.
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

/// Prints the answer of the command line's parser, help or an error; returns the exit code.
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
        // If another thread stored its error first, that one serves as well.
        let _ = LOST.set(error);
    }
}

fn print_error(line: fmt::Arguments<'_>) {
    // If standard error fails too, no place is left to report it.
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Prints text unchanged, for output that is meant for a pipe.
pub fn plain(text: &str) {
    print(format_args!("{}", text.trim_end()));
}

/// Text in the colour of a tone.
#[must_use]
pub fn toned(tone: Tone, text: &str) -> String {
    let style = tone.style();
    format!("{style}{text}{style:#}")
}

/// Prints one line about a target: its name, a word, the rest.
pub fn line(name: &str, width: usize, tone: Tone, word: &str, rest: &str) {
    let style = tone.style();
    print(format_args!("{name:<width$}  {style}{word:<7}{style:#}  {rest}"));
}

/// Prints a line that belongs to the previous one.
pub fn detail(text: &str) {
    print(format_args!("    {FAINT}{text}{FAINT:#}"));
}

/// Prints a failure: message, class, kind and next step.
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
