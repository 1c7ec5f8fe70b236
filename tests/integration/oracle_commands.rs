//! The commands on the double of an Oracle server: provisioning is printed or run, and has nothing to do the second
//! time; the check judges the facts.

use crate::bench::heartbeatd;
use crate::bench::oracle::{OWNER, OracleDouble, PASSWORD, USER};
use crate::bench::tls::Files;

fn configuration(double: &OracleDouble) -> String {
    format!("[[target]]\nname = \"orders\"\nurl = \"{}\"\n", double.url(""))
}

#[tokio::test]
async fn missing_objects_are_printed_then_created_and_found_the_second_time() {
    let double = OracleDouble::start();
    {
        let mut state = double.state();
        (state.table, state.logged) = (false, false);
        state.grants.clear();
    }
    let provision = || heartbeatd().config(&configuration(&double)).arg("provision");
    let printed = provision().arg("--dry-run").run().await;
    assert_eq!(printed.code, Some(0), "{}{}", printed.stdout, printed.stderr);
    assert!(double.state().statements.is_empty(), "a dry run changes nothing");
    assert!(printed.stdout.contains("CREATE TABLE \"STREAMKAP_USER\".\"STREAMKAP_HEARTBEAT\" ("), "{}", printed.stdout);
    assert!(printed.stdout.contains("\nEND;\n/\n"), "a block ends as SQL*Plus takes it: {}", printed.stdout);

    let done = provision().run().await;
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    let statements = double.state().statements.clone();
    assert_eq!(statements.len(), 5, "{statements:#?}");
    assert!(statements.iter().all(|statement| !statement.ends_with('/')), "{statements:#?}");
    assert_eq!(statements[2], "GRANT SELECT, INSERT, UPDATE ON \"STREAMKAP_USER\".\"STREAMKAP_HEARTBEAT\" TO \"HB\"");

    let again = provision().run().await;
    assert_eq!(again.code, Some(0), "{}{}", again.stdout, again.stderr);
    assert_eq!(double.state().statements.len(), 5, "{:?}", double.state().statements);
    let beat = heartbeatd().config(&configuration(&double)).arg("beat").run().await;
    assert_eq!(beat.code, Some(0), "{}{}", beat.stdout, beat.stderr);
}

/// The lines of a block in the page's section on confirming it, as they are pasted.
fn block_of_the_page(language: &str) -> String {
    let page = include_str!("../../docs/databases/oracle.md");
    let section = page.split_once("## Confirm it on your server").unwrap().1;
    let block = section.split_once(&format!("```{language}\n")).unwrap().1.split_once("```").unwrap().0;
    block.lines().map(|line| format!("{}\n", line.trim_start())).collect()
}

#[tokio::test]
async fn the_ten_minute_script_of_the_documentation_works_as_it_is_written() {
    let double = OracleDouble::start();
    {
        let mut state = double.state();
        (state.table, state.logged) = (false, false);
        state.grants.clear();
    }
    let folder = Files::new();
    for name in ["orders", "system"] {
        folder.put(&format!("{name}.password"), PASSWORD);
    }
    let port = double.port();
    let config = block_of_the_page("toml")
        .replace("db.example.com:1521", &format!("localhost:{port}"))
        .replace("/etc/heartbeatd/", &folder.path("").display().to_string());
    let script = block_of_the_page("sh");
    let mut said = Vec::new();
    for line in script.lines().filter(|line| line.starts_with("heartbeatd ")) {
        let words = line.split('#').next().unwrap().replace("-c heartbeatd.toml", "");
        let mut command = heartbeatd();
        for word in words.split_whitespace().skip(1) {
            let facts = folder.path("facts.json").display().to_string();
            command = command.arg(if word == "facts.json" { &facts } else { word });
        }
        let run = command.config(&config).run().await;
        assert_eq!(run.code, Some(0), "{line}: {}{}", run.stdout, run.stderr);
        said.push(run.stdout);
    }
    assert_eq!(said.len(), 6, "{script}");
    assert!(said[0].contains("TO \"HEARTBEAT\";"), "{}", said[0]);
    assert!(said[2].contains("nothing is missing"), "{}", said[2]);
    assert_eq!(double.state().commits, 2, "both beats are written: {said:?}");
    let facts = std::fs::read_to_string(folder.path("facts.json")).unwrap();
    assert!(facts.contains("PDB1"), "{facts}");
    assert!(!facts.contains(PASSWORD));
}

#[tokio::test]
async fn a_step_that_the_server_accepts_without_effect_is_a_failure() {
    let double = OracleDouble::start();
    {
        let mut state = double.state();
        (state.logged, state.undone) = (false, true);
        state.grants.clear();
    }
    let done = heartbeatd().config(&configuration(&double)).arg("provision").run().await;
    assert_eq!(done.code, Some(1), "{}{}", done.stdout, done.stderr);
    let said = format!("{}{}", done.stdout, done.stderr);
    assert_eq!(said.matches("the step had no effect").count(), 3, "two grants and the logging: {said}");
    assert!(said.contains("DBA_TRIGGERS"), "{said}");
    // The grants of a table's owner are visible without the catalogue, and are not granted again.
    double.state().undone = false;
    double.state().sees_catalogue = false;
    let owner = double.url("").replace(USER, OWNER);
    let provision = || {
        let config =
            format!("[[target]]\nname = \"orders\"\nurl = \"{}\"\nprovision_url = \"{owner}\"\n", double.url(""));
        heartbeatd().config(&config).arg("provision")
    };
    let made = provision().run().await;
    assert_eq!(made.code, Some(0), "{}{}", made.stdout, made.stderr);
    let statements = double.state().statements.len();
    let again = provision().run().await;
    assert_eq!(again.code, Some(0), "{}{}", again.stdout, again.stderr);
    assert_eq!(double.state().statements.len(), statements, "{:?}", double.state().statements);
}

#[tokio::test]
async fn the_check_reports_the_faults_and_what_it_could_not_see() {
    let double = OracleDouble::start();
    let check = || heartbeatd().config(&configuration(&double)).arg("check");
    let beat = heartbeatd().config(&configuration(&double)).arg("beat").run().await;
    assert_eq!(beat.code, Some(0), "{}{}", beat.stdout, beat.stderr);
    let right = check().arg("--fail-on").arg("unknown").run().await;
    assert_eq!(right.code, Some(0), "{}{}", right.stdout, right.stderr);

    double.state().answers.push(("FROM V$DATABASE", vec!["NOARCHIVELOG\tNO\tNO\tNO\tREAD WRITE\t7776000"]));
    double.state().logged = false;
    let wrong = check().run().await;
    assert_eq!(wrong.code, Some(1), "{}{}", wrong.stdout, wrong.stderr);
    for part in ["archive-log-mode", "supplemental-logging-table", "ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS"] {
        assert!(wrong.stdout.contains(part), "{part}: {}", wrong.stdout);
    }
    double.state().answers.clear();
    double.state().logged = true;
    double.state().sees_catalogue = false;
    let hidden = check().run().await;
    assert_eq!(hidden.code, Some(0), "{}{}", hidden.stdout, hidden.stderr);
    assert!(hidden.stdout.contains("GRANT SELECT_CATALOG_ROLE TO \"HB\";"), "{}", hidden.stdout);
}
