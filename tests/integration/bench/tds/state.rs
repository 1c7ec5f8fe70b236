//! The content of the double's server: one heartbeat table, its change data capture, users and grants. The columns that
//! a batch asks for identify the batch.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::answer::{Answer, Cell, Rows};

/// The heartbeat table, as batches write it.
const TABLE: &str = "[streamkap].[streamkap_heartbeat]";

/// The state; all times are ticks of 100 ns since 1970.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) schema: bool,
    pub(crate) table: bool,
    /// The type of `last_update`, and its digits.
    pub(crate) kind: (&'static str, i64),
    /// Its unique indexes.
    pub(crate) indexes: Vec<Index>,
    /// Whether each old row goes into a history table.
    pub(crate) system_versioned: bool,
    pub(crate) memory_optimized: bool,
    /// `last_update` by id.
    pub(crate) rows: BTreeMap<i64, Option<i64>>,
    /// Whether a trigger undoes every update.
    pub(crate) undone: bool,
    pub(crate) read_only: bool,
    pub(crate) secondary: bool,
    /// How far the clock is ahead of this machine's.
    pub(crate) ahead: i64,
    pub(crate) identity: String,
    /// 3 is Enterprise, 5 Azure SQL Database.
    pub(crate) engine_edition: i64,
    pub(crate) rds: bool,
    pub(crate) filegroup: bool,
    pub(crate) cdc: bool,
    pub(crate) tracked: bool,
    /// The newest captured change, if the job no longer follows the rows.
    pub(crate) captured_until: Option<i64>,
    /// What the capture job has copied to the change table: the kind of a change, and `last_update`.
    pub(crate) changes: Vec<(i64, Option<i64>)>,
    /// The name of this session's user in the database.
    pub(crate) user: String,
    pub(crate) principals: Vec<String>,
    /// Member and role.
    pub(crate) members: Vec<(String, String)>,
    /// Grantee, privilege, and whether it is a DENY.
    pub(crate) grants: Vec<(String, String, bool)>,
    /// Whether the user sees the objects of others, including msdb.
    pub(crate) administrator: bool,
    /// What `@@VERSION` begins with.
    pub(crate) product: &'static str,
    /// What it does not support: it refuses every batch that contains one of these.
    pub(crate) lacks: Vec<&'static str>,
    /// Expressions that it answers with NULL, by their names.
    pub(crate) nulls: Vec<&'static str>,
    /// What a trigger undoes of the steps of provisioning: each batch that has this in it is accepted and does nothing.
    pub(crate) undoes: Option<&'static str>,
    /// Whether it has the procedures of change data capture.
    pub(crate) cdc_procedures: bool,
    /// Whether it lists permissions.
    pub(crate) lists_permissions: bool,
    /// The number of the error for a missing table.
    pub(crate) missing: u32,
}

/// A unique index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// Whether it is the primary key's.
    pub(crate) primary: bool,
    /// Whether it covers only some rows.
    pub(crate) filtered: bool,
    pub(crate) disabled: bool,
    pub(crate) columns: Vec<&'static str>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            schema: true,
            table: true,
            kind: ("datetime2", 7),
            indexes: vec![Index { primary: true, columns: vec!["id"], ..Index::default() }],
            system_versioned: false,
            memory_optimized: false,
            rows: [(1, None)].into(),
            undone: false,
            read_only: false,
            secondary: false,
            ahead: 0,
            identity: "5B7A1F0C-0000-4000-8000-000000000001".to_owned(),
            engine_edition: 3,
            rds: false,
            filegroup: false,
            cdc: true,
            tracked: true,
            captured_until: None,
            changes: Vec::new(),
            user: "beat".to_owned(),
            principals: ["public", "dbo", "beat", "streamkap_user", "streamkap_role"].map(str::to_owned).to_vec(),
            members: vec![("streamkap_user".to_owned(), "streamkap_role".to_owned())],
            grants: ["SELECT", "INSERT", "UPDATE", "DELETE"]
                .iter()
                .flat_map(|privilege| {
                    ["beat", "streamkap_role"].map(|to| (to.to_owned(), (*privilege).to_owned(), false))
                })
                .collect(),
            administrator: true,
            product: "Microsoft SQL Server 2022 (RTM-CU14) - 16.0.4125.3 (X64)",
            lacks: Vec::new(),
            nulls: Vec::new(),
            undoes: None,
            cdc_procedures: true,
            lists_permissions: true,
            missing: 208,
        }
    }
}

/// Whether a batch is a beat that may write.
pub(super) fn is_beat(batch: &str) -> bool {
    batch.contains("BEGIN TRANSACTION;")
}

/// Microseconds of ticks.
pub(crate) fn micros(ticks: i64) -> i64 {
    ticks.div_euclid(10)
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

fn number_behind(text: &str, before: &str) -> Option<i64> {
    let (_, rest) = text.split_once(before)?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

impl State {
    /// An empty database, as before provisioning.
    pub(crate) fn empty() -> Self {
        let principals = ["public", "dbo", "beat", "streamkap_user"].map(str::to_owned).to_vec();
        Self {
            schema: false,
            table: false,
            rows: BTreeMap::new(),
            tracked: false,
            principals,
            members: Vec::new(),
            grants: Vec::new(),
            user: "dbo".to_owned(),
            ..Self::default()
        }
    }

    /// The clock.
    pub(crate) fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(now.as_nanos() / 100).unwrap() + self.ahead
    }

    /// `last_update` of row 1 in microseconds.
    pub(crate) fn last_update(&self) -> Option<i64> {
        self.rows.get(&1).copied().flatten().map(micros)
    }

    /// Answers a batch.
    pub(super) fn run(&mut self, batch: &str) -> Answer {
        let has = |column: &str| batch.contains(column);
        if let Some(lacking) = self.lacks.iter().find(|lacking| has(lacking)) {
            // Babelfish's number for nearly everything.
            return Answer::error(33_557_097, &format!("{lacking} does not exist"));
        }
        let reads_table = has(&format!("FROM {TABLE}")) || is_beat(batch);
        if reads_table && !self.table {
            return Answer::error(self.missing, &format!("Invalid object name '{TABLE}'."));
        }
        if is_beat(batch) {
            return self.beat(batch);
        }
        let rows = if has("0 AS changed, 0 AS stale") {
            self.look(batch)
        } else if has("SELECT id, last_update FROM") {
            let rows = self.rows.iter().map(|(id, time)| vec![Cell::number(*id), Cell::Time(*time)]);
            Rows::of(&["id", "last_update"], rows.collect())
        } else if has("FROM cdc.streamkap_streamkap_heartbeat_CT ") {
            let newest = self.changes.iter().rev().take(6);
            let rows = newest.map(|(operation, value)| vec![Cell::number(*operation), Cell::Time(*value)]);
            Rows::of(&["__$operation", "last_update"], rows.collect())
        } else if let Some(rows) = self.catalogue(batch).or_else(|| self.expressions(batch)) {
            rows
        } else {
            return self.change(batch);
        };
        rows.into()
    }

    fn role(&self) -> [(&'static str, Cell); 2] {
        let word = if self.read_only || self.secondary { "READ_ONLY" } else { "READ_WRITE" };
        [("updateability", Cell::text(word)), ("read_only", Cell::number(i64::from(self.read_only)))]
    }

    /// The expressions that a batch asks for, by their names.
    fn expressions(&self, batch: &str) -> Option<Rows> {
        let asked = |name: &str| [",", ";"].iter().any(|end| batch.contains(&format!(" AS {name}{end}")));
        let mut cells: Vec<_> = self.known().into_iter().filter(|(name, _)| asked(name)).collect();
        for (name, cell) in &mut cells {
            if self.nulls.contains(name) {
                // A bare NULL has the type int.
                *cell = Cell::Number(None);
            }
        }
        (!cells.is_empty()).then(|| Rows::one(cells))
    }

    fn known(&self) -> Vec<(&'static str, Cell)> {
        let flag = |on: bool| Cell::number(i64::from(on));
        let id = |there: bool| Cell::Number(there.then_some(5));
        let (kind, scale) = self.kind;
        let may = |privilege: &str| {
            let holds = self.grants.iter().any(|(to, what, denied)| to == &self.user && what == privilege && !denied);
            Cell::Number(self.table.then_some(i64::from(holds || self.user == "dbo")))
        };
        let mut known = vec![
            ("version", Cell::text("16.0.4125.3")),
            ("edition", Cell::text("Enterprise Edition (64-bit)")),
            ("engine_edition", Cell::number(self.engine_edition)),
            ("babelfish", Cell::Number(None)),
            ("product", Cell::text(format!("{}\n\tCopyright", self.product))),
            ("cdc_procedures", flag(self.cdc_procedures)),
            ("identity_", Cell::text(&self.identity)),
            ("started", Cell::text("2026-11-01T00:00:00.000")),
            ("availability_groups", flag(self.secondary)),
            ("rds", flag(self.rds)),
            ("filegroup_", flag(self.filegroup)),
            ("own_name", Cell::text(&self.user)),
            ("database_name", Cell::text(super::DATABASE)),
            ("server_time", Cell::Time(Some(self.now()))),
            ("cdc", flag(self.cdc)),
            ("recovery_model", Cell::text("FULL")),
            ("log_reuse_wait", Cell::text("NOTHING")),
            ("snapshot_isolation", Cell::text("ON")),
            ("schema_id", id(self.schema)),
            ("table_id", id(self.table)),
            ("user_table", id(self.table)),
            ("column_length", id(self.table)),
            ("kind", Cell::Text(self.table.then(|| "USER_TABLE".to_owned()))),
            ("tracked", Cell::Number(self.table.then_some(i64::from(self.tracked)))),
            ("temporal", Cell::Number(self.table.then_some(if self.system_versioned { 2 } else { 0 }))),
            ("in_memory", Cell::Number(self.table.then_some(i64::from(self.memory_optimized)))),
            ("column_type", Cell::Text(self.table.then(|| kind.to_owned()))),
            ("column_scale", Cell::Number(self.table.then_some(scale))),
            ("can_select", may("SELECT")),
            ("can_insert", may("INSERT")),
            ("can_update", may("UPDATE")),
        ];
        known.extend(self.role());
        known
    }

    /// The value of a time after the column's type has rounded it.
    fn stored(&self, ticks: i64) -> i64 {
        let step = match self.kind {
            // Ticks of a three-hundredth of a second.
            ("datetime", _) => return (ticks * 3 + 50_000).div_euclid(100_000) * 100_000 / 3,
            (_, scale) => 10_i64.pow(u32::try_from(7 - scale).unwrap()),
        };
        (ticks + step / 2).div_euclid(step) * step
    }

    fn beat(&mut self, batch: &str) -> Answer {
        let id = number_behind(batch, " WHERE id = ").unwrap();
        let (previous, seen) = (self.rows.get(&id).copied().flatten(), i64::from(self.rows.contains_key(&id)));
        let now = self.now();
        let age = previous.map(|previous| (now - previous).div_euclid(10_000));
        let conditional = !batch.contains("SET @stale = 1;");
        let stale = !conditional || self.is_stale(batch, previous, age);
        if (self.read_only || self.secondary) && stale {
            return Answer::error(3906, "Failed to update database because the database is read-only.");
        }
        let mut written = self.stored(now);
        if previous.is_some_and(|previous| written <= previous) && age.is_some_and(|age| age >= -5_000) {
            let unit = between(batch, "DATEADD(", ", @found)").unwrap();
            let (unit, count) = unit.split_once(", ").unwrap();
            let ticks = match unit {
                "second" => 10_000_000,
                "millisecond" => 10_000,
                "microsecond" => 10,
                other => panic!("no such unit here: {other}"),
            };
            written = self.stored(previous.unwrap() + ticks * count.parse::<i64>().unwrap());
        }
        let changed = stale && seen == 1;
        if changed && !self.undone {
            self.rows.insert(id, Some(written));
            if self.cdc && self.tracked {
                // The row before the update, and after it.
                self.changes.extend([(3, previous), (4, Some(written))]);
            }
        }
        let value = self.rows.get(&id).copied().flatten();
        Rows::one(vec![
            ("seen", Cell::number(seen)),
            ("changed", Cell::number(i64::from(changed))),
            ("stale", Cell::number(i64::from(stale))),
            ("previous", Cell::Time(previous)),
            ("value", Cell::Time(value)),
            ("server_time", Cell::Time(Some(now))),
        ])
        .into()
    }

    /// The condition of `when-stale`, with the numbers that the batch gives.
    fn is_stale(&self, batch: &str, previous: Option<i64>, age: Option<i64>) -> bool {
        let (Some(previous), Some(age)) = (previous, age) else { return true };
        if let Some(literal) = between(batch, "@previous >= CAST('", "'") {
            let time = chrono::NaiveDateTime::parse_from_str(literal, "%Y-%m-%dT%H:%M:%S%.f").unwrap();
            if micros(previous) == time.and_utc().timestamp_micros() {
                return true;
            }
        }
        let oldest = number_behind(batch, "NOT @age BETWEEN -5000 AND ").unwrap();
        let nearest = number_behind(batch, "ABS(@age) BETWEEN ").unwrap();
        let (step, tolerance) = (900_000, 900_000 - nearest);
        let furthest = number_behind(batch, &format!("ABS(@age) BETWEEN {nearest} AND ")).unwrap();
        let apart = age.abs();
        let zone = (nearest..=furthest).contains(&apart) && (apart % step <= tolerance || apart % step >= nearest);
        !(-5_000..=oldest).contains(&age) && !zone
    }

    fn look(&self, batch: &str) -> Rows {
        let id = number_behind(batch, " WHERE id = ").unwrap();
        let value = self.rows.get(&id).copied().flatten();
        let mut cells = vec![
            ("seen", Cell::number(i64::from(self.rows.contains_key(&id)))),
            ("changed", Cell::number(0)),
            ("stale", Cell::number(0)),
            ("previous", Cell::Time(value)),
            ("value", Cell::Time(value)),
            ("server_time", Cell::Time(Some(self.now()))),
        ];
        cells.extend(self.role());
        Rows::one(cells)
    }

    /// The queries of the checks and the plan.
    fn catalogue(&self, batch: &str) -> Option<Rows> {
        let flag = |on: bool| Cell::number(i64::from(on));
        let has = |column: &str| batch.contains(column);
        Some(if has(" AS session_user_name") {
            Rows::one(vec![
                ("session_user_name", Cell::text(&self.user)),
                ("session_database", Cell::text(super::DATABASE)),
            ])
        } else if has(" AS key_") {
            let asked = self.indexes.iter().enumerate().filter(|(_, index)| {
                let fits = !(index.filtered && has("i.has_filter = 0") || index.disabled && has("i.is_disabled = 0"));
                self.table && (index.primary || has("i.is_unique = 1") && fits)
            });
            let row = |(place, index): (usize, &Index), name: &str| {
                vec![Cell::number(i64::try_from(place).unwrap()), flag(index.primary), Cell::text(name)]
            };
            let columns = asked.flat_map(|index| index.1.columns.iter().map(move |name| row(index, name)));
            Rows::of(&["index_", "primary_", "key_"], columns.collect())
        } else if has(" AS has_default ") {
            let (kind, scale) = self.kind;
            let columns = [("id", "int", 0, true), ("text", "nvarchar", 0, false), ("last_update", kind, scale, false)];
            let names = ["name", "kind", "scale", "nullable", "identity_", "computed", "has_default"];
            let row = |(name, kind, scale, id): (&str, &str, i64, bool)| {
                let last = name == "last_update";
                vec![
                    Cell::text(name),
                    Cell::text(kind),
                    Cell::number(scale),
                    flag(!id),
                    flag(id),
                    flag(false),
                    flag(last),
                ]
            };
            Rows::of(&names, columns.into_iter().map(row).collect())
        } else if has(" AS total") {
            let id = number_behind(batch, " WHERE id = ").unwrap();
            Rows::one(vec![
                ("total", Cell::number(i64::try_from(self.rows.len()).unwrap())),
                ("found", Cell::number(i64::from(self.rows.contains_key(&id)))),
                ("other", Cell::Number(self.rows.keys().copied().find(|other| *other != id))),
                ("last_update", Cell::Time(self.rows.get(&id).copied().flatten())),
            ])
        } else if has(" AS sees_all") {
            Rows::one(vec![("sees_all", flag(self.administrator))])
        } else if has("FROM sys.database_principals") {
            Rows::of(&["name"], self.principals.iter().map(|name| vec![Cell::text(name)]).collect())
        } else if has(" AS member,") {
            let row = |(member, role): &(String, String)| vec![Cell::text(member), Cell::text(role)];
            Rows::of(&["member", "role_name"], self.members.iter().map(row).collect())
        } else if has(" AS grantee") {
            let row = |(to, what, denied): &(String, String, bool)| {
                vec![Cell::text(to), Cell::text(what), flag(*denied), flag(false)]
            };
            let names = ["grantee", "permission", "denied", "on_column"];
            // Every connected user holds it.
            let connect = ("dbo".to_owned(), "CONNECT".to_owned(), false);
            let grants = self.grants.iter().chain([&connect]).filter(|_| self.lists_permissions);
            Rows::of(&names, grants.map(row).collect())
        } else if has(" AS instance,") {
            let row = |column: &str| {
                vec![Cell::text("streamkap_streamkap_heartbeat"), Cell::text("streamkap_role"), Cell::text(column)]
            };
            let columns = if self.tracked { vec![row("id"), row("text"), row("last_update")] } else { Vec::new() };
            Rows::of(&["instance", "role_name", "captured"], columns)
        } else if has("cdc.lsn_time_mapping") {
            let until = self.captured_until.or_else(|| self.rows.values().copied().flatten().max());
            Rows::one(vec![("captured", Cell::Time(until))])
        } else if has(" AS tracked FROM cdc.change_tables") {
            Rows::one(vec![("tracked", Cell::number(12))])
        } else if has("sys.dm_cdc_errors") {
            Rows::of(&["number", "message", "at_"], Vec::new())
        } else if has("msdb.dbo.sysjobactivity") {
            Rows::one(vec![("continuous_", flag(true)), ("running", flag(true))])
        } else if has("msdb.dbo.cdc_jobs") {
            let row = |kind: &str, minutes: i64| vec![Cell::text(kind), Cell::number(minutes), flag(true)];
            Rows::of(&["kind", "retention", "enabled"], vec![row("capture", 0), row("cleanup", 4_320)])
        } else if has("sys.dm_server_services") {
            Rows::one(vec![("status", Cell::text("Running"))])
        } else if has("msdb.dbo.sysjobsteps") {
            Rows::of(&["name", "enabled"], Vec::new())
        } else if has(" AS primary_replica") {
            Rows::one(vec![("primary_replica", flag(!self.secondary))])
        } else if has("sys.triggers") {
            Rows::of(&["name"], Vec::new())
        } else {
            return None;
        })
    }

    /// A step of provisioning; anything else does nothing.
    fn change(&mut self, batch: &str) -> Answer {
        let name_behind = |before: &str| between(batch, before, "]").map(str::to_owned);
        if self.undoes.is_some_and(|undone| batch.contains(undone)) {
            return Answer::default();
        }
        if batch.contains("CREATE SCHEMA") {
            self.schema = true;
        } else if batch.contains("CREATE TABLE") {
            if !self.schema {
                return Answer::error(2760, "The specified schema name does not exist.");
            }
            self.table = true;
        } else if batch.contains("INSERT INTO") && self.rows.is_empty() {
            let id = number_behind(batch, "\nSELECT ").unwrap();
            let now = self.now();
            self.rows.insert(id, Some(now));
        } else if let Some(role) = name_behind("CREATE ROLE [") {
            self.principals.push(role);
        } else if let Some(member) = name_behind("ADD MEMBER [") {
            self.members.push((member, name_behind("ALTER ROLE [").unwrap()));
        } else if let Some(privileges) = between(batch, "GRANT ", " ON OBJECT::") {
            let to = name_behind(" TO [").unwrap();
            self.grants.extend(privileges.split(", ").map(|privilege| (to.clone(), privilege.to_owned(), false)));
        } else if batch.contains("cdc_enable_db") {
            self.cdc = true;
        } else if batch.contains("sp_cdc_enable_table") {
            if !self.cdc {
                return Answer::error(22_901, "The database is not enabled for Change Data Capture.");
            }
            self.tracked = true;
        }
        Answer::default()
    }
}
