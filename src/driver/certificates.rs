//! Certificates: reads the files of an address at each connect, so that the next connection uses a replaced file, and
//! finds out from the client library's error which certificate is wrong. The drivers' `connect` and `remedies` use it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::{AlertDescription, RootCertStore};

use super::network::words_of_io;
use crate::bounded_read::{Accept, Bounds, read_file};
use crate::descriptors::is_shortage;
use crate::heartbeat::{ErrorKind, Failure};
use crate::time::clock::Clock;

/// More than a bundle of every public authority, which has about 250 KiB.
const BOUNDS: Bounds = Bounds { bytes: 16 * 1024 * 1024, within: Duration::from_secs(5), accept: Accept::RegularFiles };

/// The client's own certificate and its key, as the address names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// Which certificate caused a failed login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A file is missing, unreadable, or has the wrong content.
    File,
    /// The server refuses the client's certificate.
    Refused,
    /// The server requires a client certificate, and the address names none.
    Missing,
}

impl Cause {
    fn words(self) -> &'static str {
        match self {
            Self::File => "a file with a certificate or a key cannot be used",
            Self::Refused => "the client's certificate is refused",
            Self::Missing => "a certificate of the client is missing",
        }
    }
}

/// The source of such a failure, with the error that revealed it.
#[derive(Debug, thiserror::Error)]
#[error("{}", cause.words())]
struct Fault {
    cause: Cause,
    source: Box<dyn Error + Send + Sync>,
}

/// The beginning of rustls' message for a key of an unsupported kind, for which it has no variant (0.23,
/// `crypto/aws_lc_rs/sign.rs`, `any_supported_type`).
const NO_KEY: &str = "failed to parse private key";

/// The trusted authorities from the file that `parameter` names.
///
/// # Errors
/// `tls`, with parameter and file, if the file cannot be read, holds no certificate, or holds something else.
pub(super) async fn read_authorities(parameter: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let (pem, certificates) = read_certificates(parameter, path).await?;
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate).map_err(|error| garbled(parameter, path, &error.to_string()))?;
    }
    Ok(pem)
}

/// The client's own certificate from the file that `parameter` names, with the intermediate certificates of its
/// authority.
///
/// # Errors
/// As [`read_authorities`].
pub(super) async fn read_own_certificate(parameter: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let (pem, certificates) = read_certificates(parameter, path).await?;
    if let Some(own) = certificates.first() {
        ParsedCertificate::try_from(own).map_err(|error| garbled(parameter, path, &error.to_string()))?;
    }
    Ok(pem)
}

async fn read_certificates(parameter: &str, path: &Path) -> Result<(Vec<u8>, Vec<CertificateDer<'static>>), Failure> {
    let pem = read(parameter, path).await?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| garbled(parameter, path, words_of_pem(&error)))?;
    if certificates.is_empty() {
        return Err(unusable(parameter, path, "holds no certificate (in PEM, it begins with BEGIN CERTIFICATE)"));
    }
    Ok((pem, certificates))
}

fn garbled(parameter: &str, path: &Path, words: &str) -> Failure {
    unusable(parameter, path, &format!("holds a certificate that cannot be read: {words}"))
}

/// What the parser found wrong. Its errors are neither shown nor kept as a source, because they quote the file; in a
/// file without line breaks that is the whole key.
fn words_of_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line of its own, or not the same name there",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line does not end in five dashes",
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::NoItemsFound => "there is no such section",
        pem::Error::SectionTooLarge => "a section is too large",
        _ => "it is not PEM",
    }
}

/// The private key from the file that `parameter` names.
///
/// # Errors
/// As [`read_authorities`]; the error contains nothing of the file.
pub(super) async fn read_key(parameter: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let pem = read(parameter, path).await?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        Err(error) => {
            let words = words_of_pem(&error);
            let what = format!("holds no private key that can be read (in PEM, without a pass phrase): {words}");
            Err(unusable(parameter, path, &what))
        }
    }
}

async fn read(parameter: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let deadline = Clock::system().now().mono + BOUNDS.within;
    read_file(path, BOUNDS, deadline).await.map_err(|error| {
        let message = format!("cannot read the file of {parameter}, {}: {error}", path.display());
        match is_shortage(&error) {
            true => Failure::new(ErrorKind::Limit, message).with_source(error),
            false => fault(ErrorKind::Tls, message, Cause::File, error),
        }
    })
}

fn unusable(parameter: &str, path: &Path, what: &str) -> Failure {
    let message = format!("the file of {parameter}, {}, {what}", path.display());
    fault(ErrorKind::Tls, message, Cause::File, what)
}

fn fault(kind: ErrorKind, message: String, cause: Cause, source: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::new(kind, message).with_source(Fault { cause, source: source.into() })
}

/// Finds the certificate that caused a failed login. `client` are the files of the certificate that the server was
/// shown.
///
/// # Errors
/// The error unchanged, for the driver's own table, if no certificate caused it.
pub(super) fn failure_of<E>(error: E, client: Option<&ClientFiles>) -> Result<Failure, E>
where
    E: Error + Send + Sync + 'static,
{
    match judge(&error, client) {
        Some((kind, cause, message)) => Ok(fault(kind, message, cause, error)),
        None => Err(error),
    }
}

fn judge(error: &(dyn Error + 'static), client: Option<&ClientFiles>) -> Option<(ErrorKind, Cause, String)> {
    if let (Some(lost), Some(files)) = (find::<std::io::Error>(error), client)
        && is_lost(lost.kind())
    {
        // From TLS 1.3 on, the server judges the certificate after the client has finished the handshake. Its refusal
        // and the client's next message cross, and the refusal may be lost with the connection.
        let (lost, file) = (words_of_io(lost), files.certificate.display());
        let message = format!("{lost} during the login, as when the server refuses the client's certificate, {file}");
        return Some((ErrorKind::Network, Cause::Refused, message));
    }
    let (cause, message) = match (find::<rustls::Error>(error)?, client) {
        (rustls::Error::AlertReceived(alert), Some(files)) if speaks_of_certificates(*alert) => {
            let file = files.certificate.display();
            (Cause::Refused, format!("the server refuses the client's certificate, {file}: {}", words_of(*alert)))
        }
        (rustls::Error::AlertReceived(AlertDescription::CertificateRequired), None) => {
            (Cause::Missing, "the server asks for a client's certificate, and the address names none".to_owned())
        }
        // rustls compares the client's certificate and key before it sends anything.
        (error @ rustls::Error::InconsistentKeys(_), Some(ClientFiles { certificate, key })) => {
            let (certificate, key) = (certificate.display(), key.display());
            (
                Cause::File,
                format!("the client's certificate, {certificate}, and key, {key}, do not go together: {error}"),
            )
        }
        (rustls::Error::General(words), Some(files)) if words.starts_with(NO_KEY) => {
            (Cause::File, format!("the client's key, {}, cannot be used: {words}", files.key.display()))
        }
        _ => return None,
    };
    Some((ErrorKind::Tls, cause, message))
}

/// Which certificate caused a failure, if one did.
pub(super) fn cause_of(failure: &Failure) -> Option<Cause> {
    find::<Fault>(failure).map(|fault| fault.cause)
}

/// The next step where a certificate caused the failure. `parameters` are the address's parameters for the client's
/// certificate; `trusted` shows the authorities that the server trusts.
pub(super) fn remedy(failure: &Failure, parameters: &str, trusted: &str) -> Option<String> {
    Some(match cause_of(failure)? {
        Cause::File => "correct what the message names: certificates and keys are PEM, a key has no pass phrase and \
                        belongs to its certificate, and the user that heartbeatd runs as can read them; they are read \
                        again at the next connection"
            .to_owned(),
        Cause::Refused => format!(
            "compare authority and dates of the client's certificate (openssl x509 -noout -subject -issuer -dates -in FILE) \
             with what the server trusts: {trusted}; the files are read again at the next connection"
        ),
        Cause::Missing => format!("name the client's certificate and its key in the address: {parameters}"),
    })
}

/// The first error of this type among an error and its sources. Client libraries wrap the TLS library's error in
/// different ways; from the handshake on it is inside a [`std::io::Error`], whose sources do not show it.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        let inside = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => current.source(),
        };
    }
    None
}

fn is_lost(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind as Io;
    matches!(kind, Io::BrokenPipe | Io::ConnectionReset | Io::ConnectionAborted | Io::UnexpectedEof)
}

/// The alerts of a server that judged a client's certificate: <https://www.rfc-editor.org/rfc/rfc8446#section-6.2>.
fn speaks_of_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    )
}

fn words_of(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateExpired => "it has run out".to_owned(),
        Alert::CertificateRevoked => "it is revoked".to_owned(),
        Alert::UnknownCA => "it does not know the authority that signed it".to_owned(),
        // OpenSSL's alert for a signature that is not by the known authority.
        Alert::DecryptError => "another authority signed it than the one it knows by that name".to_owned(),
        other => format!("alert {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> ClientFiles {
        ClientFiles { certificate: "/c.pem".into(), key: "/k.pem".into() }
    }

    fn alert(description: AlertDescription) -> sqlx::Error {
        let error = rustls::Error::AlertReceived(description);
        sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn an_alert_about_a_certificate_concerns_the_clients_own_certificate() {
        let failure = failure_of(alert(AlertDescription::CertificateExpired), Some(&files())).unwrap();
        assert_eq!(failure.message(), "the server refuses the client's certificate, /c.pem: it has run out");
        assert_eq!((failure.kind(), cause_of(&failure)), (ErrorKind::Tls, Some(Cause::Refused)));
        let failure = failure_of(alert(AlertDescription::CertificateRequired), None).unwrap();
        assert_eq!(cause_of(&failure), Some(Cause::Missing));
    }

    /// The error of a client library that this file does not know.
    #[derive(Debug, thiserror::Error)]
    #[error("the library failed")]
    struct Wrapped(#[source] std::io::Error);

    #[test]
    fn an_alert_is_found_whatever_library_wraps_it() {
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        let error = Wrapped(std::io::Error::new(std::io::ErrorKind::InvalidData, alert));
        assert_eq!(cause_of(&failure_of(error, Some(&files())).unwrap()), Some(Cause::Refused));
    }

    #[test]
    fn an_alert_about_something_else_is_left_to_the_drivers_table() {
        assert!(failure_of(alert(AlertDescription::ProtocolVersion), Some(&files())).is_err());
        assert!(failure_of(alert(AlertDescription::CertificateExpired), None).is_err());
        assert!(failure_of(sqlx::Error::RowNotFound, Some(&files())).is_err());
    }

    #[test]
    fn the_cause_is_found_behind_other_failures() {
        let failure = fault(ErrorKind::Tls, "x".to_owned(), Cause::File, "y");
        let wrapped = crate::driver::network::prefixed("db:3306", failure);
        assert_eq!(cause_of(&wrapped), Some(Cause::File));
        assert_eq!(cause_of(&Failure::new(ErrorKind::Tls, "x")), None);
    }

    /// What the TLS library reports before it sends anything.
    fn of_tls(error: rustls::Error) -> sqlx::Error {
        sqlx::Error::Tls(error.into())
    }

    #[test]
    fn key_that_does_not_fit_its_certificate_is_reported_with_both_files() {
        let failure = failure_of(of_tls(rustls::InconsistentKeys::KeyMismatch.into()), Some(&files())).unwrap();
        assert!(failure.message().starts_with("the client's certificate, /c.pem, and key, /k.pem, do not go together"));
    }

    #[test]
    fn key_of_an_unknown_kind_is_reported_alone() {
        // As rustls words it: crypto/aws_lc_rs/sign.rs, any_supported_type.
        let error = rustls::Error::General("failed to parse private key as RSA, ECDSA, or EdDSA".to_owned());
        let failure = failure_of(of_tls(error), Some(&files())).unwrap();
        assert!(failure.message().starts_with("the client's key, /k.pem, cannot be used: "), "{failure}");
        assert_eq!(cause_of(&failure), Some(Cause::File));
    }

    #[test]
    fn another_error_of_the_library_is_not_blamed_on_the_files() {
        for words in ["no usable cipher suites configured", "unexpected server state"] {
            assert!(failure_of(of_tls(rustls::Error::General(words.to_owned())), Some(&files())).is_err(), "{words}");
        }
    }

    #[test]
    fn chain_of_errors_is_in_words() {
        let failure = failure_of(alert(AlertDescription::UnknownCA), Some(&files())).unwrap();
        let source = failure.source().unwrap();
        assert_eq!(source.to_string(), "the client's certificate is refused");
        assert!(source.source().unwrap().to_string().contains("UnknownCA"));
    }

    #[tokio::test]
    async fn a_path_that_is_not_a_file_is_named_with_its_parameter() {
        let failure = read_authorities("sslrootcert", Path::new("/dev/zero")).await.unwrap_err();
        let wanted = "cannot read the file of sslrootcert, /dev/zero: it is a device, not a regular file";
        assert_eq!((failure.message(), cause_of(&failure)), (wanted, Some(Cause::File)));
    }

    /// A key that lost its line breaks: the parser reads all of it as the name of a section, and quotes that.
    #[tokio::test]
    async fn no_error_quotes_an_unreadable_file() {
        const SECRET: &str = "c2VjcmV0LXNlY3JldA";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.key");
        for content in [
            format!("-----BEGIN PRIVATE KEY----- {SECRET} -----END PRIVATE KEY-----"),
            format!("-----BEGIN PRIVATE KEY----- {SECRET}"),
            format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n"),
            format!("-----BEGIN PRIVATE KEY-----\n{SECRET}*\n-----END PRIVATE KEY-----\n"),
        ] {
            std::fs::write(&path, &content).unwrap();
            let (key, certificate) = (read_key("key", &path).await, read_own_certificate("cert", &path).await);
            let bytes = format!("{:?}", SECRET.as_bytes());
            for failure in [key.unwrap_err(), certificate.unwrap_err()] {
                let shown = format!("{failure:?} {failure}");
                assert!(
                    !shown.contains(SECRET) && !shown.contains(bytes.trim_matches(['[', ']'])),
                    "{content}: {shown}"
                );
            }
        }
    }
}
