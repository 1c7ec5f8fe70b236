//! Settings from environment variables.

use super::*;

#[test]
fn variables_alone_configure_a_sidecar() {
    let settings = with_environment(&[
        ("HEARTBEATD_URL", "postgres://hb@h/d"),
        ("HEARTBEATD_NAME", "orders"),
        ("HEARTBEATD_PASSWORD", "0123"),
        ("HEARTBEATD_PROVISION_URL", "postgres://admin@h/d"),
        ("HEARTBEATD_CRON", "*/5 * * * *"),
        ("HEARTBEATD_TIMEZONE", "Europe/Berlin"),
        ("HEARTBEATD_TIMEOUT", "7"),
        ("HEARTBEATD_WRITE", "when-stale"),
        ("HEARTBEATD_PROVISION", "auto"),
        ("HEARTBEATD_SCHEMA", "2024"),
        ("HEARTBEATD_TABLE", "true"),
        ("HEARTBEATD_ROW", "3"),
        ("HEARTBEATD_CONNECTOR_USER", "cdc"),
        ("HEARTBEATD_CONNECTOR_MODE", "read-write"),
        ("HEARTBEATD_PUBLICATION", "pub"),
        ("HEARTBEATD_SLOT", "slot"),
        ("HEARTBEATD_REPLICA_URL", "postgres://r/d"),
        ("HEARTBEATD_HTTP__LISTEN", "0.0.0.0:2328"),
        ("HEARTBEATD_SHUTDOWN__GRACE", "0s"),
        ("HEARTBEATD_INSTANCE", "pod-1"),
        ("HEARTBEATD_CONFIG", ""),
        ("HEARTBEATD_LOG", "debug"),
        ("HEARTBEATD_PORT_2328_TCP", "tcp://10.0.0.1:2328"),
        ("HEARTBEATD_SERVICE_HOST", "10.0.0.1"),
    ]);
    let settings = settings.unwrap();
    assert_eq!(settings.http.listen.to_string(), "0.0.0.0:2328");
    assert_eq!((settings.shutdown.grace, settings.instance.as_str()), (Duration::ZERO, "pod-1"));
    insta::assert_snapshot!(show(&settings, &drivers()), @r#"
    instance = "pod-1"

    [http]
    listen = "0.0.0.0:2328"

    [shutdown]
    grace = "0s"

    [[target]]
    name = "orders"
    enabled = true
    url = "postgres://hb@h/d"
    password = { env = "HEARTBEATD_PASSWORD" }
    provision_url = "postgres://admin@h/d"
    cron = "*/5 * * * *"
    timezone = "Europe/Berlin"
    timeout = "7s"
    write = "when-stale"
    provision = "auto"

    [target.heartbeat]
    schema = "2024"
    table = "true"
    row = 3

    [target.connector]
    user = "cdc"
    publication = "pub"
    slot = "slot"
    mode = "read-write"

    [[target.replica]]
    name = "r/d"
    url = "postgres://hb@r/d"
    password = { env = "HEARTBEATD_PASSWORD" }
    required = false
    decode = false

    [target.checks]
    required = false

    [target.checks.thresholds]
    retained_wal_mib = 10240
    long_transaction = "30m"
    replica_lag = "1m"
    role_expiry = "14days"
    "#);
}

#[test]
fn variables_next_to_a_single_address_configure_its_target() {
    let urls = vec!["sqlite:a.db".to_owned()];
    let environment = variables(&[("HEARTBEATD_NAME", "demo"), ("HEARTBEATD_PASSWORD_FILE", "/s")]);
    let settings = load(&Sources { urls, environment, ..sources() }, &drivers()).unwrap();
    assert_eq!(settings.targets[0].name, "demo");
    assert_eq!(settings.targets[0].endpoint.password, Some(SecretSource::File("/s".into())));
}

#[test]
fn variables_override_the_file_and_the_schedule_as_one_setting() {
    let (_directory, main) = directory(&[(
        "f.toml",
        b"[defaults]\ninterval = \"2m\"\ntimeout = \"3s\"\n[http]\nlisten = \"[::1]:1\"\n[[target]]\nurl = \"sqlite:a.db\"\n",
    )]);
    let settings = load_file_with(
        &main,
        &[("HEARTBEATD_DEFAULTS__CRON", "* * * * *"), ("HEARTBEATD_HTTP__LISTEN", "127.0.0.1:9")],
    );
    let settings = settings.unwrap();
    assert_eq!(settings.targets[0].schedule.to_string(), "cron * * * * * UTC");
    assert_eq!(settings.targets[0].timeout, Duration::from_secs(3));
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:9");
}

#[test]
fn wrong_variables_are_reported_by_name_and_never_with_a_secret_value() {
    let error = with_environment(&[
        ("HEARTBEATD_URL", "postgres://u:hunter2@/d"),
        ("HEARTBEATD_PASSWORD", "hunter2"),
        ("HEARTBEATD_PASSWORD_FILE", "/s"),
        ("HEARTBEATD_PASSWROD", "hunter2"),
        ("HEARTBEATD_COLOUR", "red"),
        ("HEARTBEATD_INTERVAL", "0"),
        ("HEARTBEATD_ROW", "one"),
        ("HEARTBEATD_NAME", ""),
        ("HEARTBEATD_HTTP__LISTEN", "2328"),
        ("HEARTBEATD_DEFAULTS__INTERVAL", "1m"),
        ("HEARTBEATD_DEFAULTS__CRON", "* * * * *"),
    ]);
    let error = error.unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    insta::assert_snapshot!(error, @r#"
    HEARTBEATD_COLOUR: unknown variable: the end of `heartbeatd config example` lists all variables
    HEARTBEATD_DEFAULTS__CRON: conflicts with interval: keep one of them
    HEARTBEATD_HTTP__LISTEN: expected an address and a port like "127.0.0.1:2328" or "[::]:2328", found "2328"
    HEARTBEATD_INTERVAL: too short: expected 1s to 1day
    HEARTBEATD_NAME: set but empty: unset it, or give it a value
    HEARTBEATD_PASSWORD: conflicts with HEARTBEATD_PASSWORD_FILE: keep one of them
    HEARTBEATD_PASSWROD: unknown variable, did you mean HEARTBEATD_PASSWORD?
    HEARTBEATD_URL: the address has no host: expected postgres://user@host/database
    "#);
}

#[test]
fn shorthands_without_a_single_target_are_errors_that_say_so() {
    let (_directory, main) = directory(&[("f.toml", b"[[target]]\nurl = \"sqlite:a.db\"\n")]);
    let error = load_file_with(&main, &[("HEARTBEATD_INTERVAL", "5s"), ("HEARTBEATD_SLOT", "s")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "HEARTBEATD_INTERVAL: describes the single target of an address, but the targets come from a file: set it in \
         the file (HEARTBEATD_DEFAULTS__INTERVAL sets it for all)\n\
         HEARTBEATD_SLOT: describes the single target of an address, but the targets come from a file: set it in the \
         file"
    );
    let error = with_environment(&[("HEARTBEATD_SLOT", "s")]).unwrap_err();
    assert!(error.to_string().starts_with("HEARTBEATD_SLOT: works only with HEARTBEATD_URL"), "{error}");
}

#[test]
fn a_file_may_take_passwords_from_variables_that_look_like_ours() {
    let text = b"[[target]]\nurl = \"postgres://u@h/d\"\npassword = { env = \"HEARTBEATD_ORDERS_PASSWORD\" }\n";
    let (_directory, main) = directory(&[("f.toml", text)]);
    assert!(load_file_with(&main, &[("HEARTBEATD_ORDERS_PASSWORD", "x")]).is_ok());
}
