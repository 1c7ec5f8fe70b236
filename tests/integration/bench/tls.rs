//! The tests' own certificate authority, made anew for each test process.

use std::sync::LazyLock;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// A server's certificate, the authority that signed it, and one that did not; all PEM.
pub(crate) struct Certificates {
    /// The authority to trust.
    pub(crate) authority: String,
    /// Another authority of the same name, which signed nothing here.
    pub(crate) wrong_authority: String,
    /// The server's certificate, for `localhost`, `127.0.0.1` and `::1`.
    pub(crate) server: String,
    /// Its key.
    pub(crate) server_key: String,
}

/// The certificates that all servers of this test process use.
pub(crate) static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| {
    let (authority, issuer) = new_authority();
    let (wrong_authority, _) = new_authority();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let server = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    Certificates { authority, wrong_authority, server: server.pem(), server_key: key.serialize_pem() }
});

fn new_authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "heartbeatd test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), Issuer::new(params, key))
}
