//! The test bench: throw-away servers, a proxy that disturbs the network, the program itself. Every scenario uses it.
//!
//! Everything started here keeps its files in one folder per test process, and ends when its handle is dropped (even if
//! the test panics). If the test process itself is killed, a watcher kills what it started (see [`place`]). As root,
//! the servers run as the user of Debian's PostgreSQL package, because they refuse to run as root.
#![allow(dead_code, unused_imports, reason = "a set of tools: not every module uses all of them")]

pub(crate) mod beating_daemon;
pub(crate) mod course;
pub(crate) mod daemon;
pub(crate) mod driver;
pub(crate) mod findings;
pub(crate) mod fleet;
pub(crate) mod frontend;
pub(crate) mod heartbeat;
pub(crate) mod hostile;
pub(crate) mod metrics;
pub(crate) mod mongodb;
pub(crate) mod mongodb_scene;
pub(crate) mod mongosh;
pub(crate) mod mysql;
pub(crate) mod mysql_scene;
pub(crate) mod notify;
pub(crate) mod oracle;
pub(crate) mod page;
pub(crate) mod pgbouncer;
pub(crate) mod place;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod proxy;
pub(crate) mod psql;
pub(crate) mod remedy_register;
pub(crate) mod seeded_faults;
pub(crate) mod session;
pub(crate) mod sharing;
pub(crate) mod tds;
pub(crate) mod timing;
pub(crate) mod tls;
pub(crate) mod wait;

pub(crate) use daemon::{Daemon, heartbeatd};
pub(crate) use mongosh::{Mongosh, mongosh};
pub(crate) use mysql::{Flavour, Galera, MysqlServer, mysql_client};
pub(crate) use notify::NotifySocket;
pub(crate) use pgbouncer::PgBouncer;
pub(crate) use postgres::PostgresServer;
pub(crate) use proxy::{Proxy, Toxic};
pub(crate) use psql::psql;
pub(crate) use wait::{eventually, secs, steadily};
