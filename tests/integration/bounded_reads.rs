//! Files and pipes that block, never end or are not files at all. Each affects its own target and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tokio::time::{Instant, timeout};

use crate::bench::daemon::Daemon;
use crate::bench::place::Place;
use crate::bench::{PostgresServer, eventually, heartbeat, heartbeatd, secs};

/// Well above what the program needs for a few targets, and far below the size of any file here.
const MEMORY_KIB: u64 = 200 * 1024;

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// The target of a SQLite file next to the configuration. The file is created.
fn sqlite(folder: &Path) -> String {
    let file = folder.join("heartbeat.db");
    format!(
        "[[target]]\nname = \"good\"\nurl = \"sqlite:{}\"\ninterval = \"1s\"\nprovision = \"auto\"\n",
        file.display()
    )
}

async fn logged(daemon: &Daemon, what: &str, deadline: std::time::Duration) {
    eventually(deadline, format!("the log to say {what:?}"), async || match daemon.log() {
        log if log.contains(what) => Ok(()),
        log => Err(log),
    })
    .await;
}

/// The reason why a target fails.
async fn reason(daemon: &Daemon, target: &str) -> String {
    eventually(secs(15), format!("a reason of {target}"), async || {
        let seen = daemon.target(target).await;
        let reason = seen["reasons"].as_array().and_then(|reasons| reasons.first()).cloned();
        reason.filter(|reason| reason["kind"] == "secret_source").ok_or_else(|| seen.to_string())
    })
    .await["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn password_files_that_block_cost_no_thread_and_no_other_target_its_beat() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let program = heartbeatd();
    let url = heartbeat::url(server.port(), "").replace(&format!(":{}@", heartbeat::PASSWORD), "@");
    let password = program.file("password", heartbeat::PASSWORD);
    let fifo = program.folder().join("fifo");
    make_fifo(&fifo);
    let target = |name: &str, file: &Path| {
        format!("[[target]]\nname = \"{name}\"\nurl = \"{url}\"\npassword = {{ file = \"{}\" }}\n", file.display())
    };
    let mut config = "[defaults]\ninterval = \"1s\"\ntimeout = \"1s\"\n".to_owned();
    config.push_str(&target("good", &password));
    for number in 0..20 {
        config.push_str(&target(&format!("blocked-{number}"), &fifo));
    }
    let daemon = program.config(&config).start().await;
    daemon.more_beats("good", "ok", 1, secs(10)).await;
    let threads = daemon.threads();
    daemon.more_beats("blocked-7", "failed", 4, secs(60)).await;
    let now = daemon.threads();
    assert!(now <= threads + 4, "{threads} threads, then {now}");
    let message = reason(&daemon, "blocked-7").await;
    assert!(message.contains("fifo: it is a named pipe, not a regular file"), "{message}");
    // A new connection needs the password again.
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'beat'").await;
    daemon.more_beats("good", "ok", 2, secs(10)).await;
}

#[tokio::test]
async fn a_file_that_is_not_a_password_file_is_named_and_costs_no_memory() {
    let program = heartbeatd();
    let huge = program.folder().join("huge");
    std::fs::File::create(&huge).unwrap().set_len(1 << 30).unwrap();
    let folder = program.folder().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let socket = program.folder().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut config = "[defaults]\ninterval = \"1s\"\ntimeout = \"20s\"\n".to_owned();
    for (name, source) in [
        ("device", "file = \"/dev/zero\"".to_owned()),
        ("huge", format!("file = \"{}\"", huge.display())),
        ("folder", format!("file = \"{}\"", folder.display())),
        ("socket", format!("file = \"{}\"", socket.display())),
        ("endless", "command = [\"cat\", \"/dev/zero\"]".to_owned()),
    ] {
        writeln!(config, "[[target]]\nname = \"{name}\"\nurl = \"postgres://u@127.0.0.1:1/x\"").unwrap();
        writeln!(config, "password = {{ {source} }}").unwrap();
    }
    let daemon = program.config(&config).start().await;
    for (target, words) in [
        ("device", "/dev/zero: it is a device, not a regular file"),
        ("huge", "it is larger than 64 KiB"),
        ("folder", "is a directory, not a regular file"),
        ("socket", "is a socket, not a regular file"),
        ("endless", "the password command cat printed more than 64 KiB"),
    ] {
        let message = reason(&daemon, target).await;
        assert!(message.contains(words), "{target}: {message}");
    }
    assert!(daemon.peak_kib() < MEMORY_KIB, "{} KiB", daemon.peak_kib());
}

#[tokio::test]
async fn a_reload_that_blocks_delays_no_signal() {
    let program = heartbeatd();
    let config = sqlite(program.folder());
    let mut daemon = program.config(&config).start().await;
    daemon.more_beats("good", "ok", 1, secs(10)).await;
    let file = daemon.folder().join("heartbeatd.toml");
    std::fs::remove_file(&file).unwrap();
    make_fifo(&file);
    daemon.signal(Signal::HUP);
    // While it is being read the beats go on, and nothing delays the program's end.
    daemon.more_beats("good", "ok", 2, secs(5)).await;
    let asked = Instant::now();
    let status = daemon.end(Signal::TERM, secs(10)).await;
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < secs(7), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_reload_that_blocks_is_given_up_and_the_next_one_is_applied() {
    let program = heartbeatd();
    let config = sqlite(program.folder());
    let daemon = program.config(&config).start().await;
    daemon.more_beats("good", "ok", 1, secs(10)).await;
    let file = daemon.folder().join("heartbeatd.toml");
    std::fs::remove_file(&file).unwrap();
    make_fifo(&file);
    daemon.signal(Signal::HUP);
    logged(&daemon, "configuration not reloaded", secs(40)).await;
    assert!(daemon.log().contains("heartbeatd.toml: cannot be read: "), "{}", daemon.log());
    assert_eq!(daemon.count("heartbeatd_config_reload_failed", &[]).await, 1);
    daemon.more_beats("good", "ok", 1, secs(20)).await;

    // The reload under way reads the pipe; the signals meanwhile are one more reload, which reads the file.
    daemon.signal(Signal::HUP);
    tokio::time::sleep(secs(1)).await;
    std::fs::remove_file(&file).unwrap();
    daemon.rewrite_config(&format!("{config}[http]\nlisten = \"127.0.0.1:{}\"\n", daemon.port()));
    daemon.signal(Signal::HUP);
    daemon.signal(Signal::HUP);
    logged(&daemon, "configuration reloaded", secs(40)).await;
    assert_eq!(daemon.count("heartbeatd_config_reload_failed", &[]).await, 0);
}

#[tokio::test]
async fn an_include_of_everything_is_refused_soon_and_in_little_output() {
    let program = heartbeatd();
    let config = format!("include = [\"/**/*\"]\n{}", sqlite(program.folder()));
    let asked = Instant::now();
    let ended = program.arg("check").arg("--offline").config(&config).run().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("include[0]: matches more than "), "{}", ended.stderr);
    assert!(ended.stderr.lines().count() < 10, "{}", ended.stderr);
    assert!(asked.elapsed() < secs(20), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_search_for_includes_that_takes_too_long_is_refused() {
    let program = heartbeatd();
    // Every directory of the machine is searched, and nothing is found.
    let config = format!("include = [\"/**/no-such-file-anywhere-*.toml\"]\n{}", sqlite(program.folder()));
    let asked = Instant::now();
    let ended = program.arg("check").arg("--offline").config(&config).run().await;
    assert!(asked.elapsed() < secs(20), "{:?}", asked.elapsed());
    // A small machine is searched in time.
    if ended.code == Some(2) {
        assert!(ended.stderr.contains("include[0]: the search for "), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_pipe_among_the_included_files_is_refused_at_once() {
    let program = heartbeatd();
    make_fifo(&program.folder().join("blocked.inc"));
    let config = format!("include = [\"*.inc\"]\n{}", sqlite(program.folder()));
    let ended = program.arg("check").arg("--offline").config(&config).run().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("blocked.inc: cannot be read: it is a named pipe, not a regular file"), "{ended:?}");
}

#[tokio::test]
async fn facts_that_never_end_are_refused_in_little_memory() {
    let place = Place::new("facts");
    for (file, words) in
        [("/dev/zero", "/dev/zero: it is a device"), (place.path().to_str().unwrap(), "is a directory")]
    {
        let ended = heartbeatd().arg("check").arg("--from-facts").arg(file).run().await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    // 2 GiB of address space: reading without a limit would end in an abort.
    let script = "ulimit -v 2097152; yes | exec \"$0\" check --from-facts /dev/stdin";
    let program =
        tokio::process::Command::new("/bin/bash").arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_heartbeatd")).output();
    let output = timeout(secs(30), program).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/stdin: it is larger than "), "{output:?}");
}

#[tokio::test]
async fn configuration_and_facts_may_come_through_a_pipe() {
    let place = Place::new("pipes");
    let config = sqlite(place.path());
    let facts = place.join("facts.json").display().to_string();
    let check = || heartbeatd().arg("check");
    let seen = check().arg("-c").arg("/dev/stdin").arg("--save-facts").arg(&facts).input(&config).run().await;
    assert_ne!(seen.code, Some(2), "{seen:?}");
    let facts = std::fs::read_to_string(facts).unwrap();
    for name in ["-", "/dev/stdin"] {
        let judged = check().arg("--from-facts").arg(name).input(&facts).run().await;
        assert_eq!((judged.code, &judged.stdout), (seen.code, &seen.stdout), "{judged:?}");
    }
    let script = "exec \"$0\" check --offline -c <(sleep 1; printf '%s' \"$1\")";
    let program = tokio::process::Command::new("/bin/bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_heartbeatd"), &config])
        .output();
    let output = timeout(secs(30), program).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
