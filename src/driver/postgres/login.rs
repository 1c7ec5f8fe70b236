//! Watches PostgreSQL's login for a request for the password in clear. `login_guard` calls it for a connection that may
//! stay without TLS.
//!
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

use crate::driver::login_guard::{Login, Stop, read_more};
use crate::heartbeat::{ErrorKind, Failure};

/// See the module.
pub(super) struct PostgresLogin;

const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
// Types of authentication requests.
const OK: u32 = 0;
const CLEAR_TEXT: u32 = 3;
const SASL_FINAL: u32 = 12;

#[async_trait]
impl Login for PostgresLogin {
    async fn carry(&self, client: &mut UnixStream, server: &mut TcpStream) -> Result<(), Stop> {
        if start(client, server).await? == Start::Elsewise {
            return Ok(());
        }
        loop {
            let mut message = Vec::new();
            read_message(server, &mut message).await?;
            let asked = match message[0] {
                b'R' => message.get(5..9).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes),
                _ => None,
            };
            if asked == Some(CLEAR_TEXT) {
                return Err(Stop::Refused(refusal()));
            }
            server_says(client, &message).await?;
            match (message[0], asked) {
                // Only now is the login over for the client library: it also answers a request that comes after OK.
                (b'E' | b'Z', _) => return Ok(()),
                (b'R', Some(kind)) if !matches!(kind, OK | SASL_FINAL) => {
                    let mut answer = Vec::new();
                    read_message(client, &mut answer).await?;
                    server.write_all(&answer).await?;
                }
                _ => {}
            }
        }
    }
}

/// How a connection starts.
#[derive(PartialEq, Eq)]
enum Start {
    /// Without TLS.
    InClear,
    /// With TLS, or the server is not PostgreSQL.
    Elsewise,
}

/// Passes on the start-up, with the request for TLS before it if the client sends one.
async fn start(client: &mut UnixStream, server: &mut TcpStream) -> Result<Start, Stop> {
    loop {
        let mut message = Vec::new();
        read_more(client, &mut message, 4).await?;
        read_rest(client, &mut message, 0).await?;
        server.write_all(&message).await?;
        if message.get(4..8) != Some(&SSL_REQUEST[..]) {
            return Ok(Start::InClear);
        }
        let mut answer = Vec::new();
        read_more(server, &mut answer, 1).await?;
        server_says(client, &answer).await?;
        if answer != b"N" {
            return Ok(Start::Elsewise);
        }
    }
}

async fn server_says(client: &mut UnixStream, message: &[u8]) -> Result<(), Stop> {
    Ok(client.write_all(message).await?)
}

/// Reads a message that has its type before its length.
async fn read_message(from: &mut (impl tokio::io::AsyncReadExt + Unpin), message: &mut Vec<u8>) -> Result<(), Stop> {
    read_more(from, message, 5).await?;
    read_rest(from, message, 1).await
}

/// Reads the rest of a message. Its length is at `place` and counts itself.
async fn read_rest(
    from: &mut (impl tokio::io::AsyncReadExt + Unpin),
    message: &mut Vec<u8>,
    place: usize,
) -> Result<(), Stop> {
    let length = message[place..place + 4].try_into().map_or(0, u32::from_be_bytes);
    let rest = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    read_more(from, message, rest.ok_or(Stop::Lost)?).await
}

fn refusal() -> Failure {
    let message = "the server asks for the password in clear (method password), and this connection has no TLS";
    Failure::new(ErrorKind::AuthMethod, message).with_remedy(
        "encrypt the connection: sslmode=verify-full in the address; or have the server ask for scram-sha-256 in its \
         pg_hba.conf; only if everyone on this network may read the password, write allow_cleartext_password=1 in the \
         address",
    )
}
