//! heartbeatd: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use heartbeatd::cli::{Cli, with_command_first};
use heartbeatd::commands::{self, exit, terminal};
use heartbeatd::{descriptors, environment, logging};

fn main() -> ExitCode {
    if let Err(message) = environment::without_libpq_variables() {
        terminal::error(&message);
        return ExitCode::from(exit::USAGE);
    }
    let cli = Cli::parse_from(with_command_first(std::env::args_os()));
    if let Err(message) = logging::start(&cli.log) {
        terminal::error(&message);
        return ExitCode::from(exit::USAGE);
    }
    descriptors::raise_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::error(&format!("cannot start: {error}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    let code = runtime.block_on(commands::dispatch(cli));
    // A name look-up that hangs in a thread must not hold the exit (I12).
    runtime.shutdown_background();
    code
}
