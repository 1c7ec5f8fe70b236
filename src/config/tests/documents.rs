//! The example, the schema, and the shown configuration.

use std::collections::BTreeSet;

use super::*;
use crate::config::environment::{scalars, shorthands};

/// The paths of all keys, as the sections of a file spell them.
fn paths(keys: &[Key], below: &str, found: &mut BTreeSet<String>) {
    for key in keys {
        let path = if below.is_empty() { key.name.to_owned() } else { format!("{below}.{}", key.name) };
        if let Some(keys) = ConnectorKeys::of(&Drivers::built_in()).below(key.kind) {
            paths(keys, &path, found);
        } else {
            found.insert(path);
        }
    }
}

#[test]
fn the_example_shows_every_key_and_every_variable_and_is_right() {
    let mut expected = BTreeSet::new();
    paths(ROOT, "", &mut expected);
    let (mut section, mut shown) = (String::new(), BTreeSet::new());
    for line in EXAMPLE.lines() {
        if let Some(header) = line.trim_start_matches('#').strip_prefix('[') {
            section = format!("{}.", header.trim_start_matches('[').split(']').next().unwrap());
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ")
            && !key.contains(' ')
        {
            shown.insert(format!("{section}{key}"));
        }
    }
    assert_eq!(shown, expected);
    let variables = scalars().into_iter().map(|(name, _)| name);
    for name in variables.chain(shorthands(&Drivers::built_in()).into_iter().map(|(name, _)| name.to_owned())) {
        let name = format!("{PREFIX}{name}");
        let whole = |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
        assert!(whole(EXAMPLE), "{name} is not in the example");
    }
    for text in [EXAMPLE.to_owned(), switched_on()] {
        assert_eq!(load_text(&text).unwrap().warnings, [""; 0]);
    }
    assert_eq!(load_text(include_str!("../../../config/demo.toml")).unwrap().targets[0].name, "demo");
}

#[test]
fn the_example_is_one_target_that_skips_no_check_names_no_administrator_and_holds_no_password() {
    let settings = load_text(EXAMPLE).unwrap();
    let [example] = &settings.targets[..] else { panic!("{:?}", settings.targets) };
    assert!(example.checks.skip.is_empty() && example.provision_endpoint.is_none() && example.replicas.is_empty());
    assert!(example.endpoint.password.is_none(), "one line more to edit");
    assert!(!example.connector.user.configured, "a name that is written must exist");
    assert!(EXAMPLE.starts_with("#:schema "), "editors look for it in the first line");
    for source in ["file", "credential", "env", "command"] {
        assert!(EXAMPLE.contains(&format!("#password = {{ {source} = ")), "{source}");
    }
}

#[test]
fn the_values_in_the_example_are_the_defaults() {
    let bare = target("[[target]]\nurl = \"postgres://heartbeat@primary-a/orders\"\n");
    let settings = load_text(&switched_on()).unwrap();
    let example = &settings.targets[0];
    assert_eq!((example.enabled, &example.schedule, example.timeout), (bare.enabled, &bare.schedule, bare.timeout));
    assert_eq!((example.write, example.provision, &example.heartbeat), (bare.write, bare.provision, &bare.heartbeat));
    assert_eq!(example.connector.user.name, bare.connector.user.name);
    for key in drivers().get(bare.endpoint.url.family()).unwrap().connector_keys() {
        assert_eq!(key.named(example).name, key.named(&bare).name);
    }
    assert_eq!(example.connector.mode, bare.connector.mode);
}

#[test]
fn the_shown_configuration_can_be_loaded_again_and_contains_no_secret() {
    let text = switched_on()
        .replace("file = \"/run/secrets/orders-admin\"", "command = [\"vault\", \"--token=hunter2\"]")
        .replace("password = { file = \"/run/secrets/orders\" }              #", "password = \"hunter2\" #")
        .replace("interval = \"1m\"\n", "cron = \"*/5 * * * *\"\ntimezone = \"Europe/Berlin\"\n");
    let settings = load_text(&text).unwrap();
    let shown = show(&settings, &drivers());
    assert!(!shown.contains("hunter2"), "{shown}");
    let again = load_text(&shown).unwrap();
    assert_eq!(show(&again, &drivers()), shown);
    insta::assert_snapshot!(shown.split_once("[http]").unwrap().1, @r#"

    listen = "127.0.0.1:2328"

    [shutdown]
    grace = "5s"

    [[target]]
    name = "orders"
    enabled = true
    url = "postgres://heartbeat@primary-a,primary-b/orders?sslmode=verify-full"
    password = { file = "/run/secrets/orders" }
    provision_url = "postgres://admin@primary-a/orders?sslmode=verify-full"
    provision_password = { command = ["vault", "[redacted]"] }
    cron = "*/5 * * * *"
    timezone = "Europe/Berlin"
    timeout = "10s"
    write = "always"
    provision = "never"

    [target.heartbeat]
    schema = "streamkap"
    table = "streamkap_heartbeat"
    row = 1

    [target.connector]
    user = "streamkap_user"
    publication = "streamkap_pub"
    slot = "streamkap_pgoutput_slot"
    mode = "read-only"

    [[target.replica]]
    name = "replica-1"
    url = "postgres://heartbeat@replica-1/orders?sslmode=verify-full"
    password = "[redacted]"
    required = false
    decode = false

    [target.checks]
    required = false

    [[target.checks.skip]]
    id = "slot-active"
    reason = "the connector is paused until the migration ends"

    [target.checks.thresholds]
    retained_wal_mib = 10240
    long_transaction = "30m"
    replica_lag = "1m"
    role_expiry = "14days"
    "#);
}

#[test]
fn a_built_in_name_is_shown_as_a_default() {
    let settings = load_text("instance = \"i\"\n[[target]]\nurl = \"postgres://hb@h/orders\"\n").unwrap();
    assert!(show(&settings, &drivers()).contains("slot = \"streamkap_pgoutput_slot\"  # default\n"));
}

#[test]
fn the_json_schema_holds_every_key() {
    let schema = schema(&Drivers::built_in());
    let mut expected = BTreeSet::new();
    paths(ROOT, "", &mut expected);
    for path in expected {
        let mut at = &schema;
        for name in path.split('.') {
            at = at.get("items").unwrap_or(at);
            assert_eq!(at["additionalProperties"], false, "{path}");
            at = &at["properties"][name];
        }
        assert!(at["description"].is_string(), "{path}");
    }
    assert_eq!(schema["properties"]["target"]["items"]["required"], serde_json::json!(["url"]));
    assert_eq!(schema["properties"]["http"]["properties"]["listen"]["default"], "127.0.0.1:2328");
}
