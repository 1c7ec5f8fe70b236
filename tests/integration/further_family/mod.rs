//! A further database is a folder (`ledger/`) and one line. It is configured, provisioned, written, checked and shown
//! like the built-in ones, and nothing outside its folder knows it.

mod ledger;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use heartbeatd::check::formats;
use heartbeatd::check::registry;
use heartbeatd::check::report::{FailOn, Format, Report, TargetReport};
use heartbeatd::check::runner;
use heartbeatd::check::saved::SavedTarget;
use heartbeatd::config::{self, Purpose, Settings, Sources};
use heartbeatd::driver::opening::{TargetContext, application_name};
use heartbeatd::driver::timelines::Timelines;
use heartbeatd::drivers::Drivers;
use heartbeatd::finding::Status;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::provisioning::provision_target;
use heartbeatd::scheduler::connection::Connection;
use heartbeatd::scheduler::fleet::Fleet;
use heartbeatd::status::board::Board;
use heartbeatd::status::health::{self, State};
use heartbeatd::target::{Need, RowId};
use heartbeatd::time::clock::Clock;

use self::ledger::Ledger;

const BOOK: &str = r#"instance = "here"

[[target]]
name = "book"
url = "ledger+mem://clerk:hunter2@hall\\SHELF:77/2026"

[target.connector]
channel = "orders"
topics = ["a", "b.c"]
"#;

/// The one line.
fn drivers(ledger: &Ledger) -> Drivers {
    Drivers::built_in().with(Arc::new(ledger.clone()))
}

fn load(text: &str, drivers: &Drivers) -> Result<Settings, String> {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = Some(file.path().to_owned());
    let sources = Sources { file: path, urls: Vec::new(), environment: Vec::new(), purpose: Purpose::Daemon };
    let shown = file.path().display().to_string();
    config::load(&sources, drivers).map_err(|error| error.to_string().replace(&shown, "f.toml"))
}

fn complaint(text: &str) -> String {
    load(text, &drivers(&Ledger::default())).unwrap_err()
}

#[tokio::test]
async fn a_further_family_is_configured_provisioned_written_and_checked() {
    let ledger = Ledger::default();
    let drivers = drivers(&ledger);
    let target = Arc::new(load(BOOK, &drivers).unwrap().targets.remove(0));
    assert_eq!((target.driver(), target.connector.user.name.as_str()), ("ledger", "reader"));
    assert_eq!(target.heartbeat.row, RowId::Text("pulse".to_owned()));
    assert_eq!(target.connector.needs["topics"], Need::Names(vec!["a".to_owned(), "b.c".to_owned()]));

    let driver = drivers.get(target.endpoint.url.family()).unwrap();
    let context = TargetContext { target: Arc::clone(&target), driver, application_name: application_name("here") };
    let deadline = || Clock::system().now().mono + Duration::from_secs(10);
    let mut link = Connection::new(context.clone(), Timelines::default());
    let failure = link.beat(Writing::Always, false, deadline()).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::MissingRow);
    assert!(failure.remedy().unwrap().to_string().starts_with("heartbeatd provision --target book #"), "{failure}");
    assert_eq!(provision_target(&context, None, deadline()).await.unwrap().done, ["write row pulse"]);
    let answer = link.beat(Writing::Always, false, deadline()).await.unwrap();
    assert_eq!(answer.beat.outcome, BeatOutcome::Written);
    assert_eq!(link.server().unwrap().address, "hall\\SHELF/2026");

    let inspection = runner::inspect(&context, &Clock::system(), target.timeout).await;
    let findings = runner::judge(&target, context.driver.as_ref(), &inspection, None);
    let closed = findings.iter().find(|finding| finding.id == "ledger-channel").unwrap();
    assert_eq!((closed.status, closed.remedy.as_ref()), (Status::Failed, Some(&"OPEN orders".into())));
    ledger.books().get_mut("hall\\SHELF/2026").unwrap().channels.push("orders".to_owned());
    let inspection = runner::inspect(&context, &Clock::system(), target.timeout).await;
    let findings = runner::judge(&target, context.driver.as_ref(), &inspection, None);
    assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{findings:?}");

    let saved = serde_json::to_string(&SavedTarget::from(target.as_ref())).unwrap();
    assert!(!saved.contains("hunter2"), "{saved}");
    let restored = serde_json::from_str::<SavedTarget>(&saved).unwrap().restore(&drivers).unwrap();
    assert_eq!((restored.connector, restored.heartbeat), (target.connector.clone(), target.heartbeat.clone()));
}

#[tokio::test]
async fn a_further_family_is_shown_by_its_name_scheme_and_keys() {
    let ledger = Ledger::default();
    let drivers = drivers(&ledger);
    let settings = load(BOOK, &drivers).unwrap();
    let shown = config::show(&settings, &drivers);
    for line in [
        "url = \"ledger+mem://clerk@hall\\\\SHELF:77/2026\"",
        "schema = \"books\"",
        "row = \"pulse\"",
        "user = \"reader\"  # default",
        "channel = \"orders\"",
        "topics = [\"a\", \"b.c\"]",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("slot") && !shown.contains("hunter2"), "{shown}");
    let again = load(&shown.replace("[redacted]", "x"), &drivers).unwrap();
    assert_eq!(again.targets[0].connector.needs, settings.targets[0].connector.needs);
    let schema = config::schema(&drivers);
    let connector = &schema["properties"]["target"]["items"]["properties"]["connector"]["properties"];
    assert_eq!(
        (&connector["topics"]["type"], &connector["channel"]["default"]),
        (&"array".into(), &"heartbeats".into())
    );

    let target = &settings.targets[0];
    let entries = registry::entries(&drivers);
    let families = |id: &str| entries.iter().find(|entry| entry.check.id == id).unwrap().families.clone();
    assert_eq!(families("ledger-row").iter().map(|family| family.as_str()).collect::<Vec<_>>(), ["ledger"]);
    assert!(families("connect").contains(&target.endpoint.url.family()));
    let driver = drivers.get(target.endpoint.url.family()).unwrap();
    let context =
        TargetContext { target: Arc::new(target.clone()), driver, application_name: application_name("here") };
    let inspection = runner::inspect(&context, &Clock::system(), target.timeout).await;
    let findings = runner::judge(target, context.driver.as_ref(), &inspection, None);
    let address = target.endpoint.url.to_string();
    let report = TargetReport::new(&target.name, target.driver(), address, findings, &entries, |_| true);
    let report =
        Report { targets: vec![report], unfinished: Vec::new(), taken_at: String::new(), fail_on: FailOn::Error };
    let text = formats::render(&report, Format::Text, &entries, false);
    assert!(text.contains("ledger-row") && text.contains("heartbeatd provision --target book"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_further_family_is_looked_after_by_the_daemon() {
    let ledger = Ledger::default();
    let drivers = drivers(&ledger);
    let text = BOOK.replace("name = \"book\"", "name = \"book\"\nprovision = \"auto\"");
    let settings = load(&text, &drivers).unwrap();
    let (clock, _wall) = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let board = Arc::new(Board::new(clock));
    let mut fleet = Fleet::new(Arc::clone(&board), drivers, &settings.instance, 1);
    fleet.apply(settings.targets).unwrap();
    tokio::time::sleep(Duration::from_secs(330)).await;
    let cell = board.cell("book").unwrap();
    assert_eq!(health::judge(&cell.lock(), board.clock().now()).state, State::Healthy);
    assert!((5..=7).contains(&cell.lock().counters.ok), "{}", cell.lock().counters.ok);
    let checked = cell.lock().checked.as_ref().map(|checked| checked.findings.clone()).unwrap_or_default();
    assert!(checked.iter().any(|finding| finding.id == "ledger-channel"), "{checked:?}");
    fleet.stop(Duration::from_secs(1)).await;
}

#[test]
fn a_key_without_meaning_for_the_family_is_refused_and_its_own_rules_are_reported_at_their_key() {
    let target = |url: &str, lines: &str| format!("[[target]]\nurl = '{url}'\n{lines}\n");
    for (text, expected) in [
        (
            target("mysql://hb@h", "[target.connector]\nslot = \"s\""),
            "f.toml:4: target[0].connector.slot: has no effect for mysql, only for postgres: remove it",
        ),
        (
            target("postgres://hb@h", "[target.connector]\nchannel = \"c\""),
            "f.toml:4: target[0].connector.channel: has no effect for postgres, only for ledger: remove it",
        ),
        (
            target("ledger://clerk@hall\\A/x", "[target.connector]\nchanel = \"c\""),
            "f.toml:4: target[0].connector.chanel: unknown key, did you mean \"channel\"?",
        ),
        (
            target("ledger://clerk@hall\\A/x", "[target.connector]\ntopics = [\"everything\"]"),
            "f.toml:4: target[0].connector.topics: name them one by one",
        ),
        (
            target("ledger://clerk@hall\\A/x", "[[target.replica]]\nurl = 'ledger://barn/x'"),
            "f.toml:4: target[0].replica[0].url: parameter \"barn\": a hall has shelves: write hall\\SHELF",
        ),
        (
            target("postgres://hb@h", "[target.heartbeat]\nrow = \"pulse\""),
            "f.toml:4: target[0].heartbeat.row: expected a whole number of at least 1, found a string",
        ),
        (
            target("mysql://hb@h\\ONE", ""),
            "f.toml:2: target[0].url: the host \"h\" is followed by \\ and an instance, which these addresses do not have",
        ),
    ] {
        assert_eq!(complaint(&text).trim(), expected);
    }
    let drivers = drivers(&Ledger::default());
    let warned = load(&target("ledger://clerk@hall\\A/x", "name = \"n\""), &drivers).unwrap().warnings;
    assert_eq!(warned, ["n: kept on paper"]);
    assert!(complaint(&target("legder://h/x", "")).contains(
        "known are mongodb, mongodb+srv, mysql, mariadb, oracle, postgres, postgresql, sqlite, mssql, sqlserver, \
         ledger and ledger+mem"
    ));
}
