//! Packets of TDS on a socket, in clear or under TLS; packets may wrap the TLS handshake.

use std::io::{self, Read, Write};
use std::sync::{Arc, LazyLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::tls::CERTIFICATES;

/// Kinds of packets: <https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-tds/>, 2.2.3.1.1.
pub(super) const BATCH: u8 = 0x01;
pub(super) const REPLY: u8 = 0x04;
pub(super) const ATTENTION: u8 = 0x06;
pub(super) const LOGIN: u8 = 0x10;
/// A greeting, and the TLS handshake of TDS 7.4.
pub(super) const PRELOGIN: u8 = 0x12;

const HEADER: usize = 8;
/// The largest packet that a client accepts before it has agreed to a larger one.
pub(super) const LARGEST: usize = 4096;

/// The socket.
pub(super) struct Wire {
    tcp: TcpStream,
    tls: Option<Box<ServerConnection>>,
    /// Received, decrypted bytes that were not read yet.
    plain: Vec<u8>,
    /// The largest packet that it sends.
    largest: usize,
}

/// TDS 7.4 uses TLS 1.2, TDS 8 both versions.
static WRAPPED: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| config(&[&rustls::version::TLS12], &[]));
static STRICT: LazyLock<Arc<ServerConfig>> =
    LazyLock::new(|| config(&[&rustls::version::TLS13, &rustls::version::TLS12], &[b"tds/8.0".to_vec()]));

fn config(versions: &[&'static rustls::SupportedProtocolVersion], protocols: &[Vec<u8>]) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATES.server.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(CERTIFICATES.server_key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = protocols.to_vec();
    Arc::new(config)
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, largest: usize) -> Self {
        Self { tcp, tls: None, plain: Vec::new(), largest }
    }

    /// The TLS handshake, from the first byte, or inside packets of the greeting's kind.
    pub(super) async fn encrypt(&mut self, wrapped: bool) -> io::Result<()> {
        let config = if wrapped { &WRAPPED } else { &STRICT };
        let mut tls = Box::new(ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?);
        loop {
            let outgoing = outgoing(&mut tls)?;
            if !outgoing.is_empty() && wrapped {
                self.send(PRELOGIN, &outgoing).await?;
            } else if !outgoing.is_empty() {
                self.tcp.write_all(&outgoing).await?;
            }
            if !tls.is_handshaking() {
                break;
            }
            let incoming = if wrapped { self.message().await?.1 } else { self.some().await? };
            if let Err(error) = take_in(&mut tls, &incoming) {
                // The client must learn why.
                let alert = self::outgoing(&mut tls)?;
                let _ = self.tcp.write_all(&alert).await;
                return Err(error);
            }
        }
        self.plain = decrypted(&mut tls)?;
        self.tls = Some(tls);
        Ok(())
    }

    /// Continues in clear: only the login was encrypted.
    pub(super) fn end_encryption(&mut self) {
        self.tls = None;
    }

    /// Reads one message: its kind, its bytes, and how many packets carried it.
    pub(super) async fn message(&mut self) -> io::Result<(u8, Vec<u8>, u64)> {
        let (mut message, mut packets) = (Vec::new(), 0);
        loop {
            let header = self.exactly(HEADER).await?;
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            message.extend(self.exactly(length.saturating_sub(HEADER)).await?);
            packets += 1;
            if header[1] & 1 == 1 {
                return Ok((header[0], message, packets));
            }
        }
    }

    /// Sends one message; returns how many packets carried it.
    pub(super) async fn send(&mut self, kind: u8, message: &[u8]) -> io::Result<u64> {
        let parts: Vec<&[u8]> = match message.is_empty() {
            true => vec![message],
            false => message.chunks(self.largest - HEADER).collect(),
        };
        let mut bytes = Vec::with_capacity(message.len() + HEADER * parts.len());
        for (index, part) in parts.iter().enumerate() {
            let length = u16::try_from(part.len() + HEADER).unwrap().to_be_bytes();
            let last = u8::from(index + 1 == parts.len());
            bytes.extend([kind, last, length[0], length[1], 0, 0, u8::try_from(index % 256).unwrap(), 0]);
            bytes.extend_from_slice(part);
        }
        match &mut self.tls {
            None => self.tcp.write_all(&bytes).await?,
            Some(tls) => {
                tls.writer().write_all(&bytes)?;
                let bytes = outgoing(tls)?;
                self.tcp.write_all(&bytes).await?;
            }
        }
        Ok(parts.len() as u64)
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.plain.len() < length {
            let some = self.some().await?;
            match &mut self.tls {
                None => self.plain.extend(some),
                Some(tls) => {
                    take_in(tls, &some)?;
                    self.plain.extend(decrypted(tls)?);
                }
            }
        }
        Ok(self.plain.drain(..length).collect())
    }

    /// Bytes as they come.
    async fn some(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; LARGEST];
        match self.tcp.read(&mut buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                buffer.truncate(length);
                Ok(buffer)
            }
        }
    }
}

fn outgoing(tls: &mut ServerConnection) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes)?;
    }
    Ok(bytes)
}

fn take_in(tls: &mut ServerConnection, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        tls.read_tls(&mut bytes)?;
        tls.process_new_packets().map_err(io::Error::other)?;
    }
    Ok(())
}

fn decrypted(tls: &mut ServerConnection) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match tls.reader().read_to_end(&mut bytes) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(bytes),
    }
}
