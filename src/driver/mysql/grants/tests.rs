use proptest::prelude::*;

use super::GrantScope::{AnyDatabase, Column, Server, Table};
use super::{GrantScope, Grants, Holding, Patterns, RoleName};

const HASH: &str = "*42AEF049E54EED986F9F6690E6D2CB278722229B";

fn read(text: &str) -> Grants {
    Grants::read(text.lines().map(str::trim).filter(|line| !line.is_empty()), Patterns::Wild)
}

/// As [`read`], for an answer in which every line is understood.
fn understood(text: &str) -> Grants {
    let grants = read(text);
    assert_eq!(grants.unread, 0, "{text}");
    grants
}

fn yes(grants: &Grants, privilege: &str, place: GrantScope<'_>) -> bool {
    grants.allows(privilege, place) == Holding::Yes
}

const HEARTBEAT: GrantScope<'static> = Table("streamkap", "streamkap_heartbeat");

fn beat_column(column: &str) -> GrantScope<'_> {
    Column("streamkap", "streamkap_heartbeat", column)
}

// --- what servers print

/// A table without grants of its own.
fn all_of(name: &str) -> GrantScope<'_> {
    Table(name, "any_table")
}

#[test]
fn a_saved_grantee_may_be_any_number() {
    let saved = r#"{"granted": [{"grantee": 18446744073709551615, "on": "server", "privileges": [{"name": "RELOAD"}]}],
        "patterns": "wild"}"#;
    let grants: Grants = serde_json::from_str(saved).unwrap();
    assert!(yes(&grants, "RELOAD", Server) && !yes(&grants, "UPDATE", Server));
}

#[test]
fn a_privilege_on_any_database_is_looked_for_in_all_of_them() {
    let grants = |line: &str| Grants::read([line], Patterns::Wild);
    for line in ["GRANT LOCK TABLES ON `shop`.* TO `u`@`%`", "GRANT LOCK TABLES ON *.* TO `u`@`%`"] {
        assert!(yes(&grants(line), "LOCK TABLES", AnyDatabase), "{line}");
    }
    for line in ["GRANT SELECT ON `shop`.* TO `u`@`%`", "GRANT ALL PRIVILEGES ON `shop`.`orders` TO `u`@`%`"] {
        assert!(!yes(&grants(line), "LOCK TABLES", AnyDatabase), "{line}");
    }
}

#[test]
fn a_connectors_grants_are_the_same_on_every_server() {
    let mariadb = format!(
        "GRANT RELOAD, SHOW DATABASES, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `conn`@`%` IDENTIFIED BY PASSWORD '{HASH}'
         GRANT SELECT ON `streamkap`.* TO `conn`@`%`"
    );
    let mysql = "GRANT RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `conn`@`%`
         GRANT SELECT ON `streamkap`.* TO `conn`@`%`";
    let mysql57 = "GRANT RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'conn'@'%'
         GRANT SELECT ON `streamkap`.* TO 'conn'@'%'";
    for text in [&mariadb, mysql, mysql57] {
        let grants = understood(text);
        for privilege in ["RELOAD", "SHOW DATABASES", "REPLICATION SLAVE", "REPLICATION CLIENT"] {
            assert!(yes(&grants, privilege, Server), "{privilege}: {text}");
        }
        assert!(yes(&grants, "SELECT", HEARTBEAT) && yes(&grants, "SELECT", all_of("streamkap")), "{text}");
        for (privilege, place) in
            [("SELECT", Server), ("UPDATE", HEARTBEAT), ("SELECT", all_of("other")), ("PROCESS", Server)]
        {
            assert_eq!(grants.allows(privilege, place), Holding::No, "{privilege}: {text}");
        }
    }
}

#[test]
fn a_grant_on_columns_covers_only_these_columns() {
    for text in [
        "GRANT SELECT, INSERT (`id`, `text`), UPDATE (`last_update`) ON `streamkap`.`streamkap_heartbeat` TO `col`@`%`",
        "GRANT SELECT, INSERT (id, text), UPDATE (last_update) ON `streamkap`.`streamkap_heartbeat` TO 'col'@'%'",
        "GRANT SELECT, INSERT (id, `text`), UPDATE (last_update) ON streamkap.streamkap_heartbeat TO col@`%`",
        r#"GRANT SELECT, INSERT ("id", "text"), UPDATE ("last_update") ON "streamkap"."streamkap_heartbeat" TO "col"@"%""#,
    ] {
        let grants = understood(text);
        assert!(yes(&grants, "SELECT", HEARTBEAT) && yes(&grants, "SELECT", beat_column("id")), "{text}");
        assert!(
            yes(&grants, "UPDATE", beat_column("last_update")) && yes(&grants, "UPDATE", beat_column("LAST_UPDATE"))
        );
        assert_eq!(grants.allows("UPDATE", beat_column("text")), Holding::Columns(vec!["last_update".to_owned()]));
        assert_eq!(grants.allows("UPDATE", HEARTBEAT), Holding::Columns(vec!["last_update".to_owned()]));
        assert_eq!(grants.allows("DELETE", HEARTBEAT), Holding::No);
        assert_eq!(grants.allows("UPDATE", Table("streamkap", "other")), Holding::No);
    }
}

#[test]
fn names_with_quotes_in_them_are_read_as_every_server_and_mode_writes_them() {
    for text in [
        r#"GRANT USAGE ON *.* TO `we``i'r"d`@`%`
           GRANT SELECT (`c2`, `co``l`), INSERT ON `we``ird`.`t``x y'z"` TO `we``i'r"d`@`%`
           GRANT EXECUTE ON PROCEDURE `streamkap`.`p` TO `we``i'r"d`@`%`
           GRANT EXECUTE ON FUNCTION `streamkap`.`f` TO `we``i'r"d`@`%`"#,
        r#"GRANT USAGE ON *.* TO 'we`i'r"d'@'%'
           GRANT SELECT (c2, co`l), INSERT ON `we``ird`.`t``x y'z"` TO 'we`i'r"d'@'%'
           GRANT EXECUTE ON PROCEDURE `streamkap`.`p` TO 'we`i'r"d'@'%'
           GRANT EXECUTE ON FUNCTION `streamkap`.`f` TO 'we`i'r"d'@'%'"#,
        r#"GRANT USAGE ON *.* TO "we`i'r""d"@"%"
           GRANT SELECT ("c2", "co`l"), INSERT ON "we`ird"."t`x y'z""" TO "we`i'r""d"@"%"
           GRANT EXECUTE ON PROCEDURE "streamkap"."p" TO "we`i'r""d"@"%""#,
        r#"GRANT USAGE ON *.* TO 'we`i'r"d'@'%'
           GRANT SELECT (c2, co`l), INSERT ON "we`ird"."t`x y'z""" TO 'we`i'r"d'@'%'
           GRANT EXECUTE ON FUNCTION "streamkap"."f" TO 'we`i'r"d'@'%'"#,
        r#"GRANT SELECT (c2, `co``l`), INSERT ON `we``ird`.`t``x y'z"` TO `we``i'r"d`@`%`
           GRANT EXECUTE ON PROCEDURE streamkap.p TO `we``i'r"d`@`%`"#,
    ] {
        let grants = understood(text);
        let (database, table) = ("we`ird", "t`x y'z\"");
        assert!(yes(&grants, "INSERT", Table(database, table)), "{text}");
        assert!(yes(&grants, "SELECT", Column(database, table, "co`l")), "{text}");
        assert!(yes(&grants, "SELECT", Column(database, table, "c2")), "{text}");
        assert_eq!(
            grants.allows("SELECT", Column(database, table, "id")),
            Holding::Columns(vec!["c2".into(), "co`l".into()])
        );
        assert_eq!(grants.allows("EXECUTE", Table("streamkap", "p")), Holding::No, "a routine is no table");
    }
}

#[test]
fn all_privileges_means_each_privilege_at_the_level_of_the_grant_and_at_no_other() {
    let all = understood("GRANT ALL PRIVILEGES ON *.* TO `all`@`%` WITH GRANT OPTION");
    assert!(yes(&all, "REPLICATION SLAVE", Server) && yes(&all, "UPDATE", HEARTBEAT));
    let database = understood(&format!(
        "GRANT USAGE ON *.* TO `alldb`@`10.1.2.0/255.255.255.0` IDENTIFIED BY PASSWORD '{HASH}'
         GRANT ALL PRIVILEGES ON `streamkap`.* TO `alldb`@`10.1.2.0/255.255.255.0` WITH GRANT OPTION"
    ));
    assert!(yes(&database, "UPDATE", HEARTBEAT) && yes(&database, "EVENT", all_of("streamkap")));
    assert_eq!(database.allows("REPLICATION SLAVE", Server), Holding::No);
    assert_eq!(database.allows("UPDATE", Table("streamkap2", "streamkap_heartbeat")), Holding::No);
}

#[test]
fn dynamic_privileges_are_read_with_and_without_underscores() {
    let mysql = understood(
        "GRANT USAGE ON *.* TO `dyn`@`%`
         GRANT BACKUP_ADMIN,FLUSH_TABLES,CONNECTION_ADMIN ON *.* TO `dyn`@`%` WITH GRANT OPTION",
    );
    assert!(yes(&mysql, "CONNECTION ADMIN", Server) && yes(&mysql, "FLUSH TABLES", Server));
    let mariadb = understood(&format!(
        "GRANT SUPER, BINLOG MONITOR, READ_ONLY ADMIN, BINLOG ADMIN, SLAVE MONITOR ON *.* TO `multi`@`%` \
         IDENTIFIED VIA mysql_native_password USING '{HASH}' OR unix_socket"
    ));
    assert!(yes(&mariadb, "READ ONLY ADMIN", Server) && yes(&mariadb, "SLAVE MONITOR", Server));
    assert_eq!(mariadb.allows("REPLICATION SLAVE", Server), Holding::No);
}

#[test]
fn lines_about_other_things_are_understood_and_grant_nothing() {
    let grants = understood(&format!(
        "GRANT USAGE ON *.* TO `limits`@`%` IDENTIFIED BY PASSWORD '{HASH}' WITH MAX_QUERIES_PER_HOUR 5 MAX_USER_CONNECTIONS 3
         GRANT USAGE ON *.* TO `ssl`@`%` IDENTIFIED BY PASSWORD '{HASH}' REQUIRE ISSUER '/CN=y' SUBJECT '/CN=x'
         GRANT PROXY ON `plain`@`%` TO `limits`@`%`
         GRANT PROXY ON 'plain'@'%' TO 'limits'@'%'
         GRANT PROXY ON plain@`%` TO limits@`%`
         GRANT PROXY ON ``@`` TO `root`@`localhost` WITH GRANT OPTION
         GRANT PROXY ON ''@'' TO 'root'@'localhost' WITH GRANT OPTION
         GRANT EXECUTE ON PACKAGE BODY `streamkap`.`p` TO `limits`@`%`"
    ));
    for privilege in ["SELECT", "PROXY", "USAGE ON", "EXECUTE"] {
        assert_eq!(grants.allows(privilege, HEARTBEAT), Holding::No);
    }
}

// --- databases by pattern, and what is taken away

const WILD: &str = r"GRANT USAGE ON *.* TO `wild`@`%`
    GRANT SELECT ON `a\_b`.* TO `wild`@`%`
    GRANT INSERT ON `a_b`.* TO `wild`@`%`
    GRANT SELECT, UPDATE ON `stream%`.* TO `wild`@`%`";

#[test]
fn database_names_are_patterns_and_the_most_exact_one_counts() {
    let grants = understood(WILD);
    assert!(yes(&grants, "UPDATE", HEARTBEAT) && yes(&grants, "SELECT", all_of("stream")));
    assert!(yes(&grants, "SELECT", Table("a_b", "t")) && yes(&grants, "INSERT", Table("axb", "t")));
    assert_eq!(grants.allows("SELECT", Table("axb", "t")), Holding::No);
    // Measured on 5.7, 9 and MariaDB: the grant by name hides the grant by pattern.
    assert_eq!(grants.allows("INSERT", Table("a_b", "t")), Holding::No);
    let two = understood("GRANT SELECT ON `str%`.* TO `w`@`%`\nGRANT INSERT ON `stream%`.* TO `w`@`%`");
    assert!(yes(&two, "INSERT", HEARTBEAT));
    assert_eq!(two.allows("SELECT", HEARTBEAT), Holding::No);
}

#[test]
fn with_partial_revokes_a_pattern_is_a_name() {
    let grants = Grants::read(WILD.lines(), Patterns::Literal);
    assert_eq!(grants.unread, 0);
    assert_eq!(grants.allows("UPDATE", HEARTBEAT), Holding::No);
    assert!(yes(&grants, "INSERT", Table("a_b", "t")));
    assert_eq!(grants.allows("INSERT", Table("axb", "t")), Holding::No);
}

#[test]
fn a_partial_revoke_reduces_only_the_server_wide_privilege() {
    let text = "GRANT SELECT, INSERT, UPDATE, DELETE, RELOAD ON *.* TO `part`@`%`
        GRANT UPDATE (`last_update`) ON `streamkap`.`streamkap_heartbeat` TO `part`@`%`
        REVOKE INSERT ON `a_b`.* FROM `part`@`%`
        REVOKE UPDATE ON `streamkap`.* FROM `part`@`%`";
    let grants = Grants::read(text.lines(), Patterns::Literal);
    assert_eq!(grants.unread, 0);
    assert!(yes(&grants, "SELECT", HEARTBEAT) && yes(&grants, "INSERT", HEARTBEAT));
    assert!(yes(&grants, "UPDATE", Table("other", "t")) && yes(&grants, "UPDATE", Server));
    assert!(yes(&grants, "UPDATE", beat_column("last_update")));
    assert_eq!(grants.allows("UPDATE", all_of("streamkap")), Holding::No);
    assert_eq!(grants.allows("UPDATE", HEARTBEAT), Holding::Columns(vec!["last_update".to_owned()]));
    assert_eq!(grants.allows("INSERT", Table("a_b", "t")), Holding::No);
}

// --- roles

fn role(name: &str, host: Option<&str>) -> RoleName {
    RoleName { name: name.to_owned(), host: host.map(str::to_owned) }
}

#[test]
fn roles_are_named_with_and_without_a_host() {
    let mysql = understood(
        "GRANT USAGE ON *.* TO `roled`@`%`
         GRANT `r2`@`x`,`writer`@`%` TO `roled`@`%` WITH ADMIN OPTION",
    );
    assert_eq!(mysql.roles, [role("r2", Some("x")), role("writer", Some("%"))]);
    assert_eq!(mysql.allows("UPDATE", HEARTBEAT), Holding::No, "a role that is granted is not a role that is active");
    let bare = understood("GRANT writer TO roled@`%`");
    assert_eq!(bare.roles, [role("writer", None)]);
}

#[test]
fn an_active_role_brings_its_privileges_and_not_its_own_roles() {
    // MariaDB's answer for an account whose default role has a role itself.
    let grants = understood(&format!(
        "GRANT `outer` TO `roled_default`@`%`
         GRANT USAGE ON *.* TO `roled_default`@`%` IDENTIFIED BY PASSWORD '{HASH}'
         GRANT `writer` TO `outer`
         GRANT REPLICATION SLAVE ON *.* TO `outer`
         GRANT USAGE ON *.* TO `writer`
         GRANT SELECT, UPDATE ON `streamkap`.`streamkap_heartbeat` TO `writer`
         GRANT EVENT ON `streamkap`.* TO PUBLIC
         SET DEFAULT ROLE `outer` FOR `roled_default`@`%`"
    ));
    assert_eq!(grants.roles, [role("outer", None)]);
    assert_eq!(grants.default_roles, [role("outer", None)]);
    assert!(yes(&grants, "REPLICATION SLAVE", Server) && yes(&grants, "UPDATE", HEARTBEAT));
    // The database's line for PUBLIC does not hide a role's line.
    assert!(yes(&grants, "EVENT", all_of("streamkap")));
}

#[test]
fn each_grantee_is_looked_up_separately() {
    let mut grants = understood("GRANT SELECT ON `streamkap`.* TO `u`@`%`");
    grants.add(understood("GRANT UPDATE ON `stream%`.* TO `r`\nGRANT INSERT ON `streamkap`.* TO PUBLIC"));
    for privilege in ["SELECT", "UPDATE", "INSERT"] {
        assert!(yes(&grants, privilege, HEARTBEAT), "{privilege}");
    }
    let mut part = understood("GRANT UPDATE ON *.* TO `u`@`%`\nREVOKE UPDATE ON `streamkap`.* FROM `u`@`%`");
    assert_eq!(part.allows("UPDATE", HEARTBEAT), Holding::No);
    part.add(understood("GRANT UPDATE ON *.* TO `r`@`%`"));
    assert!(yes(&part, "UPDATE", HEARTBEAT));
}

// --- what cannot be read

#[test]
fn an_unreadable_line_turns_a_no_into_unknown() {
    for text in [
        "DENY SELECT ON *.* TO `u`@`%`",
        "GRANT",
        "GRANT SELECT",
        "GRANT SELECT ON `a",
        "GRANT SELECT ON `a`.`b TO `u`@`%`",
        "GRANT SELECT (`a` ON `a`.`b` TO `u`@`%`",
        "GRANT ON *.* TO `u`@`%`",
        "GRANT `SELECT` ON *.* TO `u`@`%`",
        "",
        "SET DEFAULT ROLE",
    ] {
        let grants = Grants::read([text], Patterns::Wild);
        assert_eq!(grants.unread, 1, "{text}: {grants:?}");
        assert_eq!(grants.allows("SELECT", HEARTBEAT), Holding::Unknown(1), "{text}");
    }
    let some = Grants::read(["GRANT SELECT ON *.* TO `u`@`%`", "?"], Patterns::Wild);
    assert!(yes(&some, "SELECT", HEARTBEAT), "what is granted stays granted");
}

fn shown(grants: &Grants) -> String {
    format!("{grants:?} {}", serde_json::to_string(grants).unwrap())
}

/// Text made of pieces of the grammar.
fn pieces() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "GRANT ",
        "REVOKE ",
        "SET DEFAULT ROLE ",
        " ON ",
        " TO ",
        " FROM ",
        " FOR ",
        "SELECT",
        "UPDATE",
        "(",
        ")",
        ",",
        "*.*",
        ".",
        "*",
        "@",
        "`",
        "``",
        "'",
        "''",
        "\"",
        "\\",
        "_",
        "%",
        "`a`",
        "'b'@'%'",
        "ALL PRIVILEGES",
        "PROXY",
        "TABLE ",
        "WITH GRANT OPTION",
        " ",
        "ü",
        "💓",
        "streamkap",
        "IDENTIFIED",
    ];
    let piece = prop_oneof![4 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => ".{0,6}"];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(line in pieces(), other in ".*", name in ".{0,5}") {
        for patterns in [Patterns::Wild, Patterns::Literal] {
            let grants = Grants::read([&line, &other], patterns);
            for place in [Server, AnyDatabase, all_of(&name), Table(&name, &name), Column(&name, &name, &name)] {
                grants.allows("SELECT", place);
            }
            let text = serde_json::to_string(&grants).unwrap();
            prop_assert_eq!(serde_json::from_str::<Grants>(&text).unwrap(), grants);
        }
    }

    #[test]
    fn a_password_hash_is_never_kept(
        before in pieces(),
        account in prop_oneof![Just("`u`@`%`".to_owned()), Just("'o'brien'@'%'".to_owned()), pieces()],
        word in prop_oneof![Just("BY PASSWORD"), Just("VIA ed25519 USING"), Just("WITH 'x' AS"), Just("by password")],
        hash in "[A-Z0-9]{24}",
        behind in pieces(),
    ) {
        for start in ["GRANT USAGE ON *.* TO ", "", &before] {
            let line = format!("{start}{account} IDENTIFIED {word} '{hash}' {behind}");
            prop_assert!(!shown(&Grants::read([&line], Patterns::Wild)).contains(&hash), "{}", line);
        }
    }

    #[test]
    fn every_name_that_is_quoted_is_read_back(name in "[^\u{0}]{1,20}", table in "[^\u{0}]{1,20}", column in "[^\u{0}]{1,20}") {
        prop_assume!([&name, &table, &column].iter().all(|n| !n.to_uppercase().contains(" IDENTIFIED ")));
        let quote = |name: &str| format!("`{}`", name.replace('`', "``"));
        let line = format!(
            "GRANT UPDATE ({}), INSERT ON {}.{} TO `u`@`%`",
            quote(&column), quote(&name), quote(&table)
        );
        let grants = Grants::read([&line], Patterns::Wild);
        prop_assert_eq!(grants.allows("UPDATE", Column(&name, &table, &column)), Holding::Yes, "{}", line);
        prop_assert_eq!(grants.allows("INSERT", Table(&name, &table)), Holding::Yes, "{}", line);
    }

    #[test]
    fn a_database_name_with_escaped_wildcards_matches_only_itself(name in "[a-z_%\\\\]{1,8}", other in "[a-z_%\\\\]{1,8}") {
        let escaped: String =
            name.chars().flat_map(|c| if "_%\\".contains(c) { vec!['\\', c] } else { vec![c] }).collect();
        let grants = Grants::read([format!("GRANT SELECT ON `{escaped}`.* TO `u`@`%`")], Patterns::Wild);
        prop_assert_eq!(grants.allows("SELECT", all_of(&name)), Holding::Yes);
        prop_assert_eq!(grants.allows("SELECT", all_of(&other)) == Holding::Yes, name == other);
    }
}
