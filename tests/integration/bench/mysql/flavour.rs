//! The differences between the servers: programs, settings, and how to create a data folder. Used by `mysql`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::OnceCell;

use super::super::place::{Place, server_command};
use super::super::process::run;
use super::super::programs;
use super::{ADMIN, ADMIN_PASSWORD, defaults_file};

/// Which server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Debian's own MariaDB.
    #[default]
    Mariadb,
    /// The MySQL 9 of Debian's unstable release.
    Mysql,
    /// MySQL 5.7, the oldest version still in use.
    Mysql57,
}

/// Settings that save disk and memory; the same when the data folder is created.
const DISK: &str = "
innodb_flush_method = nosync
innodb_doublewrite = OFF
innodb_buffer_pool_size = 16M
";

impl Flavour {
    /// Every one of them.
    pub(crate) const ALL: [Self; 3] = [Self::Mariadb, Self::Mysql, Self::Mysql57];

    /// A short name for folders.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mariadb => "mariadb",
            Self::Mysql => "mysql",
            Self::Mysql57 => "mysql57",
        }
    }

    /// The word for a replica in its statements.
    pub(crate) fn replica_word(self) -> &'static str {
        if self == Self::Mysql { "REPLICA" } else { "SLAVE" }
    }

    /// The scheme of its addresses.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Mariadb => "mariadb",
            Self::Mysql | Self::Mysql57 => "mysql",
        }
    }

    /// The server.
    pub(super) fn server_program(self) -> PathBuf {
        match self {
            Self::Mariadb => programs::mariadb("mariadbd"),
            Self::Mysql => programs::mysql("mysql-9").join("sbin/mysqld"),
            Self::Mysql57 => programs::mysql("mysql-5.7").join("bin/mysqld"),
        }
    }

    /// Settings of the server, also for creating its data folder.
    pub(super) fn disk_settings(self) -> String {
        let own = match self {
            Self::Mariadb => "innodb_log_file_size = 8M".to_owned(),
            Self::Mysql => format!("innodb_redo_log_capacity = 8M\nmysqlx = OFF\n{}", installation("mysql-9")),
            Self::Mysql57 => format!("innodb_log_file_size = 4M\n{}", installation("mysql-5.7")),
        };
        format!("{DISK}{own}")
    }

    /// Additional settings of the server.
    pub(super) fn settings(self) -> &'static str {
        match self {
            // Its default format is MIXED.
            Self::Mariadb => "binlog_format = ROW\ngtid_strict_mode = ON\nlog_slave_updates = ON",
            Self::Mysql => "gtid_mode = ON\nenforce_gtid_consistency = ON",
            Self::Mysql57 => "gtid_mode = ON\nenforce_gtid_consistency = ON\nlog_slave_updates = ON",
        }
    }

    /// A data folder to copy, created once per test process; no binary log contains it. MySQL 9 must know at creation
    /// whether names are in lower case.
    pub(super) async fn template(self, lower_case_names: bool) -> PathBuf {
        static MARIADB: OnceCell<Place> = OnceCell::const_new();
        static MYSQL: OnceCell<Place> = OnceCell::const_new();
        static MYSQL_LOWER_CASE: OnceCell<Place> = OnceCell::const_new();
        static MYSQL57: OnceCell<Place> = OnceCell::const_new();
        let template = match self {
            Self::Mariadb => &MARIADB,
            Self::Mysql if lower_case_names => &MYSQL_LOWER_CASE,
            Self::Mysql => &MYSQL,
            Self::Mysql57 => &MYSQL57,
        };
        let make = async || {
            let place = Place::new("template");
            let mut initialisation = self.initialisation(&place);
            if self == Self::Mysql && lower_case_names {
                initialisation.arg("--lower-case-table-names=1");
            }
            run(initialisation).await;
            // Without this file, each copy creates an identity for itself.
            let identity = place.join("data/auto.cnf");
            if identity.exists() {
                std::fs::remove_file(identity).unwrap();
            }
            place
        };
        template.get_or_init(make).await.join("data")
    }

    fn initialisation(self, place: &Place) -> Command {
        let users = place.write("users.sql", self.users());
        let settings = place.write("init.cnf", format!("[mysqld]\n{}\n", self.disk_settings()));
        let program = match self {
            Self::Mariadb => programs::mariadb("mariadb-install-db"),
            Self::Mysql | Self::Mysql57 => self.server_program(),
        };
        let mut command = server_command(program);
        command.arg(defaults_file(&settings)).arg(option("datadir", &place.join("data")));
        command.arg(option("tmpdir", place.path()));
        match self {
            Self::Mariadb => {
                command.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]);
                command.arg(option("extra-file", &users));
            }
            Self::Mysql | Self::Mysql57 => {
                command.args(["--initialize-insecure", "--skip-log-bin", "--performance-schema=OFF"]);
                command.arg(option("init-file", &users));
            }
        }
        command
    }

    /// The file that creates the administrator; one statement per line, as the servers require.
    fn users(self) -> String {
        // Without this, a server that is being initialised knows no users.
        let mut sql = "FLUSH PRIVILEGES;\n".to_owned();
        for host in ["localhost", "127.0.0.1", "%"] {
            sql.push_str(&format!("CREATE USER {ADMIN}@'{host}' IDENTIFIED BY '{ADMIN_PASSWORD}';\n"));
            sql.push_str(&format!("GRANT ALL PRIVILEGES ON *.* TO {ADMIN}@'{host}' WITH GRANT OPTION;\n"));
        }
        sql
    }
}

/// Where an unpacked MySQL finds the files that it would look for below `/usr`.
fn installation(name: &str) -> String {
    let home = programs::mysql(name);
    let home = home.display();
    format!("basedir = {home}\nlc_messages_dir = {home}/share/mysql\nsecure_file_priv =\n")
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}
