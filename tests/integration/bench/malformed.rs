//! A server that answers a login with a message too short for what it must hold: sqlx 0.9 reads past its end and panics.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// The server, on a port of 127.0.0.1, for as long as this is kept. It runs on the test's own runtime.
#[derive(Debug)]
pub(crate) struct MalformedServer {
    port: u16,
    _task: AbortOnDropHandle<()>,
}

impl MalformedServer {
    /// One that speaks PostgreSQL's protocol: the login is accepted, and the key of the session has no bytes.
    pub(crate) async fn postgres() -> Self {
        Self::start(b"R\0\0\0\x08\0\0\0\0K\0\0\0\x04", true).await
    }

    /// One that speaks MySQL's protocol: its greeting ends after the version.
    pub(crate) async fn mysql() -> Self {
        Self::start(b"\x06\0\0\0\x0a8.4\0\x01", false).await
    }

    async fn start(answer: &'static [u8], client_speaks_first: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    // An error is a client that is gone already.
                    let _ = answer_once(client, answer, client_speaks_first).await;
                });
            }
        };
        Self { port, _task: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

async fn answer_once(mut client: TcpStream, answer: &[u8], client_speaks_first: bool) -> std::io::Result<()> {
    let mut said = [0; 4_096];
    if client_speaks_first {
        // Eight bytes ask for encryption; what follows a refusal is the login.
        let encryption = client.read(&mut said).await? == 8;
        if encryption {
            client.write_all(b"N").await?;
            let _ = client.read(&mut said).await?;
        }
    }
    client.write_all(answer).await?;
    // Until the client has had enough.
    while client.read(&mut said).await? > 0 {}
    Ok(())
}
