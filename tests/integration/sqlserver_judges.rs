//! Foreign programs judge the double of SQL Server and the program's own T-SQL: FreeTDS' client `tsql` and `python-tds`
//! for TDS 7.4, Microsoft's `mssql-python` for TDS 8, and the parser `sqlglot`.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use heartbeatd::driver::Purpose;
use heartbeatd::heartbeat::Writing;
use heartbeatd::time::Stamp;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::bench::beating_daemon::{PASSWORD, plain_password};
use crate::bench::driver::{MINUTE, TIME, in_time, open, report, session, target};
use crate::bench::tds::{Encryption, State, TdsServer, USER};
use crate::bench::tls::{CERTIFICATES, Files};
use crate::bench::{heartbeatd, programs, secs};
use crate::corpus;

/// Reads the row of the double's table.
const READ: &str = "SELECT id, last_update FROM [streamkap].[streamkap_heartbeat];";
const DEADLINE: Duration = secs(60);

/// Runs a program with this standard input, and returns its output.
async fn printed(program: &str, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> String {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).envs(variables.iter().copied()).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {out}{err}");
    out.into_owned()
}

/// The batch that a beat of the program sends.
async fn batch_of_a_beat() -> String {
    let server = TdsServer::options().start().await;
    let mut session = session(&target(&server.url("?Encrypt=disable"))).await;
    report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    server.beats().remove(0)
}

/// `last_update` of the double, in this form.
fn last_update(server: &TdsServer, form: &str) -> String {
    let micros = server.state().last_update().expect("the batch wrote the row");
    chrono::DateTime::from_timestamp_micros(micros).unwrap().format(form).to_string()
}

#[tokio::test]
async fn freetds_logs_in_runs_the_programs_batch_and_reads_the_row() {
    let batch = batch_of_a_beat().await;
    let tsql = programs::tsql();
    for (encryption, word) in
        [(Encryption::None, "off"), (Encryption::Login, "request"), (Encryption::Wrapped, "require")]
    {
        let server = TdsServer::options().encryption(encryption).start().await;
        let files = Files::new();
        let ca = files.put("ca.pem", &CERTIFICATES.authority);
        let port = server.port();
        let text = format!(
            "[double]\nhost = localhost\nport = {port}\ntds version = 7.4\nencryption = {word}\nca file = {}\n\
             check certificate hostname = yes\n",
            ca.display()
        );
        let file = files.put("freetds.conf", &text);
        let variables = [("FREETDSCONF", file.to_str().unwrap()), ("LC_ALL", "C.UTF-8")];
        let arguments = ["-S", "double", "-U", USER, "-P", PASSWORD, "-D", "orders"];
        let out = printed(tsql.to_str().unwrap(), &arguments, &variables, &format!("{batch}\nGO\n{READ}\nGO\n")).await;
        let login = server.logins().remove(0);
        assert_eq!((login.user.as_str(), login.encrypted), (USER, encryption != Encryption::None), "{word}");
        assert_eq!(server.beats()[0].trim_end(), batch, "{word}: the batch came as it is");
        let (_, read) = out.split_once("id\tlast_update").unwrap_or_else(|| panic!("{word}: {out}"));
        // FreeTDS shows only minutes, and hours in the English form.
        let (day, minute) = (last_update(&server, "%b %e %Y "), last_update(&server, ":%M%p"));
        assert!(read.contains(&day) && read.contains(&minute), "{word}: {out} has no {day}{minute}");
        let mut refused = tokio::process::Command::new(&tsql);
        refused
            .args(["-S", "double", "-U", USER, "-P", "another"])
            .envs(variables)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let refused = timeout(DEADLINE, refused.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&refused.stdout).into_owned() + &String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("18456"), "{word}: {said}");
    }
}

#[tokio::test]
async fn python_tds_logs_in_runs_the_programs_batch_and_reads_the_row() {
    const SCRIPT: &str = r#"
import json, sys, pytds
given = json.load(sys.stdin)
options = dict(dsn="localhost", port=given["port"], database="orders", user=given["user"], autocommit=True, as_dict=True)
if given["ca"]:
    options.update(cafile=given["ca"], validate_host=True)
try:
    pytds.connect(password="another", **options)
    refused = None
except pytds.Error as error:
    refused = str(error)
with pytds.connect(password=given["password"], **options) as connection:
    cursor = connection.cursor()
    cursor.execute(given["batch"])
    beat = cursor.fetchall()
    cursor.execute(given["read"])
    row = cursor.fetchall()
show = lambda rows: [{name: str(value) for name, value in row.items()} for row in rows]
print(json.dumps({"refused": refused, "beat": show(beat), "row": show(row)}))
"#;
    let batch = batch_of_a_beat().await;
    for encryption in [Encryption::None, Encryption::Wrapped] {
        let server = TdsServer::options().encryption(encryption).start().await;
        let files = Files::new();
        let ca = files.put("ca.pem", &CERTIFICATES.authority);
        let ca = (encryption != Encryption::None).then(|| ca.to_str().unwrap().to_owned());
        let given = serde_json::json!({
            "port": server.port(), "user": USER, "password": PASSWORD, "batch": batch, "read": READ, "ca": ca,
        });
        let path = programs::sqlserver_judges();
        let variables = [("PYTHONPATH", path.to_str().unwrap())];
        let out = printed("python3", &["-c", SCRIPT], &variables, &given.to_string()).await;
        let out: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(out["refused"].as_str().unwrap().contains("Login failed"), "{out}");
        let (beat, row) = (&out["beat"][0], &out["row"][0]);
        assert_eq!(
            (&beat["seen"], &beat["changed"], &beat["previous"]),
            (&"1".into(), &"1".into(), &"None".into()),
            "{out}"
        );
        assert_eq!(beat["value"], row["last_update"], "{out}");
        assert!(row["last_update"].as_str().unwrap().contains(&last_update(&server, "%H:%M:%S%.6f")), "{out}");
        assert_eq!(server.beats(), [batch.as_str()]);
    }
}

/// Microsoft's own client, with its driver in Rust: besides tiberius the only judge of TDS 8.
#[tokio::test]
async fn mssql_python_logs_in_over_tds_8_runs_the_programs_batch_and_reads_the_row() {
    const SCRIPT: &str = r#"
import json, sys, mssql_python
given = json.load(sys.stdin)
def connect(password, encrypt, ca=given["ca"]):
    text = f"Server=localhost,{given['port']};Database=orders;UID={given['user']};PWD={password};Encrypt={encrypt};"
    return mssql_python.connect(text + (f"ServerCertificate={ca};" if ca else ""), autocommit=True)
def refusal(*arguments):
    try:
        connect(*arguments)
        return None
    except mssql_python.Error as error:
        return str(error)
def rows(cursor):
    names = [column[0] for column in cursor.description]
    return [{name: str(value) for name, value in zip(names, row)} for row in cursor.fetchall()]
refused = refusal("another", given["encrypt"])
untrusted = refusal(given["password"], given["encrypt"], given["other"]) if given["other"] else None
connection = connect(given["password"], given["encrypt"])
cursor = connection.cursor()
cursor.execute(given["batch"])
while cursor.description is None and cursor.nextset():
    pass
beat = rows(cursor)
cursor.execute(given["read"])
print(json.dumps({"refused": refused, "untrusted": untrusted, "beat": beat, "row": rows(cursor)}))
"#;
    let batch = batch_of_a_beat().await;
    let server = TdsServer::options().encryption(Encryption::Strict).start().await;
    let files = Files::new();
    let ca = files.put("server.pem", &CERTIFICATES.server);
    let other = files.put("other.pem", &CERTIFICATES.wrong_authority);
    let given = serde_json::json!({
        "port": server.port(), "user": USER, "password": PASSWORD, "batch": batch, "read": READ, "encrypt": "strict",
        "ca": ca, "other": other,
    });
    let path = programs::sqlserver_judges();
    let variables = [("PYTHONPATH", path.to_str().unwrap()), ("MSSQL_PYTHON_NATIVE_PROVIDER", "mssql-odbc")];
    let out = printed("python3", &["-c", SCRIPT], &variables, &given.to_string()).await;
    let out: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"));
    assert!(out["refused"].as_str().unwrap().contains("Login failed"), "{out}");
    assert!(out["untrusted"].is_string(), "{out}");
    let (beat, row) = (&out["beat"][0], &out["row"][0]);
    assert_eq!(
        (&beat["seen"], &beat["changed"], &beat["previous"]),
        (&"1".into(), &"1".into(), &"None".into()),
        "{out}"
    );
    assert!(row["last_update"].as_str().unwrap().contains(&last_update(&server, "%H:%M:%S%.6f")), "{out}");
    assert_eq!(beat["value"], row["last_update"], "{out}");
    assert!(server.beats() == [batch.as_str()] && server.logins().iter().all(|login| login.encrypted), "{out}");
}

/// Counts the statements that the parser does not look into (`EXEC` and the like), so that their number cannot grow
/// unnoticed.
#[tokio::test]
async fn every_batch_that_the_program_sends_parses_as_t_sql_in_a_foreign_parser() {
    const SCRIPT: &str = r#"
import json, logging, sys, sqlglot
from sqlglot import exp
logging.disable(logging.CRITICAL)
wrong, unjudged = [], set()
for batch in json.load(sys.stdin):
    try:
        for statement in sqlglot.parse(batch, read="tsql", error_level=sqlglot.ErrorLevel.RAISE):
            if isinstance(statement, exp.Command):
                unjudged.add(" ".join(statement.sql("tsql").split()[:2]))
    except sqlglot.errors.ParseError as error:
        wrong.append([batch, str(error)])
print(json.dumps({"wrong": wrong, "unjudged": sorted(unjudged)}))
"#;
    let (batches, scripts) = (everything_that_is_sent().await, scripts_of_remedies());
    assert!(batches.len() >= 40 && scripts.len() >= 40, "{} and {}", batches.len(), scripts.len());
    let path = programs::sqlserver_judges();
    let variables = [("PYTHONPATH", path.to_str().unwrap())];
    let all: Vec<&String> = batches.iter().chain(&scripts).collect();
    let out = printed("python3", &["-c", SCRIPT], &variables, &serde_json::to_string(&all).unwrap()).await;
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["wrong"], serde_json::json!([]), "{out:#}");
    insta::assert_json_snapshot!(out["unjudged"]);
}

/// The scripts for people: those of failures from a snapshot of the driver, and those of every check from the corpus.
fn scripts_of_remedies() -> BTreeSet<String> {
    const OF_FAILURES: &str = include_str!(
        "../../src/driver/sqlserver/snapshots/heartbeatd__driver__sqlserver__remedies__tests__scripts_of_remedies.snap"
    );
    let (_, of_failures) = OF_FAILURES.trim_start_matches("---").split_once("\n---\n").unwrap();
    let of_failures: Vec<String> = of_failures.lines().map(str::to_owned).collect();
    assert!(of_failures.len() >= 10 && of_failures.iter().all(|script| script.ends_with(';')), "{of_failures:?}");
    let findings = corpus::findings_in("sqlserver");
    let remedies = findings.iter().filter_map(|finding| finding.remedy.as_ref());
    let of_checks = remedies.filter_map(|remedy| remedy.script()).map(|script| script.text().to_owned());
    let is_sql = |script: &String| !script.starts_with("heartbeatd ");
    of_checks.filter(is_sql).chain(of_failures).collect()
}

/// The batches of logins, of beats of every kind and type, of inspections, checks and plans, and of every provisioning
/// step.
async fn everything_that_is_sent() -> Vec<String> {
    let mut batches = Vec::new();
    let writings = [
        Writing::Always,
        Writing::Never,
        Writing::WhenStale { last_seen: None, period: MINUTE },
        Writing::WhenStale { last_seen: Some(Stamp(1_795_000_000_123_456)), period: MINUTE },
    ];
    for kind in [("datetime2", 7), ("datetime2", 0), ("datetime", 3), ("datetimeoffset", 4)] {
        let server = TdsServer::options().start().await;
        server.state().kind = kind;
        let mut session = session(&target(&server.url("?Encrypt=disable"))).await;
        for writing in writings {
            report(session.as_mut(), writing, TIME).await.unwrap();
        }
        session.observe(in_time()).await.unwrap();
        session.inspect(in_time()).await.unwrap();
        server.state().table = false;
        let _ = report(session.as_mut(), Writing::Always, TIME).await;
        batches.extend(server.batches());
    }
    for (rds, filegroup, engine_edition) in [(false, false, 3), (true, true, 3), (false, false, 5)] {
        let server = TdsServer::options().start().await;
        *server.state() = State { cdc: false, rds, filegroup, engine_edition, secondary: false, ..State::empty() };
        let text = format!(
            "[[target]]\nname = \"orders\"\nurl = \"{}\"\n{}[target.connector]\nenable_cdc = true\n",
            server.address("?Encrypt=disable"),
            plain_password()
        );
        let ended = heartbeatd().arg("provision").config(&text).run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        batches.extend(server.batches());
    }
    let secondary = TdsServer::options().start().await;
    secondary.state().secondary = true;
    let looked_at = target(&secondary.url("?Encrypt=disable"));
    open(&looked_at, Purpose::Inspect, None, TIME).await.unwrap().inspect(in_time()).await.unwrap();
    batches.extend(secondary.batches());
    batches
}
