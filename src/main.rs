//! heartbeatd: parses the command line, runs the command, and sets the exit code.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser;
use heartbeatd::cli::{Cli, with_command_first};
use heartbeatd::commands::{self, exit, terminal};
use heartbeatd::logging::Log;
use heartbeatd::{descriptors, environment, logging};

/// A thousand targets need a fortieth of one core. On a large machine, a thread for each core would only take memory:
/// each keeps a heap of its own.
const THREADS: usize = 2;

fn main() -> ExitCode {
    if let Err(message) = environment::without_leaking_variables() {
        terminal::error(&message);
        return ExitCode::from(exit::USAGE);
    }
    let cli = match Cli::try_parse_from(with_command_first(std::env::args_os())) {
        Ok(cli) => cli,
        Err(answer) => return terminal::finish(terminal::parser_answer(&answer)),
    };
    let log = match logging::start(&cli.log) {
        Ok(log) => log,
        Err(message) => {
            terminal::error(&message);
            return ExitCode::from(exit::USAGE);
        }
    };
    descriptors::raise_limit();
    let code = run(cli, &log);
    log.end();
    terminal::finish(code)
}

fn run(cli: Cli, log: &Log) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::error(&format!("cannot start: {error}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    let dispatched = AssertUnwindSafe(|| runtime.block_on(commands::dispatch(cli, &log.dropped_lines())));
    let code = std::panic::catch_unwind(dispatched).unwrap_or_else(|_| {
        terminal::error("heartbeatd itself failed; please report it with the log line \"panic\"");
        ExitCode::from(exit::FAILED)
    });
    // A name look-up that hangs in a thread must not hold the exit (I12).
    runtime.shutdown_background();
    code
}
