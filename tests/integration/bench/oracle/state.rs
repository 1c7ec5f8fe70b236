//! The content of the double's database, its faults, and what heartbeatd's own blocks do to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{OWNER, USERS, Value, blocks, column_type, given_number, given_text};

/// The server's fault.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// The listener refuses every connection with this code.
    Refuse(u32),
    /// Connections are accepted, but nothing is answered.
    SilentLogin,
    /// The server sends these bytes instead of an acceptance.
    Bytes(Vec<u8>),
    /// A login succeeds, with this warning.
    LoginWarning(u32),
    /// A right password is refused with this code.
    LoginError(u32),
    /// The account has only a verifier of version 11G.
    OldVerifier,
    /// Every beat fails with this code, raised by a statement in its block.
    Error(u32),
    /// The next statement fails with this code, as if its session had ended; later ones do not.
    ErrorOnce(u32),
    /// Statements are accepted, but nothing is answered.
    Hang,
    /// The connection ends at a statement.
    Close,
    /// A statement is answered with these bytes.
    AnswerBytes(Vec<u8>),
    /// Answers come one byte at a time.
    Drip,
    /// Only the logoff is never answered.
    HangAtGoodbye,
}

/// The database.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) trouble: Trouble,
    /// The primary whose changes a standby applies; none while redo apply is stopped.
    pub(crate) applies: Option<Arc<Mutex<State>>>,
    /// `DATABASE_ROLE`.
    pub(crate) role: &'static str,
    /// The type of `LAST_UPDATE`; `None` for a table without it.
    pub(crate) column: Option<&'static str>,
    /// Whether the heartbeat table exists.
    pub(crate) table: bool,
    /// Whether each session has rows of its own in it.
    pub(crate) temporary: bool,
    /// Its keys and unique indexes: `P`, `U` or `I`, the name, the place of a column, and the column.
    pub(crate) keys: Vec<&'static str>,
    /// Each row's id and `last_update`, in microseconds.
    pub(crate) rows: Vec<(i64, Option<i64>)>,
    /// Whether another session holds the row.
    pub(crate) locked: bool,
    /// Whether statements that create or change something succeed without effect, as with a trigger.
    pub(crate) undone: bool,
    /// Whether the user may see V$DATABASE.
    pub(crate) sees_database: bool,
    /// Whether the user may see V$ and DBA_ views.
    pub(crate) sees_catalogue: bool,
    /// Answers to the queries of a check or a plan that replace the usual ones, by a part of the query's text.
    pub(crate) answers: Vec<(&'static str, Vec<&'static str>)>,
    /// Whether all columns of the table are logged.
    pub(crate) logged: bool,
    /// The grants, as `user privilege`.
    pub(crate) grants: Vec<String>,
    /// Statements that changed something, except beats.
    pub(crate) statements: Vec<String>,
    /// Names that sessions gave themselves.
    pub(crate) modules: Vec<String>,
    pub(crate) descriptors: Vec<String>,
    pub(crate) connects: u64,
    pub(crate) logins: u64,
    pub(crate) requests: u64,
    pub(crate) commits: u64,
    /// The longest wait of a beat for the row, in seconds.
    pub(crate) lock_waits: Vec<i64>,
}

/// The connector's privileges on the table.
const CONNECTORS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// The result of a statement.
pub(super) enum Outcome {
    Error(u32),
    /// By a statement in a block.
    Raised(u32),
    /// By a statement that waits for the row's lock, when its wait is over.
    Locked(Duration, u32),
    /// A static statement of a block fails with this code, and the block itself with another code.
    DoesNotCompile(u32),
    Hang,
    Close,
    Bytes(Vec<u8>),
    Done(BTreeMap<String, Value>),
}

impl Default for State {
    fn default() -> Self {
        Self {
            trouble: Trouble::None,
            applies: None,
            role: "PRIMARY",
            column: Some("TIMESTAMP(6)"),
            table: true,
            temporary: false,
            keys: vec!["P\tSYS_C1\t01\tID", "I\tSYS_C1\t01\tID"],
            rows: vec![(1, None)],
            locked: false,
            undone: false,
            sees_database: true,
            sees_catalogue: true,
            answers: Vec::new(),
            logged: true,
            grants: CONNECTORS.iter().map(|privilege| format!("C##STREAMKAP_USER {privilege}")).collect(),
            statements: Vec::new(),
            modules: Vec::new(),
            descriptors: Vec::new(),
            connects: 0,
            logins: 0,
            requests: 0,
            commits: 0,
            lock_waits: Vec::new(),
        }
    }
}

/// The double's clock, in microseconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

impl State {
    /// Runs a statement as this user.
    pub(super) fn run(&mut self, user: &str, sql: &str, given: &BTreeMap<String, Vec<u8>>) -> Outcome {
        match self.trouble.clone() {
            Trouble::Error(code) if sql.contains(":lock_wait") => return Outcome::Raised(code),
            Trouble::ErrorOnce(code) => {
                self.trouble = Trouble::None;
                return Outcome::Error(code);
            }
            Trouble::Hang => return Outcome::Hang,
            Trouble::Close => return Outcome::Close,
            Trouble::AnswerBytes(bytes) => return Outcome::Bytes(bytes),
            _ => {}
        }
        if let Some(primary) = &self.applies {
            self.rows.clone_from(&primary.lock().unwrap().rows);
        }
        if let Some(cause) = self.does_not_compile(sql) {
            return Outcome::DoesNotCompile(cause);
        }
        if sql.contains(":lock_wait") {
            return self.beat(sql, given).map_or_else(|outcome| outcome, Outcome::Done);
        }
        let result = if sql.contains(":question") {
            Ok(self.question(user, given))
        } else if sql.contains(":column_type") {
            Ok(self.look())
        } else {
            self.change(sql).map(|()| BTreeMap::new())
        };
        result.map_or_else(Outcome::Error, Outcome::Done)
    }

    /// A static statement on a missing table or column fails the whole block; returns the code of the cause.
    fn does_not_compile(&self, sql: &str) -> Option<u32> {
        let compiled = blocks::without_texts(sql).to_uppercase();
        let words = compiled.split(|c: char| !c.is_ascii_alphanumeric());
        let is_block = ["DECLARE", "BEGIN"].contains(&words.clone().next().unwrap_or_default());
        let is_static = words.into_iter().any(|word| ["SELECT", "UPDATE", "INSERT", "DELETE", "MERGE"].contains(&word));
        match (self.table, self.column) {
            _ if !is_block || !is_static => None,
            (false, _) => Some(942),
            (true, None) => Some(904),
            (true, Some(_)) => None,
        }
    }

    fn look(&self) -> BTreeMap<String, Value> {
        let text = |text: &str| Value::Text(text.to_owned());
        let column = self.column.filter(|_| self.table).map_or(Value::Null, text);
        let position = if self.sees_database { text("1234567") } else { Value::Null };
        values([
            ("role", text(self.role)),
            ("identity", text("CDB1/PDB1")),
            ("instance", text("double1@db1")),
            ("column_type", column),
            ("position", position),
        ])
    }

    /// Runs a step of provisioning.
    fn change(&mut self, sql: &str) -> Result<(), u32> {
        self.statements.push(sql.to_owned());
        if self.undone {
            return Ok(());
        }
        if sql.starts_with("CREATE TABLE") {
            if self.table {
                return Err(955);
            }
            (self.table, self.logged) = (true, false);
            self.rows.clear();
        } else if sql.contains("INSERT INTO") && self.rows.is_empty() {
            self.rows.push((1, Some(now())));
        } else if sql.contains("SUPPLEMENTAL LOG DATA") {
            if self.logged {
                return Err(32_588);
            }
            self.logged = true;
        } else if let Some((privileges, user)) = sql.strip_prefix("GRANT ").and_then(|rest| {
            let (privileges, rest) = rest.split_once(" ON ")?;
            Some((privileges, rest.rsplit_once(" TO ")?.1.trim_matches('"')))
        }) {
            self.grants.extend(privileges.split(", ").map(|privilege| format!("{user} {privilege}")));
        }
        Ok(())
    }

    /// The lines that answer a query; `None` if the user may not ask it.
    fn lines(&self, user: &str, question: &str) -> Option<Vec<String>> {
        if let Some((_, lines)) = self.answers.iter().find(|(part, _)| question.contains(part)) {
            return Some(lines.iter().map(|line| (*line).to_owned()).collect());
        }
        let needs_catalogue = question.contains("V$") || question.contains("DBA_");
        if needs_catalogue && !self.sees_catalogue {
            return None;
        }
        let lines: Vec<String> = match question {
            _ if question.contains("'CON_NAME'") => vec![format!("PDB1\tCDB1\t{user}\t{}\t{}", self.role, now())],
            _ if question.contains("FROM V$DATABASE") => {
                let open = if self.role == "PRIMARY" { "READ WRITE" } else { "READ ONLY WITH APPLY" };
                vec![format!("ARCHIVELOG\tYES\tYES\tNO\t{open}\t7776000")]
            }
            _ if question.contains("DBA_SUPPLEMENTAL_LOGGING") => vec!["YES\tNO".to_owned()],
            _ if question.contains("V$ARCHIVE_DEST_STATUS") => vec!["1".to_owned()],
            _ if question.contains("V$ARCHIVED_LOG") => vec!["700000".to_owned()],
            _ if question.contains("V$RECOVERY_FILE_DEST") => vec!["107374182400\t53687091200\t1073741824".to_owned()],
            _ if question.contains("ALL_OBJECTS") && self.table => {
                let kind =
                    if self.temporary && question.contains("TEMPORARY = 'Y'") { "TEMPORARY TABLE" } else { "TABLE" };
                vec![format!("STREAMKAP_USER\t{kind}")]
            }
            _ if question.contains("ALL_TAB_COLS") && self.table => {
                let last_update = self.column.map(|kind| format!("LAST_UPDATE\t{kind}\tNO"));
                let others = ["ID\tNUMBER\tNO", "TEXT\tVARCHAR2\tNO"].map(str::to_owned);
                others.into_iter().chain(last_update).collect()
            }
            _ if question.contains("ALL_CONSTRAINTS") && self.table => {
                let asked = |key: &&&str| question.contains("ALL_INDEXES") || key.starts_with('P');
                self.keys.iter().filter(asked).map(|key| (*key).to_owned()).collect()
            }
            _ if question.contains("COUNT(CASE") && self.table => vec![self.row_line()],
            _ if question.contains("COUNT(CASE") => return None,
            _ if question.contains("ALL_LOG_GROUPS") && self.logged => vec!["ALL COLUMN LOGGING\tALWAYS".to_owned()],
            _ if question.contains("SESSION_PRIVS") => vec!["SELECT".to_owned(), "UPDATE".to_owned()],
            _ if question.contains("USER_USERS") => vec![format!("{user}\tOPEN\t")],
            _ if question.contains("ALL_USERS") => {
                USERS.iter().chain(&["C##STREAMKAP_USER"]).map(|name| (*name).to_owned()).collect()
            }
            _ if question.contains("DBA_USERS") => {
                ["STREAMKAP_USER\tOPEN\t", "C##STREAMKAP_USER\tOPEN\t9999999"].map(str::to_owned).to_vec()
            }
            // Other users see only their own entries.
            _ if question.contains("ALL_TAB_PRIVS") && user != OWNER => Vec::new(),
            _ if question.contains("_TAB_PRIVS") => {
                self.grants.iter().map(|grant| grant.replacen(' ', "\t", 1)).collect()
            }
            _ if question.contains("DBA_SYS_PRIVS") => {
                ["LOGMINING", "SELECT ANY TRANSACTION", "SELECT_CATALOG_ROLE", "EXECUTE_CATALOG_ROLE"]
                    .map(|privilege| format!("C##STREAMKAP_USER\t{privilege}"))
                    .to_vec()
            }
            _ => Vec::new(),
        };
        Some(lines)
    }

    fn row_line(&self) -> String {
        let own = self.rows.iter().find(|(id, _)| *id == 1);
        let shown = |value: Option<i64>| value.map_or(String::new(), |value| value.to_string());
        let other = self.rows.iter().map(|(id, _)| *id).find(|id| *id != 1);
        let found = i32::from(own.is_some());
        format!("{}\t{found}\t{}\t{}", self.rows.len(), shown(own.and_then(|(_, value)| *value)), shown(other))
    }

    fn question(&self, user: &str, given: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Value> {
        let question = given_text(given, "question");
        let (answer, code) = match self.lines(user, &question) {
            Some(lines) => (lines.join("\n"), 0),
            None => (String::new(), 942),
        };
        let text = |text: String| if text.is_empty() { Value::Null } else { Value::Text(text) };
        let message = if code == 0 { String::new() } else { format!("ORA-{code:05}: the double's words for it") };
        values([("answer", text(answer)), ("code", Value::Number(i64::from(code))), ("message", text(message))])
    }

    /// What the beat's block does, as far as the block itself says. Its statements run one after the other: a missing
    /// table is noticed at the first read, a read-only database only when the row is locked.
    fn beat(&mut self, sql: &str, given: &BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, Value>, Outcome> {
        let number = |name| given_number(given, name).unwrap_or_default();
        if !self.table {
            return Err(Outcome::Raised(942));
        }
        let Some(column) = self.column else { return Err(Outcome::Raised(904)) };
        let found: Vec<usize> = (0..self.rows.len()).filter(|row| self.rows[*row].0 == number("row_id")).collect();
        let seen = i64::try_from(found.len().min(2)).unwrap();
        let (clock, mut changed, mut value) = (now(), 0, None);
        let previous = match found.as_slice() {
            [row] => self.rows[*row].1.map(|stored| column_type::read(column, sql, stored)),
            _ => None,
        };
        let stale = self.is_stale(previous, clock, given);
        if let [row] = found.as_slice()
            && number("writing") > 0
            && stale
        {
            assert!(
                sql.contains("FOR UPDATE WAIT") && sql.contains("FOR UPDATE NOWAIT"),
                "a write takes the row's lock"
            );
            if self.role != "PRIMARY" {
                return Err(Outcome::Raised(16_000));
            }
            let wait = number("lock_wait");
            if self.locked {
                return Err(match u64::try_from(wait) {
                    Ok(seconds @ 1..) => Outcome::Locked(Duration::from_secs(seconds), 30_006),
                    _ => Outcome::Raised(54),
                });
            }
            self.lock_waits.push(wait);
            let stored = column_type::write(column, sql, clock);
            (changed, value) = (1, Some(column_type::read(column, sql, stored)));
            if sql.contains("COMMIT WRITE IMMEDIATE WAIT;") {
                self.rows[*row].1 = Some(stored);
                self.commits += 1;
            }
        }
        let stamp = |stamp: Option<i64>| stamp.map_or(Value::Null, Value::Number);
        let position = changed > 0 && self.sees_database && sql.contains("CURRENT_SCN");
        Ok(values([
            ("seen", Value::Number(seen)),
            ("changed", Value::Number(changed)),
            ("stale", Value::Number(i64::from(stale))),
            ("previous", stamp(previous)),
            ("value", stamp(value)),
            ("server_time", Value::Number(clock)),
            ("position", if position { Value::Text("1234568".to_owned()) } else { Value::Null }),
            ("role", Value::Text(self.role.to_owned())),
        ]))
    }

    fn is_stale(&self, previous: Option<i64>, clock: i64, given: &BTreeMap<String, Vec<u8>>) -> bool {
        let number = |name| given_number(given, name).unwrap_or_default();
        let Some(previous) = previous else { return true };
        if number("writing") == 2 || given_number(given, "last_seen") == Some(previous) {
            return true;
        }
        let (age, step, tolerance) = (clock - previous, number("step"), number("tolerance"));
        let nearest = (age.abs() + step / 2) / step * step;
        let zone = (step - tolerance..=number("furthest") + tolerance).contains(&age.abs())
            && (age.abs() - nearest).abs() <= tolerance;
        !(0..=number("oldest")).contains(&age) && !zone
    }
}

fn values<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
