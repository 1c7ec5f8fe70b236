//! Conveniences of the command line, tested with the compiled program and real shells.

use std::path::Path;
use std::process::Command;

use heartbeatd::drivers::Drivers;

use crate::bench::beating_daemon::{PASSWORD, ROLE, furniture, target};
use crate::bench::daemon::{Ended, Heartbeatd};
use crate::bench::{PostgresServer, heartbeatd, ports, secs};

async fn run(line: &str) -> Ended {
    line.split(' ').fold(heartbeatd(), Heartbeatd::arg).run().await
}

/// The output of a system program, which must succeed and print no error.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: run tests/bench/install"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{program} {arguments:?}: {}\n{complaints}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_version_names_the_databases_of_this_build() {
    let short = run("-V").await;
    assert_eq!(short.stdout, format!("heartbeatd {}\n", env!("CARGO_PKG_VERSION")));
    let long = run("--version").await;
    assert!(long.stdout.starts_with(short.stdout.trim_end()), "{long:?}");
    for (family, _) in Drivers::built_in().families() {
        assert!(long.stdout.contains(family.as_str()), "{long:?}");
    }
}

#[tokio::test]
async fn a_mistyped_command_is_named_with_the_nearest_one() {
    for (line, near) in [("chekc", "check"), ("provison --log info", "provision"), ("-c x.toml Beat", "beat")] {
        let ended = run(line).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let word = line.split(' ').find(|word| word.to_lowercase().contains(&near[..2])).unwrap();
        let expected = format!("error: \"{word}\" is neither a command nor an address: did you mean \"{near}\"?\n");
        assert_eq!(ended.stderr, expected, "{line}");
    }
    // Text that can be an address counts as one.
    let ended = run("check.db").await;
    assert!(ended.code == Some(2) && !ended.stderr.contains("did you mean"), "{ended:?}");
}

#[tokio::test]
async fn validate_judges_the_configuration_and_asks_no_server() {
    let text = target("orders", &format!("postgres://hb@127.0.0.1:{}/orders", ports::free()), "");
    let good = heartbeatd().arg("validate").config(&text).run().await;
    assert_eq!(good.code, Some(0), "{good:?}");
    let rare = text.replace("\"1s\"", "\"1h\"");
    let warned = heartbeatd().arg("validate").arg("--fail-on").arg("warning").config(&rare).run().await;
    assert!(warned.code == Some(1) && warned.stdout.contains("heartbeat-interval"), "{warned:?}");
    let wrong = heartbeatd().arg("validate").config(&text.replace("interval", "intervall")).run().await;
    assert!(wrong.code == Some(2) && wrong.stderr.contains("did you mean \"interval\"?"), "{wrong:?}");
}

#[tokio::test]
async fn health_asks_a_running_daemon_and_answers_by_exit_code_and_one_line() {
    let text = target("good", "sqlite:good.db", "provision = \"auto\"");
    let daemon = heartbeatd().config(&text).start().await;
    daemon.healthy_within(secs(10)).await;
    let address = format!("http://127.0.0.1:{}", daemon.port());
    let asked = async |what: &str| run(&format!("health {address}{what}")).await;
    for (path, line) in [
        ("", "healthy: 1 of 1 targets healthy\n"),
        ("/health", "healthy: 1 of 1 targets healthy\n"),
        ("/ready", "ready\n"),
        ("/live", "alive\n"),
    ] {
        let ended = asked(path).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), line), "{path}: {ended:?}");
    }
    for (path, line) in [("/nothing", "404: "), ("/targets", "200: this is not an answer of /health")] {
        let ended = asked(path).await;
        assert!(ended.code == Some(1) && ended.stdout.starts_with(line), "{path}: {ended:?}");
    }
    let ended = asked("/metrics").await;
    assert!(ended.code == Some(1) && ended.stderr.contains("check the address"), "{ended:?}");

    // Without an address, it is found in the same configuration or environment as the daemon's.
    let anywhere = format!("0.0.0.0:{}", daemon.port());
    let by_environment = heartbeatd().env("HEARTBEATD_HTTP__LISTEN", &anywhere).arg("health").arg("/live").run().await;
    assert_eq!((by_environment.code, by_environment.stdout.as_str()), (Some(0), "alive\n"), "{by_environment:?}");
    let broken = format!("[http]\nlisten = \"{anywhere}\"\n[[target]]\nintervall = 1\n");
    let by_file = heartbeatd().arg("health").config(&broken).run().await;
    assert_eq!(by_file.code, Some(0), "a file with mistakes is not what the daemon runs with: {by_file:?}");
    let missing = run("health -c missing.toml").await;
    assert!(missing.code == Some(2) && missing.stderr.contains("missing.toml"), "{missing:?}");

    let dead = target("orders", &format!("postgres://hb@127.0.0.1:{}/orders", ports::free()), "");
    let ill = heartbeatd().config(&dead).start().await;
    ill.more_beats("orders", "failed", 1, secs(10)).await;
    let ended = run(&format!("health http://127.0.0.1:{}", ill.port())).await;
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(1), 1), "{ended:?}");
    assert!(ended.stdout.contains(": 0 of 1 targets healthy; orders: "), "{ended:?}");
    let nobody = run(&format!("health http://127.0.0.1:{}", ports::free())).await;
    assert!(
        nobody.code == Some(1) && nobody.stderr.contains("cannot reach heartbeatd at http://127.0.0.1:"),
        "{nobody:?}"
    );
}

async fn completions(shell: &str, folder: &Path) -> String {
    let script = run(&format!("completions {shell}")).await;
    assert_eq!(script.code, Some(0), "{script:?}");
    let file = folder.join(shell);
    std::fs::write(&file, script.stdout).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn bash_zsh_and_fish_load_their_completions_and_complete_commands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let bash = completions("bash", folder.path()).await;
    let complete = |words: &str, last: usize| {
        let script = format!(
            "source {bash}; COMP_WORDS=({words}); COMP_CWORD={last}; _heartbeatd heartbeatd \"${{COMP_WORDS[{last}]}}\" \
             \"${{COMP_WORDS[{}]}}\"; echo \"${{COMPREPLY[*]}}\"",
            last - 1
        );
        printed("bash", &["--norc", "-c", &script]).trim_end().to_owned()
    };
    assert_eq!(complete("heartbeatd prov", 1), "provision");
    assert_eq!(complete("heartbeatd check --fail", 2), "--fail-on");

    let fish = completions("fish", folder.path()).await;
    let complete =
        |line: &str| printed("fish", &["--no-config", "-c", &format!("source {fish}; complete -C '{line}'")]);
    assert!(complete("heartbeatd prov").starts_with("provision\t"), "{}", complete("heartbeatd prov"));
    assert!(complete("heartbeatd check --fail").starts_with("--fail-on\t"));

    let zsh = completions("zsh", folder.path()).await;
    let script = format!(
        "autoload -Uz compinit; compinit -u -d {}/dump; source {zsh}; print $_comps[heartbeatd]; whence -w _heartbeatd",
        folder.path().display()
    );
    assert_eq!(printed("zsh", &["-f", "-c", &script]), "_heartbeatd\n_heartbeatd: function\n");
}

#[tokio::test]
async fn every_command_has_a_manual_page_that_man_can_show() {
    let folder = tempfile::tempdir().unwrap();
    let written = run(&format!("man {}", folder.path().display())).await;
    assert_eq!(written.code, Some(0), "{written:?}");
    let names =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    for name in ["heartbeatd.1", "heartbeatd-check.1", "heartbeatd-config-show.1", "heartbeatd-health.1"] {
        assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
    }
    for name in &names {
        let page = printed("man", &["--warnings", "-l", folder.path().join(name).to_str().unwrap()]);
        assert!(page.contains("NAME") && page.contains("SYNOPSIS"), "{name}: {page}");
    }
    assert_eq!(
        run("man").await.stdout.trim_end(),
        std::fs::read_to_string(folder.path().join("heartbeatd.1")).unwrap().trim_end()
    );
}

#[tokio::test]
async fn init_writes_a_configuration_that_names_what_is_missing_and_runs_once_that_is_there() {
    let server = PostgresServer::start().await;
    server.execute(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")).await;
    let address = format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/postgres", server.port());
    let program = heartbeatd();
    let file = program.folder().parent().unwrap().join("init.toml");
    let file = file.to_str().unwrap();
    let ended = program.arg("init").arg(&address).arg("-o").arg(file).run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("#   ") && text.contains("schema-exists"), "{text}");
    assert!(!format!("{text}{ended:?}").contains(PASSWORD), "{text}");

    let again = heartbeatd().arg("init").arg(&address).arg("-o").arg(file).run().await;
    assert!(again.code == Some(1) && again.stderr.contains("cannot write"), "it overwrote: {again:?}");

    // The person's next steps: write the password into its file, and create what is missing in the database.
    let program = heartbeatd();
    let password = program.file("password", PASSWORD);
    let text = text.replace("/etc/heartbeatd/password", password.to_str().unwrap());
    server.execute(&furniture("streamkap")).await;
    let beat = program.arg("beat").config(&text).run().await;
    assert_eq!(beat.code, Some(0), "{beat:?}\n{text}");

    let nowhere = format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/postgres", ports::free());
    let ended = heartbeatd().arg("init").arg(&nowhere).run().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("error: the database was not checked: "), "{ended:?}");
    assert!(ended.stdout.contains("[[target]]\n") && !ended.stdout.contains(PASSWORD), "{ended:?}");
    let offline = heartbeatd().arg("validate").config(&ended.stdout).run().await;
    assert_eq!(offline.code, Some(0), "{offline:?}");
}

#[tokio::test]
async fn status_shows_the_targets_worst_first_and_watch_draws_them_on_a_terminal_and_gives_it_back() {
    let dead = target("dead", &format!("postgres://hb@127.0.0.1:{}/orders", ports::free()), "");
    let good = target("good", "sqlite:good.db", "provision = \"auto\"");
    let daemon = heartbeatd().config(&format!("{good}\n{dead}")).start().await;
    daemon.more_beats("dead", "failed", 1, secs(10)).await;
    daemon.more_beats("good", "ok", 1, secs(10)).await;
    let address = format!("http://127.0.0.1:{}", daemon.port());
    let ended = run(&format!("status {address}")).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with("STATE") && lines[1].contains("dead") && lines[1].contains("connection"), "{ended:?}");
    assert!(lines[2].starts_with("healthy    good"), "{ended:?}");
    assert_eq!(lines[3], "1 of 2 targets healthy");

    let piped = run(&format!("status --watch {address}")).await;
    assert!(piped.code == Some(2) && piped.stderr.contains("--watch requires a terminal"), "{piped:?}");
    let watch = heartbeatd().arg("status").arg("--watch").arg(&address);
    let ended = watch.run_on_a_terminal_and_interrupt("Ctrl-C ends").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let screen = ended.stdout;
    assert!(screen.contains("1 of 2 targets healthy") && screen.contains("\u{1b}[?1049h"), "{screen:?}");
    assert!(screen.trim_end().ends_with("\u{1b}[?25h\u{1b}[?1049l"), "the terminal is not given back: {screen:?}");
}
