//! Oracle's client libraries for C, for what the client in Rust cannot do. They must be installed. Only `connect` uses
//! this file, in builds with the cargo feature `oracle-oci`. No other file names the crate.
//!
//! The libraries are loaded at their first use. Without them every login fails at once; it can succeed after they are
//! installed. Before the first login they read `sqlnet.ora` and `tnsnames.ora` from one folder for the whole process.
//! `parameters` refuses an address that names its own folder, so `tns_admin` and `wallet` of a login are `None` here.

use oracle::sql_type::{OracleType, ToSql};
use oracle::{Connection, Connector, Error};

use super::client::{Bind, Block, Client, LONGEST_TEXT, Login, Value, Values};
use super::errors;
use crate::heartbeat::{ErrorKind, Failure};
use crate::secret::Secret;

/// ODPI-C's error if it cannot load the libraries.
const NOT_LOADED: i32 = 1047;

/// A session.
struct Oci {
    connection: Connection,
    version: String,
}

/// Logs in.
///
/// # Errors
/// `client_library` without the libraries; the error of the libraries or the server, classified.
pub(super) fn open(login: &Login) -> Result<Box<dyn Client>, Failure> {
    let mut connector = Connector::new(&login.user, Secret::expose(&login.password), &login.place);
    connector.external_auth(login.user.is_empty());
    let connection = connector.connect().map_err(classify)?;
    // Most calls have a shorter limit from their caller. This one ends a call that the caller has given up.
    connection.set_call_timeout(Some(login.within)).map_err(classify)?;
    // The server receives these with the first call.
    connection.set_module(&login.name).map_err(classify)?;
    connection.set_client_identifier(&login.name).map_err(classify)?;
    let (version, _) = connection.server_version().map_err(classify)?;
    Ok(Box::new(Oci { connection, version: format!("Oracle {version}") }))
}

impl Client for Oci {
    fn version(&self) -> String {
        self.version.clone()
    }

    fn run(&mut self, block: &Block) -> Result<Values, Failure> {
        let mut statement = self.connection.statement(&block.sql).build().map_err(classify)?;
        let values: Vec<(&str, Box<dyn ToSql>)> =
            block.binds.iter().map(|(name, bind)| (*name, value_of(bind))).collect();
        let values: Vec<(&str, &dyn ToSql)> = values.iter().map(|(name, value)| (*name, &**value)).collect();
        statement.execute_named(&values).map_err(classify)?;
        let mut out = Vec::new();
        for (name, bind) in &block.binds {
            match bind {
                Bind::NumberOut => out.push(Value::Number(statement.bind_value(*name).map_err(classify)?)),
                Bind::TextOut => out.push(Value::Text(statement.bind_value(*name).map_err(classify)?)),
                Bind::Number(_) | Bind::Text(_) => {}
            }
        }
        Ok(Values(out))
    }

    fn execute(&mut self, statement: &str) -> Result<(), Failure> {
        self.connection.execute(statement, &[]).map(|_| ()).map_err(classify)
    }

    fn close(self: Box<Self>) {
        // Nothing needs the result: the socket is closed in any case.
        let _ = self.connection.close();
    }
}

fn value_of(bind: &Bind) -> Box<dyn ToSql> {
    match bind {
        Bind::Number(number) => Box::new(*number),
        Bind::Text(text) => Box::new(text.clone()),
        Bind::NumberOut => Box::new(OracleType::Int64),
        Bind::TextOut => Box::new(OracleType::Varchar2(u32::try_from(LONGEST_TEXT).unwrap_or(u32::MAX))),
    }
}

fn classify(error: Error) -> Failure {
    if error.dpi_code() == Some(NOT_LOADED) {
        return Failure::new(ErrorKind::ClientLibrary, not_loaded(&error.to_string()))
            .with_code(format!("DPI-{NOT_LOADED}"))
            .with_source(error);
    }
    let failure = match error.db_error().map(|database| (database.code(), database.message().to_owned())) {
        Some((code, text)) if code > 0 => errors::of_server(code.unsigned_abs(), &text),
        _ => Failure::new(ErrorKind::Internal, error.to_string()),
    };
    failure.with_source(error)
}

/// Names the library that could not be loaded, from the quotes in the loader's message, and the folders where ODPI-C
/// searched, in their order.
fn not_loaded(words: &str) -> String {
    let cause =
        words.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or("libclntsh.so", |(cause, _)| cause);
    let shown = |name| match std::env::var(name) {
        Ok(value) => format!("{name} ({value})"),
        Err(_) => format!("{name} (not set)"),
    };
    format!(
        "Oracle's client libraries (Oracle Instant Client, package Basic or Basic Light) cannot be loaded: {cause}; looked for \
         beside the program, in the directories of the system's loader, in lib of {}, and in {}",
        shown("ORACLE_HOME"),
        // The longest part is last, because a long message is cut at its end.
        shown("LD_LIBRARY_PATH"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::driver::oracle::parameters::Library;

    #[test]
    fn a_missing_library_is_named() {
        let words = "DPI-1047: Cannot locate a 64-bit Oracle Client library: \"libaio.so.1: cannot open shared object file: No \
                     such file or directory\". See https://example.com for help";
        assert!(not_loaded(words).contains("cannot be loaded: libaio.so.1: cannot open"), "{}", not_loaded(words));
    }

    /// The tests have no libraries. On a machine where they are installed, the listener refuses the connection.
    #[test]
    fn without_the_libraries_every_login_fails_at_once_and_says_so() {
        let login = Login {
            library: Library::Oci,
            place: "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=1))(CONNECT_DATA=(SERVICE_NAME=x)))"
                .to_owned(),
            tns_admin: None,
            wallet: None,
            tls: false,
            may_be_tls: false,
            user: "hb".to_owned(),
            password: Secret::new("x"),
            name: "heartbeatd:test".to_owned(),
            within: Duration::from_secs(1),
            addresses: 1,
        };
        for _ in 0..2 {
            let failure = open(&login).err().unwrap();
            assert!(matches!(failure.kind(), ErrorKind::ClientLibrary | ErrorKind::Refused), "{failure}");
            for part in ["libclntsh.so", "Instant Client", "LD_LIBRARY_PATH", "ORACLE_HOME"] {
                assert!(failure.kind() == ErrorKind::Refused || failure.message().contains(part), "{failure}");
            }
        }
    }
}
