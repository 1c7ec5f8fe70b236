//! Watches MySQL's login for a greeting that asks for the password in clear. `login_guard` calls it for a connection
//! that may stay without TLS. The client library refuses a later request.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html>

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

use crate::driver::login_guard::{Login, Stop, read_more};
use crate::heartbeat::{ErrorKind, Failure};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct MysqlLogin {
    /// Whether the client uses TLS if the server offers it.
    pub(super) prefers_tls: bool,
}

const CLEAR_TEXT: &[u8] = b"mysql_clear_password\0";
/// CLIENT_SSL, in the lower half of the capabilities.
const SSL: u8 = 0x08;

#[async_trait]
impl Login for MysqlLogin {
    async fn carry(&self, client: &mut UnixStream, server: &mut TcpStream) -> Result<(), Stop> {
        let mut packet = Vec::new();
        read_more(server, &mut packet, 4).await?;
        let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]);
        read_more(server, &mut packet, usize::try_from(length).map_err(|_| Stop::Lost)?).await?;
        let greeting = &packet[4..];
        let asks = greeting.windows(CLEAR_TEXT.len()).any(|window| window == CLEAR_TEXT);
        if asks && !(self.prefers_tls && offers_tls(greeting)) {
            return Err(Stop::Refused(refusal()));
        }
        Ok(client.write_all(&packet).await?)
    }
}

/// Whether the server offers TLS. The bit is in the second byte of the capabilities, which follow the version, its
/// final zero and 13 more bytes.
fn offers_tls(greeting: &[u8]) -> bool {
    let Some(version) = greeting.iter().skip(1).position(|byte| *byte == 0) else { return false };
    greeting.get(version + 2 + 13 + 1).is_some_and(|upper| upper & SSL != 0)
}

fn refusal() -> Failure {
    let message = "the server asks for the password in clear (mysql_clear_password), and this connection has no TLS";
    Failure::new(ErrorKind::AuthMethod, message).with_remedy(
        "encrypt the connection: ssl-mode=verify_identity in the address; only if everyone on this network may read \
         the password, write enable-cleartext-plugin=1 in the address",
    )
}
