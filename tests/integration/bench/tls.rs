//! The tests' own certificate authority, created for each test process.

use std::path::PathBuf;
use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;

/// The name of both authorities.
pub(crate) const AUTHORITY: &str = "heartbeatd test authority";

/// A server's certificate, the authority that signed it, and one that did not; all PEM.
pub(crate) struct Certificates {
    /// The authority to trust.
    pub(crate) authority: String,
    /// Another authority of the same name, which signed none of these certificates.
    pub(crate) wrong_authority: String,
    /// The server's certificate, for `localhost`, `127.0.0.1` and `::1`.
    pub(crate) server: String,
    /// Its key.
    pub(crate) server_key: String,
    issuer: Issuer<'static, KeyPair>,
    wrong_issuer: Issuer<'static, KeyPair>,
}

/// A client's certificate and its key, PEM.
pub(crate) struct ClientPair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A folder with files that an address can name.
pub(crate) struct Files(TempDir);

/// The certificates that all servers of this test process use.
pub(crate) static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| {
    let (authority, issuer) = new_authority();
    let (wrong_authority, wrong_issuer) = new_authority();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let server = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let (server, server_key) = (server.pem(), key.serialize_pem());
    Certificates { authority, wrong_authority, server, server_key, issuer, wrong_issuer }
});

impl ClientPair {
    /// A certificate that servers accept, for the name `/CN=name`.
    pub(crate) fn of(name: &str) -> Self {
        Self::signed(&params(name), &CERTIFICATES.issuer)
    }

    /// A certificate that expired in the year 2020.
    pub(crate) fn expired(name: &str) -> Self {
        let mut params = params(name);
        params.not_after = date_time_ymd(2020, 1, 1);
        Self::signed(&params, &CERTIFICATES.issuer)
    }

    /// A certificate of the authority that servers do not know.
    pub(crate) fn of_the_wrong_authority(name: &str) -> Self {
        Self::signed(&params(name), &CERTIFICATES.wrong_issuer)
    }

    fn signed(params: &CertificateParams, issuer: &Issuer<'static, KeyPair>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap().pem();
        Self { certificate, key: key.serialize_pem() }
    }
}

impl Files {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of a file that may or may not exist.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in one step, as far as a reader sees; returns its path.
    pub(crate) fn put(&self, name: &str, content: &str) -> PathBuf {
        let (path, new) = (self.path(name), self.path("new"));
        std::fs::write(&new, content).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path
    }

    /// Writes certificate and key as `client.pem` and `client.key`.
    pub(crate) fn put_pair(&self, pair: &ClientPair) {
        self.put("client.pem", &pair.certificate);
        self.put("client.key", &pair.key);
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn new_authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = params(AUTHORITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), Issuer::new(params, key))
}
