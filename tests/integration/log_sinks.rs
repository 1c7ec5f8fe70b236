//! The outputs for log lines and answers cannot harm the program: closed or full pipes, and full disks. Text from
//! servers cannot forge log lines.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write};

use rustix::process::Signal;

use crate::bench::beating_daemon::{TABLE, configuration, furnish, target};
use crate::bench::daemon::{Daemon, Ended, Heartbeatd};
use crate::bench::{PostgresServer, eventually, heartbeatd, ports, secs};

/// A good target with a beat every second, and one whose server refuses and fills the log.
fn program() -> Heartbeatd {
    let good = target("good", "sqlite:good.db", "provision = \"auto\"");
    let refused = target("refused", &format!("postgres://hb@127.0.0.1:{}/orders", ports::free()), "");
    heartbeatd().config(&format!("{good}\n{refused}"))
}

/// A device that accepts no byte, like a full disk.
fn full_disk() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// The writing end of a pipe whose reader went away.
fn closed_pipe() -> PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

/// A pipe that accepts no further byte, with its reader, which does not read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // The capacity of a pipe in Linux. One byte more would block.
    writer.write_all(&[b'\n'; 65_536]).unwrap();
    (reader, writer)
}

async fn beats_and_ends(mut daemon: Daemon) {
    daemon.more_beats("good", "ok", 3, secs(20)).await;
    assert_eq!(daemon.get("/live").await.status, 200);
    let ended = daemon.end(Signal::TERM, secs(6)).await;
    assert_eq!(ended.code(), Some(0), "{ended}");
}

async fn some_lines_are_counted_as_dropped(daemon: &Daemon) {
    eventually(secs(10), "dropped lines", async || {
        match daemon.count("heartbeatd_log_lines_dropped_total", &[]).await {
            0 => Err("none"),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_log_whose_reader_went_away_ends_nothing_and_its_lines_are_counted() {
    let daemon = program().start_logging_to(closed_pipe()).await;
    some_lines_are_counted_as_dropped(&daemon).await;
    beats_and_ends(daemon).await;
}

#[tokio::test]
async fn a_log_on_a_full_disk_ends_nothing_and_its_lines_are_counted() {
    let daemon = program().env("HEARTBEATD_LOG_FORMAT", "json").start_logging_to(full_disk()).await;
    some_lines_are_counted_as_dropped(&daemon).await;
    beats_and_ends(daemon).await;
}

#[tokio::test]
async fn a_log_pipe_that_is_not_read_stops_neither_beats_nor_the_page_nor_the_end() {
    let (_unread, writer) = full_pipe();
    beats_and_ends(program().start_logging_to(writer).await).await;
}

#[tokio::test]
async fn a_log_pipe_that_is_read_late_gets_its_lines_late() {
    let (mut reader, writer) = full_pipe();
    let mut daemon = program().start_logging_to(writer).await;
    daemon.more_beats("good", "ok", 1, secs(20)).await;
    let read = tokio::task::spawn_blocking(move || std::io::read_to_string(&mut reader).unwrap());
    eventually(secs(10), "the first line of the reader", async || match daemon.get("/live").await.status {
        200 => Ok(()),
        status => Err(status),
    })
    .await;
    daemon.end(Signal::TERM, secs(6)).await;
    let log = tokio::time::timeout(secs(10), read).await.unwrap().unwrap();
    for line in ["heartbeatd is running", "target=\"good\"", "kind=\"refused\"", "stopped"] {
        assert!(log.contains(line), "{line} is not in {}", log.trim_start());
    }
    let dropped = daemon.try_get("/metrics").await;
    assert!(dropped.is_err(), "it has ended");
}

/// Runs a command that answers on standard output, on a healthy target.
async fn answer_of(command: &str, output: impl Into<std::process::Stdio>) -> Ended {
    let text = target("good", "sqlite:good.db", "provision = \"auto\"");
    let program = command.split(' ').fold(heartbeatd(), Heartbeatd::arg);
    let program = if command.starts_with("explain") || command == "--help" { program } else { program.config(&text) };
    program.run_printing_to(output).await
}

const COMMANDS: [&str; 7] = [
    "provision",
    "provision --dry-run",
    "check --fail-on warning",
    "check --offline --format json",
    "explain",
    "config show",
    "--help",
];

#[tokio::test]
async fn commands_whose_answer_meets_a_full_disk_say_so_by_their_exit_code() {
    for command in COMMANDS {
        let ended = answer_of(command, full_disk()).await;
        assert_eq!(ended.code, Some(2), "{command}: {ended:?}");
        assert!(ended.stderr.contains("cannot write to standard output: No space left"), "{command}: {ended:?}");
    }
}

#[tokio::test]
async fn commands_whose_reader_has_seen_enough_end_as_they_would_have() {
    for command in COMMANDS {
        let (whole, cut) =
            (answer_of(command, std::process::Stdio::piped()).await, answer_of(command, closed_pipe()).await);
        assert_eq!((cut.code, cut.stderr.as_str()), (whole.code, whole.stderr.as_str()), "{command}");
    }
}

#[tokio::test]
async fn commands_that_cannot_say_what_is_wrong_still_end_with_their_exit_code() {
    for arguments in [vec!["check", "postgres://"], vec!["-c", "missing.toml"], vec!["--log", "what=ever=this"], vec![]]
    {
        let program = arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument));
        let ended = program.run_logging_to(full_disk()).await;
        assert_eq!(ended, Some(2), "{arguments:?}");
    }
}

/// A server whose heartbeat table raises a hostile message at each beat.
async fn talkative_server() -> PostgresServer {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    server
        .execute(&format!(
            "CREATE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE WARNING USING MESSAGE = E'said\\nforged line\\u001b[31m \\u202e' || repeat('x', 3000); RETURN NEW; END $$; \
             CREATE TRIGGER talk BEFORE UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION talk()"
        ))
        .await;
    server
}

#[tokio::test]
async fn what_a_server_says_beside_its_answers_is_not_logged() {
    let server = talkative_server().await;
    let daemon = heartbeatd().config(&configuration(&[server.port()], "")).start().await;
    daemon.more_beats("orders", "ok", 3, secs(20)).await;
    assert!(!daemon.log().contains("forged"), "{}", daemon.log());
}

#[tokio::test]
async fn what_a_server_says_is_one_short_line_where_its_library_is_named() {
    let server = talkative_server().await;
    for format in ["text", "json"] {
        let program = heartbeatd().env("HEARTBEATD_LOG", "info,sqlx=info").env("HEARTBEATD_LOG_FORMAT", format);
        let daemon = program.config(&configuration(&[server.port()], "")).start().await;
        daemon.more_beats("orders", "ok", 3, secs(20)).await;
        // A thread of its own writes the lines, after the beats were counted. The last line may not be whole yet.
        let log = eventually(secs(10), "three messages in the log", async || match daemon.log() {
            log if log.matches("forged").count() >= 3 => Ok(log),
            log => Err(log),
        })
        .await;
        let whole = log.rsplit_once('\n').unwrap().0;
        for line in whole.lines().filter(|line| line.contains("forged")) {
            assert!(line.starts_with("{\"timestamp\"") || line.starts_with("20"), "{line}");
            assert!(line.contains("a library says") && line.contains("sqlx::postgres::notice"), "{line}");
            assert!(!line.contains(['\u{1b}', '\u{202e}']) && line.chars().count() < 700, "{line}");
        }
    }
}
