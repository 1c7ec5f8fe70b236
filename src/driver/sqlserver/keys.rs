//! The keys of Microsoft's connection strings, in the spelling of .NET, ODBC and Java, and how each is handled. `ado`
//! and `family` parse addresses with them; `parameters` judges them.

use crate::driver::parameters::{Keys, Rule};

const IN_ADDRESS: &str = "belongs in the address itself: mssql://user@host:port/database";
const SECRET: &str = "a secret does not belong in parameters: use the setting password";
const POOL: &str = "heartbeatd keeps one connection for each target: take it out";
const TIMES: &str = "the target's setting timeout bounds connecting and each beat: take it out";
const WINDOWS: &str = "Windows and Kerberos logins are not offered: use a SQL login, or Authentication=AccessToken";
const ONLY_FALSE: &str = "only false is offered";
/// The reason for refusing a value that is neither true nor false.
pub(super) const BOOLEAN: &str = "only true and false are values of it";
const LOCAL: &str = "a local database of Windows is not offered: name a server";
const COLUMNS: &str = "the heartbeat's columns are not encrypted: take it out";
const NO_DIFFERENCE: &str = "nothing that heartbeatd sends depends on it: take it out";
const DSN: &str = "ODBC's data sources are not read: write Server=…;Database=…;UID=… in its place";
const LOG: &str = "heartbeatd writes no such log: take it out";
const KEEPALIVE: &str = "heartbeatd keeps an idle connection alive by itself: take it out";
const CERTIFICATE: &str = "client certificates are not offered: use a SQL login, or Authentication=AccessToken";
const STORE: &str = "a trust store of Java is not read: name the authority's certificate, in PEM, with CaFile";
/// Keys that are common in pasted addresses and have no effect, with the reason.
pub(super) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("CommandTimeout", BOUND),
    ("ConnectRetryCount", "as heartbeatd connects again by itself"),
    ("ConnectRetryInterval", "as heartbeatd connects again by itself"),
    ("ConnectTimeout", BOUND),
];
const BOUND: &str = "as the target's setting timeout bounds connecting and each beat";

const FALSE: &[&str] = &["false"];
const BOTH: &[&str] = &["true", "false"];
const PREFERENCES: &[&str] = &["ipv4first", "ipv6first", "useplatformdefault"];

/// The keys of Microsoft's clients, and `CaFile`:
/// <https://learn.microsoft.com/en-us/sql/connect/ado-net/connection-options>,
/// <https://learn.microsoft.com/en-us/sql/connect/odbc/dsn-connection-string-attribute> and
/// <https://learn.microsoft.com/en-us/sql/connect/jdbc/setting-the-connection-properties>.
const RULES: &[(&str, Rule)] = &[
    ("AccessToken", Rule::Refused("write Authentication=AccessToken, with the token as the setting password")),
    ("AnsiNPW", Rule::Only(BOTH, BOOLEAN)),
    ("ApplicationIntent", Rule::Honoured),
    ("ApplicationName", Rule::Honoured),
    ("AsynchronousProcessing", Rule::Only(BOTH, BOOLEAN)),
    ("AttachDBFilename", Rule::Refused(LOCAL)),
    ("AttestationProtocol", Rule::Refused(COLUMNS)),
    ("Authentication", Rule::Honoured),
    ("AuthenticationScheme", Rule::Refused(WINDOWS)),
    ("AutoTranslate", Rule::Only(BOTH, BOOLEAN)),
    ("CaFile", Rule::Honoured),
    ("CancelQueryTimeout", Rule::Refused(TIMES)),
    ("ClientCertificate", Rule::Refused(CERTIFICATE)),
    ("ClientKey", Rule::Refused(CERTIFICATE)),
    ("ClientKeyPassword", Rule::Refused(SECRET)),
    ("ColumnEncryptionSetting", Rule::Only(&["disabled"], "the heartbeat's columns are not encrypted")),
    ("CommandTimeout", Rule::Honoured),
    ("ConcatNullYieldsNull", Rule::Only(BOTH, BOOLEAN)),
    ("ConnectRetryCount", Rule::Honoured),
    ("ConnectRetryInterval", Rule::Honoured),
    ("ConnectTimeout", Rule::Honoured),
    ("ConnectionLifetime", Rule::Refused(POOL)),
    ("ConnectionReset", Rule::Only(BOTH, BOOLEAN)),
    ("ContextConnection", Rule::Only(FALSE, ONLY_FALSE)),
    ("CurrentLanguage", Rule::Refused(NO_DIFFERENCE)),
    ("DSN", Rule::Refused(DSN)),
    ("Database", Rule::Refused(IN_ADDRESS)),
    ("DelayLoadingLobs", Rule::Only(BOTH, BOOLEAN)),
    ("Description", Rule::Refused(NO_DIFFERENCE)),
    ("DisableStatementPooling", Rule::Only(BOTH, BOOLEAN)),
    ("Domain", Rule::Refused(WINDOWS)),
    ("Driver", Rule::Refused("this client is no ODBC driver: take it out")),
    ("EnclaveAttestationUrl", Rule::Refused(COLUMNS)),
    ("Encrypt", Rule::Honoured),
    ("Enlist", Rule::Only(BOTH, BOOLEAN)),
    ("FailoverPartner", Rule::Refused("name both servers: mssql://user@first,second/database")),
    ("FailoverPartnerSPN", Rule::Refused(WINDOWS)),
    ("FileDSN", Rule::Refused(DSN)),
    ("GetDataExtensions", Rule::Only(BOTH, BOOLEAN)),
    ("HostNameInCertificate", Rule::Honoured),
    ("IPAddressPreference", Rule::Only(PREFERENCES, "all addresses of a name are tried at once, whatever it says")),
    ("IntegratedSecurity", Rule::Only(FALSE, WINDOWS)),
    ("JaasConfigurationName", Rule::Refused(WINDOWS)),
    ("KeepAlive", Rule::Refused(KEEPALIVE)),
    ("KeepAliveInterval", Rule::Refused(KEEPALIVE)),
    ("KeyStoreLocation", Rule::Refused(COLUMNS)),
    ("KeyVaultProviderClientId", Rule::Refused(COLUMNS)),
    ("KeystoreAuthentication", Rule::Refused(COLUMNS)),
    ("KeystorePrincipalId", Rule::Refused(COLUMNS)),
    ("KeystoreSecret", Rule::Refused(COLUMNS)),
    ("LastUpdateCount", Rule::Only(BOTH, BOOLEAN)),
    ("LoadBalanceTimeout", Rule::Refused(POOL)),
    ("LockTimeout", Rule::Refused(TIMES)),
    ("LongAsMax", Rule::Only(BOTH, BOOLEAN)),
    ("MaxPoolSize", Rule::Refused(POOL)),
    ("MaxResultBuffer", Rule::Refused(NO_DIFFERENCE)),
    ("MinPoolSize", Rule::Refused(POOL)),
    ("MultiSubnetFailover", Rule::Only(BOTH, "all addresses of a name are tried at once, whatever it says")),
    ("MultipleActiveResultSets", Rule::Only(FALSE, ONLY_FALSE)),
    ("NetworkLibrary", Rule::Only(&["dbmssocn"], "only TCP is supported")),
    ("PacketSize", Rule::Refused("a beat is one packet: take it out")),
    ("Password", Rule::Refused(SECRET)),
    ("PersistSecurityInfo", Rule::Only(BOTH, BOOLEAN)),
    ("PoolBlockingPeriod", Rule::Refused(POOL)),
    ("Pooling", Rule::Only(BOTH, BOOLEAN)),
    ("PrepareMethod", Rule::Refused(NO_DIFFERENCE)),
    ("QueryLogFile", Rule::Refused(LOG)),
    ("QueryLogOn", Rule::Refused(LOG)),
    ("QueryLogTime", Rule::Refused(LOG)),
    ("QueryTimeout", Rule::Refused(TIMES)),
    ("QuotedId", Rule::Only(BOTH, BOOLEAN)),
    ("Realm", Rule::Refused(WINDOWS)),
    ("Regional", Rule::Only(BOTH, BOOLEAN)),
    ("Replication", Rule::Only(FALSE, ONLY_FALSE)),
    ("ResponseBuffering", Rule::Refused(NO_DIFFERENCE)),
    ("RetryExec", Rule::Refused(NO_DIFFERENCE)),
    ("SaveFile", Rule::Refused(DSN)),
    ("SelectMethod", Rule::Refused(NO_DIFFERENCE)),
    ("SendStringParametersAsUnicode", Rule::Only(BOTH, BOOLEAN)),
    ("SendTimeAsDatetime", Rule::Only(BOTH, BOOLEAN)),
    ("Server", Rule::Refused(IN_ADDRESS)),
    (
        "ServerCertificate",
        Rule::Refused("use CaFile with the authority's certificate, or the server's own if it signed itself"),
    ),
    ("ServerNameAsACE", Rule::Only(BOTH, BOOLEAN)),
    ("ServerSPN", Rule::Refused(WINDOWS)),
    ("SocketTimeout", Rule::Refused(TIMES)),
    ("StatementPoolingCacheSize", Rule::Refused(NO_DIFFERENCE)),
    ("StatsLogFile", Rule::Refused(LOG)),
    ("StatsLogOn", Rule::Refused(LOG)),
    ("TransactionBinding", Rule::Refused("a beat is a transaction by itself: take it out")),
    ("TransparentNetworkIPResolution", Rule::Only(BOTH, BOOLEAN)),
    ("TrustServerCertificate", Rule::Honoured),
    ("TrustStore", Rule::Refused(STORE)),
    ("TrustStorePassword", Rule::Refused(STORE)),
    ("TrustStoreType", Rule::Refused(STORE)),
    ("TypeSystemVersion", Rule::Refused("nothing that heartbeatd reads depends on it: take it out")),
    ("UseBulkCopyForBatchInsert", Rule::Only(BOTH, BOOLEAN)),
    ("UseDefaultJaasConfig", Rule::Refused(WINDOWS)),
    ("UseFMTONLY", Rule::Only(BOTH, BOOLEAN)),
    ("User", Rule::Refused(IN_ADDRESS)),
    ("UserInstance", Rule::Only(FALSE, LOCAL)),
    ("VectorTypeSupport", Rule::Refused(NO_DIFFERENCE)),
    ("WorkstationID", Rule::Honoured),
    ("XopenStates", Rule::Only(BOTH, BOOLEAN)),
];

/// Other names of these keys, squashed.
const ALIASES: &[(&str, &str)] = &[
    ("app", "ApplicationName"),
    ("async", "AsynchronousProcessing"),
    ("columnencryption", "ColumnEncryptionSetting"),
    ("connectiontimeout", "ConnectTimeout"),
    ("extendedproperties", "AttachDBFilename"),
    ("initialfilename", "AttachDBFilename"),
    ("language", "CurrentLanguage"),
    ("logintimeout", "ConnectTimeout"),
    ("mars", "MultipleActiveResultSets"),
    ("marsconnection", "MultipleActiveResultSets"),
    ("net", "NetworkLibrary"),
    ("network", "NetworkLibrary"),
    ("persistsecurity", "PersistSecurityInfo"),
    ("servercertificatename", "HostNameInCertificate"),
    ("timeout", "ConnectTimeout"),
    ("trustedconnection", "IntegratedSecurity"),
    ("wsid", "WorkstationID"),
];

/// The rules for a judgement of parameters.
pub(super) const KEYS: Keys = Keys { of: "SQL Server", rules: RULES };

/// A key in the form for comparison: lower case, without spaces, underscores and hyphens.
pub(super) fn squash(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// The key that a squashed name means.
pub(super) fn canonical(squashed: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == squashed).map(|(_, key)| *key);
    alias.or_else(|| RULES.iter().map(|(key, _)| *key).find(|key| key.eq_ignore_ascii_case(squashed)))
}

/// A parameter under its canonical key, with its value in one spelling. An unknown one is left as it is.
pub(super) fn normal(name: String, value: String) -> (String, String) {
    let Some(key) = canonical(&squash(&name)) else { return (name, value) };
    let has_words = RULES.iter().any(|(known, rule)| *known == key && matches!(rule, Rule::Only(..)));
    let value = match value.to_ascii_lowercase().as_str() {
        _ if !has_words && !["TrustServerCertificate", "Encrypt"].contains(&key) => value,
        "yes" | "1" => "true".to_owned(),
        "no" | "0" => "false".to_owned(),
        word => word.to_owned(),
    };
    (key.to_owned(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_of_a_switch_has_one_spelling() {
        for (name, value, expected) in [
            ("Trust Server Certificate", "Yes", ("TrustServerCertificate", "true")),
            ("MARS_Connection", "no", ("MultipleActiveResultSets", "false")),
            ("IP Address Preference", "IPv4First", ("IPAddressPreference", "ipv4first")),
            ("APP", "Yes", ("ApplicationName", "Yes")),
        ] {
            let (key, word) = normal(name.to_owned(), value.to_owned());
            assert_eq!((key.as_str(), word.as_str()), expected);
        }
    }
}
