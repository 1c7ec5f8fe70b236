//! Oracle's own client in Rust, a beta version, which needs no installation. Only `connect` uses this file. No other
//! file names the crate.
//!
//! The driver works around what the client lacks: it waits without limits (`hung_call`), some answers make it panic,
//! and a panic inside one of its own values would end the program (see [`Thin::run`]).

use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use oracledb::{Config, Connection, DB_TYPE_NUMBER, DB_TYPE_VARCHAR, ErrorKind as Crate, ToDbValue};

use super::client::{Bind, Block, Client, Login, Value, Values};
use super::errors::{self, NO_ALIAS, NO_SERVICE, NO_SID};
use super::system_wallet::SystemWallet;
use crate::heartbeat::{ErrorKind, Failure};
use crate::secret::Secret;

/// A session.
struct Thin {
    connection: Connection,
}

/// Logs in.
///
/// # Errors
/// The error of the client or the server, classified.
pub(super) fn open(login: &Login) -> Result<Box<dyn Client>, Failure> {
    // Without a wallet the client trusts only Mozilla's authorities, which it contains.
    let system = if login.may_be_tls && login.wallet.is_none() { SystemWallet::make() } else { Ok(None) };
    let words = |error: oracledb::Error| while_connecting(&error, login.tls, system.as_ref().err());
    let mut config = Config::default()
        .set_credentials(&login.user, Secret::expose(&login.password))
        .set_transport_connect_timeout(Some(login.within / login.addresses))
        .set_program(network_name(&login.name))
        .map_err(words)?;
    if let Some(folder) = &login.tns_admin {
        config = config.set_config_dir(folder);
    }
    let system_folder = system.as_ref().ok().and_then(Option::as_ref).map(SystemWallet::folder);
    if let Some(wallet) = login.wallet.clone().or(system_folder) {
        config = config.set_wallet_location(wallet);
    }
    let config = config.set_connect_string(&login.place).map_err(words)?;
    let connection = oracledb::connect(config).map_err(words)?;
    // The server receives these with the first call.
    connection.set_module(&login.name).map_err(|error| classify(&error))?;
    connection.set_client_identifier(&login.name).map_err(|error| classify(&error))?;
    Ok(Box::new(Thin { connection }))
}

impl Client for Thin {
    fn version(&self) -> String {
        match self.connection.version() {
            Ok(version) => format!("Oracle {version}"),
            Err(_) => "Oracle of an unknown version".to_owned(),
        }
    }

    /// When the crate's statement is dropped, it locks its connection. After a panic that lock is poisoned, so the drop
    /// would panic, too. A second panic during unwinding would end the program. So the statement is dropped only if no
    /// panic is unwinding.
    fn run(&mut self, block: &Block) -> Result<Values, Failure> {
        let mut statement = self
            .connection
            .statement(&block.sql)
            .and_then(oracledb::StatementBuilder::build)
            .map(ManuallyDrop::new)
            .map_err(|error| classify(&error))?;
        let values: Vec<(&str, Box<dyn ToDbValue>)> =
            block.binds.iter().map(|(name, bind)| (*name, value_of(bind))).collect();
        let values: Vec<(&str, &dyn ToDbValue)> = values.iter().map(|(name, value)| (*name, &**value)).collect();
        let executed = catch_unwind(AssertUnwindSafe(|| statement.execute_named(&values)));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(ManuallyDrop::into_inner(statement))));
        let result = executed.and_then(|result| dropped.map(|()| result)).unwrap_or_else(|panic| resume_unwind(panic));
        let mut result = result.map_err(|error| classify(&error))?;
        if block.binds.iter().all(|(_, bind)| !bind.comes_out()) {
            return Ok(Values(Vec::new()));
        }
        let row = result.out_bind_data();
        let out = block.binds.iter().map(|(_, bind)| bind).filter(|bind| bind.comes_out());
        let read = out.enumerate().map(|(place, bind)| match bind {
            Bind::NumberOut => row.get(place).map(Value::Number),
            _ => row.get(place).map(Value::Text),
        });
        read.collect::<Result<Vec<_>, _>>().map(Values).map_err(|error| classify(&error))
    }

    fn execute(&mut self, statement: &str) -> Result<(), Failure> {
        self.run(&Block { sql: statement.to_owned(), binds: Vec::new() }).map(|_| ())
    }

    fn close(mut self: Box<Self>) {
        // Nothing needs the result: the socket is closed in any case.
        let _ = self.connection.close();
    }
}

impl Bind {
    fn comes_out(&self) -> bool {
        matches!(self, Self::NumberOut | Self::TextOut)
    }
}

fn value_of(bind: &Bind) -> Box<dyn ToDbValue> {
    match bind {
        Bind::Number(number) => Box::new(*number),
        Bind::Text(text) => Box::new(text.clone()),
        Bind::NumberOut => Box::new(DB_TYPE_NUMBER),
        Bind::TextOut => Box::new(DB_TYPE_VARCHAR),
    }
}

/// The name in characters that the listener's log accepts.
fn network_name(name: &str) -> String {
    name.chars().map(|c| if super::parameters::is_plain(c) { c } else { '_' }).collect()
}

/// Classifies a failure of the login. If it has no code of the server or of the operating system, TLS failed. If the
/// system's authorities could not be used (`untrusted`), the message says that, too.
fn while_connecting(error: &oracledb::Error, tls: bool, untrusted: Option<&io::Error>) -> Failure {
    let failure = classify(error);
    // A name that does not resolve has no code either.
    let unexplained = failure.kind() == ErrorKind::Network
        && matches!(error.kind(), Crate::StreamOperation)
        && system_error(error).is_none();
    if !(tls && unexplained) {
        return failure;
    }
    let message = failure.message();
    Failure::new(
        ErrorKind::Tls,
        match untrusted {
            Some(error) => format!(
                "{message}; only Mozilla's authorities were trusted: to trust this machine's, heartbeatd makes a \
                 folder in TMPDIR or /dev/shm, which failed: {error}"
            ),
            None => message.to_owned(),
        },
    )
}

/// Classifies an error. The crate's own text quotes addresses, so it is used only if nothing else describes the
/// failure.
fn classify(error: &oracledb::Error) -> Failure {
    let protocol =
        |words: &str| Failure::new(ErrorKind::Protocol, format!("not an answer of Oracle's protocol: {words}"));
    match error.kind() {
        Crate::DbError(database) => {
            errors::of_server(u32::try_from(database.code()).unwrap_or_default(), database.message())
        }
        Crate::InvalidServiceName(..) => errors::of_code(NO_SERVICE),
        Crate::InvalidSid(..) => errors::of_code(NO_SID),
        Crate::ListenerRefusedConnection(.., code) => errors::of_code(u32::try_from(*code).unwrap_or_default()),
        Crate::TnsAliasNotFound(file, _) => {
            let failure = Failure::new(ErrorKind::Settings, format!("the alias is not in {file}"));
            failure.with_code(errors::shown(NO_ALIAS))
        }
        Crate::StreamOperation => match system_error(error) {
            Some(cause) => errors::of_io(cause),
            None => {
                let words = error.to_string();
                let cause = words.strip_prefix("stream operation failed: ").unwrap_or(&words);
                let name = cause.starts_with("failed to lookup address");
                Failure::new(if name { ErrorKind::Name } else { ErrorKind::Network }, cause)
            }
        },
        Crate::DeadConnection | Crate::NotConnected | Crate::UnableToRecover => {
            Failure::new(ErrorKind::Network, "the server closed the connection")
        }
        Crate::CallTimeoutExceeded => Failure::new(ErrorKind::Timeout, "the server could not be reached in time"),
        Crate::TlsOperation
        | Crate::PemFileOperation
        | Crate::WalletPasswordMissingOrInvalid(..)
        | Crate::WalletPrivateKeyInvalid(_)
        | Crate::WalletUnreadable(_) => Failure::new(ErrorKind::Tls, error.to_string()),
        Crate::NoCredentials => Failure::new(ErrorKind::Auth, "the address has no user, or there is no password"),
        Crate::NoConfigDir
        | Crate::InvalidConnectString(..)
        | Crate::InvalidDescriptorNode(..)
        | Crate::ParseError(..) => {
            Failure::new(ErrorKind::Settings, "the descriptor, or the file that it comes from, cannot be read")
        }
        Crate::ServerVersionNotSupported => protocol("the server is older than Oracle 12"),
        Crate::UnexpectedRefuse(_) => protocol("a refusal without a code"),
        Crate::OutOfData
        | Crate::InvalidEncodedString
        | Crate::UnknownTtcMessageType(..)
        | Crate::UnknownServerSidePiggyback(_)
        | Crate::UnexpectedResult
        | Crate::IntegerTooLarge(..)
        | Crate::UnsupportedConversion(..)
        | Crate::InvalidRedirect(_) => protocol("it cannot be read"),
        _ => Failure::new(ErrorKind::Internal, error.to_string()),
    }
}

/// The operating system's error behind an error of the crate. The crate shows it only in its text, not as a source.
fn system_error(error: &oracledb::Error) -> Option<io::Error> {
    let words = error.to_string();
    let (_, number) = words.rsplit_once("(os error ")?;
    number.strip_suffix(')')?.parse().ok().map(io::Error::from_raw_os_error)
}
