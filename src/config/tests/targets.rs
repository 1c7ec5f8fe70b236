//! How a target is built from its keys.

use super::*;

#[test]
fn an_address_alone_is_a_target_with_every_default() {
    let urls = vec!["postgres://hb:hunter2@db-1/orders".to_owned(), "sqlite:/var/lib/hb.db".to_owned()];
    let settings = load(&Sources { urls, ..sources() }, &drivers()).unwrap();
    let mut expected = Target::new("db-1/orders", Endpoint::parse("postgres://hb:hunter2@db-1/orders").unwrap());
    expected.provision = ProvisionMode::Auto;
    assert_eq!(settings.targets[0], expected);
    assert_eq!(settings.targets[1].name, "hb.db");
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:2328");
    assert_eq!(settings.shutdown.grace, Duration::from_secs(5));
    assert!(!settings.instance.is_empty());
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn provision_defaults_to_auto_only_for_addresses_of_the_daemon() {
    let provision = |urls: &[&str], purpose, environment: &[(&str, &str)]| {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        let sources = Sources { urls, purpose, environment: variables(environment), file: None };
        load(&sources, &drivers()).unwrap().targets[0].provision
    };
    let (url, by_variable) = (["sqlite:a.db"], ("HEARTBEATD_URL", "sqlite:a.db"));
    assert_eq!(provision(&url, Purpose::Daemon, &[]), ProvisionMode::Auto);
    assert_eq!(provision(&url, Purpose::Command, &[]), ProvisionMode::Never);
    assert_eq!(provision(&[], Purpose::Daemon, &[by_variable]), ProvisionMode::Never);
    let auto = ("HEARTBEATD_PROVISION", "auto");
    assert_eq!(provision(&[], Purpose::Daemon, &[by_variable, auto]), ProvisionMode::Auto);
    for never in ["HEARTBEATD_PROVISION", "HEARTBEATD_DEFAULTS__PROVISION"] {
        assert_eq!(provision(&url, Purpose::Daemon, &[(never, "never")]), ProvisionMode::Never);
    }
    assert_eq!(target("[[target]]\nurl = \"sqlite:a.db\"").provision, ProvisionMode::Never);
}

#[test]
fn a_target_overrides_the_defaults_and_its_schedule_replaces_theirs() {
    let defaults = "[defaults]\ncron = \"*/2 * * * *\"\ntimezone = \"Europe/Berlin\"\ntimeout = 3\nwrite = \"never\"\n";
    let with = |lines: &str| target(&format!("{defaults}[[target]]\nurl = \"sqlite:a.db\"\n{lines}"));
    let inherited = with("");
    assert_eq!(inherited.schedule.to_string(), "cron */2 * * * * Europe/Berlin");
    assert_eq!((inherited.timeout, inherited.write), (Duration::from_secs(3), WriteMode::Never));
    assert_eq!(with("interval = \"1m 30s\"").schedule, Schedule::Interval(Duration::from_secs(90)));
    assert_eq!(with("timezone = \"UTC\"").schedule.to_string(), "cron */2 * * * * UTC");
    assert_eq!(with("cron = \"0 0 * * * *\"").schedule.to_string(), "cron 0 0 * * * * Europe/Berlin");
    assert_eq!(with("write = \"always\"").write, WriteMode::Always);
}

#[test]
fn a_connector_that_writes_only_changes_the_default_of_write_to_when_stale() {
    let with = |lines: &str| target(&format!("{lines}[target.connector]\nmode = \"read-write\"\n")).write;
    assert_eq!(with("[[target]]\nurl = \"sqlite:a.db\"\n"), WriteMode::WhenStale);
    assert_eq!(with("[[target]]\nurl = \"sqlite:a.db\"\nwrite = \"always\"\n"), WriteMode::Always);
    assert_eq!(with("[defaults]\nwrite = \"never\"\n[[target]]\nurl = \"sqlite:a.db\"\n"), WriteMode::Never);
}

#[test]
#[cfg(feature = "mysql")]
fn two_writers_with_whole_seconds_need_five_seconds() {
    let with = |lines: &str| {
        let text = format!("[[target]]\nurl = \"mysql://hb@h/\"\nwrite = \"when-stale\"\n{lines}\n");
        let (_directory, main) = directory(&[("f.toml", text.as_bytes())]);
        let loaded = load(&Sources { file: Some(main), ..sources() }, &Drivers::built_in());
        loaded.map(|settings| settings.targets.len()).map_err(|error| error.to_string())
    };
    for good in ["interval = \"5s\"", "cron = \"* * * * *\"", ""] {
        assert_eq!(with(good), Ok(1), "{good}");
    }
    for (bad, key) in [("interval = \"4s\"", "interval"), ("cron = \"*/2 * * * * *\"", "cron")] {
        let complaint = with(bad).unwrap_err();
        assert!(complaint.contains(&format!("target[0].{key}: write = \"when-stale\" needs 5 s")), "{complaint}");
    }
}

#[test]
fn durations_are_text_with_a_unit_or_whole_seconds_within_reason() {
    assert_eq!(target("[[target]]\nurl = \"sqlite:a.db\"\ntimeout = \"100ms\"").timeout, Duration::from_millis(100));
    assert_eq!(target("[[target]]\nurl = \"sqlite:a.db\"\ntimeout = 60").timeout, Duration::from_secs(60));
    for (lines, expected) in [
        ("interval = \"0s\"", "interval: too short: expected 1s to 1day"),
        ("interval = 0", "interval: too short: expected 1s to 1day"),
        ("interval = \"900ms\"", "interval: too short: expected 1s to 1day"),
        ("interval = \"25h\"", "interval: too long: expected 1s to 1day"),
        ("timeout = \"2h\"", "timeout: too long: expected 100ms to 1h"),
        ("timeout = -1", "timeout: expected a duration like \"1m\", or whole seconds, found a negative number"),
        ("timeout = \"60\"", "timeout: expected a duration like \"1m\", or whole seconds, found \"60\""),
        ("timeout = 1.5", "timeout: expected a duration like \"1m\", or whole seconds, found a fraction"),
    ] {
        assert_eq!(target_complaint(lines), format!("f.toml:3: target[0].{expected}"));
    }
}

#[test]
fn a_skipped_check_must_exist() {
    assert_eq!(
        target_complaint("[[target.checks.skip]]\nid = \"slot-aktive\"\nreason = \"x\""),
        "f.toml:4: target[0].checks.skip[0].id: there is no check \"slot-aktive\", did you mean slot-active?"
    );
    let unlike = target_complaint("[[target.checks.skip]]\nid = \"z\"\nreason = \"x\"");
    assert!(unlike.ends_with("there is no check \"z\"; to list all checks, run heartbeatd explain"), "{unlike}");
}

#[test]
fn interval_and_cron_exclude_each_other_in_one_table() {
    assert_eq!(
        target_complaint("interval = \"1m\"\ncron = \"* * * * *\""),
        "f.toml:4: target[0].cron: conflicts with interval: keep one of them"
    );
    assert_eq!(
        target_complaint("[defaults]\ninterval = \"1m\"\ncron = \"* * * * *\""),
        "f.toml:5: defaults.cron: conflicts with interval: keep one of them"
    );
    assert_eq!(target_complaint("timezone = \"UTC\""), "f.toml:3: target[0].timezone: requires cron");
    assert!(
        target_complaint("cron = \"0 0 30 2 *\"").ends_with("target[0].cron: this cron expression never comes due")
    );
}

#[test]
fn a_password_has_one_source_and_a_number_in_quotes_stays_text() {
    let password = |lines: &str| target(&format!("[[target]]\nurl = \"postgres://u@h/d\"\n{lines}")).endpoint.password;
    assert_eq!(password(""), None);
    assert_eq!(password("password = \"0123\""), Some(SecretSource::Literal(Secret::new("0123"))));
    assert_eq!(password("password = { file = \"/s\" }"), Some(SecretSource::File("/s".into())));
    assert_eq!(password("password.env = \"P\""), Some(SecretSource::Env("P".into())));
    assert_eq!(
        password("password = { command = [\"vault\", \"\"] }"),
        Some(SecretSource::Command(vec!["vault".into(), String::new()]))
    );
    for (lines, expected) in [
        ("password = \"\"", "found an empty string"),
        ("password = 7", "found a whole number"),
        ("password = {}", "found a table with 0 keys"),
        ("password = { file = \"/s\", env = \"P\" }", "found a table with 2 keys"),
        ("password = { command = \"vault\" }", "command: expected a list of a program and its arguments"),
        ("password = { command = [] }", "command: expected a list of a program and its arguments"),
        ("password = { flie = \"/s\" }", "unknown source of a password, did you mean \"file\"?"),
        ("provision_password = \"x\"", "requires provision_url"),
    ] {
        let complaint = target_complaint(lines);
        assert!(complaint.starts_with("f.toml:3: ") && complaint.ends_with(expected), "{complaint}");
    }
    let twice = complaint(&[("f.toml", b"[[target]]\nurl = \"postgres://u:hunter2@h/d\"\npassword = \"x\"\n")]);
    assert_eq!(twice, "f.toml:3: target[0].password: url contains a password too: keep one of them");
}

#[test]
fn replicas_borrow_user_and_password_but_never_for_another_user() {
    let replicas = target(
        "[[target]]\nurl = \"postgres://hb@a/d\"\npassword = \"x\"\n\
         [[target.replica]]\nurl = \"postgres://b/d\"\n\
         [[target.replica]]\nname = \"c\"\nrequired = true\nurl = \"postgres://other@c/d\"\n\
         [[target.replica]]\nname = \"d\"\nurl = \"postgres://hb:own@d/d\"\n",
    )
    .replicas;
    let literal = |text: &str| Some(SecretSource::Literal(Secret::new(text)));
    assert_eq!(replicas[0].name, "b/d");
    assert_eq!((replicas[0].endpoint.url.user(), &replicas[0].endpoint.password), (Some("hb"), &literal("x")));
    assert_eq!((replicas[1].required, &replicas[1].endpoint.password), (true, &None));
    assert_eq!(replicas[2].endpoint.password, literal("own"));
    let same = "[[target.replica]]\nurl = \"postgres://b/d\"\n".repeat(2);
    assert_eq!(
        target_complaint(&same).replace(char::is_whitespace, " ").split("; the first").next(),
        Some("f.toml:6: target[0].replica[1].url: \"b/d\" is the name of two replicas of this target")
    );
}

#[test]
fn implausible_names_of_objects_are_refused() {
    for (lines, expected) in [
        ("schema = '\"; drop table'", "not a name: it contains the character \""),
        ("table = \"a;b\"", "not a name: it contains the character ;"),
        ("schema = \"a\\u0000b\"", "not a name: it contains a control character"),
        ("table = \"a\\nb\"", "not a name: it contains a control character"),
        ("schema = \"\"", "expected a name, found an empty string"),
    ] {
        let complaint = target_complaint(&format!("[target.heartbeat]\n{lines}"));
        assert!(complaint.contains(expected) && complaint.lines().count() == 1, "{complaint}");
    }
    let long = format!("[target.connector]\nslot = \"{}\"", "s".repeat(64));
    assert!(target_complaint(&long).starts_with("f.toml:4: target[0].connector.slot: longer than 63 bytes"));
    let odd = target("[[target]]\nurl = \"postgres://h/d\"\n[target.connector]\nuser = \"Größe 'x'\"\n").connector;
    assert_eq!(odd.user, Named::configured("Größe 'x'"));
    assert!(odd.needs.is_empty());
}

#[test]
fn addresses_are_judged_by_their_driver_and_warnings_carry_the_name() {
    let settings = load_text(
        "[[target]]\nname = \"orders\"\nurl = \"postgres://h/d?sslmode=require\"\n\
         [[target.replica]]\nname = \"r\"\nurl = \"postgres://i/d?sslmode=require\"\n",
    );
    assert_eq!(
        settings.unwrap().warnings,
        ["orders: encrypted and unverified", "orders: replica r: encrypted and unverified"]
    );
    assert_eq!(
        complaint(&[("f.toml", b"[[target]]\nurl = \"postgres://u:hunter2@h/d?colour=red\"\n")]),
        "f.toml:2: target[0].url: parameter \"colour\": not known"
    );
    let missing = Sources { urls: vec!["postgres://u:hunter2@h/d".into()], ..sources() };
    let error = load(&missing, &Drivers::only(Arc::new(Strict))).map(|settings| settings.targets.len());
    assert_eq!(error, Ok(1));
}
