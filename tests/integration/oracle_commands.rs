//! The commands on the double of an Oracle server: provisioning, which is printed or done and finds nothing the second time,
//! and the check, which reports what the facts say.

use crate::bench::heartbeatd;
use crate::bench::oracle::OracleDouble;

fn configuration(double: &OracleDouble) -> String {
    format!("[[target]]\nname = \"orders\"\nurl = \"{}\"\n", double.url(""))
}

#[tokio::test]
async fn what_is_missing_is_printed_then_made_and_found_the_second_time() {
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

#[tokio::test]
async fn the_check_says_what_is_wrong_and_what_it_could_not_see() {
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
