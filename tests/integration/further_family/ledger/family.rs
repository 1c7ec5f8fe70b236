//! The ledger's family: addresses whose host has an instance (`ledger+mem://user@hall\SHELF/book`), a row with text as
//! its id, and two keys for its connectors.

use heartbeatd::database_url::{AddressParts, DatabaseUrl, Family, UrlError};
use heartbeatd::driver::rules::{ConnectorKey, Defaults, Judgement};
use heartbeatd::target::{ConnectorMode, Endpoint, HeartbeatTable, RowId, Target};

pub(super) const FAMILY: Family = Family::new("ledger");
pub(super) const SCHEMES: &[&str] = &["ledger", "ledger+mem"];

pub(super) const CHANNEL: ConnectorKey =
    ConnectorKey::name("channel", "Ledger: the channel it reads.").or("heartbeats").variable("CHANNEL");
pub(super) const TOPICS: ConnectorKey = ConnectorKey::names("topics", "Ledger: what it tracks.");
pub(super) const CONNECTOR_KEYS: &[ConnectorKey] = &[CHANNEL, TOPICS];

pub(super) fn defaults() -> Defaults {
    Defaults {
        heartbeat: HeartbeatTable {
            schema: "books".to_owned(),
            table: "heartbeat".to_owned(),
            row: RowId::Text("pulse".to_owned()),
        },
        connector_user: "reader",
        connector_mode: ConnectorMode::ReadOnly,
    }
}

pub(super) fn parse(scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
    let (url, password) = AddressParts::of_server(scheme, rest)?.into_server(FAMILY)?;
    Ok(Endpoint::new(url, password))
}

pub(super) fn validate(target: &Target) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.endpoints(target, |endpoint| match endpoint.url.hosts().iter().find(|host| host.instance.is_none()) {
        Some(host) => Err(UrlError::Refused {
            name: host.name.clone(),
            reason: "a hall has shelves: write hall\\SHELF".to_owned(),
        }),
        None if endpoint.url.scheme() == "ledger" => Ok(vec!["kept on paper".to_owned()]),
        None => Ok(Vec::new()),
    });
    if TOPICS.listed(target).iter().any(|topic| topic == "everything") {
        judgement.complain("connector.topics", "name them one by one");
    }
    judgement
}

/// The address of a book.
pub(super) fn address(url: &DatabaseUrl) -> String {
    let host = &url.hosts()[0];
    format!("{}\\{}/{}", host.name, host.instance.as_deref().unwrap_or_default(), url.database())
}
